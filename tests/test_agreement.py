"""The same bytes have the same effect in the log, in the counts, and in counts restored from it.

Whatever is sent goes to a request logger and to a metrics server, one event after the other; then
a second metrics server restores from the log alone. All three must have the same to say.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from closedloop.loop import events
from tests.agreement import (
    CANARY,
    CAPITAL,
    DECLARED,
    DEFAULT,
    IRIS,
    PERF,
    PRICE,
    RISK,
    SHARES,
    TAGS,
    Sent,
    agree,
    changed,
    event,
)
from tests.elasticsearch import running_elasticsearch
from tests.inference_log import empty, put_templates


@pytest.fixture(scope="module")
def search_url() -> Iterator[str]:
    with running_elasticsearch() as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("outputs")
    (path / "outputs.yaml").write_text(DECLARED)
    return str(path)


NUMBER = st.sampled_from([0, 1, 2, -1, 0.5, 0.97, 3.65, 1e308, 10**400, True, False])
CELL = st.one_of(
    NUMBER,
    st.sampled_from(["cat", "dog", "yes", "no", "010", "01", "1", "2", "", " ", "NaN", "é" * 300]),
    st.none(),
)
ROW = st.one_of(
    CELL,
    st.lists(NUMBER, max_size=4),
    st.lists(CELL, max_size=4),
    st.sampled_from([[0.1, 0.2, 0.7], [1, 0, 0], [0, 0, 1], [[2]], [[0, 1], [1, 0]], {"a": 1}]),
)
ROWS = st.lists(ROW, max_size=3)
NAMES = st.sampled_from(
    [None, [], ["cat", "dog", "bird"], ["t:0", "t:1", "t:2"], ["1", "2", "3"], ["class", "risk"],
     ["risk"], ["a", "a", "b"], [1, None, True], "cat"]
)  # fmt: skip


def _data(rows: list[object], names: object) -> dict[str, object]:
    data: dict[str, object] = {"ndarray": rows}
    return {"data": data if names is None else {**data, "names": names}}


def _tensor(values: list[object], shape: list[int], names: object) -> dict[str, object]:
    return {"data": {"names": names or [], "tensor": {"shape": shape, "values": values}}}


MESSAGE = st.one_of(
    st.builds(_data, ROWS, NAMES),
    st.builds(_data, ROW, NAMES),
    st.builds(
        _tensor,
        st.lists(NUMBER, max_size=4),
        st.sampled_from([[], [1], [2], [3], [2, 1], [3, 1], [1, 3], [2, 2], [-1]]),
        NAMES,
    ),
    st.builds(lambda rows: {"predictions": rows}, ROWS),
    st.builds(
        lambda values, names: {
            "outputs": [{"name": name, "shape": [len(values)], "data": values} for name in names]
        },
        st.lists(NUMBER, max_size=3),
        st.sampled_from([["risk"], ["class", "risk"]]),
    ),
    st.sampled_from(
        [{"strData": "cat"}, {"strData": ""}, {"jsonData": {"risk": 0.9}}, {"binData": "Y2F0"},
         {}, {"status": {"status": "FAILURE"}}, {"data": {}}, {"data": 5},
         {"data": {"tftensor": {"dtype": "DT_FLOAT", "floatVal": [0.5], "tensorShape": {}}}}]
    ),
)  # fmt: skip
META = st.sampled_from(
    [{}, {"meta": {"puid": "P"}}, {"meta": {"tags": {"": {".": 1}}}}, {"meta": 5}]
)
ODD = st.dictionaries(
    st.sampled_from(
        ["", ".", "a..b", "ce-id.x", " ", "_id", "rows", "via", "lent_to", "answer_rows", "score",
         "instance", "ce-time", "é", "x" * 300]
    ),
    st.sampled_from([1, "x", None, [{"": 1}], {"a": {"..": "b"}}]),
    max_size=2,
)  # fmt: skip
FEEDBACK = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()},
    st.one_of(
        st.just({}),
        st.builds(
            lambda reward: {"reward": reward},
            st.sampled_from([0, 1, 1.0, 0.5, -1, 0.0004, True, None, "1", float("nan"), 1e400]),
        ),
    ),
    st.one_of(st.just({}), st.builds(lambda truth: {"truth": truth}, MESSAGE)),
    st.one_of(st.just({}), st.builds(lambda said: {"response": said}, MESSAGE)),
    st.one_of(st.just({}), st.builds(lambda meta: {"response": meta}, META)),
    ODD,
)
ENCODED = st.sampled_from(
    [
        lambda message: (json.dumps(message).encode(), "application/json", {}),
        lambda message: (json.dumps(message).encode("utf-16"), "application/json", {}),
        lambda message: (b"\xef\xbb\xbf" + json.dumps(message).encode(), "", {}),
        lambda message: (gzip.compress(json.dumps(message).encode()), "application/json", {}),
        lambda message: (
            gzip.compress(json.dumps(message).encode()), "application/json",
            {"content-encoding": "gzip"},
        ),
        lambda message: (zlib.compress(json.dumps(message).encode()), "application/json", {}),
        lambda message: (
            urlencode({"json": json.dumps(message)}).encode(),
            "application/x-www-form-urlencoded", {},
        ),
        lambda message: (
            b'--b\r\ncontent-disposition: form-data; name="json"\r\n\r\n'
            + json.dumps(message).encode() + b"\r\n--b--\r\n",
            "multipart/form-data; boundary=b", {},
        ),
    ]
)  # fmt: skip
BROKEN = st.sampled_from(
    [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b"\x1f\x8b no gzip", b"[" * 5000, b"x" * 200_000,
     b'{"data": {"ndarray": ' + b"[" * 700 + b"]" * 700 + b"}}", b'{"strData": "\\ud800"}']
)  # fmt: skip
KIND = st.sampled_from(list(events.SECTIONS))
OWNERS = st.sampled_from([DEFAULT, CANARY, IRIS, PERF, CAPITAL, PRICE, TAGS, RISK, SHARES])
SECOND = st.integers(0, 5).map(
    lambda second: f"{datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=second):%FT%TZ}"
)
REQUEST_ID = st.sampled_from(
    ["P", "P", "Q", "P-item-1", "P-item-0", "order 42é", "P@x", "a%", "x" * 480]
)
WHERE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"owner": OWNERS, "request_id": REQUEST_ID, "time": SECOND, "event_id": st.uuids().map(str)}
)
ODD_HEADERS = st.one_of(
    st.just({}),
    st.builds(
        lambda time: {"ce_time": time},
        st.sampled_from(
            ["2026-01-31t12:00:01z", "2026-01-31 12:00:02Z", "2026-01-31%2012:00:02Z",
             "2026-01-31T12:00:03.1234567890123Z", "2026-01-31T12:00:00+19:00", "",
             "2026-01-31T12:00:00", "2099-01-01T00:00:00Z", "1492-10-12T12:00:00Z", "noon",
             "2026-02-30T12:00:00Z", "2026-01-31T12:00:60Z"]
        ),
    ),
    st.sampled_from(
        [{"ce_requestid": ""}, {"ce_requestid": "order%2042%C3%A9"}, {"ce_requestid": "x" * 481},
         {"ce_requestid": "%00"}, {"ce_specversion": "0.3"}, {"ce_type": "com.example.other"},
         {"ce_id": ""}, {"ce_endpoint": ""}, {"ce_endpoint": "y" * 240}, {"ce_namespace": "%C3%A9"},
         {"ce_endpoint": 'de"fa*ult'}, {"ce_modelid": "%FF"}, {"content_encoding": "gzip"},
         {"ce_time": "2099-01-01T00:00:00Z",
                                      "ce_knativearrivaltime": "2026-01-31T12:00:04Z"}]
    ),
)  # fmt: skip


@st.composite
def _sent(draw: st.DrawFn) -> Sent:
    kind = draw(KIND)
    if draw(st.integers(0, 9)) == 0:
        sent = event(kind, draw(BROKEN), **draw(WHERE))
    else:
        message = draw(FEEDBACK) if kind == events.FEEDBACK else draw(MESSAGE) | draw(META)
        body, content_type, headers = draw(ENCODED)(message)
        sent = event(kind, body, content_type=content_type, **draw(WHERE))
        sent = replace(sent, headers={**sent.headers, **headers})
    return changed(sent, **draw(ODD_HEADERS))


# Good events, of which most rows come to be scored.
@st.composite
def _good(draw: st.DrawFn) -> Sent:
    kind, where = draw(KIND), draw(WHERE)
    rows = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    if kind == events.FEEDBACK and draw(st.integers(0, 3)) == 0:
        return event(kind, {"reward": draw(st.sampled_from([0, 1]))}, **where)
    says: Callable[[int], object] = {
        PRICE: lambda row: row + 0.25 * (kind == events.RESPONSE),
        TAGS: lambda row: [int(i <= row) for i in range(3)],
        RISK: lambda row: [row, row / 2] if kind == events.RESPONSE else ["good", "bad"][row % 2],
    }.get(where["owner"], lambda row: [float(i == row) for i in range(3)])
    names = ["class", "risk"] if where["owner"] == RISK else ["cat", "dog", "bird"]
    message = _data([says(row) for row in rows], names)
    return event(kind, {"truth": message} if kind == events.FEEDBACK else message, **where)


@pytest.mark.timeout(600)  # a server for each example, on a machine that has other work
@settings(
    max_examples=settings().max_examples // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.one_of(_sent(), _good()), max_size=25))
def test_whatever_is_sent_everybody_says_the_same(
    search_url: str, folder: str, sent: list[Sent]
) -> None:
    with Elasticsearch(search_url) as client:
        empty(client)
        put_templates(client)
    asyncio.run(agree(search_url, folder, sent))
