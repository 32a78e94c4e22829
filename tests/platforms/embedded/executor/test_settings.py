import json

import pytest

from closedloop.platforms.embedded.executor.settings import (
    ConfigurationError,
    Predictor,
    environment,
    from_environment,
)

PREDICTOR: dict[str, object] = {
    "name": "default",
    "replicas": 1,
    "graph": {"name": "classifier", "type": "MODEL", "logger": {"mode": "all"}},
    "componentSpecs": [{"spec": {"containers": [{"name": "classifier", "image": "a/iris:0.1"}]}}],
}


def _told(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    told = environment(
        "iris",
        "seldon",
        PREDICTOR,
        model_url="http://127.0.0.2:9000",
        logger_url="http://127.0.0.1:80/seldon-logs/default",
        annotations={"seldon.io/rest-timeout": "250"},
    )
    for name, value in (told | changes).items():
        monkeypatch.setenv(name, value)


def test_what_is_told_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    _told(monkeypatch)
    settings = from_environment()
    assert settings.port == 8000
    assert settings.deployment_name == "iris"
    assert settings.predictor.image == ("a/iris", "0.1")
    assert settings.sink == "http://127.0.0.1:80/seldon-logs/default"
    assert settings.annotations.rest_timeout_ms == 250
    assert (settings.annotations.queue_size, settings.annotations.write_timeout_ms) == (10000, 2000)


def test_the_loggers_own_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = {"name": "c", "logger": {"mode": "request", "url": "http://127.0.0.1:1/"}}
    _told(monkeypatch, PREDICTOR=json.dumps({"name": "p", "graph": graph}))
    assert from_environment().sink == "http://127.0.0.1:1/"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PREDICTOR": '{"name":"p"}'}, r"PREDICTOR\.graph is missing: add it"),
        (
            {"PREDICTOR": '{"name":"p","graph":{"name":"c","type":"ROUTER"}}'},
            r"PREDICTOR\.graph\.type is 'ROUTER'",
        ),
        (
            {"PREDICTOR": '{"name":"p","graph":{"name":"c","children":[{"name":"d"}]}}'},
            r"PREDICTOR\.graph\.children",
        ),
        ({"ANNOTATIONS": '{"seldon.io/rest-timeout":"soon"}'}, "rest-timeout.* is 'soon'"),
        ({"REQUEST_LOGGER_DEFAULT_ENDPOINT": ""}, r"graph node 'classifier' has a logger"),
        ({"PREDICTOR": "{"}, r"predictor"),
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
    container = {"name": "c", "image": image}
    predictor = Predictor.model_validate(
        {
            "name": "p",
            "graph": {"name": "c"},
            "componentSpecs": [{"spec": {"containers": [container]}}],
        }
    )
    assert predictor.image == expected
