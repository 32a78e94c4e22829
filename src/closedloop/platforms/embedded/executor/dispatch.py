"""The executor's events on their way to the sink, never in the way of a call.

As in Seldon's executor (`executor/logger`): a bounded queue, ten workers, a
wait for room that ends in a dropped event, one attempt for each, no order
between events, answers gunzipped and requests not, no event of a media type
that Go cannot parse. Not in the real one: counters, a timeout for the sink
(a sink that hangs holds a worker of the real one for good) and a queue that is
drained at the end.
"""

import asyncio
import logging
import re
import zlib
from dataclasses import dataclass
from io import BytesIO
from secrets import token_hex
from time import gmtime, strftime, time_ns
from uuid import uuid4

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge

from closedloop.loop import events

WORKERS = 10

# The URL is built before the executor knows its host name, so it sends this.
SOURCE = "http://:8000/"

# A few bytes of gzip can be gigabytes of nothing.
_LARGEST = 256 * 2**20

# The media types that Go's mime.ParseMediaType takes.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(
    rf"{_WORD}(?:/{_WORD})?\s*"
    rf'(?:;\s*{_WORD}\s*=\s*(?:{_WORD}|"(?:[^"\\\r\n]|\\.)*")\s*)*(?:;\s*)?'
)

_WORDS = {events.REQUEST: "request", events.RESPONSE: "response", events.FEEDBACK: "feedback"}

