"""The base of the walkthrough, in one place: every part, and the manifests of all models.

`closedloop up`, `closedloop run` and the notebooks after the first one all
install exactly this; where it is there already nothing changes.
"""

import sys
from dataclasses import dataclass

from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import Platform, Report


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: install a part, or apply manifests and wait for the objects named.

    `wait` holds (kind, name, namespace, condition).
    """

    name: str
    part: str = ""
    manifests: tuple[str, ...] = ()
    wait: tuple[tuple[str, str, str, str], ...] = ()


STEPS = (
    Step("namespaces", manifests=("namespaces",)),
    *(Step(part, part=part) for part in PARTS),
    Step("gateway", manifests=("istio/gateway.yaml",)),
    Step("monitors, rules and dashboards", manifests=("monitoring", "dashboards")),
    Step(
        # A broker is not ready before the Service of its dead-letter sink exists.
        "broker",
        manifests=("request-logger/service.yaml", "knative-eventing/broker.yaml"),
        wait=(("Broker", "default", "seldon-logs", "Ready"),),
    ),
    Step(
        # The declarations of outputs are there before the services that read them start.
        "request logger",
        manifests=("models/outputs.yaml", "request-logger"),
        wait=(("Deployment", "seldon-request-logger", "seldon-logs", "Available"),),
    ),
    Step(
        "metrics server",
        manifests=("metrics-server",),
        wait=(("Deployment", "seldon-metrics-server", "seldon-logs", "Available"),),
    ),
    Step(
        "alert logger",
        manifests=("alert-logger",),
        wait=(("Deployment", "alert-logger", "seldon-logs", "Available"),),
    ),
)


def install_everything(platform: Platform, report: Report | None = None) -> None:
    """Do every step in its order; `report` is called with the name of each before it begins.

    Before the first it is told each step of starting the platform. Without
    `report` the names appear on one line, as they come. Raises `PlatformError`
    from the step that failed.
    """
    if report is not None:
        _do(platform, report)
        return
    try:
        _do(platform, _name)
    finally:
        _write("\n")


def _do(platform: Platform, report: Report) -> None:
    platform.start(report)
    for step in STEPS:
        report(step.name)
        if step.part:
            platform.install(step.part)
        if step.manifests:
            platform.apply(*step.manifests)
        for kind, name, namespace, condition in step.wait:
            platform.wait(kind, name, namespace, condition=condition)


def _name(what: str, share: float | None = None) -> None:  # noqa: ARG001  # a `Report`
    _write(f"{what} … ")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
