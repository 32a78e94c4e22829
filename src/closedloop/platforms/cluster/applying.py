"""Objects into the cluster: server-side apply, retries by kind of error, others' left alone."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
)

from closedloop.manifests import Manifest
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import DELETED
from closedloop.platforms.client.connection import ApiError, Unreachable
from closedloop.platforms.client.faults import Passing, passing
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.cluster.commands import CommandFailed
from closedloop.platforms.cluster.images import rewritten
from closedloop.platforms.cluster.inventory import LABEL, VALUE, Inventory, Made, is_ours
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]
T = TypeVar("T")

GENERATE = "closedloop.dev/generate"
_PATIENCE = 180.0  # seconds for a webhook to come up, a namespace to go away
_PASSWORD_BYTES = 24


class Applier:
    """Applies manifests to one cluster and writes them into its inventory, if there is one.

    An object that is there and does not carry our label is never changed.
    """

    def __init__(
        self,
        api: Api,
        inventory: Inventory | None,
        *,
        registry: str = "",
        patience: float = _PATIENCE,
    ) -> None:
        self._api, self._inventory = api, inventory
        self._registry, self._patience = registry, patience

    def apply(self, manifests: Sequence[Manifest], *, upstream: bool = False) -> list[str]:
        """Apply in the order given; returns `Kind/name` of each and what happened to it.

        One that is not ours stays as it is: `upstream` objects, namespaces and
        those that already are as asked for are used, for another the error
        says what to do. Raises `PlatformError`.
        """
        there = [self._there(one) for one in manifests]
        if self._inventory is not None:
            self._inventory.add(
                Made(one.name, self._namespace(one), one.kind, str(one.document["apiVersion"]))
                for one, found in zip(manifests, there, strict=True)
                if found is None or is_ours(found)
            )
        return [
            f"{one.kind}/{one.name} {self.persist(partial(self._apply, one, found, upstream))}"
            for one, found in zip(manifests, there, strict=True)
        ]

    def digest(self, manifests: Sequence[Manifest]) -> str:
        """Tells one content of manifests from another, as they are applied here."""
        documents = [self._document(one) for one in manifests]
        return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()

    def has(self, manifests: Sequence[Manifest]) -> bool:
        """Whether all these objects are there and ours, whatever they are like."""
        wanted = {
            (one.kind, str(one.document["apiVersion"]), self._namespace(one), one.name)
            for one in manifests
        }
        for kind, version in {each[:2] for each in wanted}:
            found, _ = self._api.list(kind, api_version=version, labels=f"{LABEL}={VALUE}")
            for each in found:
                own = each["metadata"]
                wanted.discard((kind, version, own.get("namespace", ""), own["name"]))
        return not wanted

    def persist(self, action: Callable[[], T]) -> T:
        """Do it, again while it fails for a reason that passes. Raises the last error."""
        retrying = Retrying(
            retry=retry_if_exception(_passes),
            wait=wait_exponential(0.1, max=3.0),
            stop=stop_after_delay(self._patience),
            before_sleep=self._await_cause,
            reraise=True,
        )
        return retrying(action)

    def persist_helm(self, action: Callable[[], None]) -> None:
        """The same for helm, which passes the API server's words on."""
        retrying = Retrying(
            retry=retry_if_exception(_helm_passes),
            wait=wait_exponential(0.5, max=5.0),
            stop=stop_after_delay(self._patience),
            reraise=True,
        )
        retrying(action)

    def _apply(self, manifest: Manifest, there: Object | None, upstream: bool) -> str:
        document = self._document(manifest)
        # What was not there a moment ago may have been made by another process meanwhile.
        if there is None and (there := self._there(manifest)) is None:
            self._api.apply(self._complete(document, None), force=True)
            return "created"
        if not is_ours(there):
            return self._foreign(manifest, document, there, upstream)
        before = there["metadata"].get("resourceVersion")
        after = self._api.apply(self._complete(document, there), force=True)
        same = after["metadata"].get("resourceVersion") == before
        return "unchanged" if same else "configured"

    def _foreign(self, manifest: Manifest, document: Object, there: Object, upstream: bool) -> str:
        if not upstream and manifest.kind != "Namespace":
            document["metadata"]["labels"].pop(LABEL)
            asked = self._api.apply(self._complete(document, there), force=True, dry_run=True)
            if _content(asked) != _content(there):
                kubectl = f"kubectl label {manifest.kind.lower()} {manifest.name}"
                if manifest.namespace:
                    kubectl += f" --namespace {manifest.namespace}"
                raise PlatformError(
                    f"{manifest.title} is in the cluster already, differs and is not ours: delete"
                    f" it, or let it be changed with `{kubectl} {LABEL}={VALUE}`"
                )
        return "left alone, it is not ours"

    def _document(self, manifest: Manifest) -> Object:
        document = rewritten(manifest.document, self._registry)
        metadata = {**document["metadata"]}
        metadata.pop("creationTimestamp", None)
        metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: VALUE}
        if namespace := self._namespace(manifest):
            metadata["namespace"] = namespace
        document["metadata"] = metadata
        document.pop("status", None)
        if "aggregationRule" in document:
            # A controller fills the rules in; applied empty they would be emptied each time.
            document.pop("rules", None)
        return document

    def _complete(self, document: Object, there: Object | None) -> Object:
        return _with_secrets(document, there) if document["kind"] == "Secret" else document

    def _namespace(self, manifest: Manifest) -> str:
        api_version = str(manifest.document["apiVersion"])
        given = manifest.document["metadata"]
        assert isinstance(given, Mapping)
        if given.get("namespace"):
            return str(given["namespace"])
        namespaced = manifest.namespace and self._api.is_namespaced(manifest.kind, api_version)
        return manifest.namespace if namespaced else ""

    def _there(self, manifest: Manifest) -> Object | None:
        return self._api.get(
            manifest.kind,
            manifest.name,
            self._namespace(manifest),
            api_version=str(manifest.document["apiVersion"]),
        )

    def _await_cause(self, state: RetryCallState) -> None:
        """Wait for what the last error lacked, as far as it can be watched."""
        error = state.outcome.exception() if state.outcome else None
        fault = passing(error.status, error.text) if isinstance(error, ApiError) else None
        if fault is None:
            return
        left = max(1.0, self._patience - (state.seconds_since_start or 0.0))
        if fault.kind is Passing.WEBHOOK and fault.service:
            namespace, _, name = fault.service.partition("/")
            _await_endpoints(self._api, namespace, name, left)
        elif fault.kind is Passing.TERMINATING:
            assert isinstance(error, ApiError)
            if namespace := _terminating(error.text):
                wait(self._api, "Namespace", namespace, condition=DELETED, timeout=left)


