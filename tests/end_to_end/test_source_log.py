"""The law of the whole loop with a metrics server that has Elasticsearch count the log."""

from collections.abc import Iterator

import pytest
import yaml

from closedloop.paths import checkout_root
from tests.end_to_end.loop import METRICS_SERVER, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.nightly, pytest.mark.timeout(600)]


@pytest.fixture
def counting(loop: Loop) -> Iterator[Loop]:
    """A loop whose metrics server holds no rows; afterwards it holds them again."""
    path = checkout_root() / "manifests/metrics-server/deployment.yaml"

    def apply(**environment: str) -> None:
        server = yaml.safe_load(path.read_text())
        (container,) = server["spec"]["template"]["spec"]["containers"]
        more = {"RESYNC_SECONDS": "1", **environment}
        container["env"] += [{"name": name, "value": value} for name, value in more.items()]
        loop.platform.apply(server)
        loop.platform.wait("Deployment", server["metadata"]["name"], "seldon-logs")
        loop.ready()

    apply(SOURCE="log")
    yield loop
    apply()


def test_broker_log_and_metrics_server_agree(counting: Loop) -> None:
    counting.settle()
    prefix = counting.prefix()
    with counting.traffic(prefix) as sending:
        sending.wait_for(20)
        old = counting.kill(METRICS_SERVER)
        counting.recovered(METRICS_SERVER, old)
        sending.wait_for(20)
    told = {name for name, *_ in counting.samples(METRICS_SERVER)}
    assert "closedloop_spans_recounted_total" in told
    assert "closedloop_rows_held" not in told

    # A corrected truth moves the counts of a row that was counted before.
    counting.settle()
    counting.predict(f"{prefix}-again")
    counting.judge(f"{prefix}-again", 0)
    before = counting.settle()["sklearn/default"]
    counting.judge(f"{prefix}-again", 1)
    after = counting.settle()["sklearn/default"]
    assert (after.right, after.wrong) == (before.right - 1, before.wrong + 1)
