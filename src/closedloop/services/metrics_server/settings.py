"""Environment of the metrics server."""

from typing import Literal

from pydantic import Field, field_validator

from closedloop.loop.keys import Predictor
from closedloop.loop.observation import MOST_BYTES
from closedloop.services.kit import service


class Settings(service.Settings):
    """Each field is the environment variable of the same name in upper case.

    With `source` events, rows are held and counted as events come. With log, none are held and
    Elasticsearch counts what the log says of them, every `resync_seconds`.

    `filter` is `<namespace>/<deployment>/<predictor>`, several with commas in
    between: only these are read from the log and counted; empty: all. It says
    the same as the filters of the triggers that feed this server.
    `resync_seconds` is how often the latest of the log is read again,
    `full_resync_seconds` how often all of it. Rows are kept in `state_folder`,
    of which `state_memory_bytes` are cached; without a folder they are in memory,
    and read from the log at each start. Rows answered more than `retention_days`
    ago are let go, and their counts stay; 0: none is. Past `max_event_bytes` a
    body is refused. `model_outputs` is the folder of the declared outputs,
    `max_predictors` how many predictors are counted, past which a new one's
    events are refused.
    """

    source: Literal["events", "log"] = "events"
    elasticsearch_url: str = "http://127.0.0.1:9200"
    filter: str = ""
    resync_seconds: float = Field(15.0, gt=0)
    full_resync_seconds: float = Field(3600.0, gt=0)
    state_folder: str = ""
    state_memory_bytes: int = Field(64 << 20, ge=8 << 20)
    retention_days: float = Field(0.0, ge=0)
    max_event_bytes: int = Field(MOST_BYTES, gt=0)
    model_outputs: str = ""
    max_predictors: int = Field(200, gt=0)

    @field_validator("filter")
    @classmethod
    def _three_names_each(cls, value: str) -> str:
        for name in _split(value):
            if len(parts := name.split("/")) != 3 or not all(parts):
                raise ValueError(f"write namespace/deployment/predictor instead of {name!r}")
        return value

    @property
    def predictors(self) -> frozenset[Predictor]:
        """The predictors that `filter` names."""
        return frozenset(Predictor(*name.split("/")) for name in _split(self.filter))


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
