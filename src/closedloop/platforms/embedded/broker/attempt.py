"""One try to hand an event to a subscriber or a dead-letter sink over HTTP."""

from collections.abc import Mapping
from io import BytesIO

import aiohttp

from closedloop.platforms.embedded.broker.cloudevent import (
    CloudEvent,
    InvalidCloudEvent,
    from_http,
    is_event,
    to_http,
)
from closedloop.platforms.embedded.broker.delivery import Outcome

_MAX_ANSWER = 1 << 20


def session() -> aiohttp.ClientSession:
    """A client session fit for deliveries: no cookies, no limit of connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
    )


async def post(
    client: aiohttp.ClientSession, url: str, event: CloudEvent, *, namespace: str, timeout: float
) -> tuple[Outcome, CloudEvent | None]:
    """POST the event in binary mode; returns how it ended, and the event that came back."""
    headers = to_http(event)
    headers["Prefer"] = "reply"
    headers["Kn-Namespace"] = namespace
    try:
        async with client.post(
            url,
            data=BytesIO(event.body),
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout),
        ) as response:
            body = await _read(response)
            return judge(response.status, response.headers, body)
    except TimeoutError:
        return Outcome(500, f"dispatch error: no answer within {timeout:g} s".encode()), None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Outcome(500, f"dispatch error: {error}".encode()), None


def judge(
    status: int, headers: Mapping[str, str], body: bytes
) -> tuple[Outcome, CloudEvent | None]:
    """The meaning of an answer (Knative's broker filter, `writeResponse`).

    A success must have an empty body or be a CloudEvent, the reply; anything
    else counts as status 502.
    """
    if not 200 <= status < 300:
        return Outcome(status, body), None
    if not is_event(headers):
        return (Outcome(502, body) if body else Outcome(status)), None
    if len(body) >= _MAX_ANSWER:
        return Outcome(502, b"the reply is larger than 1 MiB"), None
    try:
        return Outcome(status), from_http(headers, body)
    except InvalidCloudEvent as error:
        return Outcome(502, str(error).encode("utf-8", "replace")), None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < _MAX_ANSWER and (chunk := await response.content.readany()):
        body += chunk
    return bytes(body[:_MAX_ANSWER])
