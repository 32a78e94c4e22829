"""What a file has said before: the same line again, or another at the same time.

Of two answers at one time, or two truths, the log keeps one, and which one
nobody chose. So the second is not loaded, and said to be what it is. What was
seen lies in a temporary database of its own on disk, whatever a file's length.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from closedloop import events
from closedloop.events import Event
from closedloop.history.records import Refused, Row

_SAID = {
    events.REQUEST: "features",
    events.RESPONSE: "a prediction",
    events.FEEDBACK: "a truth or reward",
}


class Repeated(Row):
    """A row that says what an earlier line said already."""

    __slots__ = ()


def without_repeats(lines: Iterable[Row | Refused]) -> Iterator[Row | Refused]:
    """The lines of one file: a row that is there already is `Repeated`, one that contradicts an
    earlier line is `Refused`."""
    with closing(sqlite3.connect("")) as seen:
        seen.execute("CREATE TABLE said (moment BLOB PRIMARY KEY, id TEXT, line INTEGER)")
        for one in lines:
            yield one if isinstance(one, Refused) else _checked(seen, one)


def _checked(seen: sqlite3.Connection, row: Row) -> Row | Refused:
    new = []
    for event in row.events:
        moment = _moment(event)
        found = seen.execute("SELECT id, line FROM said WHERE moment = ?", (moment,)).fetchone()
        if found is None:
            new.append((moment, event.id, row.line))
        elif found[0] != event.id:
            return Refused(
                row.line,
                f"line {found[1]} has {_SAID[event.type]} for {event.request_id!r} at {event.time},"
                " which differs: give one of the two another time, or leave it out",
            )
    if not new:
        return Repeated(row.line, row.events)
    seen.executemany("INSERT INTO said VALUES (?, ?, ?)", new)
    return row


def _moment(event: Event) -> bytes:
    said = json.dumps([event.type, event.request_id, event.time])
    return hashlib.sha256(said.encode()).digest()[:16]
