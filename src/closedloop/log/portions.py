"""Portions of documents to read at once, by how large those written lately were: pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from closedloop.log.operations import REQUEST_BYTES, Operation

_T = TypeVar("_T")

_DOCUMENTS = 2000
_UNKNOWN = REQUEST_BYTES / 64  # bytes of a document, as long as none of its index was written


class Portions:
    """Bounds the memory that reading takes: a server says how large an answer is with the answer.

    A document is taken to be as large as those of its index were on average when they were last
    written, or as half of what that was before, whichever is more.
    """

    def __init__(self) -> None:
        self._bytes: dict[str, float] = {}

    def wrote(self, operations: Iterable[Operation]) -> None:
        """Learn from what was written how large the documents of each index are."""
        sizes: defaultdict[str, list[int]] = defaultdict(list)
        for operation in operations:
            sizes[operation.key[0]].append(len(operation.lines))
        for index, some in sizes.items():
            self._bytes[index] = max(sum(some) / len(some), self._bytes.get(index, 0) / 2)

    def split(
        self, items: Iterable[_T], index_of: Callable[[_T], str | None]
    ) -> Iterator[list[_T]]:
        """The items in portions of at most 2,000, of which those that are to be read are about as
        large as a write, or one; `index_of` gives the index of an item's document, None for one
        that is not read.

        A portion is made when it is asked for, by what is known then.
        """
        portion: list[_T] = []
        size = 0.0
        for item in items:
            index = index_of(item)
            more = 0.0 if index is None else self._bytes.get(index, _UNKNOWN)
            if portion and (len(portion) == _DOCUMENTS or size + more > REQUEST_BYTES):
                yield portion
                portion, size = [], 0.0
                more = 0.0 if index is None else self._bytes.get(index, _UNKNOWN)
            portion.append(item)
            size += more
        if portion:
            yield portion
