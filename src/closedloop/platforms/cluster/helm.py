"""Helm releases: list, install or upgrade, uninstall; read from where helm keeps them."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from closedloop.manifests import yaml_documents
from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster.commands import CommandFailed, run, text
from closedloop.platforms.cluster.versions import Chart

_GET = ("metadata", "values")
_NOT_FOUND = "not found"
_MARGIN = 30.0  # helm has its own deadline; ours is for a helm that hangs
_REVISION = "version"  # a label, besides the release's `name`


@dataclass(frozen=True, slots=True)
class Release:
    """A release as helm has it; `status` is `deployed`, `failed`, `pending-install` …"""

    chart: str
    version: str
    status: str
    values: Mapping[str, Any]


class Helm:
    """Helm on one cluster; its repositories' configuration is not used or changed."""

    def __init__(self, kubeconfig: Path | None = None, context: str | None = None) -> None:
        self._flags = [
            *(["--kubeconfig", str(kubeconfig)] if kubeconfig else []),
            *(["--kube-context", context] if context else []),
        ]

    def release(self, name: str, namespace: str) -> Release | None:
        """The release, None if there is none. Raises `PlatformError`."""
        place = [name, "--namespace", namespace, "--output", "json"]
        try:
            with ThreadPoolExecutor(2) as both:  # each takes helm a tenth of a second
                asked = both.map(lambda what: self._run("get", what, *place), _GET)
            metadata, values = map(json.loads, asked)
        except CommandFailed as error:
            if _NOT_FOUND in error.stderr:
                return None
            raise
        return Release(
            str(metadata["chart"]),
            str(metadata["version"]),
            str(metadata.get("status", "deployed")),
            values or {},
        )

    def install(
        self,
        chart: Chart,
        archive: Path,
        values: Sequence[Path],
        overrides: Mapping[str, Any],
        *,
        timeout: float,
    ) -> None:
        """`helm upgrade --install --wait`; `overrides` win over the files."""
        arguments = [
            *("upgrade", "--install", chart.release, str(archive)),
            *("--version", chart.version, "--namespace", chart.namespace),
            *(word for file in values for word in ("--values", str(file))),
            *(("--values", "-") if overrides else ()),
            *("--wait", "--timeout", f"{timeout:.0f}s", "--history-max", "3"),
        ]
        self._run(
            *arguments,
            timeout=timeout + _MARGIN,
            stdin=yaml.safe_dump(dict(overrides)) if overrides else None,
        )

    def uninstall(self, name: str, namespace: str, *, timeout: float = 300) -> None:
        """Remove a release and wait until its objects are gone; absent is no error."""
        try:
            self._run(
                *("uninstall", name, "--namespace", namespace),
                *("--wait", "--timeout", f"{timeout:.0f}s"),
                timeout=timeout + _MARGIN,
            )
        except CommandFailed as error:
            if _NOT_FOUND not in error.stderr:
                raise

    def rollback(self, name: str, namespace: str, *, timeout: float = 300) -> None:
        """Back to the last revision that was deployed."""
        self._run(
            *("rollback", name, "--namespace", namespace),
            *("--wait", "--timeout", f"{timeout:.0f}s"),
            timeout=timeout + _MARGIN,
        )

    def definitions(self, archive: Path) -> list[str]:
        """Names of the CRDs in a chart's crds/ folder, which helm never removes."""
        shown = self._run("show", "crds", str(archive), cluster=False)
        return [
            document["metadata"]["name"]
            for document in yaml_documents(shown)
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition"
        ]

    def releases(self) -> str:
        """Every release of the cluster as YAML, for people."""
        return self._run("list", "--all-namespaces", "--output", "yaml")

    def _run(
        self,
        *arguments: str,
        timeout: float = 60.0,
        stdin: str | None = None,
        cluster: bool = True,
    ) -> str:
        flags = self._flags if cluster else []
        return run(["helm", *arguments, *flags], timeout=timeout, stdin=stdin)


def by_hand(chart: Chart) -> str:
    """The command with which a person would install the chart."""
    source = (
        [f"{chart.repository.rstrip('/')}/{chart.chart}"]
        if chart.repository.startswith("oci://")
        else [chart.chart, "--repo", chart.repository]
    )
    values = [word for file in chart.values for word in ("--values", f"manifests/{file}")]
    return text(
        [
            *("helm", "upgrade", "--install", chart.release, *source),
            *("--version", chart.version, "--namespace", chart.namespace, "--create-namespace"),
            *values,
            "--wait",
        ]
    )


def newest(api: Api, helm: Helm, name: str, namespace: str) -> Release | None:
    """The newest revision of a release, None if there is none. Raises `PlatformError`.

    Helm keeps a Secret of the release's namespace for each revision: reading it takes one
    request, and helm itself is a process that needs a tenth of a second or more.

    Helm is asked where it keeps no Secret, for it may keep releases elsewhere, and
    where the Secret is not of the form that is known.
    """
    kept, _ = api.list("Secret", namespace, labels=f"owner=helm,name={name}")
    try:
        return _decoded(max(kept, key=_revision))
    except (ValueError, KeyError, TypeError, OSError, EOFError):
        return helm.release(name, namespace)


def _revision(secret: dict[str, Any]) -> int:
    return int(secret["metadata"]["labels"][_REVISION])


def _decoded(secret: dict[str, Any]) -> Release:
    """Helm's JSON, compressed and encoded; the Secret's data is encoded once more."""
    kept = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    said = json.loads(gzip.decompress(kept))
    chart = said["chart"]["metadata"]
    return Release(
        str(chart["name"]), str(chart["version"]), said["info"]["status"], said.get("config") or {}
    )
