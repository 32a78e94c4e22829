"""Load historical predictions and truths, through the pipeline or straight into the index.

Both write the same documents. Through the pipeline, the metrics server learns
of every row as it comes; straight into the index it is several times faster,
and the metrics server sees the rows at its next resync. Either may be repeated
or mixed: a row's events have ids of their own making, so a second run changes
nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import requests
from elasticsearch import Elasticsearch
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_exponential,
)

from closedloop.log.blocking import BlockingDocuments
from closedloop.log.mapping import TEMPLATES, declared_outputs
from closedloop.log.records import Refused, Row, read
from closedloop.log.repeats import Repeated, without_repeats
from closedloop.log.store import End, Place
from closedloop.loop.documents import merge
from closedloop.loop.events import Event
from closedloop.loop.keys import INDEX_PATTERN, Predictor
from closedloop.loop.observation import observe
from closedloop.loop.sections import Document, Section, sections_of

_T = TypeVar("_T")

_BATCH = 500
_ATTEMPTS = 4


@dataclass(slots=True)
class Report:
    """The lines of a file by their fate: loaded, there already, or refused."""

    loaded: int = 0
    unchanged: int = 0
    refused: list[Refused] = field(default_factory=list)

    @property
    def lines(self) -> int:
        return self.loaded + self.unchanged + len(self.refused)


class Sink(Protocol):
    """A destination of rows."""

    def load(self, rows: Sequence[Row]) -> Report:
        """Load rows; the report speaks of these alone."""
        ...


def backfill(
    path: Path,
    predictor: Predictor,
    sink: Sink,
    *,
    progress: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Load a file into the log of `predictor`; see `closedloop.log.records` for its columns.

    A line that cannot be loaded is in the report, with its number and the
    reason, and is no obstacle to the others; so is one that contradicts an
    earlier line, with the same id and time. `progress` gets the report so far
    after every few hundred lines. Raises ValueError for a file that is not of
    a known kind, and the errors of the sink.
    """
    total = Report()
    for lines in _batches(without_repeats(read(path, predictor)), _BATCH):
        again = sum(isinstance(line, Repeated) for line in lines)
        done = sink.load(
            [line for line in lines if isinstance(line, Row) and not isinstance(line, Repeated)]
        )
        total.loaded += done.loaded
        total.unchanged += done.unchanged + again
        total.refused += [*(line for line in lines if isinstance(line, Refused)), *done.refused]
        progress(total)
    total.refused.sort(key=lambda refused: refused.line)
    return total


class Pipeline:
    """The broker's ingress at `url`, such as `<broker-ingress>/seldon-logs/default`.

    At most `threads` events are on their way at a time. One that the broker
    cannot take right now is sent again a few times, which is safe: it keeps
    its id. A row is loaded when the broker has accepted all of its events.
    """

    def __init__(self, url: str, *, threads: int = 8, timeout: float = 30.0) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}: give at least 1")
        self._url, self._threads, self._timeout = url, threads, timeout

    def load(self, rows: Sequence[Row]) -> Report:
        """Send the events of each row in their order, several rows at a time."""
        shares = [rows[i :: self._threads] for i in range(self._threads)]
        with ThreadPoolExecutor(self._threads, "backfill") as pool:
            refused = [each for share in pool.map(self._send_all, shares) for each in share]
        return Report(loaded=len(rows) - len(refused), refused=refused)

    def _send_all(self, rows: Sequence[Row]) -> list[Refused]:
        with requests.Session() as session:
            session.trust_env = False
            refused = []
            for row in rows:
                reasons = (self._send(session, event) for event in row.events)
                if reason := next(filter(None, reasons), ""):
                    refused.append(Refused(row.line, reason))
            return refused

    def _send(self, session: requests.Session, event: Event) -> str:
        """The reason why an event was not accepted, "" when it was."""

        def post() -> requests.Response:
            headers = {name: value.encode() for name, value in event.headers().items()}
            return session.post(self._url, data=event.body, headers=headers, timeout=self._timeout)

        try:
            response = Retrying(
                retry=retry_if_result(_for_now)
                | retry_if_exception_type((requests.ConnectionError, requests.Timeout)),
                wait=wait_exponential(multiplier=0.1, max=2),
                stop=stop_after_attempt(_ATTEMPTS),
                retry_error_callback=_last,
            )(post)
        except requests.RequestException as error:
            return f"the broker cannot be reached: {error}"
        if response.ok:
            return ""
        return f"the broker answered {response.status_code}: {response.text[:200]}"


class Index:
    """The index itself, written as the request logger writes it.

    A document that is there is merged with, never overwritten; one that another writer changes
    meanwhile is read and merged again. Puts the log's index template first where there is none.
    """

    def __init__(self, client: Elasticsearch) -> None:
        self._documents = BlockingDocuments(client)
        self._outputs = declared_outputs(client)
        for name, body in TEMPLATES.items():
            patterns = body["index_patterns"]
            if patterns == [INDEX_PATTERN] and not client.indices.exists_index_template(name=name):
                client.indices.put_index_template(name=name, body=dict(body))

    def load(self, rows: Sequence[Row]) -> Report:
        """Write the rows' documents. Raises the client's errors."""
        waiting: dict[Place, list[tuple[Row, list[Section]]]] = {}
        for row in rows:
            sections = [
                section for event in row.events for section in sections_of(observe(event), 1)
            ]
            waiting.setdefault((sections[0].owner, sections[0].document_id), []).append(
                (row, sections)
            )
        ended = self._documents.merge(
            {place: partial(self._merged, each) for place, each in waiting.items()}
        )
        report = Report()
        for place, entries in waiting.items():
            match ended[place].how:
                case End.WRITTEN:
                    report.loaded += len(entries)
                case End.UNCHANGED:
                    report.unchanged += len(entries)
                case End.REFUSED:
                    reason = f"Elasticsearch refused it: {ended[place].error}"[:300]
                    report.refused += [Refused(row.line, reason) for row, _ in entries]
                case End.GIVEN_UP:
                    reason = "its document is being changed all the time: load it again later"
                    if ended[place].error:
                        reason = f"it was not written ({ended[place].error[:200]}): load it again"
                    report.refused += [Refused(row.line, reason) for row, _ in entries]
        return report

    def _merged(
        self, entries: Sequence[tuple[Row, list[Section]]], document: Document | None
    ) -> Document | None:
        for _, sections in entries:
            for section in sections:
                document, _ = merge(document, section, self._outputs.of(section.owner))
        return document


def _for_now(response: requests.Response) -> bool:
    """Whether the answer is that of a broker which will take it later."""
    return response.status_code == 429 or response.status_code >= 500


def _last(state: RetryCallState) -> requests.Response:
    assert state.outcome is not None  # it was called at least once
    response: requests.Response = state.outcome.result()
    return response


def _batches(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
