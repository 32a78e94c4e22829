"""The state as gauges, read at the moment of a scrape."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from closedloop.documents import Predictor
from closedloop.metrics_server.state import State
from closedloop.scoring import ConfusionMatrix, Scoreboard

_LABELS = ("deployment_namespace", "deployment_name", "predictor_name")

_MEASURES: dict[str, tuple[Callable[[ConfusionMatrix, str], float | None], str]] = {
    "precision": (
        ConfusionMatrix.precision,
        "Of the rows answered with a class, the share that has it.",
    ),
    "recall": (
        ConfusionMatrix.recall,
        "Of the rows that have a class, the share answered with it.",
    ),
    "specificity": (
        ConfusionMatrix.specificity,
        "Of the rows that do not have a class, the share not answered with it.",
    ),
    "f1": (ConfusionMatrix.f1, "Harmonic mean of precision and recall of a class."),
}


class StateCollector(Collector):
    """Yields nothing before `restored()`: half a state would show as a dip.

    A ratio whose denominator is zero is left out.
    """

    def __init__(self, state: State, restored: Callable[[], bool]) -> None:
        self._state = state
        self._restored = restored

    def collect(self) -> Iterator[Metric]:
        """Every gauge of the state, in time linear in the number of cells and classes."""
        if not self._restored():
            return
        state = self._state
        yield _gauge("closedloop_rows_held", "Rows held, of all predictors.", state.capacity.held)
        yield _gauge("closedloop_row_limit", "ROW_LIMIT.", state.capacity.limit)
        yield _gauge(
            "closedloop_rows_missing",
            "Rows not held for want of room below ROW_LIMIT.",
            state.missing,
        )
        yield _gauge(
            "closedloop_state_complete", "1 while every row known of is held.", not state.missing
        )
        mismatch = _by_predictor(
            "closedloop_replay_mismatch",
            "Cells of the confusion matrix that differ from the log's, at the last quiet moment.",
        )
        for predictor, cells in sorted(state.mismatches.items()):
            mismatch.add_metric(predictor, cells)
        yield mismatch
        yield from _scores(sorted(state.boards.items()))


def _scores(boards: list[tuple[Predictor, Scoreboard]]) -> Iterator[Metric]:
    correct = _by_predictor("closedloop_correct", "Rows answered correctly, by what is known now.")
    incorrect = _by_predictor(
        "closedloop_incorrect", "Rows answered incorrectly, by what is known now."
    )
    rows = _by_predictor("closedloop_rows", "Rows by what is known of them.", "state")
    cells = _by_predictor(
        "closedloop_confusion_matrix", "Rows by answer and truth.", "predicted", "actual"
    )
    accuracy = _by_predictor("closedloop_accuracy", "Of the rows scored, the share correct.")
    for predictor, board in boards:
        correct.add_metric(predictor, board.correct)
        incorrect.add_metric(predictor, board.incorrect)
        for state, count in board.states.items():
            rows.add_metric((*predictor, state), count)
        for (predicted, actual), count in board.matrix.counts().items():
            cells.add_metric((*predictor, _text(predicted), _text(actual)), count)
        if scored := board.correct + board.incorrect:
            accuracy.add_metric(predictor, board.correct / scored)
    yield from (correct, incorrect, rows, cells, accuracy)
    for name, (measure, documentation) in _MEASURES.items():
        yield from _measure(name, measure, documentation, boards)


def _measure(
    name: str,
    measure: Callable[[ConfusionMatrix, str], float | None],
    documentation: str,
    boards: list[tuple[Predictor, Scoreboard]],
) -> Iterator[Metric]:
    of_class = _by_predictor(f"closedloop_{name}", documentation, "class")
    macro = _by_predictor(f"closedloop_macro_{name}", f"Plain mean of {name} over the classes.")
    for predictor, board in boards:
        values = []
        for label in board.matrix.classes:
            if (value := measure(board.matrix, label)) is not None:
                values.append(value)
                of_class.add_metric((*predictor, _text(label)), value)
        if values:
            macro.add_metric(predictor, sum(values) / len(values))
    yield from (of_class, macro)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def _by_predictor(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(*_LABELS, *labels))


def _text(label: str) -> str:
    # A log of another writer's may hold what UTF-8 cannot.
    return label.encode(errors="replace").decode()
