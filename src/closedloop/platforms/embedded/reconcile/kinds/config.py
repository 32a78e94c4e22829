"""ConfigMap and Secret: text that containers take into their environment, files of a volume."""

import base64
import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from closedloop.platforms.embedded.reconcile.kinds.base import ClusterOnly, Fault, Manifested

# What an API server takes as a key, which becomes the name of a file.
_KEY = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z0-9]{1,253}")


class ConfigMap(Manifested):
    """core/v1 ConfigMap."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    data: dict[str, str] = Field(default={})
    binary_data: dict[str, str] = Field(default={})  # in files only: no variable can hold it
    immutable: ClusterOnly = None

    def values(self) -> dict[str, str]:
        return self.data

    def files(self) -> dict[str, bytes]:
        """What is mounted, by key."""
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
            except ValueError:
                # The value is a secret: it is not shown.
                yield Fault(("data", name), "is not text in base64: encode it, or use stringData")
