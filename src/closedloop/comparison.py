"""Two predictors of one deployment, row by row: who was right when the other was wrong.

Both log a row under the same request id when the client chooses the
Seldon-Puid; the gateway mirrors feedback as well as predictions, so both logs
have the truth. They are joined here, by sorted paging of both indices, so
that memory does not grow with the log. Champion is the name of the predictor
that serves, challenger of the one that shadows it: `closedloop.promotion.roles`
says which these are now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import cast

from elasticsearch import Elasticsearch

from closedloop import events
from closedloop.decision import Decision, Report, decide, evidence, report
from closedloop.decision.evidence import PRIOR
from closedloop.history.evaluate import Evaluation, evaluate
from closedloop.history.log import PAGE, SCORED, Key, Source, by_request, correct, open_index
from closedloop.history.period import ALWAYS, Period


@dataclass(frozen=True, slots=True)
class Pair:
    """One row that is scored for both predictors.

    `time` is the later of the two latest pieces of feedback, RFC 3339: since
    then both verdicts are as they are.
    """

    request_id: str
    row: int
    document_id: str
    champion_correct: bool
    challenger_correct: bool
    time: str

    @property
    def discordant(self) -> bool:
        """Exactly one of the two is right."""
        return self.champion_correct != self.challenger_correct


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired table, and what each predictor's log has by itself.

    `champion_unpaired` counts rows scored for the champion and not for the
    challenger, and the other way round: a mirror's answer may be missing, or
    fall beyond the edge of the period.
    """

    champion: Evaluation
    challenger: Evaluation
    both_right: int
    champion_only: int
    challenger_only: int
    both_wrong: int
    champion_unpaired: int
    challenger_unpaired: int

    @property
    def paired(self) -> int:
        """Rows scored for both."""
        return self.both_right + self.champion_only + self.challenger_only + self.both_wrong

    @property
    def discordant(self) -> int:
        """Rows on which exactly one is right: the only ones that tell the two apart."""
        return self.champion_only + self.challenger_only

    def decide(self, alpha: float = 0.05) -> Decision:
        """Promote, keep or go on; see `closedloop.decision.decide`."""
        return decide(self.challenger_only, self.champion_only, alpha, paired=self.paired)

    def report(self, confidence: float = 0.95) -> Report:
        """The exact binomial test; see `closedloop.decision.report`."""
        return report(self.challenger_only, self.champion_only, confidence)


@dataclass(frozen=True, slots=True)
class Point:
    """The evidence after one more discordant row; b and c as in `closedloop.decision`."""

    time: str
    b: int
    c: int
    log_evidence: float


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
    cells = dict.fromkeys([(True, True), (True, False), (False, True), (False, False)], 0)
    for pair in pairs(client, namespace, deployment, champion, challenger, period):
        cells[pair.champion_correct, pair.challenger_correct] += 1
    paired = sum(cells.values())
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
    )


def pairs(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period = ALWAYS,
    *,
    page: int = PAGE,
) -> Iterator[Pair]:
    """Every row scored for both predictors, by request id and row.

    Raises NothingLoggedError when one of them has no log.
    """
    filters = [SCORED, *period.filters()]
    fields = ["score.correct", "feedback.ce-time"]
    left, right = (
        by_request(
            client, open_index(client, namespace, deployment, name), filters, fields, page=page
        )
        for name in (champion, challenger)
    )
    for key, ours, theirs in _join(left, right):
        for document_id in sorted(ours.keys() & theirs.keys()):
            one, other = ours[document_id], theirs[document_id]
            yield Pair(
                *key,
                document_id,
                champion_correct=correct(one),
                challenger_correct=correct(other),
                time=max(_judged(one), _judged(other), key=events.nanoseconds),
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
    """How the evidence came about: a point for each discordant row, by time of feedback.

    The rows that agree leave the evidence as it is. The last point is where
    `compare` stands now; the truths are those known now, so a row whose truth
    was corrected stands where its correction came. Memory grows with the
    discordant rows alone.
    """
    found = [
        pair
        for pair in pairs(client, namespace, deployment, champion, challenger, period)
        if pair.discordant
    ]
    found.sort(key=lambda pair: (events.nanoseconds(pair.time), pair.document_id))
    points: list[Point] = []
    b = c = 0
    for pair in found:
        b, c = b + pair.challenger_correct, c + pair.champion_correct
        points.append(Point(pair.time, b, c, evidence(b, c, a)))
    return points


def disagreements(
    client: Elasticsearch,
    namespace: str,
    deployment: str,
    champion: str,
    challenger: str,
    period: Period = ALWAYS,
    *,
    most: int = 20,
) -> list[Mapping[str, object]]:
    """Logged requests, as SeldonMessages of one row, that the two answered differently.

    They are rows on which exactly one is right, so their classes differ: what
    tells by its answer which of the two models is serving.
    """
    found = (
        pair.document_id
        for pair in pairs(client, namespace, deployment, champion, challenger, period)
        if pair.discordant
    )
    ids = list(islice(found, most))
    if not ids:
        return []
    index = open_index(client, namespace, deployment, champion)
    documents = client.mget(
        index=index, ids=ids, source_includes=["request.instance", "request.names"]
    )["docs"]
    return [
        {"data": {"names": request.get("names", []), "ndarray": [request["instance"]]}}
        for document in documents
        if (request := document.get("_source", {}).get("request")) is not None
    ]


def _join(
    left: Iterator[tuple[Key, dict[str, Source]]], right: Iterator[tuple[Key, dict[str, Source]]]
) -> Iterator[tuple[Key, dict[str, Source], dict[str, Source]]]:
    """Both sides of every key that both have; each side comes sorted by key.

    Elasticsearch sorts keywords by their UTF-8 bytes, which is the order of
    Python's strings.
    """
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        if one[0] == other[0]:
            yield one[0], one[1], other[1]
            one, other = next(left, None), next(right, None)
        elif one[0] < other[0]:
            one = next(left, None)
        else:
            other = next(right, None)


def _judged(source: Source) -> str:
    return str(cast(Source, source["feedback"])["ce-time"])
