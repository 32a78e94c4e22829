import json
import threading
import time

import pytest

from closedloop.notebook.traffic import Plan, Record, Tally, Traffic
from tests.model_server import ANSWER, Reply, model

ROWS = [[float(i)] for i in range(20)]


def collect(traffic: Traffic) -> list[Record]:
    with traffic:
        return list(traffic)


def test_one_thread_sends_each_feedback_before_the_next_prediction() -> None:
    with model() as server:
        tally = Traffic(server.url, Plan(ROWS, labels=[1] * 20, n=3)).run()
    assert server.kinds() == ["predictions", "feedback"] * 3
    assert (tally.predictions, tally.feedback, tally.right, tally.failed) == (3, 3, 3, 0)


def test_feedback_has_the_id_of_its_prediction() -> None:
    with model() as server:
        Traffic(server.url, Plan(ROWS, right=0.5, n=20), threads=4, delay=0.01).run()
    puids: dict[str, list[str]] = {"predictions": [], "feedback": []}
    for kind, (_, puid, *_) in zip(server.kinds(), server.calls, strict=True):
        puids[kind].append(puid)
    assert sorted(puids["predictions"]) == sorted(puids["feedback"])
    assert len(set(puids["feedback"])) == 20


def test_records_tell_what_was_sent_and_answered() -> None:
    with model() as server:
        prediction, feedback = collect(
            Traffic(server.url, Plan(ROWS, labels=[2] * 20, n=1, puid=str), names=["x"])
        )
    assert (prediction.kind, prediction.puid, prediction.row) == ("prediction", "0", [0.0])
    assert (prediction.status, prediction.predicted, prediction.failed) == (200, "b", False)
    assert prediction.latency > 0
    assert (feedback.kind, feedback.right) == ("feedback", False)
    assert server.calls[0][2] == {"data": {"names": ["x"], "ndarray": [[0.0]]}}
    assert server.calls[1][2]["truth"] == {"data": {"ndarray": [[2]]}}


def test_a_truth_is_sent_as_it_is_whatever_the_answer_states() -> None:
    unclear = json.dumps({"data": {"ndarray": [152.5]}}).encode()
    with model(lambda _: (200, unclear, {})) as server:
        tally = Traffic(server.url, Plan([[1.0]], truths=[201.5], n=1), tags={"a": "b"}).run()
    assert (tally.feedback, tally.right, tally.failed) == (1, 0, 0)
    assert server.calls[1][2]["truth"] == {
        "meta": {"tags": {"a": "b"}},
        "data": {"ndarray": [[201.5]]},
    }


def test_feedback_waits_for_its_delay_and_predictions_go_on() -> None:
    with model() as server:
        Traffic(server.url, Plan(ROWS, labels=[1] * 20, n=5), delay=0.2).run()
    assert server.kinds() == ["predictions"] * 5 + ["feedback"] * 5
    assert server.calls[5][3] - server.calls[0][3] >= 0.2


def test_a_rate_is_kept() -> None:
    with model() as server:
        Traffic(server.url, Plan(ROWS, n=11, rate=50)).run()
    assert server.calls[-1][3] - server.calls[0][3] == pytest.approx(0.2, abs=0.15)


def test_threads_send_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=60)

    def answer_when_four_are_here(_: int) -> Reply:
        together.wait()
        return 200, ANSWER, {}

    with model(answer_when_four_are_here) as server:
        assert Traffic(server.url, Plan(ROWS, n=8), threads=4).run().failed == 0
    assert server.most_at_once == 4


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((503, b"no healthy upstream", {}), "http 503"),
        ((200, b"<html>", {}), "not json"),
        ((200, b"[]", {}), "not json"),
        ((200, ANSWER, {"Seldon-Puid": "someone else's"}), "another puid"),
        ((200, b'{"data": {"ndarray": [[-1]]}}', {}), "states no class"),
        ((200, ANSWER, {"content-encoding": "gzip"}), "broken answer"),
    ],
)
def test_every_failure_is_counted_with_its_reason(reply: Reply, reason: str) -> None:
    with model(lambda n: reply if n == 2 else (200, ANSWER, {})) as server:
        tally = Traffic(server.url, Plan(ROWS, labels=[1] * 20, n=5)).run()
    assert dict(tally.reasons) == {f"prediction: {reason}": 1}
    assert (tally.predictions, tally.predictions_failed, tally.feedback) == (5, 1, 4)
    assert len(server.calls) == 9  # nothing was tried again


