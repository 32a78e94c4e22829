"""Repeats in a file: the same line again, or another at the same time.

Of two answers at one time, or two truths, the log keeps one, and which one
nobody chose. So the second is not loaded, and reported. The lines seen lie in a
temporary database of their own on disk, however long a file is.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from closedloop.log.records import Refused, Row
from closedloop.loop import events
from closedloop.loop.events import Event

_SAID = {
    events.REQUEST: "features",
    events.RESPONSE: "a prediction",
    events.FEEDBACK: "a truth or reward",
}


class Repeated(Row):
    """A row that repeats an earlier line."""

    __slots__ = ()


def without_repeats(lines: Iterable[Row | Refused]) -> Iterator[Row | Refused]:
    """The lines of one file: a row that is there already is `Repeated`, one that contradicts an
    earlier line is `Refused`."""
    with closing(sqlite3.connect("")) as seen:
        seen.execute("PRAGMA journal_mode = OFF")  # nothing of it outlives us
        seen.execute("CREATE TABLE said (moment BLOB PRIMARY KEY, id TEXT, line INTEGER)")
        for one in lines:
            yield one if isinstance(one, Refused) else _checked(seen, one)


def _checked(seen: sqlite3.Connection, row: Row) -> Row | Refused:
    by_moment = {_moment(event): event for event in row.events}
    marks = ", ".join("?" * len(by_moment))
    found = seen.execute(f"SELECT * FROM said WHERE moment IN ({marks})", [*by_moment])  # noqa: S608  # marks only
    for moment, event_id, line in found:
        event = by_moment.pop(moment)
        if event.id != event_id:
            return Refused(
                row.line,
                f"line {line} has {_SAID[event.type]} for {event.request_id!r} at {event.time},"
                " which differs: give one of the two another time, or leave it out",
            )
    if not by_moment:
        return Repeated(row.line, row.events)
    new = [(moment, event.id, row.line) for moment, event in by_moment.items()]
    seen.executemany("INSERT INTO said VALUES (?, ?, ?)", new)
    return row


def _moment(event: Event) -> bytes:
    """One kind of event about one request at one time."""
    said = f"{event.type}\0{event.time}\0{event.request_id}"
    return hashlib.sha256(said.encode()).digest()[:16]
