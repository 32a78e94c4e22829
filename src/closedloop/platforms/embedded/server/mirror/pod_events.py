"""The events of pods: from the states of their processes at one look and the next."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from closedloop.platforms.embedded.run.pods import LivePod
from closedloop.platforms.embedded.run.supervisor import Exit, Supervised
from closedloop.platforms.embedded.server.mirror.events import Events
from closedloop.platforms.embedded.server.store import Key, Store

# Seconds in which a process that was just started may fail its probe without a word.
_STARTING = 1.0


@dataclass(slots=True)
class _Seen:
    """What was seen of a process of one pod."""

    uid: str
    since: float
    started: str = ""
    exit: Exit | None = None
    ready: bool = False
    unhealthy: str = ""
    killing: bool = False


class PodEvents:
    """Records what changed of pods since the last look."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._seen: dict[tuple[Key, str], _Seen] = {}

    def look(self, pods: Mapping[Key, LivePod]) -> None:
        """Record what is new of pods."""
        there = set()
        for key, pod in pods.items():
            for one in pod.processes:
                name = one.process.name
                there.add((key, name))
                seen = self._seen.get((key, name))
                if seen is None or seen.uid != pod.uid:
                    seen = self._seen[key, name] = _Seen(pod.uid, time.monotonic())
                self._look(key, pod, one, seen)
        for gone in self._seen.keys() - there:
            del self._seen[gone]

    def _look(self, key: Key, pod: LivePod, one: Supervised, seen: _Seen) -> None:
        name = one.process.name
        own_exit = one.exit if one.exit is not None and one.exit.started >= pod.born else None
        if own_exit is not None and own_exit != seen.exit and not pod.draining:
            seen.exit, seen.ready = own_exit, False
            if pod.restarts_of(one):
                text = f"Back-off restarting failed container {name}: {one.reason}"
                self._note(key, name, "BackOff", text, warning=True)
        if one.pid is not None and one.started > seen.started and one.started >= pod.born:
            seen.started, seen.since, seen.unhealthy = one.started, time.monotonic(), ""
            self._note(key, name, "Started", f"Started container {name}")
        if pod.draining and not seen.killing:
            seen.killing = True
            self._note(key, name, "Killing", f"Stopping container {name}")
        elif not pod.draining:
            self._probes(key, one, seen)

    def _probes(self, key: Key, one: Supervised, seen: _Seen) -> None:
        if one.state == "ready":
            seen.ready, seen.unhealthy = True, ""
            return
        if one.reason.startswith("not alive: "):
            text = "Liveness probe failed: " + one.reason.removeprefix("not alive: ")
        elif one.pid is not None and one.reason:
            why = one.reason.rpartition(", now ")[2]
            text = f"Readiness probe failed: {why}"
            if not seen.ready and time.monotonic() - seen.since < _STARTING:
                return
        else:
            return
        if text != seen.unhealthy:
            seen.unhealthy = text
            self._note(key, one.process.name, "Unhealthy", text, warning=True)

    def _note(self, key: Key, part: str, reason: str, text: str, *, warning: bool = False) -> None:
        if (about := self._store.get(key)) is not None:
            self._events.record(about, reason, text, part=part, warning=warning)
