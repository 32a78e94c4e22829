"""The page of a world, served in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from closedloop.live.server import PageServer
from closedloop.live.world import World


@contextmanager
def served(world: World) -> Iterator[str]:
    """The URL of the world's page."""
    made = threading.Event()
    servers: list[PageServer] = []

    def run() -> None:
        servers.append(PageServer(world))
        made.set()
        servers[0].run()

    thread = threading.Thread(target=run)
    thread.start()
    assert made.wait(60)
    try:
        yield servers[0].url
    finally:
        servers[0].stop()
        thread.join(60)
        assert not thread.is_alive()
