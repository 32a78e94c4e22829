import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.judging.comparison import compare, disagreements, pairs, series
from closedloop.judging.decision import Verdict, evidence
from closedloop.log import NothingLoggedError, Period
from closedloop.loop import events
from tests.inference_log import Log, empty

CHAMPION, CHALLENGER = "default", "shadow"
RIGHT, WRONG = 0, 1  # the truth is always 0


def row(
    log: Log,
    request_id: str,
    champion: int | None,
    challenger: int | None,
    minute: int = 0,
    truth: int | None = RIGHT,
    asked: object = None,
    at: str = "2026-01-01T00:00:00Z",
) -> None:
    content = [request_id] if asked is None else asked
    for predictor, answer in ((CHAMPION, champion), (CHALLENGER, challenger)):
        if answer is not None:
            log.answer(request_id, answer, predictor=predictor, asked=[content], time=at)
        if truth is not None:
            time = f"2026-01-01T01:{minute:02}:00Z"
            log.judge(request_id, truth, time=time, predictor=predictor)


def test_the_paired_table(search: Elasticsearch) -> None:
    log = Log()
    table = [(RIGHT, RIGHT, 4), (RIGHT, WRONG, 1), (WRONG, RIGHT, 3), (WRONG, WRONG, 2)]
    for champion, challenger, count in table:
        for i in range(count):
            row(log, f"{champion}{challenger}{i}", champion, challenger)
    log.write(search)
    seen = compare(search, "ns", "dep", CHAMPION, CHALLENGER)
    assert (seen.both_right, seen.both_wrong) == (4, 2)
    assert (seen.champion_only, seen.challenger_only) == (1, 3)
    assert (seen.paired, seen.discordant) == (10, 4)
    assert (seen.champion.accuracy, seen.challenger.accuracy) == (0.5, 0.7)
    assert (seen.decide().b, seen.decide().c, seen.report().share) == (3, 1, 0.75)


def test_what_only_one_has_is_counted_apart(search: Elasticsearch) -> None:
    log = Log()
    row(log, "both", RIGHT, WRONG)
    row(log, "lost on the way", RIGHT, None)
    row(log, "unlabelled", RIGHT, RIGHT, truth=None)
    log.write(search)
    seen = compare(search, "ns", "dep", CHAMPION, CHALLENGER)
    assert (seen.paired, seen.champion_unpaired, seen.challenger_unpaired) == (1, 1, 0)
    assert (seen.champion.coverage, seen.challenger.coverage) == (2 / 3, 1 / 2)
    assert seen.challenger.states["unmatched"] == 1


answers = st.none() | st.sampled_from([RIGHT, WRONG])


@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=st.dictionaries(
        st.text(st.characters(codec="utf-8", categories=["L", "N", "S"]), min_size=1, max_size=3),
        st.tuples(answers, answers, st.booleans()),
        max_size=25,
    ),
    page=st.integers(1, 7),
)
def test_the_join_equals_one_in_memory_whatever_the_page(
    search: Elasticsearch,
    rows: dict[str, tuple[int | None, int | None, bool]],
    page: int,
) -> None:
    empty(search)
    log = Log()
    row(log, "-", RIGHT, RIGHT)
    for name, (champion, challenger, labelled) in rows.items():
        row(log, name, champion, challenger, truth=RIGHT if labelled else None)
    log.write(search)
    found = {
        pair.request_id: (pair.champion_correct, pair.challenger_correct)
        for pair in pairs(search, "ns", "dep", CHAMPION, CHALLENGER, page=page)
    }
    expected = {
        name: (champion == RIGHT, challenger == RIGHT)
        for name, (champion, challenger, labelled) in rows.items()
        if champion is not None and challenger is not None and labelled
    }
    assert found == expected | {"-": (True, True)}


def test_batches_are_compared_row_by_row(search: Elasticsearch) -> None:
    log = Log()
    for predictor, classes in ((CHAMPION, [0, 1, 2]), (CHALLENGER, [0, 0, 0])):
        log.answer("batch", *classes, predictor=predictor)
        log.judge("batch", 0, None, 2, predictor=predictor)
    log.write(search)
    found = [
        (p.row, p.champion_correct, p.challenger_correct)
        for p in pairs(search, "ns", "dep", CHAMPION, CHALLENGER)
    ]
    assert found == [(0, True, True), (2, True, False)]