_OUTCOMES = {
    "sent": "accepted by the sink",
    "dropped": "given up because the queue stayed full",
    "failed": "refused by the sink or lost on the way, not sent again",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Payload:
    """One body to publish: `type` is one of `events.TYPES`, `request_id` the Seldon-Puid.

    `content_encoding` is that of an answer; nobody looks at a request's.
    """

    type: str
    request_id: str
    body: bytes
    content_type: str
    content_encoding: str = ""


class Dispatcher:
    """Sends payloads of one predictor to `sink` as CloudEvents.

    `write_timeout` and `sink_timeout` are in seconds. In `registry` it keeps
    the metrics `closedloop_executor_events_{sent,dropped,failed}_total` and
    `closedloop_executor_events_{queued,sending}`, none of which Seldon has.
    """

    def __init__(
        self,
        sink: str,
        registry: CollectorRegistry,
        *,
        namespace: str,
        deployment: str,
        predictor: str,
        model: str,
        queue_size: int = 10_000,
        write_timeout: float = 2.0,
        sink_timeout: float = 10.0,
    ) -> None:
        self._sink = sink
        self._namespace = namespace
        self._deployment = deployment
        self._predictor = predictor
        self._model = model
        self._write_timeout = write_timeout
        self._sink_timeout = aiohttp.ClientTimeout(total=sink_timeout)
        self._queue: asyncio.Queue[Payload] = asyncio.Queue(queue_size)
        self._waiting: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        labels = ("deployment_name", "predictor_name")
        mine = (deployment, predictor)
        self._counts = {}
        for outcome, meaning in _OUTCOMES.items():
            counter = Counter(
                f"closedloop_executor_events_{outcome}",
                f"Events {meaning}. Not in Seldon's executor.",
                (*labels, "type"),
                registry=registry,
            )
            for type_, word in _WORDS.items():
                self._counts[outcome, type_] = counter.labels(*mine, word)
        queued = Gauge(
            "closedloop_executor_events_queued",
            "Events waiting for a worker or for room in the queue. Not in Seldon's executor.",
            labels,
            registry=registry,
        )
        queued.labels(*mine).set_function(lambda: self._queue.qsize() + len(self._waiting))
        self._sending = Gauge(
            "closedloop_executor_events_sending",
            "Events on their way to the sink. Not in Seldon's executor.",
            labels,
            registry=registry,
        ).labels(*mine)

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            timeout=self._sink_timeout,
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
        )
        self._workers = [asyncio.create_task(self._work(self._session)) for _ in range(WORKERS)]

    async def stop(self, grace: float) -> None:
        """Send the queue, for at most `grace` seconds; the rest counts as dropped."""
        try:
            async with asyncio.timeout(grace):
                if self._waiting:
                    await asyncio.wait(self._waiting)
                await self._queue.join()
        except TimeoutError:
            _log.error("stopped with %d events not sent to %s", self._queue.qsize(), self._sink)
        for task in (*self._waiting, *self._workers):
            task.cancel()
        await asyncio.gather(*self._waiting, *self._workers, return_exceptions=True)
        while not self._queue.empty():
            self._count("dropped", self._queue.get_nowait())
        if self._session is not None:
            await self._session.close()

    def publish(self, payload: Payload) -> None:
        """Queue a payload; returns at once. With a full queue it waits in the background."""
        try:
            self._queue.put_nowait(payload)
        except asyncio.QueueFull:
            task = asyncio.create_task(self._wait_for_room(payload))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _wait_for_room(self, payload: Payload) -> None:
        try:
            async with asyncio.timeout(self._write_timeout):
                await self._queue.put(payload)
        except TimeoutError:
            self._count("dropped", payload)
            _log.error(
                "failed to log request:"
                " timed out waiting to queue log request: buffer is full (puid %s)",
                payload.request_id,
            )
        except asyncio.CancelledError:
            self._count("dropped", payload)
            raise

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            payload = await self._queue.get()
            try:
                with self._sending.track_inprogress():
                    await self._send(session, payload)
            except asyncio.CancelledError:
                self._count("dropped", payload)
                raise
            # One lost event must not end the worker, whatever is wrong with it.
            except Exception as error:  # noqa: BLE001
                self._count("failed", payload)
                _log.error(
                    "Failed to send cloudevent log to %s (puid %s): %s",
                    self._sink,
                    payload.request_id,
                    str(error) or type(error).__name__,
                )
            finally:
                self._queue.task_done()

    async def _send(self, session: aiohttp.ClientSession, payload: Payload) -> None:
        body = _gunzip(payload.body) if payload.content_encoding == "gzip" else payload.body
        async with session.post(
            self._sink, data=BytesIO(body), headers=self._headers(payload), allow_redirects=False
        ) as response:
            await response.read()
            if not 200 <= response.status < 300:
                raise _RefusedBySink(f"error sending cloudevent: {response.status}")
        self._count("sent", payload)

    def _headers(self, payload: Payload) -> dict[str, str]:
        """Attributes as they are: the SDK that Seldon uses does not percent-encode them.

        Raises ValueError for an event that the SDK does not send.
        """
        headers = {
            "ce-specversion": "1.0",
            "ce-id": str(uuid4()),
            "ce-source": SOURCE,
            "ce-type": payload.type,
            "ce-time": _now(),
            "ce-requestid": payload.request_id,
            "ce-namespace": self._namespace,
            "ce-inferenceservicename": self._deployment,
            "ce-endpoint": self._predictor,
            "ce-modelid": self._model,
            "ce-protocol": "seldon",
            "ce-traceparent": f"00-{token_hex(16)}-{token_hex(8)}-00",
        }
        media_type = payload.content_type.strip()
        if not media_type:
            return headers
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ValueError(f"datacontenttype: failed to parse media type {media_type!r}")
        return headers | {"content-type": media_type}

    def _count(self, outcome: str, payload: Payload) -> None:
        self._counts[outcome, payload.type].inc()


class _RefusedBySink(Exception):
    pass


def _now() -> str:
    """RFC 3339 in UTC with nanoseconds, trailing zeros cut, as Go's RFC3339Nano."""
    seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}{fraction}Z"


def _gunzip(body: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    plain = stream.decompress(body, _LARGEST)
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError(f"the gzip body is cut short or unpacks to more than {_LARGEST} bytes")
    return plain
