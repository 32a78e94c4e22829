"""The document of a row: a section merged into it, its score, and the row read back from it.

The shape is that of Seldon's own request logger (Apache-2.0,
`components/seldon-request-logger`, removed from its tree in 2022): `request`, `response` and
`feedback` side by side. Added here: `ce-id` beside `ce-time`, so that the newest is known; the
truth's own row as `feedback.instance`; earlier feedback in `feedback_history`; and `score`, the
join of answer and truth by the declaration of the predictor's output, so that an aggregation
needs no code.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from closedloop.loop.events import SECTIONS, InvalidEvent
from closedloop.loop.keys import Predictor
from closedloop.loop.output import Output
from closedloop.loop.scoring.reading import read_answer, read_truth
from closedloop.loop.scoring.scoreboard import Feedback, Outcome, Row, order, verdict
from closedloop.loop.scoring.times import moment
from closedloop.loop.scoring.verdict import UNLABELLED
from closedloop.loop.sections import LENT_TO, Document, Section, predictor_of, stamp_of

_EARLIER_REQUESTS = 10


class Logged(NamedTuple):
    """A document read back: row `row` of an answer that has `size` rows, and its sections.

    `response` and `feedback` are empty where there is none; the stamps order them.
    """

    predictor: Predictor
    request_id: str
    row: int
    size: int
    response: Mapping[str, object]
    feedback: Mapping[str, object]
    other_sizes: tuple[int, ...] = ()  # of answers to other requests with the same id

    @property
    def answered(self) -> str:
        return stamp_of(self.response) if self.response else ""

    @property
    def judged(self) -> str:
        return stamp_of(self.feedback) if self.feedback else ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the answer's columns."""
        return _names(self.response)


def merge(
    known: Mapping[str, object] | None, section: Section, output: Output | None = None
) -> tuple[Document, Outcome]:
    """The document with `section` in it, scored, and the outcome; neither argument is changed."""
    document, outcome = added(known, section)
    return scored(document, output), outcome


def added(known: Mapping[str, object] | None, section: Section) -> tuple[Document, Outcome]:
    """`merge` without the score, which the last of several sections settles.

    Of two versions of a section the newer stays, whichever comes first; the
    older feedback goes to `feedback_history`, oldest first, and a request that
    differs to `request_history`: its id was used twice.
    """
    merged: Document = {**section.common, **(known or {})}
    held = merged.get(section.name)
    outcome = order(stamp_of(held) if isinstance(held, dict) else "", section.stamp)
    if outcome.changes:
        merged[section.name] = section.content
    if isinstance(held, dict) and outcome is not Outcome.DUPLICATE:
        older = held if outcome is Outcome.CORRECTED else section.content
        if section.name == "feedback":
            history, added = _with(merged.get("feedback_history"), older)
            merged["feedback_history"] = history
            if not added:
                outcome = Outcome.DUPLICATE
        elif section.name == "request" and held.get("instance") != section.content.get("instance"):
            brief = {
                name: older[name] for name in ("ce-time", "ce-id", "instance") if name in older
            }
            history, _ = _with(merged.get("request_history"), brief)
            merged["request_history"] = history[-_EARLIER_REQUESTS:]
        elif section.name == "response" and held.get("rows") != section.content.get("rows"):
            sizes = {*_sizes(merged), held.get("rows", 1), section.content.get("rows", 1)}
            merged["answer_sizes"] = sorted(sizes)
    return merged, outcome


def scored(document: Mapping[str, object], output: Output | None) -> Document:
    """The document with its time and its score by `output`; the argument is not changed."""
    renewed: Document = {**document}
    for section in SECTIONS.values():
        if isinstance(content := renewed.get(section), dict):
            renewed["@timestamp"] = content["ce-time"]
            break
    for name in ("score", "delay_seconds"):
        renewed.pop(name, None)
    logged = read_document(renewed)
    if logged.response and logged.feedback:
        renewed["delay_seconds"] = max(0, moment(logged.judged) - moment(logged.answered)) / 1e9
    if logged.response or (logged.feedback and not _is_lent(renewed)):
        renewed["score"] = _score(logged, output)
    return renewed


