"""Ten minutes, or `SOAK_MINUTES`, of steady half load on the whole loop, with every fault in it.

Each part is killed with `kill -9` in turn; Elasticsearch hangs for a minute, the disk of the
platform is full for a minute, and the clock of request logger and metrics server is an hour ahead
for a minute. At the end the events that the broker accepted, the log and the metrics server must
have the same counts. Memory and p99 are drawn over time, into `out/`.

The platform's folder is a file system of its own in a mount namespace, which alone is filled.
Where the machine gives none, the disk stays as it is, and without libfaketime (Debian's package of
that name) the clock does; the result says so.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from bench.faults import Clock, full_disk, hanging, killed
from closedloop.notebook.traffic import Plan, Traffic
from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.suite.setup import install_everything
from tests.end_to_end.loop import (
    FLOWERS,
    METRICS_SERVER,
    PROGRAMS,
    REQUEST_LOGGER,
    Loop,
    Sending,
    under_way,
)
from tests.platforms.embedded.run.processes import runs

BY_NAME_ONLY = True
_DISK = "2g"
_INSIDE = (
    'mount -t tmpfs -o "size=$1" tmpfs "$2" && mount -t tmpfs tmpfs /dev/shm '
    '&& shift 2 && exec "$@"'
)
_OURS = (REQUEST_LOGGER, METRICS_SERVER, "broker")
_KILLED = [
    name if name not in ("executor", "model") else f"{name} sklearn/default" for name in PROGRAMS
]
_THREADS = 8
_BIN = 5.0  # seconds


@dataclass
class Course:
    """What happened when, in seconds since the start."""

    began: float = field(default_factory=time.time)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    faults: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def now(self) -> float:
        return time.time() - self.began

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        start = self.now
        print(f"  {start:5.0f} s  {name}", flush=True)
        try:
            yield
        finally:
            self.faults.append((start, self.now, name))

    def quiet(self, moment: float) -> bool:
        """Whether no fault was under way, nor over for less than ten seconds."""
        return not any(start - 1 <= moment <= end + 10 for start, end, _ in self.faults)


def run() -> dict[str, float]:
    """Run it in a namespace where there is one. Raises RuntimeError when counts do not agree."""
    minutes = float(os.environ.get("SOAK_MINUTES", "10"))
    if minutes < 6:
        raise ValueError(f"SOAK_MINUTES is {minutes:g}: the faults take six minutes, give more")
    own = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    alone = subprocess.run([*own, "true"], capture_output=True, check=False).returncode == 0
    parts_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="closedloop-soak-") as folder:
        disk, result = Path(folder) / "disk", Path(folder) / "result.json"
        disk.mkdir()
        inner = [sys.executable, "-m", "bench.soak", str(disk), str(result), str(minutes)]
        wrapped = [*own, "sh", "-c", _INSIDE, "sh", _DISK, str(disk), *inner, "full"]
        subprocess.run(wrapped if alone else inner, cwd=checkout_root(), check=True)
        numbers: dict[str, float] = json.loads(result.read_text())
    return numbers


def soak(folder: Path, minutes: float, *, fill: bool) -> dict[str, float]:
    """The run itself, with the platform in `folder`, whose file system may be filled."""
    course = Course()
    with platform(folder) as (loop, clock):
        half = capacity(loop) / 2
        course.began = time.time()
        deadline = course.began + 60 * minutes
        with _load(loop, half, minutes) as sending, _sampled(loop, course):
            time.sleep(60)
            for name in _KILLED:
                with course.fault(f"kill {name.removeprefix('seldon-logs/')}"), killed(loop, name):
                    pass
                time.sleep(3)
            with course.fault("Elasticsearch hangs"), hanging(loop, "elasticsearch"):
                time.sleep(60)
            _recover(loop)
            if fill:
                with course.fault("disk full"), full_disk(folder):
                    time.sleep(60)
                _recover(loop)
            if clock:
                with course.fault("clock an hour ahead"), clock.stepped(3600):
                    time.sleep(60)
            time.sleep(max(60.0, deadline - time.time()))
        begin = time.monotonic()
        counted = loop.settle(patience=1200)
        settled = time.monotonic() - begin
        lost = _lost(loop, sending)
    p99 = _p99(course, sending)
    _draw(course, sending, p99)
    score = counted["sklearn/default"]
    quiet = [(moment, value) for moment, value in p99 if course.quiet(moment)]
    first, last = quiet[: len(quiet) // 3], quiet[-(len(quiet) // 3) :]
    return {
        "predictions_per_second": half,
        "answered": len(sending.answered()),
        "failed_visibly": sending.traffic.tally.failed,
        "accepted_logged_and_counted_alike": 1.0,  # `settle` fails otherwise
        "counted": score.right + score.wrong,
        "feedback_never_accepted_by_the_broker": lost,
        "seconds_until_all_agreed": settled,
        "p99_ms_first_third": statistics.median(value for _, value in first),
        "p99_ms_last_third": statistics.median(value for _, value in last),
        **{
            f"{name.split('/')[-1]}_mib_{when}": value
            for name in _OURS
            for when, value in _memory(course, name)
        },
        "disk_was_filled": float(fill),
        "clock_was_stepped": float(clock is not None),
    }


@contextlib.contextmanager
def platform(folder: Path, *, faked: bool = True) -> Iterator[tuple[Loop, Clock | None]]:
    """A loop with two models; with the clock of its services where it can be `faked`, and with a
    log that is read every second."""
    (folder / "parts").symlink_to(parts_folder())
    os.environ["CLOSEDLOOP_HOME"] = str(folder)
    clock = Clock(folder) if faked and Clock.library() else None
    platform = EmbeddedPlatform(parent_pid=os.getpid())
    try:
        install_everything(platform, lambda *_: None)
        services: tuple[tuple[str, dict[str, str]], ...] = (
            ("metrics-server", {"RESYNC_SECONDS": "1"}),
            ("request-logger", {}),
        )
        for name, more in services if faked else ():
            document: Any = yaml.safe_load(
                (checkout_root() / f"manifests/{name}/deployment.yaml").read_text()
            )
            (container,) = document["spec"]["template"]["spec"]["containers"]
            environment = {**more, **(clock.environment if clock else {})}
            container["env"] += [{"name": key, "value": environment[key]} for key in environment]
            platform.apply(document)
            platform.wait("Deployment", f"seldon-{name}", "seldon-logs", condition="Available")
        platform.apply("models/sklearn.yaml", "models/iris-perf-shadow.yaml")
        for name in ("sklearn", "iris-perf"):
            platform.wait("SeldonDeployment", name, "seldon", timeout=300)
        loop = Loop(platform, folder)
        loop.ready()
        yield loop, clock
    finally:
        platform.down()


def capacity(loop: Loop, seconds: float = 15.0) -> float:
    """Predictions with feedback a second, as fast as they are answered."""
    plan = Plan(FLOWERS, right=0.7, seconds=seconds, puid=lambda i: f"capacity-{i}")
    tally = Traffic(loop.model(), plan, threads=_THREADS, timeout=60).run()
    loop.settle(patience=600)
    return tally.predictions / seconds


def _load(loop: Loop, rate: float, minutes: float) -> AbstractContextManager[Sending]:
    plan = Plan(FLOWERS, right=0.7, seconds=7200 + 60 * minutes, rate=rate, puid=lambda i: f"s-{i}")
    return under_way(loop.model(), plan, _THREADS)


@contextlib.contextmanager
def _sampled(loop: Loop, course: Course) -> Iterator[None]:
    """The resident memory of each part of ours is noted now and then."""
    end = threading.Event()

    def sample() -> None:
        while not end.wait(_BIN):
            for name in _OURS:
                with contextlib.suppress(OSError, TypeError):
                    pages = int(Path(f"/proc/{loop.pid(name)}/statm").read_text().split()[1])
                    mib = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
                    course.memory.setdefault(name, []).append((course.now, mib))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _recover(loop: Loop) -> None:
    if not runs(loop.daemon):
        raise RuntimeError("the platform itself has ended: see its daemon.log")
    loop.ready()
    time.sleep(10)


def _lost(loop: Loop, sending: Sending) -> int:
    """Feedback that was answered and that the broker never had."""
    accepted = {event.puid for event in loop.stream.events() if event.kind == "feedback"}
    return len(sending.answered("feedback") - accepted)


def _p99(course: Course, sending: Sending) -> list[tuple[float, float]]:
    """(second, milliseconds) of the predictions that were answered, by `_BIN`."""
    bins: dict[int, list[float]] = {}
    for record in sending.records:
        if record.kind == "prediction" and not record.failed:
            moment = record.started - course.began
            bins.setdefault(int(moment / _BIN), []).append(record.latency * 1000)
    return [
        (index * _BIN, statistics.quantiles(values, n=100)[98])
        for index, values in sorted(bins.items())
        if len(values) > 10
    ]


def _memory(course: Course, name: str) -> list[tuple[str, float]]:
    """Medians of the last sixth of the run, which no kill is in, and of the sixth before."""
    values = [mib for _, mib in course.memory[name]]
    sixth = max(1, len(values) // 6)
    before, last = values[-2 * sixth : -sixth], values[-sixth:]
    return [("before", statistics.median(before)), ("at_the_end", statistics.median(last))]


def _draw(course: Course, sending: Sending, p99: list[tuple[float, float]]) -> None:
    figure = Figure(figsize=(10, 7), layout="constrained")
    above, middle, below = figure.subplots(3, sharex=True)
    above.plot(*zip(*p99, strict=True))
    above.set(ylabel="p99 of a prediction, ms", yscale="log")
    failed = Counter(
        int((record.started - course.began) / _BIN) for record in sending.records if record.failed
    )
    middle.bar([index * _BIN for index in failed], list(failed.values()), width=_BIN, color="C3")
    middle.set(ylabel=f"failed requests in {_BIN:g} s")
    for name, samples in course.memory.items():
        below.plot(*zip(*samples, strict=True), label=name.split("/")[-1])
    below.set(xlabel="seconds", ylabel="resident memory, MiB", ylim=(0, None))
    below.legend(loc="lower right")
    for number, (start, end, name) in enumerate(course.faults, 1):
        for axes in (above, middle, below):
            axes.axvspan(start, max(end, start + 1), color="0.9", zorder=0)
        # Kills come every few seconds: their names have no room above them.
        above.annotate(
            str(number), (start, 1.02), xycoords=("data", "axes fraction"), fontsize=7,
        )  # fmt: skip
        above.plot([], [], linestyle="", label=f"{number} {name}")
    above.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=7, handlelength=0, frameon=False)
    folder = checkout_root() / "out"
    folder.mkdir(exist_ok=True)
    path = folder / f"soak-{datetime.now().astimezone():%Y%m%dT%H%M%S}.png"
    figure.savefig(path, dpi=120)
    print(f"drawn in {path}")


if __name__ == "__main__":
    _folder, _result, _minutes, *_fill = sys.argv[1:]
    _numbers = soak(Path(_folder), float(_minutes), fill=bool(_fill))
    Path(_result).write_text(json.dumps(_numbers))
