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

import time
from collections.abc import Mapping

from closedloop.loop.keys import Predictor
from closedloop.services.kit import asgi
from closedloop.services.kit.asgi import Headers, Reply
from closedloop.services.kit.incoming import Incoming, NotAnEvent, check, read
from closedloop.services.request_logger.backlog import Backlog
from closedloop.services.request_logger.dead_letters import DeadLetter, dead_letter, undelivered
from closedloop.services.request_logger.entry import Answer, Entry
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.settings import Settings

_ANSWERS: Mapping[Answer, tuple[int, str]] = {
    Answer.KEPT: (202, ""),
    Answer.UNAVAILABLE: (503, "Elasticsearch did not take the event in time: send it again"),
    Answer.REFUSED: (
        500,
        "Elasticsearch refuses the event even as a dead letter: see this service's log",
    ),
}


class Receiver:
    """Handlers of the two paths that take events."""

    def __init__(self, backlog: Backlog, metrics: Metrics, settings: Settings) -> None:
        self._backlog = backlog
        self._metrics = metrics
        self._settings = settings

    def event(
        self, reply: Reply, headers: Headers, body: bytes, size: int, broken: str
    ) -> asgi.Answer | None:
        """`POST /`."""
        incoming = read(headers, body, size, broken)
        refused, letter = incoming.error, None
        if refused is not None:
            try:
                check(headers)
            except NotAnEvent as error:
                self._metrics.received("unknown")
                self._metrics.failed("not_an_event")
                return 400, str(error)
            self._metrics.failed(refused.reason)
            letter = dead_letter(
                headers,
                body,
                refused.reason,
                str(refused),
                keep=self._settings.dead_letter_bytes,
                size=size,
            )
        self._metrics.received(incoming.kind)
        return self._keep(reply, incoming, letter)

    def undelivered(
        self, reply: Reply, headers: Headers, body: bytes, size: int, broken: str
    ) -> asgi.Answer | None:
        """`POST /dead-letters`."""
        self._metrics.received("undelivered")
        if not body and "ce-id" not in headers:
            self._metrics.failed("not_an_event")
            return 400, "there is neither a header ce-id nor a body: send an event"
        self._metrics.failed("undelivered")
        error = "; ".join(filter(None, (undelivered(headers), broken)))
        # Nothing says that it is a bad event, so none of it is cut away.
        letter = dead_letter(headers, body, "undelivered", error, keep=len(body), size=size)
        return self._keep(reply, Incoming(headers, body, size), letter)

    def _keep(
        self, reply: Reply, incoming: Incoming, letter: DeadLetter | None
    ) -> asgi.Answer | None:
        received = time.monotonic()

        def answered(entry: Entry, answer: Answer) -> None:
            self._backlog.forget(entry)
            if answer is Answer.KEPT:
                self._metrics.acknowledged(time.monotonic() - received)
            else:
                self._metrics.failed(answer)
            reply(*_ANSWERS[answer])

        entry = Entry(
            incoming.headers,
            incoming.body,
            owner=Predictor(*incoming.names),
            received=received,
            deadline=received + self._settings.deadline_seconds,
            answered=answered,
            observation=incoming.observation,
            dead_letter=letter,
        )
        if self._backlog.offer(entry):
            return None
        self._metrics.failed("queue_full")
        return 503, "too many events wait for Elasticsearch: send it again later"
