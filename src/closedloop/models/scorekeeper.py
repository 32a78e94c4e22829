"""The score that a model keeps of itself, by the same rules as the metrics server.

Feedback about a request is joined with the answer that this model gave to it,
which is, in this order: the answer that the score holds for the request already,
the one that the model remembers, the one that the feedback quotes as `response`,
and the one that the model gives to the feedback's `request` now.

The metrics server can more than a model: a model keeps nothing of
feedback without an answer, it learns of nothing that did not reach its own
process, and a request without id counts anew each time it is judged.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import chain
from uuid import uuid4

from closedloop.loop import events, rfc3339
from closedloop.loop.events import InvalidEvent
from closedloop.loop.output import Output
from closedloop.loop.payload import feedback_of, judged_request, rows_of
from closedloop.loop.scoring.confusion import ConfusionMatrix
from closedloop.loop.scoring.reading import ADVICE, Said, read_answer, read_truth
from closedloop.loop.scoring.scoreboard import Capacity, Feedback, Scoreboard

Rows = list[object]
Gauge = dict[str, object]

_SERVED = 100_000  # answers remembered: a class index each and the id


class Scorekeeper:
    """The score of one predictor, whose answers are read as `output` declares.

    Measures of its classes exist from the start, as zeros. `predict` answers rows of features
    with one value each; `capacity` bounds the judged rows that are held, past which new ones are
    not scored.
    """

    def __init__(self, output: Output, predict: Callable[[Rows], Rows], capacity: Capacity) -> None:
        self.board = Scoreboard(output, capacity)
        self._output = output
        self._predict = predict
        self._served: OrderedDict[str, Rows] = OrderedDict()

    def remember(self, request_id: str, answer: Rows) -> None:
        """Keep an answer, one value a row, until feedback about it comes."""
        self._served[request_id] = answer
        self._served.move_to_end(request_id)
        if len(self._served) > _SERVED:
            self._served.popitem(last=False)

    def judge(self, request_id: str, message: Mapping[str, object]) -> None:
        """Score one piece of feedback. Without a `request_id` it is about a request of its own.

        A truth that is none of the declared classes costs no other row.

        Raises `InvalidEvent` when it cannot be read, there is no answer for it, or nothing of it
        can be scored; then it changes nothing.
        """
        request_id = judged_request(request_id, message) or str(uuid4())
        said = feedback_of(message)
        feedback = Feedback(reward=said.reward)
        if said.truth is not None:
            feedback = Feedback(tuple(said.truth.rows), said.truth.names)
            self._refuse_unreadable(feedback)
        answers = None if self.board.answered(request_id) else self._answer_to(request_id, message)
        if answers is not None and len(answers) not in (1, feedback.entries):
            raise InvalidEvent(
                "bad_feedback",
                f"the feedback is about {feedback.entries} rows and the answer has {len(answers)}:"
                " send one truth for each row of the answer",
            )
        stamp = events.stamp(rfc3339.now("microseconds"), str(uuid4()))
        if answers is not None:
            self.board.answer(request_id, stamp, answers)
        self.board.judge(request_id, stamp, feedback)

    def gauges(self) -> list[Gauge]:
        """The score as Seldon's custom metrics, new objects each time, as Seldon changes them.

        A measure that is not defined yet is 0, as a gauge of Seldon's must be a number.
        """
        board, matrix = self.board, self.board.matrix
        scored = board.correct + board.incorrect
        labels = list(dict.fromkeys(chain(self._output.classes, matrix.classes)))
        counts = matrix.counts()
        return [
            _gauge("correct", board.correct),
            _gauge("incorrect", board.incorrect),
            _gauge("accuracy", board.correct / scored if scored else None),
            _gauge("unscorable", board.states["unscorable"]),
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

    def _refuse_unreadable(self, feedback: Feedback) -> None:
        truths = [truth for truth in feedback.truths if truth is not None]
        read = [
            read_truth(self._output, truth, feedback.names) for truth in (*truths, feedback.whole())
        ]
        if all(each.reason for each in read):
            raise InvalidEvent("bad_feedback", f"nothing is scored: {ADVICE[read[0].reason]}")

    def _answer_to(self, request_id: str, message: Mapping[str, object]) -> list[Said]:
        served = self._served.get(request_id)
        names: tuple[str, ...] = ()
        response, request = message.get("response"), message.get("request")
        if served is not None:
            rows = served
        elif isinstance(response, Mapping) and response.get("data") is not None:
            said = rows_of(response)
            rows, names = said.rows, said.names
        elif isinstance(request, Mapping) and request.get("data") is not None:
            rows = self._predict(rows_of(request).rows)
        else:
            raise InvalidEvent(
                "bad_feedback",
                f"nothing was answered here to request {request_id!r} and the feedback carries"
                " neither response nor request: send one, or the prediction's Seldon-Puid",
            )
        return [read_answer(self._output, row, names) for row in rows]


def _measures(matrix: ConfusionMatrix, label: str) -> list[Gauge]:
    return [
        _gauge("precision", matrix.precision(label), **{"class": label}),
        _gauge("recall", matrix.recall(label), **{"class": label}),
        _gauge("specificity", matrix.specificity(label), **{"class": label}),
        _gauge("f1", matrix.f1(label), **{"class": label}),
    ]


def _gauge(key: str, value: float | None, **tags: str) -> Gauge:
    return {"type": "GAUGE", "key": key, "value": value or 0.0, "tags": tags}
