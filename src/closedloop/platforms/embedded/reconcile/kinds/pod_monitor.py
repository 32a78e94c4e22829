"""PodMonitor: which pods Prometheus scrapes."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from closedloop.platforms.embedded.reconcile.kinds.base import (
    Fault,
    LabelSelector,
    Manifested,
    Strict,
)

_DURATION = re.compile(r"^(?=.)(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$")


def _duration(value: str) -> str:
    if not _DURATION.match(value):
        raise ValueError("a duration of Prometheus is such as 30s or 1m30s")
    return value


PrometheusDuration = Annotated[str, AfterValidator(_duration)]


class NamespaceSelector(Strict):
    """Namespaces of the pods: any, those named, or the PodMonitor's own."""

    any: bool = False
    match_names: list[str] = Field(default=[])


class Endpoint(Strict):
    """A port of the pods and the path to scrape there."""

    port: str
    path: str = "/metrics"
    interval: PrometheusDuration | None = None
    scheme: Literal["http"] = "http"


class PodMonitorSpec(Strict):
    """What a PodMonitor wants."""

    selector: LabelSelector
    namespace_selector: NamespaceSelector = NamespaceSelector()
    pod_metrics_endpoints: list[Endpoint] = Field(min_length=1)


class PodMonitor(Manifested):
    """monitoring.coreos.com/v1 PodMonitor."""

    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["PodMonitor"]
    spec: PodMonitorSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        chosen = self.spec.namespace_selector
        if chosen.any and chosen.match_names:
            yield Fault(("spec", "namespaceSelector"), "has any and matchNames: keep one")
