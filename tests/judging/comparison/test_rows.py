"""A row counts once, however often, under whichever id and in whichever batch it was asked."""

import json
from collections.abc import Sequence
from itertools import permutations

import pytest
from elasticsearch import Elasticsearch
from hypothesis import given
from hypothesis import strategies as st

from closedloop.judging.comparison import Pair, compare, content_of, pairs, series
from closedloop.judging.comparison.compare import Rows
from closedloop.judging.decision import Verdict
from closedloop.log import Period, audit_trail
from closedloop.loop import events, rfc3339
from closedloop.loop.keys import Predictor, kept_apart
from tests.inference_log import Log

CHAMPION, CHALLENGER = "default", "shadow"
RIGHT, WRONG = 0, 1  # the truth is always 0
NAMES = ("ns", "dep", CHAMPION, CHALLENGER)


def ask(
    log: Log,
    request_id: str,
    rows: Sequence[object],
    champion: Sequence[int],
    challenger: Sequence[int],
    second: int = 0,
) -> None:
    """A request of some rows, its answers and its truth, at a second of one hour."""
    asked, judged = (f"2026-01-01T0{hour}:{second // 60:02}:{second % 60:02}Z" for hour in (0, 1))
    for predictor, answers in ((CHAMPION, champion), (CHALLENGER, challenger)):
        log.answer(request_id, *answers, predictor=predictor, asked=rows, time=asked)
        log.judge(request_id, *[RIGHT] * len(rows), predictor=predictor, time=judged)


def held_out(log: Log, name: str, start: int = 0) -> None:
    """75 flowers: the challenger alone is right on 2, the champion alone on 13."""
    outcomes = [(WRONG, RIGHT)] * 2 + [(RIGHT, WRONG)] * 13 + [(RIGHT, RIGHT)] * 60
    for i, (champion, challenger) in enumerate(outcomes):
        ask(log, f"{name}-{i}", [[float(i), 1.5]], [champion], [challenger], start + i)


def test_a_replay_leaves_the_evidence_where_it_was(search: Elasticsearch) -> None:
    log = Log()
    held_out(log, "first")
    log.write(search)
    once = compare(search, *NAMES)
    assert (once.challenger_only, once.champion_only, once.repeats) == (2, 13, 0)
    assert once.decide().verdict is Verdict.UNDECIDED
    for i in range(1, 6):
        held_out(log, f"again-{i}", start=100 * i)
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.paired, seen.challenger_only, seen.champion_only) == (75, 2, 13)
    assert (seen.repeats, seen.champion.scored, seen.champion_unpaired) == (375, 450, 0)
    assert seen.decide().verdict is Verdict.UNDECIDED
    assert seen.decide().sentence == (
        "Undecided: challenger alone right 2, champion alone right 13; evidence 19.5 to 1 against"
        " a threshold of 20; 375 repeated rows left out; at the ratio seen so far it takes about"
        " 1 more rows on which exactly one is right, or 5 more rows labelled for both."
    )


def test_the_series_tells_how_many_repeats_were_left_out_by_then(search: Elasticsearch) -> None:
    log = Log()
    for second, (name, row) in enumerate([("a", 1), ("b", 1), ("c", 2), ("d", 1), ("e", 3)]):
        ask(log, name, [[row]], [WRONG], [RIGHT], second)
    log.write(search)
    found = series(search, *NAMES)
    assert [(point.b, point.repeats) for point in found] == [(1, 0), (2, 1), (3, 2)]
    assert found[-1].log_evidence == compare(search, *NAMES).decide().log_evidence


def test_of_equal_rows_the_one_asked_first_counts(search: Elasticsearch) -> None:
    log = Log()
    ask(log, "a", [[1]], [RIGHT], [WRONG], second=20)  # the first by id
    ask(log, "b", [[1]], [WRONG], [RIGHT], second=10)  # the first by time
    ask(log, "c", [[1]], [RIGHT], [RIGHT], second=30)
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.challenger_only, seen.champion_only, seen.both_right, seen.repeats) == (1, 0, 0, 2)
    assert [point.b for point in series(search, *NAMES)] == [1]


def test_a_row_that_was_asked_before_the_period_is_new_in_it(search: Elasticsearch) -> None:
    log = Log()
    ask(log, "a", [[1]], [RIGHT], [WRONG], second=10)
    ask(log, "b", [[1]], [RIGHT], [WRONG], second=20)
    log.write(search)
    seen = compare(search, *NAMES, Period(since="2026-01-01T00:00:15Z"))
    assert (seen.champion_only, seen.repeats) == (1, 0)


def test_a_row_of_a_batch_is_known_again_alone_and_in_another_batch(search: Elasticsearch) -> None:
    log = Log()
    ask(log, "batch", [[1], [2], [1]], [RIGHT] * 3, [WRONG] * 3, second=1)
    ask(log, "other", [[2], [3]], [RIGHT] * 2, [WRONG] * 2, second=2)
    ask(log, "alone", [[3]], [RIGHT], [WRONG], second=3)
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.champion_only, seen.repeats) == (3, 3)


def test_a_row_whose_request_is_in_one_log_only_is_known_again(search: Elasticsearch) -> None:
    log = Log()
    ask(log, "a", [[1]], [RIGHT], [WRONG], second=1)
    ask(log, "b", [[1]], [RIGHT], [WRONG], second=2)
    for (index, name), document in log.documents.items():
        if (index.endswith(CHAMPION)) == (name == "a"):
            del document["request"]
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.champion_only, seen.repeats, seen.unlogged) == (1, 1, 0)


