"""The broker's channel: in memory, or one that outlives its pods."""

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from closedloop.manifests import Manifest
from closedloop.platforms.client.api import Api
from closedloop.platforms.protocol import PlatformError

SETTING = "CLOSEDLOOP_CHANNEL"
IN_MEMORY = "InMemoryChannel"
CHANNELS = {
    IN_MEMORY: "messaging.knative.dev/v1",
    "NatsJetStreamChannel": "messaging.knative.dev/v1alpha1",
    "KafkaChannel": "messaging.knative.dev/v1beta1",
}
_CONFIG, _TEMPLATE = "broker-channel", "channel-template-spec"


def with_channel(api: Api, manifests: Sequence[Manifest]) -> list[Manifest]:
    """The manifests, each Broker with the kind of channel that `$CLOSEDLOOP_CHANNEL` names.

    Without it a broker that is there keeps its own, for Knative lets nobody change
    it. Raises `PlatformError`.
    """
    wanted = os.environ.get(SETTING, "")
    if wanted and wanted not in CHANNELS:
        raise PlatformError(f"{SETTING} is {wanted!r}: name one of {', '.join(CHANNELS)}")
    return [
        each
        for one in manifests
        for each in (_broker(api, one, wanted) if one.kind == "Broker" else [one])
    ]


def _broker(api: Api, manifest: Manifest, wanted: str) -> Iterator[Manifest]:
    there = api.get("Broker", manifest.name, manifest.namespace)
    if there is not None:
        config = there.get("spec", {}).get("config")
        if wanted and wanted != (kind := _kind(api, config)):
            raise PlatformError(
                f"the broker {manifest.namespace}/{manifest.name} keeps its events in {kind}, which"
                f" Knative does not change: delete it, or do not ask for {wanted}"
            )
        yield _with(manifest, config)
    elif wanted in ("", IN_MEMORY):
        yield manifest
    elif not api.knows(wanted, CHANNELS[wanted]):
        raise PlatformError(
            f"this cluster has no kind {wanted}: install that channel of Knative's, with the"
            " storage behind it, before the broker"
        )
    else:
        yield Manifest(manifest.source, _config_map(manifest.namespace, wanted))
        yield _with(manifest, _reference(manifest.namespace))


def _kind(api: Api, config: Mapping[str, str] | None) -> str:
    """The kind of channel that a broker's configuration names."""
    if not config:
        return IN_MEMORY
    found = api.get(config["kind"], config["name"], config.get("namespace", ""))
    template = yaml.safe_load((found or {}).get("data", {}).get(_TEMPLATE, "")) or {}
    return str(template.get("kind", f"the {config['kind']} {config['name']}"))


def _reference(namespace: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": _CONFIG, "namespace": namespace}


def _config_map(namespace: str, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _CONFIG, "namespace": namespace},
        "data": {_TEMPLATE: f"apiVersion: {CHANNELS[kind]}\nkind: {kind}\n"},
    }


def _with(manifest: Manifest, config: object) -> Manifest:
    if not config:
        return manifest
    document: dict[str, Any] = copy.deepcopy(dict(manifest.document))
    document.setdefault("spec", {})["config"] = config
    return Manifest(manifest.source, document)
