"""Ten million labelled rows in a process that may have 512 MiB, with a kill -9 in the middle.

The state of the metrics server gets the answers of all rows, most truths long after their answers,
a correction of every tenth and every twentieth event twice, by its own reading of events. It is
killed halfway and goes on from its last commit, and sends a thousand events again. Then the service
itself starts with these files, is sent truths that correct old rows, and is asked for its counts.

The limit is a cgroup's where this user may make one with a memory controller, page cache included;
else RLIMIT_DATA, which bounds all that is not a file's: `limited_by_cgroup` says which.
`ROWS` in the environment is another number of rows.
"""

import contextlib
import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from urllib.parse import urlsplit

from bench.load import rendered, send, service
from closedloop.loop import events, rfc3339
from closedloop.loop.events import Event
from closedloop.loop.keys import Predictor
from closedloop.loop.observation import observe
from closedloop.services.metrics_server.state import State
from closedloop.services.metrics_server.store.store import open_store
from tests.elasticsearch import running_elasticsearch

BY_NAME_ONLY = True
_ROWS = 10_000_000
_LIMIT = 512 << 20
_MEMORY = 64 << 20  # as the service's own default
_TELL = 1.0  # seconds
_LATE = 200_000  # rows between an answer and most truths
_CLASSES = ("setosa", "versicolor", "virginica")
_PREDICTOR = Predictor("seldon", "iris", "default")
_START = 1_700_000_000
_CELL = re.compile(
    r'^closedloop_confusion_matrix\{actual="(\w+)",.*predicted="(\w+)".*\} (\S+)$', re.MULTILINE
)


def run() -> dict[str, float]:
    """The figures of one run. Raises RuntimeError where a count is not exact."""
    rows = int(os.environ.get("ROWS", _ROWS))
    with tempfile.TemporaryDirectory(prefix="closedloop-scale-") as folder, _limit() as limit:
        begin = time.perf_counter()
        killed, _ = _fill(limit, folder, rows, until=rows // 2)
        filled, peak = _fill(limit, folder, rows)
        seconds = time.perf_counter() - begin
        _same(filled["cells"], _expected(rows, corrected=False))
        if filled["rows"] != rows:
            raise RuntimeError(f"{filled['rows']} rows are held: {rows} were sent")
        used = sum(one.stat().st_blocks * 512 for one in Path(folder).rglob("*") if one.is_file())
        started, resident, cells = _serve(limit, folder, rows)
        _same(cells, _expected(rows, corrected=True))
    return {
        "rows": rows,
        "limited_by_cgroup": limit != "rlimit",
        "rows_at_the_kill": killed["rows"],
        "wrong_counts": 0,
        "events_per_second_of_cpu": filled["events"] / filled["cpu_seconds"],
        "seconds": seconds,
        "peak_anonymous_megabytes": peak / 2**20,
        "disk_bytes_per_row": used / rows,
        "start_to_ready_seconds": started,
        "service_anonymous_megabytes": resident / 2**20,
    }


@contextlib.contextmanager
def _limit() -> Iterator[str]:
    """A cgroup of 512 MiB, by its folder, or `rlimit`."""
    root = Path("/sys/fs/cgroup")
    second = (root / "cgroup.controllers").exists()  # of the two versions of cgroups
    group = (root if second else root / "memory") / f"closedloop-scale-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield "rlimit"
        return
    try:
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(_LIMIT))
        yield str(group)
    except OSError:
        yield "rlimit"
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def _within(limit: str) -> list[str]:
    """The beginning of a command whose process has the limit."""
    return [sys.executable, "-m", "bench.scale", "within", limit]


def _fill(limit: str, folder: str, rows: int, until: int = 0) -> tuple[dict[str, float], int]:
    """Fill the state, to its end or until it is killed; its last word, and its most memory."""
    command = [*_within(limit), sys.executable, "-m", "bench.scale", "fill", folder, str(rows)]
    said: dict[str, float] = {}
    peak, shown = 0, 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                peak = max(peak, int(said["anonymous"]))
                if said["rows"] >= shown:
                    shown += rows / 20
                    memory = said["anonymous"] / 2**20
                    print(f"{said['rows']:,.0f} rows, {memory:.0f} MiB", flush=True)
                if until and said["rows"] >= until:
                    break
            else:
                process.wait()
        finally:
            process.kill()
    if process.returncode not in (0, -signal.SIGKILL) or not said:
        raise RuntimeError(f"the state's process ended with {process.returncode}")
    return said, peak


def fill(folder: str, rows: int) -> None:
    """Send what is left to send, and say every now and then how far it is."""
    store = open_store(Path(folder), _MEMORY)
    state = State(store)
    sent = 0
    told = time.monotonic()
    # The position is committed with the rows, so that it is always theirs.
    begin = max(0, int(state.facts.get("position", 0)) - 1000)
    for position in range(begin, rows + _LATE):
        for event in _happening(position, rows):
            state.observe(observe(event))
            sent += 1
        state.facts["position"] = position + 1
        state.read_until = time.time()  # as if a log had all of them
        if time.monotonic() - told >= _TELL:
            told = time.monotonic()
            _say(state, sent)
    state.commit()
    _say(state, sent)
    store.close()


