"""The objects that were applied, and the rules of a cluster that one object alone cannot break."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from closedloop.manifests import Manifest, ManifestError

# Which installation brings a kind to a cluster, where its objects are refused before.
PART_OF_KIND = {
    "Gateway": "istio",
    "PodMonitor": "monitoring",
    "PrometheusRule": "monitoring",
    "SeldonDeployment": "seldon-core",
    "Broker": "knative-eventing",
    "Trigger": "knative-eventing",
}
# Namespaces that installing a part makes.
_NAMESPACES = {
    "istio": ("istio-system",),
    "monitoring": ("monitoring",),
    "seldon-core": ("seldon-system",),
    "knative-eventing": ("knative-eventing",),
    "elasticsearch": ("seldon-logs",),
}

Objects = Mapping[str, Manifest]


def merged(
    objects: Objects, manifests: Sequence[Manifest], installed: AbstractSet[str]
) -> tuple[dict[str, Manifest], list[str]]:
    """The objects with `manifests` applied to them, and what happened to each of these.

    Raises `ManifestError` for objects that a cluster would refuse for the
    part or the namespace that is not there.
    """
    result = dict(objects)
    happened = []
    for manifest in manifests:
        before = result.get(manifest.key)
        if before is None:
            word = "created"
        elif before.document == manifest.document:
            word = "unchanged"
        else:
            word = "configured"
        result[manifest.key] = manifest
        happened.append(f"{manifest.kind}/{manifest.name} {word}")
    faults = [*_without_part(manifests, installed), *_homeless(manifests, result, installed)]
    if faults:
        raise ManifestError(faults)
    return result, happened


def without(objects: Objects, keys: Iterable[str]) -> dict[str, Manifest]:
    """The objects without these; a Namespace takes all that is in it with it."""
    gone = set(keys)
    emptied = {key.removeprefix("Namespace/") for key in gone if key.startswith("Namespace/")}
    return {
        key: one for key, one in objects.items() if key not in gone and one.namespace not in emptied
    }


def _without_part(manifests: Iterable[Manifest], installed: AbstractSet[str]) -> list[str]:
    return [
        f"{one.source}: {one.title}: the kind {one.kind} comes with {part}: install {part} first"
        for one in manifests
        if (part := PART_OF_KIND.get(one.kind)) and part not in installed
    ]


def _homeless(
    manifests: Iterable[Manifest], objects: Objects, installed: AbstractSet[str]
) -> list[str]:
    there = {"", "default"}
    there |= {one.name for one in objects.values() if one.kind == "Namespace"}
    there |= {name for part in installed for name in _NAMESPACES[part]}
    return [
        f"{one.source}: {one.title}: there is no namespace {one.namespace}: apply namespaces first"
        for one in manifests
        if one.namespace not in there
    ]
