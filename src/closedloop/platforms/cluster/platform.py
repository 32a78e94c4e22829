"""The cluster platform: a kind cluster of our own, or the context of a kubeconfig."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from closedloop import paths
from closedloop.manifests import ManifestError, in_apply_order, load, load_values
from closedloop.platforms import parts
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.dump import file
from closedloop.platforms.client.own_models import source_of
from closedloop.platforms.client.platform import KubernetesPlatform
from closedloop.platforms.cluster import access, own_images, plan
from closedloop.platforms.cluster.applying import ClusterApplier
from closedloop.platforms.cluster.channel import with_channel
from closedloop.platforms.cluster.commands import run
from closedloop.platforms.cluster.forwarding import Forwarder
from closedloop.platforms.cluster.guest import Guest, may_install
from closedloop.platforms.cluster.images import chart_images, chart_values, images
from closedloop.platforms.cluster.installing import Installer, to_stderr
from closedloop.platforms.cluster.inventory import Inventory, is_ours, made_of
from closedloop.platforms.cluster.ports import FOLDER
from closedloop.platforms.cluster.preflight import demand, findings, for_context
from closedloop.platforms.cluster.relaying import Relay
from closedloop.platforms.cluster.removing import remove, remove_everything
from closedloop.platforms.cluster.sources import Sources
from closedloop.platforms.cluster.target import Target
from closedloop.platforms.protocol import Object, PartStatus, PlatformError, Report

_POLICIES = "policies"
_PROGRAMS = (["kind", "version"], ["helm", "version", "--short"], ["docker", "version"])


class ClusterPlatform(KubernetesPlatform):
    """Implements `closedloop.platforms.protocol.Platform` on Kubernetes.

    Without `context` on a kind cluster of its own, made by the first `install`
    or `apply`; with it on the cluster which that context of the kubeconfig
    names, where nothing is changed that it did not make. `registry` is a
    mirror that has every image, `offline` a folder that has every chart,
    manifest and image. With an account that may not install, what an
    administrator installed is used.
    """

    name = "cluster"

    def __init__(
        self, *, context: str = "", registry: str = "", offline: Path | None = None
    ) -> None:
        self._registry, self._offline = registry, offline
        self._manifests = paths.manifests_folder()
        self._target = Target(context, offline, self._manifests)
        self._is_up = False

    def start(self, report: Report) -> None:
        with _told():
            self._up(report)

    def install(self, part: str) -> list[PartStatus]:
        with _told():
            steps = plan.steps(self._target.versions, part)
            self._up()
            if self._guest is not None:
                return self._guest.install(part)
            self._apply_files(f"namespaces/{n}.yaml" for n in parts.demand(part).namespaces)
            values = [file for step in steps if step.chart for file in step.chart.values]
            self._provide_images(
                image
                for file in values
                for image in chart_images(load_values(self._manifests / file))
            )
            rows = [
                PartStatus(
                    step.name,
                    step.version,
                    "ready",
                    note=f"{self._installer.install(step)}; by hand: {step.by_hand}",
                )
                for step in steps
            ]
            self._guard(part)
            self._publish(part)
        return rows

    def build(self, folder: Path, *, registry: str = "") -> str:
        with _told():
            root = self._manifests.parent
            source = source_of(folder, root, paths.parts_folder() / "locks")
            self._up()
            return own_images.provide(source, root, self._target.kind, registry, self._registry)

    def apply(self, *manifests: str | Path | Object) -> list[str]:
        with _told():
            loaded = in_apply_order(load(self._manifests, *manifests))
            self._up()
            if self._guest is not None:
                return self._guest.apply(loaded)
            self._provide_images(image for one in loaded for image in images(one.document))
            return self._applier.apply(with_channel(self._api, loaded))

    def delete(self, *manifests: str | Path | Object) -> list[str]:
        with _told():
            loaded = in_apply_order(load(self._manifests, *manifests))
            if not self._target.exists():
                return [f"{one.kind}/{one.name} absent" for one in reversed(loaded)]
            happened = []
            for one in reversed(loaded):
                made = made_of(self._api, one)
                word = remove(self._api, made)
                if word in {"deleted", "absent"} and self._guest is None:
                    self._inventory.remove([made])
                happened.append(f"{one.kind}/{one.name} {word}")
            return happened

    def url(self, service: str, port: str | int | None = None) -> str:
        self._demand()
        relay = None if self._guest is None else self._relay
        return access.url(self._api, self._forwarder, self._target.published, service, port, relay)

    def down(self) -> None:
        with _told():
            if self._target.kind is not None:
                self._target.kind.delete()
            elif self._guest is not None:
                raise PlatformError(
                    "nothing was removed: the parts are an administrator's to remove, and your"
                    " models stay until you delete them"
                )
            else:
                for reason in remove_everything(
                    self._api, self._target.helm, self._inventory, to_stderr
                ):
                    _warn(reason)
            self._forget()

    def dump(self) -> Iterator[tuple[str, bytes]]:
        yield from super().dump()
        if self._target.exists():
            yield file("helm-releases.yaml", self._target.helm.releases)
        for program in _PROGRAMS:
            yield file(f"versions/{program[0]}.txt", partial(run, program, timeout=20))

    # The clients behind the methods above; each made when first needed.

    @property
    def _api(self) -> Api:
        return self._target.api

    @cached_property
    def _inventory(self) -> Inventory:
        return Inventory(self._api)

    @cached_property
    def _applier(self) -> ClusterApplier:
        return ClusterApplier(self._api, self._inventory, registry=self._registry)

    @cached_property
    def _guest(self) -> Guest | None:
        """Instead of installer and inventory, for an account that may not install."""
        if self._target.kind is not None or may_install(self._api):
            return None
        return Guest(self._api, ClusterApplier(self._api, None, registry=self._registry))

    @cached_property
    def _forwarder(self) -> Forwarder:
        return Forwarder(self._api)

    @cached_property
    def _relay(self) -> Relay:
        return Relay(self._api)

    @cached_property
    def _installer(self) -> Installer:
        return Installer(
            self._api,
            self._target.helm,
            self._inventory,
            self._applier,
            Sources(paths.parts_folder() / "cluster", self._offline),
            self._manifests,
            overrides=lambda chart: chart_values(chart, self._registry),
            restart=self.restart,
            progress=to_stderr,
        )

    def _up(self, report: Report = to_stderr) -> None:
        """A cluster that answers, checked and made if it must be."""
        if self._is_up:
            return
        if self._target.kind is not None:
            self._target.make(self._namespaces(), _warn, report)
        elif self._guest is None and not self._inventory_is_there():
            pinned = self._target.versions.kubernetes
            demand(findings(for_context(lambda: self._api, pinned, self._registry)), _warn)
        self._api.version()
        self._is_up = True

    def _inventory_is_there(self) -> bool:
        """Whether an earlier run passed the checks; why a cluster does not answer, they report."""
        with contextlib.suppress(PlatformError):
            return bool(self._inventory.made())
        return False

    @property
    def _none(self) -> str:
        return "no cluster of ours runs: make one with `closedloop up --platform cluster`"

    def _server(self) -> Api | None:
        return self._api if self._target.exists() else None

    def _urls(self, found: Sequence[Mapping[str, Any]]) -> dict[str, str]:  # noqa: ARG002
        """Those of Services with a port of this machine; for others one is made when asked for."""
        urls = {}
        for service, entry in self._target.published.items():
            workload = parts.behind(service)
            path = workload.path if workload else service
            urls[path] = f"http://127.0.0.1:{entry.host_port}"
        return urls

    def _provide_images(self, named: Iterable[str]) -> None:
        if not self._registry:  # a mirror has them
            self._target.provide(named, to_stderr)

    def _guard(self, part: str) -> None:
        """Apply the policies about callers of others' software, in namespaces that are all ours."""
        for namespace in parts.demand(part).namespaces:
            found = self._api.get("Namespace", namespace)
            loaded = [one for one in load(self._manifests, _POLICIES) if one.namespace == namespace]
            if found is not None and is_ours(found):
                self._applier.apply(in_apply_order(loaded))
            elif loaded:
                _warn(
                    f"the namespace {namespace} is not ours: its pods stay open to all others"
                    f" unless its administrator applies manifests/{_POLICIES} there"
                )

    def _publish(self, part: str) -> None:
        """Give the published Services of a part's namespaces their ports on this machine."""
        if self._target.kind is None:
            return
        namespaces = set(parts.demand(part).namespaces)
        loaded = [one for one in load(self._manifests, FOLDER) if one.namespace in namespaces]
        self._applier.apply(in_apply_order(loaded))

    def _apply_files(self, files: Iterator[str]) -> None:
        self._applier.apply(in_apply_order(load(self._manifests, *files)))

    def _workloads(self, api: Api) -> Iterable[dict[str, Any]]:
        if self._guest is not None:
            return self._guest.workloads(self._namespaces(), _warn)
        if not self._inventory.made():
            return ()
        return super()._workloads(api)

    def _dumped(self, api: Api) -> list[str]:
        # A guest may not ask which namespaces there are.
        return self._namespaces() if self._guest is not None else super()._dumped(api)

    def _forget(self) -> None:
        for name in ("_forwarder", "_relay"):
            if name in self.__dict__:
                self.__dict__[name].close()
        for name in (*("_inventory", "_applier", "_forwarder", "_relay", "_installer", "_guest"),):
            self.__dict__.pop(name, None)
        self._target.forget()
        self._is_up = False


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Faults in files reach the user as the protocol says."""
    try:
        yield
    except ManifestError as error:
        raise PlatformError(str(error)) from None


def _warn(sentence: str) -> None:
    sys.stderr.write(f"warning: {sentence}\n")


def from_environment(
    context: str | None = None, registry: str | None = None, offline: Path | None = None
) -> ClusterPlatform:
    """With defaults from `$CLOSEDLOOP_CONTEXT`, `_REGISTRY` and `_OFFLINE`.

    Notebooks run in processes of their own and know a platform by its name only.
    """
    folder = offline or Path(os.environ.get("CLOSEDLOOP_OFFLINE", ""))
    return ClusterPlatform(
        context=context if context is not None else os.environ.get("CLOSEDLOOP_CONTEXT", ""),
        registry=registry if registry is not None else os.environ.get("CLOSEDLOOP_REGISTRY", ""),
        offline=folder.resolve() if str(folder) != "." else None,
    )
