"""Recent events of objects, worded as a cluster words them."""

import itertools
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from closedloop.loop.rfc3339 import now

_KEPT = 1000
_TTL = 3600.0  # seconds, as on a cluster
_numbers = itertools.count(1)


@dataclass(slots=True)
class Event:
    """Something that happened `count` times to the object of a key; times are RFC 3339.

    `part` is the container that it is about, if it is about one.
    """

    key: str
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    part: str = ""
    count: int = 1
    first: str = field(default_factory=now)
    last: str = field(default_factory=now)
    number: int = field(default_factory=lambda: next(_numbers))
    at: float = field(default_factory=time.monotonic)


class Events:
    """The last events; the same one again is counted."""

    def __init__(self) -> None:
        self._events: OrderedDict[tuple[str, ...], Event] = OrderedDict()

    def record(
        self,
        key: str,
        reason: str,
        message: str,
        *,
        uid: str = "",
        part: str = "",
        warning: bool = False,
    ) -> None:
        """Remember that this happened to the object of a key, `kind/namespace/name`."""
        name = (key, uid, part, reason, message)
        known = self._events.pop(name, None)
        if known is None:
            known = Event(key, uid, "Warning" if warning else "Normal", reason, message, part)
        else:
            known.count += 1
            known.last, known.at = now(), time.monotonic()
        self._events[name] = known

    def forget(self, number: int) -> None:
        """Let an event be forgotten."""
        self._events = OrderedDict(
            (name, one) for name, one in self._events.items() if one.number != number
        )

    def recent(self) -> list[Event]:
        """The events that are kept, the oldest first."""
        limit = time.monotonic() - _TTL
        while self._events:
            oldest = next(iter(self._events.values()))
            if len(self._events) <= _KEPT and oldest.at >= limit:
                break
            self._events.popitem(last=False)
        return list(self._events.values())
