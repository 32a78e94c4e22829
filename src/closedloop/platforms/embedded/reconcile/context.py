"""The objects for every step of reconciling, and the list of missing things."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from closedloop.platforms.embedded.desired import Files
from closedloop.platforms.embedded.kinds.base import Manifested
from closedloop.platforms.embedded.kinds.core import ConfigMap, Secret, Service
from closedloop.platforms.embedded.kinds.eventing import Broker
from closedloop.platforms.embedded.reconcile.read import of_kind
from closedloop.platforms.embedded.reconcile.runtime import Runtime
from closedloop.platforms.embedded.reconcile.urls import UrlOf
from closedloop.platforms.embedded.reconcile.variables import Texts
from closedloop.validation import Path


@dataclass(slots=True)
class Context:
    """The objects, and the two kinds of bad news.

    `faults` are sentences about things that this machine can never run: they fail the
    whole. `problems`, by object, are references to objects that are not there yet.
    `folders` collects the files of the volumes.
    """

    objects: list[Manifested]
    runtime: Runtime
    url_of: UrlOf
    faults: list[str] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, Files] = field(default_factory=dict)
    # By `namespace/name`.
    brokers: Mapping[str, Broker] = field(init=False)
    services: Mapping[str, Service] = field(init=False)
    _texts: dict[str, dict[tuple[str, str], Mapping[str, str]]] = field(init=False)
    _config_maps: Mapping[str, ConfigMap] = field(init=False)

    def __post_init__(self) -> None:
        self.brokers = {one.path: one for one in of_kind(self.objects, Broker)}
        self.services = {one.path: one for one in of_kind(self.objects, Service)}
        self._config_maps = {one.path: one for one in of_kind(self.objects, ConfigMap)}
        self._texts = {}
        for one in self.objects:
            if isinstance(one, (ConfigMap, Secret)):
                of_namespace = self._texts.setdefault(one.namespace, {})
                of_namespace[one.kind, one.name] = one.values()

    def texts(self, namespace: str) -> Texts:
        """The ConfigMaps and Secrets of a namespace."""
        return self._texts.get(namespace, {})

    def files(self, namespace: str, config_map: str) -> Mapping[str, bytes] | None:
        """The content of a ConfigMap, by key; None when there is no such ConfigMap."""
        found = self._config_maps.get(f"{namespace}/{config_map}")
        return None if found is None else found.files()

    def fault(self, one: Manifested, path: Path, message: str) -> None:
        self.faults.append(one.sentence(path, message))

    def problem(self, one: Manifested, message: str) -> None:
        noted = self.problems.setdefault(one.key, [])
        if message not in noted:
            noted.append(message)
