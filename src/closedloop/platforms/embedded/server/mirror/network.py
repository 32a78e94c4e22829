"""Services that parts and SeldonDeployments bring, and the endpoints of every Service."""

from collections.abc import Iterable, Mapping, Sequence

from closedloop.platforms.embedded.desired import ServicePort
from closedloop.platforms.embedded.server.store import Object


def service(ports: Sequence[ServicePort], owner: Object | None) -> Object:
    """The Service that these ports are of."""
    first = ports[0]
    metadata: Object = {"name": first.service, "namespace": first.namespace}
    if owner is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": dict(first.selector),
            "ports": [
                {"name": one.name, "port": one.port, "targetPort": one.target, "protocol": "TCP"}
                for one in ports
            ],
        },
        "status": {"loadBalancer": {}},
    }


def external(ports: ServicePort, host: str, note: str) -> Object:
    """A Service whose program runs elsewhere."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": ports.service,
            "namespace": ports.namespace,
            "annotations": {"closedloop.dev/note": note},
        },
        "spec": {"type": "ExternalName", "externalName": host},
        "status": {"loadBalancer": {}},
    }


def endpoint_slice(
    of: Object, ports: Sequence[ServicePort], pods: Iterable[tuple[Object, bool]]
) -> Object:
    """The EndpointSlice of a Service; `pods` come with whether they are in traffic."""
    metadata = of["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": f"{metadata['name']}-endpoints",
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
            "ownerReferences": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
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
        "ports": [
            {"name": one.name, "protocol": "TCP"}
            | ({"port": one.target} if isinstance(one.target, int) else {"port": one.port})
            for one in ports
        ],
    }


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether labels have all of a selector's."""
    return all(labels.get(name) == value for name, value in selector.items())
