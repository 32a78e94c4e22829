"""Prometheus' configuration, with the labels that the Prometheus operator gives.

The configuration changes with PodMonitors and rules and needs a reload; the
targets change with pods and do not: Prometheus watches their files.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel

from closedloop.manifests import ManifestError
from closedloop.platforms.embedded.desired import Desired, ScrapeTarget
from closedloop.platforms.embedded.run.endpoints import Addressed, selects
from closedloop.validation import first_fault

CONFIG = "prometheus.yml"
RULES, TARGETS = "rules", "targets"


class _Argument(BaseModel):
    name: str
    value: str = ""


class _Spec(BaseModel, alias_generator=to_camel):
    scrape_interval: str = "30s"
    evaluation_interval: str = "30s"
    retention: str = "10d"
    additional_args: list[_Argument] = Field(default=[])


class _Prometheus(BaseModel):
    prometheus_spec: _Spec = Field(default=_Spec(), alias="prometheusSpec")


class _Values(BaseModel, title="monitoring/values.yaml"):
    prometheus: _Prometheus = _Prometheus()


def arguments(values: Mapping[str, object]) -> list[str]:
    """Flags of Prometheus that `monitoring/values.yaml` asks for. Raises `ManifestError`."""
    spec = _spec(values)
    flags = [f"--storage.tsdb.retention.time={spec.retention}"]
    return flags + [
        f"--{argument.name}={argument.value}" if argument.value else f"--{argument.name}"
        for argument in spec.additional_args
    ]


def render(
    directory: Path,
    desired: Desired,
    pods: Iterable[Addressed],
    *,
    values: Mapping[str, object],
    alertmanager: str | None,
) -> dict[str, object]:
    """The content of Prometheus' files by path below `directory`, for YAML or JSON.

    `prometheus.yml` and `rules/…` need a reload when they change; `targets/…`
    do not, and are replaced by renaming. `alertmanager` is `host:port`.
    Raises `ManifestError`.
    """
    spec = _spec(values)
    named = _named(desired.scrapes)
    running = list(pods)
    config: dict[str, object] = {
        "global": {
            "scrape_interval": spec.scrape_interval,
            "evaluation_interval": spec.evaluation_interval,
        },
        "rule_files": [str(directory / RULES / name) for name in sorted(desired.rules)],
        "scrape_configs": [
            {
                "job_name": name,
                "metrics_path": scrape.path,
                "file_sd_configs": [{"files": [str(directory / _targets_file(name))]}],
                **({"scrape_interval": scrape.interval} if scrape.interval else {}),
            }
            for name, scrape in named.items()
        ],
    }
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return {
        CONFIG: config,
        **{f"{RULES}/{name}": groups for name, groups in desired.rules.items()},
        **{_targets_file(name): _targets(scrape, running) for name, scrape in named.items()},
    }


def _spec(values: Mapping[str, object]) -> _Spec:
    try:
        return _Values.model_validate(values).prometheus.prometheus_spec
    except ValidationError as error:
        raise ManifestError([f"{error.title}: {first_fault(error)}"]) from None


def _named(scrapes: Sequence[ScrapeTarget]) -> dict[str, ScrapeTarget]:
    """Scrapes by the operator's name for them: `podMonitor/<namespace>/<name>/<index>`."""
    counts: dict[str, int] = {}
    named = {}
    for scrape in scrapes:
        index = counts.get(scrape.job, 0)
        counts[scrape.job] = index + 1
        named[f"podMonitor/{scrape.job}/{index}"] = scrape
    return named


def _targets_file(name: str) -> str:
    return f"{TARGETS}/{name.replace('/', '_')}.json"


def _targets(scrape: ScrapeTarget, pods: Iterable[Addressed]) -> list[dict[str, object]]:
    """One target for each container that has the port, ready or not, as in a cluster."""
    return [
        {
            "targets": [f"{one.address}:{process.ports[scrape.port]}"],
            "labels": {
                "job": scrape.job,
                "namespace": one.pod.namespace,
                "pod": one.name,
                "container": process.name,
                "endpoint": scrape.port,
            },
        }
        for one in pods
        if scrape.namespace in (None, one.pod.namespace) and selects(scrape.selector, one.pod)
        for process in one.pod.processes
        if scrape.port in process.ports
    ]