def _passes(error: BaseException) -> bool:
    if isinstance(error, ApiError):
        return passing(error.status, error.text) is not None
    return isinstance(error, Unreachable)


def _helm_passes(error: BaseException) -> bool:
    return isinstance(error, CommandFailed) and passing(500, error.stderr) is not None


def _terminating(text: str) -> str:
    """The namespace of `… in namespace seldon because it is being terminated`."""
    _, found, rest = text.partition("in namespace ")
    return rest.split()[0] if found and "because it is being terminated" in rest else ""


def _await_endpoints(api: Api, namespace: str, service: str, seconds: float) -> None:
    """Until a Service has a ready endpoint, or a moment has passed: the request is the judge."""
    labels = f"kubernetes.io/service-name={service}"
    deadline = time.monotonic() + min(seconds, 30.0)
    items, version = api.list("EndpointSlice", namespace, labels=labels)
    if any(_has_endpoint(each) for each in items):
        return
    for _, changed in api.watch(
        "EndpointSlice",
        namespace,
        resource_version=version,
        seconds=max(1.0, deadline - time.monotonic()),
        labels=labels,
    ):
        if _has_endpoint(changed) or time.monotonic() > deadline:
            return


def _has_endpoint(piece: Object) -> bool:
    return any(
        (each.get("conditions") or {}).get("ready", True) for each in piece.get("endpoints") or []
    )


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
    """What was asked for, without what the server writes."""
    kept = {key: value for key, value in thing.items() if key not in {"metadata", "status"}}
    metadata = thing["metadata"]
    for key in ("labels", "annotations"):
        kept[key] = metadata.get(key) or {}
    return kept
