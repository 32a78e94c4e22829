"""Carries the install plan out: every step idempotent, every step waited for."""

import copy
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from closedloop.manifests import Manifest, in_apply_order, load, load_values
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import met
from closedloop.platforms.client.connection import NoSuchKind
from closedloop.platforms.client.diagnosis import diagnose
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.cluster.applying import ClusterApplier
from closedloop.platforms.cluster.helm import Helm, newest
from closedloop.platforms.cluster.inventory import Inventory, Made
from closedloop.platforms.cluster.plan import Ready, Step
from closedloop.platforms.cluster.sources import Sources
from closedloop.platforms.cluster.storage import suited
from closedloop.platforms.cluster.versions import Chart
from closedloop.platforms.protocol import PlatformError

_CHART = 600.0  # seconds for the images of a chart to come and its pods to be ready
_WORKLOADS = {"Deployment": "Available", "StatefulSet": "Ready"}
_PROBES = {"livenessProbe", "readinessProbe"}
_DEFINITION = "CustomResourceDefinition"


class _Changes(BaseModel, extra="forbid"):
    """Our changes to a part that ships as manifests: its `values.yaml`."""

    without: tuple[str, ...] = ()
    replicas: Mapping[str, int] = {}
    probes: Mapping[str, int] = {}


Overrides = Callable[[Chart], Mapping[str, Any]]
Progress = Callable[[str], None]


class Installer:
    """Installs steps on one cluster.

    `overrides` gives the values by which a chart takes its images from a
    mirror. `restart` replaces the pods of a Deployment `namespace/name`.
    """

    def __init__(
        self,
        api: Api,
        helm: Helm,
        inventory: Inventory,
        applier: ClusterApplier,
        sources: Sources,
        manifests: Path,
        *,
        overrides: Overrides,
        restart: Callable[[str], None],
        progress: Progress,
    ) -> None:
        self._api, self._helm, self._inventory = api, helm, inventory
        self._applier, self._sources, self._manifests = applier, sources, manifests
        self._overrides, self._restart, self._progress = overrides, restart, progress

    def install(self, step: Step) -> str:
        """Do a step and wait until it is ready; returns its change. Raises `PlatformError`."""
        self._progress(f"{step.part}: {step.name} {step.version}")
        ready = list(step.ready)
        if step.chart is not None:
            happened = self._release(step.chart)
            if happened == "upgraded" and step.restart:
                self._restart(step.restart)
        elif step.url:
            happened = self._upstream(step)
        else:
            manifests = self._objects(step)
            happened = _summary(self._applier.apply(manifests))
            ready += _of(manifests)
        self._await(ready)
        return happened

    def _upstream(self, step: Step) -> str:
        """Of hundreds of objects it is enough that all are there, if none changed.

        The digest is noted when all was ready, so that of what is unchanged only
        workloads have to be looked at: a definition stays established.
        """
        manifests = self._objects(step)
        digest = self._applier.digest(manifests)
        if self._inventory.applied(step.name) == digest and self._applier.has(manifests):
            self._await([one for one in _of(manifests) if one.kind in _WORKLOADS])
            return f"{len(manifests)} unchanged"
        happened = _summary(self._applier.apply(manifests, upstream=True))
        self._await(_of(manifests))
        self._inventory.note(step.name, digest)
        return happened

    def _objects(self, step: Step) -> list[Manifest]:
        if not step.url:
            return suited(self._api, in_apply_order(load(self._manifests, *step.manifests)))
        loaded = load(self._manifests, self._sources.file(step.url))
        file = self._manifests / step.part / "values.yaml"
        changes = _Changes.model_validate(load_values(file)) if file.is_file() else _Changes()
        wanted = [one for one in _merged(loaded) if one.kind not in changes.without]
        return [_patient(_scaled(one, changes.replicas), changes.probes) for one in wanted]

    def _release(self, chart: Chart) -> str:
        made = Made(chart.release, chart.namespace)
        values = [self._manifests / file for file in chart.values]
        overrides = self._overrides(chart)
        there = newest(self._api, self._helm, chart.release, chart.namespace)
        if there is not None and made not in self._inventory.made():
            return f"left alone, the release {chart.release} is not ours"
        wanted = _joined([*(load_values(file) for file in values), overrides])
        current = there is not None and (there.chart, there.version) == (chart.chart, chart.version)
        if there is not None and current and there.status == "deployed" and there.values == wanted:
            return "unchanged"
        archive = self._sources.chart(chart)
        self._inventory.add([*self._definitions(archive), made])
        if there is not None and there.status in {"pending-install", "uninstalling"}:
            # An earlier run was interrupted here, and helm refuses to go on from it.
            self._helm.uninstall(chart.release, chart.namespace)
        elif there is not None and there.status.startswith("pending-"):
            self._helm.rollback(chart.release, chart.namespace)
        try:
            self._applier.persist_helm(
                lambda: self._helm.install(chart, archive, values, overrides, timeout=_CHART)
            )
        except PlatformError as error:
            raise PlatformError(f"{error}\n{self._why(chart)}") from None
        return "installed" if there is None else "upgraded"

    def _definitions(self, archive: Path) -> list[Made]:
        """The CRDs that come with a chart and are not there yet: helm would leave them behind."""
        names = self._helm.definitions(archive)
        ours = set(self._inventory.made())
        found = [Made(name, "", _DEFINITION, "apiextensions.k8s.io/v1") for name in names]
        return [one for one in found if one in ours or self._api.get(_DEFINITION, one.name) is None]

    def _why(self, chart: Chart) -> str:
        workloads = [
            (kind, each["metadata"]["name"])
            for kind in _WORKLOADS
            for each in self._api.list(kind, chart.namespace)[0]
            if (each["metadata"].get("annotations") or {}).get("meta.helm.sh/release-name")
            == chart.release
        ]
        return "\n".join(
            f"{kind} {chart.namespace}/{name}\n{diagnose(self._api, kind, name, chart.namespace)}"
            for kind, name in workloads
        )

    def _await(self, ready: Sequence[Ready]) -> None:
        """Wait for all, one after the other; one request tells those that are ready already."""
        places = Counter((one.kind, one.namespace) for one in ready if one.kind in _WORKLOADS)
        there = {
            (kind, namespace, each["metadata"]["name"]): each
            for (kind, namespace), count in places.items()
            if count > 1
            for each in self._api.list(kind, namespace)[0]
        }
        for one in ready:
            found = there.get((one.kind, one.namespace, one.name))
            if found is None or not met(found, one.condition):
                self._await_one(one)

    def _await_one(self, ready: Ready) -> None:
        try:
            wait(
                self._api,
                ready.kind,
                ready.name,
                ready.namespace,
                condition=ready.condition,
                timeout=ready.timeout,
            )
        except NoSuchKind as error:
            raise PlatformError(f"{error}, or its chart brought none") from None


