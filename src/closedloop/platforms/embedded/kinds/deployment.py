"""Deployment: our own components."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.kinds.base import (
    ClusterOnly,
    Fault,
    LabelSelector,
    Manifested,
    Strict,
)
from closedloop.platforms.embedded.kinds.pod import PodTemplate, pod_faults


class Strategy(Strict):
    """New pods are ready before old ones go; there is no other way here."""

    type: Literal["RollingUpdate"] = "RollingUpdate"
    rolling_update: ClusterOnly = None


class DeploymentSpec(Strict):
    """The spec of a Deployment."""

    replicas: int = Field(default=1, ge=0)
    selector: LabelSelector
    template: PodTemplate
    strategy: Strategy = Strategy()
    revision_history_limit: ClusterOnly = None
    progress_deadline_seconds: ClusterOnly = None
    min_ready_seconds: ClusterOnly = None


class Deployment(Manifested):
    """Our own components: pods of one template, replaced without a gap."""

    spec: DeploymentSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        labels = self.spec.template.metadata.labels
        for name, value in self.spec.selector.match_labels.items():
            if labels.get(name) != value:
                yield Fault(
                    ("spec", "selector", "matchLabels", name),
                    f"is {value!r}: spec.template.metadata.labels must have the same",
                )
        yield from pod_faults(self.spec.template.spec, ("spec", "template", "spec"))
        for index, container in enumerate(self.spec.template.spec.containers):
            if not container.image:
                path = ("spec", "template", "spec", "containers", index, "image")
                yield Fault(path, "is missing: add it")
