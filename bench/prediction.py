"""The time that logging adds to a prediction, and how long a warm platform takes to start.

The same model, through the gateway, with its requests logged and, told so by
the header `Seldon-Skip-Logging`, not logged; the two take turns.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from closedloop.paths import parts_folder
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.suite.setup import install_everything

_FLOWER = {"data": {"ndarray": [[5.9, 2.8, 4.3, 1.3]]}}
_SKIP = {"Seldon-Skip-Logging": "true"}


def run(turns: int = 40, each: int = 25) -> dict[str, float]:
    """Latencies are in milliseconds, over `turns` x `each` predictions a side, one at a time."""
    with _home():
        install = EmbeddedPlatform(parent_pid=os.getpid())
        try:
            install_everything(
                install, lambda *_: None
            )  # builds the parts that are not installed yet
        finally:
            install.down()
        platform = EmbeddedPlatform(parent_pid=os.getpid())
        try:
            begin = time.perf_counter()
            install_everything(platform, lambda *_: None)
            base = time.perf_counter() - begin
            platform.apply("metrics-server", "models/sklearn.yaml")
            platform.wait("SeldonDeployment", "sklearn", "seldon", timeout=300)
            model = time.perf_counter() - begin
            on, off = _latencies(platform, turns, each)
        finally:
            platform.down()
    on_p50, on_p99 = _percentiles(on)
    off_p50, off_p99 = _percentiles(off)
    return {
        "warm_start_seconds": base,
        "warm_start_with_a_model_seconds": model,
        "logged_p50_ms": on_p50,
        "logged_p99_ms": on_p99,
        "not_logged_p50_ms": off_p50,
        "not_logged_p99_ms": off_p99,
        "logged_over_not_p50": on_p50 / off_p50,
        "logged_over_not_p99": on_p99 / off_p99,
    }


@contextmanager
def _home() -> Iterator[None]:
    """A platform folder of its own, with the parts that are installed already."""
    parts_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder:
        (Path(folder) / "parts").symlink_to(parts_folder())
        before = os.environ.get("CLOSEDLOOP_HOME")
        os.environ["CLOSEDLOOP_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["CLOSEDLOOP_HOME"]
            else:
                os.environ["CLOSEDLOOP_HOME"] = before


def _latencies(
    platform: EmbeddedPlatform, turns: int, each: int
) -> tuple[list[float], list[float]]:
    gateway = platform.url("istio-system/istio-ingressgateway")
    url = f"{gateway}/seldon/seldon/sklearn/api/v1.0/predictions"
    on: list[float] = []
    off: list[float] = []
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(turns):
            for headers, times in (({}, on), (_SKIP, off)):
                times += [_once(session, url, headers) for _ in range(each)]
    return on, off


def _once(session: requests.Session, url: str, headers: dict[str, str]) -> float:
    begin = time.perf_counter()
    session.post(url, json=_FLOWER, headers=headers, timeout=30).raise_for_status()
    return (time.perf_counter() - begin) * 1000


def _percentiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]
