"""The counts of rows held against those that the log has of the same rows."""

from collections.abc import Mapping

from closedloop.log.inference_log import Counts
from closedloop.loop.scoring.scoreboard import Scoreboard


def differences(board: Scoreboard | None, logged: Counts) -> int:
    """How many counts differ."""
    ours: Mapping[tuple[str, ...], int] = {} if board is None else _counts(board)
    return sum(ours.get(key, 0) != logged.get(key, 0) for key in ours.keys() | logged.keys())


def _counts(board: Scoreboard) -> dict[tuple[str, ...], int]:
    """The counts that the log has as well, with the keys of `inference_log.Counts`."""
    gone = board.retired
    counts: dict[tuple[str, ...], int] = {
        ("state", state): count - gone.states[state] for state, count in board.states.items()
    }
    counts["correct", "true"] = board.correct - gone.correct
    counts["correct", "false"] = board.incorrect - gone.incorrect
    cells = board.matrix.counts().items()
    return counts | {("cell", *cell): count - gone.matrix.count(*cell) for cell, count in cells}
