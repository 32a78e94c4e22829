import pytest

from closedloop.service import Settings


def test_no_username_is_no_authentication() -> None:
    assert Settings().basic_auth is None


def test_username_and_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_USERNAME", "elastic")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD", "s3cret")
    settings = Settings()
    assert settings.basic_auth == ("elastic", "s3cret")
    assert "s3cret" not in repr(settings)
