import pytest

pytest_plugins = ("pytester",)

# They ask for settings of ours, or write into our folder.
_WITHOUT = [f"-pno:{plugin}" for plugin in ("asyncio", "cacheprovider", "osmem")]
_TEST = """
import elasticsearch, pytest, requests, subprocess
from closedloop.platforms.protocol import PlatformError

@pytest.mark.embedded
def test():
    raise {raised}
"""


def tried_again(pytester: pytest.Pytester, raised: str) -> bool:
    pytester.makeconftest("from tests.conftest import pytest_collection_modifyitems")
    pytester.makepyfile(_TEST.format(raised=raised))
    seen = pytester.runpytest(*_WITHOUT).parseoutcomes()
    assert seen["failed"] == 1
    return seen.get("rerun", 0) == 1


@pytest.mark.parametrize(
    "raised",
    [
        "PlatformError('sklearn is not ready within 300 s (starting): see its log')",
        "TimeoutError('everything to be ready: not within 120 s, the last value was []')",
        "TimeoutError('nats to run again: not within 120 s, the last value was 7')",
        "requests.ConnectionError('refused')",
        "requests.ReadTimeout('read timed out')",
        "elasticsearch.ConnectionTimeout('timed out')",
        "ConnectionResetError('reset by peer')",
        "subprocess.TimeoutExpired('closedloop', 300)",
    ],
)
def test_what_was_not_up_or_not_reached_is_tried_again(
    pytester: pytest.Pytester, raised: str
) -> None:
    assert tried_again(pytester, raised)


@pytest.mark.parametrize(
    "raised",
    [
        "AssertionError('99 == 100')",
        "AssertionError('ConnectionError: 99 == 100')",
        "TimeoutError('the broker, the log and the metrics server to agree: not within 120 s')",
        "TimeoutError('7 dead letters: not within 120 s, the last value was 6')",
        "TimeoutError()",
        "PlatformError('nothing is running: closedloop up')",
    ],
)
def test_a_count_that_is_wrong_has_one_try(pytester: pytest.Pytester, raised: str) -> None:
    assert not tried_again(pytester, raised)


def test_tests_of_one_file_stay_on_one_worker(request: pytest.FixtureRequest) -> None:
    grouped = request.config.getoption("loadgroup", default=False)
    # Versions of pytest and xdist that do not fit each other ignore groups without a word.
    assert request.node.nodeid.endswith("@tests/test_conftest.py") == grouped
