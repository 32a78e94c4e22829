"""Images in manifests: all of them, and from a mirror instead of where they are published."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from closedloop.platforms.cluster.versions import Chart

Object = Mapping[str, Any]

_ISTIO = "registry.istio.io/release/"
_DIGEST = re.compile(r"([\w.-]+(?:/[\w.-]+)+)(?::[\w.-]+)?@sha256:([0-9a-f]{64})")


def images(document: Object) -> Iterator[str]:
    """Every image that containers of this object run, anywhere in it."""
    for key, value in document.items():
        if key in {"containers", "initContainers"} and isinstance(value, list):
            for container in value:
                if isinstance(container, dict) and isinstance(container.get("image"), str):
                    yield container["image"]
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict):
                yield from images(child)


def chart_images(values: Object) -> Iterator[str]:
    """The images that a chart's values name by repository and tag."""
    if isinstance(values.get("repository"), str) and values.get("tag"):
        yield f"{values['repository']}:{values['tag']}"
    for value in values.values():
        if isinstance(value, Mapping):
            yield from chart_images(value)


def mirrored(image: str, registry: str) -> str:
    """The name under which a mirror has an image: its path and tag or digest, without its host.

    `docker.io/library/` is kept out of it, as `docker pull` understands it. Istio's
    are under `istio/`, as on Docker Hub, whichever of its two registries a chart names.
    """
    if not registry:
        return image
    image = image.replace(_ISTIO, "istio/", 1) if image.startswith(_ISTIO) else image
    first, _, rest = image.partition("/")
    has_host = bool(rest) and ("." in first or ":" in first or first == "localhost")
    path = rest if has_host else image
    return f"{registry.rstrip('/')}/{path}"


def tagged(text: str) -> str:
    """Images by digest become images by a tag that is made of the digest, wherever they are named:
    `a/b@sha256:0123…` is `a/b:sha256-0123…`, with the first 32 digits.

    An archive of `docker save` keeps tags and no digests.
    """
    return _DIGEST.sub(lambda match: f"{match[1]}:sha256-{match[2][:32]}", text)


def rewritten(document: Object, registry: str) -> dict[str, Any]:
    """The object with every container's image taken from `registry`; as it is when empty."""
    return {key: _rewrite(key, value, registry) for key, value in document.items()}


def _rewrite(key: str, value: Any, registry: str) -> Any:
    if isinstance(value, dict):
        return rewritten(value, registry)
    if isinstance(value, list):
        inside = key in {"containers", "initContainers"}
        return [
            (_container(each, registry) if inside else rewritten(each, registry))
            if isinstance(each, dict)
            else each
            for each in value
        ]
    return value


def _container(container: dict[str, Any], registry: str) -> dict[str, Any]:
    changed = rewritten(container, registry)
    if isinstance(changed.get("image"), str):
        changed["image"] = mirrored(changed["image"], registry)
    return changed


def chart_values(chart: Chart, registry: str) -> dict[str, Any]:
    """The values by which a chart takes its images from `registry`; empty without one.

    They have there the names that `mirrored` gives them.
    """
    if not registry:
        return {}
    registry = registry.rstrip("/")
    if chart.chart in {"istiod", "gateway"}:
        return {"global": {"hub": f"{registry}/istio"}}
    if chart.chart == "kube-prometheus-stack":
        return {"global": {"imageRegistry": registry}}
    if chart.chart == "seldon-core-operator":
        server = {"protocols": {"seldon": {"image": f"{registry}/seldonio/sklearnserver"}}}
        return {
            "image": {"registry": registry},
            "executor": {"image": {"registry": registry}},
            "storageInitializer": {
                "image": f"{registry}/seldonio/rclone-storage-initializer:{chart.version}"
            },
            "predictor_servers": {"SKLEARN_SERVER": server},
        }
    return {}
