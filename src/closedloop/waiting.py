"""Wait for a condition with a deadline, and say what was seen when it passes."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

T = TypeVar("T")


def until(
    probe: Callable[[], T],
    accept: Callable[[T], bool] = bool,
    *,
    what: str,
    timeout: float = 30.0,
    every: float = 0.2,
    diagnose: Callable[[], str] | None = None,
) -> T:
    """Call `probe` every `every` seconds until `accept` of its value holds; returns that value.

    Raises TimeoutError after `timeout` seconds, naming `what` was awaited and
    the last value, followed by what `diagnose` returns, such as
    `lambda: loop.logs("seldon-logs/seldon-request-logger")`.
    """

    def give_up(state: RetryCallState) -> T:
        last = state.outcome.result() if state.outcome else None
        message = f"{what}: not within {timeout:g} s, the last value was {last!r}"
        raise TimeoutError(f"{message}\n{diagnose()}" if diagnose else message)

    retrying = Retrying(
        retry=retry_if_result(lambda value: not accept(value)),
        wait=wait_fixed(every),
        stop=stop_after_delay(timeout),
        retry_error_callback=give_up,
    )
    return retrying(probe)
