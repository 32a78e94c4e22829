"""An inference log in a search server, for tests of what reads such a log."""

import json
import math
from collections.abc import Callable, Mapping, Sequence

from elasticsearch import Elasticsearch, helpers

from closedloop.log.mapping import TEMPLATES
from closedloop.loop import events
from closedloop.loop.events import Event
from closedloop.loop.keys import Predictor
from closedloop.loop.output import Output
from closedloop.loop.sections import Document
from tests.memory_store import MemoryLogger

NUMBERED = Output("class", classes=tuple(map(str, range(2000))))
"""Classes that are called 0, 1 and so on."""


def put_templates(client: Elasticsearch) -> None:
    for name, body in TEMPLATES.items():
        client.indices.put_index_template(name=name, **body)


def empty(client: Elasticsearch) -> None:
    """Delete every index."""
    client.indices.delete(index="*")


class Log:
    """Builds documents event by event, as the request logger does, and writes them."""

    def __init__(
        self,
        namespace: str = "ns",
        deployment: str = "dep",
        output: Output | None = NUMBERED,
        output_of: Callable[[Predictor], Output | None] | None = None,
    ) -> None:
        self.namespace, self.deployment = namespace, deployment
        # Feedback of a predictor that has not answered stays where it is.
        self.logger = MemoryLogger(output_of or (lambda _: output), own_answer=math.inf)
        self._events = 0

    @property
    def documents(self) -> dict[tuple[str, str], Document]:
        return self.logger.store.documents

    def add(
        self, kind: str, request_id: str, body: Mapping[str, object], time: str, predictor: str
    ) -> None:
        self._events += 1
        event = Event(
            id=f"event-{self._events:06}",
            source="test",
            type=kind,
            time=time,
            request_id=request_id,
            namespace=self.namespace,
            deployment=self.deployment,
            predictor=predictor,
            model="classifier",
            content_type="application/json",
            body=json.dumps(body).encode(),
        )
        self.observe(event)

    def observe(self, event: Event) -> None:
        self.logger.log(event)

    def answer(
        self,
        request_id: str,
        *classes: int,
        time: str = "2026-01-01T00:00:00Z",
        predictor: str = "default",
        asked: Sequence[object] = (),
    ) -> None:
        """A request for as many rows as there are classes, and its answer; `asked` are the rows,
        which are otherwise the same in every request. A class is its number as text: of a number
        nobody would know what it means."""
        for kind, rows in (
            (events.REQUEST, [*asked] or [[1.0, float(i)] for i in range(len(classes))]),
            (events.RESPONSE, [str(value) for value in classes]),
        ):
            self.add(kind, request_id, {"data": {"ndarray": rows}}, time, predictor)

    def judge(
        self,
        request_id: str,
        *truths: int | None,
        time: str = "2026-01-01T01:00:00Z",
        predictor: str = "default",
    ) -> None:
        """Feedback with a truth for every row."""
        rows = [None if truth is None else str(truth) for truth in truths]
        self.add(
            events.FEEDBACK, request_id, {"truth": {"data": {"ndarray": rows}}}, time, predictor
        )

    def write(self, client: Elasticsearch) -> None:
        """Write what is logged, all feedback where its answer is."""
        self.logger.look()
        helpers.bulk(
            client,
            (
                {"_index": index, "_id": name, "_source": document}
                for (index, name), document in self.documents.items()
            ),
            refresh=True,
        )
