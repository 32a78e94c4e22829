import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from elasticsearch import Elasticsearch

import closedloop.suite  # noqa: F401  # before anything imports jsonschema, see there
from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.client.own_models import LOCK
from closedloop.platforms.embedded.parts.model_environment import model_environment, trained_models
from tests.elasticsearch import running_elasticsearch
from tests.inference_log import empty, put_templates
from tests.sharing import end_what_nobody_shares, group, place

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
    """What takes longest begins; what shares a file, or a platform, a worker."""
    if not config.option.nightly:
        later = [item for item in items if item.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in set(later)]
    items.sort(key=place)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))


@pytest.hookimpl(trylast=True)  # after what the item itself takes down
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    end_what_nobody_shares(item, nextitem)


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
    requirements = checkout_root() / LOCK

    async def made() -> Path:
        python = await model_environment(parts_folder(), requirements, print)
        await trained_models(python, print)
        return python

    return asyncio.run(made())
