import pytest
from typer.testing import CliRunner

from closedloop.cli import app
from closedloop.platforms.protocol import PartStatus
from tests.cli.conftest import Invoke
from tests.suite.fakes import FakePlatform


def test_a_platform_error_is_one_sentence_on_stderr(invoke: Invoke) -> None:
    result = invoke("status", "--platform", "cluster")
    assert result.exit_code == 1
    assert result.stderr == "the cluster platform does not answer: check KUBECONFIG\n"
    assert result.stdout == ""


def test_the_environment_names_the_platform_too(invoke: Invoke) -> None:
    assert invoke("status", env={"CLOSEDLOOP_PLATFORM": "cluster"}).exit_code == 1


def test_a_platform_that_does_not_exist_is_a_usage_error(invoke: Invoke) -> None:
    result = invoke("status", "--platform", "moon")
    assert result.exit_code == 2
    assert "embedded" in result.stderr


def test_ctrl_c_is_no_traceback(
    invoke: Invoke, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> list[PartStatus]:
        raise KeyboardInterrupt

    monkeypatch.setattr(platform, "status", interrupted)
    result = invoke("status")
    assert result.exit_code == 130
    assert result.stderr == "interrupted\n"


def test_a_package_that_is_missing_is_named(
    invoke: Invoke, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> list[PartStatus]:
        raise ModuleNotFoundError("No module named 'nats'", name="nats")

    monkeypatch.setattr(platform, "status", missing)
    result = invoke("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("the package nats is not installed")


@pytest.mark.parametrize(
    "words", [("bundle", "--out", "/proc/x/b.tgz"), ("slides", "--out", "/proc/x")]
)
def test_a_path_that_cannot_be_written_is_named(words: tuple[str, ...], invoke: Invoke) -> None:
    result = invoke(*words)
    assert result.exit_code == 1
    assert result.stderr == (
        "/proc/x cannot be used: No such file or directory:"
        " name another, or see to its permissions\n"
    )


def test_an_error_of_the_system_that_names_no_path_shows_where_it_is(
    platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> list[PartStatus]:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(platform, "status", wrong)
    with pytest.raises(OSError, match="Bad file descriptor"):
        CliRunner().invoke(app, ["status"], catch_exceptions=False)


def test_our_own_mistakes_show_where_they_are(
    platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> list[PartStatus]:
        raise ZeroDivisionError

    monkeypatch.setattr(platform, "status", wrong)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(app, ["status"], catch_exceptions=False)
