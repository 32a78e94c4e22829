import io
import json
from pathlib import Path

from rich.console import Console

from bench.__main__ import benchmarks, main


def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def said(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def test_prints_and_writes_every_number(tmp_path: Path) -> None:
    to = console()
    assert (
        main([], {"a": lambda: {"rate": 12345.6}, "b": lambda: {"p99 ms": 0.01234}}, tmp_path, to)
        == 0
    )
    assert "12,346" in said(to)
    assert "0.01234" in said(to)
    (file,) = tmp_path.glob("bench-*.json")
    assert json.loads(file.read_text())["results"] == {
        "a": {"rate": 12345.6},
        "b": {"p99 ms": 0.01234},
    }


def test_only_those_named(tmp_path: Path) -> None:
    to = console()
    assert main(["b"], {"a": lambda: {"rate": 1.0}, "b": lambda: {"other": 2.0}}, tmp_path, to) == 0
    assert "rate" not in said(to)


def test_one_that_fails_is_told_and_the_others_run(tmp_path: Path) -> None:
    to = console()
    assert main([], {"a": lambda: {"x": 1 / 0}, "b": lambda: {"rate": 2.0}}, tmp_path, to) == 1
    assert "ZeroDivisionError" in said(to)
    (file,) = tmp_path.glob("bench-*.json")
    content = json.loads(file.read_text())
    assert content["results"] == {"b": {"rate": 2.0}}
    assert "ZeroDivisionError" in content["failed"]["a"]


def test_an_unknown_name(tmp_path: Path) -> None:
    to = console()
    assert main(["c"], {"a": dict}, tmp_path, to) == 2
    assert "there is no benchmark 'c': known are a" in said(to)
    assert list(tmp_path.iterdir()) == []


def test_finds_the_modules_of_the_folder() -> None:
    found = benchmarks()
    assert {"prediction", "request_logger", "restore"} <= found.keys()
    assert "load" not in found  # measures nothing itself
