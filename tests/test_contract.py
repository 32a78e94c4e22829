"""The feedback contract, one rule at a time, in log, counts and restored counts."""

import asyncio
import gzip
import json
import uuid
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from elasticsearch import Elasticsearch

from closedloop.loop import events
from closedloop.loop.keys import index_name
from closedloop.loop.observation import MOST_BYTES
from tests.agreement import (
    CANARY,
    CAPITAL,
    DEFAULT,
    IRIS,
    PERF,
    Key,
    Place,
    Sent,
    agree,
    changed,
    event,
    place,
)
from tests.elasticsearch import running_elasticsearch
from tests.inference_log import empty, put_templates

NAMES = ["cat", "dog", "bird"]
CAT, DOG, BIRD = ([float(i == label) for i in range(3)] for label in range(3))
FEEDBACK = {"truth": {"data": {"ndarray": ["cat"]}}}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_elasticsearch() as url:
        yield url


@pytest.fixture
def log(server: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(server) as client:
        empty(client)
        put_templates(client)
        yield client


def answer(*rows: object, second: int = 0, **where: object) -> Sent:
    message = {"data": {"names": NAMES, "ndarray": list(rows)}}
    return said(events.RESPONSE, message, second, **where)


def truth(*rows: object, second: int = 9, **where: object) -> Sent:
    return said(events.FEEDBACK, {"truth": {"data": {"ndarray": list(rows)}}}, second, **where)


def said(kind: str, message: object, second: int = 9, **where: object) -> Sent:
    time = f"2026-01-31T12:00:{second:02}Z"
    return event(kind, message, time=time, event_id=uuid.uuid4().hex, **where)  # type: ignore[arg-type]


async def outcome(url: str, *sent: Sent, owner: tuple[str, str, str] = DEFAULT) -> dict[str, float]:
    """Rows of one predictor by state or, where there is one, by reason; the same everywhere."""
    async with place(url, "", max_event_bytes=MOST_BYTES) as services:
        for one in sent:
            assert await services.send(one) == ("202", "202")
        return rows_of(await services.all_agree(), owner)


def rows_of(counts: dict[Key, float], owner: tuple[str, str, str]) -> dict[str, float]:
    rows: dict[str, float] = {}
    for key, value in counts.items():
        of, name, *labels = key
        if of == owner and name in ("rows", "unscorable_rows", "correct", "incorrect"):
            rows[labels[0][1] if labels else name] = value
    return rows


RIGHT = {"scored": 1, "correct": 1}
MISFIT = {"unlabelled": 2, "unscorable": 1, "truth_shape": 1}


@pytest.mark.parametrize("size", [1_900_000, MOST_BYTES], ids=["1.9 MB", "16 MiB"])
async def test_feedback_that_repeats_a_large_request_counts_and_is_cut(
    log: Elasticsearch, server: str, size: int
) -> None:
    message = {**FEEDBACK, "request": {"data": {"ndarray": [[""]]}}}
    message["request"] = {"strData": "x" * (size - len(json.dumps(message)) + 11)}
    sent = said(events.FEEDBACK, message)
    assert size - 20 <= len(sent.body) <= size
    assert await outcome(server, answer(CAT), sent) == RIGHT
    document = log.get(index=index_name(*DEFAULT), id="P")["_source"]
    assert (document["feedback"]["cut"], document["feedback"]["bytes"]) == (True, len(sent.body))
    assert "request" not in document["feedback"]
    assert len(json.dumps(document)) < 10_000


async def test_more_than_16_mib_is_refused_by_both(log: Elasticsearch, server: str) -> None:
    sent = said(events.FEEDBACK, {**FEEDBACK, "request": {"strData": "x" * MOST_BYTES}})
    async with place(server, "", max_event_bytes=MOST_BYTES) as services:
        assert await services.send(sent) == ("too_large", "too_large")


@pytest.mark.parametrize("name", ["", ".", "a..b", "ce-id.x", " ", "via", "lent_to", "answer_rows"])
async def test_a_field_of_any_name_is_no_obstacle(
    log: Elasticsearch, server: str, name: str
) -> None:
    body = {**FEEDBACK, name: {name: 1}, "response": {"meta": {name: 1}, "data": {name: {"": 1}}}}
    assert await outcome(server, answer(CAT), said(events.FEEDBACK, body)) == RIGHT


BODIES = {
    "form": (
        urlencode({"json": json.dumps(FEEDBACK)}).encode(),
        {"content-type": "application/x-www-form-urlencoded"},
    ),
    "multipart": (
        b'--b\r\ncontent-disposition: form-data; name="json"\r\n\r\n'
        + json.dumps(FEEDBACK).encode()
        + b"\r\n--b--\r\n",
        {"content-type": "multipart/form-data; boundary=b"},
    ),
    "gzip unsaid": (gzip.compress(json.dumps(FEEDBACK).encode()), {}),
    "gzip": (gzip.compress(json.dumps(FEEDBACK).encode()), {"content-encoding": "gzip"}),
    "utf-16": (json.dumps(FEEDBACK).encode("utf-16"), {}),
    "byte order mark": (b"\xef\xbb\xbf" + json.dumps(FEEDBACK).encode(), {}),
    "NaN": (json.dumps({**FEEDBACK, "request": {"jsonData": float("nan")}}).encode(), {}),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_the_model_can_read_is_read(log: Elasticsearch, server: str, name: str) -> None:
    body, headers = BODIES[name]
    sent = changed(said(events.FEEDBACK, body), **headers)
    assert await outcome(server, answer(CAT), sent) == RIGHT


async def test_owners_that_share_an_index_share_no_document(
    log: Elasticsearch, server: str
) -> None:
    assert index_name(*IRIS) == index_name(*PERF) == index_name(*CAPITAL)
    sent = []
    for owner in (IRIS, PERF, CAPITAL):
        sent += [said(events.REQUEST, {"data": {"ndarray": [[1]]}}, owner=owner)]
        sent += [truth("dog", "cat", owner=owner, request_id="early")]
        sent += [answer(CAT, owner=owner), answer(DOG, DOG, owner=owner, request_id="early")]
        sent += [truth("cat", owner=owner)]
    async with place(server, "") as services:
        for one in sent:
            assert await services.send(one) == ("202", "202")
        counts = await services.all_agree()
    for owner in (IRIS, PERF, CAPITAL):
        assert rows_of(counts, owner) == {"scored": 3, "correct": 2, "incorrect": 1}


async def test_owners_that_share_an_index_in_one_batch(log: Elasticsearch, server: str) -> None:
    sent = [answer(CAT, owner=owner) for owner in (IRIS, PERF, CAPITAL)]
    sent += [truth("cat", owner=owner) for owner in (CAPITAL, PERF, IRIS)]
    async with place(server, "", together=len(sent)) as services:
        await asyncio.gather(*(services.send(one) for one in sent))
        counts = await services.all_agree()
    assert [rows_of(counts, owner) for owner in (IRIS, PERF, CAPITAL)] == [RIGHT] * 3


async def test_an_id_used_for_two_requests_is_kept_and_counted(
    log: Elasticsearch, server: str
) -> None:
    async with place(server, "") as services:
        for second, row in enumerate(([1], [2], [2], [3])):
            one = said(events.REQUEST, {"data": {"ndarray": [row]}}, second)
            assert await services.send(one) == ("202", "202")
        assert services.logger.sample("request_ids_reused_total", deployment_name="iris") == 2
    document = log.get(index=index_name(*DEFAULT), id="P")["_source"]
    assert document["request"]["instance"] == [3]
    assert [each["instance"] for each in document["request_history"]] == [[1], [2]]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("answered", "feedback", "expected"),
    [
        ((CAT,), truth(1, 0, 0), RIGHT),
        ((BIRD,), truth(0, 0, 1), {"scored": 1, "correct": 1}),
        ((BIRD,), truth(0, 1, 0), {"scored": 1, "incorrect": 1}),
        (
            (DOG,),
            said(
                events.FEEDBACK,
                {"truth": {"data": {"tensor": {"shape": [3, 1], "values": [0, 1, 0]}}}},
            ),
            RIGHT,
        ),
        ((CAT, DOG), said(events.FEEDBACK, {"reward": 1}), MISFIT),
        ((CAT, DOG), truth("cat", "dog", "bird"), MISFIT),
        ((CAT, DOG), truth("cat"), MISFIT),
        ((CAT,), truth("cat", "dog"), {"unscorable": 1, "undeclared_truth": 1}),
        ((CAT, DOG), truth("cat", None), {"unlabelled": 1, **RIGHT}),
    ],
)
async def test_feedback_joins_where_its_shape_is_the_answers(
    log: Elasticsearch,
    server: str,
    early: bool,
    answered: tuple[object, ...],
    feedback: Sent,
    expected: dict[str, float],
) -> None:
    sent = [answer(*answered), feedback]
    assert await outcome(server, *(reversed(sent) if early else sent)) == expected
    ids = {hit["_id"] for hit in log.search(index="*", size=100)["hits"]["hits"]}
    rows = {"P"} if len(answered) == 1 else {"P-item-0", "P-item-1"}
    assert ids == (rows | {"P"} if "truth_shape" in expected else rows)


async def test_feedback_that_reached_another_predictor_counts_where_the_answer_is(
    log: Elasticsearch, server: str
) -> None:
    sent = [answer(CAT), truth("cat", owner=CANARY)]
    sent += [truth("dog", "dog", owner=CANARY, request_id="Q"), answer(DOG, CAT, request_id="Q")]
    async with place(server, "") as services:
        for one in sent:
            assert await services.send(one) == ("202", "202")
        counts = await services.all_agree()
        assert rows_of(counts, DEFAULT) == {"scored": 3, "correct": 2, "incorrect": 1}
        assert rows_of(counts, CANARY) == {}
        # The predictor's own answer comes after all: what was lent is its own again.
        assert await services.send(answer(DOG, owner=CANARY)) == ("202", "202")
        counts = await services.all_agree()
    assert rows_of(counts, DEFAULT) == {
        "scored": 2, "correct": 1, "incorrect": 1, "unlabelled": 1
    }  # fmt: skip
    assert rows_of(counts, CANARY) == {"scored": 1, "incorrect": 1}


async def test_own_feedback_goes_before_what_was_lent(log: Elasticsearch, server: str) -> None:
    sent = [answer(CAT), truth("dog", owner=CANARY, second=30), truth("cat", second=10)]
    assert await outcome(server, *sent) == RIGHT


async def test_feedback_without_the_header_joins_by_the_puid_that_it_quotes(
    log: Elasticsearch, server: str
) -> None:
    made = str(uuid.uuid4())
    body = {**FEEDBACK, "response": {"meta": {"puid": "P"}}}
    assert await outcome(server, answer(CAT), said(events.FEEDBACK, body, request_id=made)) == RIGHT


async def test_ids_like_those_of_documents_are_requests_of_their_own(
    log: Elasticsearch, server: str
) -> None:
    sent = [answer(CAT, DOG)]
    for name in ("P-item-1", "P-item-1-item-0", "P-item-1-item-00"):
        sent += [truth("bird", "bird", request_id=name), answer(CAT, request_id=name)]
        sent += [answer(BIRD, CAT, request_id=name)]
    assert await outcome(server, *sent) == {
        "unlabelled": 5, "scored": 6, "correct": 3, "incorrect": 3
    }  # fmt: skip


async def test_an_encoded_id_and_a_raw_one_are_one_request(log: Elasticsearch, server: str) -> None:
    sent = answer(CAT, request_id="order 42é")
    assert sent.headers["ce-requestid"] == "order%2042%C3%A9"
    raw = changed(truth("cat"), ce_requestid="order 42é")
    assert await outcome(server, sent, raw) == RIGHT


async def test_two_that_rejoin_at_once_agree(log: Elasticsearch, server: str) -> None:
    sent = [truth("dog", "dog"), answer(DOG, CAT), truth("cat", owner=CANARY, request_id="Q")]
    sent += [answer(CAT, request_id="Q")]
    async with place(server, "") as services:
        for one in sent:
            assert await services.send(one) == ("202", "202")
        await asyncio.gather(*(services.settle() for _ in range(3)))
        counts = await services.all_agree()
    assert rows_of(counts, DEFAULT) == {"scored": 3, "correct": 2, "incorrect": 1}


async def test_a_logger_that_takes_over_brings_what_the_first_did_not(
    log: Elasticsearch, server: str
) -> None:
    """The first ends before its look: nothing but the log says what it had in mind."""
    async with place(server, "") as first:
        for one in (truth(0, 1), answer(CAT), answer(CAT, DOG, second=1)):
            assert await first.send(one) == ("202", "202")
        async with place(server, "") as second:
            await second.settle()
        assert rows_of(await first.all_agree(), DEFAULT) == {
            "scored": 2, "correct": 2, "unlabelled": 1
        }  # fmt: skip


@pytest.mark.parametrize(
    "sent",
    [
        changed(truth("cat"), ce_time="2099-01-01T00:00:00Z"),
        changed(truth("cat"), ce_time="noon"),
        changed(truth("cat"), ce_requestid=""),
    ],
)
async def test_what_is_refused_is_refused_everywhere(
    log: Elasticsearch, server: str, sent: Sent
) -> None:
    (reason,) = await agree(server, "", [sent])
    assert reason in ("bad_time", "missing_header")


async def test_a_predictor_past_the_bound_is_refused_by_both(
    log: Elasticsearch, server: str
) -> None:
    async with place(server, "", max_predictors=1) as services:
        assert await services.send(answer(CAT)) == ("202", "202")
        await _refreshed(services)
        for one in (said(events.REQUEST, {"data": {"ndarray": [[1]]}}, owner=CANARY),
                    answer(CAT, owner=CANARY), truth("cat", owner=CANARY)):  # fmt: skip
            assert await services.send(one) == ("too_many_predictors",) * 2
        assert await services.send(truth("cat")) == ("202", "202")
        assert rows_of(await services.all_agree(), DEFAULT) == RIGHT


async def _refreshed(services: Place) -> None:
    await services.settle()
