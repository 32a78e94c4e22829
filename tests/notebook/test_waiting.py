from collections.abc import Callable
from http.client import RemoteDisconnected
from typing import NoReturn

import pytest
import requests
from elastic_transport import ApiResponseMeta, ConnectionTimeout, HttpHeaders, NodeConfig
from elastic_transport import ConnectionError as NoConnection
from elasticsearch import ApiError, NotFoundError
from urllib3.exceptions import ProtocolError

from closedloop.notebook.waiting import passes, until


def test_returns_the_first_accepted_value() -> None:
    values = iter([0, 1, 2, 3])
    assert until(lambda: next(values), lambda v: v == 2, what="two", every=0) == 2


def test_a_timeout_names_what_was_awaited_and_the_last_value() -> None:
    with pytest.raises(TimeoutError, match=r"the log: not within 0.01 s, the last value was 7"):
        until(lambda: 7, lambda _: False, what="the log", timeout=0.01, every=0.001)


def test_a_timeout_carries_the_diagnosis() -> None:
    with pytest.raises(TimeoutError, match="tail of the log"):
        until(lambda: 0, what="x", timeout=0, every=0, diagnose=lambda: "tail of the log")


def test_an_error_of_the_probe_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        until(lambda: 1 // 0, what="x", timeout=1)


def answered(
    status: int,
    kind: type[ApiError] = ApiError,
    reason: str = "no_shard_available_action_exception",
) -> ApiError:
    """An error of Elasticsearch's client."""
    node = NodeConfig("http", "localhost", 9200)
    meta = ApiResponseMeta(status, "1.1", HttpHeaders(), 0.01, node)
    return kind(reason, meta, {})


def refused(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


def wrapped(cause: Exception, **how: bool) -> Exception:
    """An error of ours about another one, as libraries raise them."""
    try:
        try:
            raise cause
        except Exception as error:
            if how.get("hidden"):
                raise LookupError("a sentence") from None
            raise LookupError("a sentence") from error
    except LookupError as error:
        return error


PASSING = [
    answered(503),
    answered(429),
    answered(404, NotFoundError, "index_not_found_exception"),
    NoConnection("refused"),
    ConnectionTimeout("slow"),
    refused(503),
    refused(502),
    requests.ConnectionError("refused"),
    requests.ReadTimeout("slow"),
    ConnectionRefusedError(),
    RemoteDisconnected("cut"),
    ProtocolError("cut"),
    wrapped(refused(503)),
    wrapped(requests.ConnectionError("refused"), hidden=True),
]
STAYING = [
    answered(404, NotFoundError, "resource_not_found_exception"),
    answered(400),
    refused(404),
    refused(500),
    ValueError("x"),
]


def failing(*errors: Exception) -> Callable[[], str]:
    """A probe that raises these in turn, and then has a value."""
    left = iter(errors)

    def probe() -> str:
        for error in left:
            raise error
        return "there"

    return probe


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_an_error_that_passes_is_not_yet(error: Exception) -> None:
    assert until(failing(error, error), what="a document", every=0) == "there"


@pytest.mark.parametrize("error", STAYING, ids=repr)
def test_an_error_that_stays_is_raised_at_once(error: Exception) -> None:
    assert not passes(error)
    with pytest.raises(type(error)):
        until(failing(error), what="a document", every=0)


def test_a_timeout_shows_the_last_error() -> None:
    def probe() -> NoReturn:
        raise answered(503)

    said = (
        r"a document: not within 0\.01 s, the last try failed with ApiError: .*no_shard_available"
    )
    with pytest.raises(TimeoutError, match=said) as caught:
        until(probe, what="a document", timeout=0.01, every=0.001)
    assert isinstance(caught.value.__cause__, ApiError)
