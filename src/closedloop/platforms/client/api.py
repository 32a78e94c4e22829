"""The API server: objects by kind as plain dictionaries, through the official client."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3.exceptions
from kubernetes.dynamic import Resource

from closedloop.platforms.client.connection import (
    ApiError,
    Connection,
    HasEnded,
    NoSuchKind,
    Object,
    lines,
)

FIELD_MANAGER = "closedloop"

# Kinds whose objects are gone only when their dependents are.
_OWNERS = {"Deployment", "StatefulSet", "Job", "SeldonDeployment", "Broker", "Trigger"}


class Api:
    """One cluster, as a kubeconfig (the user's if None) and its context describe it.

    Objects are dictionaries as in the API's JSON. Every method raises
    `ApiError`, `Unreachable`, `Ended` or `NoSuchKind`.
    """

    def __init__(
        self,
        kubeconfig: Path | None = None,
        context: str | None = None,
        has_ended: HasEnded = str,
    ) -> None:
        self.connection = Connection(kubeconfig, context, has_ended)
        self.configuration = self.connection.configuration

    def version(self) -> str:
        """The server's version, such as `v1.35.8`."""
        raw = self.connection.request("get", "/version", what="asking for its version")
        return str(raw["gitVersion"])

    def get(
        self, kind: str, name: str, namespace: str = "", *, api_version: str = ""
    ) -> Object | None:
        """The object, None if there is none."""
        resource = self.connection.resource(kind, api_version)
        try:
            return self.connection.request(
                "get", _path(resource, name, namespace), what=f"reading {kind} {name}"
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(
        self,
        kind: str,
        namespace: str = "",
        *,
        api_version: str = "",
        labels: str = "",
        fields: str = "",
    ) -> tuple[list[Object], str]:
        """Objects of one namespace or of all, and the resource version to watch from."""
        resource = self.connection.resource(kind, api_version)
        path = _path(resource, None, namespace)
        items: list[Object] = []
        more: str | None = None
        while True:
            try:
                page = self.connection.request(
                    "get",
                    path,
                    what=f"listing {kind}",
                    label_selector=labels or None,
                    field_selector=fields or None,
                    limit=500,
                    _continue=more,
                )
            except ApiError as error:
                if error.status != 404:
                    raise
                # A list that is empty is one, too: the kind is gone since it was looked for.
                raise self.connection.gone(kind) from None
            items += [
                {"apiVersion": resource.group_version, "kind": kind, **item}
                for item in page.get("items") or []
            ]
            more = page.get("metadata", {}).get("continue")
            if not more:
                return items, str(page.get("metadata", {}).get("resourceVersion", ""))

    def watch(
        self,
        kind: str,
        namespace: str = "",
        *,
        resource_version: str,
        seconds: float,
        labels: str = "",
        fields: str = "",
        api_version: str = "",
    ) -> Iterator[tuple[str, Object]]:
        """Changes (ADDED, MODIFIED, DELETED) for about so long.

        Raises `ApiError` with status 410 when the version is too old: list again.
        """
        resource = self.connection.resource(kind, api_version)
        response = self.connection.raw(
            "get",
            _path(resource, None, namespace),
            what=f"watching {kind}",
            watch="true",
            resource_version=resource_version,
            timeout_seconds=max(1, round(seconds)),
            label_selector=labels or None,
            field_selector=fields or None,
            allow_watch_bookmarks="true",
            reading=seconds + 5,
        )
        try:
            for line in lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(
                        f"watching {kind}: {status.get('message')}",
                        status=int(status.get("code", 500)),
                        text=str(status.get("message")),
                    )
                if event["type"] != "BOOKMARK":
                    yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise self.connection.broken(f"watching {kind}", error) from None
        finally:
            response.close()
            response.release_conn()

    def apply(self, document: Mapping[str, Any], *, force: bool, dry_run: bool = False) -> Object:
        """Server-side apply; with `force` fields that others manage become ours."""
        return self._write(
            *("patch", "applying", document),
            content_type="application/apply-patch+yaml",
            force_conflicts="true" if force else "false",
            dry_run="All" if dry_run else None,
        )

    def create(self, document: Mapping[str, Any]) -> Object:
        """Create an object; status 409 when it is there."""
        return self._write("post", "creating", document)

    def replace(self, document: Mapping[str, Any]) -> Object:
        """Replace an object; status 409 when its `resourceVersion` is no longer the newest."""
        return self._write("put", "replacing", document)

    def merge(self, kind: str, name: str, namespace: str, patch: Mapping[str, Any]) -> Object:
        """Change some fields of an object (JSON merge patch)."""
        resource = self.connection.resource(kind, "")
        return self.connection.request(
            "patch",
            _path(resource, name, namespace),
            what=f"changing {kind} {name}",
            body=dict(patch),
            content_type="application/merge-patch+json",
            field_manager=FIELD_MANAGER,
        )

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        api_version: str = "",
        grace: int | None = None,
        uid: str = "",
    ) -> bool:
        """Ask for deletion, of a workload its pods first; False when there is no such object.

        With `uid` only that very object is deleted, not one made anew under its name.
        """
        resource = self.connection.resource(kind, api_version)
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        options["propagationPolicy"] = "Foreground" if kind in _OWNERS else "Background"
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self.connection.request(
                "delete",
                _path(resource, name, namespace),
                what=f"deleting {kind} {name}",
                body=options,
            )
        except ApiError as error:
            if error.status == 404 or (uid and error.status == 409 and "UID" in error.text):
                return False
            raise
        return True

    def log(
        self, namespace: str, pod: str, container: str, *, lines: int, previous: bool = False
    ) -> str:
        """The last lines of a container; empty when it has none (yet)."""
        query = [("container", container), ("tailLines", lines)]
        if previous:
            query.append(("previous", "true"))
        try:
            response = self.connection.raw(
                "get",
                f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
                what=f"reading the log of {namespace}/{pod}",
                query_params=query,
            )
        except ApiError as error:
            if error.status in {400, 404}:
                return ""
            raise
        return bytes(response.data).decode("utf-8", errors="replace")

    def permits(
        self, verb: str, kind: str, name: str, namespace: str = "", *, api_version: str = ""
    ) -> bool:
        """Whether we may do this to an object."""
        resource = self.connection.resource(kind, api_version)
        inside = namespace if resource.namespaced else ""
        return self.allowed(verb, resource.group or "", resource.name, inside, name)

    def allowed(
        self, verb: str, group: str, resource: str, namespace: str = "", name: str = ""
    ) -> bool:
        """Whether we may do this (SelfSubjectAccessReview), to all objects or to that one."""
        resource, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": resource}
        narrower = {"subresource": subresource, "namespace": namespace, "name": name}
        attributes |= {key: value for key, value in narrower.items() if value}
        answer = self.connection.request(
            "post",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            what="asking for our rights",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
        return bool(answer.get("status", {}).get("allowed"))

    def knows(self, kind: str, api_version: str = "") -> bool:
        """Whether the server has this kind."""
        try:
            self.connection.resource(kind, api_version)
        except NoSuchKind:
            return False
        return True

    def is_namespaced(self, kind: str, api_version: str = "") -> bool:
        """Whether objects of this kind live in namespaces."""
        return bool(self.connection.resource(kind, api_version).namespaced)

    def _write(
        self, method: str, what: str, document: Mapping[str, Any], **parameters: Any
    ) -> Object:
        kind, metadata = str(document["kind"]), document["metadata"]
        name, namespace = str(metadata["name"]), str(metadata.get("namespace") or "default")
        resource = self.connection.resource(kind, str(document["apiVersion"]))
        return self.connection.request(
            method,
            _path(resource, None if method == "post" else name, namespace),
            what=f"{what} {kind} {name}",
            body=dict(document),
            field_manager=FIELD_MANAGER,
            **parameters,
        )


def _path(resource: Resource, name: str | None, namespace: str) -> str:
    inside = namespace or ("default" if name else "")
    path: str = resource.path(name=name, namespace=inside if resource.namespaced else None)
    return path
