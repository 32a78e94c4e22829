import pytest
from pydantic import ValidationError

from closedloop.loop.keys import Predictor
from closedloop.services.metrics_server.settings import Settings


def test_without_a_filter_every_predictor_counts() -> None:
    assert Settings().predictors == frozenset()


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILTER", "seldon/sklearn/default, seldon/iris/shadow")
    monkeypatch.setenv("STATE_FOLDER", "/rows")
    settings = Settings()
    assert settings.state_folder == "/rows"
    assert settings.predictors == {
        Predictor("seldon", "sklearn", "default"), Predictor("seldon", "iris", "shadow"),
    }  # fmt: skip


@pytest.mark.parametrize("names", ["sklearn", "seldon/sklearn", "a/b/c/d", "seldon//default"])
def test_refuses_a_filter_that_names_no_predictor(names: str) -> None:
    with pytest.raises(ValidationError, match="write namespace/deployment/predictor"):
        Settings(filter=names)


@pytest.mark.parametrize("setting", ["state_memory_bytes", "resync_seconds", "max_event_bytes"])
def test_refuses_what_could_not_work(setting: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({setting: 0})
