"""Charts and images of a cluster, and their sources: `cluster` in `manifests/versions.yaml`."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from closedloop.manifests import ManifestError, load_values

FILE = "versions.yaml"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Chart(_Entry):
    """A helm release; `version` and `repository` are the part's unless given here."""

    release: str
    chart: str
    namespace: str
    version: str = ""
    repository: str = ""
    values: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Its name in helm's lists: `istiod-1.30.4`."""
        return f"{self.chart}-{self.version}"


class Part(_Entry):
    """One of `PARTS`: charts, or manifests at `source`, or an image that our manifests use."""

    version: str
    repository: str = ""
    charts: tuple[Chart, ...] = ()
    source: str = ""
    files: tuple[str, ...] = ()
    image: str = ""
    namespace: str = ""

    def urls(self) -> tuple[str, ...]:
        """Where the manifests are: URLs, or paths when `source` is a folder."""
        return tuple(f"{self.source.rstrip('/')}/{file}" for file in self.files)


class Kubernetes(_Entry):
    """The version of kind, its node image by digest, and the server versions that all parts run on.

    `minimum` and `maximum` are `major.minor`, both included.
    """

    kind: str
    node: str
    minimum: str
    maximum: str


class Versions(BaseModel):
    """The file, as far as a cluster needs it; `images` are ours, by the folder under docker/."""

    kubernetes: Kubernetes
    parts: Mapping[str, Part]
    images: Mapping[str, str] = Field(default_factory=dict)

    def charts(self) -> tuple[Chart, ...]:
        """Every chart of every part, in the order of installation."""
        return tuple(chart for part in self.parts.values() for chart in part.charts)


def read(manifests: Path) -> Versions:
    """Read `versions.yaml` in the folder `manifests`. Raises `ManifestError`."""
    raw = load_values(manifests / FILE)
    entries = {
        name: entry["cluster"]
        for name, entry in raw.items()
        if isinstance(entry, dict) and "cluster" in entry
    }
    kubernetes = entries.pop("kubernetes", None)
    try:
        versions = Versions.model_validate(
            {"kubernetes": kubernetes, "parts": entries, "images": raw.get("images") or {}}
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ManifestError([f"{FILE}: {where}: {first['msg']}"]) from None
    parts = {name: _complete(part) for name, part in versions.parts.items()}
    return versions.model_copy(update={"parts": parts})


def _complete(part: Part) -> Part:
    charts = tuple(
        chart.model_copy(
            update={
                "version": chart.version or part.version,
                "repository": chart.repository or part.repository,
            }
        )
        for chart in part.charts
    )
    return part.model_copy(update={"charts": charts})
