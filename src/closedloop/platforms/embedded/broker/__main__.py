"""Run the broker: `python -m closedloop.platforms.embedded.broker --config FILE ...`."""

import argparse
import sys
from pathlib import Path

from closedloop.platforms.embedded.broker.app import create_app
from closedloop.platforms.embedded.broker.config import InvalidConfig
from closedloop.platforms.embedded.broker.store import Store
from closedloop.services.kit import service


def main() -> None:
    """Serve until SIGTERM."""
    options = _parser().parse_args()
    service.configure_logs(options.log_level)

    def store() -> Store:
        return Store(
            options.nats,
            max_bytes=options.max_bytes,
            max_age=options.max_age,
            hold=options.hold,
        )

    try:
        app = create_app(store, options.config)
    except (OSError, InvalidConfig) as error:
        sys.exit(f"{options.config}: {error}")
    service.run(app, service.Settings(host=options.host, port=options.port))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m closedloop.platforms.embedded.broker",
        description="A broker with Knative Eventing's behaviour over NATS JetStream.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on")
    parser.add_argument("--nats", default="nats://127.0.0.1:4222", help="URL of NATS")
    parser.add_argument("--config", type=Path, required=True, help="JSON of brokers and triggers")
    parser.add_argument(
        "--max-bytes", type=int, default=1 << 30, help="events kept for a replay, in bytes"
    )
    parser.add_argument(
        "--max-age", type=float, default=86400, help="events kept for a replay, in seconds"
    )
    parser.add_argument(
        "--hold", type=float, default=10, help="seconds to hold a sender while NATS is away"
    )
    parser.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR")
    return parser


if __name__ == "__main__":
    main()
