"""Seldon's real wrapper around a model class of ours, as a process with a client."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from closedloop.notebook.waiting import until

IRIS = "closedloop.models.iris_classifier.IrisClassifier"
SKLEARN = "closedloop.models.sklearn_server.SKLearnServer"

# A setosa, a versicolor and a virginica about which every model agrees.
FLOWERS = ([5.1, 3.5, 1.4, 0.2], [5.7, 2.8, 4.1, 1.3], [7.7, 2.6, 6.9, 2.3])


@dataclass
class Wrapper:
    url: str
    metrics_url: str
    process: subprocess.Popen[bytes]

    def predict(self, *rows: object, puid: str = "") -> requests.Response:
        return self.post("/predict", {"data": {"ndarray": list(rows)}}, puid)

    def feedback(self, message: object, puid: str = "") -> requests.Response:
        return self.post("/send-feedback", message, puid)

    def post(self, path: str, body: object, puid: str = "") -> requests.Response:
        headers = {"Seldon-Puid": puid} if puid else {}
        return requests.post(self.url + path, json=body, headers=headers, timeout=60)

    def samples(self, name: str, **labels: str) -> list[Sample]:
        text = requests.get(self.metrics_url, timeout=60).text
        return [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        (sample,) = self.samples(name, **labels)
        return sample.value


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def environment(http: int, metrics: int, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "HOST": "127.0.0.1",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(http),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(metrics),
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "PREDICTIVE_UNIT_ID": "classifier",
        "PREDICTIVE_UNIT_IMAGE": "closedloop/iris:0.1.0",
        "SELDON_DEPLOYMENT_ID": "iris",
        "PREDICTOR_ID": "default",
        "SELDON_LOG_LEVEL": "WARNING",
        **more,
    }


@contextmanager
def wrapper(
    python: Path,
    model: str = IRIS,
    parameters: Mapping[str, str | bool] | None = None,
    stderr: IO[str] | None = None,
    **env: str,
) -> Iterator[Wrapper]:
    """The wrapper once it answers; `parameters` are strings or booleans by name."""
    http, metrics = free_ports(2)
    told = [
        {"name": name, "value": str(value), "type": "BOOL" if value in (True, False) else "STRING"}
        for name, value in (parameters or {}).items()
    ]
    process = subprocess.Popen(
        [python, "-m", "closedloop.models.serve", model],
        env=environment(http, metrics, PREDICTIVE_UNIT_PARAMETERS=json.dumps(told), **env),
        stderr=stderr,
    )
    running = Wrapper(f"http://127.0.0.1:{http}", f"http://127.0.0.1:{metrics}/prometheus", process)
    try:
        wait_until_up(running)
        yield running
    finally:
        process.terminate()
        process.wait(60)


def wait_until_up(running: Wrapper) -> None:
    def up() -> bool:
        assert running.process.poll() is None, "the wrapper ended"
        try:
            requests.get(running.metrics_url, timeout=60)
            return requests.get(f"{running.url}/health/ping", timeout=60).text == "pong"
        except requests.ConnectionError:
            return False

    until(up, bool, what="the wrapper", timeout=60, every=0.05)
