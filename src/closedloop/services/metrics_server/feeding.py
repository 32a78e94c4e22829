"""An event, or a document of the log, shown to the scoreboard of its predictor."""

from collections.abc import Iterator
from functools import partial

from closedloop.loop.documents import Logged, feedback_in, row_in
from closedloop.loop.events import InvalidEvent
from closedloop.loop.observation import Observation
from closedloop.loop.scoring.reading import read_answer
from closedloop.loop.scoring.row import Feedback, Outcome
from closedloop.loop.scoring.scoreboard import Scoreboard


def show(board: Scoreboard, observation: Observation) -> Outcome:
    """Show an answer or feedback."""
    event = observation.event
    if (said := observation.rows) is not None:
        answers = [read_answer(board.output, row, said.names) for row in said.rows]
        return board.answer(event.request_id, event.stamp, answers)
    return board.judge(event.request_id, event.stamp, _feedback(observation))


def _feedback(observation: Observation) -> Feedback:
    said = observation.feedback
    assert said is not None
    if said.truth is None:
        return Feedback(reward=said.reward)
    return Feedback(tuple(said.truth.rows), said.truth.names)


def show_document(board: Scoreboard, logged: Logged) -> bool:
    """Show what a document says of its row; whether that changed anything.

    Raises `InvalidEvent` for feedback that cannot be read, after the answer.
    """
    # Almost every row of a log that is read for the first time is counted once, not for its answer
    # and again for its feedback.
    try:
        if _is_plain(logged) and board.hold(
            logged.request_id, partial(row_in, logged, board.output)
        ):
            return True
    except InvalidEvent:
        pass
    outcomes = [*_shown(board, logged)]
    return any(outcome.changes for outcome in outcomes)


def _shown(board: Scoreboard, logged: Logged) -> Iterator[Outcome]:
    """Show one thing after the other."""
    about = (logged.request_id, logged.row, logged.size)
    if answered := logged.answered:
        said = read_answer(board.output, logged.response.get("instance"), logged.names)
        yield board.answer_row(*about, answered, said)
        for size in logged.other_sizes:
            yield board.answer_row(logged.request_id, logged.row, size, answered, said)
    if judged := logged.judged:
        feedback = feedback_in(logged.feedback)
        if logged.size == 1:
            yield board.judge(logged.request_id, judged, feedback)
        elif feedback.truths:
            yield board.judge_row(*about, judged, feedback.truths[0], feedback.names)


def _is_plain(logged: Logged) -> bool:
    """Whether a document is an answer of one row, whose feedback is about no other row."""
    feedback = logged.feedback
    return (
        logged.size == 1
        and bool(logged.response)
        and not logged.other_sizes
        and feedback.get("rows", 1) == 1
        and "answer_rows" not in feedback
    )
