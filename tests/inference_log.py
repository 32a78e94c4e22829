"""An inference log in a search server, for tests of what reads such a log."""

import json
from collections.abc import Mapping, Sequence

from elasticsearch import Elasticsearch, helpers

from closedloop import events
from closedloop.documents import Document, index_name, merge, parts_of
from closedloop.events import Event
from closedloop.observation import observe
from closedloop.output import Output
from closedloop.request_logger.mapping import TEMPLATES

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
        self, namespace: str = "ns", deployment: str = "dep", output: Output | None = NUMBERED
    ) -> None:
        self.namespace, self.deployment, self.output = namespace, deployment, output
        self.documents: dict[tuple[str, str], Document] = {}
        self._rows: dict[tuple[str, str], int] = {}  # of the answer to each request
        self._events = 0

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
        index = index_name(event.namespace, event.deployment, event.predictor)
        seen = observe(event)
        answer = (index, event.request_id)
        if event.type == events.RESPONSE:
            self._rows[answer] = seen.entries
        for part in parts_of(seen, self._rows.get(answer)):
            key = index, part.document_id
            document, _ = merge(self.documents.get(key), part, self.output)
            self.documents[key] = {**document, "DocumentId": part.document_id}

    def answer(
        self,
        request_id: str,
        *classes: int,
        time: str = "2026-01-01T00:00:00Z",
        predictor: str = "default",
        asked: Sequence[object] = (),
    ) -> None:
        """A request for as many rows as there are classes, and its answer; `asked` are the rows,
        which are otherwise the same in every request."""
        for kind, rows in (
            (events.REQUEST, [*asked] or [[1.0, float(i)] for i in range(len(classes))]),
            (events.RESPONSE, [[value] for value in classes]),
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
        self.add(
            events.FEEDBACK, request_id, {"truth": {"data": {"ndarray": truths}}}, time, predictor
        )

    def write(self, client: Elasticsearch) -> None:
        helpers.bulk(
            client,
            (
                {"_index": index, "_id": name, "_source": document}
                for (index, name), document in self.documents.items()
            ),
            refresh=True,
        )
