import math

import pytest
from elasticsearch import Elasticsearch

from closedloop.log import Measures, evaluate
from closedloop.loop import events
from closedloop.loop.output import read_output
from closedloop.loop.scoring.labels import LabelCounts
from tests.inference_log import Log


def logged(search: Elasticsearch, declared: object, *pairs: tuple[object, object]) -> None:
    """A log of these (answer, truth), by this declaration."""
    output = None if declared is None else read_output(declared)
    log = Log(output_of=lambda _: output)
    for i, (answer, truth) in enumerate(pairs):
        said = ((events.RESPONSE, {"data": {"ndarray": [answer]}}),
                (events.FEEDBACK, {"truth": {"data": {"ndarray": [truth]}}}))  # fmt: skip
        for kind, body in said:
            log.add(kind, f"r{i}", body, "2026-01-01T00:00:00Z", "default")
    log.write(search)


def test_a_regression_has_its_errors(search: Elasticsearch) -> None:
    declared = {"kind": "regression", "tolerance": 0.5}
    logged(search, declared, (1.0, 1.5), (2.0, 1.0), (3.0, 5.0))
    seen = evaluate(search, "ns", "dep")
    assert seen.measures == Measures(
        mean_absolute_error=3.5 / 3,
        root_mean_squared_error=math.sqrt((0.25 + 1 + 4) / 3),
        bias=-0.5,
    )
    assert (seen.correct, seen.accuracy) == (1, 1 / 3)


def test_probabilities_have_their_losses(search: Elasticsearch) -> None:
    declared = {"kind": "probabilities", "classes": ["no", "yes"]}
    logged(search, declared, ([0.2, 0.8], "yes"), ([0.6, 0.4], "yes"))
    measures = evaluate(search, "ns", "dep").measures
    assert measures.brier_score == pytest.approx((0.04 + 0.36) / 2)
    assert measures.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert measures.mean_absolute_error is None


def test_several_labels_have_micro_and_macro_measures(search: Elasticsearch) -> None:
    declared = {"kind": "multilabel", "classes": ["a", "b", "c"]}
    rows = (([1, 1, 0], [1, 0, 0]), ([0, 1, 0], [0, 1, 0]), ([0, 0, 0], [0, 1, 0]))
    logged(search, declared, *rows)
    counts = LabelCounts()
    for row in rows:
        predicted, actual = (
            frozenset(name for name, has in zip("abc", each, strict=True) if has) for each in row
        )
        counts.add(predicted, actual)
    seen = evaluate(search, "ns", "dep")
    measures = seen.measures
    assert (measures.micro_precision, measures.micro_recall, measures.micro_f1) == (
        counts.micro_precision, counts.micro_recall, counts.micro_f1
    )  # fmt: skip
    assert measures.macro_precision == 0.75  # a 1/1, b 1/2; c was never predicted
    assert measures.macro_recall == 0.75
    assert measures.macro_f1 == pytest.approx((1 + 2 / 4) / 2)
    assert (seen.correct, seen.accuracy) == (1, 1 / 3)


def test_what_is_unscorable_is_told_by_reason(search: Elasticsearch) -> None:
    logged(search, None, (0.97, 1), (1, 1), (["a"], "a"))
    seen = evaluate(search, "ns", "dep")
    assert seen.reasons == {"undeclared_number": 2}
    assert seen.measures == Measures()
