"""Ctrl-C, SIGTERM and a closed terminal: all end a run in the same, orderly way."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# The exit status by which a shell reports a program that Ctrl-C ended.
INTERRUPTED = 128 + signal.SIGINT

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handled(on_interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `on_interrupt` in the main thread for each such signal while the block runs.

    A signal that was ignored at the start, as SIGHUP is under nohup, stays so.
    Outside the main thread nothing changes.
    """

    def handler(_number: int, _frame: FrameType | None) -> None:
        on_interrupt()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, present in before.items():
        if present is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, present in before.items():
            with suppress(TypeError):  # a handler that was not set from Python cannot be restored
                signal.signal(number, present)


class Interruption:
    """The first interruption of a run.

    While something `running` can be ended, the signal ends it and the run goes
    on to its orderly close; at any other time KeyboardInterrupt is raised. In
    the closing phase further signals are ignored: it is short, and a second
    Ctrl-C must not leave half of it.
    """

    def __init__(self) -> None:
        self.happened = False
        self._end: Callable[[], None] | None = None
        self._closing = False

    def running(self, end: Callable[[], None] | None) -> None:
        """Set the function that ends the running notebook; None when none runs."""
        self._end = end

    def close(self) -> None:
        """The run is being shut down."""
        self._closing = True

    def __call__(self) -> None:
        if self._closing:
            return
        self.happened = True
        if self._end is None:
            raise KeyboardInterrupt
        self._end()
