"""Services that parts and SeldonDeployments bring, and the endpoints of every Service."""

from collections.abc import Iterable, Mapping, Sequence

from closedloop.platforms.client.workloads import NOTE
from closedloop.platforms.embedded.desired import Route, ServicePort
from closedloop.platforms.embedded.server.mirror.pods import owner_reference
from closedloop.platforms.embedded.server.store import Object


def service(ports: Sequence[ServicePort], owner: Object | None) -> Object:
    """The Service that these ports are of."""
    first = ports[0]
    spec = {
        "type": "ClusterIP",
        "selector": dict(first.selector),
        "ports": [
            {"name": one.name, "port": one.port, "targetPort": one.target, "protocol": "TCP"}
            for one in ports
        ],
    }
    owned = {} if owner is None else {"ownerReferences": [owner_reference(owner)]}
    return _service(first.namespace, first.service, spec, **owned)


def external(ports: ServicePort, url: str, version: str, note: str) -> Object:
    """A Service whose program runs elsewhere, at a URL."""
    labels, notes = {"app.kubernetes.io/version": version}, {NOTE: note}
    spec = {"type": "ExternalName", "externalName": url}
    return _service(ports.namespace, ports.service, spec, labels=labels, annotations=notes)


def gateway(port: int, labels: Mapping[str, str]) -> Object:
    """The gateway's Service, which is at a port of this machine."""
    spec = {
        "type": "ClusterIP",
        "selector": dict(labels),
        "ports": [{"name": "http2", "port": 80, "targetPort": port, "protocol": "TCP"}],
    }
    return _service("istio-system", "istio-ingressgateway", spec)


def _service(namespace: str, name: str, spec: Object, **metadata: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def virtual_service(route: Route, owner: Object, gateway_name: str) -> Object:
    """The VirtualService that Seldon's operator makes for a SeldonDeployment."""
    http: Object = {
        "match": [{"uri": {"prefix": route.prefix}}],
        "rewrite": {"uri": route.rewrite},
        "route": [
            {"destination": _destination(host), "weight": weight} for host, weight in route.backends
        ],
    }
    if route.mirror is not None:
        host, share = route.mirror
        http |= {"mirror": _destination(host), "mirrorPercentage": {"value": share}}
    own = owner["metadata"]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {
            "name": f"{own['name']}-http",
            "namespace": own["namespace"],
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {"hosts": ["*"], "gateways": [gateway_name], "http": [http]},
    }


def _destination(host: str) -> Object:
    service, _, port = host.rpartition(":")
    return {"host": f"{service}.svc.cluster.local", "port": {"number": int(port)}}


def endpoint_slice(
    of: Object, ports: Mapping[str, int], pods: Iterable[tuple[Object, bool]]
) -> Object:
    """The EndpointSlice of a Service, with ports of pods by name.

    `pods` come with whether they are in traffic.
    """
    metadata = of["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": f"{metadata['name']}-endpoints",
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
            "ownerReferences": [owner_reference(of)],
        },
        "endpoints": [
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": {
                    "ready": ready,
                    "serving": ready,
                    "terminating": "deletionTimestamp" in pod["metadata"],
                },
                "targetRef": {
                    "kind": "Pod",
                    "namespace": pod["metadata"]["namespace"],
                    "name": pod["metadata"]["name"],
                    "uid": pod["metadata"]["uid"],
                },
            }
            for pod, ready in pods
        ],
        "ports": [{"name": name, "protocol": "TCP", "port": port} for name, port in ports.items()],
    }
