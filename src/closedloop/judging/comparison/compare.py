"""The paired table of two predictors, and how its evidence came about."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from elasticsearch import Elasticsearch

from closedloop.judging.comparison.pairs import Pair, pairs
from closedloop.judging.decision import Decision, Report, decide, evidence, report
from closedloop.judging.decision.evidence import PRIOR
from closedloop.log.evaluate import Evaluation, evaluate
from closedloop.log.period import ALWAYS, Period
from closedloop.loop import rfc3339


class Rows:
    """The rows of pairs, each once: of those with the same content the one asked first."""

    def __init__(self, found: Iterable[Pair]) -> None:
        self.cells: Counter[tuple[bool, bool]] = Counter()
        self.unlogged = 0
        self.repeated: list[int] = []  # when each repeat was judged, in nanoseconds
        self._discordant: dict[object, Pair] = {}
        # When it was asked, when it was judged, and both verdicts.
        self._first: dict[bytes, tuple[int, int, bool, bool]] = {}
        for pair in found:
            self._add(pair)

    @property
    def discordant(self) -> list[Pair]:
        """The rows on which exactly one is right."""
        return list(self._discordant.values())

    def _add(self, pair: Pair) -> None:
        key: object = pair.content
        cell = (pair.champion_correct, pair.challenger_correct)
        if pair.content is None:
            self.unlogged += 1
            key = pair.document_id
        else:
            asked, judged = rfc3339.nanoseconds(pair.asked), rfc3339.nanoseconds(pair.time)
            known = self._first.get(pair.content)
            if known is not None and known[0] <= asked:
                self.repeated.append(judged)
                return
            if known is not None:
                self.repeated.append(known[1])
                self.cells[known[2:]] -= 1
                self._discordant.pop(key, None)
            self._first[pair.content] = (asked, judged, *cell)
        self.cells[cell] += 1
        if pair.discordant:
            self._discordant[key] = pair


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired table, and the evaluation of each predictor by itself.

    `champion_unpaired` counts rows scored for the champion and not for the
    challenger, and the other way round: a mirror's answer may be missing, fall
    beyond the edge of the period, or be one to another request under the same
    id. `repeats` counts the pairs that are left out of the table because their
    row is in it already, `unlogged` those in it whose request is in no log.
    """

    champion: Evaluation
    challenger: Evaluation
    both_right: int
    champion_only: int
    challenger_only: int
    both_wrong: int
    champion_unpaired: int
    challenger_unpaired: int
    repeats: int = 0
    unlogged: int = 0

    @property
    def paired(self) -> int:
        """Rows scored for both, each once."""
        return self.both_right + self.champion_only + self.challenger_only + self.both_wrong

    @property
    def discordant(self) -> int:
        """Rows on which exactly one is right: the only ones that tell the two apart."""
        return self.champion_only + self.challenger_only

    def decide(self, alpha: float = 0.05) -> Decision:
        """Promote, keep or go on; see `closedloop.judging.decision.decide`."""
        return decide(
            self.challenger_only,
            self.champion_only,
            alpha,
            paired=self.paired,
            repeats=self.repeats,
        )

    def report(self, confidence: float = 0.95) -> Report:
        """The exact binomial test; see `closedloop.judging.decision.report`."""
        return report(self.challenger_only, self.champion_only, confidence)


@dataclass(frozen=True, slots=True)
class Point:
    """The evidence after one more discordant row; b and c as in `closedloop.judging.decision`.

    `repeats` is how many pairs had been left out by then as repeats.
    """

    time: str
    b: int
    c: int
    log_evidence: float
    repeats: int = 0


def compare(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period = ALWAYS,
) -> Comparison:
    """Compare two predictors over the rows of a period.

    Raises NothingLoggedError when one of them has no log.
    """
    ours = evaluate(client, namespace, deployment, champion, period)
    theirs = evaluate(client, namespace, deployment, challenger, period)
    rows = Rows(pairs(client, namespace, deployment, champion, challenger, period))
    cells, repeats = rows.cells, len(rows.repeated)
    paired = cells.total() + repeats
    return Comparison(
        ours,
        theirs,
        both_right=cells[True, True],
        champion_only=cells[True, False],
        challenger_only=cells[False, True],
        both_wrong=cells[False, False],
        # Rows may be scored between the queries; a count of rows is never negative.
        champion_unpaired=max(0, ours.scored - paired),
        challenger_unpaired=max(0, theirs.scored - paired),
        repeats=repeats,
        unlogged=rows.unlogged,
    )


def series(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period = ALWAYS,
    *,
    a: float = PRIOR,
) -> list[Point]:
    """Trace the evidence: a point for each discordant row, by time of feedback.

    The rows that agree leave the evidence as it is. The last point is where
    `compare` stands now; the truths are those known now, so a row whose truth
    was corrected stands where its correction came.
    """
    rows = Rows(pairs(client, namespace, deployment, champion, challenger, period))
    repeated = sorted(rows.repeated)
    points: list[Point] = []
    b = c = 0
    for pair in sorted(
        rows.discordant, key=lambda pair: (rfc3339.nanoseconds(pair.time), pair.document_id)
    ):
        b, c = b + pair.challenger_correct, c + pair.champion_correct
        left_out = bisect_right(repeated, rfc3339.nanoseconds(pair.time))
        points.append(Point(pair.time, b, c, evidence(b, c, a), left_out))
    return points
