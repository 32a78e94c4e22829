"""A mapping on disk whose changes are kept in memory until they are committed together."""

import struct
from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar, cast, overload

from closedloop.services.metrics_server.store.encoding import Words, key, name_of
from closedloop.services.metrics_server.store.engine import Damaged, Engine

_V = TypeVar("_V")
_T = TypeVar("_T")
_UNREAD = object()


class Table(MutableMapping[str, _V]):
    """Values by id, under one prefix of keys; `size` is how many the engine has.

    A value that was read may be changed in place, and is assigned again to have that kept. Raises
    `Damaged` where the files are.
    """

    def __init__(
        self,
        engine: Engine,
        prefix: bytes,
        words: Words,
        encode: Callable[[_V, Words], bytes],
        decode: Callable[[bytes, Words], _V],
        size: int = 0,
    ) -> None:
        self.prefix = prefix
        self._engine, self._words = engine, words
        self._encode, self._decode = encode, decode
        self._size = size
        self._read: dict[str, _V | None] = {}  # since the last commit; None: there is none
        self._changed: dict[str, None] = {}
        self._keys: dict[str, bytes] = {}  # of what was looked for on disk

    @overload
    def get(self, name: str, default: None = None, /) -> _V | None: ...
    @overload
    def get(self, name: str, default: _V | _T, /) -> _V | _T: ...
    def get(self, name: str, default: object = None, /) -> object:
        if not self._size:
            return default
        value = self._read.get(name, _UNREAD)
        if value is _UNREAD:
            self._keys[name] = place = self.prefix + key(name)
            said = self._engine.get(place)
            value = self._read[name] = None if said is None else self._decoded(said)
        return default if value is None else value

    def __getitem__(self, name: str) -> _V:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return self._size > 0 and self.get(cast(str, name)) is not None

    def __setitem__(self, name: str, value: _V) -> None:
        if self._read.get(name) is None:
            self._size += self.get(name) is None
        self._read[name] = value
        self._changed[name] = None

    def __delitem__(self, name: str) -> None:
        if self.get(name) is None:
            raise KeyError(name)
        self._size -= 1
        self._read[name] = None
        self._changed[name] = None

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        """Every id; those that were changed since the last commit come last."""
        for said, _ in self._engine.range(self.prefix):
            if (name := name_of(said[len(self.prefix) :])) not in self._changed:
                yield name
        yield from [name for name in self._changed if self._read[name] is not None]

    @property
    def pending(self) -> int:
        """How many values are in memory."""
        return len(self._read)

    @property
    def has_changes(self) -> bool:
        return bool(self._changed)

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """What a commit has to write."""
        for name in self._changed:
            value = self._read[name]
            place = self._keys.get(name) or self.prefix + key(name)
            yield place, None if value is None else self._encode(value, self._words)

    def committed(self) -> None:
        """The changes are written: nothing is in memory from here on."""
        for each in (self._read, self._changed, self._keys):
            each.clear()

    def _decoded(self, said: bytes) -> _V:
        try:
            return self._decode(said, self._words)
        except (ValueError, TypeError, LookupError, struct.error) as error:
            raise Damaged(f"a value cannot be read: {error!r}") from None