def test_an_answer_without_a_class_is_fine_where_no_feedback_follows() -> None:
    with model(lambda _: (200, b'{"jsonData": {}}', {})) as server:
        assert Traffic(server.url, Plan(ROWS, n=2)).run().failed == 0


def test_failed_feedback_is_counted_apart() -> None:
    with model(lambda n: (400, b"{}", {}) if n == 1 else (200, ANSWER, {})) as server:
        tally = Traffic(server.url, Plan(ROWS, labels=[1] * 20, n=2)).run()
    assert tally == Tally(
        predictions=2, feedback=2, feedback_failed=1, right=1, reasons=tally.reasons
    )
    assert dict(tally.reasons) == {"feedback: http 400": 1}


def test_a_server_that_is_not_there_or_hangs_has_a_reason() -> None:
    release = threading.Event()

    def hang(_: int) -> Reply:
        release.wait(60)
        return 200, ANSWER, {}

    with model(hang) as server:
        hung = Traffic(server.url, Plan(ROWS, n=1), timeout=0.1).run()
        release.set()
    gone = Traffic(server.url, Plan(ROWS, n=1)).run()
    assert (dict(hung.reasons), dict(gone.reasons)) == (
        {"prediction: timeout": 1},
        {"prediction: connection": 1},
    )


def test_leaving_the_block_ends_the_traffic() -> None:
    with model() as server:
        with Traffic(server.url, Plan(ROWS, n=100_000), threads=3) as traffic:
            for record in traffic:
                if record.index >= 10:
                    break
        sent = len(server.calls)
        assert sent == traffic.tally.predictions < 2000
    assert not [t for t in threading.enumerate() if t.name.startswith("traffic-")]


def test_an_interrupt_ends_the_traffic() -> None:
    with model() as server, pytest.raises(KeyboardInterrupt):  # noqa: SIM117, PT012 - the block is the subject
        with Traffic(server.url, Plan(ROWS, n=100_000)) as traffic:
            for _ in traffic:
                raise KeyboardInterrupt
    assert not [t for t in threading.enumerate() if t.name.startswith("traffic-")]


def test_until_ends_predictions_but_not_their_feedback() -> None:
    enough = threading.Event()
    with model() as server:
        plan = Plan(ROWS, labels=[1] * 20, n=100_000)
        with Traffic(server.url, plan, delay=0.1, until=enough.is_set) as traffic:
            for record in traffic:
                if record.index >= 4:
                    enough.set()
    assert traffic.tally.feedback == traffic.tally.predictions < 1000


def test_a_reader_that_does_not_read_holds_the_traffic_up() -> None:
    with (
        model() as server,
        Traffic(server.url, Plan(ROWS, n=100_000), threads=2) as traffic,
    ):
        deadline = time.monotonic() + 30
        while len(server.calls) < 1000 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        assert 1000 <= len(server.calls) <= 1002
        next(iter(traffic))


def test_feedback_that_cannot_be_made_is_an_error_of_the_reader() -> None:
    with model(lambda _: (200, b'{"strData": "b"}', {})) as server:
        traffic = Traffic(server.url, Plan(ROWS, labels=[1] * 20, n=5), form="one-hot")
        with pytest.raises(ValueError, match="cannot be one-hot"):
            traffic.run()


def test_iterating_without_a_block_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="inside `with"):
        next(iter(Traffic("http://127.0.0.1:1", Plan(ROWS, n=1))))


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"delay": -1.0}])
def test_settings_that_cannot_be_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        Traffic("http://127.0.0.1:1", Plan(ROWS, n=1), **wrong)  # type: ignore[arg-type]  # one keyword at a time
