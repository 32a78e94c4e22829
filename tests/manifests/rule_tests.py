"""Unit tests of the alert rules, run by Prometheus' own promtool.

What a target exposed is said scrape by scrape: a `Scraped` series has one value for each
scrape, or None while its target was away. Prometheus then marks the series stale, and so
does `Scraped`.
"""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from closedloop.paths import parts_folder
from closedloop.platforms.embedded.monitoring.debian import programs
from closedloop.platforms.protocol import PlatformError
from tests.manifests.repository import objects
from tests.ports import free_port

# Seconds between scrapes: as deployed by ours, and what a cluster's owner may prefer.
INTERVALS = (1, pytest.param(5, marks=pytest.mark.nightly))
MODEL = {
    "deployment_namespace": "seldon",
    "deployment_name": "sklearn",
    "predictor_name": "default",
}
Values = Sequence[float | None]
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@cache
def program(name: str) -> str:
    """`promtool` or `prometheus`: from PATH, or from the package that the platform unpacks."""
    if found := shutil.which(name):
        return found
    try:
        asyncio.run(programs(parts_folder()))
    except PlatformError as error:
        pytest.skip(f"there is no {name}: {error}")
    unpacked = parts_folder() / "debian" / "usr" / "bin" / name
    if not unpacked.is_file():
        pytest.skip(f"{name} is neither on PATH nor at {unpacked}: put Prometheus' own on PATH")
    return str(unpacked)


def rules() -> dict[str, Any]:
    """The content of a rule file."""
    documents: list[Any] = [one.document for one in objects() if one.kind == "PrometheusRule"]
    (rules,) = (document["spec"] for document in documents)
    return cast(dict[str, Any], rules)


@contextmanager
def running_prometheus(folder: Path, *scraped: Mapping[str, object]) -> Iterator[str]:
    """The URL of a Prometheus with the rules that scrapes each second: `static_configs`."""
    port = free_port()
    (folder / "rules.json").write_text(json.dumps(rules()))
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.json"],
        "scrape_configs": [{"job_name": "closedloop", "static_configs": scraped}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    server = subprocess.Popen(
        [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        cwd=folder,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _names(rule: Mapping[str, Any]) -> tuple[str, str]:
    return rule.get("record", ""), rule.get("alert", "")


def _needed(asked: str) -> list[dict[str, Any]]:
    """The groups of rules, without those that nothing asked depends on: evaluating takes time."""
    every = [rule for group in rules()["groups"] for rule in group["rules"]]
    names, wanted = _NAME.findall(asked), set[str]()
    while names:
        name = names.pop()
        if name not in wanted:
            wanted.add(name)
            names += [
                word
                for rule in every
                if name in _names(rule)
                for word in _NAME.findall(rule["expr"])
            ]
    return [
        {**group, "rules": chosen}
        for group in rules()["groups"]
        if (
            chosen := [
                one for one in group["rules"] if (one.get("record") or one["alert"]) in wanted
            ]
        )
    ]


def held(*steps: tuple[int, float | None], every: int) -> list[float | None]:
    """One value for each scrape: `(for so many seconds, the value)`, step after step."""
    return [value for seconds, value in steps for _ in range(0, seconds, every)]


@dataclass(frozen=True)
class Scraped:
    """One series of one target. `instance` and `pod` are the target's."""

    name: str
    values: Values
    labels: Mapping[str, str] = field(default_factory=lambda: MODEL)
    pod: str = "one"

    def as_input(self) -> dict[str, str]:
        """As promtool's `input_series` have it."""
        mine = {"job": "j", "instance": f"{self.pod}:8080", "pod": self.pod, **self.labels}
        labels = ",".join(f'{name}="{value}"' for name, value in mine.items())
        words = []
        present = False
        for value in self.values:
            if value is not None:
                words.append(f"{value:g}")
            else:
                words.append("stale" if present else "_")
            present = value is not None
        return {"series": f"{self.name}{{{labels}}}", "values": " ".join(words)}


@dataclass(frozen=True)
class Expected:
    """That an expression sums to a value at so many seconds; None: that it has no series."""

    expr: str
    seconds: int
    value: float | None

    def as_test(self) -> dict[str, object]:
        """As promtool's `promql_expr_test` have it."""
        samples = [] if self.value is None else [{"labels": "{}", "value": self.value}]
        return {
            "expr": f"sum({self.expr})",
            "eval_time": f"{self.seconds}s",
            "exp_samples": samples,
        }


def firing(alert: str, seconds: int, count: int) -> Expected:
    """That so many alerts of a name fire; pending ones do not."""
    expr = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    return Expected(expr, seconds, count or None)


def objections(
    folder: Path,
    every: int,
    series: Sequence[Scraped],
    *expected: Expected,
    alerts: Sequence[Mapping[str, object]] = (),
) -> str:
    """What promtool has against it that scrapes, one `every` so many seconds, lead to that.

    Nothing is "". `alerts` are `alert_rule_test`, which look at annotations as well.
    """
    test = {
        "interval": f"{every}s",
        "input_series": [one.as_input() for one in series],
        "promql_expr_test": [one.as_test() for one in expected],
        "alert_rule_test": alerts,
    }
    file = {"rule_files": ["rules.json"], "evaluation_interval": "1s", "tests": [test]}
    asked = [one.expr for one in expected] + [str(one["alertname"]) for one in alerts]
    (folder / "rules.json").write_text(json.dumps({"groups": _needed(" ".join(asked))}))
    (folder / "test.json").write_text(json.dumps(file))
    command = [program("promtool"), "test", "rules", "test.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr
