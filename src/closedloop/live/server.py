"""The page's server: on loopback, under a path that is told to nobody else."""

import logging
import secrets
from functools import partial

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import Server
from bokeh.settings import settings

from closedloop.live.page import open_page
from closedloop.live.world import World

HOST = "127.0.0.1"


class PortTaken(Exception):
    """Something else listens on the port; one sentence."""


class PageServer:
    """Serves the page of a world to any number of browsers of this machine.

    Another web page in the same browser can neither read nor use it: the path
    holds a secret, and a WebSocket, the only way to a control, is refused to
    every origin but the page's own. Scripts and styles come from here as well.
    """

    def __init__(self, world: World, port: int = 0) -> None:
        self._path = f"/{secrets.token_urlsafe(16)}"
        # Whatever the environment says: no script of a network, and no other origin.
        settings.resources.set_value("server")
        settings.allowed_ws_origin.set_value([])
        logging.getLogger("bokeh").setLevel(logging.ERROR)
        logging.getLogger("tornado.access").setLevel(logging.ERROR)
        application = Application(FunctionHandler(partial(open_page, world)))
        try:
            self._server = Server(
                {self._path: application},
                address=HOST,
                port=port,
                allow_websocket_origin=None,
                use_index=False,
                redirect_root=False,
            )
        except OSError as error:
            raise PortTaken(
                f"port {port} cannot be had: {error.strerror}: name another with --port,"
                " or leave it out for a free one"
            ) from None

    @property
    def url(self) -> str:
        """The page's address, which holds its secret."""
        return f"http://{HOST}:{self._server.port}{self._path}"

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.start()
        self._server.io_loop.start()
        self._server.stop()
        self._server.io_loop.close()

    def stop(self) -> None:
        """End `run`, from a signal handler or any thread."""
        self._server.io_loop.asyncio_loop.call_soon_threadsafe(self._server.io_loop.stop)  # type: ignore[attr-defined]
