"""Which lists of an object are maps or sets, by Kubernetes' schema; the rest are one value each."""

from collections.abc import Mapping
from typing import Any

# The names of fields on the way to a list, without the items of lists between.
Names = tuple[str, ...]

_PODS = ("spec", "template", "spec")
# The keys that identify an item: `x-kubernetes-list-map-keys` of Kubernetes' own kinds.
_IN_PODS: Mapping[Names, tuple[str, ...]] = {
    ("containers",): ("name",),
    ("initContainers",): ("name",),
    ("volumes",): ("name",),
    ("imagePullSecrets",): ("name",),
    ("hostAliases",): ("ip",),
    ("topologySpreadConstraints",): ("topologyKey", "whenUnsatisfiable"),
    **{
        (containers, *names): keys
        for containers in ("containers", "initContainers")
        for names, keys in (
            (("env",), ("name",)),
            (("ports",), ("containerPort", "protocol")),
            (("volumeMounts",), ("mountPath",)),
        )
    },
}
_OF_KIND: Mapping[str, Mapping[Names, tuple[str, ...]]] = {
    **{
        kind: {(*_PODS, *names): keys for names, keys in _IN_PODS.items()}
        for kind in ("Deployment", "StatefulSet")
    },
    "Service": {("spec", "ports"): ("port", "protocol")},
    "ServiceAccount": {("secrets",): ("name",), ("imagePullSecrets",): ("name",)},
    # From the definition of the Prometheus operator.
    "PrometheusRule": {("spec", "groups"): ("name",)},
}
_OF_EVERY: Mapping[Names, tuple[str, ...]] = {("metadata", "ownerReferences"): ("uid",)}
_OF_BUILT_IN: Mapping[Names, tuple[str, ...]] = {("status", "conditions"): ("type",)}
_SETS = (("metadata", "finalizers"),)
_DEFAULTS = {"protocol": "TCP"}
# Where a strategic merge patch tells items apart otherwise: `x-kubernetes-patch-merge-key`.
_PATCH_KEYS: Mapping[tuple[str, ...], str] = {
    ("containerPort", "protocol"): "containerPort",
    ("port", "protocol"): "port",
    ("topologyKey", "whenUnsatisfiable"): "topologyKey",
}
# Maps that are one value.
_ATOMIC_MAPS = {"selector": ("Deployment", "StatefulSet", "Service")}


def list_keys(kind: str, names: Names, *, custom: bool) -> tuple[str, ...]:
    """The fields that tell the items of a list apart; empty when it is one value, or a set."""
    known = _OF_KIND.get(kind, {}).get(names) or _OF_EVERY.get(names)
    if known is None and not custom:
        known = _OF_BUILT_IN.get(names)
    return known or ()


def is_set(names: Names) -> bool:
    """Whether a list of plain values is a set."""
    return names in _SETS


def is_atomic(kind: str, names: Names) -> bool:
    """Whether a map is one value."""
    return len(names) == 2 and names[0] == "spec" and kind in _ATOMIC_MAPS.get(names[1], ())


def item_key(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """The keys that identify an item of a list."""
    return tuple((key, item.get(key, _DEFAULTS.get(key))) for key in keys)


def patch_key(kind: str, names: Names, *, custom: bool) -> str:
    """The field by which a strategic merge patch finds an item; empty to replace the list."""
    keys = list_keys(kind, names, custom=custom)
    return _PATCH_KEYS.get(keys, keys[0] if keys else "")
