"""Waiting until an object has a condition, and why it has it not."""

import asyncio
import json

from closedloop.platforms.embedded.controller import Controller
from closedloop.platforms.embedded.names import key
from closedloop.platforms.embedded.status import CONDITIONS, met
from closedloop.platforms.embedded.view import Document, find
from closedloop.platforms.protocol import PlatformError

_LOG_LINES = 20


async def wait(
    platform: Controller, kind: str, name: str, namespace: str, condition: str, timeout: float
) -> Document:
    """The object when it has the condition, an empty one when it was to be `Deleted`.

    Raises `PlatformError` with status, recent events and last log lines after
    `timeout` seconds, and at once for a condition that the kind does not have.
    """
    deleted = condition.lower() == "deleted"
    if not deleted and kind not in CONDITIONS:
        raise PlatformError(f"a {kind} has no conditions: only Deleted can be waited for")
    if not deleted and condition.lower() not in map(str.lower, CONDITIONS[kind]):
        known = ", ".join(CONDITIONS[kind])
        raise PlatformError(f"a {kind} has no condition {condition}: name one of {known}")
    seen = -1
    try:
        async with asyncio.timeout(timeout):
            while True:
                one = find(platform, kind, name, namespace)
                if deleted and one is None and platform.is_gone(key(kind, name, namespace)):
                    return {}
                if not deleted and one is not None and met(one.get("status"), condition):
                    return one
                seen = await platform.changes.after(seen)
    except TimeoutError:
        raise PlatformError(_why_not(platform, kind, name, namespace, condition, timeout)) from None


def _why_not(
    platform: Controller, kind: str, name: str, namespace: str, condition: str, timeout: float
) -> str:
    title = key(kind, name, namespace)
    one = find(platform, kind, name, namespace)
    if one is None and condition.lower() != "deleted":
        return f"{title} is not there after {timeout:g} s: apply it"
    head = f"{title} is not {condition} after {timeout:g} s"
    pieces = [head, "status: " + json.dumps((one or {}).get("status", {}))]
    if events := platform.events(title):
        pieces.append("events:\n" + "\n".join(f"  {event}" for event in events[-10:]))
    try:
        lines = platform.running.logs(f"{namespace or 'default'}/{name}", _LOG_LINES)
    except PlatformError:
        lines = ""
    if kind in ("Broker", "Trigger") and "broker" in platform.running.parts:
        lines = platform.running.logs("broker", _LOG_LINES)
    if lines:
        pieces.append(f"log:\n{lines}")
    return "\n".join(pieces)
