"""The platform and its parts: up, status, logs, down."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from closedloop.cli.options import PROMETHEUS, PlatformName, PlatformOption, open_platform
from closedloop.cli.table import not_counted_table, status_table
from closedloop.platforms.protocol import Platform, PlatformError

# What manifests/monitoring/rules.yaml records.
NOT_COUNTED = "model:feedback_not_counted > 0"


def up(platform: PlatformOption = PlatformName.EMBEDDED) -> None:
    """Start the platform with everything the walkthrough needs, and leave it running.

    Installs every part and applies the manifests that all models share. What
    runs already stays as it is, so `up` twice is one platform.
    """
    from closedloop.suite.setup import STEPS, install_everything

    console = Console()
    target = open_platform(platform)
    done = 0
    with console.status("starting") as spinner:

        def report(step: str) -> None:
            nonlocal done
            done += 1
            spinner.update(f"{step} ({done} of {len(STEPS)})")
            console.print(f"[dim]{done:>2} of {len(STEPS)}[/]  {step}", highlight=False)

        install_everything(target, report)
    console.print(status_table(target.status()))


def status(platform: PlatformOption = PlatformName.EMBEDDED) -> None:
    """Show every part: version, state, URL, restarts; then the feedback that did not count.

    Exit status 1 if a part is not ready.
    """
    target = open_platform(platform)
    parts = target.status()
    if not parts:
        Console().print("Nothing is running; `closedloop up` starts it.", highlight=False)
        raise typer.Exit(1)
    # As wide as it needs to be when piped; a terminal has its own width.
    console = Console()
    if not console.is_terminal:
        console = Console(width=250)
    console.print(status_table(parts))
    _show_not_counted(target, console)
    if any(part.state != "ready" for part in parts):
        raise typer.Exit(1)


def _show_not_counted(platform: Platform, console: Console) -> None:
    from closedloop.dashboards import Prometheus, QueryError

    try:
        found = Prometheus(platform.url(PROMETHEUS), timeout=5).query(NOT_COUNTED)
    except (PlatformError, QueryError) as error:
        sentence = f"Whether all feedback counted is not known: {error}"
        console.print(sentence, style="yellow", markup=False, highlight=False, soft_wrap=True)
        return
    if found:
        console.print(not_counted_table([(one.labels, one.value) for one in found]))


def logs(
    part: Annotated[
        str,
        typer.Argument(
            help="A part as `closedloop status` names it, or a workload `namespace/name`.",
            show_default=False,
        ),
    ],
    lines: Annotated[int, typer.Option("--lines", help="How many of the last lines.", min=1)] = 100,
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Print the last lines that a part logged."""
    typer.echo(open_platform(platform).logs(part, lines).rstrip("\n"))


def down(platform: PlatformOption = PlatformName.EMBEDDED) -> None:
    """Stop the platform and remove what it made, and nothing else.

    The logs of a platform on this machine stay until the next start, and what
    was downloaded or installed for it (`parts` in `.closedloop`) for good.
    """
    console = Console()
    with console.status("stopping"):
        open_platform(platform).down()
    console.print("Everything is stopped.")


def bundle(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="A folder that `closedloop run` wrote: it is packed as well.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The archive to write.")] = Path(
        "closedloop-bundle.tar.gz"
    ),
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Pack everything that is needed to understand a failure into one archive.

    Objects (without the values of Secrets), events, logs, versions, and the
    notebooks of a run. `closedloop run` writes one by itself when it fails.
    """
    from closedloop.suite.bundle import write_bundle

    console = Console()
    with console.status("packing"):
        count = write_bundle(open_platform(platform), out, run)
    console.print(f"{out}: {count} files", highlight=False, soft_wrap=True)
