"""The measures that fit a model's answers, averaged by Elasticsearch over the scores in the log.

Definitions are those of `closedloop.loop.scoring`: an error is the answer minus the truth, and
macro measures are plain means over the labels for which one is defined.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from closedloop.loop.output import MOST_CLASSES
from closedloop.loop.scoring.verdict import SUMS

_LABELS = {"field": "score.actual_labels", "size": MOST_CLASSES}

AGGREGATIONS: Mapping[str, Any] = {
    **{name: {"avg": {"field": f"score.{name}"}} for name in SUMS},
    "actual_labels": {"terms": _LABELS},
    "predicted_labels": {
        "terms": {"field": "score.predicted_labels", "size": MOST_CLASSES},
        "aggs": {"truly": {"terms": _LABELS}},
    },
}
"""The aggregations of a search; `Measures.read` reads the answer."""


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of a model besides its accuracy; None where one does not apply.

    The first three are of a regression, the next two of probabilities; micro and macro measures
    are of rows with several labels.
    """

    mean_absolute_error: float | None = None
    root_mean_squared_error: float | None = None
    bias: float | None = None
    brier_score: float | None = None
    log_loss: float | None = None
    mean_reward: float | None = None
    micro_precision: float | None = None
    micro_recall: float | None = None
    micro_f1: float | None = None
    macro_precision: float | None = None
    macro_recall: float | None = None
    macro_f1: float | None = None

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> "Measures":
        """Read the answer to a search with `AGGREGATIONS`."""
        means = {name: answer[name]["value"] for name in SUMS}
        squared = means["squared_error"]
        return cls(
            mean_absolute_error=means["absolute_error"],
            root_mean_squared_error=None if squared is None else squared**0.5,
            bias=means["error"],
            brier_score=means["brier"],
            log_loss=means["log_loss"],
            mean_reward=means["reward"],
            **_of_labels(answer),
        )


def _of_labels(answer: Mapping[str, Any]) -> dict[str, float | None]:
    actual = _counts(answer["actual_labels"])
    predicted = _counts(answer["predicted_labels"])
    both = {
        bucket["key"]: _counts(bucket["truly"]).get(bucket["key"], 0)
        for bucket in answer["predicted_labels"]["buckets"]
    }
    labels = actual.keys() | predicted.keys()
    shares = {
        "precision": {name: (both.get(name, 0), predicted.get(name, 0)) for name in labels},
        "recall": {name: (both.get(name, 0), actual.get(name, 0)) for name in labels},
        "f1": {
            name: (2 * both.get(name, 0), predicted.get(name, 0) + actual.get(name, 0))
            for name in labels
        },
    }
    measures: dict[str, float | None] = {}
    for measure, parts in shares.items():
        defined = [part / whole for part, whole in parts.values() if whole]
        measures[f"macro_{measure}"] = sum(defined) / len(defined) if defined else None
        part, whole = (sum(counts[i] for counts in parts.values()) for i in (0, 1))
        measures[f"micro_{measure}"] = part / whole if whole else None
    return measures


def _counts(terms: Mapping[str, Any]) -> dict[str, int]:
    return {bucket["key"]: bucket["doc_count"] for bucket in terms["buckets"]}