def _happening(position: int, rows: int) -> Iterator[Event]:
    """The answer of row `position`, the truth of one long before, corrections and duplicates."""
    happened = []
    if position < rows:
        happened.append(_answer(position))
    if 0 <= (late := position - _LATE) < rows:
        happened.append(_truth(late, _first(late), 1))
        if late % 10 == 0:
            happened.append(_truth(late, late % 3, 2))
    for event in happened:
        yield event
        if position % 20 == 0:
            yield event


def _answer(row: int) -> Event:
    return _event(events.RESPONSE, {"data": {"ndarray": [_CLASSES[row % 7 % 3]]}}, row, 0)


def _truth(row: int, label: int, version: int) -> Event:
    message = {"truth": {"data": {"ndarray": [_CLASSES[label]]}}}
    return _event(events.FEEDBACK, message, row, version)


def _first(row: int) -> int:
    """The truth that comes first; every tenth is corrected to `row % 3`."""
    return (row + (row % 10 == 0)) % 3


def _expected(rows: int, *, corrected: bool) -> Counter[tuple[str, str]]:
    """The confusion matrix of the last truths. `corrected`: those that the service was sent too."""
    cells: Counter[tuple[int, int]] = Counter()
    period = 21  # of both remainders
    for remainder in range(min(period, rows)):
        cells[remainder % 7 % 3, remainder % 3] += len(range(remainder, rows, period))
    if corrected:
        for row in _again(rows):
            cells[row % 7 % 3, row % 3] -= 1
            cells[row % 7 % 3, (row + 1) % 3] += 1
    return Counter({(_CLASSES[a], _CLASSES[b]): count for (a, b), count in cells.items() if count})


def _again(rows: int) -> range:
    return range(0, rows, max(1, rows // 1000))


def _serve(limit: str, folder: str, rows: int) -> tuple[float, int, dict[tuple[str, str], int]]:
    """Seconds until the service is ready, its memory, and its counts after late corrections."""
    with running_elasticsearch() as url:
        begin = time.perf_counter()
        with service(
            "closedloop.services.metrics_server",
            within=_within(limit),
            ELASTICSEARCH_URL=url,
            STATE_FOLDER=folder,
        ) as server:
            ready = time.perf_counter() - begin
            send(server.url, [rendered(_truth(row, (row + 1) % 3, 9)) for row in _again(rows)])
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
            connection.close()
            resident = _anonymous(server.pid)
    cells = {(said, true): int(float(count)) for true, said, count in _CELL.findall(page)}
    return ready, resident, cells


def _same(found: object, expected: Counter[tuple[str, str]]) -> None:
    cells = found if isinstance(found, dict) else {}
    if cells and not isinstance(next(iter(cells)), tuple):
        cells = {tuple(name.split()): count for name, count in cells.items()}
    if cells != dict(expected):
        raise RuntimeError(f"the counts are {cells}: {dict(expected)} are right")


def _event(kind: str, message: object, row: int, version: int) -> Event:
    moment = _START + row / 1000 + 60 * version
    return Event(
        id=_uuid(row, version + 1),
        source="http://:8000/",
        type=kind,
        time=rfc3339.written(moment, "microseconds"),
        request_id=_uuid(row, 0),
        namespace=_PREDICTOR.namespace,
        deployment=_PREDICTOR.deployment,
        predictor=_PREDICTOR.predictor,
        model="classifier",
        content_type="application/json",
        body=json.dumps(message).encode(),
    )


def _uuid(row: int, number: int) -> str:
    """An id that no compression can make of another."""
    digest = md5(b"%d %d" % (row, number), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest))


def _say(state: State, sent: int) -> None:
    cells: dict[str, int] = {}
    if (board := state.boards.get(_PREDICTOR)) is not None:
        cells = {" ".join(pair): count for pair, count in board.matrix.counts().items()}
    said = {
        "rows": state.held,
        "events": sent,
        "cpu_seconds": time.process_time(),
        "anonymous": _anonymous(os.getpid()),
        "cells": cells,
    }
    print(json.dumps(said), flush=True)


def _anonymous(pid: int) -> int:
    """Resident bytes that are no file's."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line) << 10


def main(what: str, *words: str) -> None:
    """Run a command with a limit (`within`), or fill a state (`fill`)."""
    if what == "fill":
        fill(words[0], int(words[1]))
        return
    limit, *command = words
    if limit == "rlimit":
        resource.setrlimit(resource.RLIMIT_DATA, (_LIMIT, _LIMIT))
    else:
        (Path(limit) / "cgroup.procs").write_text(str(os.getpid()))
    os.execv(command[0], command)  # noqa: S606 - a command of ours


if __name__ == "__main__":
    main(*sys.argv[1:])
