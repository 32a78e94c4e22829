"""Environment of the request logger."""

from pydantic import Field

from closedloop.loop.observation import MOST_BYTES
from closedloop.services.kit import service


class Settings(service.Settings):
    """Each field is the environment variable of the same name in upper case.

    `batch_milliseconds` is how long a batch waits for more events: by default for none but those
    that have arrived, since those that come while one is written are the next. `batch_events` is
    how many are written together at most. `queue_events` and `queue_bytes` (of memory, estimated)
    bound the events received and not yet answered. `deadline_seconds` is how long an event waits
    for Elasticsearch before it is given back to the broker. Past `max_event_bytes` a body is not
    read on; a dead letter keeps the first `dead_letter_bytes` of one.
    `model_outputs` is the folder of the declared outputs; `max_predictors` is how
    many indices of the log there may be, past which a new predictor's events are
    dead letters.

    `index_shards` is how many primary shards an index of the log has that is created from now on.
    With `rollover_age` or `rollover_size` a log that begins from now on is an alias, and its newest
    index makes place for a new one at that age, or when a primary shard is that large
    (Elasticsearch's units: `30d`, `30gb`).
    """

    model_outputs: str = ""
    max_predictors: int = 200
    index_shards: int = Field(1, ge=1)
    rollover_age: str = Field("", pattern=r"^([1-9]\d*[smhd])?$")
    rollover_size: str = Field("", pattern=r"^([1-9]\d*[kmgt]?b)?$")
    elasticsearch_url: str = "http://127.0.0.1:9200"
    batch_milliseconds: float = 0
    batch_events: int = 2000
    queue_events: int = 10_000
    queue_bytes: int = 128 << 20
    deadline_seconds: float = 10.0
    max_event_bytes: int = MOST_BYTES
    dead_letter_bytes: int = 64 << 10