def test_a_row_whose_request_nobody_logged_counts_and_is_told(search: Elasticsearch) -> None:
    log = Log()
    for name in "abc":
        for predictor, answer in ((CHAMPION, RIGHT), (CHALLENGER, WRONG)):
            message = {"data": {"ndarray": [str(answer)]}}
            log.add(events.RESPONSE, name, message, "2026-01-01T00:00:00Z", predictor)
            log.judge(name, RIGHT, predictor=predictor)
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.champion_only, seen.repeats, seen.unlogged) == (3, 0, 3)
    assert len(series(search, *NAMES)) == 3


def test_a_row_that_was_too_large_to_log_counts_and_is_told(search: Elasticsearch) -> None:
    log = Log()
    for second, text in enumerate(("a" * (1 << 20), "b" * (1 << 20))):
        ask(log, text[0], [[text]], [RIGHT], [WRONG], second)
    ask(log, "null", [None], [RIGHT], [WRONG])
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.champion_only, seen.repeats, seen.unlogged) == (3, 0, 2)


def test_a_row_is_a_pair_also_where_another_owner_has_its_id_in_one_index(
    search: Elasticsearch,
) -> None:
    log = Log()
    ask(log, "x", [[1], [2]], [RIGHT] * 2, [WRONG] * 2)
    for (index, name), document in [*log.documents.items()]:
        if index.endswith(CHALLENGER):
            apart = kept_apart(name, Predictor("ns", "dep", CHALLENGER))
            log.documents[index, apart] = {**document, "DocumentId": apart}
            log.documents[index, name] = {**document, "Ce-Inferenceservicename": "Dep"}
    log.write(search)
    found = pairs(search, *NAMES)
    assert [(each.document_id, each.discordant) for each in found] == [
        ("x-item-0", True),
        ("x-item-1", True),
    ]
    assert len(audit_trail(search, "ns", "dep", CHALLENGER, "x", row=1)) == 1


def test_answers_to_two_requests_under_one_id_are_no_pair(search: Elasticsearch) -> None:
    log = Log()
    ask(log, "good", [[0]], [RIGHT], [WRONG])
    for predictor, row, answer in ((CHAMPION, 1, RIGHT), (CHALLENGER, 2, WRONG)):
        log.answer("twice", answer, predictor=predictor, asked=[[row]])
        log.judge("twice", RIGHT, predictor=predictor)
    log.write(search)
    seen = compare(search, *NAMES)
    assert (seen.paired, seen.champion_unpaired, seen.challenger_unpaired) == (1, 1, 1)


asked_rows = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans(), st.booleans()), max_size=12
)


def pair(index: int, content: int, second: int, champion: bool, challenger: bool) -> Pair:
    asked, judged = f"2026-01-01T00:00:0{second}Z", f"2026-01-01T01:00:{index:02}Z"
    name = f"id-{index}"
    digest = content_of([content])
    return Pair(name, 0, name, champion, challenger, judged, asked, digest)


@given(asked_rows)
def test_rows_are_those_of_a_recount(found: list[tuple[int, int, bool, bool]]) -> None:
    every = [pair(index, *each) for index, each in enumerate(found)]
    first: dict[bytes | None, Pair] = {}
    for each in sorted(every, key=lambda one: (one.asked, one.request_id)):
        first.setdefault(each.content, each)
    rows = Rows(sorted(every, key=lambda one: one.request_id))
    outcomes = [(each.champion_correct, each.challenger_correct) for each in first.values()]
    assert +rows.cells == {cell: outcomes.count(cell) for cell in set(outcomes)}
    assert sorted(rows.discordant, key=lambda one: one.request_id) == sorted(
        (each for each in first.values() if each.discordant), key=lambda one: one.request_id
    )
    left_out = [each for each in every if each not in first.values()]
    assert sorted(rows.repeated) == sorted(rfc3339.nanoseconds(each.time) for each in left_out)


def test_the_order_in_which_rows_are_read_does_not_matter() -> None:
    every = [pair(i, 0, i, i % 2 == 0, i < 2) for i in range(4)]
    counted = [Rows(order) for order in permutations(every)]
    assert all(+rows.cells == {(True, True): 1} for rows in counted)
    assert {tuple(sorted(rows.repeated)) for rows in counted} == {
        tuple(rfc3339.nanoseconds(each.time) for each in every[1:])
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2.0, -0.0], [1.0, 2, 0]),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        ("text", "text"),
        (None, None),
    ],
)
def test_what_json_calls_the_same_has_the_same_digest(one: object, other: object) -> None:
    assert content_of(one) == content_of(other)
    assert len(content_of(one)) == 16


@pytest.mark.parametrize(
    ("one", "other"),
    [([1, 2], [2, 1]), ([1], 1), ([1], ["1"]), ([True], [1]), ([[1], [2]], [[1, 2]]), ([], [0])],
)
def test_what_differs_has_another_digest(one: object, other: object) -> None:
    assert content_of(one) != content_of(other)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(json_values)
def test_a_row_that_went_through_json_is_the_same_row(value: object) -> None:
    assert content_of(json.loads(json.dumps(value))) == content_of(value)


def test_pairs_have_the_repeats_among_them(search: Elasticsearch) -> None:
    log = Log()
    ask(log, "a", [[1]], [RIGHT], [WRONG])
    ask(log, "b", [[1]], [RIGHT], [WRONG])
    log.write(search)
    one, other = pairs(search, *NAMES)
    assert one.content == other.content == content_of([1])
    assert one.asked == "2026-01-01T00:00:00Z"
