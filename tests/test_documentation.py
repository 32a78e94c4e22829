"""What README, CONTRIBUTING and CHANGELOG say in numbers and names is what the code has."""

import re

import pytest

from closedloop.cli.app import app
from closedloop.paths import checkout_root
from closedloop.platforms.cluster import preflight
from closedloop.platforms.cluster.ports import published
from tests import layer_map

ROOT = checkout_root()


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def quoted(said: str) -> list[str]:
    return re.findall(r"`([^`]+)`", said)


def test_what_a_cluster_needs_is_what_is_checked() -> None:
    (said,) = re.findall(
        r"Docker with (\d+) GiB of memory, (\d+) cores and (\d+) GiB of free disk",
        text("README.md"),
    )
    memory, cores, disk = map(int, said)
    assert (cores, disk) == (preflight._CORES, preflight._DISK)
    # Docker Desktop keeps a little of what it is given.
    assert memory - 1 <= preflight._MEMORY < memory


def test_the_ports_are_those_that_kind_publishes() -> None:
    (line,) = re.findall(
        r"Everything kind publishes is on 127\.0\.0\.1:(.*?)\. Passwords", text("README.md")
    )
    said = sorted(int(port) for port in re.findall(r"at (\d+)", line))
    assert said == sorted(one.host_port for one in published(ROOT / "manifests").values())


def test_every_command_is_in_the_changelog() -> None:
    (line,) = re.findall(r"The command line `closedloop`: (.*)", text("CHANGELOG.md"))
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]  # all have a callback
    assert quoted(line) == commands


def test_the_map_is_drawn_from_the_layers() -> None:
    page = text("CONTRIBUTING.md")
    drawn = layer_map.drawing(text(".importlinter"), ROOT / "src")
    assert layer_map.put(page, drawn) == page, "./scripts/map draws it anew"


def test_a_layer_without_its_module_cannot_be_drawn() -> None:
    wrong = text(".importlinter").replace("    figures |", "    pictures |")
    with pytest.raises(ValueError, match="closedloop has no module pictures"):
        layer_map.drawing(wrong, ROOT / "src")


def test_files_that_contributing_names_are_there() -> None:
    # Paths have a slash in them; commands begin with a dot, and other words are no paths.
    prose = re.sub(r"^```.*?^```", "", text("CONTRIBUTING.md"), flags=re.MULTILINE | re.DOTALL)
    said = {name for name in quoted(prose) if re.fullmatch(r"\w[\w./-]*/[\w./-]*", name)}
    assert len(said) > 10
    folders = (ROOT, ROOT / "src" / "closedloop")
    assert [name for name in said if not any((folder / name).exists() for folder in folders)] == []