def test_an_id_used_for_a_row_and_for_a_batch_pairs_each_with_its_like(
    search: Elasticsearch,
) -> None:
    log = Log()
    for predictor, answer in ((CHAMPION, RIGHT), (CHALLENGER, WRONG)):
        for classes in ([answer], [WRONG, WRONG]):
            log.answer("x", *classes, predictor=predictor)
            log.judge("x", *[RIGHT] * len(classes), predictor=predictor)
    log.write(search)
    found = {
        p.document_id: p.discordant
        for p in pairs(search, "ns", "dep", CHAMPION, CHALLENGER, page=1000)
    }
    assert found == {"x": True, "x-item-0": False, "x-item-1": False}


def test_the_period_bounds_both(search: Elasticsearch) -> None:
    log = Log()
    for minute in range(10):
        row(log, f"r{minute}", RIGHT, WRONG, minute)
    log.write(search)
    seen = compare(
        search,
        "ns",
        "dep",
        CHAMPION,
        CHALLENGER,
        period=Period(feedback_since="2026-01-01T01:06:00Z"),
    )
    assert (seen.champion_only, seen.champion.scored, seen.challenger.scored) == (4, 4, 4)


def test_the_series_follows_the_feedback_and_ends_where_the_table_stands(
    search: Elasticsearch,
) -> None:
    log = Log()
    for minute, name in enumerate("hgfedcba"):
        row(log, name, WRONG, RIGHT, minute)
    row(log, "tie", RIGHT, RIGHT, 20)
    row(log, "loss", RIGHT, WRONG, 30)
    log.write(search)
    points = series(search, "ns", "dep", CHAMPION, CHALLENGER)
    assert [(point.b, point.c) for point in points] == [*((b, 0) for b in range(1, 9)), (8, 1)]
    assert [point.time for point in points] == sorted(point.time for point in points)
    assert points[-1].log_evidence == evidence(8, 1)
    assert (
        compare(search, "ns", "dep", CHAMPION, CHALLENGER).decide().log_evidence
        == points[-1].log_evidence
    )


def test_a_correction_changes_who_is_right(search: Elasticsearch) -> None:
    log = Log()
    for i in range(12):
        row(log, f"r{i:02}", WRONG, RIGHT)
    for i in range(12):
        row(log, f"r{i:02}", WRONG, RIGHT, minute=30, truth=WRONG)
    log.write(search)
    decision = compare(search, "ns", "dep", CHAMPION, CHALLENGER).decide()
    assert (decision.b, decision.c, decision.verdict) == (0, 12, Verdict.KEEP)


def test_disagreements_are_requests_that_can_be_sent_again(search: Elasticsearch) -> None:
    log = Log()
    for i in range(5):
        row(log, f"agree{i}", RIGHT, RIGHT)
        row(log, f"differ{i}", RIGHT, WRONG)
    row(log, "again", RIGHT, WRONG, asked=["differ0"])
    log.write(search)
    assert disagreements(search, "ns", "dep", CHAMPION, CHALLENGER, most=3) == [
        {"data": {"names": [], "ndarray": [[name]]}} for name in ("differ0", "differ1", "differ2")
    ]


def test_no_disagreement_is_an_empty_list(search: Elasticsearch) -> None:
    log = Log()
    row(log, "r", RIGHT, RIGHT)
    log.write(search)
    assert disagreements(search, "ns", "dep", CHAMPION, CHALLENGER) == []


def test_disagreements_need_the_request_to_be_logged(search: Elasticsearch) -> None:
    log = Log()
    for predictor, answer in ((CHAMPION, RIGHT), (CHALLENGER, WRONG)):
        message = {"data": {"ndarray": [[answer]]}}
        log.add(events.RESPONSE, "r", message, "2026-01-01T00:00:00Z", predictor)
        log.judge("r", RIGHT, predictor=predictor)
    log.write(search)
    assert disagreements(search, "ns", "dep", CHAMPION, CHALLENGER) == []


def test_a_challenger_that_logged_nothing_is_named(search: Elasticsearch) -> None:
    log = Log()
    log.answer("r", RIGHT)
    log.write(search)
    with pytest.raises(NothingLoggedError, match="predictor shadow of ns/dep"):
        compare(search, "ns", "dep", CHAMPION, CHALLENGER)
