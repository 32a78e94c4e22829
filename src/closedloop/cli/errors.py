"""How a command ends: a sentence for an error of use, a traceback only for our mistakes."""

from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from closedloop.manifests import ManifestError
from closedloop.paths import NoCheckout
from closedloop.platforms.protocol import PlatformError
from closedloop.suite import SuiteError
from closedloop.suite.interrupts import INTERRUPTED

_KNOWN = (PlatformError, ManifestError, NoCheckout, SuiteError, TimeoutError)


class CommandError(Exception):
    """A command cannot meet a request: a sentence with the value and the remedy."""


class Group(TyperGroup):
    """Runs a command and turns its failure into an exit status and a sentence on stderr."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (CommandError, *_KNOWN) as error:
            _say(str(error))
        except OSError as error:
            if error.filename is None:  # no file of the user's
                raise
            _say(
                f"{error.filename} cannot be used: {error.strerror}:"
                " name another, or see to its permissions"
            )
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("closedloop"):
                raise
            _say(
                f"the package {error.name} is not installed: run ./scripts/demo once,"
                " or install closedloop again"
            )
        raise typer.Exit(1)


def _say(sentence: str) -> None:
    # Not wrapped: a sentence that is piped or searched for stays one line.
    Console(stderr=True).print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
