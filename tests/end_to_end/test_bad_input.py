"""Bad input to every endpoint: a clear error, the same process goes on, good data is unharmed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from closedloop.loop.events import PUID_HEADER
from closedloop.notebook.waiting import until
from tests.end_to_end.loop import METRICS_SERVER, PATIENCE, REQUEST_LOGGER, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

_ALERT_LOGGER = "seldon-logs/alert-logger"
_PARTS = (
    *("envoy", "nats", "broker", "elasticsearch", "prometheus", "alertmanager"),
    *(REQUEST_LOGGER, METRICS_SERVER, _ALERT_LOGGER),
    *("executor sklearn/default", "model sklearn/default"),
    *("executor iris-perf/logistic", "model iris-perf/logistic"),
)
_JSON = {"content-type": "application/json"}
_ZIPPED = {"content-encoding": "gzip"}  # no body here is
_DEEP = b"[" * 100_000
_LATIN = "schön".encode("latin-1")

_NOT_JSON = [b"", b"{", b"\xff\xfe\x00", b'{"data":', _DEEP, _LATIN, b"data=1"]
_NOT_A_MESSAGE: list[Any] = [
    None,
    7,
    "text",
    [],
    {},
    {"data": None},
    {"data": []},
    {"data": {}},
    {"data": {"ndarray": None}},
    {"data": {"ndarray": "rows"}},
    {"data": {"ndarray": [["a", "b", "c", "d"]]}},
    {"data": {"ndarray": [[1, 2]]}},
    {"data": {"ndarray": [[1, 2, 3, 4], [1]]}},
    {"data": {"tensor": {"shape": [9, 9], "values": [1]}}},
    {"jsonData": {"rows": 1}, "strData": "two payloads"},
]

# Truths that are one, and of no class that is declared: they are the last word on their row.
_NO_CLASS: list[Any] = [
    "rows",
    [["a", "b", "c", "d"]],
    [[1, 2, 3, 4], [1]],
    [[0], [1], [2]],  # three rows, where one was asked
    [[1.5]],
]


# The pair has all that the single model has, and a shadow that keeps score itself.
_each_model = pytest.mark.parametrize(
    "name", [pytest.param("sklearn", marks=pytest.mark.nightly), "iris-perf"]
)


@pytest.fixture(scope="module")
def good(_whole_loop: Loop) -> str:
    """A request that was answered and judged, and must stay as it is."""
    puid = _whole_loop.prefix()
    for name in ("sklearn", "iris-perf"):
        _whole_loop.predict(puid, name=name)
        _whole_loop.judge(puid, 0, name=name)
    return puid


@pytest.fixture
def unharmed(loop: Loop, good: str) -> Iterator[str]:
    """The good request's id; afterwards every count and every process is what it was."""
    before = loop.settle()
    documents = loop.logged(good)
    pids = {part: loop.pid(part) for part in _PARTS}
    assert all(pids.values()), pids
    yield good
    assert {part: loop.pid(part) for part in _PARTS} == pids
    assert loop.settle() == before
    after = loop.logged(good)
    assert {key: after[key]["score"] for key in documents} == {
        key: one["score"] for key, one in documents.items()
    }
    loop.ready()


def _refused(answer: requests.Response, *statuses: int) -> None:
    said = f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]!r}"
    assert answer.status_code in statuses or (not statuses and 400 <= answer.status_code < 500), (
        said
    )
    assert answer.text.strip() or answer.status_code in (404, 405), f"no word why: {said}"
    assert "Traceback" not in answer.text, said


@_each_model
def test_bad_requests_for_predictions(loop: Loop, unharmed: str, name: str) -> None:
    url = f"{loop.model(name)}/api/v1.0/predictions"
    bodies = [*_NOT_JSON, *(json.dumps(one).encode() for one in _NOT_A_MESSAGE)]
    for body in bodies:
        answer = requests.post(url, data=body, headers=_JSON, timeout=60)
        # Seldon's wrapper answers 500 where scikit-learn raised.
        _refused(answer, 400, 415, 500)
    text = {"content-type": "text/plain"}
    _refused(requests.post(url, data=b"hello", headers=text, timeout=60), 400, 415, 500)
    _refused(requests.get(url, timeout=60), 405)
    _refused(requests.post(f"{loop.model('nobody')}/api/v1.0/predictions", timeout=60), 404)
    _refused(requests.post(f"{loop.model(name)}/api/v9/predictions", timeout=60), 404)
    _refused(requests.post(url, data=b"x" * (20 << 20), headers=_JSON, timeout=120), 400, 413)
    assert loop.predict(f"{unharmed}-good", name=name)


