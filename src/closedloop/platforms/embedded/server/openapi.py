"""As much of OpenAPI as kubectl needs: which kinds there are, and that the server checks fields."""

from collections.abc import Iterable

from closedloop.platforms.embedded.kinds.table import Kind
from closedloop.platforms.embedded.server.store import Object

_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]


def index(kinds: Iterable[Kind]) -> Object:
    """`/openapi/v3`: where the document of each group is."""
    paths = {_path(one) for one in kinds}
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=closedloop"}
            for path in sorted(paths)
        }
    }


def document(kinds: Iterable[Kind], path: str) -> Object | None:
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
