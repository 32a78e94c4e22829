"""Discovery: the versions, groups and kinds of the server, and their verbs."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from closedloop import __version__
from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.store import Object

# The release of Kubernetes that the pinned parts of the cluster platform run on.
_MAJOR, _MINOR = "1", "35"

_REVIEWS = "authorization.k8s.io", "v1"


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


def aggregated(kinds: Sequence[Kind], *, core: bool) -> Object:
    """`/api` or `/apis` with all that is below, as `APIGroupDiscoveryList`."""
    chosen = [one for one in kinds if bool(one.group) != core]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name, "creationTimestamp": None} if name else {},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": [
                            _discovered(one)
                            for one in chosen
                            if (one.group, one.version) == (name, version)
                        ],
                    }
                ],
            }
            for name, version in _in_order(chosen)
        ],
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


def _discovered(one: Kind) -> Object:
    return {
        "resource": one.plural,
        "responseKind": {"group": one.group, "version": one.version, "kind": one.kind},
        "scope": "Namespaced" if one.namespaced else "Cluster",
        "singularResource": one.singular,
        "verbs": list(one.verbs),
        "shortNames": list(one.short),
        "categories": list(one.categories),
        "subresources": [
            {
                "subresource": name,
                "responseKind": {
                    "group": _kind_of(one, name).get("group", one.group),
                    "version": _kind_of(one, name).get("version", one.version),
                    "kind": _kind_of(one, name)["kind"],
                },
                "verbs": _verbs(one, name),
            }
            for name in one.subresources
        ],
    }


def _kind_of(one: Kind, subresource: str) -> dict[str, str]:
    if subresource == "scale":
        return {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    return {"kind": one.kind}


def _verbs(one: Kind, subresource: str) -> list[str]:
    if subresource == "scale" and "update" in one.verbs:
        return ["get", "patch", "update"]
    return ["get"]
