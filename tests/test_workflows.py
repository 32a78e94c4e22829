"""The workflows and the action have the form that GitHub takes, and their scripts are shell."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.paths import checkout_root

FOLDER = checkout_root() / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
ACTIONS = sorted((FOLDER / "actions").glob("*/action.yml"))
_RUNNERS_LIMIT = 360  # minutes
_PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def takes(schema: str, *paths: Path) -> None:
    """Assert that files are as the schema has them, which check-jsonschema carries."""
    arguments = ["--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def jobs(path: Path) -> Iterator[Any]:
    yield from yaml.safe_load(path.read_text())["jobs"].values()


def steps(path: Path) -> Iterator[Any]:
    if path in ACTIONS:
        yield from yaml.safe_load(path.read_text())["runs"]["steps"]
        return
    for job in jobs(path):
        yield from job["steps"]


def test_workflows_and_examples_for_other_repositories_have_the_form_that_github_takes(
    tmp_path: Path,
) -> None:
    page = (checkout_root() / "docs" / "pipelines.md").read_text()
    texts = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(texts) == 2
    examples = [tmp_path / f"{number}.yml" for number in range(len(texts))]
    for example, text in zip(examples, texts, strict=True):
        assert len(text.splitlines()) <= 10
        example.write_text(text)
    takes("vendor.github-workflows", *WORKFLOWS, *examples)


def test_actions_have_the_form_that_github_takes() -> None:
    takes("vendor.github-actions", *ACTIONS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_job_ends_in_time_for_what_it_keeps_and_may_only_read(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    for job in jobs(path):
        limits = [step.get("timeout-minutes", 0) for step in job["steps"]]
        assert sum(limits) < job["timeout-minutes"] < _RUNNERS_LIMIT


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name)
def test_scripts_are_shell_and_actions_are_pinned_by_digest(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            subprocess.run(["/bin/bash", "-n"], input=step["run"], text=True, check=True)
        elif not step["uses"].startswith("./"):
            assert _PINNED.fullmatch(step["uses"]), step["uses"]


def test_the_pins_that_are_looked_after_have_the_form_that_renovate_takes() -> None:
    takes("vendor.renovate", FOLDER / "renovate.json")


def test_words_of_the_action_are_those_of_a_shell_and_nothing_is_carried_out(
    tmp_path: Path,
) -> None:
    (action,) = ACTIONS
    (step,) = (step for step in steps(action) if step.get("id") == "run")
    script = step["run"].replace("pip install", "true").replace("uvx", "printf '<%s>'")
    for given, words in (
        ("", ""),
        ("-p names 'a b' --only 03", "<-p><names><a b><--only><03>"),
        ("$(touch oops) `touch oops`", "<$(touch><oops)><`touch><oops`>"),
    ):
        done = subprocess.run(
            ["/bin/bash", "-eo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "ARGUMENTS": given,
                "SUITE": "here",
                "GITHUB_WORKSPACE": str(tmp_path),
                "GITHUB_OUTPUT": str(tmp_path / "output"),
                "GITHUB_STEP_SUMMARY": "summary",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.endswith(f"<--summary><summary>{words}")
    assert [path.name for path in tmp_path.iterdir()] == ["output"]
