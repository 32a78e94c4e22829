"""Calls to the model server behind one executor."""

import asyncio
from dataclasses import dataclass
from io import BytesIO
from time import perf_counter
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import Histogram

# Headers that belong to one connection and are made anew for the next.
_PER_CONNECTION = {
    *("connection", "content-length", "content-type", "expect", "host", "keep-alive"),
    *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
}
_OURS_TO_SET = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class ModelUnreachable(Exception):
    """No answer from the model; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The part of a model's answer that survives."""

    status: int
    body: bytes
    content_type: str
    content_encoding: str


def session(timeout: float | None) -> aiohttp.ClientSession:
    """Connections to a model; `timeout` is in seconds for a whole call, None for no limit.

    Every call is a connection of its own: the model server closes each after its
    answer, and a call must never meet one that is just being closed.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        timeout=aiohttp.ClientTimeout(total=timeout),
        auto_decompress=False,
        skip_auto_headers=_OURS_TO_SET,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class ModelClient:
    """The model at `url`, called through a `session`."""

    def __init__(
        self, url: str, http: aiohttp.ClientSession, latency: Histogram, labels: tuple[str, ...]
    ) -> None:
        self.url = url.rstrip("/")
        self._http = http
        self._latency = latency
        self._labels = labels

    async def post(self, path: str, body: bytes, headers: CIMultiDictProxy[str]) -> Reply:
        """POST a client's body with its headers. Raises `ModelUnreachable`."""
        url = f"{self.url}{path}"
        forwarded = _forwarded(headers)
        forwarded["Content-Type"] = headers.get("Content-Type", "")
        started = perf_counter()
        try:
            async with self._http.post(
                url, data=BytesIO(body), headers=forwarded, allow_redirects=False
            ) as response:
                # Like Go's instrumented transport: up to the headers, and only if they came.
                seconds = perf_counter() - started
                labels = (path, *self._labels, "post", str(response.status))
                self._latency.labels(*labels).observe(seconds)
                return Reply(
                    status=response.status,
                    body=await response.read(),
                    content_type=response.headers.get("Content-Type", ""),
                    content_encoding=response.headers.get("Content-Encoding", ""),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = str(error) or type(error).__name__
            raise ModelUnreachable(f"POST {url}: {cause}") from error

    async def listens(self) -> bool:
        """Whether a TCP connection to the model can be made."""
        address = urlsplit(self.url)
        try:
            _, writer = await asyncio.open_connection(address.hostname, address.port or 80)
        except OSError:
            return False
        writer.close()
        return True


def _forwarded(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _PER_CONNECTION
    )
