"""ConfigMap and Secret: text that containers take into their environment."""

import base64
import binascii
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.reconcile.kinds.base import ClusterOnly, Fault, Manifested


class ConfigMap(Manifested):
    """core/v1 ConfigMap."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    data: dict[str, str] = Field(default={})
    binary_data: ClusterOnly = None  # no environment variable can hold it
    immutable: ClusterOnly = None

    def values(self) -> dict[str, str]:
        return self.data


class Secret(Manifested):
    """core/v1 Secret; `stringData` wins over `data`, as on a server."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    type: ClusterOnly = None
    data: dict[str, str] = Field(default={})
    string_data: dict[str, str] = Field(default={})
    immutable: ClusterOnly = None

    def values(self) -> dict[str, str]:
        decoded = {name: base64.b64decode(text).decode() for name, text in self.data.items()}
        return decoded | self.string_data

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        for name, text in self.data.items():
            try:
                base64.b64decode(text, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                # The value is a secret: it is not shown.
                yield Fault(("data", name), "is not text in base64: encode it, or use stringData")
