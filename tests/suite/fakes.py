"""A platform that only notes what is asked of it, and notebooks small enough to run in a test."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
from kubernetes.client import ApiClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from closedloop.platforms.protocol import Object, PartStatus, PlatformError, Report

PARAMETERS = 'platform = "embedded"  # where to run\nn = 2  # how many'


class FakePlatform:
    """Is up from the first call that makes something until `down`; `fail` is a part that fails."""

    name = "embedded"

    def __init__(self, fail: str = "", up: bool = False) -> None:
        self.calls: list[str] = []
        self.up = up
        self.fail = fail
        self.note = "crashed"

    def start(self, report: Report) -> None:
        report("machine", 0.5)

    def install(self, part: str) -> list[PartStatus]:
        self.up = True
        self.calls.append(f"install {part}")
        if part == self.fail:
            raise PlatformError(f"{part} does not start: see its log")
        return self.status()

    def build(self, folder: Path, *, registry: str = "") -> str:
        return f"closedloop/model-{folder.name}:1"

    def apply(self, *manifests: str | Path | Object) -> list[str]:
        self.up = True
        self.calls.append(f"apply {' '.join(str(m) for m in manifests)}")
        return []

    def delete(self, *manifests: str | Path | Object) -> list[str]:
        return []

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, object]:
        raise PlatformError(f"there is no {kind} {namespace}/{name}: apply it first")

    def objects(self, kind: str, namespace: str = "") -> list[dict[str, object]]:
        return []

    def kubernetes(self) -> ApiClient:
        raise PlatformError("there is no API server")

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        condition: str = "Ready",
        timeout: float = 120,
    ) -> dict[str, object]:
        self.calls.append(f"wait {kind} {namespace}/{name} {condition}")
        return {}

    def restart(self, part: str, *, kill: bool = False) -> None:
        self.calls.append(f"restart {part}")

    def url(self, service: str, port: str | int | None = None) -> str:
        return "http://127.0.0.1:1"

    def logs(self, part: str, lines: int = 100) -> str:
        self.calls.append(f"logs {part}")
        return f"last words of {part}\n"

    def status(self) -> list[PartStatus]:
        if not self.up:
            return []
        return [
            PartStatus("envoy", "1.40.0", "ready", "http://127.0.0.1:8003"),
            PartStatus("seldon-logs/logger", "0.1.0", "restarting", restarts=3, note=self.note),
        ]

    def dump(self) -> Iterator[tuple[str, bytes]]:
        yield "objects/Pod.yaml", b"{}"

    def down(self) -> None:
        self.calls.append("down")
        self.up = False


def code(source: str, *tags: str) -> nbformat.NotebookNode:
    """A code cell."""
    cell: nbformat.NotebookNode = new_code_cell(source)
    if tags:
        cell.metadata["tags"] = list(tags)
    return cell


def slide(source: str, kind: str) -> nbformat.NotebookNode:
    """A markdown cell of a slide type."""
    cell: nbformat.NotebookNode = new_markdown_cell(source)
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def notebook(
    path: Path, *sources: str | nbformat.NotebookNode, parameters: str = PARAMETERS
) -> Path:
    """Write a notebook of a parameters cell and `sources`; text that begins with # is markdown."""
    cells = [_cell(source) for source in sources]
    metadata: Mapping[str, object] = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    node = new_notebook(cells=[code(parameters, "parameters"), *cells], metadata=dict(metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)
    return path


def _cell(source: str | nbformat.NotebookNode) -> nbformat.NotebookNode:
    if not isinstance(source, str):
        return source
    if source.startswith("#"):
        markdown: nbformat.NotebookNode = new_markdown_cell(source)
        return markdown
    return code(source)
