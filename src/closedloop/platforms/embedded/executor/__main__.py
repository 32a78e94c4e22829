"""`python -m closedloop.platforms.embedded.executor`: one executor, told by its environment.

Ends at SIGTERM or SIGINT: open calls are finished and queued events sent first,
all within `STOP_GRACE` seconds.
"""

import asyncio
import logging
import signal
import sys

from prometheus_client import disable_created_metrics

from closedloop.platforms.embedded.executor.server import serve
from closedloop.platforms.embedded.executor.settings import (
    ConfigurationError,
    Settings,
    from_environment,
)
from closedloop.services.kit import service

_log = logging.getLogger(__name__)


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


def main() -> int:
    try:
        settings = from_environment()
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201  # logs are not configured yet
        return 2
    service.configure_logs(settings.log_level)
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it is not annotated
    try:
        asyncio.run(_main(settings))
    except OSError as error:
        _log.error("cannot listen on %s:%d: %s", settings.host, settings.port, error.strerror)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
