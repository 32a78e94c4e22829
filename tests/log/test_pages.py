"""Reading a log: every document once, in order, whatever the page and whoever shares the index."""

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch, helpers
from elasticsearch.helpers import scan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.judging.comparison import compare, disagreements, pairs, series
from closedloop.log import NothingLoggedError, audit_trail, evaluate, over_time, pages
from closedloop.log.pages import SCORED, Key, Log, by_request, open_log
from closedloop.loop.keys import Predictor, index_name
from tests.inference_log import Log as Written
from tests.inference_log import empty

# Two owners of one index: its name does not say where one name ends and the next begins.
IRIS = ("default", "iris-perf", "shadow")
PERF = ("default", "iris", "perf-shadow")
CAPITAL = ("default", "Iris", "perf-shadow")


def read(search: Elasticsearch, page: int) -> list[tuple[Key, list[str]]]:
    found = by_request(search, open_log(search, "ns", "dep", "default"), [], [], page=page)
    return [(key, sorted(documents)) for key, documents in found]


def put(search: Elasticsearch, documents: dict[str, dict[str, object]]) -> None:
    owner = {"Ce-Namespace": "ns", "Ce-Inferenceservicename": "dep", "Ce-Endpoint": "default"}
    index = index_name("ns", "dep", "default")
    actions = (
        {"_index": index, "_id": name, "_source": owner | document}
        for name, document in documents.items()
    )
    helpers.bulk(search, actions, refresh=True)


