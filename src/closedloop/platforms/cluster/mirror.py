"""Everything that a run pulls, in one folder, for a machine without a network.

`charts/` has helm's archives and `manifests/` upstream's YAML, both under the
names that `sources` looks for; `images/` has one `docker save` archive an
image, and `node.tar` is kind's node. An archive keeps tags but no digests, so an
image that a manifest pins by digest gets a tag made of it, in both.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closedloop.manifests import load, yaml_documents
from closedloop.platforms.cluster.commands import run
from closedloop.platforms.cluster.images import mirrored, tagged
from closedloop.platforms.cluster.kind import build
from closedloop.platforms.cluster.sources import CHARTS, FILES, Sources, file_name
from closedloop.platforms.cluster.versions import Chart, Versions

IMAGES, NODE = "images", "node.tar"

_PULL = 1800.0
# An image in an argument or a variable: with a registry's host, and a tag or digest.
_EMBEDDED = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]+(?:/[\w.-]+)+(?::[\w.-]+|@sha256:[0-9a-f]{64})")

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """The images and files of a run. `own` are built, by folder of docker/; the rest is pulled."""

    node: str
    charts: tuple[Chart, ...]
    urls: tuple[str, ...]
    images: tuple[str, ...]
    own: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """For people: one line each."""
        yield f"node      {self.node}"
        for chart in self.charts:
            yield f"chart     {chart.reference}  {chart.repository}"
        for url in self.urls:
            yield f"manifest  {url}"
        for image in self.images:
            yield f"image     {image}"
        for folder, own in self.own.items():
            yield f"image     {own}  (built from docker/{folder})"


def contents(versions: Versions, manifests: Path, sources: Sources) -> Contents:
    """Find everything: charts are rendered by helm and read, as are upstream's manifests and ours.

    Charts and upstream's manifests are fetched through `sources` for that.
    Raises `PlatformError`.
    """
    urls = tuple(url for part in versions.parts.values() for url in part.urls())
    own = dict(versions.images)
    found: set[str] = set()
    for chart in versions.charts():
        shown = set(_images_of(_template(chart, sources.chart(chart), manifests, versions)))
        found |= shown | set(_said_elsewhere(chart, shown))
    for url in urls:
        found |= set(_images_of(sources.file(url).read_text("utf-8")))
    for manifest in load(manifests, ""):
        found |= set(_images_in(manifest.document))
    return Contents(
        versions.kubernetes.node,
        versions.charts(),
        urls,
        tuple(sorted(found - set(own.values()))),
        own,
    )


def fill(
    folder: Path,
    versions: Versions,
    manifests: Path,
    sources: Sources,
    report: Report,
    *,
    registry: str = "",
) -> Contents:
    """Bring everything into `folder`; archives it has are kept, so a second call continues.

    With `registry` images are pulled from that mirror and keep their own
    names. Raises `PlatformError`.
    """
    report("charts and manifests")
    wanted = contents(versions, manifests, sources)
    for name in (CHARTS, FILES, IMAGES):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for chart in wanted.charts:
        _copy(sources.chart(chart), folder / CHARTS / f"{chart.reference}.tgz")
    for url in wanted.urls:
        text = tagged(sources.file(url).read_text("utf-8"))
        (folder / FILES / file_name(url)).write_text(text, encoding="utf-8")
    platform = _platform()
    if not (folder / NODE).is_file():
        report(wanted.node)
        _bring(wanted.node, folder / NODE, registry, platform)
    for image in wanted.images:
        archive = folder / IMAGES / archive_of(image)
        if not archive.is_file():
            report(image)
            _bring(image, archive, registry, platform)
    for name, ours in wanted.own.items():
        report(ours)
        build(ours, manifests.parent / "docker" / name / "Dockerfile", manifests.parent)
        _save(ours, folder / IMAGES / archive_of(ours), platform)
    return wanted


def _platform() -> Sequence[str]:
    """The arguments of `docker save`, so that an archive names no platform that it does not hold.

    Only docker's containerd store keeps the list of all platforms of an image,
    of which it pulled one; kind looks for every image of that list. The option
    came with version 1.48 of docker's interface.
    """
    info = json.loads(run(["docker", "info", "--format", "{{json .DriverStatus}}"]))
    if not any("containerd" in str(entry) for entry in info or ()):
        return ()
    server = run(
        ["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}} {{.Server.APIVersion}}"]
    )
    name, _, version = server.strip().partition(" ")
    major, _, minor = version.partition(".")
    return ("--platform", name) if (int(major), int(minor)) >= (1, 48) else ()


def archive_of(image: str) -> str:
    """The file name of an image's archive."""
    return re.sub(r"[^\w.-]+", "_", tagged(image)) + ".tar"


def _bring(image: str, archive: Path, registry: str, platform: Sequence[str]) -> None:
    source, name = mirrored(image, registry), tagged(image)
    run(["docker", "pull", source], timeout=_PULL)
    if source != name:
        run(["docker", "tag", source, name])
    _save(name, archive, platform)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():  # a repository that is a local folder may hold charts unpacked
        run(["helm", "package", str(source), "--destination", str(target.parent)])
    else:
        shutil.copyfile(source, target)


def _save(image: str, archive: Path, platform: Sequence[str]) -> None:
    partial = archive.with_suffix(".partial")
    run(["docker", "save", *platform, "--output", str(partial), image], timeout=_PULL)
    partial.replace(archive)


def _template(chart: Chart, archive: Path, manifests: Path, versions: Versions) -> str:
    node = versions.kubernetes.node.partition("@")[0].rpartition(":v")[2]
    values = [word for file in chart.values for word in ("--values", str(manifests / file))]
    return run(
        [
            *("helm", "template", chart.release, str(archive), "--namespace", chart.namespace),
            *("--kube-version", node, *values),
        ],
        timeout=120,
    )


def _said_elsewhere(chart: Chart, shown: Iterable[str]) -> Sequence[str]:
    """Images that a chart's programs put into pods later, by names that no rendered object has."""
    match chart.chart:
        case "istiod":  # for the gateway's `image: auto`, from where istiod's own image is
            pilots = [re.sub(r"/pilot(?=[:@])", "/proxyv2", image) for image in shown]
            return [image for image in pilots if "/proxyv2" in image]
        case "seldon-core-operator":  # the operator's, for SKLEARN_SERVER with a modelUri
            names = ("sklearnserver", "rclone-storage-initializer")
            return [f"seldonio/{name}:{chart.version}" for name in names]
    return []


def _images_of(text: str) -> Iterator[str]:
    for document in yaml_documents(text):
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
                yield _short(value)
        elif key in {"args", "command", "value"}:
            yield from map(_short, _EMBEDDED.findall(value))


def _short(image: str) -> str:
    """Docker Hub's images by their short names, so that none is there twice."""
    return image.removeprefix("docker.io/").removeprefix("library/")
