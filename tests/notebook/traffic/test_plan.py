from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.events import InvalidEvent
from closedloop.loop.payload import feedback_of
from closedloop.notebook.traffic.plan import (
    Form,
    Plan,
    Planned,
    Right,
    Stated,
    feedback_body,
    predicted,
    request_body,
)

ROWS = [[0.0], [1.0], [2.0]]
SCORES = {"data": {"names": ["a", "b", "c"], "ndarray": [[0.1, 0.7, 0.2]]}}


def taken(plan: Plan, elapsed: float = 0.0) -> list[Planned]:
    return list(iter(lambda: plan.take(elapsed), None))


def stated(row: object) -> object:
    """The class that one row of a truth states."""
    said, _ = predicted({"data": {"ndarray": [row]}})
    return said.name if said.index is None else said.index


def planned(label: object = None, right: bool | None = None, draw: float = 0.0) -> Planned:
    return Planned(0, 0.0, 0.0, "p", [1.0], label=label, right=right, draw=draw)


def test_rows_come_in_order_and_again() -> None:
    assert [p.row for p in taken(Plan(ROWS, n=5))] == [[0.0], [1.0], [2.0], [0.0], [1.0]]


def test_a_rate_says_when_each_is_due() -> None:
    assert [p.due for p in taken(Plan(ROWS, n=4, rate=10))] == [0.0, 0.1, 0.2, 0.3]


def test_without_a_rate_each_is_due_when_taken() -> None:
    assert Plan(ROWS, n=1).take(elapsed=7.5).due == 7.5  # type: ignore[union-attr]  # there is one


def test_seconds_end_the_plan() -> None:
    assert len(taken(Plan(ROWS, seconds=2, rate=10))) == 20
    assert Plan(ROWS, seconds=2).take(elapsed=2.1) is None


def test_progress_runs_from_0_towards_1() -> None:
    assert [p.progress for p in taken(Plan(ROWS, n=4))] == [0, 0.25, 0.5, 0.75]
    assert [p.progress for p in taken(Plan(ROWS, seconds=1, rate=4))] == [0, 0.25, 0.5, 0.75]


def test_truths_of_any_kind_go_with_their_rows_as_they_are() -> None:
    plan = Plan(ROWS, truths=[1.5, "a", [1, 0]], n=4, share=0.75)
    planned = taken(plan)
    assert sum(p.judged for p in planned) == 3
    assert {(p.row[0], str(p.truth)) for p in planned if p.judged} <= {
        (0.0, "1.5"),
        (1.0, "a"),
        (2.0, "[1, 0]"),
    }


def test_labels_go_with_their_rows() -> None:
    plan = Plan(ROWS, labels=[7, 8, 9], n=4)
    assert [(p.row, p.label) for p in taken(plan)] == [
        ([0.0], 7),
        ([1.0], 8),
        ([2.0], 9),
        ([0.0], 7),
    ]


@given(st.integers(1, 200), st.floats(0, 1), st.integers(0, 5))
def test_exactly_the_share_of_n_gets_feedback(n: int, share: float, seed: int) -> None:
    plan = Plan(ROWS, right=0.5, share=share, n=n, seed=seed)
    assert sum(p.judged for p in taken(plan)) == round(share * n)


def test_outcomes_can_be_given_one_by_one() -> None:
    outcomes = [True, None, False]
    assert [p.right for p in taken(Plan(ROWS, right=outcomes))] == outcomes


def test_a_probability_may_change_with_progress() -> None:
    plan = Plan(ROWS, right=lambda progress: 1.0 if progress < 0.5 else 0.0, n=10)
    assert [p.right for p in taken(plan)] == [True] * 5 + [False] * 5


def test_the_same_seed_plans_the_same_but_for_the_ids() -> None:
    def outcomes(seed: int) -> list[bool | None]:
        return [p.right for p in taken(Plan(ROWS, right=0.5, n=50, seed=seed))]

    assert outcomes(1) == outcomes(1) != outcomes(2)
    puids = [p.puid for seed in (1, 1) for p in taken(Plan(ROWS, n=50, seed=seed))]
    assert len(set(puids)) == 100


@pytest.mark.parametrize(
    ("label", "right"), [(1, True), (2, False), ("b", True), ("c", False), ("elsewhere", False)]
)
def test_a_known_label_is_the_truth(label: object, right: bool) -> None:
    body, agrees = feedback_body(planned(label=label), {}, SCORES)
    assert agrees is right
    assert body["truth"] == {"data": {"ndarray": [[label]]}}


