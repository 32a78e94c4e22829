"""The cost of one prediction with its feedback at each part, as it passes the whole loop.

CPU time is that of the part's processes in a minute of as many predictions as are answered, less
their time without any; bytes are those kept of one. `docs/scale.md` is computed from these figures.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import requests

from bench.soak import capacity, platform
from closedloop.notebook.traffic import Plan, Traffic
from closedloop.notebook.waiting import until
from tests.end_to_end.loop import FLOWERS, METRICS_SERVER, REQUEST_LOGGER, Loop
from tests.platforms.embedded.run.processes import descendants

BY_NAME_ONLY = True
PARTS: Mapping[str, tuple[str, ...]] = {
    "gateway": ("envoy",),
    "executor": ("executor sklearn/default",),
    "model": ("model sklearn/default",),
    "broker": ("broker", "nats"),
    "request_logger": (REQUEST_LOGGER,),
    "elasticsearch": ("elasticsearch",),
    "metrics_server": (METRICS_SERVER,),
    "prometheus": ("prometheus",),
}
_TICKS = os.sysconf("SC_CLK_TCK")
_THREADS = 8


def run(seconds: float = 60.0, idle: float = 20.0) -> dict[str, float]:
    """CPU-µs and bytes a prediction; series a predictor, bytes a sample and CPU-µs a second of
    Prometheus."""
    with (
        tempfile.TemporaryDirectory(prefix="closedloop-costs-") as folder,
        platform(Path(folder), faked=False) as (loop, _),
    ):
        capacity(loop)  # warms everything up
        before = _cpu(loop)
        time.sleep(idle)
        resting = {name: (cpu - before[name]) / idle for name, cpu in _cpu(loop).items()}
        before, kept, begun = _cpu(loop), loop.stream.size(), time.monotonic()
        plan = Plan(FLOWERS, right=0.7, seconds=seconds, puid=lambda i: f"costs-{i}")
        tally = Traffic(loop.model(), plan, threads=_THREADS, timeout=60).run()
        until(loop.under_way, lambda busy: not busy, what="all to be delivered", timeout=120)
        after, took = _cpu(loop), time.monotonic() - begun
        documents = loop.logged("costs-").values()
        count = tally.predictions
        if tally.failed or len(documents) != count:
            raise RuntimeError(f"{tally.failed} of {count} failed, {len(documents)} are in the log")
        return {
            "predictions_per_second": count / took,
            **{
                f"{name}_cpu_us": 1e6 * (after[name] - before[name] - resting[name] * took) / count
                for name in PARTS
            },
            "broker_bytes": (loop.stream.size() - kept) / count,
            "elasticsearch_bytes": sum(len(json.dumps(one)) for one in documents) / count,
            "prometheus_series_of_a_predictor": sum(
                labels.get("deployment_name") == "sklearn"
                for _, labels, _ in loop.samples(METRICS_SERVER)
            ),
            "prometheus_bytes_of_a_sample": _bytes_of_a_sample(loop),
            "prometheus_cpu_us_a_second": 1e6 * resting["prometheus"],
        }


def _cpu(loop: Loop) -> dict[str, float]:
    """Seconds of CPU so far of each part's processes."""
    return {
        name: sum(_seconds(pid) for program in programs for pid in _pids(loop, program))
        for name, programs in PARTS.items()
    }


def _pids(loop: Loop, program: str) -> set[int]:
    pid = loop.pid(program)
    if pid is None:
        raise RuntimeError(f"{program} does not run")
    return {pid, *descendants(pid)}


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _bytes_of_a_sample(loop: Loop) -> float:
    """What Prometheus has on disk, by the samples that it has taken."""
    url = loop.platform.url("monitoring/monitoring-kube-prometheus-prometheus")
    answer = requests.get(f"{url}/metrics", timeout=60)
    answer.raise_for_status()
    (appended,) = (
        float(line.split()[1])
        for line in answer.text.splitlines()
        if line.startswith("prometheus_tsdb_head_samples_appended_total")
        and 'type="histogram"' not in line
    )
    (folder,) = loop.home.rglob("wal")
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / appended
