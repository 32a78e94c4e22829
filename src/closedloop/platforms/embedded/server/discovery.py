"""Discovery: the versions, groups and kinds of the server, their verbs, and OpenAPI of them.

Of OpenAPI there is as much as kubectl needs: which kinds there are, and that the server
checks fields.
"""

from collections.abc import Iterable
from itertools import groupby

from closedloop import __version__
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.store import Object

# The release of Kubernetes that the pinned parts of the cluster platform run on.
_MAJOR, _MINOR = "1", "35"

_REVIEWS = "authorization.k8s.io", "v1"
_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]


def version() -> Object:
    return {
        "major": _MAJOR,
        "minor": _MINOR,
        "gitVersion": f"v{_MAJOR}.{_MINOR}.0+closedloop.{__version__}",
        "gitTreeState": "clean",
        "platform": "linux",
    }


def core_versions(address: str) -> Object:
    """`/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(kinds: Iterable[Kind]) -> Object:
    """`/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, version) for name, version in _versions(kinds)],
    }


def group(kinds: Iterable[Kind], name: str) -> Object | None:
    """`/apis/GROUP`."""
    for known, version in _versions(kinds):
        if known == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(known, version)}
    return None


def resources(kinds: Iterable[Kind], name: str, version: str) -> Object | None:
    """`/api/v1` and `/apis/GROUP/VERSION`."""
    inside = [one for one in kinds if (one.group, one.version) == (name, version)]
    listed = [entry for one in inside for entry in _entries(one)]
    if (name, version) == _REVIEWS:
        listed.append(
            {
                "name": "selfsubjectaccessreviews",
                "singularName": "selfsubjectaccessreview",
                "namespaced": False,
                "kind": "SelfSubjectAccessReview",
                "verbs": ["create"],
            }
        )
    if not listed:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{name}/{version}" if name else version,
        "resources": listed,
    }


def _versions(kinds: Iterable[Kind]) -> list[tuple[str, str]]:
    return [one for one in [*_in_order(kinds), _REVIEWS] if one[0]]


def _in_order(kinds: Iterable[Kind]) -> list[tuple[str, str]]:
    return [key for key, _ in groupby(kinds, key=lambda one: (one.group, one.version))]


def _group(name: str, version: str) -> Object:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _entries(one: Kind) -> list[Object]:
    entry: Object = {
        "name": one.plural,
        "singularName": one.singular,
        "namespaced": one.namespaced,
        "kind": one.kind,
        "verbs": list(one.verbs),
    }
    if one.short:
        entry["shortNames"] = list(one.short)
    if one.categories:
        entry["categories"] = list(one.categories)
    return [
        entry,
        *(
            {
                "name": f"{one.plural}/{name}",
                "singularName": "",
                "namespaced": one.namespaced,
                "verbs": _verbs(one, name),
                **_kind_of(one, name),
            }
            for name in one.subresources
        ),
    ]


def _kind_of(one: Kind, subresource: str) -> dict[str, str]:
    if subresource == "scale":
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    return {"kind": one.kind}


def _verbs(one: Kind, subresource: str) -> list[str]:
    if subresource == "scale" and "update" in one.verbs:
        return ["get", "patch", "update"]
    return ["get"]


def openapi_index(kinds: Iterable[Kind]) -> Object:
    """`/openapi/v3`: where the document of each group is."""
    paths = {_path(one) for one in kinds}
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=closedloop"}
            for path in sorted(paths)
        }
    }


def openapi_document(kinds: Iterable[Kind], path: str) -> Object | None:
    """`/openapi/v3/PATH`: the kinds of one group and version."""
    inside = [one for one in kinds if _path(one) == path]
    if not inside:
        return None
    return {
        "openapi": "3.0.0",
        "info": {"title": "closedloop", "version": "v1"},
        "paths": {_url(one): _operations(one) for one in inside},
        "components": {
            "schemas": {
                f"{one.group or 'core'}.{one.version}.{one.kind}": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "x-kubernetes-group-version-kind": [_gvk(one)],
                }
                for one in inside
            }
        },
    }


def _operations(one: Kind) -> Object:
    operation = {"parameters": _PARAMETERS, "x-kubernetes-group-version-kind": _gvk(one)}
    known = {"get": "get", "update": "put", "patch": "patch", "delete": "delete"}
    return {
        method: {
            **operation,
            "x-kubernetes-action": verb,
            "responses": {"200": {"description": "OK"}},
        }
        for verb, method in known.items()
        if verb in one.verbs
    }


def _path(one: Kind) -> str:
    return f"apis/{one.group}/{one.version}" if one.group else f"api/{one.version}"


def _url(one: Kind) -> str:
    inside = "/namespaces/{namespace}" if one.namespaced else ""
    return f"/{_path(one)}{inside}/{one.plural}/{{name}}"


def _gvk(one: Kind) -> Object:
    return {"group": one.group, "version": one.version, "kind": one.kind}
