from collections.abc import Callable, Sequence

import pytest
from typer.testing import CliRunner, Result

import closedloop.platforms
from closedloop.cli import app
from closedloop.platforms.protocol import Platform, PlatformError
from tests.suite.fakes import FakePlatform

Invoke = Callable[..., Result]


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """What every command finds when it connects to `embedded`; `cluster` is not there."""
    fake = FakePlatform()

    def connect(name: str, *, parent_pid: int | None = None) -> Platform:
        if name != "embedded":
            raise PlatformError(f"the {name} platform does not answer: check KUBECONFIG")
        return fake

    monkeypatch.setattr(closedloop.platforms, "connect", connect)
    monkeypatch.delenv("CLOSEDLOOP_PLATFORM", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return fake


@pytest.fixture
def invoke(platform: FakePlatform) -> Invoke:
    """Run a command line."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
        words: Sequence[str] = arguments
        return CliRunner().invoke(app, list(words), env=env)

    return run
