"""What the request logger answers, and when.

`POST /` takes a CloudEvent in binary mode and answers 202 with an empty body
once it is in Elasticsearch, as part of its document or, when it is of no use,
as a dead letter: a broker would only send it again. 503 means that it is not
kept, and to send it again. What is no CloudEvent at all, because one of the
required attributes is absent, is answered 400 and not kept: it does not come
from a broker, and its sender learns it at once.

`POST /dead-letters` takes what a broker could not deliver, of any type and
shape, and keeps it whole.
"""

import asyncio

from aiohttp import web

from closedloop.documents import Part, index_name, parts_of
from closedloop.events import Event, InvalidEvent, from_http
from closedloop.json_errors import json_error
from closedloop.request_logger.backlog import Backlog
from closedloop.request_logger.dead_letters import DeadLetter, dead_letter, undelivered
from closedloop.request_logger.entry import Answer, Entry
from closedloop.request_logger.metrics import TYPES, Metrics
from closedloop.request_logger.settings import Settings

_REQUIRED = ("ce-id", "ce-source", "ce-specversion", "ce-type")
_LONGEST_INDEX = 255  # bytes, in Elasticsearch

_SENTENCES = {
    Answer.UNAVAILABLE: "Elasticsearch did not take the event in time: send it again",
    Answer.REFUSED: "Elasticsearch refuses the event even as a dead letter: see this service's log",
}


class Receiver:
    """Handlers of the two paths that take events."""

    def __init__(self, backlog: Backlog, metrics: Metrics, settings: Settings) -> None:
        self._backlog = backlog
        self._metrics = metrics
        self._settings = settings

    async def event(self, request: web.Request) -> web.Response:
        """`POST /`."""
        headers = request.headers
        received = asyncio.get_running_loop().time()
        for name in _REQUIRED:
            if not headers.get(name):
                self._metrics.received("unknown")
                self._metrics.failed("not_an_event")
                return json_error(
                    400, f"header {name} is missing or empty: send a CloudEvent in binary mode"
                )
        self._metrics.received(TYPES.get(headers["ce-type"], "unknown"))
        body, size, broken = await _read(request, self._settings.max_event_bytes)
        try:
            if broken:
                raise InvalidEvent("bad_encoding", broken)
            if size > len(body):
                raise InvalidEvent(
                    "too_large",
                    f"the body has {size} bytes or more: send at most {len(body)},"
                    " or raise MAX_EVENT_BYTES",
                )
            index, parts = _contents(from_http(headers, body))
        except InvalidEvent as error:
            self._metrics.failed(error.reason)
            keep = self._settings.dead_letter_bytes
            letter = dead_letter(headers, body, error.reason, str(error), keep=keep, size=size)
            return await self._keep(request, body, received, letter=letter)
        return await self._keep(request, body, received, index, parts)

    async def undelivered(self, request: web.Request) -> web.Response:
        """`POST /dead-letters`."""
        received = asyncio.get_running_loop().time()
        self._metrics.received("undelivered")
        body, size, broken = await _read(request, self._settings.max_event_bytes)
        if not body and "ce-id" not in request.headers:
            self._metrics.failed("not_an_event")
            return json_error(400, "there is neither a header ce-id nor a body: send an event")
        self._metrics.failed("undelivered")
        error = "; ".join(filter(None, (undelivered(request.headers), broken)))
        # Nothing says that it is a bad event, so none of it is cut away.
        letter = dead_letter(request.headers, body, "undelivered", error, keep=len(body), size=size)
        return await self._keep(request, body, received, letter=letter)

    async def _keep(
        self,
        request: web.Request,
        body: bytes,
        received: float,
        index: str = "",
        parts: list[Part] | None = None,
        letter: DeadLetter | None = None,
    ) -> web.Response:
        loop = asyncio.get_running_loop()
        entry = Entry(
            request.headers,
            body,
            received=received,
            deadline=received + self._settings.deadline_seconds,
            answer=loop.create_future(),
            index=index,
            parts=parts,
            dead_letter=letter,
        )
        if not self._backlog.offer(entry):
            self._metrics.failed("queue_full")
            return json_error(503, "too many events wait for Elasticsearch: send it again later")
        answer = await entry.answer
        if answer is Answer.KEPT:
            self._metrics.acknowledged(loop.time() - received)
            return web.Response(status=202)
        self._metrics.failed(answer)
        return json_error(503 if answer is Answer.UNAVAILABLE else 500, _SENTENCES[answer])


async def _read(request: web.Request, limit: int) -> tuple[bytes, int, str]:
    """At most `limit` bytes of the body, how many it has, as far as that is known, and what
    is wrong with its encoding, if anything: then the body is what came before that.
    """
    content = request.content
    body = bytearray()
    broken = ""
    try:
        while len(body) <= limit and (chunk := await content.readany()):
            body += chunk
    except web.RequestPayloadError:
        broken = "the body is not encoded as its headers say: encode it again"
    size = len(body)
    if size > limit:
        size = max(size, request.content_length or 0)
    return bytes(body[:limit]), size, broken


def _contents(event: Event) -> tuple[str, list[Part]]:
    """Index and parts of an event. Raises `InvalidEvent`."""
    index = index_name(event.namespace, event.deployment, event.predictor)
    if len(index.encode()) > _LONGEST_INDEX:
        raise InvalidEvent(
            "bad_header",
            "ce-namespace, ce-inferenceservicename and ce-endpoint make an index name of"
            f" {len(index.encode())} bytes: send shorter ones, it may have {_LONGEST_INDEX}",
        )
    try:
        return index, parts_of(event)
    except RecursionError:
        raise InvalidEvent("bad_payload", "the body is nested too deeply: flatten it") from None
