"""The command line `closedloop`."""

from closedloop.cli.app import app


def main() -> None:
    """Run the command line with the arguments of the process."""
    app(prog_name="closedloop")


__all__ = ["app", "main"]
