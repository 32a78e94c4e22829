"""The store: rows, counts and how far the log was read, committed together.

A commit holds every change since the one before it, so that whenever a process ends, the rows on
disk and the counts beside them are those of one moment. Changes after the last commit are read
from the log again.
"""

import json
import shutil
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from closedloop.loop.keys import Predictor
from closedloop.loop.output import Output
from closedloop.loop.scoring.counts import Counts, Name
from closedloop.loop.scoring.loose import Loose
from closedloop.loop.scoring.row import Row
from closedloop.loop.scoring.scoreboard import Held, Scoreboard
from closedloop.services.metrics_server.store import encoding
from closedloop.services.metrics_server.store.encoding import Words
from closedloop.services.metrics_server.store.engine import Damaged, Engine, Unwritable
from closedloop.services.metrics_server.store.table import Table

_log = structlog.get_logger(__name__)

FORMAT = b"closedloop rows 1"
_FORMAT, _FACTS, _WORD, _BOARD = b"format", b"facts", b"word", b"board"
_ROWS, _BATCHES, _LOOSE, _SEEN, _MISSED = b"r", b"b", b"l", b"s", b"m"
_COUNTS, _RETIRED = b"c", b"o"
_KINDS = (_ROWS, _BATCHES, _LOOSE, _SEEN, _MISSED, _COUNTS, _RETIRED)


@dataclass(slots=True)
class _Kept:
    """One board on disk: its number in keys, its tables, and its counts as they were committed."""

    number: bytes
    digest: str
    rows: Table[Row]
    batches: Table[frozenset[int]]
    loose: Table[dict[str, Loose]]
    seen: Table[float]
    missed: Table[float]
    counts: dict[Name, int] = field(default_factory=dict)
    retired: dict[Name, int] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        return self.rows, self.batches, self.loose, self.seen, self.missed


