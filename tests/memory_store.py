"""The request logger's own code over documents in memory, for tests that want no search server."""

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

from prometheus_client import CollectorRegistry

from closedloop.log.operations import Key, Known, Operation, Result
from closedloop.log.store import Found
from closedloop.loop.documents import read_document
from closedloop.loop.events import Event
from closedloop.loop.keys import DEAD_LETTERS, Predictor
from closedloop.loop.observation import Observation, observe
from closedloop.loop.output import Output
from closedloop.loop.sections import LENT_TO, Document, predictor_of
from closedloop.services.request_logger.answers import ANSWER_FIELDS
from closedloop.services.request_logger.batch import Batch
from closedloop.services.request_logger.dead_letters import DeadLetter
from closedloop.services.request_logger.entry import Entry
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.rejoin import Rejoin
from closedloop.services.request_logger.store import Store
from closedloop.services.request_logger.writer import answers_of_several_rows

_T = TypeVar("_T")


class MemoryStore(Store):
    """A `Store` as `Rejoin` uses it; every write counts, and nothing is ever away."""

    def __init__(self) -> None:
        super().__init__(cast(Any, None))
        self.documents: dict[Key, Document] = {}
        self._versions: dict[Key, int] = {}
        self._writes = 0

    async def read(self, keys: Sequence[Key], fields: Sequence[str] = ()) -> Found:
        return Found({key: self.known(key, fields) for key in keys}, set())

    def known(self, key: Key, fields: Sequence[str] = ()) -> Known | None:
        if key not in self.documents:
            return None
        document = json.loads(json.dumps(self.documents[key]))
        if fields:
            document = _only(document, [field.split(".") for field in fields])
        return Known(document, self._versions[key], 1)

    async def write(self, operations: Sequence[Operation]) -> list[Result]:
        return [self.apply(operation) for operation in operations]

    def apply(self, operation: Operation) -> Result:
        action, *rest = operation.lines.decode().splitlines()
        ((name, said),) = json.loads(action).items()
        key = said["_index"], said["_id"]
        there = key in self.documents
        if name == "create" and there:
            return Result(409)
        if "if_seq_no" in said and (not there or self._versions[key] != said["if_seq_no"]):
            return Result(409)
        self._writes += 1
        if name == "delete":
            del self.documents[key], self._versions[key]
        else:
            self.documents[key] = json.loads(rest[0])
            self._versions[key] = self._writes
        return Result(200)

    async def waiting(self, since: float | None, most: int) -> list[Key]:
        return [
            key
            for key, document in self.documents.items()
            if key[0] != DEAD_LETTERS and _may_wait(document)
        ][:most]

    async def predictors(self, namespace: str, deployment: str) -> list[Predictor]:
        owners = {predictor_of(document) for document in self.documents.values()}
        return sorted(owner for owner in owners if owner[:2] == (namespace, deployment))


def _only(document: Document, fields: Sequence[Sequence[str]]) -> Document:
    kept: Document = {}
    for name, value in document.items():
        below = [path[1:] for path in fields if path[0] == name]
        if [] in below:
            kept[name] = value
        elif below and isinstance(value, dict) and (some := _only(value, below)):
            kept[name] = some
    return kept


def _may_wait(document: Document) -> bool:
    logged = read_document(document)
    score = cast(Document, document.get("score") or {})
    rows = logged.feedback.get("rows", 1)
    return (
        score.get("state") == "unmatched"
        or LENT_TO in logged.feedback
        or (isinstance(rows, int) and rows > 1)
    )


class MemoryLogger:
    """Logs events one after the other, as the request logger does, and rejoins when told."""

    def __init__(
        self,
        output_of: Callable[[Predictor], Output | None] = lambda _: None,
        own_answer: float = 0.0,
    ) -> None:
        self.store = MemoryStore()
        metrics = Metrics(CollectorRegistry(), lambda: 0)
        self.rejoin = Rejoin(self.store, metrics, output_of, own_answer)
        self._output_of = output_of

    def log(self, *happened: Event) -> None:
        """Log these events as one batch."""
        entries = [entry_of(observe(event)) for event in happened]
        batch = Batch(entries, _reject, output_of=self._output_of)
        for _ in range(20):
            if not batch:
                break
            batch.place({key: self.store.known(key, ANSWER_FIELDS) for key in batch.to_place()})
            keys = batch.documents()
            known = {key: self.store.known(key) for key in batch.to_read(keys)}
            for operation in batch.operations(keys, known):
                batch.resolve(operation, self.store.apply(operation))
        assert not batch
        self.rejoin.hint(answers_of_several_rows(entries))

    def look(self) -> None:
        """Look as `Rejoin` does from time to time."""
        run_at_once(self.rejoin.look())


def entry_of(said: Observation) -> Entry:
    event = said.event
    return Entry(
        event.headers(),
        event.body,
        owner=Predictor(event.namespace, event.deployment, event.predictor),
        received=0,
        deadline=0,
        answered=lambda *_: None,
        observation=said,
    )


def run_at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return cast(_T, stop.value)
    raise AssertionError("it waits for something")


def _reject(entry: Entry, reason: str, error: str) -> DeadLetter:
    raise AssertionError(f"{reason}: {error}")
