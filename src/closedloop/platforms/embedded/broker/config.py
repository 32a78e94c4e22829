"""The brokers and triggers to serve: a JSON file that the platform writes and the broker reads."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from closedloop.platforms.embedded.desired import Trigger
from closedloop.validation import first_fault


class InvalidConfig(ValueError):
    """A configuration that cannot be served; one sentence names the field."""


@dataclass(frozen=True, slots=True)
class Config:
    """The names of the brokers, and the triggers by name; names are `namespace/name`.

    A trigger whose broker is not among `brokers` waits for it.
    """

    brokers: frozenset[str] = frozenset()
    triggers: Mapping[str, Trigger] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _File:
    brokers: list[str]
    triggers: list[Trigger]


_FILE = TypeAdapter(_File)


def read(path: Path) -> Config:
    """Read the file. Raises OSError when it cannot be read and `InvalidConfig`."""
    return from_json(path.read_bytes())


def from_json(document: bytes) -> Config:
    """Read a configuration. Raises `InvalidConfig`."""
    try:
        file = _FILE.validate_json(document)
    except ValidationError as error:
        raise InvalidConfig(f"the configuration cannot be used: {first_fault(error)}") from None
    return Config(frozenset(file.brokers), {trigger.name: trigger for trigger in file.triggers})


def to_json(brokers: Iterable[str], triggers: Iterable[Trigger]) -> str:
    """A configuration as it is read."""
    return json.dumps(asdict(_File(list(brokers), list(triggers))), indent=1)
