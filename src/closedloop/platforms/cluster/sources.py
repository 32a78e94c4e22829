"""Charts and manifests of upstream parts: fetched once and kept, or out of a prepared folder."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from closedloop.machine import write_whole
from closedloop.platforms.cluster.commands import CommandFailed, run
from closedloop.platforms.cluster.versions import Chart
from closedloop.platforms.protocol import PlatformError

CHARTS, FILES = "charts", "manifests"
_FETCH = 300.0
_NETWORK = (
    *("no such host", "timeout", "timed out", "connection reset", "connection refused"),
    *("unexpected EOF", "502", "503", "504", "429"),
)


class Sources:
    """Looks in `folder` when given, and then nowhere else; else in `cache`, then at the source."""

    def __init__(self, cache: Path, folder: Path | None = None) -> None:
        self._cache, self._folder = cache, folder

    def chart(self, chart: Chart) -> Path:
        """The chart's archive, or its folder when the repository is one. Raises `PlatformError`."""
        local = Path(chart.repository).expanduser()
        for place in (self._folder or self._cache) / CHARTS, local:
            for name in (f"{chart.reference}.tgz", chart.chart):
                found = place / name
                if found.exists() and (place == local or found.suffix == ".tgz"):
                    return found
        if self._folder is not None:
            raise PlatformError(
                f"{self._folder} holds no {CHARTS}/{chart.reference}.tgz:"
                " fill the folder again for these versions"
            )
        if "://" not in chart.repository:
            raise PlatformError(
                f"{local} holds no chart {chart.reference}: correct repository in versions.yaml"
            )
        return self._pull(chart)

    def file(self, url: str) -> Path:
        """A manifest by URL or path. Raises `PlatformError`."""
        if "://" not in url:
            local = Path(url).expanduser()
            if local.is_file():
                return local
            raise PlatformError(f"there is no {local}: correct source in versions.yaml")
        name = file_name(url)
        kept = (self._folder or self._cache) / FILES / name
        if kept.is_file():
            return kept
        if self._folder is not None:
            raise PlatformError(
                f"{self._folder} holds no {FILES}/{name}: fill the folder again for these versions"
            )
        text = _patiently(lambda: _download(url))
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, text)
        return kept

    def _pull(self, chart: Chart) -> Path:
        target = self._cache / CHARTS
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target) as partial:
            _patiently(
                lambda: run(["helm", *pull_arguments(chart, partial)], timeout=_FETCH).encode()
            )
            (archive,) = Path(partial).glob("*.tgz")
            kept = target / f"{chart.reference}.tgz"
            shutil.move(archive, kept)
        return kept


def pull_arguments(chart: Chart, folder: str) -> Sequence[str]:
    """The arguments of helm by which the chart comes into `folder`."""
    if chart.repository.startswith("oci://"):
        named = [f"{chart.repository.rstrip('/')}/{chart.chart}"]
    else:
        named = [chart.chart, "--repo", chart.repository]
    return ["pull", *named, "--version", chart.version, "--destination", folder]


def file_name(url: str) -> str:
    """The file name of a manifest that is kept: its own, and a part that tells versions apart."""
    return f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{url.rpartition('/')[2]}"


def _download(url: str) -> bytes:
    try:
        response = requests.get(url, timeout=60)
        response.raise_for_status()
    except requests.RequestException as error:
        raise PlatformError(
            f"{url} cannot be fetched: {error}: check the network, or give a folder with"
            " everything by --offline"
        ) from error
    return response.content


def _patiently(fetch: Callable[[], bytes]) -> bytes:
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=wait_exponential(0.5, max=5),
        stop=stop_after_attempt(4),
        reraise=True,
    )
    return retrying(fetch)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, CommandFailed):
        return any(text in error.stderr for text in _NETWORK)
    cause = error.__cause__
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return cause.response.status_code >= 500 or cause.response.status_code == 429
    return isinstance(cause, requests.RequestException)
