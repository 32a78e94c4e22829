"""The memory that a labelled row takes: cached, and of one that is on disk alone its index.

Cached is the growth of a fresh process that has read every row once, all in; the index is the
part of the files' filters and indices, which are kept in the same cache.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.iris import loop
from bench.load import Server
from closedloop.loop.observation import observe
from closedloop.services.metrics_server.state import State
from closedloop.services.metrics_server.store.engine import Engine
from closedloop.services.metrics_server.store.store import open_store

_MEMORY = 512 << 20  # for all rows
_ROWS = b"r"
_SIZE = re.compile(r"(# entries|filter block size|index block size \(user-key\? \d.*?\))=(\d+)")


def run(rows: int = 100_000) -> dict[str, float]:
    """Bytes of a row, of `rows`."""
    with tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder:
        for step in ("fill", "read"):
            command = [sys.executable, "-m", "bench.row_memory", step, folder, str(rows)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cached, index = map(float, said.split())
    return {"cached_row_bytes": cached, "index_of_row_on_disk_bytes": index}


def _fill(folder: Path, rows: int) -> None:
    store = open_store(folder, _MEMORY)
    state = State(store)
    for event in loop(rows):
        state.observe(observe(event))
    state.commit()
    store.close()


def _read(folder: Path, rows: int) -> tuple[float, float]:
    process = Server("", os.getpid())
    engine = Engine(folder / "rows", _MEMORY)
    before = process.resident_bytes
    count = sum(engine.get(key) is not None for key, _ in engine.range(_ROWS))
    if count != rows:
        raise RuntimeError(f"{count} rows are there: {rows} were written")
    cached = (process.resident_bytes - before) / rows
    tables = engine._db.property_value("rocksdb.aggregated-table-properties") or ""
    sizes = dict(re.findall(r"(entries|filter|index)(?: block size[^=]*)?=(\d+)", tables))
    engine.close()
    return cached, (int(sizes["filter"]) + int(sizes["index"])) / int(sizes["entries"])


if __name__ == "__main__":
    step, where, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if step == "fill":
        _fill(where, count)
    else:
        print(*_read(where, count))
