"""The pinned charts, for tests that look into them: where helm and the charts are at hand."""

import os
import shutil
from functools import cache
from pathlib import Path

from closedloop import paths
from closedloop.platforms.cluster.commands import run
from closedloop.platforms.cluster.sources import CHARTS, FILES, file_name
from closedloop.platforms.cluster.versions import Chart, read
from tests.manifests.repository import MANIFESTS

VERSIONS = read(MANIFESTS)


def _kept(name: str) -> Path | None:
    """A file out of `$CLOSEDLOOP_OFFLINE`, or as an earlier run on a cluster kept it."""
    folders = [paths.parts_folder() / "cluster"]
    if given := os.environ.get("CLOSEDLOOP_OFFLINE"):
        folders.insert(0, Path(given))
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def archive(chart: Chart) -> Path | None:
    """The chart's archive, if it is at hand."""
    return _kept(f"{CHARTS}/{chart.reference}.tgz")


def upstream() -> list[Path]:
    """The manifests of upstream parts that are at hand."""
    urls = (url for part in VERSIONS.parts.values() for url in part.urls())
    return [file for url in urls if (file := _kept(f"{FILES}/{file_name(url)}"))]


def at_hand() -> list[Chart]:
    """The charts that can be rendered here."""
    if shutil.which("helm") is None:
        return []
    return [chart for chart in VERSIONS.charts() if archive(chart)]


@cache
def rendered(chart: Chart) -> str:
    """What helm makes of a chart with our values, its definitions included."""
    values = [word for file in chart.values for word in ("--values", str(MANIFESTS / file))]
    node = VERSIONS.kubernetes.node.partition("@")[0].rpartition(":v")[2]
    return run(
        [
            *("helm", "template", chart.release, str(archive(chart)), "--include-crds"),
            *("--namespace", chart.namespace, "--kube-version", node, *values),
        ],
        timeout=120,
    )
