import logging
from collections.abc import Iterator

import pytest
from pydantic import Field

from closedloop.services.kit.service import Settings, addresses, configure_logs, from_environment


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which a service configures for its whole process."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], logger.level = handlers, level
    logging.getLogger("elastic_transport").setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("asked", "says"),
    [("INFO", logging.WARNING), ("error", logging.ERROR), ("DEBUG", logging.DEBUG)],
)
def test_requests_to_elasticsearch_are_logged_when_everything_is_asked_for(
    root: logging.Logger, asked: str, says: int
) -> None:
    configure_logs(asked)
    assert logging.getLogger("elastic_transport.transport").getEffectiveLevel() == says


def test_no_username_is_no_authentication() -> None:
    assert Settings().basic_auth is None


def test_username_and_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "elastic")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "s3cret")
    settings = Settings()
    assert settings.basic_auth == ("elastic", "s3cret")
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("10.244.0.7", ["10.244.0.7", "127.0.0.1"]),
        ("fd00::7", ["fd00::7", "127.0.0.1"]),
        ("127.43.0.7", ["127.43.0.7"]),  # a pod on one machine
        ("0.0.0.0", ["0.0.0.0"]),  # noqa: S104 - nothing is opened
        ("localhost", ["localhost"]),
    ],
)
def test_a_pod_listens_where_a_forwarded_port_ends_too(host: str, where: list[str]) -> None:
    assert addresses(host) == where


class _Chosen(Settings):
    rows: int = Field(1, gt=0)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PORT", "http", "PORT is 'http': it must be a valid integer"),
        ("ROWS", "0", "ROWS is '0': it must be greater than 0"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL is 'LOUD': give one of CRITICAL,"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        from_environment(_Chosen)
    assert str(ended.value).startswith(sentence)
