"""What CI does, read from the workflows: GitHub runs them, nothing here can."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
_RUNNERS_LIMIT = 360  # minutes


def job(path: Path) -> Any:
    """The only job."""
    (one,) = yaml.safe_load(path.read_text())["jobs"].values()
    return one


def named(path: Path, beginning: str) -> Any:
    (step,) = (s for s in job(path)["steps"] if s.get("name", "").startswith(beginning))
    return step


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_has_the_form_that_github_asks_for(path: Path) -> None:
    arguments = ["--builtin-schema", "vendor.github-workflows", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_run_left_is_kept_however_it_ended(path: Path) -> None:
    assert job(path)["timeout-minutes"] < _RUNNERS_LIMIT
    upload = named(path, "Keep executed notebooks")
    assert upload["if"] == "always()"
    assert "out/" in upload["with"]["path"].split()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_may_only_read_the_repository(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_scripts_are_shell(path: Path) -> None:
    for step in job(path)["steps"]:
        if "run" in step:
            subprocess.run(["/bin/bash", "-n"], input=step["run"], text=True, check=True)


def test_the_cluster_suite_runs_nightly_on_demand_and_on_a_label() -> None:
    kind = FOLDER / "kind.yml"
    # YAML reads the key `on` as true.
    triggers = yaml.safe_load(kind.read_text())[True]
    assert set(triggers) == {"schedule", "workflow_dispatch", "pull_request"}
    assert "labels.*.name, 'cluster')" in job(kind)["if"]


def test_long_steps_end_before_the_job_does() -> None:
    kind = job(FOLDER / "kind.yml")
    limits = [step["timeout-minutes"] for step in kind["steps"] if "timeout-minutes" in step]
    assert len(limits) == 5
    assert sum(limits) < kind["timeout-minutes"]


def test_the_cluster_is_tested_and_its_numbers_are_those_of_the_embedded_platform() -> None:
    kind = FOLDER / "kind.yml"
    embedded = named(kind, "The notebooks on the embedded platform")["run"]
    for attempt in ("The notebooks and the tests on a cluster", "Once more"):
        asked = named(kind, attempt)["run"]
        assert "./scripts/test --platform cluster" in asked
        (other,) = re.findall(r"--same (\S+)", asked)
        assert embedded.endswith(f"--out {other}")


def test_a_second_attempt_is_reported() -> None:
    kind = FOLDER / "kind.yml"
    second = named(kind, "Once more")
    assert second["if"] == "steps.first.outcome == 'failure'"
    assert "continue-on-error" not in second
    report = named(kind, "Say how it went")
    assert report["if"] == "always()"
    assert "GITHUB_STEP_SUMMARY" in report["run"]
    assert "::warning::" in report["run"]
