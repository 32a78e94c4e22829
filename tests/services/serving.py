"""A service that runs inside a test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from closedloop.services.kit.asgi import Application
from closedloop.services.kit.server import Server, configured


@asynccontextmanager
async def serving(app: Application) -> AsyncIterator[tuple[Server, int]]:
    """The server and its port; it ends with the context, open requests within a second."""
    server = Server(configured(app, grace=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.serve([listening]))
        while not server.started:
            assert not running.done()
            await asyncio.sleep(0.001)
        try:
            yield server, listening.getsockname()[1]
        finally:
            server.should_exit = True
            await running
