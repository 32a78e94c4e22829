"""The world behind the page: one for all browsers, sampled once a second, whoever looks."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from closedloop.live import samples
from closedloop.live.controls import Controls
from closedloop.live.models import set_up
from closedloop.live.shown import View
from closedloop.live.traffic import Streams
from closedloop.live.view import view
from closedloop.platforms.protocol import Platform, PlatformError

_EVERY = 1.0  # seconds between two looks at Prometheus, whose rules are evaluated as often
_OBJECTS_EVERY = 2.0  # between two looks at log and API server, if they are quick
_SHARE = 5  # of its time the comparison takes one part in so many: the log grows


class _Closed(Exception):
    """The page was closed while it was set up."""


class World:
    """Sets up what the page needs, samples it, and removes what it made.

    A platform that is `ours` is shut down by `close`; on another one the models
    that were deployed here are deleted, and nothing else.
    """

    def __init__(self, platform: Platform, streams: Streams, *, ours: bool) -> None:
        self.controls = Controls(platform, streams)
        self._platform, self._ours = platform, ours
        self.controls.waits = "Setting up …"
        self._metrics, self._objects = samples.Metrics(), samples.Objects()
        self._deployed: list[str] = []
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=each, daemon=True)
            for each in (self._set_up, self._watch_metrics, self._watch_objects)
        ]

    @property
    def view(self) -> View:
        """What there is to see now."""
        return view(self._metrics, self._objects, self.controls.state, self.controls.waits)

    def open(self) -> None:
        """Begin to set up and to sample."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End what runs and remove what was made. Raises PlatformError."""
        self._closed.set()
        if self._ours:
            self._platform.down()  # what still asks it for something fails at once
        self.controls.close()
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join()
        if self._ours:
            self._platform.down()  # a step of the set-up may have begun it anew
        elif self._deployed:
            self._platform.delete(*self._deployed)

    def _set_up(self) -> None:
        def report(what: str, share: float | None = None) -> None:
            if self._closed.is_set():
                raise _Closed
            done = "" if share is None else f", {share:.0%}"
            self.controls.waits = f"Setting up: {what}{done} …"

        try:
            set_up(self._platform, report, self._deployed.append)
            self.controls.waits = ""
        except PlatformError as error:
            self.controls.waits = f"The set-up failed: {error}"
        except _Closed:
            pass

    def _watch_metrics(self) -> None:
        def look() -> None:
            self._metrics = samples.metrics(self._platform)

        self._repeat(look, _EVERY)

    def _watch_objects(self) -> None:
        def look() -> None:
            found = samples.objects(self._platform)
            if found.comparison is None and found.has_pair:  # the log may answer again soon
                found = replace(found, comparison=self._objects.comparison)
            self._objects = found

        self._repeat(look, _OBJECTS_EVERY)

    def _repeat(self, look: Callable[[], None], every: float) -> None:
        while not self._closed.is_set():
            begun = time.monotonic()
            look()
            took = time.monotonic() - begun
            self._closed.wait(max(every - took, _SHARE * took))
