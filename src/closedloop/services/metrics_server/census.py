"""Rows gone from the log: those that two full reads of it, apart in time, did not find.

A row that an event changes meanwhile is not among them: its document may be on its way.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Protocol

from closedloop.loop.keys import Predictor

_AT_ONCE = 500  # names looked at between two pauses


class Notes(Protocol):
    """Names that a census marks, of each predictor, and the moments noted with them."""

    def seen(self, predictor: Predictor) -> MutableMapping[str, float]: ...
    def missed(self, predictor: Predictor) -> MutableMapping[str, float]: ...
    def drop_seen(self) -> None: ...


class NotesInMemory:
    """Notes of a few rows."""

    def __init__(self) -> None:
        self._seen: dict[Predictor, dict[str, float]] = defaultdict(dict)
        self._missed: dict[Predictor, dict[str, float]] = defaultdict(dict)

    def seen(self, predictor: Predictor) -> MutableMapping[str, float]:
        return self._seen[predictor]

    def missed(self, predictor: Predictor) -> MutableMapping[str, float]:
        return self._missed[predictor]

    def drop_seen(self) -> None:
        self._seen.clear()


class Census:
    """Counts the rows held against full reads; moments are in seconds of any one clock.

    `apart` is how many seconds lie between two reads that both prove a row gone:
    longer than a document takes from its event to being found.
    """

    def __init__(self, apart: float, notes: Notes | None = None) -> None:
        self._apart = apart
        self._notes = notes or NotesInMemory()
        self._began = 0.0
        self.reading = False
        self.suspects = 0
        """The rows that a read missed, so that another is to come."""

    @property
    def watches(self) -> bool:
        """Whether it matters which rows an event changes."""
        return self.reading or self.suspects > 0

    def begin(self, now: float) -> None:
        """A full read begins."""
        self._notes.drop_seen()
        self.reading, self._began = True, now

    def found(self, predictor: Predictor, names: Iterable[str]) -> None:
        """The read found a document that is about these rows."""
        if self.reading:
            seen = self._notes.seen(predictor)
            for name in names:
                seen[name] = self._began

    def changed(self, predictor: Predictor, names: Iterable[str]) -> None:
        """An event changed these rows."""
        missed = self._notes.missed(predictor)
        for name in names:
            self.suspects -= missed.pop(name, None) is not None
            self.found(predictor, [name])

    def end(
        self, held: Mapping[Predictor, Callable[[], Iterable[str]]]
    ) -> Iterator[tuple[Predictor, str] | None]:
        """The read found all there is: the rows held that are proven gone, with pauses (None)."""
        if not self.reading:
            return
        looked = 0
        for predictor, names in held.items():
            seen, missed = self._notes.seen(predictor), self._notes.missed(predictor)
            for name in names():
                if (looked := looked + 1) % _AT_ONCE == 0:
                    yield None
                if name in seen:
                    self.suspects -= missed.pop(name, None) is not None
                elif (since := missed.get(name)) is None:
                    missed[name] = self._began
                    self.suspects += 1
                elif self._began - since >= self._apart:
                    del missed[name]
                    self.suspects -= 1
                    yield predictor, name
        self.give_up()

    def give_up(self) -> None:
        """The read did not come to its end: it proves nothing."""
        self._notes.drop_seen()
        self.reading = False
