"""The brokers and triggers to serve, read from a JSON file.

The file is `{"brokers": [...], "triggers": [...]}` with the fields of
`BrokerSpec` and `TriggerSpec` as objects (`dataclasses.asdict`).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from closedloop.platforms.embedded.broker.delivery import Delivery, check_url, parse
from closedloop.platforms.embedded.desired import BrokerSpec, TriggerSpec
from closedloop.validation import first_fault

_BROKERS = TypeAdapter(list[BrokerSpec])
_TRIGGERS = TypeAdapter(list[TriggerSpec])
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")


class InvalidConfig(ValueError):
    """A configuration that cannot be served; one sentence names object and field."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger, ready to be served: names are `namespace/name`."""

    name: str
    namespace: str
    broker: str
    filters: Mapping[str, str]
    subscriber: str
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Config:
    """What to serve. A trigger whose broker is not among `brokers` waits for it."""

    brokers: frozenset[str] = frozenset()
    triggers: Mapping[str, Trigger] = field(default_factory=dict)


def read(path: Path) -> Config:
    """Read the file. Raises OSError when it cannot be read and `InvalidConfig`."""
    return from_json(path.read_bytes())


def from_json(document: bytes) -> Config:
    """Read a configuration. Raises `InvalidConfig`."""
    try:
        members = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"the configuration is not JSON ({error}): write it again") from None
    if not isinstance(members, dict) or members.keys() != {"brokers", "triggers"}:
        raise InvalidConfig("the configuration must be an object with brokers and triggers")
    try:
        specs = _BROKERS.validate_python(members["brokers"])
        brokers = {_object_name("broker", spec): _delivery("broker", spec) for spec in specs}
    except ValidationError as error:
        raise InvalidConfig(first_fault(error, "brokers")) from None
    try:
        trigger_specs = _TRIGGERS.validate_python(members["triggers"])
    except ValidationError as error:
        raise InvalidConfig(first_fault(error, "triggers")) from None
    triggers = {}
    for spec in trigger_specs:
        trigger = _trigger(spec, brokers)
        if trigger.name in triggers:
            raise InvalidConfig(f"trigger {trigger.name} is there twice: remove one")
        triggers[trigger.name] = trigger
    return Config(frozenset(brokers), triggers)


def _delivery(kind: str, spec: BrokerSpec | TriggerSpec) -> Delivery:
    """The object's own delivery. Raises `InvalidConfig`."""
    try:
        return parse(spec.delivery)
    except ValueError as error:
        raise InvalidConfig(f"{kind} {spec.namespace}/{spec.name}: {error}") from None


def _trigger(spec: TriggerSpec, brokers: Mapping[str, Delivery]) -> Trigger:
    name = _object_name("trigger", spec)
    for attribute in spec.filters:
        if not _ATTRIBUTE_NAME.fullmatch(attribute):
            raise InvalidConfig(
                f"trigger {name}: filter attribute {attribute!r} is not allowed: "
                "use lower-case letters and digits only"
            )
    try:
        check_url(spec.subscriber)
    except ValueError as error:
        raise InvalidConfig(f"trigger {name}: subscriber is {spec.subscriber!r}: {error}") from None
    broker = f"{spec.namespace}/{spec.broker}"
    # A trigger's delivery replaces its broker's as a whole, never field by field.
    own = _delivery("trigger", spec)
    delivery = own if spec.delivery else brokers.get(broker, own)
    return Trigger(name, spec.namespace, broker, spec.filters, spec.subscriber, delivery)


def _object_name(kind: str, spec: BrokerSpec | TriggerSpec) -> str:
    name = f"{spec.namespace}/{spec.name}"
    if "." in spec.namespace or not all(
        _OBJECT_NAME.fullmatch(part) for part in (spec.namespace, spec.name)
    ):
        raise InvalidConfig(f"{kind} {name!r} is no name of Kubernetes: use a to z, 0 to 9 and -")
    return name
