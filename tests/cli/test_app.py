import pytest

from closedloop import __version__
from tests.cli.conftest import Invoke

COMMANDS = [
    "demo",
    "run",
    "live",
    "slides",
    "up",
    "status",
    "logs",
    "down",
    "traffic",
    "compare",
    "promote",
]


def test_without_a_command_it_lists_them(invoke: Invoke) -> None:
    shown = invoke("--help").output
    assert all(f" {command} " in shown for command in COMMANDS)
    assert "Begin with closedloop demo" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command(command: str, invoke: Invoke) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"closedloop {command}" in result.output.replace("root", "closedloop")
    sentence = result.output.split("Usage:")[1].split("\n\n")[0]
    assert sentence


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"slides"}))
def test_the_platform_may_be_named_by_option_or_environment(command: str, invoke: Invoke) -> None:
    shown = invoke(command, "--help").output
    assert "--platform" in shown
    assert "CLOSEDLOOP_PLATFORM" in shown


def test_the_version(invoke: Invoke) -> None:
    assert invoke("--version").output == f"{__version__}\n"