class Store:
    """The boards in one folder. `facts` are the state's own numbers, committed with them.

    Raises `Damaged` or `Unwritable`.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self._engine = Engine(folder, memory)
        self._words = Words()
        self._facts = b""
        self._dropped: list[bytes] = []
        self._boards: dict[Predictor, _Kept] = {}
        self.facts: dict[str, float] = {}
        try:
            self._read()
        except BaseException:
            self._engine.close()
            raise

    @property
    def predictors(self) -> list[Predictor]:
        """The predictors whose boards are here."""
        return list(self._boards)

    def digest(self, predictor: Predictor) -> str:
        """The digest of the declaration by which a board's rows were read."""
        return self._boards[predictor].digest

    def board(self, predictor: Predictor, output: Output | None) -> Scoreboard:
        """The board of a predictor as it was committed, or a new one."""
        kept = self._boards.get(predictor)
        if kept is None:
            number = int(self.facts.get("boards", 0))
            self.facts["boards"] = number + 1
            kept = self._opened(number.to_bytes(4, "big"), digest_of(output))
            self._boards[predictor] = kept
        board = Scoreboard(output, held=Held(kept.rows, kept.batches, kept.loose))
        board.load(kept.counts)
        board.retired.load(kept.retired)
        return board

    def drop(self, predictor: Predictor) -> None:
        """Leave a board out of the next commit, with all its rows."""
        kept = self._boards.pop(predictor, None)
        if kept is not None:
            self._dropped += [kind + kept.number for kind in (*_KINDS, _BOARD)]

    def seen(self, predictor: Predictor) -> MutableMapping[str, float]:
        """Moments by name, of a predictor that has a board."""
        return self._boards[predictor].seen

    def missed(self, predictor: Predictor) -> MutableMapping[str, float]:
        """The same, apart from those."""
        return self._boards[predictor].missed

    def drop_seen(self) -> None:
        """Forget all that `seen` has, at once. Raises `Unwritable`."""
        self._engine.commit({}, [_SEEN])
        for kept in self._boards.values():
            kept.seen = self._moments(_SEEN + kept.number)

    def commit(self, boards: Mapping[Predictor, Scoreboard]) -> None:
        """Write every change. Raises `Unwritable`, and then nothing is written and all is kept."""
        changed: dict[bytes, bytes | None] = {}
        counted: list[tuple[dict[Name, int], dict[Name, int]]] = []
        for predictor, kept in self._boards.items():
            if not any(table.has_changes for table in kept.tables):
                continue
            for table in kept.tables:
                changed.update(table.changes())
            sizes = (len(kept.rows), len(kept.batches), len(kept.loose))
            record = [*predictor, kept.digest, *sizes]
            changed[_BOARD + kept.number] = json.dumps(record).encode()
            board = boards[predictor]
            for kind, saved, counts in (
                (_COUNTS, kept.counts, board),
                (_RETIRED, kept.retired, board.retired),
            ):
                new = _news(saved, counts)
                changed.update(_written(kind + kept.number, new))
                counted.append((saved, new))
        words = self._words.new
        changed |= {_WORD + n.to_bytes(4, "big"): encoding.said_bytes(s) for n, s in words.items()}
        facts = json.dumps(self.facts).encode()
        if facts != self._facts:
            changed[_FACTS] = facts
        if changed or self._dropped:
            self._engine.commit(changed, self._dropped)
        self._facts = facts
        words.clear()
        self._dropped = []
        for saved, new in counted:
            saved |= new
        for predictor, kept in self._boards.items():
            for table in kept.tables:
                table.committed()
            boards[predictor].settle()
            boards[predictor].retired.settle()

    def close(self) -> None:
        """Let go of the files; what was not committed is not kept."""
        self._engine.close()

    def _read(self) -> None:
        said = self._engine.get(_FORMAT)
        if said is None and next(self._engine.range(b""), None) is None:
            self._engine.commit({_FORMAT: FORMAT})
        elif said != FORMAT:
            raise Damaged(f"the format is {said!r}, not {FORMAT!r}")
        # A census begins anew: its moments are of the process that noted them.
        self._engine.commit({}, [_SEEN, _MISSED])
        try:
            self._facts = self._engine.get(_FACTS) or b"{}"
            self.facts = json.loads(self._facts)
            known = {
                int.from_bytes(each[len(_WORD) :], "big"): encoding.said_of(value)
                for each, value in self._engine.range(_WORD)
            }
            self._words = Words(known)
            for each, value in self._engine.range(_BOARD):
                *names, digest, rows, batches, loose = json.loads(value)
                kept = self._opened(each[len(_BOARD) :], digest, (rows, batches, loose))
                kept.counts = self._counted(_COUNTS + kept.number)
                kept.retired = self._counted(_RETIRED + kept.number)
                self._boards[Predictor(*names)] = kept
        except (ValueError, TypeError) as error:
            raise Damaged(f"its own records cannot be read: {error}") from None

    def _counted(self, prefix: bytes) -> dict[Name, int]:
        return {
            tuple(json.loads(each[len(prefix) :])): int(value, 16)
            for each, value in self._engine.range(prefix)
        }

    def _opened(self, number: bytes, digest: str, sizes: Sequence[int] = (0, 0, 0)) -> _Kept:
        rows, batches, loose = sizes
        engine, words, e = self._engine, self._words, encoding
        return _Kept(
            number,
            digest,
            Table(engine, _ROWS + number, words, e.row_bytes, e.row_of, rows),
            Table(engine, _BATCHES + number, words, e.sizes_bytes, e.sizes_of, batches),
            Table(engine, _LOOSE + number, words, e.loose_bytes, e.loose_of, loose),
            self._moments(_SEEN + number),
            self._moments(_MISSED + number),
        )

    def _moments(self, prefix: bytes) -> Table[float]:
        return Table(self._engine, prefix, self._words, encoding.moment_bytes, encoding.moment_of)


def open_store(folder: Path, memory: int) -> Store:
    """The store in `folder`; a damaged or foreign one is set aside, and a new one begun.

    Raises `Unwritable`.
    """
    rows = folder / "rows"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return Store(rows, memory)
        except Damaged as error:
            set_aside(folder, error)
            return Store(rows, memory)
    except OSError as error:
        raise Unwritable(str(error)) from None


def set_aside(folder: Path, error: Damaged) -> None:
    """Keep the files of a store that cannot be used out of its way, in place of any before."""
    aside = folder / "rows-set-aside"
    if aside.is_dir():
        shutil.rmtree(aside)
    (folder / "rows").replace(aside)
    _log.error(
        "the rows on disk cannot be used: they are set aside, and read from the log again",
        folder=str(aside),
        error=str(error),
    )


def digest_of(output: Output | None) -> str:
    """Tells one declaration from another; "" is of none."""
    return "" if output is None else output.digest


def _news(saved: Mapping[Name, int], counts: Counts) -> dict[Name, int]:
    """The counts that are not as they were saved."""
    new = {name: number for name, number in counts.numbers() if saved.get(name, 0) != number}
    return new | dict(counts.touched())


def _written(prefix: bytes, numbers: Mapping[Name, int]) -> dict[bytes, bytes | None]:
    return {
        prefix + json.dumps(name).encode(): (f"{number:x}".encode() if number else None)
        for name, number in numbers.items()
    }
