"""The contribution of one row to the counts, by its answer, its feedback and the declaration.

Definitions: an error is the answer minus the truth, so a positive bias answers too high. The
Brier score of two classes is (p - y)² of the second, in [0, 1]; of more, the sum over the
classes, in [0, 2] (as scikit-learn's `brier_score_loss`). The log loss is -ln of the true
class's probability, which is held between 2⁻⁵² and 1 - 2⁻⁵².
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from closedloop.loop.output import Output
from closedloop.loop.scoring.certain import compared
from closedloop.loop.scoring.said import Reason, Said

STATES = ("scored", "unlabelled", "unmatched", "unscorable")
SUMS = ("error", "absolute_error", "squared_error", "brier", "log_loss", "reward")
"""The numbers added up over rows, where a row has them."""

_LEAST = 2.0**-52
_NO_SUMS: Mapping[str, float] = MappingProxyType({})


class Verdict(NamedTuple):
    """The contribution of one row to the counts.

    `state` is one of `STATES`; `reason` says why a row is unscorable. `correct` is None unless
    the row is scored, and where a regression has no tolerance. `pair` is (predicted, actual)
    where a truth scored a class, `labels` the same where a row has several, and `sums` has the
    row's share in each of `SUMS`.
    """

    state: str
    reason: str = ""
    correct: bool | None = None
    pair: tuple[str, str] | None = None
    labels: tuple[frozenset[str], frozenset[str]] | None = None
    sums: Mapping[str, float] = _NO_SUMS


UNLABELLED = Verdict("unlabelled")
UNMATCHED = Verdict("unmatched")


def judge(
    output: Output | None, predicted: Said, actual: Said | None, reward: float | None
) -> Verdict:
    """Judge a row that has both an answer and feedback; a truth goes before a reward."""
    if actual is None:
        return _judge_reward(output, reward)
    for said in (predicted, actual):
        if said.reason:
            return unscorable(said.reason)
    if output is None:
        pair = compared(predicted, actual)
        return unscorable(Reason.UNDECLARED_TRUTH) if pair is None else _pair(*pair)
    if output.kind == "regression":
        return _judge_numbers(output, predicted, actual)
    if predicted.labels is not None and actual.labels is not None:
        same = predicted.labels == actual.labels
        return Verdict("scored", correct=same, labels=(predicted.labels, actual.labels))
    if predicted.label is None or actual.label is None:
        return unscorable(Reason.TRUTH_UNREADABLE)
    sums = _NO_SUMS
    if predicted.numbers:
        sums = _losses(predicted.numbers, output.by_name[actual.label])
    return _pair(predicted.label, actual.label, sums)


def unscorable(reason: str) -> Verdict:
    return Verdict("unscorable", reason=reason)


def _pair(predicted: str, actual: str, sums: Mapping[str, float] = _NO_SUMS) -> Verdict:
    return Verdict("scored", correct=predicted == actual, pair=(predicted, actual), sums=sums)


def _judge_reward(output: Output | None, reward: float | None) -> Verdict:
    if reward is None:
        return unscorable(Reason.TRUTH_UNREADABLE)
    sums = {"reward": reward}
    if output is not None and output.reward_threshold is not None:
        return Verdict("scored", correct=reward >= output.reward_threshold, sums=sums)
    if reward in (0.0, 1.0):
        return Verdict("scored", correct=reward == 1.0, sums=sums)
    return Verdict("unscorable", reason=Reason.UNDECLARED_REWARD, sums=sums)


def _judge_numbers(output: Output, predicted: Said, actual: Said) -> Verdict:
    truths = actual.numbers
    if predicted.names and actual.names and predicted.names != actual.names:
        named = dict(zip(actual.names, truths, strict=True))
        truths = tuple(named[name] for name in predicted.names if name in named)
    if len(predicted.numbers) != len(truths):
        return unscorable(Reason.TRUTH_SHAPE)
    errors = [answer - truth for answer, truth in zip(predicted.numbers, truths, strict=True)]
    squares = [error * error for error in errors]
    if not math.isfinite(sum(squares)):
        return unscorable(Reason.TRUTH_UNREADABLE)
    count = len(errors)
    correct = None
    if output.tolerance is not None:
        correct = all(abs(error) <= output.tolerance for error in errors)
    return Verdict(
        "scored",
        correct=correct,
        sums={
            "error": math.fsum(errors) / count,
            "absolute_error": math.fsum(map(abs, errors)) / count,
            "squared_error": math.fsum(squares) / count,
        },
    )


def _losses(shares: tuple[float, ...], actual: int) -> Mapping[str, float]:
    squares = [(share - (index == actual)) ** 2 for index, share in enumerate(shares)]
    brier = squares[1] if len(shares) == 2 else math.fsum(squares)
    likelihood = min(max(shares[actual] / math.fsum(shares), _LEAST), 1 - _LEAST)
    return {"brier": brier, "log_loss": -math.log(likelihood)}
