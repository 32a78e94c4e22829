"""A part: one program of others, run as a pod of its own."""

import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from closedloop.platforms.embedded.desired import Pod, Process, ServicePort
from closedloop.platforms.parts import Workload, named
from closedloop.platforms.protocol import PlatformError


@dataclass(frozen=True, slots=True)
class Part:
    """A program with an address of its own, which Services find by its labels.

    Its process is called as its entry in the table of parts. `service` is the Service that
    its installation brings with it on a cluster. `url` is where it can be called directly.
    """

    version: str
    process: Process
    labels: Mapping[str, str]
    service: ServicePort | None = None
    note: str = ""
    url: str = ""

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def workload(self) -> Workload:
        """The workload that it is on a cluster."""
        return named(self.name)[0]

    @property
    def namespace(self) -> str:
        return self.workload.namespace

    def pod(self) -> Pod:
        return Pod(
            workload=f"{self.namespace}/{self.name}",
            owner="",
            labels=self.labels,
            processes=(self.process,),
            ports=self.process.ports,
            revision="",
        )


def service_of(part: str, name: str, port: int, labels: Mapping[str, str]) -> ServicePort:
    """The Service in front of a part, with one port that is called like its container's."""
    (about, *_) = named(part)
    return ServicePort(about.namespace, about.service, name, port, name, labels)


def package_version(package: str) -> str:
    """The installed version of a Python package. Raises `PlatformError` when there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        raise PlatformError(
            f"the Python package {package} is not installed: install closedloop again"
        ) from None


def script(name: str) -> str:
    """A program that a package put beside this Python. Raises `PlatformError` when it is absent."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise PlatformError(f"the program {name} is not there: install closedloop again")
    return found
