"""The methods of a platform that notebooks and the command line call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # it takes a second to import
    from kubernetes.client import ApiClient


class Report(Protocol):
    """Takes the step that begins, and the share of it, from 0 to 1, that is done if it is known."""

    def __call__(self, what: str, share: float | None = None, /) -> None: ...


Object = Mapping[str, object]


class PlatformError(Exception):
    """A platform could not meet a request: a sentence with the value and the remedy."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One row of `closedloop status`.

    `state` is `ready`, `starting`, `restarting`, `stopped` or `failed`; `url`
    is empty for a part that does not listen; `note` is a remark for the reader.
    """

    part: str
    version: str
    state: str
    url: str = ""
    restarts: int = 0
    note: str = ""


class Platform(Protocol):
    """One small protocol, the same for the embedded platform and a cluster.

    Manifests are named by their path under `manifests/`: a file, or a folder
    for every file in it. Objects are plain dictionaries as in Kubernetes'
    JSON, `status` included. Every method raises `PlatformError`.
    """

    name: str

    def start(self, report: Report) -> None:
        """Start the ground of the parts, unless it runs: a cluster and its images, for example."""
        ...

    def install(self, part: str) -> list[PartStatus]:
        """Install a part, by its name in `parts.PARTS`, and wait until it is ready.

        A part that is there stays.
        """
        ...

    def build(self, folder: Path, *, registry: str = "") -> str:
        """The image of the model in a folder, made unless it is there; `closedloop.models.own`
        says what the folder holds.

        A cluster that is not ours takes it from `registry`, where it is pushed.
        """
        ...

    def apply(self, *manifests: str | Path | Object) -> list[str]:
        """Create or update objects; returns `kind/name` of each, with its change."""
        ...

    def delete(self, *manifests: str | Path | Object) -> list[str]:
        """Delete objects and wait until their pods are gone too; absent ones are no error."""
        ...

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, object]:
        """One object as it is now. Raises `PlatformError` when there is none."""
        ...

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, object]]:
        """All objects of a kind, of one namespace or of all."""
        ...

    def kubernetes(self) -> "ApiClient":
        """A client of the API server, for the APIs of `kubernetes.client`: `CoreV1Api` and others.

        Their errors are `kubernetes.client.ApiException`.
        """
        ...

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        condition: str = "Ready",
        timeout: float = 120,
    ) -> dict[str, object]:
        """Wait for a condition, in any letter case, and return the object.

        For `Deleted` it is the last that was seen of it. A condition that the
        kind does not have is an error at once; past `timeout` seconds the error
        shows the object's status, its recent events and the last lines of its logs.
        """
        ...

    def restart(self, part: str, *, kill: bool = False) -> None:
        """Replace the pods of a workload, without time to end if `kill`, until new ones are ready.

        It is named as for `logs`.
        """
        ...

    def url(self, service: str, port: str | int | None = None) -> str:
        """The URL, without a trailing slash, of Service `namespace/name` as seen from here."""
        ...

    def logs(self, part: str, lines: int = 100) -> str:
        """The last lines that a part, a workload `namespace/name` or a SeldonDeployment logged.

        Parts and workloads have the names that are in `parts.PARTS`, too.
        """
        ...

    def status(self) -> list[PartStatus]:
        """Every workload; empty where nothing runs."""
        ...

    def dump(self) -> Iterator[tuple[str, bytes]]:
        """Files for `closedloop bundle`: a name and the content of each, without passwords.

        Objects, events, logs and versions; empty where nothing runs.
        """
        ...

    def down(self) -> None:
        """Remove everything that this platform made, and nothing else."""
        ...
