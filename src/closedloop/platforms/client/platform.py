"""The part of a platform that is the same wherever it runs: an API server and its objects."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kubernetes.client import ApiClient

from closedloop.platforms import parts
from closedloop.platforms.client import routes, workloads
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.conditions import is_same
from closedloop.platforms.client.diagnosis import diagnose
from closedloop.platforms.client.dump import dump
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.protocol import PartStatus, PlatformError

# Where the walkthrough's models are.
MODELS = "seldon"


class KubernetesPlatform(ABC):
    """Objects, waiting, logs, restarts, status and dumps over the API server of a platform.

    A platform adds how it is started and removed, how a part is installed, how
    manifests are applied and how a Service is reached.
    """

    @abstractmethod
    def _server(self) -> Api | None:
        """The API server, None while there is none. Raises `PlatformError` if it is silent."""

    @property
    @abstractmethod
    def _none(self) -> str:
        """The sentence of an error where there is no API server."""

    @abstractmethod
    def url(self, service: str, port: str | int | None = None) -> str:
        """As the protocol says."""

    @abstractmethod
    def _urls(self, found: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """The URLs of workloads, by `namespace/name`, for `status`; nothing is made for it."""

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, object]:
        found = self._demand().get(kind, name, namespace)
        if found is None:
            place = "/".join(filter(None, (namespace, name)))
            raise PlatformError(f"there is no {kind} {place}: apply it first")
        return found

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, object]]:
        return self._demand().list(kind, namespace)[0]

    def kubernetes(self) -> ApiClient:
        return ApiClient(self._demand().configuration)

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        condition: str = "Ready",
        timeout: float = 120,
    ) -> dict[str, object]:
        api = self._demand()
        began = time.monotonic()
        found = wait(api, kind, name, namespace, condition=condition, timeout=timeout)
        ready = kind == "SeldonDeployment" and is_same(condition, "Ready")
        if ready and routes.has_route(found):
            routes.await_answer(
                self.url(parts.GATEWAY),
                found,
                timeout=timeout - (time.monotonic() - began),
                diagnose=partial(diagnose, api, kind, name, namespace),
            )
        return found

    def restart(self, part: str, *, kill: bool = False) -> None:
        api = self._demand()
        for each in workloads.find(api, part):
            workloads.restart(api, each, kill=kill)

    def logs(self, part: str, lines: int = 100) -> str:
        api = self._demand()
        return workloads.logs(api, workloads.find(api, part), lines)

    def status(self) -> list[PartStatus]:
        api = self._server()
        if api is None:
            return []
        found = list(self._workloads(api))
        return list(workloads.rows(api, found, self._urls(found)))

    def dump(self) -> Iterator[tuple[str, bytes]]:
        api = self._server()
        return iter(()) if api is None else dump(api, self._dumped(api))

    def _demand(self) -> Api:
        api = self._server()
        if api is None:
            raise PlatformError(self._none)
        return api

    def _namespaces(self) -> list[str]:
        """Those of parts, in the order of installation, and that of the models."""
        named = [name for part in parts.PARTS.values() for name in part.namespaces]
        return list(dict.fromkeys([*named, MODELS]))

    def _workloads(self, api: Api) -> Iterable[dict[str, Any]]:
        return workloads.everything(api, self._namespaces())

    def _dumped(self, api: Api) -> list[str]:
        """The namespaces of a dump, as far as they are there."""
        there = {each["metadata"]["name"] for each in api.list("Namespace")[0]}
        wanted = [*self._namespaces(), "default", "kube-system"]
        return [name for name in dict.fromkeys(wanted) if name in there]
