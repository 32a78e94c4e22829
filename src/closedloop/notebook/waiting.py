"""Wait for a condition with a deadline, and say the last value when it passes."""

from collections.abc import Callable
from typing import TypeVar

import elastic_transport
import requests
import urllib3.exceptions
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

T = TypeVar("T")

# The statuses of a server, or a proxy before it, while a part behind it starts or is busy.
_PASSING = {429, 502, 503, 504}
_NO_INDEX = "index_not_found_exception"
_NO_CONNECTION = (
    ConnectionError,
    requests.ConnectionError,
    requests.Timeout,
    elastic_transport.ConnectionError,
    elastic_transport.ConnectionTimeout,
    urllib3.exceptions.MaxRetryError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
)


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

    An error of the probe that may pass (see `passes`) counts as not yet; any
    other is raised. Raises TimeoutError after `timeout` seconds, naming the
    condition (`what`) and the last value or error, followed by the text of
    `diagnose`, such as `lambda: loop.logs("seldon-logs/seldon-request-logger")`.
    """

    def give_up(state: RetryCallState) -> T:
        assert state.outcome is not None
        error = state.outcome.exception()
        last = f"the last value was {state.outcome.result()!r}" if error is None else _said(error)
        message = f"{what}: not within {timeout:g} s, {last}"
        raise TimeoutError(f"{message}\n{diagnose()}" if diagnose else message) from error

    retrying = Retrying(
        retry=retry_if_result(lambda value: not accept(value)) | retry_if_exception(passes),
        wait=wait_fixed(every),
        stop=stop_after_delay(timeout),
        retry_error_callback=give_up,
    )
    return retrying(probe)


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed soon: no connection, a server that is busy or starts.

    An index that was just made is of the latter: until its shard has started,
    reading a document of it is 503. One that is not there is made when the
    first document is written. The causes of an error count too.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _NO_CONNECTION) or _status(cause) in _PASSING:
            return True
        if getattr(cause, "message", "") == _NO_INDEX:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _status(error: BaseException) -> object:
    """The status of the HTTP answer that an error is about, whichever client's it is."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
    return None


def _said(error: BaseException) -> str:
    return f"the last try failed with {type(error).__name__}: {error}"
