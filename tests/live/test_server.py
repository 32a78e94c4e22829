"""The page's server: of loopback alone, and of nobody who does not know its path."""

import socket
from collections.abc import Iterator

import aiohttp
import pytest
import requests

from closedloop.live.server import HOST, PageServer, PortTaken
from closedloop.live.traffic import Streams
from closedloop.live.world import World
from tests.live.serving import served
from tests.suite.fakes import FakePlatform


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A page of a platform on which nothing runs, where Bokeh is set up for everybody's use."""
    monkeypatch.setenv("BOKEH_ALLOW_WS_ORIGIN", "*")
    monkeypatch.setenv("BOKEH_RESOURCES", "cdn")
    world = World(FakePlatform(up=True), Streams(rate=1, share=1), ours=False)
    with served(world) as url:
        yield url
    world.close()


def test_page_brings_its_own_scripts(url: str) -> None:
    page = requests.get(url, timeout=10).text
    assert "closedloop live" in page
    sources = [part.split('"')[0] for part in page.split(' src="')[1:]]
    assert sources
    assert all(source.startswith(("static/", "/", url.rpartition("/")[0])) for source in sources)
    assert "cdn." not in page


def test_path_without_the_secret_is_not_there(url: str) -> None:
    root, _, secret = url.rpartition("/")
    assert len(secret) > 20
    for path in ("/", "/live", f"/{secret[:-1]}", "/sessions"):
        assert requests.get(root + path, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("http://127.0.0.1:1", 403), ("", 101)]
)
async def test_websocket_is_for_the_page_alone(url: str, origin: str, status: int) -> None:
    own = url.rpartition("/")[0]
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            token = (await answer.text()).split('"token":"')[1].split('"')[0]
        try:
            async with session.ws_connect(
                f"{url}/ws", protocols=("bokeh", token), headers={"Origin": origin or own}
            ):
                found = 101
        except aiohttp.WSServerHandshakeError as error:
            found = error.status
    assert found == status


def test_it_listens_on_loopback_alone(url: str) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    assert url.startswith(f"http://{HOST}:")
    with socket.socket() as other, pytest.raises(OSError, match=r"in use"):
        other.bind((HOST, port))
    with socket.socket() as other:  # another address of loopback is free, so not all are taken
        other.bind(("127.0.0.2", port))


def test_port_that_is_taken_is_said_in_a_sentence() -> None:
    world = World(FakePlatform(up=True), Streams(rate=1, share=1), ours=False)
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} cannot be had: .*--port"):
            PageServer(world, port)
