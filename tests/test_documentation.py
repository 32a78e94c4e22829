"""What README, CONTRIBUTING and CHANGELOG say in numbers and names is what the code has."""

import re
from configparser import ConfigParser
from itertools import pairwise
from pathlib import Path

import closedloop
from closedloop.cli.app import app
from closedloop.paths import checkout_root
from closedloop.platforms.cluster import preflight
from closedloop.platforms.cluster.ports import published

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


def map_rows() -> list[list[str]]:
    """The modules in each row of the map, a folder with a slash at its end."""
    rows = re.findall(r"^\| (`.*?) \|.*\|$", text("CONTRIBUTING.md"), re.MULTILINE)
    return [quoted(row) for row in rows]


def test_the_map_has_every_module_once() -> None:
    folder = Path(closedloop.__file__).parent
    there = {
        f"{path.name}/" if path.is_dir() else path.stem
        for path in folder.iterdir()
        if (path.is_dir() or path.suffix == ".py") and not path.name.startswith("__")
    }
    said = [name for row in map_rows() for name in row]
    assert sorted(said) == sorted(there)


def test_the_map_goes_from_the_lowest_layer_to_the_highest() -> None:
    contracts = ConfigParser(comment_prefixes=(";",))
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]["layers"].split("\n")
    height = {
        name.strip("() "): rank
        for rank, layer in enumerate(reversed([layer for layer in layers if layer.strip()]))
        for name in re.split("[|:]", layer)
    }
    rows = [[height[name.rstrip("/")] for name in row] for row in map_rows()]
    for lower, higher in pairwise(rows):
        assert max(lower) <= min(higher)
