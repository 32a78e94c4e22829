import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop.manifests import ManifestError, load_values
from closedloop.platforms.embedded.desired import Desired, ScrapeTarget
from closedloop.platforms.embedded.monitoring import prometheus
from tests.platforms.embedded.reconcile.objects import (
    MANIFESTS,
    manifest,
    predictor,
    reconcile,
    seldon_deployment,
)
from tests.platforms.embedded.run.addressed import AddressedPod

VALUES = load_values(MANIFESTS / "monitoring/values.yaml")
FOLDER = Path("/p")


def render(desired: Desired, *, alertmanager: str | None = None) -> dict[str, Any]:
    pods = [
        AddressedPod(pod, f"pod-{index}", f"127.1.0.{index}")
        for index, pod in enumerate(desired.pods)
    ]
    return prometheus.render(FOLDER, desired, pods, values=VALUES, alertmanager=alertmanager)


def test_both_containers_of_a_model_are_targets() -> None:
    files = render(
        reconcile(
            seldon_deployment(predictor(), predictor("b", shadow=True)),
            manifest("monitoring/podmonitor-seldon.yaml"),
        )
    )
    targets = files["targets/podMonitor_monitoring_seldon-models_0.json"]
    assert [one["targets"][0] for one in targets] == [
        "127.1.0.0:6000",
        "127.1.0.0:8000",
        "127.1.0.1:6001",
        "127.1.0.1:8000",
    ]
    assert targets[1]["labels"] == {
        "job": "monitoring/seldon-models",
        "namespace": "ns",
        "pod": "pod-0",
        "container": "seldon-container-engine",
        "endpoint": "metrics",
    }


def test_the_configuration_follows_values_and_monitors() -> None:
    files = render(
        reconcile(
            manifest("monitoring/podmonitor-components.yaml"), manifest("monitoring/rules.yaml")
        ),
        alertmanager="127.0.0.1:9093",
    )
    assert files["prometheus.yml"] == {
        "global": {"scrape_interval": "15s", "evaluation_interval": "1s"},
        "rule_files": ["/p/rules/monitoring-closedloop.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]},
        "scrape_configs": [
            {
                "job_name": "podMonitor/monitoring/closedloop-components/0",
                "metrics_path": "/metrics",
                "scrape_interval": "1s",
                "file_sd_configs": [
                    {"files": ["/p/targets/podMonitor_monitoring_closedloop-components_0.json"]}
                ],
            }
        ],
    }
    groups = manifest("monitoring/rules.yaml")["spec"]["groups"]
    assert files["rules/monitoring-closedloop.yaml"] == {"groups": groups}


def test_a_monitor_selects_namespaces() -> None:
    document = manifest("monitoring/podmonitor-components.yaml")
    logger = manifest("request-logger/deployment.yaml")
    counts = {}
    for name, chosen in {
        "any": {"any": True},
        "its": {"matchNames": ["seldon-logs"]},
        "own": {},
        "two": {"matchNames": ["a", "seldon-logs"]},
    }.items():
        document["spec"]["namespaceSelector"] = chosen
        files = render(reconcile(document, logger))
        counts[name] = [
            len(content) for path, content in files.items() if path.startswith("targets")
        ]
    assert counts == {"any": [1], "its": [1], "own": [0], "two": [0, 1]}


def test_names_stay_apart_when_a_monitor_has_two_endpoints() -> None:
    scrapes = tuple(ScrapeTarget("ns/m", None, {}, port, "/metrics") for port in ("a", "b"))
    files = render(Desired(scrapes=scrapes))
    jobs = [one["job_name"] for one in files["prometheus.yml"]["scrape_configs"]]
    assert jobs == ["podMonitor/ns/m/0", "podMonitor/ns/m/1"]


def test_flags_of_the_values() -> None:
    assert prometheus.arguments(VALUES) == [
        "--storage.tsdb.retention.time=1d",
        "--rules.alert.resend-delay=1s",
    ]


def test_wrong_values_are_one_sentence() -> None:
    values = {"prometheus": {"prometheusSpec": {"retention": 3}}}
    with pytest.raises(ManifestError) as caught:
        prometheus.arguments(values)
    assert caught.value.sentences == (
        (
            "monitoring/values.yaml: prometheus.prometheusSpec.retention is 3:"
            " it must be a valid string"
        ),
    )


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool of Prometheus is not on PATH"
)
def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    desired = reconcile(
        *(manifest(f"monitoring/{name}.yaml") for name in ("podmonitor-seldon", "rules")),
        manifest("models/sklearn.yaml"),
    )
    pods = [AddressedPod(pod, "p", "127.1.0.1") for pod in desired.pods]
    files = prometheus.render(tmp_path, desired, pods, values=VALUES, alertmanager="127.0.0.1:1")
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        dump = json.dumps if path.suffix == ".json" else yaml.safe_dump
        path.write_text(dump(content))
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
