"""Namespace: a name, which objects and pods carry and nothing here enforces."""

from collections.abc import Iterator
from typing import Literal

from closedloop.platforms.embedded.reconcile.kinds.base import ClusterOnly, Fault, Manifested


class Namespace(Manifested):
    """core/v1 Namespace."""

    api_version: Literal["v1"]
    kind: Literal["Namespace"]
    spec: ClusterOnly = None

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        if "namespace" in self.metadata.model_fields_set:
            yield Fault(("metadata", "namespace"), "is not for a Namespace: remove it")
