"""The program: its commands."""

from typing import Annotated

import typer

from closedloop import __version__
from closedloop.cli import decide, drive, live, parts, traffic, walkthrough
from closedloop.cli.errors import Group
from closedloop.cli.options import on_clusters

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Close the loop on models in production: log, join, watch, compare, promote.",
    epilog="Begin with [bold]closedloop demo[/bold]: it starts everything, runs the walkthrough,"
    " writes a report and stops everything again.",
)

_WALKTHROUGH, _PLATFORM, _MODELS = "Walkthrough", "Platform", "Models"
for _name in ("demo", "run"):
    app.command(_name, rich_help_panel=_WALKTHROUGH, cls=walkthrough.RunCommand)(
        on_clusters(walkthrough.run, installs=True)
    )
app.command(rich_help_panel=_WALKTHROUGH)(on_clusters(live.live, installs=True))
app.command(rich_help_panel=_WALKTHROUGH)(walkthrough.slides)
app.command(rich_help_panel=_WALKTHROUGH)(walkthrough.site)
app.command(rich_help_panel=_WALKTHROUGH)(walkthrough.same)
app.command(rich_help_panel=_WALKTHROUGH)(walkthrough.export)
app.command(rich_help_panel=_PLATFORM)(on_clusters(parts.up, installs=True))
app.command("test-drive", rich_help_panel=_PLATFORM)(on_clusters(drive.drive, installs=True))
app.command(rich_help_panel=_PLATFORM)(on_clusters(parts.status))
app.command(rich_help_panel=_PLATFORM)(on_clusters(parts.logs))
app.command(rich_help_panel=_PLATFORM)(on_clusters(parts.down))
app.command(rich_help_panel=_PLATFORM)(on_clusters(parts.bundle))
app.command(rich_help_panel=_PLATFORM)(parts.kubeconfig)
app.command(rich_help_panel=_PLATFORM)(parts.mirror)
app.command(rich_help_panel=_MODELS)(on_clusters(traffic.traffic))
app.command(rich_help_panel=_MODELS)(on_clusters(decide.compare))
app.command(rich_help_panel=_MODELS)(on_clusters(decide.promote))


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Options of the program itself."""
