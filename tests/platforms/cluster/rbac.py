"""Kubernetes' rules for who may do what, as far as the roles of this repository use them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from closedloop.manifests import load
from closedloop.paths import manifests_folder

Role = Mapping[str, Any]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Asked:
    """A request; `resource` with its subresource, such as `pods/log`."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


def roles() -> list[Role]:
    """The Roles of manifests/access."""
    found = load(manifests_folder(), "access")
    return [one.document for one in found if one.kind == "Role"]


def permits(given: Iterable[Role], asked: Asked) -> bool:
    """Whether one of these roles lets its subject do this."""
    return any(
        role["metadata"]["namespace"] == asked.namespace
        and asked.verb in rule["verbs"]
        and asked.group in rule["apiGroups"]
        and asked.resource in rule["resources"]
        and (not rule.get("resourceNames") or asked.name in rule["resourceNames"])
        for role in given
        for rule in role["rules"]
    )


def asked_by(method: str, path: str, query: Mapping[str, str]) -> Asked | None:
    """What a request asks for; None for what everybody may: discovery, reviews of their rights."""
    parts = path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1] if len(parts) > 2 else ""
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if not rest or group == "authorization.k8s.io":
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (*rest, "", "")[:3]
    if method in {"GET", "HEAD"}:
        verb = "get" if name else "watch" if query.get("watch") else "list"
        # A list of the one object of a name is given to whoever may list that object.
        name = name or query.get("fieldSelector", "").removeprefix("metadata.name=")
    else:
        verb = _VERBS[method]
    return Asked(verb, group, "/".join(filter(None, (resource, subresource))), namespace, name)


def reviewed(attributes: Mapping[str, str]) -> Asked:
    """What a SelfSubjectAccessReview is about."""
    resource = "/".join(filter(None, (attributes["resource"], attributes.get("subresource", ""))))
    return Asked(
        attributes["verb"],
        attributes.get("group", ""),
        resource,
        attributes.get("namespace", ""),
        attributes.get("name", ""),
    )
