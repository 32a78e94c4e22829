"""The kinds of core/v1 with an effect here, and those that only a cluster has a use for."""

import base64
import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, create_model

from closedloop.platforms.embedded.kinds.base import (
    Fault,
    Manifested,
    Port,
    PortRef,
    Strict,
)

# A key that an API server takes, which becomes the name of a file.
_KEY = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z0-9]{1,253}")


class Namespace(Manifested, cluster_only="spec"):
    """A name, which objects and pods carry and nothing here enforces."""

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        if "namespace" in self.metadata.model_fields_set:
            yield Fault(("metadata", "namespace"), "is not for a Namespace: remove it")


class ConfigMap(Manifested, cluster_only="immutable"):
    """Text for the environment of containers, and files of a volume."""

    data: dict[str, str] = Field(default={})
    binary_data: dict[str, str] = Field(default={})  # in files only: no variable can hold it

    def values(self) -> dict[str, str]:
        return self.data

    def files(self) -> dict[str, bytes]:
        """The files to mount, by key."""
        decoded = {name: base64.b64decode(text) for name, text in self.binary_data.items()}
        return {name: text.encode() for name, text in self.data.items()} | decoded

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        for field, given in (("data", self.data), ("binaryData", self.binary_data)):
            for name in given:
                if not _KEY.fullmatch(name):
                    yield Fault(
                        (field, name),
                        "is no key: use letters, digits, '-', '_' and '.', and not '..' first",
                    )
        for name, text in self.binary_data.items():
            try:
                base64.b64decode(text, validate=True)
            except ValueError:
                yield Fault(("binaryData", name), "is not base64: encode it, or use data")
            if name in self.data:
                yield Fault(("binaryData", name), "is a key of data, too: remove one of them")


class Secret(Manifested, cluster_only="type immutable"):
    """Text for the environment of containers; `stringData` wins over `data`, as on a server."""

    data: dict[str, str] = Field(default={})
    string_data: dict[str, str] = Field(default={})

    def values(self) -> dict[str, str]:
        decoded = {name: base64.b64decode(text).decode() for name, text in self.data.items()}
        return decoded | self.string_data

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        for name, text in self.data.items():
            try:
                base64.b64decode(text, validate=True).decode()
            except ValueError:
                # The value is a secret: it is not shown.
                yield Fault(("data", name), "is not text in base64: encode it, or use stringData")


class PortSpec(Strict, cluster_only="appProtocol nodePort"):
    """One port; `targetPort` is the same number when it is not given."""

    name: str = ""
    port: Port
    target_port: PortRef | None = None
    protocol: Literal["TCP"] = "TCP"


class ServiceSpec(
    Strict,
    cluster_only="clusterIP clusterIPs ipFamilies ipFamilyPolicy internalTrafficPolicy",
):
    """The spec of a Service. A node port and a cluster address mean nothing on one machine."""

    selector: dict[str, str] = Field(min_length=1)
    ports: list[PortSpec] = Field(min_length=1)
    type: Literal["ClusterIP", "NodePort"] = "ClusterIP"
    session_affinity: Literal["None"] = "None"


class Service(Manifested):
    """A stable address in front of the pods that a selector matches."""

    spec: ServiceSpec

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        ports = self.spec.ports
        for field in ("name", "port"):
            seen = set()
            for index, port in enumerate(ports):
                value = getattr(port, field)
                if value in seen:
                    yield Fault(("spec", "ports", index, field), f"is {value!r} twice: change one")
                seen.add(value)


def unread(fields: str) -> type[Manifested]:
    """A kind that guards or places pods in a cluster, whose `fields` are accepted and not read.

    One folder of manifests serves both platforms. One machine has no nodes to
    drain, nothing listens beyond loopback, and every process runs as the user
    who started the platform.
    """
    return create_model("ClusterOnly", __base__=Manifested, __cls_kwargs__={"cluster_only": fields})
