"""Whatever comes in whatever order, and whoever restarts: the same counts everywhere."""

import random
from collections.abc import Callable

import pytest
import requests

from closedloop.notebook.waiting import until
from tests.end_to_end.loop import FLOWERS, METRICS_SERVER, PATIENCE, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


class _Sequence:
    """Random predictions and truths of a dozen requests: early, late, corrected, repeated."""

    def __init__(self, loop: Loop, seed: int) -> None:
        self._loop, self._random = loop, random.Random(seed)
        self.prefix = loop.prefix()
        # How many rows a request has is settled once: only a batch has rows of its own.
        self._rows = {f"{self.prefix}-{i}": self._random.choice((1, 1, 3)) for i in range(12)}

    def step(self) -> None:
        puid, rows = self._random.choice([*self._rows.items()])
        what: Callable[[str, int], None] = self._random.choice(
            (self._predict, self._judge, self._judge, self._send_again)
        )
        what(puid, rows)

    def _predict(self, puid: str, rows: int) -> None:
        self._loop.predict(puid, *self._random.choices(FLOWERS, k=rows))

    def _judge(self, puid: str, rows: int) -> None:
        truths: list[int | None] = [self._random.randrange(3) for _ in range(rows)]
        if rows > 1 and self._random.random() < 0.3:
            truths[0] = None  # says nothing of its first row
        self._loop.judge(puid, *truths)

    def _send_again(self, puid: str, rows: int) -> None:
        """An event that came before, as it was, and under a new id but with its old time."""
        sent = [one for one in self._loop.stream.events() if one.puid.startswith(self.prefix)]
        if not sent:
            return
        raw = self._random.choice(sent).raw
        for id_ in (raw.attributes["id"], f"again-{self._random.random()}"):
            headers = {f"ce-{name}": value for name, value in raw.attributes.items()}
            headers |= {"ce-id": id_, "content-type": headers.pop("ce-datacontenttype")}
            url = f"{self._loop.broker}/seldon-logs/default"
            answer = requests.post(url, data=raw.body, headers=headers, timeout=60)
            assert answer.status_code == 202


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))]
)
def test_log_and_metrics_server_agree_whatever_came(loop: Loop, seed: int) -> None:
    sequence = _Sequence(loop, seed)
    for number in range(60):
        if number == 30:
            old = loop.kill(METRICS_SERVER)
        sequence.step()
    loop.recovered(METRICS_SERVER, old)
    seen = loop.settle()
    assert seen["sklearn/default"].right > 0

    loop.platform.restart(METRICS_SERVER)
    assert loop.settle() == seen
    until(
        loop.mismatches,
        lambda cells: bool(cells) and set(cells) == {0},
        what="the metrics server to find itself like the log",
        timeout=PATIENCE,
    )


def test_event_that_comes_again_is_delivered_again_and_counts_once(loop: Loop) -> None:
    puid = loop.prefix()
    loop.predict(puid)
    before = loop.settle()
    stored = len(loop.stream.events())
    raw = loop.stream.events()[-1].raw
    headers = {f"ce-{name}": value for name, value in raw.attributes.items()}
    headers["content-type"] = headers.pop("ce-datacontenttype")
    for _ in range(5):
        url = f"{loop.broker}/seldon-logs/default"
        assert requests.post(url, data=raw.body, headers=headers, timeout=60).status_code == 202
    assert loop.settle() == before
    assert len(loop.stream.events()) == stored + 5  # as Knative's, the broker delivers them all
