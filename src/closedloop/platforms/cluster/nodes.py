"""A cluster's nodes: ready, with our images, and with pods that run the images of the nodes."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.cluster.images import images
from closedloop.platforms.cluster.kind import Kind, build
from closedloop.platforms.protocol import Report

_READY = 180.0  # seconds for a node of a new cluster


def await_ready(api: Api) -> None:
    """Wait until every node is ready. Raises `PlatformError`."""
    for node in api.list("Node")[0]:
        wait(api, "Node", node["metadata"]["name"], timeout=_READY)


def provide(
    kind: Kind, own: Mapping[str, str], wanted: Collection[str], checkout: Path, report: Report
) -> set[str]:
    """Build those of the images wanted that are our `own`, by their folder under docker/, and put
    them onto the node of a kind cluster; returns their names. Raises `PlatformError`."""
    ours = {folder: image for folder, image in own.items() if image in wanted}
    for folder, image in ours.items():
        report(f"docker build {image}")
        build(image, checkout / "docker" / folder / "Dockerfile", checkout)
        kind.load(image)
    return set(ours.values())


def replace_pods(api: Api, namespaces: Iterable[str], changed: Collection[str]) -> None:
    """Delete the pods of these images, of which a node has another content now: those that their
    workloads make instead run it."""
    for namespace in namespaces if changed else ():
        for pod in api.list("Pod", namespace)[0]:
            if set(changed) & set(images(pod)):
                api.delete("Pod", pod["metadata"]["name"], namespace)
