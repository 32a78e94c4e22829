"""Rows gone from the log: those that two full reads of it, apart in time, did not find.

A row that an event changes meanwhile is not among them: its document may be on its way.
"""

from collections.abc import Iterable, Mapping

from closedloop.loop.keys import Predictor, request_of

Request = tuple[Predictor, str]


class Census:
    """Counts the rows held against full reads; moments are in seconds of any one clock.

    `apart` is how many seconds lie between two reads that both prove a row gone:
    longer than a document takes from its event to being found.
    """

    def __init__(self, apart: float) -> None:
        self._apart = apart
        self._reading = False
        self._began = 0.0
        self._unseen: dict[Predictor, set[str]] = {}
        self._changed: set[Request] = set()
        self._missed: dict[Request, dict[str, float]] = {}  # when a read first missed a row

    @property
    def suspects(self) -> bool:
        """Whether a read missed rows, so that another is to come."""
        return bool(self._missed)

    def begin(self, held: Mapping[Predictor, Iterable[str]], now: float) -> None:
        """A full read begins while these rows are held."""
        self._unseen = {predictor: set(names) for predictor, names in held.items()}
        self._changed.clear()
        self._reading, self._began = True, now

    def found(self, predictor: Predictor, names: Iterable[str]) -> None:
        """The read found a document that is about these rows."""
        if self._reading:
            self._unseen.get(predictor, set()).difference_update(names)

    def changed(self, predictor: Predictor, request_id: str) -> None:
        """An event changed rows of a request."""
        self._missed.pop((predictor, request_id), None)
        if self._reading:
            self._changed.add((predictor, request_id))

    def end(self) -> dict[Predictor, set[str]]:
        """The read found all there is: the rows that are proven gone."""
        missed: dict[Request, dict[str, float]] = {}
        gone: dict[Predictor, set[str]] = {}
        for predictor, names in self._unseen.items():
            for name in names:
                request = (predictor, request_of(name))
                if request in self._changed:
                    continue
                since = self._missed.get(request, {}).get(name, self._began)
                if self._began - since >= self._apart:
                    gone.setdefault(predictor, set()).add(name)
                else:
                    missed.setdefault(request, {})[name] = since
        self._missed = missed
        self.give_up()
        return gone

    def give_up(self) -> None:
        """The read did not come to its end: it proves nothing."""
        self._unseen, self._reading = {}, False
