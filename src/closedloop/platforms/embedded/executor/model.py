"""Calls to the model server behind one executor, as Go's HTTP client makes them."""

import asyncio
import errno
from dataclasses import dataclass
from io import BytesIO
from time import perf_counter
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from closedloop.platforms.embedded.executor.latency import Latency

# What belongs to one connection and is made anew for the next.
_PER_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OURS_TO_SET = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class ModelUnreachable(Exception):
    """No answer from the model; the message is worded as Go's HTTP client words it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What survives of a model's answer."""

    status: int
    body: bytes
    content_type: str
    content_encoding: str


class ModelClient:
    """The model at `url`; use it as an async context manager.

    `timeout` is in seconds for a whole call, None for no limit. Every call is
    a connection of its own: the model server closes each after its answer, and
    a call must never meet one that is just being closed.
    """

    def __init__(
        self, url: str, latency: Latency, labels: tuple[str, ...], timeout: float | None
    ) -> None:
        self.url = url.rstrip("/")
        self._latency = latency
        self._labels = labels
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=_OURS_TO_SET,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, path: str, body: bytes, headers: CIMultiDictProxy[str]) -> Reply:
        """POST a client's body with its headers. Raises `ModelUnreachable`."""
        forwarded = _forwarded(headers)
        forwarded["Content-Type"] = headers.get("Content-Type", "")
        return await self._call("POST", path, body, forwarded)

    async def get(self, path: str, headers: CIMultiDictProxy[str]) -> Reply:
        """GET with a client's headers. Raises `ModelUnreachable`."""
        return await self._call("GET", path, None, _forwarded(headers))

    async def _call(
        self, method: str, path: str, body: bytes | None, headers: CIMultiDict[str]
    ) -> Reply:
        if self._session is None:
            raise RuntimeError("enter the client before calling it")
        url = f"{self.url}{path}"
        started = perf_counter()
        try:
            data = None if body is None else BytesIO(body)
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as response:
                # Like Go's instrumented transport: up to the headers, and only if they came.
                seconds = perf_counter() - started
                code = str(response.status)
                self._latency.observe((path, *self._labels, method.lower(), code), seconds)
                return Reply(
                    status=response.status,
                    body=await response.read(),
                    content_type=response.headers.get("Content-Type", ""),
                    content_encoding=response.headers.get("Content-Encoding", ""),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = _cause(error)
            raise ModelUnreachable(f'{method.capitalize()} "{url}": {cause}') from error

    async def listens(self) -> bool:
        """Whether a TCP connection to the model can be made."""
        address = urlsplit(self.url)
        try:
            _, writer = await asyncio.open_connection(address.hostname, address.port or 80)
        except OSError:
            return False
        writer.close()
        return True

    async def healthy(self) -> bool:
        """Whether the model's own health check answers 200."""
        try:
            reply = await self.get("/api/v1.0/health/status", CIMultiDictProxy(CIMultiDict()))
        except ModelUnreachable:
            return False
        return reply.status == 200


def _forwarded(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _PER_CONNECTION
    )


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = errno.errorcode.get(error.os_error.errno or 0, "")
        said = "connection refused" if reason == "ECONNREFUSED" else str(error.os_error)
        return f"dial tcp {error.host}:{error.port}: connect: {said}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error) or type(error).__name__
