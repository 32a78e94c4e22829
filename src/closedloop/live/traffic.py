"""Traffic without an end to both deployments of the live page: new flowers, and the truth."""

import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from closedloop.live.models import NAMESPACE, PAIR, SINGLE
from closedloop.models.flowers import simulated
from closedloop.notebook.traffic import Plan, Tally, Traffic
from closedloop.notebook.traffic.plan import Form
from closedloop.seldon import gateway_path

_BLOCK = 1024  # flowers in a plan; the next plan has the next ones
_THREADS = 4  # a slow answer does not hold up the next request


@dataclass(frozen=True, slots=True)
class _Stream:
    model: str
    form: Form
    plans: Iterator[Plan]


class Streams:
    """Both models get `rate` requests/s while it runs, and `share` of them a truth.

    Of the single model `correctness` is the share of truths that agree with the
    answer, and may be set at any time. The pair gets the kinds that the flowers
    have, so that its comparison is about new rows and truths that no answer decides.
    """

    def __init__(self, *, rate: float, share: float, seed: int | None = None) -> None:
        self.correctness = 0.9
        self.failed = 0
        """Requests without a good answer since the traffic began."""
        self.trouble = ""
        """Why the traffic ended by itself; empty while it did not."""
        self._rate, self._share = rate, share
        self._seed = secrets.randbits(32) if seed is None else seed
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads) and not self._stop.is_set()

    def start(self, gateway: str) -> None:
        """Begin to send to the gateway at that URL; nothing changes while it runs."""
        if self.running:
            return
        self.stop()
        self._stop.clear()
        self.failed, self.trouble = 0, ""
        self._seed += 1
        streams = (
            _Stream(SINGLE, "one-hot", self._plans(right=lambda _: self.correctness)),
            _Stream(PAIR, "truth", self._plans(right=None)),
        )
        self._threads = [
            threading.Thread(target=self._run, args=(gateway, each), daemon=True)
            for each in streams
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait for the requests under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _plans(self, right: Callable[[float], float] | None) -> Iterator[Plan]:
        flowers = simulated(self._seed)
        while True:
            block = list(islice(flowers, _BLOCK))
            yield Plan(
                [flower.features for flower in block],
                labels=None if right else [flower.label for flower in block],
                right=right,
                share=self._share,
                n=_BLOCK,
                rate=self._rate,
                seed=block[0].label + self._seed,
            )

    def _run(self, gateway: str, stream: _Stream) -> None:
        url = gateway + gateway_path(NAMESPACE, stream.model)
        try:
            for plan in stream.plans:
                with Traffic(url, plan, form=stream.form, threads=_THREADS) as traffic:
                    for record in traffic:
                        self.failed += record.failed
                        if self._stop.is_set():
                            return
        except ValueError as error:  # the model's answers are not what its truths need
            self.trouble = f"The traffic to {stream.model} ended: {error}."


def send_unknown_class(gateway: str) -> Tally:
    """Ask the single model for one flower and tell it a truth that is none of its classes."""
    flower = next(simulated(secrets.randbits(32)))
    plan = Plan([flower.features], labels=["tulip"], n=1)
    return Traffic(gateway + gateway_path(NAMESPACE, SINGLE), plan, form="truth").run()
