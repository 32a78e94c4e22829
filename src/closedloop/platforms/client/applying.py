"""Manifests onto an API server: server-side apply, again while an error passes by itself."""

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
from closedloop.platforms.client.connection import ApiError, NoSuchKind, Unreachable
from closedloop.platforms.client.faults import Passing, passing
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]
T = TypeVar("T")

_PATIENCE = 180.0  # seconds for a webhook to come up, a namespace to go away
_GONE = 180.0
_NO_NAMESPACE = 404
_REFUSALS = {400, 422, _NO_NAMESPACE}


class NoNamespace(PlatformError):
    """The namespace that an object is to go into is not there."""


class Rules:
    """The hooks of a platform in applying; these add nothing."""

    def document(self, document: Object) -> Object:
        """The object as it is applied here."""
        return document

    def complete(self, document: Object, there: Object | None) -> Object:
        """The object with the fields that only the stored one tells."""
        del there
        return document

    def begin(self, found: Sequence[tuple[Manifest, str, Object | None]]) -> None:
        """Called before any change, with each manifest, its namespace and the stored object."""

    def leave(self, manifest: Manifest, document: Object, there: Object) -> str:
        """Why the object that is there stays as it is; empty when it may be changed.

        Raises `PlatformError` when it has to be changed and may not.
        """
        del manifest, document, there
        return ""


class Applier:
    """Applies manifests to one API server."""

    def __init__(self, api: Api, *, patience: float = _PATIENCE) -> None:
        self._api, self._patience = api, patience

    def apply(self, manifests: Sequence[Manifest], rules: Rules | None = None) -> list[str]:
        """Apply in the order given; returns `Kind/name` of each and its change.

        Raises `PlatformError` from the first that is refused, which names its file.
        """
        rules = rules or Rules()
        found = [(one, self.namespace(one), self._there(one)) for one in manifests]
        rules.begin(found)
        return [
            f"{one.kind}/{one.name} {self.persist(partial(self._apply, one, there, rules))}"
            for one, _, there in found
        ]

    def check(self, manifests: Sequence[Manifest]) -> None:
        """Ask the server what it would refuse, and change nothing.

        Raises `PlatformError` that names every fault; a namespace among the manifests is none.
        """
        coming = {one.name for one in manifests if one.kind == "Namespace"}
        faults = []
        for one in manifests:
            try:
                self._send(one, self.document(one, Rules()), dry_run=True)
            except NoNamespace as error:
                if self.namespace(one) not in coming:
                    faults.append(str(error))
            except ApiError as error:
                if error.status in _REFUSALS:
                    faults.append(str(error))
            except NoSuchKind as error:
                faults.append(str(error))
        if faults:
            raise PlatformError("\n".join(faults))

    def document(self, manifest: Manifest, rules: Rules) -> Object:
        """The object of a manifest as it is applied here."""
        document = dict(manifest.document)
        metadata: Object = dict(document["metadata"])  # type: ignore[call-overload]  # loading checks
        for field in ("creationTimestamp", "managedFields"):  # of an object as it was read
            metadata.pop(field, None)
        if namespace := self.namespace(manifest):
            metadata["namespace"] = namespace
        document["metadata"] = metadata
        document.pop("status", None)
        if "aggregationRule" in document:
            # A controller fills the rules in; applied empty they would be emptied each time.
            document.pop("rules", None)
        return rules.document(document)

    def namespace(self, manifest: Manifest) -> str:
        """The namespace that the object goes into; empty for a kind without one."""
        given = manifest.document["metadata"]
        assert isinstance(given, Mapping)
        if given.get("namespace"):
            return str(given["namespace"])
        if not manifest.namespace:
            return ""
        api_version = str(manifest.document["apiVersion"])
        return manifest.namespace if self._api.is_namespaced(manifest.kind, api_version) else ""

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

    def _apply(self, manifest: Manifest, there: Object | None, rules: Rules) -> str:
        document = self.document(manifest, rules)
        # An object that was absent a moment ago may have been made by another process meanwhile.
        if there is None and (there := self._there(manifest)) is None:
            self._send(manifest, rules.complete(document, None))
            return "created"
        if reason := rules.leave(manifest, document, there):
            return reason
        before = there["metadata"].get("resourceVersion")
        after = self._send(manifest, rules.complete(document, there))
        same = after["metadata"].get("resourceVersion") == before
        return "unchanged" if same else "configured"

    def _send(self, manifest: Manifest, document: Object, *, dry_run: bool = False) -> Object:
        try:
            return self._api.apply(document, force=True, dry_run=dry_run)
        except ApiError as error:
            if error.status not in _REFUSALS:
                raise
            if error.status == _NO_NAMESPACE:
                raise NoNamespace(
                    f"{manifest.source}: {manifest.title}: there is no namespace"
                    f" {document['metadata'].get('namespace')}: apply it first"
                ) from None
            said = error.text if manifest.name in error.text else f"{manifest.title}: {error.text}"
            raise ApiError(
                f"{manifest.source}: {said}", status=error.status, text=error.text
            ) from None

    def _there(self, manifest: Manifest) -> Object | None:
        return self._api.get(
            manifest.kind,
            manifest.name,
            self.namespace(manifest),
            api_version=str(manifest.document["apiVersion"]),
        )

    def _await_cause(self, state: RetryCallState) -> None:
        """Wait for the thing that the last error missed, as far as it can be watched."""
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


def delete(
    api: Api,
    kind: str,
    name: str,
    namespace: str,
    api_version: str,
    *,
    may: Callable[[Object], bool] = lambda _: True,
) -> str:
    """Delete an object if one `may` and wait until it is gone; returns its change."""
    uid, word = _begin_delete(api, kind, name, namespace, api_version, may)
    if uid:
        wait(api, kind, name, namespace, condition=DELETED, timeout=_GONE, uid=uid)
    return word


def delete_all(api: Api, manifests: Sequence[Manifest]) -> list[str]:
    """Delete objects in this order and wait until all are gone; returns the change of each."""
    begun = []
    for one in manifests:
        version = str(one.document["apiVersion"])
        begun.append((one, *_begin_delete(api, one.kind, one.name, one.namespace, version)))
    for one, uid, _ in begun:
        if uid:
            place = one.kind, one.name, one.namespace
            wait(api, *place, condition=DELETED, timeout=_GONE, uid=uid)
    return [f"{one.kind}/{one.name} {word}" for one, _, word in begun]


def _begin_delete(
    api: Api,
    kind: str,
    name: str,
    namespace: str,
    api_version: str,
    may: Callable[[Object], bool] = lambda _: True,
) -> tuple[str, str]:
    """The uid of an object that is going now, and its change."""
    try:
        found = api.get(kind, name, namespace, api_version=api_version)
    except NoSuchKind:
        return "", "absent"
    if found is None:
        return "", "absent"
    if not may(found):
        return "", "left alone, it is not ours"
    uid = str(found["metadata"].get("uid", ""))
    api.delete(kind, name, namespace, api_version=api_version, uid=uid)
    return uid, "deleted"


def _passes(error: BaseException) -> bool:
    if isinstance(error, ApiError):
        return passing(error.status, error.text) is not None
    return isinstance(error, Unreachable)


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
