"""Run the benchmarks, print a table each and write `out/bench-<time>.json`.

`python -m bench [NAME …]` runs those named only, among them `soak`, which takes ten minutes or
`SOAK_MINUTES`.
"""

import importlib
import json
import os
import pkgutil
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

import bench
from closedloop import paths

Benchmark = Callable[[], Mapping[str, float]]


def benchmarks() -> dict[str, Benchmark]:
    """Every benchmark in this folder, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__))
    modules = {name: importlib.import_module(f"bench.{name}") for name in names if name[0] != "_"}
    return {name: module.run for name, module in modules.items() if hasattr(module, "run")}


def unasked(known: Mapping[str, Benchmark]) -> list[str]:
    """The benchmarks that run unless some are named: those that take very long do not."""
    return [
        name
        for name, run in known.items()
        if not getattr(sys.modules[run.__module__], "BY_NAME_ONLY", False)
    ]


def main(
    names: Sequence[str],
    known: Mapping[str, Benchmark],
    folder: Path,
    console: Console,
) -> int:
    """Returns the exit status: 1 if a benchmark failed, 2 if there is none of a name."""
    for name in names:
        if name not in known:
            console.print(f"there is no benchmark {name!r}: known are {', '.join(known)}")
            return 2
    measured: dict[str, dict[str, float]] = {}
    failed: dict[str, str] = {}
    for name in names or unasked(known):
        console.print(f"{name} …", highlight=False)
        begun = time.monotonic()
        try:
            measured[name] = dict(known[name]())
        except Exception:  # noqa: BLE001 - the others' numbers are still wanted
            failed[name] = traceback.format_exc()
            console.print(failed[name], markup=False, highlight=False)
            continue
        console.print(table(name, measured[name], time.monotonic() - begun))
    now = datetime.now().astimezone()
    file = folder / f"bench-{now:%Y%m%dT%H%M%S}.json"
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    content = {"time": now.isoformat(), "machine": machine, "results": measured, "failed": failed}
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {file}", highlight=False, soft_wrap=True)
    return 1 if failed else 0


def table(name: str, numbers: Mapping[str, float], seconds: float) -> Table:
    """One benchmark's numbers, four digits each."""
    shown = Table(title=f"{name}, {seconds:.0f} s", title_justify="left", box=None, pad_edge=False)
    shown.add_column("measure")
    shown.add_column("value", justify="right")
    for measure, value in numbers.items():
        shown.add_row(measure, f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}")
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], benchmarks(), paths.checkout_root() / "out", Console()))
