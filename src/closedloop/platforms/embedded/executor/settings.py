"""The environment of one executor: its predictor, its model, where events go."""

import re
from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from closedloop.services.kit import service
from closedloop.validation import first_fault


class ConfigurationError(Exception):
    """The environment does not describe an executor; one sentence says how to change it."""


class Settings(service.Settings):
    """The environment of one executor: the variables are the fields' names in capitals.

    `predictor_version` is the predictor's annotation, since the executor's
    metrics do not read the label. `logger_mode` is empty for a node without a
    logger. `stop_grace` is how many seconds it may take to send the queue
    once it is told to stop; `sink_timeout` how many seconds one event may take,
    which for the real executor is for ever; `max_body` how many bytes a request
    may have; `rest_timeout_ms` 0 for no limit.
    """

    port: int = 8000
    deployment_name: str
    deployment_namespace: str
    predictor_name: str
    predictor_version: str = ""
    model_name: str
    model_image: str = ""
    model_url: str
    logger_mode: Literal["", "request", "response", "all"] = ""
    logger_url: str = ""
    request_logger_default_endpoint: str = ""
    rest_timeout_ms: NonNegativeInt = 0
    queue_size: PositiveInt = 10_000
    write_timeout_ms: NonNegativeInt = 2_000
    stop_grace: PositiveFloat = 8.0
    sink_timeout: PositiveFloat = 10.0
    max_body: PositiveInt = 256 * 2**20

    @property
    def logs_requests(self) -> bool:
        return self.logger_mode in ("request", "all")

    @property
    def logs_responses(self) -> bool:
        """Answers, and feedback with them."""
        return self.logger_mode in ("response", "all")

    @property
    def image(self) -> tuple[str, str]:
        """Name and version of the model's image, split as Seldon splits it.

        The version is "" unless there is exactly one colon, so a registry with
        a port loses it, there and here.
        """
        parts = self.model_image.split(":")
        return parts[0], parts[1] if len(parts) == 2 else ""

    @property
    def sink(self) -> str | None:
        """Where events go; None when the node has no logger. Raises `ConfigurationError`."""
        if not self.logger_mode:
            return None
        url = self.logger_url or self.request_logger_default_endpoint
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"graph node {self.model_name!r} has a logger but its URL is {url!r}:"
                " set logger.url or REQUEST_LOGGER_DEFAULT_ENDPOINT to an http URL"
            )
        return url


def from_environment() -> Settings:
    """Read and check the environment. Raises `ConfigurationError`."""
    try:
        settings = Settings()
    except ValidationError as error:
        variable = re.compile(r"^\w+")
        sentence = variable.sub(lambda name: name.group().upper(), first_fault(error))
        raise ConfigurationError(sentence) from None
    _ = settings.sink
    return settings
