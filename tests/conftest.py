import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from elasticsearch import Elasticsearch

import closedloop.suite  # noqa: F401  # before anything imports jsonschema, see there
from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.embedded.parts.model_environment import model_environment, trained_models
from tests.elasticsearch import running_elasticsearch
from tests.inference_log import empty, put_templates

# How long one example takes, to run or to be made, says more about what else the machine does.
_UNTIMED = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("push", _UNTIMED, max_examples=50)
hypothesis.settings.register_profile("nightly", _UNTIMED, max_examples=500)

pytest_plugins = ("tests.attempts",)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("nightly" if config.option.nightly else "push")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins; what shares a file, or a platform, a worker.

    Each notebook has a platform of its own, and so may be on any worker.
    """
    if not config.option.nightly:
        later = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in set(later)]
    items.sort(key=lambda item: (_place(item), item.name != "test_all_in_order"))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


# The fixtures of platforms that tests of many files share.
_PLATFORMS = ("_whole_loop", "installed")


def _group(item: pytest.Item) -> str:
    if item.get_closest_marker("notebook"):
        return item.nodeid
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0])
    needed = getattr(item, "fixturenames", ())
    return next((name for name in _PLATFORMS if name in needed), item.location[0])


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("notebook"):
        return 0
    group = _group(item)
    return 1 + (_PLATFORMS.index(group) if group in _PLATFORMS else len(_PLATFORMS))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell lets what it runs in the background ignore SIGINT; tests raise and send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _search_server() -> Iterator[Elasticsearch]:
    with running_elasticsearch() as url, Elasticsearch(url) as client:
        put_templates(client)
        yield client


@pytest.fixture
def search(_search_server: Elasticsearch) -> Elasticsearch:
    """A client of an Elasticsearch-compatible server without any index."""
    empty(_search_server)
    return _search_server


@pytest.fixture
def url(search: Elasticsearch) -> str:
    """The URL of that server."""
    (node,) = search.transport.node_pool.all()
    return node.base_url


@pytest.fixture(scope="session")
def model_python() -> Path:
    """The interpreter of the model servers' environment, made once for all test runs."""
    requirements = checkout_root() / "docker" / "iris" / "requirements.txt"

    async def made() -> Path:
        python = await model_environment(parts_folder(), requirements, print)
        await trained_models(python, print)
        return python

    return asyncio.run(made())
