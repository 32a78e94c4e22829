"""Feedback that repeats a large request counts like any other."""

import pytest
import requests

from closedloop.loop.events import PUID_HEADER
from tests.end_to_end.loop import Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "size", [pytest.param(1_900_000, marks=pytest.mark.nightly), (16 << 20) - 1000]
)
def test_large_feedback_is_joined_and_what_it_repeats_is_cut(loop: Loop, size: int) -> None:
    before = loop.settle().get("sklearn/default")
    right = before.right if before else 0
    puid = loop.prefix()
    loop.predict(puid)
    feedback = {"request": {"strData": "x" * size}, "truth": {"data": {"ndarray": [0]}}}
    answer = requests.post(
        f"{loop.model()}/api/v1.0/feedback",
        json=feedback,
        headers={PUID_HEADER: puid},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    assert loop.settle()["sklearn/default"].right == right + 1
    (document,) = loop.logged(puid).values()
    assert document["score"]["correct"] is True
    assert len(str(document["feedback"])) < 2 << 20


def test_feedback_that_is_too_large_is_counted_where_it_is_lost(loop: Loop) -> None:
    loop.settle()
    refused = _refused(loop)
    puid = loop.prefix()
    loop.predict(puid)
    feedback = {"request": {"strData": "x" * (18 << 20)}, "truth": {"data": {"ndarray": [0]}}}
    headers = {PUID_HEADER: puid}
    url = f"{loop.model()}/api/v1.0/feedback"
    assert requests.post(url, json=feedback, headers=headers, timeout=120).status_code == 200
    loop.settle()
    assert loop.executor_counts("failed")["feedback"] == 1
    assert _refused(loop) == refused + 1
    assert "the event has" in loop.platform.logs("broker", 50)
    (document,) = loop.logged(puid).values()
    assert document["score"]["state"] == "unlabelled"


def _refused(loop: Loop) -> int:
    """Events that the broker found too large."""
    status = requests.get(f"{loop.broker}/-/status", timeout=60).json()
    return int(status["refused"]["too_large"])
