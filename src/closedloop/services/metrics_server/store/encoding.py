"""Rows, keys and feedback as bytes: a labelled row takes about 75 with its key.

The form is compact where ids are UUIDs, as Seldon's are, and JSON for anything else.
"""

import json
import struct
from collections.abc import Mapping, MutableMapping
from typing import Any

from closedloop.loop.scoring.loose import Loose
from closedloop.loop.scoring.row import Feedback, Row
from closedloop.loop.scoring.said import Said

_MISFIT, _AWAY, _ANSWERED, _JUDGED, _PREDICTED, _ACTUAL, _REWARD, _ODD = (1 << i for i in range(8))
_ODD_ROW = bytes([_ODD])
_STAMP = struct.Struct(">Q16s")
_SAID = struct.Struct(">HB")
_DOUBLE = struct.Struct(">d")
_PLAIN, _UUID = b"\0", b"\1"
_MOST_WORDS = 1 << 16


class _OddError(Exception):
    """A value that has no compact form."""


class Words:
    """Statements by number, as there are few and many rows; the `new` ones are to be written."""

    def __init__(self, known: Mapping[int, Said] | None = None) -> None:
        self._by_number = dict(known or {})
        self._numbers = {said: number for number, said in self._by_number.items()}
        self.new: dict[int, Said] = {}

    def number(self, said: Said) -> int:
        """The number of a statement without numbers of its own; raises when there are too many."""
        number = self._numbers.get(said)
        if number is None:
            number = len(self._by_number)
            if number >= _MOST_WORDS:
                raise _OddError
            self._numbers[said] = number
            self._by_number[number] = self.new[number] = said
        return number

    def said(self, number: int) -> Said:
        return self._by_number[number]


def key(name: str) -> bytes:
    """A document or request id as a key: a UUID in 16 bytes, and whatever follows it."""
    head = name[:36]
    try:
        uuid = _uuid(head)
    except _OddError:
        return _PLAIN + name.encode("utf-8", "surrogatepass")
    return _UUID + uuid + name[36:].encode("utf-8", "surrogatepass")


def name_of(said: bytes) -> str:
    """The id that `key` made a key of."""
    if said[:1] == _PLAIN:
        return said[1:].decode("utf-8", "surrogatepass")
    return _text(said[1:17]) + said[17:].decode("utf-8", "surrogatepass")


def row_bytes(row: Row, words: Words) -> bytes:
    flags = row.misfit * _MISFIT | row.away * _AWAY
    parts = [b""]
    try:
        if row.answered:
            flags |= _ANSWERED
            parts.append(_stamp(row.answered))
        if row.judged:
            flags |= _JUDGED
            parts.append(_stamp(row.judged))
        if row.predicted is not None:
            flags |= _PREDICTED
            parts.append(_said(row.predicted, words))
        if row.actual is not None:
            flags |= _ACTUAL
            parts.append(_said(row.actual, words))
        if row.reward is not None:
            flags |= _REWARD
            parts.append(_DOUBLE.pack(row.reward))
    except _OddError:
        fields = [_listed(row.predicted), row.answered, _listed(row.actual), row.reward, row.judged]
        return _ODD_ROW + json.dumps([*fields, row.misfit, row.away]).encode()
    parts[0] = bytes((flags,))
    return b"".join(parts)


def row_of(said: bytes, words: Words) -> Row:
    """Raises `ValueError`, `KeyError`, `IndexError` or `struct.error` for what is no row."""
    flags = said[0]
    if flags & _ODD:
        predicted, answered, actual, reward, judged, misfit, away = json.loads(said[1:])
        return Row(_unlisted(predicted), answered, _unlisted(actual), reward, judged, misfit, away)
    row = Row(misfit=bool(flags & _MISFIT), away=bool(flags & _AWAY))
    at = 1
    if flags & _ANSWERED:
        row.answered = _stamp_of(said, at)
        at += _STAMP.size
    if flags & _JUDGED:
        row.judged = _stamp_of(said, at)
        at += _STAMP.size
    if flags & _PREDICTED:
        row.predicted, at = _said_of(said, at, words)
    if flags & _ACTUAL:
        row.actual, at = _said_of(said, at, words)
    if flags & _REWARD:
        (row.reward,) = _DOUBLE.unpack_from(said, at)
    return row


