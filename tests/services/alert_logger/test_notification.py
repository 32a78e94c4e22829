import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.services.alert_logger.notification import (
    Alert,
    Document,
    InvalidNotification,
    alerts_of,
    merged,
)

START, END = "2026-11-23T18:00:00Z", "2026-11-23T18:05:00Z"


def alert(status: str = "firing", **fields: Any) -> dict[str, Any]:
    return {
        "status": status,
        "fingerprint": "c0ffee",
        "startsAt": START,
        "endsAt": END if status == "resolved" else "0001-01-01T00:00:00Z",
        "labels": {"alertname": "ModelAccuracyLow", "severity": "warning"},
        **fields,
    }


def read(**fields: Any) -> Alert:
    return Alert.model_validate(alert(**fields))


def after(*statuses: str) -> Document:
    document: Document | None = None
    for i, status in enumerate(statuses):
        document = merged(document, read(status=status), f"now-{i}")
    assert document is not None
    return document


def test_a_resolved_alert_keeps_both_times() -> None:
    document = after("firing", "resolved")
    assert document["status"] == "resolved"
    assert (document["startsAt"], document["endsAt"]) == (START, END)
    assert (document["firing_logged_at"], document["resolved_logged_at"]) == ("now-0", "now-1")


@given(st.permutations(["firing", "firing", "resolved", "resolved"]))
def test_the_order_decides_no_status(statuses: list[str]) -> None:
    document = after(*statuses)
    assert (document["status"], document["endsAt"]) == ("resolved", END)


@pytest.mark.parametrize("statuses", list(itertools.product(["firing", "resolved"], repeat=2)))
def test_hearing_it_again_changes_nothing(statuses: tuple[str, str]) -> None:
    document = after(*statuses)
    assert merged(document, read(status=statuses[0]), "later") == document


@pytest.mark.parametrize("body", [None, [], {}, {"version": "3"}, {"version": "4", "alerts": 1}])
def test_what_is_no_notification_is_refused(body: object) -> None:
    with pytest.raises(InvalidNotification):
        alerts_of(body)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (5, "alerts[1]"),
        (alert(status="odd"), "alerts[1].status"),
        (alert(startsAt="yesterday"), "alerts[1].startsAt"),
        (alert("resolved", endsAt="soon"), "alerts[1].endsAt"),
        (alert(labels={"a": 1}), "alerts[1].labels.a"),
        (alert(fingerprint=""), "alerts[1].fingerprint"),
    ],
)
def test_a_bad_alert_is_named_and_the_good_ones_are_read(bad: object, named: str) -> None:
    read, problem = alerts_of({"version": "4", "alerts": [alert(), bad, alert()]})
    assert len(read) == 2
    assert problem is not None
    assert problem.startswith(named)
