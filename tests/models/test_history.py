from concurrent.futures import ThreadPoolExecutor

import pytest
from elasticsearch import Elasticsearch

from closedloop import events
from closedloop.documents import Part, Predictor, index_name, parts_of
from closedloop.events import Event
from closedloop.models.history import History, HistoryUnavailable

PREDICTOR = Predictor("ns", "iris", "default")
INDEX = index_name(*PREDICTOR)


def _parts(type_: str, request_id: str, body: str, second: int = 0) -> list[Part]:
    event = Event(
        id=f"{request_id}-{second}",
        source="test",
        type=type_,
        time=f"2026-01-31T12:00:{second:02d}Z",
        request_id=request_id,
        namespace="ns",
        deployment="iris",
        predictor="default",
        model="classifier",
        content_type="application/json",
        body=body.encode(),
    )
    return parts_of(event)


def _answered(request_id: str) -> list[Part]:
    return _parts(events.RESPONSE, request_id, '{"data":{"ndarray":[1]}}')


def _judged(request_id: str, truth: int = 1, second: int = 1) -> list[Part]:
    body = f'{{"truth":{{"data":{{"ndarray":[{truth}]}}}}}}'
    return _parts(events.FEEDBACK, request_id, body, second)


def _ids(history: History) -> set[str]:
    return {document_id for document_id, _ in history.judged()}


def test_what_is_stored_is_found_again(search: Elasticsearch, url: str) -> None:
    history = History(url, PREDICTOR)
    history.store([*_answered("a"), *_judged("a")])
    ((document_id, document),) = history.judged()
    assert document_id == "a"
    assert document["score"] == {
        "state": "scored",
        "correct": True,
        "predicted": "1",
        "actual": "1",
    }
    assert "logged_at" in document


def test_only_what_has_both_sides_is_judged(search: Elasticsearch, url: str) -> None:
    history = History(url, PREDICTOR)
    history.store([*_answered("a"), *_judged("b"), *_answered("c"), *_judged("c")])
    assert _ids(history) == {"c"}


def test_no_index_is_no_history(search: Elasticsearch, url: str) -> None:
    assert _ids(History(url, PREDICTOR)) == set()


def test_more_than_a_page_is_read(search: Elasticsearch, url: str) -> None:
    lines: list[dict[str, object]] = []
    for n in range(2500):
        side = {"ce-time": "2026-01-31T12:00:00Z", "ce-id": str(n)}
        lines.append({"index": {"_index": INDEX, "_id": f"r{n}"}})
        lines.append({"response": side, "feedback": side})
    search.bulk(operations=lines, refresh=True)
    assert len(_ids(History(url, PREDICTOR))) == 2500


def test_storing_again_changes_nothing_that_counts(search: Elasticsearch, url: str) -> None:
    history = History(url, PREDICTOR)
    for _ in range(2):
        history.store([*_answered("a/b c?"), *_judged("a/b c?")])
    ((document_id, document),) = history.judged()
    assert document_id == "a/b c?"
    assert "feedback_history" not in document


def test_writers_that_meet_lose_nothing(search: Elasticsearch, url: str) -> None:
    def write(second: int) -> None:
        History(url, PREDICTOR).store([*_answered("a"), *_judged("a", second % 3, second)])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(1, 13)))
    ((_, document),) = History(url, PREDICTOR).judged()
    feedback, earlier = document["feedback"], document["feedback_history"]
    assert isinstance(feedback, dict)
    assert isinstance(earlier, list)
    assert feedback["ce-id"] == "a-12"
    assert [version["ce-id"] for version in earlier] == [f"a-{n}" for n in range(1, 12)]


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    history = History("http://127.0.0.1:1", PREDICTOR)
    with pytest.raises(HistoryUnavailable, match=r"GET / at http://127\.0\.0\.1:1 failed"):
        list(history.judged(patience=0))
    with pytest.raises(HistoryUnavailable, match="failed"):
        history.store(_judged("a"))
