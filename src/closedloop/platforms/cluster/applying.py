"""Applying on a cluster: an inventory, others' objects left alone, images of a mirror."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from closedloop.manifests import Manifest
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.applying import Applier, Rules
from closedloop.platforms.client.faults import passing
from closedloop.platforms.cluster.commands import CommandFailed
from closedloop.platforms.cluster.images import rewritten
from closedloop.platforms.cluster.inventory import LABEL, VALUE, Inventory, Made, is_ours
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]

GENERATE = "closedloop.dev/generate"
_PATIENCE = 180.0
_PASSWORD_BYTES = 24


class ClusterRules(Rules):
    """Our label on each object and in the inventory, if there is one; nobody else's is changed.

    Namespaces of others and those objects that already are as asked for are
    used, and so are `upstream` objects; for another the error has the remedy.
    """

    def __init__(
        self, api: Api, inventory: Inventory | None, registry: str, *, upstream: bool = False
    ) -> None:
        self._api, self._inventory = api, inventory
        self._registry, self._upstream = registry, upstream

    def document(self, document: Object) -> Object:
        document = rewritten(document, self._registry)
        metadata = {**document["metadata"]}
        metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: VALUE}
        return {**document, "metadata": metadata}

    def complete(self, document: Object, there: Object | None) -> Object:
        return _with_secrets(document, there) if document["kind"] == "Secret" else document

    def begin(self, found: Sequence[tuple[Manifest, str, Object | None]]) -> None:
        if self._inventory is not None:
            self._inventory.add(
                Made(one.name, namespace, one.kind, str(one.document["apiVersion"]))
                for one, namespace, there in found
                if there is None or is_ours(there)
            )

    def leave(self, manifest: Manifest, document: Object, there: Object) -> str:
        if is_ours(there):
            return ""
        if not self._upstream and manifest.kind != "Namespace":
            document["metadata"]["labels"].pop(LABEL)
            asked = self._api.apply(self.complete(document, there), force=True, dry_run=True)
            if _content(asked) != _content(there):
                kubectl = f"kubectl label {manifest.kind.lower()} {manifest.name}"
                if manifest.namespace:
                    kubectl += f" --namespace {manifest.namespace}"
                raise PlatformError(
                    f"{manifest.title} is in the cluster already, differs and is not ours: delete"
                    f" it, or let it be changed with `{kubectl} {LABEL}={VALUE}`"
                )
        return "left alone, it is not ours"


class ClusterApplier:
    """Applies manifests to one cluster by our rules."""

    def __init__(
        self,
        api: Api,
        inventory: Inventory | None,
        *,
        registry: str = "",
        patience: float = _PATIENCE,
    ) -> None:
        self._api, self._patience = api, patience
        self._applier = Applier(api, patience=patience)
        self._rules = ClusterRules(api, inventory, registry)
        self._upstream = ClusterRules(api, inventory, registry, upstream=True)

    def apply(self, manifests: Sequence[Manifest], *, upstream: bool = False) -> list[str]:
        """Apply in the order given; returns `Kind/name` of each and its change.

        Raises `PlatformError`.
        """
        return self._applier.apply(manifests, self._upstream if upstream else self._rules)

    def digest(self, manifests: Sequence[Manifest]) -> str:
        """Tells one content of manifests from another, as they are applied here."""
        documents = [self._applier.document(one, self._rules) for one in manifests]
        return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()

    def has(self, manifests: Sequence[Manifest]) -> bool:
        """Whether all these objects are there and ours, in any state."""
        wanted = {
            (one.kind, str(one.document["apiVersion"]), self._applier.namespace(one), one.name)
            for one in manifests
        }
        for kind, version in {each[:2] for each in wanted}:
            found, _ = self._api.list(kind, api_version=version, labels=f"{LABEL}={VALUE}")
            for each in found:
                own = each["metadata"]
                wanted.discard((kind, version, own.get("namespace", ""), own["name"]))
        return not wanted

    def persist_helm(self, action: Callable[[], None]) -> None:
        """Let helm do it, again while the API server's words that it passes on are of a reason
        that passes. Raises the last error.
        """
        retrying = Retrying(
            retry=retry_if_exception(_helm_passes),
            wait=wait_exponential(0.5, max=5.0),
            stop=stop_after_delay(self._patience),
            reraise=True,
        )
        retrying(action)


def _helm_passes(error: BaseException) -> bool:
    return isinstance(error, CommandFailed) and passing(500, error.stderr) is not None


def _with_secrets(document: Object, there: Object | None) -> Object:
    """With `data` for `stringData`, and the keys that the annotation asks for: kept, or made."""
    annotations = document["metadata"].get("annotations") or {}
    data = dict(document.get("data") or {})
    for key, text in (document.get("stringData") or {}).items():
        data[key] = base64.b64encode(str(text).encode()).decode()
    has = (there or {}).get("data") or {}
    for key in str(annotations.get(GENERATE, "")).replace(",", " ").split():
        made = base64.b64encode(secrets.token_urlsafe(_PASSWORD_BYTES).encode()).decode()
        data[key] = has.get(key) or made
    changed = {key: value for key, value in document.items() if key != "stringData"}
    return {**changed, "data": data} if data else changed


def _content(thing: Object) -> Object:
    """The requested fields, without those that the server writes."""
    kept = {key: value for key, value in thing.items() if key not in {"metadata", "status"}}
    metadata = thing["metadata"]
    for key in ("labels", "annotations"):
        kept[key] = metadata.get(key) or {}
    return kept
