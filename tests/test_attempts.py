"""A second attempt at setting up is told, and fails a nightly run; a test has one try."""

from collections.abc import Callable

import pytest

from closedloop.paths import checkout_root
from closedloop.platforms.protocol import PlatformError
from tests import attempts

pytest_plugins = ("pytester",)

# They ask for settings of ours, or write into our folder.
_WITHOUT = [f"-pno:{plugin}" for plugin in ("asyncio", "cacheprovider", "osmem", "timeout")]
_SLOW = PlatformError("sklearn is not ready within 300 s (starting): see its log")
_TEST = """
from tests.attempts import set_up

def test() -> None:
    made = iter([ConnectionError("refused"), "up"])
    def make():
        one = next(made)
        if isinstance(one, Exception):
            raise one
        return one
    assert set_up("the platform", make, list) == "up"
"""


def fails(*errors: BaseException) -> tuple[list[str], Callable[[], str]]:
    """A note of what was called, and a set-up that fails so and then returns."""
    called: list[str] = []
    left = iter(errors)

    def make() -> str:
        called.append("make")
        for error in left:
            raise error
        return "up"

    return called, make


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The attempts of this test, apart from those of the run that it is part of."""
    mine: list[str] = []
    monkeypatch.setattr(attempts, "_attempts", mine)
    return mine


@pytest.mark.parametrize(
    "error",
    [
        _SLOW,
        TimeoutError("everything to be ready: not within 120 s, the last value was []"),
        ConnectionResetError("reset by peer"),
    ],
)
def test_what_was_not_up_or_not_reached_is_set_up_again(error: Exception, told: list[str]) -> None:
    called, make = fails(error)
    assert attempts.set_up("it", make, lambda: called.append("down")) == "up"
    assert called == ["make", "down", "make"]
    assert told == [f"it: {type(error).__name__}: {error}"]


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("ConnectionError: 99 == 100"),
        TimeoutError("7 dead letters: not within 120 s, the last value was 6"),
        PlatformError("nothing is running: closedloop up"),
        KeyboardInterrupt(),
    ],
)
def test_anything_else_has_one_attempt(error: BaseException, told: list[str]) -> None:
    called, make = fails(error)
    with pytest.raises(type(error)):
        attempts.set_up("it", make, lambda: called.append("down"))
    assert called == ["make", "down"]
    assert told == []


def test_there_is_no_third_attempt() -> None:
    called, make = fails(_SLOW, _SLOW)
    with pytest.raises(PlatformError):
        attempts.set_up("it", make, lambda: called.append("down"))
    assert called == ["make", "down"] * 2


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--nightly", "-n1"], 1)])
def test_the_run_tells_and_the_nightly_run_fails(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    status: int,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(checkout_root()))
    pytester.makepyfile(_TEST)
    done = pytester.runpytest_subprocess("-ptests.attempts", *_WITHOUT, *options)
    assert done.ret == status
    assert done.parseoutcomes() == {"passed": 1}
    done.stdout.fnmatch_lines(["*set up twice*", "the platform: ConnectionError: refused"])


def test_tests_of_one_file_stay_on_one_worker(request: pytest.FixtureRequest) -> None:
    grouped = request.config.getoption("loadgroup", default=False)
    # Versions of pytest and xdist that do not fit each other ignore groups without a word.
    assert request.node.nodeid.endswith("@tests/test_attempts.py") == grouped
