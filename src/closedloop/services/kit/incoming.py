"""Receiving events over HTTP, as request logger and metrics server both do."""

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from closedloop.loop.events import REQUIRED, SECTIONS, UNNAMED, InvalidEvent
from closedloop.loop.observation import Observation, read_event

TYPES = (*SECTIONS.values(), "unknown")
"""The labels by which events are counted; the last is any other `ce-type`."""


class NotAnEvent(ValueError):
    """A request without the attributes that every CloudEvent has; the message says which."""


class Incoming(NamedTuple):
    """An event as it came: `observation`, or the `error` for which it is refused.

    `size` is that of the body, as far as known, of which `body` may be only the beginning.
    """

    headers: Mapping[str, str]
    body: bytes
    size: int
    observation: Observation | None = None
    error: InvalidEvent | None = None

    @property
    def kind(self) -> str:
        """One of `TYPES`."""
        return SECTIONS.get(self.headers.get("ce-type", ""), TYPES[-1])

    @property
    def names(self) -> tuple[str, str, str]:
        """Namespace, deployment and predictor that the event claims to be of."""
        event = self.observation.event if self.observation is not None else None
        if event is not None:
            return event.namespace, event.deployment, event.predictor
        namespace, deployment, predictor = (
            _readable(self.headers.get(name) or absent) for name, absent in UNNAMED.items()
        )
        return namespace, deployment, predictor


def check(headers: Mapping[str, str]) -> None:
    """Raises `NotAnEvent` for headers that are not a CloudEvent's."""
    for name in REQUIRED:
        if not headers.get(name):
            raise NotAnEvent(f"header {name} is missing or empty: send a CloudEvent in binary mode")


def read(headers: Mapping[str, str], body: bytes, size: int, broken: str) -> Incoming:
    """Read one CloudEvent; `closedloop.loop.observation` decides whether it counts."""
    try:
        if broken:
            raise InvalidEvent("bad_encoding", broken)
        if size > len(body):
            raise InvalidEvent(
                "too_large",
                f"the body has {size} bytes or more: send at most {len(body)},"
                " or raise MAX_EVENT_BYTES",
            )
        return Incoming(headers, body, size, read_event(headers, body, orjson.loads))
    except InvalidEvent as error:
        return Incoming(headers, body, size, error=error)


def _readable(name: str) -> str:
    text = name.encode(errors="replace").decode()[:253]
    return "".join(character if character.isprintable() else "?" for character in text)
