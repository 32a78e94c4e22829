"""Many predictions with feedback: as many documents, and every count exact."""

import pytest

from closedloop.notebook.traffic import Plan, Traffic
from closedloop.notebook.waiting import until
from tests.end_to_end.loop import FLOWERS, METRICS_SERVER, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("predictions", "threads"),
    [
        (200, 8),
        pytest.param(1000, 8, marks=pytest.mark.nightly),
        pytest.param(1000, 1, marks=pytest.mark.nightly),
    ],
)
def test_each_prediction_is_a_document_and_every_count_exact(
    loop: Loop, predictions: int, threads: int
) -> None:
    before = loop.settle().get("sklearn/default")
    right_before, wrong_before = (before.right, before.wrong) if before else (0, 0)
    prefix = loop.prefix()
    plan = Plan(FLOWERS, right=0.73, n=predictions, seed=threads, puid=lambda i: f"{prefix}-{i}")
    tally = Traffic(loop.model(), plan, threads=threads, timeout=60).run()
    assert (tally.predictions, tally.feedback, tally.failed) == (predictions, predictions, 0)

    after = loop.settle()["sklearn/default"]  # the log and the metrics server agree on it
    assert after.right - right_before == tally.right
    assert after.wrong - wrong_before == predictions - tally.right
    assert sum(after.cells.values()) == after.right + after.wrong
    documents = loop.logged(prefix)
    assert len(documents) == predictions
    assert {one["RequestId"] for one in documents.values()} == {
        f"{prefix}-{i}" for i in range(predictions)
    }
    assert sum(one["score"]["correct"] for one in documents.values()) == tally.right
    assert not any("feedback_history" in one for one in documents.values())


def test_metrics_server_found_no_difference_itself(loop: Loop) -> None:
    def told() -> dict[str, float]:
        return {name: value for name, labels, value in loop.samples(METRICS_SERVER) if not labels}

    before = told()
    loop.settle()
    # It compares at quiet moments; at the last of them another test's log may have been away.
    until(loop.mismatches, lambda found: not any(found), what="no difference", timeout=150)
    assert told()["closedloop_state_complete"] == 1
    errors = "closedloop_resync_errors_total"  # other tests take Elasticsearch away
    assert told()[errors] == before[errors]