def to_stderr(line: str, share: float | None = None) -> None:  # noqa: ARG001  # a `Report`
    """Print progress as a line on standard error, unless nobody reads it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"  {line}\n")
        sys.stderr.flush()


def _of(manifests: Sequence[Manifest]) -> list[Ready]:
    """Apply definitions first: the objects after them may need them."""
    definitions = [
        Ready(one.kind, one.name, "", "Established", timeout=60.0)
        for one in manifests
        if one.kind == _DEFINITION
    ]
    return definitions + [
        Ready(one.kind, one.name, one.namespace, _WORKLOADS[one.kind])
        for one in manifests
        if one.kind in _WORKLOADS
    ]


def _merged(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Upstream's objects, the last of those named twice, as for kubectl.

    Their namespaces are ours already: applied from two descriptions in turn,
    each would take the other's labels away.
    """
    last = {
        f"{one.document['apiVersion']} {one.key}": one
        for one in manifests
        if one.kind != "Namespace"
    }
    return in_apply_order(list(last.values()))


def _scaled(manifest: Manifest, replicas: Mapping[str, int]) -> Manifest:
    wanted = replicas.get(f"{manifest.kind}/{manifest.name}")
    if wanted is None:
        return manifest
    document: dict[str, Any] = dict(manifest.document)
    document["spec"] = {**document["spec"], "replicas": wanted}
    return Manifest(manifest.source, document)


def _patient(manifest: Manifest, probes: Mapping[str, int]) -> Manifest:
    """With these settings in every probe of a workload."""
    if manifest.kind not in _WORKLOADS or not probes:
        return manifest
    document: dict[str, Any] = copy.deepcopy(dict(manifest.document))
    for container in document["spec"]["template"]["spec"]["containers"]:
        for name in _PROBES & container.keys():
            container[name].update(probes)
    return Manifest(manifest.source, document)


def _joined(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Helm's way of putting values together: mappings are merged, everything else replaced."""
    result: dict[str, Any] = {}
    for each in values:
        for key, value in each.items():
            before = result.get(key)
            if isinstance(before, dict) and isinstance(value, Mapping):
                result[key] = _joined([before, value])
            else:
                result[key] = value
    return result


def _summary(words: Sequence[str]) -> str:
    said = [word.partition(" ")[2] for word in words]
    counts = {word: said.count(word) for word in dict.fromkeys(said)}
    if set(counts) == {"unchanged"}:
        return "unchanged"
    return ", ".join(f"{count} {word}" for word, count in counts.items())
