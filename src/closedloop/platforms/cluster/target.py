"""The cluster that a platform is on: a kind cluster of our own, or that of a context."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from closedloop import paths
from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster.helm import Helm
from closedloop.platforms.cluster.kind import NAME, Kind, await_nodes, provide, replace_pods
from closedloop.platforms.cluster.mirror import IMAGES, NODE
from closedloop.platforms.cluster.ports import CONFIG, Published, published
from closedloop.platforms.cluster.preflight import Warn, demand, findings, for_kind
from closedloop.platforms.cluster.versions import Versions, read
from closedloop.platforms.protocol import Report


class Target:
    """Of `context`, or our own without one; `offline` is a folder that has everything.

    The clients behind the methods are made when first needed. They raise `PlatformError`.
    """

    def __init__(self, context: str, offline: Path | None, manifests: Path) -> None:
        self._context, self._offline, self._manifests = context, offline, manifests
        self._there = False
        self._ready_images: set[str] = set()

    @cached_property
    def versions(self) -> Versions:
        return read(self._manifests)

    @cached_property
    def kind(self) -> Kind | None:
        if self._context:
            return None
        node = self.versions.kubernetes.node
        return Kind(paths.home() / "cluster", self._manifests / CONFIG, node)

    @cached_property
    def api(self) -> Api:
        if self.kind is not None:
            return Api(self.kind.kubeconfig, f"kind-{NAME}")
        return Api(context=self._context)

    @cached_property
    def helm(self) -> Helm:
        if self.kind is not None:
            return Helm(self.kind.kubeconfig, f"kind-{NAME}")
        return Helm(context=self._context)

    @cached_property
    def published(self) -> dict[str, Published]:
        """The Services with a port of this machine."""
        return {} if self.kind is None else published(self._manifests)

    def exists(self) -> bool:
        """Whether there is a cluster to ask; that of a context is taken to be there."""
        if self.kind is not None and not self._there:
            self._there = self.kind.is_current() and self.kind.exists()
        return self.kind is None or self._there

    def make(self, namespaces: Iterable[str], warn: Warn, report: Report) -> None:
        """A kind cluster of our own, checked and made if it must be, with the images offline."""
        kind = self.kind
        assert kind is not None  # that of a context is not ours to make
        node = self._offline / NODE if self._offline else None
        if not self.exists():
            ports = {service: entry.host_port for service, entry in self.published.items()}
            checks = for_kind(kind, self.versions.kubernetes, ports, self._manifests)
            demand(findings(checks), warn)
            report(f"kind cluster, by hand: {kind.by_hand(node)}")
        kind.create(lambda: await_nodes(self.api), node)
        if self._offline:
            archives = sorted((self._offline / IMAGES).glob("*.tar"))
            changed = kind.load_archives(archives, report)
            replace_pods(self.api, namespaces, changed)

    def provide(self, images: Iterable[str], report: Report) -> None:
        """Those of the images named that are our own, onto the node of a kind cluster of ours."""
        if self.kind is None or self._offline:
            return  # a registry has them, or they came with all others
        wanted = set(images) - self._ready_images
        self._ready_images |= provide(
            self.kind, self.versions.images, wanted, self._manifests.parent, report
        )

    def forget(self) -> None:
        """Look anew at everything: the cluster is gone."""
        for name in ("api", "helm"):
            self.__dict__.pop(name, None)
        self._there = False
        self._ready_images.clear()
