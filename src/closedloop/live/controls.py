"""The controls of the live page: each asks the code that the notebooks and commands ask."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from closedloop.judging.comparison import disagreements
from closedloop.judging.decision import Verdict
from closedloop.judging.present import KIND, present_pair
from closedloop.judging.promotion import Promotion, PromotionError, promote, roles
from closedloop.live.models import METRICS_SERVER, NAMESPACE, PAIR, SINGLE
from closedloop.live.samples import compared, log
from closedloop.live.traffic import Streams, send_unknown_class
from closedloop.log.pages import NothingLoggedError
from closedloop.platforms.parts import GATEWAY
from closedloop.platforms.protocol import Platform, PlatformError

_log = logging.getLogger(__name__)

STEP = 0.1
_KEPT = 50  # sentences
_FAULTS = (PlatformError, PromotionError, NothingLoggedError, TimeoutError)


class _Refused(Exception):
    """A control that does nothing now; one sentence with the reason."""


@dataclass(frozen=True, slots=True)
class Event:
    """A sentence about a control: `kind` is done, refused or failed; `at` in seconds (epoch)."""

    at: float
    kind: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Controlled:
    """The state that the controls are in, the same for every browser."""

    running: bool = False
    correctness: float = 0.9
    failed: int = 0
    trouble: str = ""
    doing: str = ""
    can_undo: bool = False
    events: Sequence[Event] = ()


class Controls:
    """Everything that a browser may ask for. No call waits: longer tasks are done one by one."""

    def __init__(self, platform: Platform, streams: Streams) -> None:
        self._platform, self._streams = platform, streams
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self.waits = ""
        """Why nothing can be asked for yet; empty when everything can."""
        self._promotions = 0  # that were not undone
        self._doing = ""
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="controls")

    @property
    def state(self) -> Controlled:
        """The present state."""
        return Controlled(
            running=self._streams.running,
            correctness=self._streams.correctness,
            failed=self._streams.failed,
            trouble=self._streams.trouble,
            doing=self._doing,
            can_undo=self._promotions > 0,
            events=tuple(self._events),
        )

    def close(self) -> None:
        """End the traffic, begin nothing more, and wait for the task under way."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._streams.stop()

    def switch_traffic(self) -> None:
        """Start the traffic, or stop it."""
        if self._streams.running:
            self._ask("stopping the traffic", self._stop)
        else:
            self._ask("starting the traffic", self._start)

    def correct(self, by: float) -> None:
        """Raise or lower the share of correct answers of the single model, from 0 to 1."""
        self._streams.correctness = min(1.0, max(0.0, round(self._streams.correctness + by, 2)))
        self.say("done", f"Of {SINGLE}'s truths {self._streams.correctness:.0%} now agree.")

    def kill_metrics_server(self) -> None:
        """Kill the metrics server, without time to end; it restores its state from the log."""
        self._ask("killing the metrics server", self._kill)

    def promote(self, *, anyway: bool) -> None:
        """Let the challenger serve, if the evidence says so or `anyway`."""
        self._ask("promoting", lambda: self._promote(anyway))

    def undo(self) -> None:
        """Swap the roles of the last promotion back."""
        self._ask("undoing the promotion", self._undo)

    def send_unknown_class(self) -> None:
        """Send the single model a truth that is none of its classes."""
        self._ask("sending a truth that is no class", self._send_unknown_class)

    def say(self, kind: str, sentence: str) -> None:
        """Add a sentence to those that the page shows."""
        self._events.append(Event(time.time(), kind, sentence))

    def _ask(self, doing: str, act: Callable[[], str]) -> None:
        if self.waits:
            self.say("refused", f"Not {doing} yet. {self.waits}")
            return
        with self._lock:
            if self._doing:
                self.say("refused", f"Not {doing}: the page is still {self._doing}.")
                return
            self._doing = doing
        self._worker.submit(self._do, doing, act)

    def _do(self, doing: str, act: Callable[[], str]) -> None:
        try:
            self.say("done", act())
        except _Refused as error:
            self.say("refused", str(error))
        except _FAULTS as error:
            self.say("failed", f"{doing.capitalize()} failed: {error}")
        except Exception as error:  # noqa: BLE001 - nobody else would tell of a fault in this thread
            _log.exception("%s failed", doing)
            self.say("failed", f"{doing.capitalize()} failed: {type(error).__name__}: {error}")
        finally:
            self._doing = ""

    def _start(self) -> str:
        self._streams.start(self._platform.url(GATEWAY))
        return "The traffic runs."

    def _stop(self) -> str:
        self._streams.stop()
        return "The traffic has stopped."

    def _kill(self) -> str:
        begun = time.monotonic()
        self._platform.restart(METRICS_SERVER, kill=True)
        took = time.monotonic() - begun
        return f"The metrics server was killed; another one was ready after {took:.1f} s."

    def _promote(self, anyway: bool) -> str:
        if not anyway:
            with log(self._platform) as client:
                decision = compared(self._platform, client).decide()
            if decision.verdict is not Verdict.PROMOTE:
                raise _Refused(f"Not promoted. {decision.sentence}")
        done = self._swap()
        self._promotions += 1
        return f"{done.after.serving} was promoted: {_told(done)}"

    def _undo(self) -> str:
        if not self._promotions:
            raise _Refused("Nothing to undo: this page has promoted no model.")
        done = self._swap()
        self._promotions -= 1
        return f"The promotion was undone: {_told(done)}"

    def _swap(self) -> Promotion:
        who = roles(self._platform.get(KIND, PAIR, NAMESPACE))
        period = present_pair(self._platform, NAMESPACE, PAIR).period
        try:
            with log(self._platform) as client:
                probes = disagreements(
                    client, NAMESPACE, PAIR, who.serving, who.shadow, period, most=5
                )
        except NothingLoggedError:
            probes = []
        return promote(self._platform, NAMESPACE, PAIR, probes=probes)

    def _send_unknown_class(self) -> str:
        tally = send_unknown_class(self._platform.url(GATEWAY))
        if tally.failed:
            raise _Refused(f"No truth could be sent to {SINGLE}: {', '.join(tally.reasons)}.")
        return f"The truth 'tulip' was sent to {SINGLE}, which has no such class."


def _told(done: Promotion) -> str:
    if done.answered_after is None:
        return f"it serves, and {done.after.shadow} is its shadow."
    return f"the gateway's answers were {done.answered_before}'s and are {done.answered_after}'s."
