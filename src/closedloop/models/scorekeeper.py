"""The score that a model keeps of itself, by the same rules as the metrics server.

Feedback about a request is joined with the answer that this model gave to it,
which is, in this order: what the score holds for the request already, what the
model remembers to have answered, what the feedback quotes as `response`, what
the model answers to the feedback's `request` now.

What a model cannot do, and the metrics server can: it keeps nothing of
feedback without an answer, it learns of nothing that did not reach its own
process, and a request without id counts anew each time it is judged.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from uuid import uuid4

from closedloop import events
from closedloop.documents import (
    Document,
    Part,
    Predictor,
    actual_class,
    document_id,
    parts_of,
    predicted_class,
)
from closedloop.events import Event, InvalidEvent
from closedloop.payload import feedback_of, rows_of
from closedloop.scoring.confusion import ConfusionMatrix
from closedloop.scoring.scoreboard import Capacity, Scoreboard

Rows = list[object]
Gauge = dict[str, object]

_SERVED = 100_000  # answers remembered: a class index each and the id
_SOURCE = "closedloop.models"


class Scorekeeper:
    """The score of one predictor.

    `classes` are the labels for which measures exist from the start, as zeros;
    `predict` answers rows of features with one class each; `capacity` bounds
    the judged rows that are held, past which new ones are not scored.
    """

    def __init__(
        self,
        predictor: Predictor,
        classes: Sequence[str],
        predict: Callable[[Rows], Rows],
        capacity: Capacity,
    ) -> None:
        self.board = Scoreboard(capacity)
        self._predictor = predictor
        self._classes = tuple(classes)
        self._predict = predict
        self._served: OrderedDict[str, Rows] = OrderedDict()

    def remember(self, request_id: str, answer: Rows) -> None:
        """Keep what was answered, one class a row, until feedback about it comes."""
        self._served[request_id] = answer
        self._served.move_to_end(request_id)
        if len(self._served) > _SERVED:
            self._served.popitem(last=False)

    def read(self, request_id: str, feedback: dict[str, object]) -> list[Part]:
        """What feedback says, with the answer it is about unless the score has that; changes
        nothing. Without a `request_id` it is feedback about a request of its own.

        Raises `InvalidEvent` when it cannot be read or there is no answer for it.
        """
        request_id = request_id or str(uuid4())
        truth = feedback_of(feedback).truth
        count = len(truth.rows) if truth else 1
        judged = parts_of(self._event(events.FEEDBACK, request_id, feedback))
        if all(self._holds_answer(document_id(request_id, i, count)) for i in range(count)):
            return judged
        answer = self._answer_to(request_id, feedback)
        answered = parts_of(self._event(events.RESPONSE, request_id, answer))
        if len(answered) != count:
            raise InvalidEvent(
                "bad_feedback",
                f"the feedback is about {count} rows and the answer has {len(answered)}:"
                " send one truth for each row of the answer",
            )
        return [*answered, *judged]

    def apply(self, parts: Iterable[Part]) -> None:
        """Take what `read` returned into the score."""
        for part in parts:
            if part.section == "response":
                self.board.answer(part.document_id, part.stamp, *predicted_class(part.content))
            else:
                self.board.judge(part.document_id, part.stamp, *actual_class(part.content))

    def gauges(self) -> list[Gauge]:
        """The score as Seldon's custom metrics, new objects each time, as Seldon changes them.

        A measure that is not defined yet is 0, as a gauge of Seldon's must be a number.
        """
        board, matrix = self.board, self.board.matrix
        scored = board.correct + board.incorrect
        labels = list(dict.fromkeys(chain(self._classes, matrix.classes)))
        counts = matrix.counts()
        return [
            _gauge("correct", board.correct),
            _gauge("incorrect", board.incorrect),
            _gauge("accuracy", board.correct / scored if scored else None),
            _gauge("over_limit", board.dropped),
            *chain.from_iterable(_measures(matrix, label) for label in labels),
            *(
                _gauge(
                    "confusion_matrix",
                    counts.get((predicted, actual), 0),
                    predicted=predicted,
                    actual=actual,
                )
                for predicted in labels
                for actual in labels
            ),
        ]

    def _holds_answer(self, document_id: str) -> bool:
        row = self.board.row(document_id)
        return row is not None and bool(row.answered)

    def _answer_to(self, request_id: str, feedback: dict[str, object]) -> Document:
        served = self._served.get(request_id)
        if served is not None:
            return {"data": {"names": [], "ndarray": served}}
        response, request = feedback.get("response"), feedback.get("request")
        if isinstance(response, dict) and "data" in response:
            return {"data": response["data"]}
        if isinstance(request, dict) and "data" in request:
            return {"data": {"names": [], "ndarray": self._predict(rows_of(request).rows)}}
        raise InvalidEvent(
            "bad_feedback",
            f"nothing was answered here to request {request_id!r} and the feedback carries neither"
            " response nor request: send one of them, or the prediction's Seldon-Puid",
        )

    def _event(self, type_: str, request_id: str, message: Document) -> Event:
        return Event(
            id=str(uuid4()),
            source=_SOURCE,
            type=type_,
            time=datetime.now(UTC).isoformat(),
            request_id=request_id,
            namespace=self._predictor.namespace,
            deployment=self._predictor.deployment,
            predictor=self._predictor.predictor,
            model="",
            content_type="application/json",
            body=json.dumps(message).encode(),
        )


def _measures(matrix: ConfusionMatrix, label: str) -> list[Gauge]:
    return [
        _gauge("precision", matrix.precision(label), **{"class": label}),
        _gauge("recall", matrix.recall(label), **{"class": label}),
        _gauge("specificity", matrix.specificity(label), **{"class": label}),
        _gauge("f1", matrix.f1(label), **{"class": label}),
    ]


def _gauge(key: str, value: float | None, **tags: str) -> Gauge:
    return {"type": "GAUGE", "key": key, "value": value or 0.0, "tags": tags}
