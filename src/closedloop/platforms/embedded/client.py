"""The embedded platform as notebooks and the command line see it: a client of its API server."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from closedloop import paths
from closedloop.manifests import Manifest, ManifestError, in_apply_order, load, load_values
from closedloop.platforms import parts
from closedloop.platforms.client import workloads
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.applying import Applier, delete_all
from closedloop.platforms.client.connection import ApiError, Unreachable
from closedloop.platforms.client.own_models import source_of
from closedloop.platforms.client.platform import KubernetesPlatform
from closedloop.platforms.embedded.lifecycle import Lifecycle
from closedloop.platforms.embedded.state import DaemonState
from closedloop.platforms.protocol import Object, PartStatus, PlatformError, Report

_CONNECT = 5.0
_INSTALL = 1800.0  # packages may have to be fetched over a slow line
_NO_PROGRAM = "no program of its own: it works inside the pods of models"


class EmbeddedPlatform(KubernetesPlatform):
    """One machine, real parts; implements `closedloop.platforms.protocol.Platform`.

    The daemon is started by the first `install` or `apply`. With `parent_pid`
    it ends together with that process.
    """

    name = "embedded"

    def __init__(self, *, parent_pid: int | None = None) -> None:
        self._manifests = paths.manifests_folder()
        self._lifecycle = Lifecycle(self._answers, parent_pid)
        self._api: tuple[DaemonState, Api] | None = None

    def start(self, report: Report) -> None:
        """Do nothing: the first installation or apply starts the daemon."""

    def install(self, part: str) -> list[PartStatus]:
        elasticsearch = os.environ.get("CLOSEDLOOP_ELASTICSEARCH_URL", "").rstrip("/")
        body = {"part": part, "elasticsearch_url": elasticsearch}
        self._started()
        self._ask("post", "install", body=body, reading=_INSTALL)
        about = parts.demand(part)
        own = {one.path for one in about.workloads}
        return [row for row in self.status() if row.part in own] or [self._row(part)]

    def build(self, folder: Path, *, registry: str = "") -> str:  # noqa: ARG002  # for a cluster
        source = source_of(folder, self._manifests.parent, paths.parts_folder() / "locks")
        body = {"folder": str(folder.absolute()), "image": source.image, "lock": source.lock}
        self._started()
        self._ask("post", "build", body=body, reading=_INSTALL)
        return source.image

    def apply(self, *manifests: str | Path | Object) -> list[str]:
        loaded = self._load(manifests)
        applier = Applier(self._started())
        if len(loaded) > 1:  # all or nothing, and every fault at once
            applier.check(loaded)
        return applier.apply(loaded)

    def delete(self, *manifests: str | Path | Object) -> list[str]:
        loaded = [*reversed(self._load(manifests))]  # users before the things they use
        api = self._server()
        if api is None:
            return [f"{one.kind}/{one.name} absent" for one in loaded]
        return delete_all(api, loaded)

    def url(self, service: str, port: str | int | None = None) -> str:
        self._demand()
        query = [("service", service)] + ([] if port is None else [("port", str(port))])
        return str(self._ask("get", "url", query_params=query))

    def logs(self, part: str, lines: int = 100) -> str:
        try:
            return super().logs(part, lines)
        except workloads.NothingRuns:
            known = {one.path for one in parts.named(part)}
            for row in self._elsewhere():
                if row.part in known:
                    return f"{row.part} is {row.note}: it logs there\n"
            if part not in parts.PARTS:
                raise
            return f"{part} has {_NO_PROGRAM}, whose logs are theirs\n"

    def status(self) -> list[PartStatus]:
        return [*super().status(), *self._elsewhere()]

    def dump(self) -> Iterator[tuple[str, bytes]]:
        yield from super().dump()
        log = self._lifecycle.folder / "daemon.log"
        if log.is_file():
            yield "logs/daemon.log", log.read_bytes()

    def down(self) -> None:
        self._lifecycle.end(self._tell)
        self._api = None

    def _tell(self) -> None:
        """Ask the daemon to end, and keep no connection that it would wait for."""
        assert self._api is not None  # it answered
        self._ask("post", "down")
        self._api[1].connection.close()

    @property
    def _none(self) -> str:
        return "no platform runs here: start one with `closedloop up`"

    def _server(self) -> Api | None:
        daemon = self._lifecycle.there()
        return None if daemon is None else self._of(daemon)

    def _started(self) -> Api:
        return self._of(self._lifecycle.start())

    def _of(self, daemon: DaemonState) -> Api:
        if self._api is None or self._api[0] != daemon:
            server = Api(Path(daemon.kubeconfig), has_ended=self._lifecycle.has_ended)
            self._api = daemon, server
        return self._api[1]

    def _answers(self, daemon: DaemonState) -> bool:
        try:
            self._of(daemon).connection.raw(
                "get", "/closedloop/ping", what="looking for the platform", reading=_CONNECT
            )
        except PlatformError:
            return False
        return True

    def _ask(self, method: str, verb: str, **parameters: Any) -> Any:
        """The answer to one of the platform's own verbs. Raises `PlatformError`."""
        assert self._api is not None  # asked of a daemon that was found
        connection = self._api[1].connection
        try:
            answer = connection.raw(method, f"/closedloop/{verb}", what=verb, **parameters)
        except ApiError as error:
            raise PlatformError(error.text) from None
        except Unreachable:
            raise PlatformError(
                f"the platform did not finish {verb}: see {self._lifecycle.folder / 'daemon.log'}"
            ) from None
        return json.loads(answer.data)

    def _load(self, manifests: tuple[str | Path | Object, ...]) -> list[Manifest]:
        try:
            return in_apply_order(load(self._manifests, *manifests))
        except ManifestError as error:
            raise PlatformError(str(error)) from None

    def _workloads(self, api: Api) -> Iterable[dict[str, Any]]:
        """All that there are, those of parts first."""
        order = {name: place for place, name in enumerate(self._namespaces())}
        found = workloads.everything(api, [""])
        return sorted(found, key=lambda one: order.get(one["metadata"]["namespace"], len(order)))

    def _dumped(self, api: Api) -> list[str]:  # noqa: ARG002
        return [""]

    def _urls(self, found: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        services = self._demand().list("Service")[0]
        urls = {}
        for each in found:
            own = each["metadata"]
            path = f"{own['namespace']}/{own['name']}"
            if service := _in_front(each, services):
                query = [("service", service)]
                urls[path] = str(self._ask("get", "url", query_params=query))
        return urls

    def _elsewhere(self) -> Iterator[PartStatus]:
        """Services whose program is not ours, such as your own Elasticsearch."""
        api = self._server()
        for each in api.list("Service")[0] if api else ():
            own = each["metadata"]
            note = (own.get("annotations") or {}).get(workloads.NOTE)
            if note and each["spec"].get("type") == "ExternalName":
                version = (own.get("labels") or {}).get("app.kubernetes.io/version", "")
                path = f"{own['namespace']}/{own['name']}"
                url = each["spec"]["externalName"]
                yield PartStatus(path, version, "ready", url, note=note)

    def _row(self, part: str) -> PartStatus:
        """Of a part without a workload."""
        pinned = load_values(self._manifests / "versions.yaml")[part]
        assert isinstance(pinned, Mapping)
        return PartStatus(part, str(pinned["embedded"]["version"]), "ready", note=_NO_PROGRAM)


def _in_front(workload: Mapping[str, Any], services: Iterable[Mapping[str, Any]]) -> str:
    """The Service `namespace/name` that leads to a workload's pods; empty without one."""
    own = workload["metadata"]
    part = parts.WORKLOADS.get(f"{own['namespace']}/{own['name']}")
    if part is not None:
        return f"{part.namespace}/{part.service}" if part.service else ""
    for each in services:
        at = each["metadata"]
        chosen = {"matchLabels": each["spec"].get("selector") or {}}
        if at["namespace"] == own["namespace"] and workloads.selects(
            chosen, workload["spec"]["template"]
        ):
            return f"{at['namespace']}/{at['name']}"
    return ""
