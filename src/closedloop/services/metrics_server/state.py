"""The state of the metrics server: a scoreboard for each predictor, fed by events and by the log.

Pure. Both feeds merge into the same rows, so it does not matter which comes
first, nor whether the other has been there before.

A canary's weights may send feedback to another predictor than the one that
answered. Feedback without an answer is therefore lent to those predictors of
the deployment which have one, and gives way there to feedback of their own.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from math import inf

from closedloop.loop import events
from closedloop.loop.documents import read_document
from closedloop.loop.events import InvalidEvent
from closedloop.loop.keys import Predictor, document_id, request_of
from closedloop.loop.observation import Observation
from closedloop.loop.output import Output
from closedloop.loop.scoring.row import lent_stamp
from closedloop.loop.scoring.scoreboard import Outcome, Scoreboard
from closedloop.loop.scoring.times import moment
from closedloop.services.metrics_server.census import Census
from closedloop.services.metrics_server.comparison import differences
from closedloop.services.metrics_server.feeding import show, show_document
from closedloop.services.metrics_server.source import Ignored, Unavailable
from closedloop.services.metrics_server.store.engine import Unwritable
from closedloop.services.metrics_server.store.store import Store, digest_of

# A document may become visible this much later than its event came, or its `logged_at` says:
# refreshes, writes under way, and clocks of loggers that do not agree.
OVERLAP_SECONDS = 60.0
# Changes kept in memory: to write so many takes about a millisecond, in which no event is taken.
_COMMIT_AFTER = 128
_AT_ONCE = 500  # rows looked at between two pauses


class State:
    """Every row of every predictor, in `store`, or in memory without one.

    `only` are the predictors to hold; empty: all, but at most `max_predictors`.
    `output_of` gives the declared output of a predictor. `changes` grows with every
    change, `mismatches` are the differing counts found by the last comparison,
    and `incomplete` the predictors whose rows have to be read from the log again.
    While there is a `fault`, nothing can be written to the store and no event is taken.
    """

    def __init__(
        self,
        store: Store | None = None,
        only: Collection[Predictor] = frozenset(),
        *,
        output_of: Callable[[Predictor], Output | None] = lambda _: None,
        max_predictors: int = 200,
    ) -> None:
        self.boards: dict[Predictor, Scoreboard] = {}
        self.changes = 0
        self.mismatches: dict[Predictor, int] = {}
        self.incomplete: set[Predictor] = set()
        self.fault: str | None = None
        self.census = Census(OVERLAP_SECONDS, store)
        self.facts: dict[str, float] = {} if store is None else store.facts
        self.in_memory = store is None
        self._store = store
        self._uncommitted = 0
        self._only = only
        self._output_of = output_of
        self._max_predictors = max_predictors
        self._deployments: dict[tuple[str, str], list[Predictor]] = defaultdict(list)
        if store is not None:
            self._open_all(store)

    @property
    def held(self) -> int:
        """The rows held, of all predictors."""
        return sum(map(len, self.boards.values()))

    @property
    def read_until(self) -> float:
        """Up to which `logged_at` the log was read, in seconds since the epoch; 0: never."""
        return self.facts.get("read_until", 0.0)

    @read_until.setter
    def read_until(self, seconds: float) -> None:
        self.facts["read_until"] = seconds

    def commit(self) -> None:
        """Write every change to the store, or say why not in `fault`, and keep it for later."""
        self._uncommitted = 0
        if self._store is None:
            return
        try:
            self._store.commit(self.boards)
            self.fault = None
        except Unwritable as error:
            self.fault = f"the rows cannot be written to disk, free some or give more: {error}"

    def observe(self, observation: Observation) -> Outcome | Ignored:
        """Take an event in.

        Raises `InvalidEvent` (`too_many_predictors`) or `Unavailable`, which leave all as it was.
        """
        if self.fault is not None:
            raise Unavailable(self.fault)
        event = observation.event
        predictor = Predictor(event.namespace, event.deployment, event.predictor)
        if not self._wanted(predictor):
            return Ignored.IGNORED
        board = self._board(predictor)
        if event.type == events.REQUEST:
            return Ignored.IGNORED
        if self.horizon and self._expired(event.stamp):
            return Ignored.EXPIRED
        outcome = show(board, observation)
        self.changes += outcome.changes
        if self.census.watches:
            self.census.changed(predictor, board.names(event.request_id))
        self._lend(predictor, event.request_id)
        self._changed()
        return outcome

    def restore(self, document: Mapping[str, object]) -> bool:
        """Take in a document of the log; whether that changed anything.

        Raises `InvalidEvent` for a document that is not of the log's shape, `Unavailable`.
        """
        if self.fault is not None:
            raise Unavailable(self.fault)
        logged = read_document(document)
        if not self._wanted(logged.predictor):
            return False
        board = self._board(logged.predictor)
        if self.census.reading or self.horizon:
            sizes = {logged.size, *logged.other_sizes}
            names = [document_id(logged.request_id, logged.row, size) for size in sizes]
            self.census.found(logged.predictor, names)
            if self._expired(logged.answered or logged.judged):
                # Of a row that has left, truth came alone and waited here for its answer.
                for name in names:
                    board.forget(name, logged.request_id)
                return False
        changed = show_document(board, logged)
        self._lend(logged.predictor, logged.request_id)
        self.changes += changed
        self._changed()
        return changed

    def compare(self, logged: Mapping[Predictor, Mapping[tuple[str, ...], int]]) -> None:
        """Set `mismatches` to how many counts of each predictor differ from `logged`."""
        wanted = {predictor for predictor in logged if self._wanted(predictor)}
        self.mismatches = {
            predictor: differences(self.boards.get(predictor), logged.get(predictor, {}))
            for predictor in self.boards.keys() | wanted
        }

    def count_against_log(self, now: float) -> None:
        """A read of the whole log begins, which may prove rows gone, if any are held."""
        if self.held:
            self.census.begin(now)

    def forget_what_is_gone(self) -> Iterator[Predictor | None]:
        """The whole log was read: drop the rows whose documents are gone.

        Yields the predictor of each, and None where others may have their turn.
        """
        for gone in self.census.end({each: partial(self._names, each) for each in self.boards}):
            if gone is not None:
                predictor, name = gone
                self.boards[predictor].forget(name, request_of(name))
                self._settle_again(predictor, request_of(name))
                self.changes += 1
                self._changed()
            yield None if gone is None else gone[0]

    def retire(self, before: float) -> Iterator[None]:
        """Let go of rows answered before a moment in seconds since the epoch; their counts stay.

        Yields where others may have their turn.
        """
        self.facts["horizon"] = max(self.horizon, before)
        looked = 0
        for predictor in [*self.boards]:
            for name in self._names(predictor):
                if (looked := looked + 1) % _AT_ONCE == 0:
                    yield
                board = self.boards[predictor]
                row = board.row(name)
                if row is not None and self._expired(stamp := row.answered or row.judged):
                    since = _since(predictor)
                    self.facts[since] = min(self.facts.get(since, inf), moment(stamp) / 1e9)
                    board.retire(name, request_of(name))
                    self._changed()

    @property
    def horizon(self) -> float:
        """Rows answered before have left, in seconds since the epoch; 0: none has."""
        return self.facts.get("horizon", 0.0)

    def since(self, predictor: Predictor) -> float | None:
        """The time of the earliest answer that is counted and whose row has left."""
        return self.facts.get(_since(predictor))

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
            self.facts.pop(_since(predictor), None)
            if self._store is not None:
                self._store.drop(predictor)
            self.boards[predictor] = self._opened(predictor)
        self.changes += len(changed)
        self.incomplete.update(changed)
        return bool(changed)

    def _open_all(self, store: Store) -> None:
        """Open the boards on disk, without those that the filter or a new declaration drops."""
        for predictor in store.predictors:
            wanted = self._wanted(predictor)
            output = self._output_of(predictor)
            if not wanted or store.digest(predictor) != digest_of(output):
                store.drop(predictor)
            if wanted:
                if predictor not in store.predictors:
                    self.incomplete.add(predictor)
                self._board(predictor)

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
        if len(siblings) < 2 or self.boards[predictor].answered(request_id):
            return  # lent to some of its rows, those that are gone would come back
        for each in siblings:
            # Feedback that is gone from its lender is nobody's; if it is not, it is lent anew.
            self.boards[each].drop_borrowed(request_id, predictor.predictor)
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
            board = self.boards[predictor] = self._opened(predictor)
            self._deployments[predictor[:2]].append(predictor)
        return board

    def _opened(self, predictor: Predictor) -> Scoreboard:
        output = self._output_of(predictor)
        return Scoreboard(output) if self._store is None else self._store.board(predictor, output)

    def _names(self, predictor: Predictor) -> Iterator[str]:
        """The rows held now, while some of them change or leave."""
        return iter(self.boards[predictor] if self._store else [*self.boards[predictor]])

    def _expired(self, stamp: str) -> bool:
        return bool(stamp) and moment(stamp) < self.horizon * 1e9

    def _changed(self) -> None:
        self._uncommitted += 1
        if self._uncommitted >= _COMMIT_AFTER:
            self.commit()


def _since(predictor: Predictor) -> str:
    return f"since {'/'.join(predictor)}"