@_each_model
def test_bad_feedback(loop: Loop, unharmed: str, name: str) -> None:
    """What cannot be read never counts, whose request it may name and whatever the model says."""
    url = f"{loop.model(name)}/api/v1.0/feedback"
    bodies: list[Any] = [
        {"truth": one}
        for one in _NOT_A_MESSAGE
        if not isinstance(one, dict)
        or not isinstance(one.get("data"), dict)
        or not one["data"].get("ndarray")
    ]
    bodies += [
        {"reward": "high"},
        {"reward": [1]},
        {"reward": None},
        {"response": "text", "truth": {"data": {"ndarray": {}}}},
    ]
    for body in [*_NOT_JSON, *(json.dumps(one).encode() for one in bodies)]:
        answer = requests.post(url, data=body, headers={**_JSON, PUID_HEADER: unharmed}, timeout=60)
        if answer.status_code != 200:
            _refused(answer, 400, 415, 500)
    nobodys = {**_JSON, PUID_HEADER: f"{unharmed}-unknown"}
    truth = {"truth": {"data": {"ndarray": [[1]]}}}
    assert requests.post(url, json=truth, headers=nobodys, timeout=60).status_code in (200, 400)


@_each_model
def test_a_truth_that_is_no_class_is_never_wrong(loop: Loop, unharmed: str, name: str) -> None:
    headers = {**_JSON, PUID_HEADER: ""}
    for number, rows in enumerate(_NO_CLASS):
        headers[PUID_HEADER] = f"{unharmed}-no-class-{number}"
        loop.predict(headers[PUID_HEADER], name=name)
        requests.post(
            f"{loop.model(name)}/api/v1.0/feedback",
            json={"truth": {"data": {"ndarray": rows}}},
            headers=headers,
            timeout=60,
        )
    loop.settle()
    found = loop.logged(f"{unharmed}-no-class")
    scores = [one["score"] for key, one in found.items() if f"-{name}-" in key]
    assert len(scores) == len(_NO_CLASS) * (1 if name == "sklearn" else 2)
    assert {score["state"] for score in scores} == {"unscorable"}
    assert all(score["reason"].startswith("truth_") for score in scores)


def test_bad_events_at_the_broker(loop: Loop, unharmed: str) -> None:
    url = f"{loop.broker}/seldon-logs/default"
    event = _event(unharmed)
    stored = len(loop.stream.events())
    for missing in ("ce-id", "ce-source", "ce-type", "ce-specversion"):
        headers = {name: value for name, value in event.items() if name != missing}
        _refused(requests.post(url, data=b"{}", headers=headers, timeout=60), 400)
    for name, value in (
        ("ce-specversion", "0.3"),
        ("ce-time", "yesterday"),
        ("ce-id", ""),
        ("ce-Bad_Name", "x"),
        ("ce-type", b"caf\xe9"),
    ):
        headers = {**event, name: value}  # type: ignore[dict-item]  # bytes are sent as they are
        _refused(requests.post(url, data=b"{}", headers=headers, timeout=60), 400)
    structured = {"content-type": "application/cloudevents+json"}
    for body in [*_NOT_JSON, b"[]", b'{"specversion": 1.0}', b'{"data_base64": "?"}']:
        _refused(requests.post(url, data=body, headers=structured, timeout=60), 400)
    _refused(requests.post(f"{loop.broker}/seldon-logs/nobody", headers=event, timeout=60), 404)
    _refused(requests.post(f"{loop.broker}/a/b/c", headers=event, timeout=60), 400)
    _refused(requests.get(url, timeout=60), 405)
    _refused(requests.post(url, data=b"x" * (18 << 20), headers=event, timeout=60), 413)
    _refused(requests.post(url, data=b"x" * (65 << 20), headers=event, timeout=60), 413)
    assert len(loop.stream.events()) == stored


