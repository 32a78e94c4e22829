"""Rows that count once, however often they were asked."""

from collections import Counter
from collections.abc import Iterable

from closedloop.judging.comparison.pairs import Pair
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
