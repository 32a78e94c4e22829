"""The page's server: on loopback, under a path that is told to nobody else."""

import logging
import secrets
import socket
from functools import partial

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from bokeh.settings import settings
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

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
        try:
            listening = socket.create_server((HOST, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} cannot be had: {error.strerror}: name another with --port,"
                " or leave it out for a free one"
            ) from None
        listening.setblocking(False)
        own = f"{HOST}:{listening.getsockname()[1]}"
        path = f"/{secrets.token_urlsafe(16)}"
        self.url = f"http://{own}{path}"
        """The page's address, which holds its secret."""
        # Whatever the environment says: no script of a network, and no other origin.
        settings.resources.set_value("server")
        settings.allowed_ws_origin.set_value([])
        for name in ("bokeh", "tornado.access"):  # refusals to others are no news
            logging.getLogger(name).setLevel(logging.ERROR)
        application = Application(FunctionHandler(partial(open_page, world)))
        pages = BokehTornado({path: application}, extra_websocket_origins=[own], use_index=False)
        web = HTTPServer(pages)
        web.add_socket(listening)
        self._loop = IOLoop.current()
        self._server = BaseServer(self._loop, pages, web)

    def run(self) -> None:
        """Serve until `stop`, in the thread that made it."""
        self._server.start()
        self._loop.start()
        self._server.stop()
        self._loop.close()

    def stop(self) -> None:
        """End `run`, from a signal handler or any thread."""
        self._loop.add_callback(self._loop.stop)