def said_bytes(said: Said) -> bytes:
    return json.dumps(_listed(said)).encode()


def said_of(said: bytes) -> Said:
    found = _unlisted(json.loads(said))
    assert found is not None
    return found


def sizes_bytes(sizes: frozenset[int], _: Words) -> bytes:
    return json.dumps(sorted(sizes)).encode()


def sizes_of(said: bytes, _: Words) -> frozenset[int]:
    return frozenset(json.loads(said))


def loose_bytes(loose: Mapping[str, Loose], _: Words) -> bytes:
    pieces = {
        stamp: [
            None if (said := each.feedback) is None else [said.truths, said.names, said.reward],
            _listed(each.actual),
            each.reward,
        ]
        for stamp, each in loose.items()
    }
    return json.dumps(pieces).encode()


def loose_of(said: bytes, _: Words) -> dict[str, Loose]:
    loose: MutableMapping[str, Loose] = {}
    for stamp, (feedback, actual, reward) in json.loads(said).items():
        whole = feedback and Feedback(tuple(feedback[0]), tuple(feedback[1]), feedback[2])
        loose[stamp] = Loose(whole, _unlisted(actual), reward)
    return dict(loose)


def moment_bytes(moment: float, _: Words) -> bytes:
    return _DOUBLE.pack(moment)


def moment_of(said: bytes, _: Words) -> float:
    moment: float = _DOUBLE.unpack(said)[0]
    return moment


def _stamp(stamp: str) -> bytes:
    """A stamp of 21 digits of nanoseconds, a blank and a UUID."""
    try:
        moment = int(stamp[:21])
        if stamp[21:22] == " " and stamp[:1] == "0":
            return _STAMP.pack(moment, _uuid(stamp[22:]))
    except (ValueError, struct.error):
        pass
    raise _OddError


def _stamp_of(said: bytes, at: int) -> str:
    moment, uuid = _STAMP.unpack_from(said, at)
    return f"{moment:021d} {_text(uuid)}"


def _uuid(text: str) -> bytes:
    """The bytes of a UUID that is written as `_text` writes it, and no other way."""
    digits = text.replace("-", "")
    if len(digits) == 32 and len(text) == 36:
        try:
            uuid = bytes.fromhex(digits)
        except ValueError:
            raise _OddError from None
        if uuid.hex() == digits and text[8] == text[13] == text[18] == text[23] == "-":
            return uuid
    raise _OddError


def _text(uuid: bytes) -> str:
    digits = uuid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _said(said: Said, words: Words) -> bytes:
    numbers = said.numbers
    if not numbers:
        return _SAID.pack(words.number(said), 0)
    if len(numbers) > 255:
        raise _OddError
    bare = Said(said.reason, said.label, said.index, said.width, said.names, (), said.labels)
    return _SAID.pack(words.number(bare), len(numbers)) + struct.pack(f">{len(numbers)}d", *numbers)


def _said_of(said: bytes, at: int, words: Words) -> tuple[Said, int]:
    number, count = _SAID.unpack_from(said, at)
    found = words.said(number)
    at += _SAID.size
    if count:
        numbers = struct.unpack_from(f">{count}d", said, at)
        found = Said(
            found.reason, found.label, found.index, found.width, found.names, numbers, found.labels
        )
    return found, at + 8 * count


def _listed(said: Said | None) -> list[Any] | None:
    if said is None:
        return None
    return [sorted(each) if isinstance(each, frozenset) else each for each in said]


def _unlisted(said: list[Any] | None) -> Said | None:
    if said is None:
        return None
    reason, label, index, width, names, numbers, labels = said
    several = None if labels is None else frozenset(labels)
    return Said(reason, label, index, width, tuple(names), tuple(numbers), several)
