"""What the alert rules make of counts, evaluated by Prometheus' own promtool."""

import asyncio
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from closedloop.paths import parts_folder
from closedloop.platforms.embedded.parts.debian import programs
from closedloop.platforms.protocol import PlatformError
from tests.manifests.repository import objects

WHO = {
    "deployment_namespace": "seldon",
    "deployment_name": "sklearn",
    "predictor_name": "default",
}


@cache
def promtool() -> str:
    if found := shutil.which("promtool"):
        return found
    try:
        asyncio.run(programs(parts_folder()))
    except PlatformError as error:
        pytest.skip(f"there is no promtool: {error}")
    unpacked = parts_folder() / "debian" / "usr" / "bin" / "promtool"
    if not unpacked.is_file():
        pytest.skip(f"promtool is neither on PATH nor at {unpacked}: put Prometheus' own on PATH")
    return str(unpacked)


def series(name: str, pod: str, count: int) -> dict[str, str]:
    """At 0 for 40 s, then at `count`. Ten samples a second leave little to extrapolate."""
    labels = ",".join(f'{key}="{value}"' for key, value in {**WHO, "pod": pod}.items())
    return {"series": f"closedloop_{name}{{{labels}}}", "values": f"0+0x400 {count}+0x600"}


def said(folder: Path, correct: int, incorrect: int, alerts: list[dict[str, Any]]) -> str:
    """What promtool has against `alerts` being those of `ModelAccuracyLow` at 60 s; "" is nothing.

    Two replicas of the metrics server tell the same counts.
    """
    (rules,) = (one.document["spec"] for one in objects() if one.kind == "PrometheusRule")
    (folder / "rules.json").write_text(json.dumps(rules))
    counts = [
        series(name, pod, count)
        for name, count in (("correct", correct), ("incorrect", incorrect))
        for pod in ("one", "two")
    ]
    at = {"alertname": "ModelAccuracyLow", "eval_time": "60s", "exp_alerts": alerts}
    later = {"alertname": "ModelAccuracyLow", "eval_time": "80s", "exp_alerts": []}
    test = {"interval": "100ms", "input_series": counts, "alert_rule_test": [at, later]}
    every = {"rule_files": ["rules.json"], "evaluation_interval": "1s", "tests": [test]}
    (folder / "test.json").write_text(json.dumps(every))
    command = [promtool(), "test", "rules", "test.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(("correct", "incorrect"), [(0, 49), (24, 25), (25, 25), (60, 40)])
def test_few_rows_or_half_of_them_right_are_no_alarm(
    tmp_path: Path, correct: int, incorrect: int
) -> None:
    assert said(tmp_path, correct, incorrect, []) == ""


@pytest.mark.parametrize(
    ("correct", "incorrect", "share"), [(0, 50, "0%"), (20, 30, "40%"), (49, 51, "49%")]
)
def test_fifty_rows_of_which_most_are_wrong_are_one(
    tmp_path: Path, correct: int, incorrect: int, share: str
) -> None:
    summary = f"sklearn/default answered {share} of the last 30 s correctly"
    alert = {
        "exp_labels": {**WHO, "severity": "warning"},
        "exp_annotations": {"summary": summary},
    }
    assert said(tmp_path, correct, incorrect, [alert]) == ""
