import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from closedloop.log import (
    Index,
    Period,
    Pipeline,
    Report,
    audit_trail,
    backfill,
    evaluate,
)
from closedloop.log.mapping import OUTPUTS
from closedloop.loop import events
from closedloop.loop.events import Event
from closedloop.loop.keys import Predictor, index_name
from closedloop.loop.output import Output
from tests.inference_log import Log, empty, put_templates

IRIS = Predictor("ns", "iris", "default")
INDEX = index_name(*IRIS)
OUTPUT = Output("class", classes=("0", "1", "2"))


def history(folder: Path, rows: int, truth: Callable[[int], int] = lambda _: 1) -> Path:
    """A file of `rows` predictions of class 1, a minute apart, truth an hour later."""
    path = folder / "history.csv"
    lines = ["request_id,time,prediction,truth,feedback_time,x"]
    for i in range(rows):
        hour, minute = divmod(i, 60)
        day, hour = divmod(hour, 23)
        stamp = f"2025-05-{1 + day:02}T{{:02}}:{minute:02}:00Z"
        lines.append(f"r{i},{stamp.format(hour)},1,{truth(i)},{stamp.format(hour + 1)},{i}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(autouse=True)
def _declared(request: pytest.FixtureRequest) -> None:
    """The declaration that the request logger wrote down: predictions are classes by number."""
    if "search" in request.fixturenames:
        search: Elasticsearch = request.getfixturevalue("search")
        declared = {"output": OUTPUT.said()}
        search.index(index=OUTPUTS, id="/".join(IRIS), document=declared, refresh=True)


def test_rows_go_into_the_index_with_their_own_times(search: Elasticsearch, tmp_path: Path) -> None:
    report = backfill(history(tmp_path, 100, lambda i: int(i >= 20)), IRIS, Index(search))
    assert (report.loaded, report.unchanged, report.refused) == (100, 0, [])
    seen = evaluate(search, *IRIS)
    assert (seen.correct, seen.incorrect) == (80, 20)
    first_hour = Period(until="2025-05-01T01:00:00Z", feedback_since="2025-05-01T01:10:00Z")
    assert evaluate(search, *IRIS, first_hour).scored == 50
    found = search.get(index=INDEX, id="r7")["_source"]
    assert found["request"]["elements"] == {"x": 7}
    assert found["logged_at"] > "2026"  # when it was written: how others see that it is new


def test_again_changes_nothing(search: Elasticsearch, tmp_path: Path) -> None:
    path = history(tmp_path, 700)
    backfill(path, IRIS, Index(search))
    before = search.get(index=INDEX, id="r650")
    report = backfill(path, IRIS, Index(search))
    assert (report.loaded, report.unchanged) == (0, 700)
    assert search.get(index=INDEX, id="r650")["_version"] == before["_version"]


def test_what_is_there_is_merged_and_newer_truth_stays(
    search: Elasticsearch, tmp_path: Path
) -> None:
    log = Log("ns", "iris")
    log.judge("r0", 0, time="2025-06-01T00:00:00Z")
    log.judge("r1", 0, time="2025-04-01T00:00:00Z")
    log.write(search)
    backfill(history(tmp_path, 2), IRIS, Index(search))
    trails = [
        [(each.truth, each.correct) for each in audit_trail(search, *IRIS, name)]
        for name in ("r0", "r1")
    ]
    assert trails == [[("1", True), ("0", False)], [("0", False), ("1", True)]]


def test_lines_about_one_request_are_merged(search: Elasticsearch, tmp_path: Path) -> None:
    path = history(tmp_path, 3)
    lines = path.read_text()
    path.write_text(lines + "\nr1,2025-05-01T00:01:00Z,1,0,2025-05-09T00:00:00Z,1")
    assert backfill(path, IRIS, Index(search)).loaded == 4
    assert [each.truth for each in audit_trail(search, *IRIS, "r1")] == ["1", "0"]


@pytest.mark.parametrize(
    ("second", "what"),
    [
        ("r1,2025-05-01T00:01:00Z,2,1,2025-05-01T01:01:00Z,1", "a prediction"),
        ("r1,2025-05-01T00:01:00Z,1,0,2025-05-01T01:01:00Z,1", "a truth or reward"),
        ("r1,2025-05-01T00:01:00Z,1,1,2025-05-01T01:01:00Z,7", "features"),
        ("r1,2025-05-01T02:01:00+02:00,1,1,2025-05-01T03:01:00+02:00,7", "features"),
    ],
)
def test_a_line_that_contradicts_an_earlier_one_is_refused(
    search: Elasticsearch, tmp_path: Path, second: str, what: str
) -> None:
    path = history(tmp_path, 3)
    path.write_text(f"{path.read_text()}\n{second}")
    report = backfill(path, IRIS, Index(search))
    assert (report.loaded, report.unchanged) == (3, 0)
    (refused,) = report.refused
    assert refused.line == 5
    assert refused.reason.startswith(f"line 3 has {what} for 'r1' at 2025-05-01T0")
    assert [each.truth for each in audit_trail(search, *IRIS, "r1")] == ["1"]


def test_a_line_that_comes_again_is_there_already(tmp_path: Path) -> None:
    path = history(tmp_path, 600)
    *_, first, second = path.read_text().splitlines()[:3]
    path.write_text(f"{path.read_text()}\n{second}\n{first}")
    with broker() as (url, accepted, _):
        report = backfill(path, IRIS, Pipeline(url))
    assert (report.loaded, report.unchanged, report.refused) == (600, 2, [])
    assert len(accepted) == 1800


def test_an_index_without_template_gets_one(search: Elasticsearch, tmp_path: Path) -> None:
    search.indices.delete_index_template(name="closedloop-inference-log")
    try:
        backfill(history(tmp_path, 1), IRIS, Index(search))
        mappings = search.indices.get_mapping(index=INDEX)[INDEX]["mappings"]
        assert mappings["properties"]["RequestId"]["type"] == "keyword"
    finally:
        put_templates(search)


def test_another_writer_in_between_loses_nothing(
    search: Elasticsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = history(tmp_path, 40)
    read = search.mget
    reads = Counter[str]()

    def read_then_someone_writes(**asked: Any) -> Any:
        found = read(**asked)
        if not reads.total():
            log = Log("ns", "iris")
            for i in range(40):
                log.judge(f"r{i}", 0, time="2025-06-01T00:00:00Z")
            log.write(search)
        reads["times"] += 1
        return found

    index = Index(search)
    monkeypatch.setattr(search, "mget", read_then_someone_writes)
    report = backfill(path, IRIS, index)
    assert (report.loaded, reads["times"]) == (40, 2)
    monkeypatch.undo()
    assert evaluate(search, *IRIS).incorrect == 40


def test_a_predictor_with_the_same_index_has_documents_of_its_own(
    search: Elasticsearch, tmp_path: Path
) -> None:
    other = Predictor(IRIS.namespace, IRIS.deployment.upper(), IRIS.predictor)
    assert index_name(*other) == INDEX
    backfill(history(tmp_path, 3), IRIS, Index(search))
    assert backfill(history(tmp_path, 3, lambda _: 0), other, Index(search)).loaded == 3
    assert backfill(history(tmp_path, 3, lambda _: 0), other, Index(search)).unchanged == 3
    for owner, truth in ((IRIS, "1"), (other, "0")):
        assert [each.truth for each in audit_trail(search, *owner, "r2")] == [truth]
    search.indices.refresh(index=INDEX)
    assert search.count(index=INDEX)["count"] == 6


def test_refused_lines_are_reported_and_the_rest_is_loaded(
    search: Elasticsearch, tmp_path: Path
) -> None:
    path = history(tmp_path, 1200)
    lines = path.read_text().splitlines()
    for number in (3, 600, 1201):
        lines[number - 1] = "r,not a time,1,1,,0"
    path.write_text("\n".join(lines))
    seen: list[int] = []
    report = backfill(path, IRIS, Index(search), progress=lambda so_far: seen.append(so_far.lines))
    assert [each.line for each in report.refused] == [3, 600, 1201]
    assert all("not a time" in each.reason for each in report.refused)
    assert (report.loaded, report.lines, seen) == (1197, 1200, [500, 1000, 1200])
    assert evaluate(search, *IRIS).scored == 1197


@contextmanager
def broker(
    answer: Callable[[Event], int] = lambda _: 202, *, together: int = 1
) -> Iterator[tuple[str, list[Event], Counter[str]]]:
    """An ingress that answers an event with `answer(event)` and keeps those it accepted.

    The first `together` events are answered when all of them are here.
    """
    accepted: list[Event] = []
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    meeting = threading.Barrier(together, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers: Mapping[str, str] = {n.lower(): v for n, v in self.headers.items()}
            event = events.from_http(headers, body)
            with lock:
                counts["at once"] += 1
                counts["most at once"] = max(counts["most at once"], counts["at once"])
                counts["events"] += 1
                among_the_first = counts["events"] <= together
            if among_the_first:
                meeting.wait()
            with lock:
                counts["at once"] -= 1
                status = answer(event)
                if status == 202:
                    accepted.append(event)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ns/default", accepted, counts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_pipeline_gets_the_same_documents_as_the_index(
    search: Elasticsearch, tmp_path: Path
) -> None:
    path = history(tmp_path, 60, lambda i: i % 2)
    with broker(together=4) as (url, accepted, counts):
        report = backfill(path, IRIS, Pipeline(url, threads=4))
    assert (report.loaded, len(accepted)) == (60, 180)
    assert counts["most at once"] == 4
    log = Log(*IRIS[:2], output=OUTPUT)
    for event in accepted:
        log.observe(event)
    backfill(path, IRIS, Index(search))
    search.indices.refresh(index=INDEX)
    found = search.search(index=INDEX, size=100)["hits"]["hits"]
    straight = {(INDEX, hit["_id"]): hit["_source"] for hit in found}
    for document in (*straight.values(), *log.documents.values()):
        del document["logged_at"], document["first_logged_at"]
    assert straight == log.documents
    empty(search)
    log.write(search)
    assert (evaluate(search, *IRIS).correct, evaluate(search, *IRIS).incorrect) == (30, 30)


def test_events_of_a_second_run_are_the_same(tmp_path: Path) -> None:
    path = history(tmp_path, 10)
    with broker() as (url, accepted, _):
        backfill(path, IRIS, Pipeline(url))
        backfill(path, IRIS, Pipeline(url))
    times = Counter((event.source, event.id, event.body) for event in accepted)
    assert set(times.values()) == {2}
    assert len(times) == 30


def test_a_broker_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def busy_at_first(event: Event) -> int:
        asked[event.id] += 1
        return 503 if event.type == events.FEEDBACK and asked[event.id] == 1 else 202

    with broker(busy_at_first) as (url, accepted, _):
        report = backfill(history(tmp_path, 20), IRIS, Pipeline(url, threads=2))
    assert (report.loaded, report.refused) == (20, [])
    assert len({event.id for event in accepted}) == len(accepted) == 60
    assert asked.total() == 80


@pytest.mark.parametrize("status", [404, 503])
def test_what_the_broker_refuses_is_reported(tmp_path: Path, status: int) -> None:
    with broker(lambda _: status) as (url, _, _):
        report = backfill(history(tmp_path, 2), IRIS, Pipeline(url))
    assert [each.line for each in report.refused] == [2, 3]
    assert f"answered {status}" in report.refused[0].reason


def test_a_broker_that_is_not_there_is_reported(tmp_path: Path) -> None:
    report = backfill(history(tmp_path, 1), IRIS, Pipeline("http://127.0.0.1:1/ns/default"))
    assert "cannot be reached" in report.refused[0].reason


def test_a_document_that_elasticsearch_refuses_is_reported(
    search: Elasticsearch, tmp_path: Path
) -> None:
    search.indices.create(
        index=INDEX, mappings={"properties": {"Row": {"type": "date", "format": "yyyy"}}}
    )
    report = backfill(history(tmp_path, 2), IRIS, Index(search))
    assert [each.line for each in report.refused] == [2, 3]
    assert "Elasticsearch refused it" in report.refused[0].reason


def test_ids_that_are_not_ascii_reach_the_broker(tmp_path: Path) -> None:
    path = tmp_path / "history.ndjson"
    said = {"request_id": "Anfrage-ü", "time": "2025-05-01T00:00:00Z", "prediction": 1}
    path.write_text(json.dumps(said))
    with broker() as (url, accepted, _):
        report = backfill(path, IRIS, Pipeline(url))
    assert report == Report(loaded=1)
    assert accepted[0].request_id == "Anfrage-ü"
