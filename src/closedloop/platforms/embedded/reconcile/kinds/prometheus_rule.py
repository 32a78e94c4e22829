"""PrometheusRule: recording and alerting rules, passed on to Prometheus as they are."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.reconcile.kinds.base import Fault, Manifested, Strict
from closedloop.platforms.embedded.reconcile.kinds.pod_monitor import PrometheusDuration


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
    """What a PrometheusRule wants."""

    groups: list[Group] = Field(min_length=1)


class PrometheusRule(Manifested):
    """monitoring.coreos.com/v1 PrometheusRule."""

    api_version: Literal["monitoring.coreos.com/v1"]
    kind: Literal["PrometheusRule"]
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
