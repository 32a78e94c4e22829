"""The tables of `closedloop status`."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from closedloop.log.mapping import advice
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
    """Print the table of the parts."""
    print_table(status_table(parts))


def print_table(table: Table) -> None:
    """Print a table: as wide as it needs to be when piped, for a terminal has its own width."""
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


def not_counted_table(found: Iterable[tuple[Mapping[str, str], float]]) -> Table:
    """A row for each predictor, outcome and reason: labels, how many pieces, and the remedy."""
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        title="Feedback that did not count",
        title_style="bold yellow",
        title_justify="left",
    )
    for heading in ("predictor", "outcome", "reason"):
        table.add_column(heading, overflow="fold", no_wrap=True)
    table.add_column("pieces", justify="right")
    table.add_column("what to do", overflow="fold")
    names = ("deployment_namespace", "deployment_name", "predictor_name")
    rows = []
    for labels, count in found:
        owner = "/".join(labels.get(name, "") for name in names)
        outcome, reason = labels.get("outcome", ""), labels.get("reason", "")
        rows.append((owner, outcome, reason, f"{count:.0f}", advice(outcome, reason)))
    for row in sorted(rows):
        table.add_row(*map(Text, row))
    return table
