"""Promotion under load: no client notices; and with a part killed in the middle of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from closedloop.judging.present import present_pair
from closedloop.judging.promotion import KIND, Promotion, PromotionError, Roles, promote, roles
from closedloop.notebook.waiting import until
from closedloop.platforms.protocol import PlatformError
from tests.end_to_end.loop import PATIENCE, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

FIRST, SWAPPED = Roles("logistic", "perceptron"), Roles("perceptron", "logistic")
# One row that the two models answer differently.
_CANDIDATES = [[5.9 + i / 10, 2.8, 4.3 + i / 5, 1.3 + i / 20] for i in range(-6, 10)]


@pytest.fixture
def pair(loop: Loop) -> Iterator[Loop]:
    """The logistic regression serves, the perceptron is its shadow."""
    loop.platform.apply("models/iris-perf-shadow.yaml")
    loop.platform.wait(KIND, "iris-perf", "seldon", timeout=300)
    loop.ready()
    yield loop
    loop.ready()
    loop.platform.apply("models/iris-perf-shadow.yaml")
    loop.platform.wait(KIND, "iris-perf", "seldon", timeout=300)


def _answer(loop: Loop, predictor: str, row: list[float]) -> object:
    url = loop.platform.url(f"seldon/iris-perf-{predictor}", 8000)
    answer = requests.post(
        f"{url}/api/v1.0/predictions",
        json={"data": {"ndarray": [row]}},
        headers={"Seldon-Skip-Logging": "true"},
        timeout=60,
    )
    return answer.json()["data"]["ndarray"]


def _probes(loop: Loop) -> list[dict[str, object]]:
    rows = [
        row
        for row in _CANDIDATES
        if _answer(loop, "logistic", row) != _answer(loop, "perceptron", row)
    ]
    assert rows, "the two models answer every candidate alike"
    return [{"data": {"names": [], "ndarray": [row]}} for row in rows[:2]]


def _promote(loop: Loop, probes: list[dict[str, object]]) -> Promotion:
    return promote(loop.platform, "seldon", "iris-perf", probes=probes, timeout=PATIENCE)


def _roles(loop: Loop) -> Roles:
    return roles(loop.platform.get(KIND, "iris-perf", "seldon"))


@pytest.mark.parametrize("rate", [15, pytest.param(40, marks=pytest.mark.nightly)])
def test_promotion_and_undo_under_load_fail_no_request_and_keep_the_pair(
    pair: Loop, rate: float
) -> None:
    probes, since = _probes(pair), _since(pair)
    prefix = pair.prefix()
    with pair.traffic(prefix, "iris-perf", threads=4, rate=rate) as sending:
        sending.wait_for(20)
        there = _promote(pair, probes)
        assert _since(pair) == since
        sending.wait_for(20)
        back = _promote(pair, probes)
        assert _since(pair) == since
        sending.wait_for(20)
    assert (there.before, there.after) == (FIRST, SWAPPED)
    assert (there.answered_before, there.answered_after) == ("logistic", "perceptron")
    assert (back.after, back.answered_after) == (FIRST, "logistic")
    tally = sending.traffic.tally
    assert tally.failed == 0, tally.reasons
    pair.settle()
    # What a client got is in the log of who served it. Only copies for the shadow may be
    # missing: Envoy cuts those off that are under way when its pods change.
    accepted = [one for one in pair.stream.events() if one.puid.startswith(f"{prefix}-")]
    for kind, sent in (("response", "prediction"), ("feedback", "feedback")):
        assert {one.puid for one in accepted if one.kind == kind} == sending.answered(sent)
    answers = {(one.puid, _class(one.body)) for one in accepted if one.kind == "response"}
    assert {(one.puid, one.predicted) for one in sending.records if one.predicted} <= answers


@pytest.mark.nightly
def test_another_model_starts_the_pair_anew(pair: Loop) -> None:
    first, changed = _since(pair), datetime.now(UTC)
    deployment = pair.platform.get(KIND, "iris-perf", "seldon")
    model = deployment["spec"]["predictors"][1]["graph"]["parameters"][0]  # type: ignore[index]  # plain JSON
    assert model["value"] == "iris-percept.joblib"
    model["value"] = "iris-lr.joblib"
    pair.platform.apply(deployment)
    pair.platform.wait(KIND, "iris-perf", "seldon", timeout=300)
    assert first < changed < _since(pair) < datetime.now(UTC)


def _since(loop: Loop) -> datetime:
    moment = present_pair(loop.platform, "seldon", "iris-perf").since
    assert moment
    return moment


def _class(body: dict[str, Any] | None) -> str:
    assert body
    return str(body["data"]["ndarray"][0])


@pytest.mark.nightly
@pytest.mark.chaos
@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("envoy", "executor iris-perf/perceptron"),
        ("model iris-perf/perceptron", "executor iris-perf/logistic"),
        ("model iris-perf/logistic", "envoy"),
    ],
)
def test_part_killed_during_a_promotion_and_during_its_undo(
    pair: Loop, part: str, other: str
) -> None:
    probes = _probes(pair)
    with pair.traffic(pair.prefix(), "iris-perf", rate=10) as sending:
        for killed, target in ((part, SWAPPED), (other, FIRST)):
            sending.wait_for(5)
            _promote_and_kill(pair, probes, killed)
            sending.wait_for(5)
            # Whether or not the call saw it through: what the object says is what serves.
            assert _roles(pair) == target
            pair.platform.wait(KIND, "iris-perf", "seldon", timeout=300)
            until(
                lambda: _served_by(pair, probes),
                lambda seen, want=target.serving: seen == {want},  # type: ignore[misc]  # mypy has no type for the default
                what=f"all answers to be of {target.serving}",
                timeout=PATIENCE,
            )
    assert {record.reason for record in sending.records} <= {
        *("", "http 500", "http 502", "http 503", "http 504", "connection")
    }
    pair.settle()


def _promote_and_kill(loop: Loop, probes: list[dict[str, object]], part: str) -> None:
    """Kill a part while the new pods start; the promotion ends well or with a sentence."""
    before = _roles(loop)
    with ThreadPoolExecutor(1) as pool:
        promotion = pool.submit(_promote, loop, probes)
        until(
            lambda: promotion.done() or len(loop.addresses("iris-perf", before.shadow)) > 1,
            what="the promotion to begin",
            timeout=PATIENCE,
            every=0.01,
        )
        loop.kill(part)
        try:
            promotion.result(2 * PATIENCE)
        except (PromotionError, PlatformError) as error:
            sentence = str(error).splitlines()[0]
            assert ": " in sentence, f"does not say what to do: {sentence}"
    loop.ready()


def _served_by(loop: Loop, probes: list[dict[str, object]]) -> set[str]:
    """Whose answers the gateway gives."""
    seen = set()
    for probe in probes:
        (row,) = probe["data"]["ndarray"]  # type: ignore[index]  # plain JSON
        answer = requests.post(
            f"{loop.model('iris-perf')}/api/v1.0/predictions",
            json=probe,
            headers={"Seldon-Skip-Logging": "true"},
            timeout=60,
        )
        said = answer.json()["data"]["ndarray"] if answer.ok else None
        seen |= {name for name in ("logistic", "perceptron") if _answer(loop, name, row) == said}
    return seen
