"""Setting up real parts, which a busy machine may not have up in time: a second attempt, told.

A test has one try; only what is set up for many has a second, and then the
summary says so. With `--nightly` the run fails for it. A plugin of pytest.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

# Not up in time, or not reached. No assertion is among it, and no wait for a count or an event,
# for that is how a lost one shows.
_AGAIN = re.compile(
    r"PlatformError: .* within [\d.]+ s"
    r"|TimeoutError: .*(to be ready|the wrapper): not within"
    r"|\w*([Cc]onnect|Read)\w*(Error|Timeout): "
    r"|TimeoutExpired: "
)
_attempts: list[str] = []


def set_up(what: str, make: Callable[[], T], take_down: Callable[[], object]) -> T:
    """What `make` returns, in its second attempt if the first was not up in time or not reached.

    `take_down` clears away what a failed attempt left.
    """
    try:
        return make()
    except BaseException as error:
        take_down()
        said = f"{type(error).__name__}: {error}"
        if not _AGAIN.match(said):
            raise
        _attempts.append(f"{what}: {said}")
    try:
        return make()
    except BaseException:
        take_down()
        raise


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nightly",
        action="store_true",
        help="also the tests marked `nightly`, ten times the examples of each law, and a failure"
        " if anything had to be set up twice",
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was set up twice to the process that reports, and fail a nightly run for it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of xdist
        output["attempts"] = _attempts
    elif _attempts and session.config.option.nightly and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take what a worker of xdist set up twice."""
    _attempts.extend(getattr(node, "workeroutput", {}).get("attempts", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _attempts:
        terminalreporter.section("set up twice", yellow=True)
        for line in _attempts:
            terminalreporter.line(line)
