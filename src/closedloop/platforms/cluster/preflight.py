"""The needs of an installation, checked on machine and cluster before any change, all at once."""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closedloop.machine import why_taken
from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster.commands import run
from closedloop.platforms.cluster.kind import Kind
from closedloop.platforms.cluster.versions import Kubernetes
from closedloop.platforms.protocol import PlatformError

_GIB = 1 << 30
_MEMORY = 7.0  # GiB; Docker Desktop's 8 GiB leave a little less
_CORES = 4
_DISK = 15.0  # GiB: images about 6, their unpacked copies on the node again as much
_HELM = (3, 14)
# kind's known issues: "too many open files" with fewer.
_INOTIFY = {"max_user_watches": 524288, "max_user_instances": 512}
_PROC = Path("/proc/sys/fs/inotify")

# The rights of an installation on a cluster that is not ours: verb, group, resource.
_RIGHTS = (
    ("create", "", "namespaces"),
    ("delete", "", "namespaces"),
    ("create", "", "secrets"),
    ("create", "", "services"),
    ("get", "", "pods/portforward"),
    ("create", "", "pods/portforward"),
    ("get", "", "pods/log"),
    ("create", "apps", "deployments"),
    ("create", "apps", "statefulsets"),
    ("create", "networking.k8s.io", "networkpolicies"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, with its fix; only a fatal one stops the run."""

    sentence: str
    fatal: bool = True


Check = Callable[[], Iterable[Finding]]
Warn = Callable[[str], None]


def findings(checks: Iterable[Check]) -> list[Finding]:
    """Of every check; one that cannot be made is itself a finding."""
    found: list[Finding] = []
    for check in checks:
        try:
            found += check()
        except PlatformError as error:
            found.append(Finding(str(error)))
    return found


def demand(found: Iterable[Finding], warn: Warn) -> None:
    """Warn of doubtful needs. Raises `PlatformError` with a line for each that is not met."""
    found = list(found)
    for each in found:
        if not each.fatal:
            warn(each.sentence)
    fatal = [each.sentence for each in found if each.fatal]
    if fatal:
        lines = "\n".join(f"  {number}. {line}" for number, line in enumerate(fatal, start=1))
        raise PlatformError(f"nothing was started, because of:\n{lines}")


def for_kind(kind: Kind, pinned: Kubernetes, ports: Mapping[str, int], disk: Path) -> list[Check]:
    """Checks of this machine before a kind cluster is made on it."""
    return [
        lambda: _helm(),
        lambda: _kind(pinned.kind),
        lambda: _docker(disk),
        _inotify,
        lambda: _cluster(kind, ports),
    ]


def for_context(api: Callable[[], Api], pinned: Kubernetes, registry: str) -> list[Check]:
    """Checks of a cluster that is there already, and of the ways to it."""
    return [
        lambda: _helm(),
        lambda: _server(api(), pinned),
        lambda: _rights(api()),
        lambda: _registry(registry),
    ]


def _helm() -> Iterator[Finding]:
    said = run(["helm", "version", "--short"], timeout=20)
    found = _version(said)
    if found < _HELM:
        yield Finding(
            f"helm is {said.strip()}: install {_HELM[0]}.{_HELM[1]} or newer"
            " from https://helm.sh/docs/intro/install/"
        )


def _kind(pinned: str) -> Iterator[Finding]:
    said = run(["kind", "version"], timeout=20)
    if _version(said) < _version(pinned):
        yield Finding(
            f"{' '.join(said.split()[:2])} may not start the node image of {pinned}:"
            f" install {pinned} or newer from https://github.com/kubernetes-sigs/kind/releases",
            fatal=False,
        )


def _docker(disk: Path) -> Iterator[Finding]:
    try:
        said = run(["docker", "info", "--format", "{{json .}}"], timeout=30)
    except PlatformError as error:
        reason = str(error)
        if "permission denied" in reason:
            fix = (
                "add yourself to the group docker (sudo usermod -aG docker $USER) and log in again"
            )
        elif "not on PATH" in reason:
            raise
        else:
            fix = "start Docker (Linux: sudo systemctl start docker)"
        yield Finding(f"docker does not answer: {fix}: {reason}")
        return
    info: dict[str, Any] = json.loads(said)
    if errors := info.get("ServerErrors"):
        yield Finding(f"docker's daemon does not answer: start Docker: {'; '.join(errors)}")
        return
    memory = int(info.get("MemTotal", 0)) / _GIB
    if memory < _MEMORY:
        yield Finding(
            f"docker has {memory:.1f} GiB of memory: give it 8 GiB"
            " (Docker Desktop: Settings, Resources)"
        )
    cores = int(info.get("NCPU", 0))
    if cores < _CORES:
        yield Finding(
            f"docker has {cores} cores: give it {_CORES}, with fewer everything starts slowly",
            fatal=cores < _CORES // 2,
        )
    root = Path(str(info.get("DockerRootDir", "")))
    place = root if root.is_dir() else disk
    free = shutil.disk_usage(place).free / _GIB
    if free < _DISK:
        yield Finding(
            f"{place} has {free:.1f} GiB free: free {_DISK:.0f} GiB, such as by"
            " `docker system prune`"
        )


def _inotify() -> Iterator[Finding]:
    for name, wanted in _INOTIFY.items():
        try:
            has = int((_PROC / name).read_text())
        except (OSError, ValueError):
            continue  # not Linux: the kernel is that of Docker's machine
        if has < wanted:
            yield Finding(
                f"fs.inotify.{name} is {has}, pods may fail with `too many open files`:"
                f" sudo sysctl fs.inotify.{name}={wanted}",
                fatal=False,
            )


def _cluster(kind: Kind, ports: Mapping[str, int]) -> Iterator[Finding]:
    if kind.exists():
        if not kind.is_ours():
            yield Finding(
                "a kind cluster named closedloop is there that was not made from this checkout:"
                " delete it with `kind delete cluster --name closedloop`, or use it with"
                " --context kind-closedloop"
            )
        return  # its ports are taken by itself
    for service, port in ports.items():
        if why_taken("127.0.0.1", port):
            yield Finding(
                f"port {port} of 127.0.0.1, for {service}, is taken: stop its program"
                f" (Linux: ss -ltnp 'sport = :{port}')"
            )


def _server(api: Api, pinned: Kubernetes) -> Iterator[Finding]:
    said = api.version()
    found = _version(said)
    if found < _version(pinned.minimum):
        yield Finding(
            f"the cluster is Kubernetes {said}: the parts need {pinned.minimum} to {pinned.maximum}"
        )
    elif found > _version(pinned.maximum):
        yield Finding(
            f"the cluster is Kubernetes {said}: the parts are made for {pinned.minimum} to"
            f" {pinned.maximum}",
            fatal=False,
        )


def _rights(api: Api) -> Iterator[Finding]:
    missing = [
        f"{verb} {resource}{f'.{group}' if group else ''}"
        for verb, group, resource in _RIGHTS
        if not api.allowed(verb, group, resource)
    ]
    if missing:
        yield Finding(
            f"your account may not {', '.join(missing)} in this cluster:"
            " ask for these rights or use another account"
        )


def _registry(registry: str) -> Iterator[Finding]:
    if not registry:
        yield Finding(
            "our images are not published: unless the nodes have them, push them to a registry"
            " that the cluster can pull from and name it by --registry",
            fatal=False,
        )


def _version(said: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
