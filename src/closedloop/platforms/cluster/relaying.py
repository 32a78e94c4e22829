"""Ports of this machine that lead to Services by the API server's proxy, request by request.

Forwarding takes the right to reach any port of any pod of a namespace, such as
the pages on which a proxy is stopped; the API server's proxy takes the right
to one port of one Service. It keeps `Authorization` for itself, so that a
Service that asks for a password is not reached in this way.
"""

import threading
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3
from kubernetes import client

from closedloop.platforms.client.api import Api

# Headers between neighbours (RFC 9110, 7.6.1), and those that are made anew here.
_OF_A_CONNECTION = {
    *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
    *("upgrade", "authorization", "host", "content-length"),
}
_ANSWER = 300.0  # seconds, longer than a gateway waits


def proxied(service: str, port: int) -> str:
    """The name by which a role gives the right to a port of a Service (`services/proxy`)."""
    return f"{service}:{port}"


class Relay:
    """Relays to Services of one cluster; everything ends with `close` or the process."""

    def __init__(self, api: Api) -> None:
        self._client = client.ApiClient(api.configuration)
        self._lock = threading.Lock()
        self._servers: dict[tuple[str, str, int], ThreadingHTTPServer] = {}

    def port(self, namespace: str, service: str, port: int) -> int:
        """The port of 127.0.0.1 that leads to a Service's port."""
        key = namespace, service, port
        with self._lock:
            if key not in self._servers:
                base = f"/api/v1/namespaces/{namespace}/services/{proxied(service, port)}/proxy"
                server = _Server(self._client, base)
                self._servers[key] = server
                threading.Thread(
                    target=server.serve_forever,
                    name=f"relay {namespace}/{service}:{port}",
                    daemon=True,
                ).start()
            found: int = self._servers[key].server_port
            return found

    def close(self) -> None:
        """Stop listening; requests that are under way end by themselves."""
        with self._lock:
            for server in self._servers.values():
                server.shutdown()
                server.server_close()
            self._servers.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api: client.ApiClient, base: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._api, self._base = api, base

    def ask(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> urllib3.BaseHTTPResponse:
        # As they are now: a token may have been renewed since the last request.
        for each in self._api.configuration.auth_settings().values():
            headers[each["key"]] = each["value"]
        pool: urllib3.PoolManager = self._api.rest_client.pool_manager
        return pool.request(
            method,
            f"{self._api.configuration.host}{self._base}{target}",
            headers=headers,
            body=body,
            timeout=_ANSWER,
            redirect=False,
            decode_content=False,
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    server: _Server

    def _relay(self) -> None:
        if "Transfer-Encoding" in self.headers:
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.server.ask(self.command, self.path, _kept(self.headers.items()), body)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self.send_error(HTTPStatus.BAD_GATEWAY, explain=f"the API server: {error}")
            return
        self.send_response_only(answer.status)
        for name, value in _kept(answer.headers.items()).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.data)

    def do_GET(self) -> None:
        self._relay()

    def do_HEAD(self) -> None:
        self._relay()

    def do_POST(self) -> None:
        self._relay()

    def log_message(self, *_: object) -> None:
        """Nothing: standard error is the user's."""


def _kept(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in _OF_A_CONNECTION}
