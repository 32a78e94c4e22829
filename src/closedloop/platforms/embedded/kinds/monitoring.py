"""PodMonitor and PrometheusRule: the targets and the rules of Prometheus."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from closedloop.platforms.embedded.kinds.base import Fault, LabelSelector, Manifested, Strict

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
    """The spec of a PodMonitor."""

    selector: LabelSelector
    namespace_selector: NamespaceSelector = NamespaceSelector()
    pod_metrics_endpoints: list[Endpoint] = Field(min_length=1)


class PodMonitor(Manifested):
    """Which pods Prometheus scrapes."""

    spec: PodMonitorSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        chosen = self.spec.namespace_selector
        if chosen.any and chosen.match_names:
            yield Fault(("spec", "namespaceSelector"), "has any and matchNames: keep one")


class Rule(Strict):
    """A rule: `record` or `alert`, and the expression."""

    model_config = Strict.model_config | {"alias_generator": None}

    record: str | None = None
    alert: str | None = None
    expr: str
    for_: PrometheusDuration | None = Field(default=None, alias="for")
    keep_firing_for: PrometheusDuration | None = None
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class Group(Strict):
    """Rules that are evaluated together, one after the other."""

    model_config = Strict.model_config | {"alias_generator": None}

    name: str
    interval: PrometheusDuration | None = None
    limit: int | None = None
    rules: list[Rule] = Field(default=[])


class PrometheusRuleSpec(Strict):
    """The spec of a PrometheusRule."""

    groups: list[Group] = Field(min_length=1)


class PrometheusRule(Manifested):
    """Recording and alerting rules, passed on to Prometheus as they are."""

    spec: PrometheusRuleSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        names = set()
        for i, group in enumerate(self.spec.groups):
            if group.name in names:
                yield Fault(("spec", "groups", i, "name"), f"is {group.name!r} twice: change one")
            names.add(group.name)
            for j, rule in enumerate(group.rules):
                at = ("spec", "groups", i, "rules", j)
                if (rule.record is None) == (rule.alert is None):
                    yield Fault(at, "must have either record or alert")
                elif rule.record is not None and (
                    rule.annotations or rule.for_ or rule.keep_firing_for
                ):
                    yield Fault(at, "records: for, keep_firing_for and annotations are for alerts")
