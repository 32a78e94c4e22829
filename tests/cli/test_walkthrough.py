import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from closedloop.cli import app
from closedloop.suite.run import Plan, Run
from tests.cli.conftest import Invoke
from tests.suite.fakes import notebook


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans of the runs that were asked for; none of them is carried out."""
    plans: list[Plan] = []

    def note(run: Run) -> int:
        plans.append(run.plan)
        return 3

    monkeypatch.setattr(Run, "__call__", note)
    return plans


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notebook(tmp_path / "notebooks" / "01_a.ipynb")
    notebook(tmp_path / "notebooks" / "02_b.ipynb")
    (tmp_path / "notebooks" / "test-parameters.yaml").write_text("02_b: {n: 1}\n")
    return tmp_path / "notebooks"


def test_all_notebooks_with_the_platform(invoke: Invoke, planned: list[Plan], folder: Path) -> None:
    result = invoke("run", "--notebooks", str(folder), "--out", str(folder / "out"))
    assert result.exit_code == 3
    (plan,) = planned
    assert [path.stem for path in plan.notebooks] == ["01_a", "02_b"]
    assert plan.parameters["01_a"] == {"platform": "embedded"}
    assert (plan.folder, plan.keep) == (folder / "out", False)


def test_only_some_with_parameters(invoke: Invoke, planned: list[Plan], folder: Path) -> None:
    invoke("run", "--notebooks", str(folder), "--only", "02", "-p", "n", "-5", "--keep")
    (plan,) = planned
    assert plan.parameters == {"02_b": {"platform": "embedded", "n": -5}}
    assert plan.keep


def test_parameters_of_the_tests(invoke: Invoke, planned: list[Plan], folder: Path) -> None:
    invoke("run", "--notebooks", str(folder), "--test")
    assert planned[0].parameters["02_b"]["n"] == 1
    invoke("run", "--notebooks", str(folder), "--test", "--parameter", "n", "7")
    assert planned[1].parameters["02_b"]["n"] == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "09"], "there is no notebook '09': known are 01_a, 02_b"),
        (
            ["-p", "total", "1"],
            "there is no parameter 'total' in 01_a, 02_b: known",
        ),
        (["-p", "n", "x"], "the parameter n is 'x': give int"),
        (["-p", "n"], "-p is followed by 'n': give a name and a value"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], sentence: str, invoke: Invoke, planned: list[Plan], folder: Path
) -> None:
    result = invoke("run", "--notebooks", str(folder), *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(sentence)
    assert result.stderr.count("\n") == 1
    assert planned == []


def test_slides_of_an_executed_run(invoke: Invoke, tmp_path: Path) -> None:
    notebook(tmp_path / "01_a.ipynb", "# Hello")
    result = invoke("slides", str(tmp_path))
    assert result.exit_code == 0
    assert result.output == f"{tmp_path / 'slides' / '01_a.slides.html'}\n"
    assert "Hello" in (tmp_path / "slides" / "01_a.slides.html").read_text()


def test_slides_of_a_folder_without_notebooks(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("slides", str(tmp_path))
    assert result.exit_code == 1
    assert "holds no notebook" in result.stderr


def test_two_runs_are_compared(invoke: Invoke, tmp_path: Path) -> None:
    for name, seen in (("a", 3), ("b", 4)):
        (tmp_path / name).mkdir()
        run: dict[str, Any] = {"parameters": {}, "varies": {}}
        run["notebooks"] = [{"notebook": "03_x", "state": "ok"}]
        run["results"] = {"03_x": {"n": seen}}
        (tmp_path / name / "run.json").write_text(json.dumps(run))
    assert invoke("same", str(tmp_path / "a"), str(tmp_path / "a")).exit_code == 0
    result = invoke("same", str(tmp_path / "a"), str(tmp_path / "b"))
    assert result.exit_code == 1
    assert "03_x: n: 3 and 4" in result.output
    assert "1 of 2 values differ, beside 0 that may" in result.output


def test_demo_and_run_are_the_same_and_write_what_ci_reads(
    invoke: Invoke, planned: list[Plan], folder: Path, tmp_path: Path
) -> None:
    files = ["--junit", str(tmp_path / "a.xml"), "--summary", str(tmp_path / "b.md")]
    for command in ("demo", "run"):
        shown = ["--pictures", "https://pages.test/x"]
        assert invoke(command, "--notebooks", str(folder), *files, *shown).exit_code == 3
        plan = planned.pop()
        assert (plan.junit, plan.summary) == (tmp_path / "a.xml", tmp_path / "b.md")
        assert plan.pictures == "https://pages.test/x/"
        assert not plan.talkative


def test_quick_is_a_choice_with_parameters_that_others_may_change(
    invoke: Invoke, planned: list[Plan], folder: Path
) -> None:
    (folder / "quick-parameters.yaml").write_text("02_b: {n: 4}\n")
    asked = ("demo", "--notebooks", str(folder), "--quick")
    for more, parameters in (
        ((), {"02_b": {"platform": "embedded", "n": 4}}),
        (("-p", "n", "9"), {"02_b": {"platform": "embedded", "n": 9}}),
        (("--only", "01"), {"01_a": {"platform": "embedded"}}),
    ):
        invoke(*asked, *more)
        plan = planned.pop()
        assert plan.parameters == parameters
        assert plan.talkative


def _set(name: str) -> str:
    return os.environ[f"CLOSEDLOOP_{name}"]


# For each option of `run`: its words, and its effect on the plan or for the notebooks.
EFFECTS: dict[str, tuple[tuple[str, ...], Callable[[Plan], object], object]] = {
    "--platform": (("cluster",), lambda plan: (plan.platform, plan.parameters), (
        "cluster", {"02_b": {"platform": "cluster", "n": 4}},
    )),
    "--only": (("01",), lambda plan: [path.stem for path in plan.notebooks], ["01_a"]),
    "--parameter": (("n", "9"), lambda plan: plan.parameters["02_b"]["n"], 9),
    "--keep": ((), lambda plan: plan.keep, True),
    "--out": (("/new/out",), lambda plan: plan.folder, Path("/new/out")),
    "--test": ((), lambda plan: plan.parameters["02_b"]["n"], 4),
    "--junit": (("/new/a.xml",), lambda plan: plan.junit, Path("/new/a.xml")),
    "--summary": (("/new/b.md",), lambda plan: plan.summary, Path("/new/b.md")),
    "--pictures": (("https://x.test",), lambda plan: plan.pictures, "https://x.test/"),
    "--context": (("mine",), lambda _: _set("CONTEXT"), "mine"),
    "--registry": (("mine:5000/a",), lambda _: _set("REGISTRY"), "mine:5000/a"),
    "--offline": (("/new/mirror",), lambda _: _set("OFFLINE"), "/new/mirror"),
    "--channel": (("KafkaChannel",), lambda _: _set("CHANNEL"), "KafkaChannel"),
    "--storage": (("pod",), lambda _: _set("STORAGE"), "pod"),
}  # fmt: skip


def test_quick_works_with_each_option(
    invoke: Invoke, planned: list[Plan], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "quick-parameters.yaml").write_text("02_b: {n: 4}\n")
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the options are set there
    options = {name for each in _options("demo") for name in each if name.startswith("--")}
    assert options == {*EFFECTS, "--quick", "--notebooks", "--help"}
    assert _options("demo") == _options("run")
    for name, (words, effect, expected) in EFFECTS.items():
        asked = invoke("demo", "--notebooks", str(folder), "--quick", name, *words)
        assert asked.exit_code == 3, asked.output
        plan = planned.pop()
        assert plan.talkative
        assert effect(plan) == expected, name


def _options(command: str) -> list[list[str]]:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    return [parameter.opts for parameter in commands[command].params] + [["--help"]]
