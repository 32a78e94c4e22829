import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.platforms.embedded.broker.delivery import (
    MAX_DELAY,
    Finished,
    Outcome,
    Progress,
    TryAgain,
    backoff,
    error_extensions,
    is_retried,
    proceed,
)
from closedloop.platforms.embedded.desired import Delivery

SINK = "http://127.0.0.1:1/dead"


def run(delivery: Delivery, *statuses: int) -> tuple[list[float], Finished | None]:
    """Delays of an event whose tries end so, and how it finished."""
    delays: list[float] = []
    progress = Progress()
    for status in statuses:
        step = proceed(delivery, progress, Outcome(status))
        if isinstance(step, Finished):
            return delays, step
        delays.append(step.delay)
        progress = step.progress
    return delays, None


def test_the_default_is_ten_retries_over_two_hundred_seconds() -> None:
    delays, finished = run(Delivery(), *[503] * 11)
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4]
    assert sum(delays) == pytest.approx(204.6)
    assert finished == Finished("dropped")


def test_a_linear_backoff_starts_at_once() -> None:
    delivery = Delivery(policy="linear", delay=2.0)
    assert [backoff(delivery, retry) for retry in range(4)] == [0, 2, 4, 6]


@given(
    policy=st.sampled_from(["linear", "exponential"]),
    delay=st.floats(0, 1e4),
    retry=st.integers(0, 10**6),
)
def test_a_backoff_grows_up_to_its_limit(policy: str, delay: float, retry: int) -> None:
    delivery = Delivery(policy="linear" if policy == "linear" else "exponential", delay=delay)
    assert 0 <= backoff(delivery, retry) <= backoff(delivery, retry + 1) <= MAX_DELAY


@given(status=st.integers(100, 599))
def test_retried_statuses_are_those_of_selective_retry(status: int) -> None:
    assert is_retried(status) == (status in {404, 408, 409, 429} or status >= 500)


@pytest.mark.parametrize(
    ("statuses", "how"),
    [
        ([200], "delivered"),
        ([503, 202], "delivered"),
        ([400], "dropped"),
        ([302], "dropped"),
        ([503, 503, 503], "dropped"),
        ([503, 400], "dropped"),
    ],
)
def test_without_a_sink_an_event_is_delivered_or_dropped(statuses: list[int], how: str) -> None:
    assert run(Delivery(retry=2), *statuses)[1] == Finished(how)  # type: ignore[arg-type] # the table holds the literals


@pytest.mark.parametrize(
    ("statuses", "how"),
    [
        ([400, 200], "dead letter"),
        ([503, 503, 200], "dead letter"),
        ([400, 503, 200], "dead letter"),
        ([400, 503, 503], "dropped"),
        ([400, 400], "dropped"),
    ],
)
def test_with_a_sink_it_is_tried_there_as_often(statuses: list[int], how: str) -> None:
    delivery = Delivery(retry=1, dead_letter=SINK)
    assert run(delivery, *statuses)[1] == Finished(how)  # type: ignore[arg-type] # the table holds the literals


@given(statuses=st.lists(st.integers(100, 599), min_size=30, max_size=30), retry=st.integers(0, 8))
def test_every_event_finishes_within_its_tries(statuses: list[int], retry: int) -> None:
    delays, finished = run(Delivery(retry=retry, dead_letter=SINK), *statuses)
    assert finished is not None
    assert len(delays) <= 2 * retry + 1


def test_the_cause_is_what_the_subscriber_said_last() -> None:
    step = proceed(Delivery(retry=0, dead_letter=SINK), Progress(), Outcome(418, b"no"))
    assert step == TryAgain(Progress(cause=Outcome(418, b"no")), 0.0)


@given(body=st.binary(max_size=2000))
def test_error_data_is_valid_base64_of_the_beginning(body: bytes) -> None:
    extensions = error_extensions("http://a/", Outcome(500, body))
    data = extensions.get("knativeerrordata", "")
    assert len(data) <= 1024
    assert base64.b64decode(data, validate=True) == body[:768]
    assert (extensions["knativeerrordest"], extensions["knativeerrorcode"]) == ("http://a/", "500")
