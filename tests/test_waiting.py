import pytest

from closedloop.waiting import until


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
