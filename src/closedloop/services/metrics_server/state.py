"""The state of the metrics server: a scoreboard for each predictor, fed by events and by the log.

Pure. Both feeds merge into the same rows, so it does not matter which comes
first, nor whether the other has been there before.

A canary's weights may send feedback to another predictor than the one that
answered. Feedback without an answer is therefore lent to those predictors of
the deployment which have one, and gives way there to feedback of their own.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

from closedloop.loop import events
from closedloop.loop.documents import Logged, feedback_in, read_document
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import Predictor, document_id, request_of
from closedloop.loop.observation import Observation
from closedloop.loop.output import Output
from closedloop.loop.scoring.reading import read_answer
from closedloop.loop.scoring.row import lent_stamp
from closedloop.loop.scoring.scoreboard import Capacity, Feedback, Outcome, Scoreboard
from closedloop.services.metrics_server.census import Census
from closedloop.services.metrics_server.source import Ignored

# A document may become visible this much later than its event came, or its `logged_at` says:
# refreshes, writes under way, and clocks of loggers that do not agree.
OVERLAP_SECONDS = 60.0


class State:
    """Every row of every predictor, at most `row_limit` in all.

    `only` are the predictors to hold; empty: all, but at most `max_predictors`.
    `output_of` gives the declared output of a predictor. `missing` is how
    many rows are known not to be held for want of room (of the events since the
    last full replay, how many rows they named), `changes` grows with every
    change, `mismatches` are the differing counts found by the last comparison,
    and `incomplete` the predictors whose rows have to be read from the log again.
    """

    def __init__(
        self,
        row_limit: int,
        only: Collection[Predictor] = frozenset(),
        *,
        output_of: Callable[[Predictor], Output | None] = lambda _: None,
        max_predictors: int = 200,
    ) -> None:
        self.boards: dict[Predictor, Scoreboard] = {}
        self.capacity = Capacity(row_limit)
        self.missing = 0
        self.changes = 0
        self.mismatches: dict[Predictor, int] = {}
        self.incomplete: set[Predictor] = set()
        self.census = Census(OVERLAP_SECONDS)
        self._only = only
        self._output_of = output_of
        self._max_predictors = max_predictors
        self._deployments: dict[tuple[str, str], list[Predictor]] = defaultdict(list)

    def observe(self, observation: Observation) -> Outcome | Ignored:
        """Take an event in.

        Raises `InvalidEvent` (`too_many_predictors`), which leaves the state as it was.
        """
        event = observation.event
        predictor = Predictor(event.namespace, event.deployment, event.predictor)
        if not self._wanted(predictor):
            return Ignored.IGNORED
        board = self._board(predictor)
        if event.type == events.REQUEST:
            return Ignored.IGNORED
        if observation.rows is not None:
            said = observation.rows
            answers = [read_answer(board.output, row, said.names) for row in said.rows]
            outcome = board.answer(event.request_id, event.stamp, answers)
        else:
            outcome = board.judge(event.request_id, event.stamp, _feedback(observation))
        self.missing += outcome is Outcome.OVER_LIMIT
        self.changes += outcome.changes
        self.census.changed(predictor, event.request_id)
        self._lend(predictor, event.request_id)
        return outcome

    def restore(self, document: Mapping[str, object]) -> bool | None:
        """Take in a document of the log; whether that changed anything.

        None when there is no room for it. Raises `InvalidEvent` for a document
        that is not of the log's shape.
        """
        logged = read_document(document)
        if not self._wanted(logged.predictor):
            return False
        board = self._board(logged.predictor)
        sizes = {logged.size, *logged.other_sizes}
        names = [document_id(logged.request_id, logged.row, size) for size in sizes]
        self.census.found(logged.predictor, names)
        outcomes = list(_restored(board, logged))
        if Outcome.OVER_LIMIT in outcomes:
            return None
        self._lend(logged.predictor, logged.request_id)
        changed = any(outcome.changes for outcome in outcomes)
        self.changes += changed
        return changed

    def compare(self, logged: Mapping[Predictor, Mapping[tuple[str, ...], int]]) -> None:
        """Set `mismatches` to how many counts of each predictor differ from `logged`."""
        wanted = {predictor for predictor in logged if self._wanted(predictor)}
        self.mismatches = {
            predictor: _differences(
                _counts(self.boards[predictor]) if predictor in self.boards else {},
                logged.get(predictor, {}),
            )
            for predictor in self.boards.keys() | wanted
        }

    def count_against_log(self, now: float) -> None:
        """A read of the whole log begins, which may prove rows gone."""
        self.census.begin(
            {each: (name for name, _ in board.items()) for each, board in self.boards.items()}, now
        )

    def forget_what_is_gone(self) -> dict[Predictor, int]:
        """The whole log was read: drop the rows whose documents are gone; how many there were."""
        gone = self.census.end()
        for predictor, names in gone.items():
            for name in names:
                self.boards[predictor].forget(name, request_of(name))
            for request_id in {request_of(name) for name in names}:
                self._settle_again(predictor, request_id)
            self.changes += 1
        return {predictor: len(names) for predictor, names in gone.items()}

    def redeclare(self) -> bool:
        """Drop the rows of predictors whose output is declared anew; whether there are any.

        They were read by another declaration: they are `incomplete` from then on.
        """
        changed = [
            predictor
            for predictor, board in self.boards.items()
            if board.output != self._output_of(predictor)
        ]
        for predictor in changed:
            self.capacity.held -= len(self.boards[predictor])
            self.boards[predictor] = Scoreboard(self._output_of(predictor), self.capacity)
        self.changes += len(changed)
        self.incomplete.update(changed)
        return bool(changed)

    def _lend(self, predictor: Predictor, request_id: str) -> None:
        """Settle which predictors of a deployment have feedback about a request."""
        siblings = self._deployments[predictor[:2]]
        if len(siblings) < 2:
            return
        boards = [self.boards[each] for each in siblings]
        answered = [board for board in boards if board.answered(request_id)]
        mine = self.boards[predictor]
        if mine in answered:
            # Feedback that it lent before its answer came is its own after all.
            for board in answered:
                if board is not mine:
                    board.drop_borrowed(request_id, predictor.predictor)
        for name, lender in zip(siblings, boards, strict=True):
            if not answered or not (loose := lender.unanswered(request_id)):
                continue
            lender.lend(request_id)
            for borrower in answered:
                for stamp, feedback in loose.items():
                    borrower.judge(request_id, lent_stamp(stamp, name.predictor), feedback)

    def _settle_again(self, predictor: Predictor, request_id: str) -> None:
        """The same after rows were dropped: feedback lent to them is the lender's again."""
        siblings = self._deployments[predictor[:2]]
        if len(siblings) < 2:
            return
        for each in siblings:
            self.boards[each].reclaim(request_id)
        self._lend(predictor, request_id)

    def _wanted(self, predictor: Predictor) -> bool:
        return not self._only or predictor in self._only

    def _board(self, predictor: Predictor) -> Scoreboard:
        board = self.boards.get(predictor)
        if board is None:
            if len(self.boards) >= self._max_predictors:
                raise InvalidEvent(
                    "too_many_predictors",
                    f"{'/'.join(predictor)} is one predictor more than {self._max_predictors}:"
                    " raise MAX_PREDICTORS, or name those to count in FILTER",
                )
            output = self._output_of(predictor)
            board = self.boards[predictor] = Scoreboard(output, self.capacity)
            self._deployments[predictor[:2]].append(predictor)
        return board


def _feedback(observation: Observation) -> Feedback:
    said = observation.feedback
    assert said is not None
    if said.truth is None:
        return Feedback(reward=said.reward)
    return Feedback(tuple(said.truth.rows), said.truth.names)


def _restored(board: Scoreboard, logged: Logged) -> Iterator[Outcome]:
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


def _counts(board: Scoreboard) -> dict[tuple[str, ...], int]:
    """The counts that the log has as well, with the keys of `inference_log.Counts`."""
    counts: dict[tuple[str, ...], int] = {
        ("state", state): count for state, count in board.states.items()
    }
    counts |= {("correct", "true"): board.correct, ("correct", "false"): board.incorrect}
    return counts | {("cell", *cell): count for cell, count in board.matrix.counts().items()}


def _differences(ours: Mapping[tuple[str, ...], int], theirs: Mapping[tuple[str, ...], int]) -> int:
    return sum(ours.get(key, 0) != theirs.get(key, 0) for key in ours.keys() | theirs.keys())
