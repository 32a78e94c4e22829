"""Objects that a cluster has before anybody applies anything: namespaces, the node, definitions."""

from collections.abc import Iterable, Iterator

from closedloop import __version__
from closedloop.platforms.embedded.kinds.table import KINDS, Kind
from closedloop.platforms.embedded.server.mirror.pods import HOST, NODE, condition
from closedloop.platforms.embedded.server.store import Object
from closedloop.platforms.parts import PARTS


def objects(installed: Iterable[str], running: Iterable[str]) -> Iterator[Object]:
    """The objects when these parts are installed and something runs in these namespaces."""
    parts = set(installed)
    yield _node()
    for name in sorted(
        {"default", *running, *(name for part in parts for name in PARTS[part].namespaces)}
    ):
        yield {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "status": {"phase": "Active"},
        }
    yield from (_definition(one) for one in KINDS if one.part in parts)


def _node() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        "spec": {},
        "status": {
            "conditions": [{**condition("Ready", True), "reason": "KubeletReady"}],
            "addresses": [
                {"type": "InternalIP", "address": HOST},
                {"type": "Hostname", "address": NODE},
            ],
            "nodeInfo": {"kubeletVersion": f"closedloop-{__version__}", "operatingSystem": "linux"},
        },
    }


def _definition(kind: Kind) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short),
                "categories": list(kind.categories),
            },
            "versions": [{"name": kind.version, "served": True, "storage": True}],
        },
        "status": {
            "acceptedNames": {"kind": kind.kind, "plural": kind.plural},
            "conditions": [condition("NamesAccepted", True), condition("Established", True)],
        },
    }
