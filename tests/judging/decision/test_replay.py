"""The effect of a repeated row on the evidence: it makes chance look like a difference."""

import numpy as np
import pytest
from scipy.stats import binom

from closedloop.judging.comparison import Pair, content_of
from closedloop.judging.comparison.compare import Rows
from closedloop.judging.decision import Verdict, decide, evidence


def false_decisions(rows: int, times: int) -> float:
    """How often two equal models are told apart by `rows` discordant rows, each sent `times`."""
    b = np.arange(rows + 1)
    decided = [
        decide(int(wins) * times, int(rows - wins) * times).verdict is not Verdict.UNDECIDED
        for wins in b
    ]
    return float(binom.pmf(b, rows, 0.5)[decided].sum())


# With 20 discordant rows; sent once, at most alpha.
@pytest.mark.parametrize(
    ("times", "share"), [(1, 0.003), (2, 0.041), (3, 0.115), (6, 0.263), (20, 0.503)]
)
def test_repeats_decide_between_equal_models(times: int, share: float) -> None:
    assert false_decisions(20, times) == pytest.approx(share, abs=6e-4)


def test_the_75_held_out_flowers_do_not_decide_and_six_times_the_75_would() -> None:
    assert np.exp(evidence(2, 13)) == pytest.approx(19.5, abs=0.01)
    assert decide(2, 13, paired=75).verdict is Verdict.UNDECIDED
    assert decide(4, 26).verdict is Verdict.KEEP
    assert np.exp(evidence(4, 26)) == pytest.approx(1264, abs=1)


def toss(generator: np.random.Generator, rows: int) -> list[Pair]:
    """Rows on which exactly one of two equal models is right."""
    return [
        Pair(f"r{i}", 0, f"r{i}", bool(win), not win, f"{i}", "2026-01-01T00:00:00Z", content_of(i))
        for i, win in enumerate(generator.random(rows) < 0.5)
    ]


def replayed(pairs: list[Pair], times: int) -> list[Pair]:
    """The same rows again and again, each time under another id and later."""
    return [
        Pair(
            f"{time:02}-{pair.request_id}",
            0,
            f"{time:02}-{pair.document_id}",
            pair.champion_correct,
            pair.challenger_correct,
            f"2026-01-01T01:{time:02}:00Z",
            f"2026-01-01T00:{time:02}:00Z",
            pair.content,
        )
        for time in range(times)
        for pair in pairs
    ]


def test_rows_that_count_once_keep_equal_models_apart_from_decisions() -> None:
    generator = np.random.default_rng(4)
    verdicts: dict[str, list[bool]] = {"guarded": [], "replayed": []}
    for _ in range(400):
        stream = replayed(toss(generator, 20), times=6)
        won = sum(pair.challenger_correct for pair in stream)
        cells = Rows(stream).cells
        for name, b, c in (
            ("guarded", cells[False, True], cells[True, False]),
            ("replayed", won, len(stream) - won),
        ):
            verdicts[name].append(decide(b, c).verdict is not Verdict.UNDECIDED)
    # The true shares are 0.003 and 0.263: these bounds are crossed once in a million runs.
    assert np.mean(verdicts["guarded"]) <= 0.05
    assert np.mean(verdicts["replayed"]) > 0.15