@pytest.mark.parametrize("form", ["truth", "one-hot", "reward"])
@given(right=st.booleans(), draw=st.floats(0, 1, exclude_max=True), answered=st.integers(0, 3))
def test_feedback_says_what_was_planned_in_every_form(
    form: Form, right: bool, draw: float, answered: int
) -> None:
    answer = {"data": {"names": [], "ndarray": [[float(i == answered) for i in range(4)]]}}
    body, agrees = feedback_body(planned(right=right, draw=draw), {}, answer, form=form)
    said = feedback_of(body)
    assert agrees is right
    if said.truth is None:
        assert said.reward == float(right)
    else:
        assert (stated(said.truth.rows[0]) == answered) is right


@pytest.mark.parametrize("answer", [{"strData": "b"}, {"data": {"ndarray": [2]}}])
@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_a_single_class_work_too(answer: dict[str, object], right: bool) -> None:
    body, _ = feedback_body(planned(right=right), {}, answer)
    truth = feedback_of(body).truth
    assert truth is not None
    assert (stated(truth.rows[0]) in ("b", 2)) is right


@pytest.mark.parametrize(
    ("answer", "stating", "classes"),
    [
        (SCORES, Stated(1, "b"), 3),
        ({"data": {"ndarray": [[0.1, 0.9]]}}, Stated(1, None), 2),
        ({"data": {"names": ["a"], "ndarray": [[0.1, 0.9]]}}, Stated(1, None), 2),
        ({"data": {"ndarray": [[-3, -1, -2]]}}, Stated(1, None), 3),
        ({"data": {"ndarray": [["b"]]}}, Stated(None, "b"), None),
        ({"data": {"ndarray": [[2.0]]}}, Stated(2, None), None),
        ({"data": {"tensor": {"shape": [], "values": [2]}}}, Stated(2, None), None),
        ({"predictions": [[0.1, 0.9]]}, Stated(1, None), 2),
        ({"outputs": [{"name": "p", "shape": [1], "data": [2]}]}, Stated(2, None), None),
    ],
)
def test_the_class_that_an_answer_states(
    answer: dict[str, object], stating: Stated, classes: int | None
) -> None:
    assert predicted(answer) == (stating, classes)


@pytest.mark.parametrize(
    "row", [None, "", -1, 0.5, True, [], [0.1, "a"], [[1, 2], [3, 4]], {"a": 1}, 10**400]
)
def test_an_answer_that_states_no_class_says_so(row: object) -> None:
    with pytest.raises(InvalidEvent, match="states no class") as refused:
        predicted({"data": {"ndarray": [row]}})
    assert len(str(refused.value)) < 300


def test_tags_go_with_any_form() -> None:
    body, _ = feedback_body(planned(right=True), {}, SCORES, form="reward", tags={"user": "ada"})
    assert body["truth"] == {"meta": {"tags": {"user": "ada"}}}
    assert feedback_of(body).truth is None


def test_feedback_carries_the_request_and_not_the_answer() -> None:
    request = request_body([1.0], ["x"])
    body, _ = feedback_body(planned(right=True), request, SCORES)
    assert body["request"] == {"data": {"names": ["x"], "ndarray": [[1.0]]}}
    assert "response" not in body


def test_a_truth_that_cannot_be_one_hot_says_so() -> None:
    with pytest.raises(ValueError, match="'b' of 3 classes"):
        feedback_body(planned(label="b"), {}, SCORES, form="one-hot")


def bad(
    rows: Sequence[Sequence[object]] = ROWS,
    labels: Sequence[object] | None = None,
    right: Right | None = None,
    share: float = 1,
    n: int | None = 1,
    rate: float | None = None,
) -> Plan:
    return Plan(rows, labels=labels, right=right, share=share, n=n, rate=rate)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rows": []}, "rows is empty"),
        ({"labels": [1]}, "1 labels for 3 rows"),
        ({"labels": [1, 2, 3], "right": 0.5}, "labels and right are given"),
        ({"n": None}, "when the traffic ends"),
        ({"rate": 0}, "rate is 0"),
        ({"share": 2}, "share is 2"),
        ({"right": 1.5}, "right is 1.5"),
        ({"right": [True], "n": 2}, "1 outcomes for 2 requests"),
    ],
)
def test_contradictions_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bad(**arguments)  # type: ignore[arg-type]  # the cases have arguments of different types
