"""The answers of the request logger, and when it gives them.

`POST /` takes a CloudEvent in binary mode and answers 202 with an empty body
once it is in Elasticsearch, as part of its document or, when it is of no use,
as a dead letter: a broker would only send it again. 503 means that it is not
kept, and to send it again. A request that is no CloudEvent at all, because
one of the required attributes is absent, is answered 400 and not kept: it does not come
from a broker, and its sender learns it at once.

`POST /dead-letters` takes events that a broker could not deliver, of any type
and shape, and keeps them whole.
"""

import asyncio

from aiohttp import web

from closedloop.loop.keys import index_name
from closedloop.services.kit.incoming import Incoming, NotAnEvent, read_body, receive
from closedloop.services.kit.json_errors import json_error
from closedloop.services.request_logger.backlog import Backlog
from closedloop.services.request_logger.dead_letters import DeadLetter, dead_letter, undelivered
from closedloop.services.request_logger.entry import Answer, Entry
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.settings import Settings

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
        received = asyncio.get_running_loop().time()
        try:
            incoming = await receive(request, self._settings.max_event_bytes)
        except NotAnEvent as error:
            self._metrics.received("unknown")
            self._metrics.failed("not_an_event")
            return json_error(400, str(error))
        self._metrics.received(incoming.kind)
        refused = incoming.error
        if refused is None:
            return await self._keep(incoming, received)
        self._metrics.failed(refused.reason)
        letter = dead_letter(
            incoming.headers,
            incoming.body,
            refused.reason,
            str(refused),
            keep=self._settings.dead_letter_bytes,
            size=incoming.size,
        )
        return await self._keep(incoming, received, letter)

    async def undelivered(self, request: web.Request) -> web.Response:
        """`POST /dead-letters`."""
        received = asyncio.get_running_loop().time()
        self._metrics.received("undelivered")
        body, size, broken = await read_body(request, self._settings.max_event_bytes)
        if not body and "ce-id" not in request.headers:
            self._metrics.failed("not_an_event")
            return json_error(400, "there is neither a header ce-id nor a body: send an event")
        self._metrics.failed("undelivered")
        error = "; ".join(filter(None, (undelivered(request.headers), broken)))
        # Nothing says that it is a bad event, so none of it is cut away.
        letter = dead_letter(request.headers, body, "undelivered", error, keep=len(body), size=size)
        return await self._keep(Incoming(request.headers, body, size), received, letter)

    async def _keep(
        self, incoming: Incoming, received: float, letter: DeadLetter | None = None
    ) -> web.Response:
        loop = asyncio.get_running_loop()
        entry = Entry(
            incoming.headers,
            incoming.body,
            names=incoming.names,
            received=received,
            deadline=received + self._settings.deadline_seconds,
            answer=loop.create_future(),
            index=index_name(*incoming.names),
            observation=incoming.observation,
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
