"""A request read: its path, its query and its body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from closedloop.manifests import Loader
from closedloop.platforms.embedded.server import protobuf
from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.store import Object


@dataclass(frozen=True, slots=True)
class Target:
    """The part of a path after the group and version."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str


def target(path: str) -> Target | None:
    """The resource of a path under `/api` or `/apis`; None for a path that names none."""
    parts = [part for part in path.split("/") if part]
    if len(parts) > 2 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) > 3 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    # /namespaces/NAME alone is a namespace, /namespaces/NAME/status a part of it.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return Target(group, version, namespace, plural, name, subresource)


async def body(request: web.Request) -> Any:
    """The body, which is JSON, YAML or protobuf; None without one. Raises `Refusal`."""
    raw = await request.read()
    if not raw:
        return None
    if request.content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(raw)
    try:
        if "yaml" in request.content_type:
            return yaml.load(raw, Loader=Loader)  # noqa: S506 - a safe loader
        return json.loads(raw)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise Refusal(400, f"the body of the request cannot be read: {error}") from None


def thing(found: Any) -> Object:
    """A body that must be an object. Raises `Refusal`."""
    if not isinstance(found, dict) or not isinstance(found.get("metadata", {}), dict):
        raise Refusal(400, "the body of the request is no object")
    found.setdefault("metadata", {})
    return found


def is_set(query: Mapping[str, str], name: str) -> bool:
    """Whether a query parameter is true."""
    return query.get(name, "").lower() in ("1", "true")


def dry_run(query: Mapping[str, str]) -> bool:
    """Whether nothing is to be kept. Raises `Refusal` for a word that means nothing."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        raise Refusal(400, f"dryRun is {value!r}: only All is supported")
    return value == "All"
