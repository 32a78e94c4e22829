"""Rows as kubectl prints them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from closedloop.platforms.embedded.kinds import table as kinds
from closedloop.platforms.embedded.server import tables


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (185, "3m5s"),
        (3600, "60m"),
        (4 * 3600 + 60, "4h1m"),
        (30 * 3600, "30h"),
        (3 * 86400, "3d"),
        (100 * 86400, "100d"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    # Half a second, so that the time that the test takes does not count.
    then = datetime.now(UTC) - timedelta(seconds=seconds + 0.5)
    assert tables.age(then.isoformat()) == text


def _row(kind: str, thing: dict[str, Any]) -> dict[str, object]:
    table = tables.table(kinds.BY_NAME[kind], [thing], "1", "None")
    titles = [one["name"] for one in table["columnDefinitions"]]
    return dict(zip(titles, table["rows"][0]["cells"], strict=True))


def test_a_pod_that_crashes_says_so() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "a", "ready": False, "restartCount": 3, "state": waiting}
    status = {"phase": "Running", "containerStatuses": [container]}
    row = _row("Pod", {"metadata": {"name": "p"}, "spec": {}, "status": status})
    assert (row["Ready"], row["Status"], row["Restarts"]) == ("0/1", "CrashLoopBackOff", "3")


def test_a_trigger_has_the_columns_of_its_definition() -> None:
    conditions = [{"type": "Ready", "status": "False", "reason": "BrokerNotReady"}]
    thing = {
        "metadata": {"name": "t"},
        "spec": {"broker": "default"},
        "status": {"subscriberUri": "http://s", "conditions": conditions},
    }
    row = _row("Trigger", thing)
    assert list(row) == ["Name", "BROKER", "SUBSCRIBER_URI", "Age", "READY", "REASON"]
    assert (row["BROKER"], row["READY"], row["REASON"]) == ("default", "False", "BrokerNotReady")


def test_a_kind_without_columns_has_name_and_age() -> None:
    assert list(_row("Gateway", {"metadata": {"name": "g"}})) == ["Name", "Age"]
