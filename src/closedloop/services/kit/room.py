"""Room for the bodies that are being received: memory that all connections share."""

from collections import deque
from collections.abc import Callable


class Room:
    """So many bytes for all bodies together; who finds too little left waits for its turn."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._waiting: deque[Claim] = deque()

    def claim(self, size: int, granted: Callable[[], None]) -> "Claim":
        """Ask for room. Unless it `has` it already, `granted` is called when it has; a body that is
        larger than the whole room has it alone."""
        claim = Claim(self, min(size, self._size), granted)
        self._waiting.append(claim)
        if self._waiting[0] is claim and claim.size <= self._left:
            self._waiting.popleft()
            self._left -= claim.size
            claim.has = True
        return claim

    def give_back(self, claim: "Claim") -> None:
        """Let others have the room of a claim, or its place among those that wait."""
        if claim.has:
            self._left += claim.size
            claim.has = False
        elif claim in self._waiting:
            self._waiting.remove(claim)
        while self._waiting and self._waiting[0].size <= self._left:
            first = self._waiting.popleft()
            self._left -= first.size
            first.has = True
            first.granted()


class Claim:
    """A claim to `size` bytes of a room: has it, waits for it, or is given back."""

    __slots__ = ("_room", "granted", "has", "size")

    def __init__(self, room: Room, size: int, granted: Callable[[], None]) -> None:
        self._room = room
        self.size = size
        self.granted = granted
        self.has = False

    def give_back(self) -> None:
        """Give it back; a second time changes nothing."""
        self._room.give_back(self)
