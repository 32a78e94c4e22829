"""Everything that a run pulls, in one folder, for a machine without a network.

`charts/` has helm's archives and `manifests/` upstream's YAML, both under the
names that `sources` looks for; `images/` has one `docker save` archive an
image, and `node.tar` is kind's node. An archive keeps tags but no digests, so an
image that a manifest pins by digest gets a tag made of it, in both.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from closedloop.manifests import Manifest, load
from closedloop.platforms.cluster.commands import run
from closedloop.platforms.cluster.kind import build
from closedloop.platforms.cluster.sources import FILES, Sources, file_name
from closedloop.platforms.cluster.versions import Chart, Versions

IMAGES, NODE = "images", "node.tar"

_PULL = 1800.0
_DIGEST = re.compile(r"([\w.-]+(?:/[\w.-]+)+)(?::[\w.-]+)?@sha256:([0-9a-f]{64})")
# An image in an argument or a variable: with a registry's host, and a tag or digest.
_EMBEDDED = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]+(?:/[\w.-]+)+(?::[\w.-]+|@sha256:[0-9a-f]{64})")

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it is pulled, and the name under which the archive has it."""

    source: str

    @property
    def name(self) -> str:
        return tagged(self.source)

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return re.sub(r"[^\w.-]+", "_", self.name) + ".tar"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a run needs. `own` are built here, by their folder under docker/; the rest is pulled."""

    node: str
    charts: tuple[Chart, ...]
    urls: tuple[str, ...]
    images: tuple[Image, ...]
    own: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """For people: one line each."""
        yield f"node      {self.node}"
        for chart in self.charts:
            yield f"chart     {chart.reference}  {chart.repository}"
        for url in self.urls:
            yield f"manifest  {url}"
        for image in self.images:
            yield f"image     {image.source}"
        for folder, image in self.own.items():
            yield f"image     {image}  (built from docker/{folder})"


def contents(versions: Versions, manifests: Path, sources: Sources) -> Contents:
    """Find everything: charts are rendered by helm and read, as are upstream's manifests and ours.

    Charts and upstream's manifests are fetched through `sources` for that.
    Raises `PlatformError`.
    """
    urls = tuple(url for part in versions.parts.values() for url in part.urls())
    own = dict(versions.images)
    found: set[str] = set()
    for chart in versions.charts():
        rendered = _template(chart, sources.chart(chart), manifests, versions)
        found |= set(_images_of(rendered)) | set(_said_elsewhere(chart))
    for url in urls:
        found |= set(_images_of(sources.file(url).read_text("utf-8")))
    for manifest in _ours(manifests):
        found |= set(_images_in(manifest.document))
    return Contents(
        versions.kubernetes.node,
        versions.charts(),
        urls,
        tuple(Image(source) for source in sorted(found - set(own.values()))),
        own,
    )


def fill(
    folder: Path, versions: Versions, manifests: Path, report: Report, *, registry: str = ""
) -> Contents:
    """Bring everything into `folder`; what it holds already is kept, so a second call continues.

    With `registry` images are pulled from that mirror and keep their own
    names. Raises `PlatformError`.
    """
    sources = Sources(folder)
    report("charts and manifests")
    wanted = contents(versions, manifests, sources)
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    if not (folder / NODE).is_file():
        report(wanted.node)
        run(["docker", "pull", wanted.node], timeout=_PULL)
        _save(wanted.node, folder / NODE)
    for image in wanted.images:
        archive = folder / IMAGES / image.archive
        if not archive.is_file():
            report(image.source)
            _bring(image, archive, registry)
    for name, image in wanted.own.items():
        report(image)
        build(image, manifests.parent / "docker" / name / "Dockerfile", manifests.parent)
        _save(image, folder / IMAGES / Image(image).archive)
    # Last: until here a manifest says what to pull.
    for url in wanted.urls:
        kept = folder / FILES / file_name(url)
        text = sources.file(url).read_text("utf-8")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(tagged(text), encoding="utf-8")
    return wanted


def tagged(text: str) -> str:
    """Images by digest become images by a tag that is made of the digest, wherever they are named:
    `a/b@sha256:0123…` is `a/b:sha256-0123…`, with the first 32 digits."""
    return _DIGEST.sub(lambda match: f"{match[1]}:sha256-{match[2][:32]}", text)


def _bring(image: Image, archive: Path, registry: str) -> None:
    from closedloop.platforms.cluster.images import mirrored

    source = mirrored(image.source, registry)
    run(["docker", "pull", source], timeout=_PULL)
    if source != image.name:
        run(["docker", "tag", source, image.name])
    _save(image.name, archive)


def _save(image: str, archive: Path) -> None:
    partial = archive.with_suffix(".partial")
    run(["docker", "save", "--output", str(partial), image], timeout=_PULL)
    partial.replace(archive)


def _template(chart: Chart, archive: Path, manifests: Path, versions: Versions) -> str:
    node = versions.kubernetes.node.partition("@")[0].rpartition(":v")[2]
    values = [word for file in chart.values for word in ("--values", str(manifests / file))]
    return run(
        ["helm", "template", chart.release, str(archive)]
        + ["--namespace", chart.namespace, "--kube-version", node, *values],
        timeout=120,
    )


def _said_elsewhere(chart: Chart) -> Sequence[str]:
    """Images that a chart's programs put into pods later, by names that no rendered object has."""
    match chart.chart:
        case "istiod":  # the injector fills them in for the gateway's `image: auto`
            return [f"docker.io/istio/proxyv2:{chart.version}"]
        case "seldon-core-operator":  # the operator's, for SKLEARN_SERVER with a modelUri
            names = ("seldon-core-executor", "sklearnserver", "rclone-storage-initializer")
            return [f"docker.io/seldonio/{name}:{chart.version}" for name in names]
    return []


def _images_of(text: str) -> Iterator[str]:
    for document in yaml.load_all(text, Loader=_LOADER):  # noqa: S506 - a safe loader
        if isinstance(document, dict) and document.get("kind") != "CustomResourceDefinition":
            yield from _images_in(document)


def _images_in(value: Any, key: str = "") -> Iterator[str]:
    """Values of `image`, of containers and of operators' objects alike, and whatever arguments and
    variables name as an image."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _images_in(child, name)
    elif isinstance(value, list):
        for child in value:
            yield from _images_in(child, key)
    elif isinstance(value, str):
        if key == "image":
            if "/" in value or ":" in value:  # not Istio's `auto`
                yield value
        elif key in {"args", "command", "value"}:
            yield from _EMBEDDED.findall(value)


def _ours(manifests: Path) -> list[Manifest]:
    """Every object of the repository, those of overlays apart: they are for other clusters."""
    folders = sorted(
        path.name for path in manifests.iterdir() if path.is_dir() and path.name != "overlays"
    )
    return [
        one
        for folder in folders
        if any(
            path.name.startswith("values") is False for path in (manifests / folder).glob("*.yaml")
        )
        for one in load(manifests, folder)
    ]


# libyaml's where it is there: rendered charts are long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
