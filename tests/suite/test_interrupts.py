import signal
import threading

import pytest

from closedloop.suite.interrupts import Interruption, handled


def test_with_nothing_running_the_first_one_raises() -> None:
    interruption = Interruption()
    with pytest.raises(KeyboardInterrupt), handled(interruption):
        signal.raise_signal(signal.SIGTERM)
    assert interruption.happened


def test_what_runs_is_ended_and_nothing_raised() -> None:
    interruption, ended = Interruption(), []
    interruption.running(lambda: ended.append(1))
    with handled(interruption):
        signal.raise_signal(signal.SIGINT)
    assert (interruption.happened, ended) == (True, [1])


def test_while_closing_signals_are_ignored() -> None:
    interruption = Interruption()
    interruption.close()
    with handled(interruption):
        signal.raise_signal(signal.SIGINT)
    assert not interruption.happened


def test_the_handlers_are_put_back_and_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled(Interruption()):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_changes() -> None:
    seen = []

    def look() -> None:
        with handled(Interruption()):
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
