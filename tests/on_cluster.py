"""`scripts/test --platform cluster`: the notebooks in order on a cluster, then its tests.

Installs the platform where it is not, runs `closedloop run --test`, and then
pytest on everything marked `cluster`, with `KUBECONFIG` and `CLOSEDLOOP_CONTEXT`
of that cluster; the numbers that the notebooks recorded are among what is
asserted. A platform that was not there before is removed afterwards.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION

from closedloop.paths import checkout_root, home
from closedloop.platforms import connect

RUN = "CLOSEDLOOP_RUN"  # names the run whose numbers tests/notebooks/test_on_cluster.py asserts
_CLOSEDLOOP = Path(sys.executable).with_name("closedloop")


def main(arguments: list[str]) -> int:
    options, for_pytest = _parser().parse_known_args(arguments)
    out = options.out.resolve()
    environment = _environment(options)
    os.environ.update(environment)
    was_there = bool(connect("cluster").status())
    try:
        ran = _call("run", "--platform", "cluster", "--test", "--keep", "--out", str(out / "run"))
        os.environ[RUN] = str(out / "run")
        with TemporaryDirectory() as folder:
            os.environ["KUBECONFIG"] = _kubeconfig(Path(folder))
            tests = _tests(out, for_pytest) if ran == 0 else 1
    finally:
        if not (was_there or options.keep):
            _call("down", "--platform", "cluster")
    return ran or _compare(options, out) or tests


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/test --platform cluster",
        description="The notebooks and the tests marked `cluster` on a cluster; what is not named"
        " here goes to pytest.",
        allow_abbrev=False,
    )
    parser.add_argument("--context", help="of your kubeconfig; without it a kind cluster")
    parser.add_argument("--offline", help="a folder as `closedloop mirror` fills it")
    parser.add_argument("--registry", help="a registry that mirrors every image")
    parser.add_argument("--out", type=Path, default=Path("out/cluster"), help="a new folder")
    parser.add_argument("--keep", action="store_true", help="leave the platform up")
    parser.add_argument(
        "--same", type=Path, help="a run of another platform that must have the same numbers"
    )
    parser.add_argument(
        "--page", type=Path, help="with --same: write what was verified, such as docs/verified.md"
    )
    parser.add_argument(
        "--note", action="append", default=[], help="what that page says was not covered"
    )
    return parser


def _environment(options: argparse.Namespace) -> Mapping[str, str]:
    given = {
        "CLOSEDLOOP_CONTEXT": options.context,
        "CLOSEDLOOP_REGISTRY": options.registry,
        "CLOSEDLOOP_OFFLINE": options.offline and str(Path(options.offline).resolve()),
    }
    return {name: value for name, value in given.items() if value}


def _kubeconfig(folder: Path) -> str:
    """`KUBECONFIG` of the cluster: for a context a list of files with one more that names it."""
    context = os.environ.get("CLOSEDLOOP_CONTEXT")
    if not context:
        return str(home() / "cluster" / "kubeconfig")
    given = os.environ.get("KUBECONFIG") or KUBE_CONFIG_DEFAULT_LOCATION
    file = folder / "context"
    lists: dict[str, list[object]] = {"clusters": [], "contexts": [], "users": []}
    named = {"apiVersion": "v1", "kind": "Config", "current-context": context, **lists}
    file.write_text(yaml.safe_dump(named), encoding="utf-8")
    # Of several current contexts kubectl and helm take the first, Python's client the last.
    return os.pathsep.join((str(file), given, str(file)))


def _call(*arguments: str) -> int:
    return subprocess.run([_CLOSEDLOOP, *arguments], check=False).returncode


def _tests(out: Path, more: list[str]) -> int:
    return subprocess.run(tests_of(out, more), cwd=checkout_root(), check=False).returncode


def tests_of(out: Path, more: list[str]) -> list[str]:
    """The command that runs the tests of a cluster, in this process's worker: there is one cluster.

    Without xdist's plugin the tests' marks for it would be unknown.
    """
    report = ["-o", "junit_family=xunit1", f"--junitxml={out / 'tests.xml'}"]  # with figures
    options = ["-m", "cluster", "-n", "0", "-rs", *report]
    return [sys.executable, "-m", "pytest", *options, *more]


def _compare(options: argparse.Namespace, out: Path) -> int:
    if not options.same:
        return 0
    page = ["--page", str(options.page), "--tests", str(out / "tests.xml")] if options.page else []
    notes = [word for note in options.note for word in ("--note", note)]
    return _call("same", str(options.same), str(out / "run"), *page, *notes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
