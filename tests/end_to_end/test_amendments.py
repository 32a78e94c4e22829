"""A correction through the gateway moves the log, the metrics server and the model alike."""

import random

import pytest

from closedloop.log.amendments import Correction, amend, audit_trail
from closedloop.notebook.waiting import until
from tests.end_to_end.loop import FLOWERS, PATIENCE, Loop

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

MODELS = ("logistic", "perceptron")


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_corrections_move_every_count_alike(loop: Loop, seed: int) -> None:
    chance = random.Random(seed)
    prefix = loop.prefix()
    loop.platform.delete("models/iris-perf-shadow.yaml")  # the models begin with no score
    loop.platform.apply("models/iris-perf-shadow.yaml")
    loop.platform.wait("SeldonDeployment", "iris-perf", "seldon", timeout=300)
    before = loop.settle()
    rows = {f"{prefix}-{i}": chance.choices(FLOWERS, k=chance.choice((1, 2))) for i in range(6)}
    for puid, flowers in rows.items():
        loop.predict(puid, *flowers, name="iris-perf")
    said: dict[str, int] = dict.fromkeys(rows, 0)
    for _ in range(30):
        puid = chance.choice([*rows])
        correction = Correction(
            puid,
            [chance.randrange(3) for _ in rows[puid]],
            tags={"by": "a reviewer"},
            request={"data": {"ndarray": rows[puid]}},
        )
        (done,) = amend(loop.model("iris-perf"), [correction], timeout=60)
        assert not done.reason
        said[puid] += 1

    after = loop.settle()
    for model in MODELS:
        who = f"iris-perf/{model}"
        now, then = after[who], before.get(who)
        moved = (now.right - (then.right if then else 0), now.wrong - (then.wrong if then else 0))
        assert sum(moved) == sum(len(rows[puid]) for puid in rows if said[puid])
        until(
            lambda name=model: loop.scores_of_model(name),  # type: ignore[misc]  # mypy has no type for the default
            lambda seen, want=moved: seen == want,  # type: ignore[misc]  # as above
            what=f"the model of {model} to have {moved}",
            timeout=PATIENCE,
        )
        for puid, times in said.items():
            if times:
                row = 0 if len(rows[puid]) > 1 else None
                trail = audit_trail(loop.search, "seldon", "iris-perf", model, puid, row=row)
                assert len(trail) == times
                assert [one.current for one in trail] == [False] * (times - 1) + [True]
