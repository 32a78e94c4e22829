import pytest

from closedloop.platforms.embedded.executor.settings import (
    ConfigurationError,
    Settings,
    from_environment,
)

TOLD = {
    "DEPLOYMENT_NAME": "iris",
    "DEPLOYMENT_NAMESPACE": "seldon",
    "PREDICTOR_NAME": "default",
    "MODEL_NAME": "classifier",
    "MODEL_IMAGE": "a/iris:0.1",
    "MODEL_URL": "http://127.0.0.2:9000",
    "LOGGER_MODE": "all",
    "LOGGER_URL": "",
    "REQUEST_LOGGER_DEFAULT_ENDPOINT": "http://127.0.0.1:80/seldon-logs/default",
    "REST_TIMEOUT_MS": "250",
}


def _told(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    for name, value in (TOLD | changes).items():
        monkeypatch.setenv(name, value)


def test_what_is_told_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    _told(monkeypatch)
    settings = from_environment()
    assert settings.port == 8000
    assert settings.deployment_name == "iris"
    assert settings.image == ("a/iris", "0.1")
    assert settings.sink == "http://127.0.0.1:80/seldon-logs/default"
    assert settings.rest_timeout_ms == 250
    assert (settings.queue_size, settings.write_timeout_ms) == (10000, 2000)


def test_the_loggers_own_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _told(monkeypatch, LOGGER_URL="http://127.0.0.1:1/")
    assert from_environment().sink == "http://127.0.0.1:1/"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LOGGER_MODE": "none"}, "LOGGER_MODE is 'none'"),
        ({"REST_TIMEOUT_MS": "soon"}, "REST_TIMEOUT_MS is 'soon'"),
        ({"REQUEST_LOGGER_DEFAULT_ENDPOINT": ""}, r"graph node 'classifier' has a logger"),
    ],
)
def test_a_bad_environment_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], message: str
) -> None:
    _told(monkeypatch, **changes)
    with pytest.raises(ConfigurationError, match=message) as caught:
        from_environment()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("iris", ("iris", "")),
        ("iris:1", ("iris", "1")),
        ("registry:5000/iris:1", ("registry", "")),
    ],
)
def test_images_are_split_as_seldon_splits_them(image: str, expected: tuple[str, str]) -> None:
    told = {name.lower(): value for name, value in TOLD.items()}
    assert Settings.model_validate(told | {"model_image": image}).image == expected


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _told(monkeypatch)
    monkeypatch.delenv("MODEL_NAME")
    with pytest.raises(ConfigurationError, match="MODEL_NAME is missing: add it"):
        from_environment()