def read_document(document: Mapping[str, object]) -> Logged:
    """A document of the log. Raises `InvalidEvent` for one that is not of this shape."""
    request_id, row = document.get("RequestId"), document.get("Row", 0)
    if not isinstance(request_id, str) or not isinstance(row, int):
        raise InvalidEvent("bad_document", "the document has no RequestId or Row: log it again")
    response, feedback = document.get("response"), document.get("feedback")
    response = response if isinstance(response, dict) else {}
    size = response.get("rows", 2 if row else 1)
    return Logged(
        predictor_of(document),
        request_id,
        row,
        size if isinstance(size, int) else 1,
        response,
        feedback if isinstance(feedback, dict) else {},
        _sizes(document),
    )


def feedback_versions(document: Mapping[str, object]) -> Iterator[Document]:
    """The versions of the feedback that a document has, oldest first."""
    history, latest = document.get("feedback_history"), document.get("feedback")
    for each in (*(history if isinstance(history, list) else ()), latest):
        if isinstance(each, dict):
            yield each


def feedback_in(section: Mapping[str, object]) -> Feedback:
    """The feedback that a `feedback` section states."""
    reward = section.get("reward")
    number = float(reward) if isinstance(reward, (int, float)) else None
    if "instance" not in section:
        return Feedback(reward=number)
    truth = section.get("truth")
    data = truth.get("data") if isinstance(truth, dict) else None
    names = _names(data) if isinstance(data, dict) else ()
    instance, rows = section["instance"], section.get("rows", 1)
    if isinstance(rows, int) and rows > 1 and isinstance(instance, list) and len(instance) == rows:
        return Feedback(tuple(instance), names)
    return Feedback((instance,), names)


def row_in(logged: Logged, output: Output | None) -> Row:
    """The row of a document, as a scoreboard holds it that has this document alone."""
    row = Row(answered=logged.answered, judged=logged.judged)
    if row.answered:
        row.predicted = read_answer(output, logged.response.get("instance"), logged.names)
    if row.judged:
        feedback = feedback_in(logged.feedback)
        row.reward = feedback.reward
        if feedback.truths:
            row.actual = read_truth(output, feedback.whole(), feedback.names)
        row.misfit = "answer_rows" in logged.feedback
    return row


def _is_lent(document: Document) -> bool:
    """Whether every version of the feedback counts elsewhere, where the answer is."""
    versions = [*feedback_versions(document)]
    return bool(versions) and all(LENT_TO in each for each in versions)


def _score(logged: Logged, output: Output | None) -> Document:
    # Without a truth nothing depends on what the answer says.
    seen = verdict(output, row_in(logged, output)) if logged.feedback else UNLABELLED
    score: Document = {"state": seen.state, **seen.sums}
    if output is not None:
        score["output"] = output.digest
    if seen.reason:
        score["reason"] = seen.reason
    if seen.correct is not None:
        score["correct"] = seen.correct
    if seen.pair is not None:
        score["predicted"], score["actual"] = seen.pair
    if seen.labels is not None:
        for name, labels in zip(("predicted_labels", "actual_labels"), seen.labels, strict=True):
            score[name] = sorted(labels)
    return score


def _sizes(document: Mapping[str, object]) -> tuple[int, ...]:
    sizes = document.get("answer_sizes")
    return tuple(sizes) if isinstance(sizes, list) else ()


def _names(content: Mapping[str, object]) -> tuple[str, ...]:
    names = content.get("names")
    return tuple(map(str, names)) if isinstance(names, Sequence) else ()


def _with(history: object, older: Document) -> tuple[list[Document], bool]:
    versions = cast(list[Document], list(history)) if isinstance(history, list) else []
    if any(stamp_of(version) == stamp_of(older) for version in versions):
        return versions, False
    return sorted([*versions, older], key=stamp_of), True
