"""The table of `closedloop status`."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from closedloop.platforms.protocol import PartStatus

_ENDLESS = 100_000
_COLOURS = {
    "ready": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "stopped": "dim",
    "failed": "red",
}


def print_status(parts: Iterable[PartStatus]) -> None:
    """Print the table: as wide as it needs to be when piped, for a terminal has its own width."""
    table = status_table(parts)
    console = Console()
    if not console.is_terminal:
        wide = Console(width=_ENDLESS)
        console = Console(width=wide.measure(table).maximum)
    console.print(table)


def status_table(parts: Iterable[PartStatus]) -> Table:
    """A row for each part; URLs and names are never cut, so that they can be copied."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("part", "version", "state", "URL"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "version")
    table.add_column("restarts", justify="right")
    table.add_column("note", overflow="fold")
    for part in parts:
        table.add_row(
            Text(part.part),
            Text(part.version),
            Text(part.state, style=_COLOURS.get(part.state, "")),
            Text(part.url),
            Text(str(part.restarts), style="yellow" if part.restarts else ""),
            Text(part.note),
        )
    return table
