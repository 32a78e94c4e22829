"""The common base of our services: settings, structured logs, health, metrics, a graceful stop."""

import asyncio
import gc
import ipaddress
import logging
import sys
from collections.abc import Callable
from typing import TypeVar

import structlog
import uvloop
from aiohttp import web
from pydantic import SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings

from closedloop.validation import first_fault

Chosen = TypeVar("Chosen", bound="Settings")


class Settings(BaseSettings):
    """Environment of a service. `HOST` is the pod's own address in our manifests.

    Without a username no credentials are sent to Elasticsearch.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    log_level: str = "INFO"
    elasticsearch_username: str = ""
    elasticsearch_password: SecretStr = SecretStr("")

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in (levels := logging.getLevelNamesMapping()):
            raise ValueError(f"give one of {', '.join(levels)}")
        return value

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """The credentials, as Elasticsearch's client takes them in `basic_auth`."""
        if not self.elasticsearch_username:
            return None
        return self.elasticsearch_username, self.elasticsearch_password.get_secret_value()


def from_environment(kind: type[Chosen]) -> Chosen:
    """Read settings; a variable that cannot be used ends the process with one sentence."""
    try:
        return kind()
    except ValidationError as error:
        variable = str(error.errors(include_url=False)[0]["loc"][0])
        sys.exit(first_fault(error).replace(variable, variable.upper(), 1))


def configure_logs(level: str) -> None:
    """Log one JSON object a line to standard error, the standard library's records included."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # A line for each request to Elasticsearch, of which an idle service makes one a second.
    _at_least(logging.WARNING, "elastic_transport", level)


def _at_least(lowest: int, name: str, level: str) -> None:
    """Let a library log at this level or above, unless everything is asked for."""
    asked = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(name).setLevel(max(lowest, asked) if asked > logging.DEBUG else asked)


def add_health(app: web.Application, why_not_ready: Callable[[], str | None]) -> None:
    """Add `/live`, always 200, and `/ready`, 503 with the reason while there is one."""

    async def live(_: web.Request) -> web.Response:
        return web.Response()

    async def ready(_: web.Request) -> web.Response:
        reason = why_not_ready()
        return web.Response(status=503 if reason else 200, text=reason or "")

    app.router.add_get("/live", live)
    app.router.add_get("/ready", ready)


def event_loop() -> asyncio.AbstractEventLoop:
    """A loop for many open requests; it raises the thresholds of the garbage collection.

    With Python's own thresholds, collections over thousands of open requests, which are no
    garbage, take a third of the request logger's time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return uvloop.new_event_loop()


def addresses(host: str) -> list[str]:
    """The addresses to listen at: this one, and for that of a pod its loopback too.

    A forwarded port ends at the loopback of the pod, not at its address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [host]  # a name
    if address.is_loopback or address.is_unspecified:
        return [host]
    return [host, "127.0.0.1"]


def run(app: web.Application, settings: Settings, *, grace: float = 10.0) -> None:
    """Serve until SIGTERM or SIGINT, then finish open requests within `grace` seconds."""
    web.run_app(
        app,
        host=addresses(settings.host),
        port=settings.port,
        shutdown_timeout=grace,
        print=None,
        access_log=None,
        loop=event_loop(),
    )