@pytest.mark.parametrize("page", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize("field", [True, False])
def test_no_document_is_skipped_where_a_page_ends_between_two_of_one_key(
    search: Elasticsearch, page: int, field: bool
) -> None:
    names = [f"{request}{suffix}" for request in "abcdef" for suffix in ("", "-item-0", "-x")]
    documents: dict[str, dict[str, object]] = {
        name: {"RequestId": name[0], "Row": 0, **({"DocumentId": name} if field else {})}
        for name in names
    }
    put(search, documents)
    assert read(search, page) == [
        ((request, 0), [request, f"{request}-item-0", f"{request}-x"]) for request in "abcdef"
    ]


def test_pages_of_large_documents_are_short(
    search: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def scanned(client: Elasticsearch, **asked: Any) -> Any:
        sizes.append(asked["size"])
        return scan(client, **asked)

    monkeypatch.setattr(pages, "scan", scanned)
    monkeypatch.setattr(pages, "REQUEST_BYTES", 40_000)
    put(
        search,
        {
            f"r-{i}": {"RequestId": f"r-{i}", "Row": 0, "request": {"instance": "x" * 10_000}}
            for i in range(7)
        },
    )
    log = open_log(search, "ns", "dep", "default")
    assert len([*by_request(search, log, [], ["request.instance"])]) == 7
    assert len([*by_request(search, log, [], [])]) == 7
    assert sizes[0] == 3
    assert sizes[1] > 300


letters = st.characters(codec="utf-8", categories=["L", "M", "N", "P", "S", "Zs"])
# Ids that sort apart only late, and those that UTF-16 sorts otherwise than UTF-8.
ids = st.text(letters, min_size=1, max_size=12) | st.builds(
    lambda head, tail: head + tail,
    st.sampled_from(["abcdefgh", "日本語日本語", "😀😀", "é" * 30]),
    st.sampled_from(["", "\ue000", "\uffee", "\U00010000", "😀", "z", "zz", "Z", " "]),
)


@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sets(st.tuples(ids, st.integers(0, 3)), min_size=1, max_size=20), st.integers(1, 7))
def test_the_order_is_pythons_whatever_the_ids(
    search: Elasticsearch, keys: set[Key], page: int
) -> None:
    empty(search)
    put(
        search,
        {
            str(number): {"RequestId": request_id, "Row": row, "DocumentId": str(number)}
            for number, (request_id, row) in enumerate(sorted(keys))
        },
    )
    assert [key for key, _ in read(search, page)] == sorted(keys)


def test_a_server_that_sorts_otherwise_is_refused(
    search: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(search, {name: {"RequestId": name, "Row": 0} for name in "ab"})

    def reverse(*arguments: Any, **more: Any) -> Iterator[object]:
        yield from reversed([*scan(*arguments, **more)])

    monkeypatch.setattr(pages, "scan", reverse)
    with pytest.raises(RuntimeError, match=r"sorts \('b', 0\) before \('a', 0\): use one that"):
        read(search, 10)


def test_what_is_logged_between_two_pages_is_not_read_by_halves(search: Elasticsearch) -> None:
    put(search, {str(i): {"RequestId": f"r{i}", "Row": 0} for i in range(5)})
    found = by_request(search, open_log(search, "ns", "dep", "default"), [], [], page=2)
    first = next(found)
    put(search, {"late": {"RequestId": "r4", "Row": 0}})
    assert [key for key, _ in [first, *found]] == [(f"r{i}", 0) for i in range(5)]


def written(owner: tuple[str, str, str], answers: list[int]) -> Written:
    """A log in which the truth is always 0; requests have the same ids whoever the owner is."""
    namespace, deployment, predictor = owner
    log = Written(namespace, deployment)
    for i, answer in enumerate(answers):
        # Where both have the same id the index has room for one of the documents only.
        name = f"{deployment}-{i}"
        log.answer(name, answer, predictor=predictor, asked=[[i]])
        log.judge(name, 0, predictor=predictor)
    return log


@pytest.fixture
def shared(search: Elasticsearch) -> Elasticsearch:
    """Three predictors' rows in one index: 3 right and 1 wrong, 2 and 3, 1 and 0."""
    assert index_name(*IRIS) == index_name(*PERF) == index_name(*CAPITAL)
    for owner, answers in ((IRIS, [0, 0, 0, 1]), (PERF, [0, 0, 1, 1, 1]), (CAPITAL, [0])):
        written(owner, answers).write(search)
    return search


@pytest.mark.parametrize(("owner", "counts"), [(IRIS, (3, 1)), (PERF, (2, 3)), (CAPITAL, (1, 0))])
def test_each_owner_of_an_index_is_evaluated_by_itself(
    shared: Elasticsearch, owner: tuple[str, str, str], counts: tuple[int, int]
) -> None:
    seen = evaluate(shared, *owner)
    assert (seen.correct, seen.incorrect) == counts
    assert (seen.matrix.correct, seen.matrix.total) == (counts[0], sum(counts))
    assert seen.answered == seen.states["scored"] == sum(counts)
    assert [(each.correct, each.incorrect) for each in over_time(shared, *owner)] == [counts]
    keys = [key for key, _ in by_request(shared, open_log(shared, *owner), [SCORED], [], page=2)]
    assert keys == [(f"{owner[1]}-{i}", 0) for i in range(sum(counts))]


def test_what_another_owner_was_told_is_no_audit_trail(shared: Elasticsearch) -> None:
    assert len(audit_trail(shared, *IRIS, "iris-perf-0")) == 1
    with pytest.raises(LookupError, match="iris-0 is not in index"):
        audit_trail(shared, *IRIS, "iris-0")


def test_who_only_shares_an_index_has_logged_nothing(shared: Elasticsearch) -> None:
    with pytest.raises(NothingLoggedError, match="shadow of Default/iris-perf has logged nothing"):
        evaluate(shared, "Default", "iris-perf", "shadow")


def test_two_owners_are_not_compared_with_one_another(search: Elasticsearch) -> None:
    """`iris-perf` with predictors a and b, beside `iris` with perf-a and perf-b, in two indices."""
    for deployment, prefix, rows in (("iris-perf", "", 3), ("iris", "perf-", 5)):
        log = Written("default", deployment)
        for i in range(rows):
            for predictor, answer in (("a", 0), ("b", 1)):
                name, asked = f"{deployment}-{i}", [[deployment, i]]
                log.answer(name, answer, predictor=f"{prefix}{predictor}", asked=asked)
                log.judge(name, 0, predictor=f"{prefix}{predictor}")
        log.write(search)
    ours = ("default", "iris-perf", "a", "b")
    theirs = ("default", "iris", "perf-a", "perf-b")
    assert [compare(search, *names).champion_only for names in (ours, theirs)] == [3, 5]
    assert [len(series(search, *names)) for names in (ours, theirs)] == [3, 5]
    assert [len(list(pairs(search, *ours, page=page))) for page in (1, 2, 3, 4)] == [3] * 4
    assert disagreements(search, *ours) == [
        {"data": {"names": [], "ndarray": [["iris-perf", i]]}} for i in range(3)
    ]


def test_a_log_knows_its_own_documents() -> None:
    log = Log(predictor=Predictor(*IRIS), index="x")
    document = {"Ce-Namespace": "default", "Ce-Inferenceservicename": "iris-perf"}
    assert log.holds(document | {"Ce-Endpoint": "shadow"})
    assert not log.holds(document | {"Ce-Endpoint": "Shadow"})
    assert not log.holds(document)
