"""A thousand predictions with feedback: a thousand documents, and every count exact."""

import pytest

from closedloop.notebook.traffic import Plan, Traffic
from tests.end_to_end.loop import FLOWERS, METRICS_SERVER, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.mark.parametrize("threads", [8, pytest.param(1, marks=pytest.mark.nightly)])
def test_thousand_predictions_are_a_thousand_documents(loop: Loop, threads: int) -> None:
    before = loop.settle().get("sklearn/default")
    right_before, wrong_before = (before.right, before.wrong) if before else (0, 0)
    prefix = loop.prefix()
    plan = Plan(FLOWERS, right=0.73, n=1000, seed=threads, puid=lambda i: f"{prefix}-{i}")
    tally = Traffic(loop.model(), plan, threads=threads, timeout=60).run()
    assert (tally.predictions, tally.feedback, tally.failed) == (1000, 1000, 0)

    after = loop.settle()["sklearn/default"]  # the log and the metrics server agree on it
    assert after.right - right_before == tally.right
    assert after.wrong - wrong_before == 1000 - tally.right
    assert sum(after.cells.values()) == after.right + after.wrong
    documents = loop.logged(prefix)
    assert len(documents) == 1000
    assert {one["RequestId"] for one in documents.values()} == {
        f"{prefix}-{i}" for i in range(1000)
    }
    assert sum(one["score"]["correct"] for one in documents.values()) == tally.right
    assert not any("feedback_history" in one for one in documents.values())


def test_metrics_server_found_no_difference_itself(loop: Loop) -> None:
    loop.settle()
    assert set(loop.mismatches()) <= {0}
    values = {name: value for name, labels, value in loop.samples(METRICS_SERVER) if not labels}
    assert values["closedloop_state_complete"] == 1
    assert values["closedloop_resync_errors_total"] == 0