def test_bad_events_that_the_broker_takes_end_as_dead_letters(loop: Loop, unharmed: str) -> None:
    url = f"{loop.broker}/seldon-logs/default"
    before = _dead_letters(loop)
    bodies = [*_NOT_JSON, b'{"truth": NaN}', b"x" * (2 << 20)]
    sent = 0
    for kind in ("feedback", "inference.response", "no.such.type"):
        for body in bodies:
            headers = {**_event(unharmed, f"io.seldon.serving.{kind}"), "ce-id": f"bad-{sent}"}
            assert requests.post(url, data=body, headers=headers, timeout=60).status_code == 202
            sent += 1
    for missing in ("ce-requestid", "ce-inferenceservicename", "ce-endpoint", "ce-time"):
        headers = {name: value for name, value in _event(unharmed).items() if name != missing}
        headers["ce-id"] = f"bad-{missing}"
        assert requests.post(url, data=b"{}", headers=headers, timeout=60).status_code == 202
        sent += 1
    until(
        lambda: _dead_letters(loop) - before,
        lambda kept: kept >= sent,
        what=f"{sent} dead letters",
        timeout=PATIENCE,
        diagnose=lambda: loop.platform.logs(REQUEST_LOGGER, 20),
    )


@pytest.mark.parametrize(
    ("service", "path", "kept"),
    [
        (REQUEST_LOGGER, "/", True),
        (METRICS_SERVER, "/", False),
    ],
)
def test_bad_events_at_the_services(
    loop: Loop, unharmed: str, service: str, path: str, kept: bool
) -> None:
    url = loop.platform.url(service)
    event = _event(unharmed)
    bodies = [*_NOT_JSON, b"[]", b'{"truth": 1}', b'{"reward": "much"}', b"x" * (3 << 20)]
    for headers, body in [*((event, body) for body in bodies), ({**event, **_ZIPPED}, b"{}")]:
        answer = requests.post(url + path, data=body, headers=headers, timeout=60)
        # Kept as a dead letter by the one and counted by the other: no need to send it again.
        assert (answer.status_code, answer.text) == (202, "")
    for missing in ("ce-id", "ce-type", "ce-source", "ce-specversion"):
        headers = {name: value for name, value in event.items() if name != missing}
        _refused(requests.post(url + path, data=b"{}", headers=headers, timeout=60), 400)
    _refused(requests.post(url + path, data=b"{}", timeout=60), 400)
    _refused(requests.get(url + path, timeout=60), 405)
    _refused(requests.post(f"{url}/no/such/path", data=b"{}", timeout=60), 404)
    if kept:
        _refused(requests.post(f"{url}/dead-letters", timeout=60), 400)
        assert _dead_letters(loop, "bad_encoding")


def test_bad_notifications_at_the_alert_logger(loop: Loop, unharmed: str) -> None:
    url = loop.platform.url(_ALERT_LOGGER)
    shapes: list[Any] = [None, 7, "text", [], {}, {"alerts": []}, {"version": "3", "alerts": []}]
    for body in [*_NOT_JSON, *(json.dumps(one).encode() for one in shapes)]:
        _refused(requests.post(f"{url}/alerts", data=body, headers=_JSON, timeout=60), 400)
    alerts: list[Any] = [
        *(None, "all", {}, [1], [None], [{}], [{"status": "firing"}]),
        [{"status": 1, "labels": [], "startsAt": "x"}],
    ]
    for one in alerts:
        notification = {"version": "4", "alerts": one}
        answer = requests.post(f"{url}/alerts", json=notification, timeout=60)
        _refused(answer, 400)
        assert "alerts" in answer.json()["error"]
    zipped = {**_JSON, **_ZIPPED}
    _refused(requests.post(f"{url}/alerts", data=b"{}", headers=zipped, timeout=60), 400)
    huge = requests.post(f"{url}/alerts", data=b"x" * (64 << 20), headers=_JSON, timeout=60)
    _refused(huge, 413)
    _refused(requests.get(f"{url}/alerts", timeout=60), 405)


def _event(puid: str, type_: str = "io.seldon.serving.feedback") -> dict[str, str]:
    """Headers of an event about a request."""
    return {
        "ce-id": "bad-event",
        "ce-source": "http://somebody",
        "ce-specversion": "1.0",
        "ce-type": type_,
        "ce-time": "2100-01-01T00:00:00Z",  # newer than whatever is known
        "ce-requestid": puid,
        "ce-namespace": "seldon",
        "ce-inferenceservicename": "sklearn",
        "ce-endpoint": "default",
        "ce-modelid": "classifier",
        "content-type": "application/json",
    }


def _dead_letters(loop: Loop, reason: str = "") -> int:
    index = "closedloop-dead-letters"
    loop.search.indices.refresh(index=index, ignore_unavailable=True)
    query = {"term": {"reason": reason}} if reason else None
    found = loop.search.count(index=index, query=query, ignore_unavailable=True)
    return int(found["count"])
