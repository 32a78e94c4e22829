"""Envoy's configuration, as files that it watches.

Envoy starts with `bootstrap`; `render` gives the content of the three
files it watches. Envoy notices a file only when it is replaced by renaming
another over it. A route to a cluster that Envoy does not know yet answers 503,
so a change is written in the steps that `transition` gives.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from closedloop.platforms.embedded.desired import Route
from closedloop.platforms.embedded.envoy.resources import (
    EXECUTOR_IDLE,
    OTHER_IDLE,
    Address,
    cluster,
    elasticsearch_listener,
    gateway_listener,
    route_configuration,
    tcp_listener,
)

CLUSTERS, LISTENERS, ROUTES = "cds.json", "lds.json", "rds.json"

Files = dict[str, dict[str, object]]

_TYPES = {
    CLUSTERS: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    LISTENERS: "type.googleapis.com/envoy.config.listener.v3.Listener",
    ROUTES: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
}


def bootstrap(directory: Path, *, admin: Address | None = None) -> dict[str, object]:
    """Envoy's first configuration: the watched files are in `directory`, an absolute path.

    Without `admin` there is no admin interface; with it, it has no password.
    """
    result: dict[str, object] = {
        "node": {"id": "closedloop", "cluster": "closedloop"},
        "dynamic_resources": {
            "cds_config": watched(directory, CLUSTERS),
            "lds_config": watched(directory, LISTENERS),
        },
    }
    if admin is not None:
        host, port = admin
        socket = {"socket_address": {"address": host, "port_value": port}}
        result["admin"] = {"address": socket}
    return result


def watched(directory: Path, name: str) -> dict[str, object]:
    """A configuration source: a file that is read again when another is renamed over it."""
    return {
        "resource_api_version": "V3",
        "path_config_source": {
            "path": str(directory / name),
            "watched_directory": {"path": str(directory)},
        },
    }


def render(
    directory: Path,
    routes: Iterable[Route],
    *,
    gateway: Address,
    listen: Mapping[str, Address],
    endpoints: Mapping[str, Sequence[Address]],
    elasticsearch: Collection[str] = (),
) -> Files:
    """The content of the watched files by name.

    `gateway` is where the gateway listens. `listen` says where each service
    host, `<service>.<namespace>:<port>`, can be reached, and `endpoints` which
    addresses answer for it: none means that calls fail until there is one.
    Hosts in `elasticsearch` get their content type rewritten on the way
    (see `resources.elasticsearch_listener`).
    """
    routes = list(routes)
    hosts = {host for route in routes for host in route.hosts} | set(listen)
    idle = dict.fromkeys(elasticsearch, OTHER_IDLE)
    service_listeners = (
        (elasticsearch_listener if host in elasticsearch else tcp_listener)(host, listen[host])
        for host in sorted(listen)
    )
    return {
        CLUSTERS: _file(
            CLUSTERS,
            (
                cluster(host, endpoints.get(host, ()), idle=idle.get(host, EXECUTOR_IDLE))
                for host in sorted(hosts)
            ),
        ),
        LISTENERS: _file(
            LISTENERS,
            (gateway_listener(gateway, watched(directory, ROUTES)), *service_listeners),
        ),
        ROUTES: _file(ROUTES, (route_configuration(routes),)),
    }


def transition(
    old: Mapping[str, dict[str, object]], new: Files, again: Collection[str] = ()
) -> list[Files]:
    """The steps from one set of files to the next, each to be in effect before the following.

    First come new clusters beside those still in use, then listeners and routes,
    and at last clusters that nothing names any more go. Envoy takes a step about
    10 ms after the file was replaced, and says so only in the statistics of its
    admin interface: wait for those, or 100 ms.
    A step with nothing to write is left out; files named in `again` are written
    even where they do not differ.
    """
    if not old:
        return [new]
    before, after = _resources(old[CLUSTERS]), _resources(new[CLUSTERS])
    leaving = [one for name, one in before.items() if name not in after]
    steps = [
        {CLUSTERS: _file(CLUSTERS, (*after.values(), *leaving))},
        {LISTENERS: new[LISTENERS], ROUTES: new[ROUTES]},
        {CLUSTERS: new[CLUSTERS]},
    ]
    current = dict(old)
    pending = set(again)
    result = []
    for step in steps:
        changed = {
            name: content
            for name, content in step.items()
            if name in pending or current[name] != content
        }
        current |= changed
        pending -= changed.keys()
        if changed:
            result.append(changed)
    return result


def _file(name: str, resources: Iterable[Mapping[str, object]]) -> dict[str, object]:
    return {"resources": [{"@type": _TYPES[name], **resource} for resource in resources]}


def _resources(content: Mapping[str, object]) -> dict[str, dict[str, object]]:
    resources = content["resources"]
    assert isinstance(resources, list)
    return {
        resource["name"]: {key: value for key, value in resource.items() if key != "@type"}
        for resource in resources
    }
