"""Events per second through the metrics server, and how soon feedback shows in its metrics.

The rate is told against an empty handler of the fastest server there is for it
(`bench/servers.py`), interleaved in one run; only that ratio means something on
another machine. So is that against the server as a checkout has it, not compiled,
and against the checkout that `BASE` in the environment names, if any: against that
the latency is told as well, at half of the load that it can take. The load
comes from a process of its own: answers and feedback of the iris example, in turn.
"""

import contextlib
import http.client
import os
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlsplit

from bench import servers
from bench._compiled import compiled
from bench.iris import loop
from bench.load import Server, rendered, send, sending, service
from closedloop import paths
from closedloop.loop.events import Event
from tests.elasticsearch import running_elasticsearch

_CORRECT = re.compile(rb'^closedloop_correct\{.*deployment_name="probe".*\} (.*)$', re.MULTILINE)


_Probe = Callable[[Server, int, float], list[float]]
_SECONDS = 5.0  # of load in each round of latencies


def run(predictions: int = 4000, rounds: int = 5, probes: int = 300) -> dict[str, float]:
    """Rates are medians of `rounds` in events per second, latencies are milliseconds: under load
    the medians of each round's percentiles."""
    rates: dict[str, list[float]] = defaultdict(list)
    with (
        running_elasticsearch() as url,
        tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder,
        tempfile.TemporaryDirectory(prefix="closedloop-bench-") as another,
        _server(url, STATE_FOLDER=folder) as server,
        servers.empty("uvicorn") as empty,
        contextlib.ExitStack() as others,
    ):
        targets = {"server": server, "empty": empty}
        if compiled():
            source = paths.checkout_root() / "src"
            targets["interpreted"] = others.enter_context(
                _server(url, STATE_FOLDER=another, PYTHONPATH=str(source))
            )
        if base := os.environ.get("BASE"):
            targets["base"] = others.enter_context(_server(url, PYTHONPATH=f"{base}/src"))
        for _ in range(rounds):
            requests = [rendered(event) for event in loop(predictions)]
            for name, target in targets.items():
                before = target.cpu_seconds
                rates[name].append(len(requests) / send(target.url, requests))
                rates[f"{name}_cpu"].append(len(requests) / (target.cpu_seconds - before))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        light = _latencies(server, probes)
        own = medians["server"] / 2
        loaded: dict[str, tuple[Server, float, _Probe]] = {
            "feedback_to_metrics_half_load": (server, own, _latencies),
            "two_requests_to_empty_handler_same_load": (empty, own, _round_trips),
        }
        if base:
            at = medians["base"] / 2
            loaded |= {
                "feedback_to_metrics_half_load_of_base": (server, at, _latencies),
                "base_feedback_to_metrics_half_load_of_base": (targets["base"], at, _latencies),
                "two_requests_to_empty_handler_half_load_of_base": (empty, at, _round_trips),
            }
        latencies: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            for name, (target, rate, probe) in loaded.items():
                requests = [rendered(event) for event in loop(int(rate * _SECONDS / 2))]
                with sending(target.url, requests, rate=rate) as done:
                    some = probe(target, probes, _SECONDS - 1)
                    done()
                for percent in (50, 99):
                    latencies[f"{name}_p{percent}_ms"].append(_percentile(some, percent))
    delays = {name: statistics.median(values) for name, values in latencies.items()}
    against: dict[str, float] = {}
    for name in targets.keys() & {"base", "interpreted"}:
        against |= {
            f"server_over_{name}": medians["server"] / medians[name],
            f"server_over_{name}_by_cpu_time": medians["server_cpu"] / medians[f"{name}_cpu"],
        }
    if base:
        against["p99_of_base_over_server_at_half_load_of_base"] = (
            delays["base_feedback_to_metrics_half_load_of_base_p99_ms"]
            / delays["feedback_to_metrics_half_load_of_base_p99_ms"]
        )
    return {
        **against,
        "server_events_per_second": medians["server"],
        "empty_handler_events_per_second": medians["empty"],
        "server_over_empty_handler": medians["server"] / medians["empty"],
        "server_over_empty_handler_by_cpu_time": medians["server_cpu"] / medians["empty_cpu"],
        "feedback_to_metrics_light_p50_ms": _percentile(light, 50),
        "feedback_to_metrics_light_p99_ms": _percentile(light, 99),
        **delays,
    }


def _server(url: str, **settings: str) -> contextlib.AbstractContextManager[Server]:
    # The log has none of these rows: to read it again would prove them gone.
    return service(
        "closedloop.services.metrics_server",
        ELASTICSEARCH_URL=url,
        RESYNC_SECONDS="3600",
        **settings,
    )


def _latencies(server: Server, probes: int, seconds: float = 60.0) -> list[float]:
    """Milliseconds from sending feedback to the end of the first page that counts it."""
    latencies = []
    deadline = time.monotonic() + seconds
    address = urlsplit(server.url).netloc
    with (
        closing(http.client.HTTPConnection(address)) as post,
        closing(http.client.HTTPConnection(address)) as get,
    ):
        for answered, judged in zip(*[loop(probes, "probe")] * 2, strict=True):
            _post(post, answered)
            wanted = _shown(get) + 1
            start = time.perf_counter()
            _post(post, judged)
            while _shown(get) < wanted:
                pass
            latencies.append(1000 * (time.perf_counter() - start))
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
    return latencies


def _round_trips(server: Server, probes: int, seconds: float) -> list[float]:
    """Milliseconds of two requests that do nothing: the time of machine and HTTP alone."""
    latencies = []
    deadline = time.monotonic() + seconds
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as connection:
        for event in loop(probes):
            start = time.perf_counter()
            _post(connection, event)
            _post(connection, event)
            latencies.append(1000 * (time.perf_counter() - start))
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
    return latencies


def _post(connection: http.client.HTTPConnection, event: Event) -> None:
    connection.request("POST", "/", event.body, event.headers())
    answer = connection.getresponse()
    if answer.status != 202:
        raise RuntimeError(f"the server answered {answer.status} {answer.read()!r}: 202 expected")
    answer.read()


def _shown(connection: http.client.HTTPConnection) -> float:
    connection.request("GET", "/metrics")
    found = _CORRECT.search(connection.getresponse().read())
    return float(found.group(1)) if found else 0.0


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    for name, value in run(*map(int, sys.argv[1:])).items():
        print(f"{name:50} {value:10.2f}")
