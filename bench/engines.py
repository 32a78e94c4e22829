"""The engines that could hold the metrics server's rows, compared on its kind of work.

A row is a key of 19 bytes, in no order as UUIDs are, and a value of 60. Each engine takes `rows`
of them in commits of 5,000, then changes some: a point read, a write, and a count in the same
commit. In the middle of that it is killed (SIGKILL) and opened again: rows and count must agree.

Rates are per second of CPU, of all threads. Bytes a row are on disk. Resident memory is what the
process needs (anonymous) beside the pages of files, which the kernel can take back.
"""

import hashlib
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import lmdb

from closedloop.services.metrics_server.store.engine import Engine as RocksDb

BY_NAME_ONLY = True
_BATCH = 5000
_COUNT = b"count"
_MEMORY = 64 << 20
_CHANGED = b"changed" * 8


class Engine(Protocol):
    """Rows in one folder."""

    def get(self, key: bytes) -> bytes | None: ...
    def commit(self, changed: Mapping[bytes, bytes]) -> None: ...
    def close(self) -> None: ...


class Sqlite:
    """SQLite of the standard library: a table without row ids, a write-ahead log."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
        self._db.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;"
            "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
        )

    def get(self, key: bytes) -> bytes | None:
        found = self._db.execute("SELECT value FROM rows WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def commit(self, changed: Mapping[bytes, bytes]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", changed.items())
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


class Lmdb:
    """LMDB: a B+ tree in mapped memory."""

    def __init__(self, folder: Path) -> None:
        self._db = lmdb.open(str(folder), map_size=64 << 30, sync=False, metasync=False)

    def get(self, key: bytes) -> bytes | None:
        with self._db.begin(buffers=False) as reading:
            found: bytes | None = reading.get(key)
            return found

    def commit(self, changed: Mapping[bytes, bytes]) -> None:
        with self._db.begin(write=True) as writing:
            for key, value in changed.items():
                writing.put(key, value)

    def close(self) -> None:
        self._db.close()


ENGINES: Mapping[str, Callable[[Path], Engine]] = {
    "sqlite": Sqlite,
    "lmdb": Lmdb,
    "rocksdb": lambda folder: RocksDb(folder, _MEMORY),
}


def run(rows: int = 1_000_000, changes: int = 100_000) -> dict[str, float]:
    """Every engine in a process of its own, one after the other."""
    measured: dict[str, float] = {}
    for name in ENGINES:
        with tempfile.TemporaryDirectory(prefix="closedloop-engine-") as folder:
            command = [sys.executable, "-m", "bench.engines", name, folder, str(rows), str(changes)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                try:
                    for line in process.stdout:
                        measure, *value = line.split()
                        if not value:  # it commits without an end: to be killed in the middle
                            time.sleep(0.7)
                            break
                        measured[f"{name}_{measure}"] = float(*value)
                finally:
                    process.kill()
            begin = time.perf_counter()
            engine = ENGINES[name](Path(folder))
            found = engine.get(_COUNT)
            measured[f"{name}_open_after_kill_seconds"] = time.perf_counter() - begin
            measured[f"{name}_agrees_after_kill"] = _agrees(engine, int(found or b"0"), rows)
            engine.close()
    return measured


def _agrees(engine: Engine, count: int, rows: int) -> bool:
    """Whether exactly the changes that the count speaks of are there."""
    there = [engine.get(_key(i)) == _CHANGED for i in range(rows, rows + count + _BATCH)]
    return count > 0 and sum(there) == count and all(there[:count])


def _key(number: int) -> bytes:
    return b"r\0\0" + hashlib.md5(number.to_bytes(8, "big"), usedforsecurity=False).digest()


def _row(number: int) -> tuple[bytes, bytes]:
    """Two thirds of a value differ from any other's, as event ids and moments do."""
    digest = hashlib.sha512(number.to_bytes(8, "big")).digest()
    return _key(number), digest[:40] + bytes(20)


def _in_batches(numbers: Iterable[int]) -> Iterator[dict[bytes, bytes]]:
    batch: dict[bytes, bytes] = {}
    for number in numbers:
        key, value = _row(number)
        batch[key] = value
        if len(batch) == _BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


def _measure(engine: Engine, folder: Path, rows: int, changes: int) -> Iterator[tuple[str, float]]:
    generating = _cpu()
    for _ in _in_batches(range(rows)):
        pass
    begin = _cpu()
    wall, slowest = time.perf_counter(), 0.0
    for batch in _in_batches(range(rows)):
        one = time.perf_counter()
        engine.commit(batch)
        slowest = max(slowest, time.perf_counter() - one)
    yield "inserts_per_second", rows / (_cpu() - begin - (begin - generating))
    yield "inserts_per_second_of_wall_time", rows / (time.perf_counter() - wall)
    yield "slowest_commit_seconds", slowest
    known = [_key(i) for i in random.sample(range(rows), changes)]
    absent = [_key(i) for i in range(2 * rows, 2 * rows + changes)]
    for name, keys in (("reads", known), ("reads_of_absent", absent)):
        begin = _cpu()
        for key in keys:
            engine.get(key)
        yield f"{name}_per_second", changes / (_cpu() - begin)
    begin, changed = _cpu(), dict[bytes, bytes]()
    for key in known:
        changed[key] = (engine.get(key) or b"")[::-1]
        if len(changed) == _BATCH:
            engine.commit(changed)
            changed = {}
    yield "changes_per_second", changes / (_cpu() - begin)
    used = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
    yield "bytes_per_row", used / rows
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line[:7] == "RssAnon")
    yield "resident_megabytes", int(kilobytes) / 1024


def _commit_for_ever(engine: Engine, rows: int) -> None:
    count = 0
    while True:
        changed = {_key(rows + count + i): _CHANGED for i in range(100)}
        count += len(changed)
        engine.commit({**changed, _COUNT: str(count).encode()})


def _cpu() -> float:
    """Seconds that all threads of this process took."""
    return time.process_time()


def main(name: str, folder: str, rows: int, changes: int) -> None:
    """Print one measure a line, then commit until the end."""
    engine = ENGINES[name](Path(folder))
    for measure, value in _measure(engine, Path(folder), rows, changes):
        print(measure, value, flush=True)
    print("committing", flush=True)
    _commit_for_ever(engine, rows)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
