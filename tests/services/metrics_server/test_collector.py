from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from closedloop.loop.keys import Predictor
from closedloop.loop.observation import observe
from closedloop.loop.output import read_output
from closedloop.loop.scoring.scoreboard import Feedback
from closedloop.services.metrics_server.collector import MOST_CLASSES, CountsCollector
from closedloop.services.metrics_server.state import State
from tests.services.metrics_server.running import START, Restored, answer, truth

PETS = {
    "deployment_namespace": "seldon", "deployment_name": "pets", "predictor_name": "default",
}  # fmt: skip


def registry_of(state: State, *, restored: bool = True) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(CountsCollector(Restored(state, restored)))
    return registry


def state_of(*pairs: tuple[str, str]) -> State:
    """A state with these rows, as (answer, truth)."""
    state = State()
    for i, (predicted, actual) in enumerate(pairs):
        state.observe(observe(answer(predicted, request_id=f"r-{i}")))
        state.observe(observe(truth(actual, request_id=f"r-{i}")))
    return state


def test_every_measure_of_an_example_by_hand() -> None:
    state = state_of(*[("cat", "cat")] * 3, ("dog", "cat"), *[("dog", "dog")] * 2)
    state.observe(observe(answer("cat", request_id="no truth yet")))
    registry = registry_of(state)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"closedloop_{name}", PETS | labels)

    assert (value("correct"), value("incorrect"), value("accuracy")) == (5, 1, 5 / 6)
    assert [value("rows", state=name) for name in ("scored", "unlabelled")] == [6, 1]
    assert value("confusion_matrix", predicted="dog", actual="cat") == 1
    for name, dog, cat in (
        ("precision", 2 / 3, 1),
        ("recall", 1, 3 / 4),
        ("specificity", 3 / 4, 1),
        ("f1", 4 / 5, 6 / 7),
    ):
        assert value(name, **{"class": "dog"}) == dog
        assert value(name, **{"class": "cat"}) == cat
        assert value(f"macro_{name}") == pytest.approx((dog + cat) / 2)


def test_says_nothing_before_the_state_is_restored() -> None:
    assert generate_latest(registry_of(state_of(("cat", "cat")), restored=False)) == b""


def test_leaves_undefined_ratios_out() -> None:
    state = State()
    state.observe(observe(answer("cat")))
    page = generate_latest(registry_of(state)).decode()
    assert "closedloop_correct{" in page
    for name in ("accuracy", "precision", "recall", "specificity", "f1", "macro_f1"):
        assert f"closedloop_{name}{{" not in page


@pytest.mark.parametrize("label", ['"', "\\", "a\nb", "{}=,", "ключ", "\U0001f600"])
def test_any_text_may_name_a_class(label: str) -> None:
    page = generate_latest(registry_of(state_of((label, label)))).decode()
    (family,) = (
        family
        for family in text_string_to_metric_families(page)
        if family.name == "closedloop_precision"
    )
    assert [sample.labels["class"] for sample in family.samples] == [label]


def test_a_class_name_from_elsewhere_that_is_no_unicode_does_not_break_the_page() -> None:
    state = State()
    state.observe(observe(answer("cat")))
    board = state.boards[Predictor("seldon", "pets", "default")]
    board.judge("r", "1", Feedback(("\ud800",)))
    assert b'actual="?"' in generate_latest(registry_of(state))


def test_says_how_much_is_held() -> None:
    registry = registry_of(state_of(("cat", "cat"), ("cat", "dog")))
    assert registry.get_sample_value("closedloop_state_complete") == 1
    assert registry.get_sample_value("closedloop_rows_held") == 2


def test_tells_mismatches_of_each_predictor() -> None:
    state = state_of(("cat", "cat"))
    state.compare({})
    assert registry_of(state).get_sample_value("closedloop_replay_mismatch", PETS) == 3


def test_past_a_hundred_classes_the_rare_ones_are_one() -> None:
    pairs = [(f"c{i:03}", f"c{i:03}") for i in range(150)] + [("c149", "c000")] * 2
    registry = registry_of(state_of(*pairs))
    cells = {
        (sample.labels["predicted"], sample.labels["actual"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "closedloop_confusion_matrix"
    }
    assert registry.get_sample_value("closedloop_classes_left_out", PETS) == 50
    assert len(cells) == MOST_CLASSES + 2
    assert (cells["other", "other"], cells["c149", "c000"]) == (50, 2)
    assert sum(cells.values()) == 152
    of_class = [
        sample.labels["class"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "closedloop_recall"
    ]
    assert len(of_class) == MOST_CLASSES
    macro = registry.get_sample_value("closedloop_macro_recall", PETS)
    assert macro == pytest.approx((149 + 1 / 3) / 150)  # of all classes, shown or not


def test_hostile_class_names_make_no_more_series_than_the_bound() -> None:
    pairs = [(f"p{i}" * 20, f"a{i}" * 20) for i in range(300)]
    registry = registry_of(state_of(*pairs))
    series = sum(len(family.samples) for family in registry.collect())
    assert series < 10 * MOST_CLASSES


def test_a_regression_has_measures_and_no_classes() -> None:
    output = read_output({"kind": "regression", "tolerance": 0.5})
    state = State(output_of=lambda _: output)
    for i, (said, true) in enumerate([(1.0, 1.5), (2.0, 1.0), (3.0, 5.0)]):
        state.observe(observe(answer(said, request_id=f"r-{i}")))
        state.observe(observe(truth(true, request_id=f"r-{i}")))
    registry = registry_of(state)

    def value(name: str) -> float | None:
        return registry.get_sample_value(f"closedloop_{name}", PETS)

    assert value("mean_absolute_error") == pytest.approx(3.5 / 3)
    assert value("root_mean_squared_error") == pytest.approx((5.25 / 3) ** 0.5)
    assert value("bias") == pytest.approx(-0.5)
    assert value("within_tolerance") == value("accuracy") == 1 / 3
    assert value("macro_recall") is None
    assert "closedloop_confusion_matrix{" not in generate_latest(registry).decode()


def test_delays_and_cohorts() -> None:
    now = datetime.now(UTC)
    state = State()
    for i, hours in enumerate([0, 1, 1, 30]):
        second = int((now - START).total_seconds()) - 3600 * hours
        state.observe(observe(answer("cat", request_id=f"r-{i}", second=second)))
        if i < 2:
            state.observe(observe(truth("cat", request_id=f"r-{i}", second=second + 5)))
    registry = registry_of(state)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"closedloop_{name}", PETS | labels)

    assert value("cohort_rows", age_hours="0", judged="true") == 1
    assert value("cohort_rows", age_hours="1", judged="true") == 1
    assert value("cohort_rows", age_hours="1", judged="false") == 1
    assert value("cohort_rows", age_hours="23", judged="false") == 0
    assert value("feedback_delay_seconds_bucket", le="1.0") == 0
    assert value("feedback_delay_seconds_bucket", le="10.0") == 2
    assert value("feedback_delay_seconds_count") == 2
    assert value("feedback_delay_seconds_sum") == 10
