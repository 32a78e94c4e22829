"""The platform and its parts: up, status, logs, down, and the ways to and from it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from closedloop import paths
from closedloop.cli.errors import CommandError
from closedloop.cli.options import PlatformName, PlatformOption, open_platform
from closedloop.cli.table import not_counted_table, print_status, print_table
from closedloop.platforms.parts import PROMETHEUS, named
from closedloop.platforms.protocol import Platform, PlatformError

# Recorded by manifests/monitoring/rules.yaml.
NOT_COUNTED = "model:feedback_not_counted > 0"


def up(platform: PlatformOption = PlatformName.EMBEDDED) -> None:
    """Start the platform with everything the walkthrough needs, and leave it running.

    Installs every part and applies the manifests that all models share. What
    runs already stays as it is, so `up` twice is one platform.
    """
    from closedloop.suite.setup import STEPS, install_everything

    target = open_platform(platform)
    names = {step.name for step in STEPS}
    done = 0
    console = Console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("starting", total=None)

        def report(step: str, share: float | None = None) -> None:
            nonlocal done
            done += step in names
            place = f"{done:>2} of {len(STEPS)}" if step in names else " " * 8
            progress.update(
                task, description=step, total=None if share is None else 1, completed=share or 0
            )
            console.print(f"[dim]{place}[/]  {step}", highlight=False, soft_wrap=True)

        install_everything(target, report)
    print_status(target.status())


def status(platform: PlatformOption = PlatformName.EMBEDDED) -> None:
    """Show every part: version, state, URL, restarts; then the feedback that did not count.

    Exit status 1 if a part is not ready.
    """
    target = open_platform(platform)
    parts = target.status()
    if not parts:
        Console().print("Nothing is running; `closedloop up` starts it.", highlight=False)
        raise typer.Exit(1)
    print_status(parts)
    _show_not_counted(target)
    if any(part.state != "ready" for part in parts):
        raise typer.Exit(1)


def _show_not_counted(platform: Platform) -> None:
    from closedloop.notebook.dashboards import Prometheus, QueryError

    try:
        found = Prometheus(platform.url(PROMETHEUS), timeout=5).query(NOT_COUNTED)
    except (PlatformError, QueryError) as error:
        sentence = f"Whether all feedback counted is not known: {error}"
        Console().print(sentence, style="yellow", markup=False, highlight=False, soft_wrap=True)
        return
    if found:
        print_table(not_counted_table([(one.labels, one.value) for one in found]))


def logs(
    part: Annotated[
        str,
        typer.Argument(
            help="A part as `closedloop status` names it, or a piece of its name.",
            show_default=False,
        ),
    ],
    lines: Annotated[int, typer.Option("--lines", help="How many of the last lines.", min=1)] = 100,
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Print the last lines that a part logged."""
    target = open_platform(platform)
    typer.echo(target.logs(_named(target, part), lines).rstrip("\n"))


def _named(platform: Platform, word: str) -> str:
    """The one part that `word` names or is a piece of the name of, else the word itself."""
    if named(word) or "/" in word:
        return word
    names = [part.part for part in platform.status()]
    found = [name for name in names if word in name.rpartition("/")[2]]
    if word in names or not found:
        return word
    if len(found) > 1:
        raise CommandError(f"{word} is a piece of several names: name one of {', '.join(found)}")
    return found[0]


def down(platform: PlatformOption = PlatformName.EMBEDDED) -> None:
    """Stop the platform and remove its own objects, and nothing else.

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


def kubeconfig(
    path: Annotated[
        bool, typer.Option("--path", help="Print where the file is, and not what is in it.")
    ] = False,
) -> None:
    """Print the kubeconfig of the embedded platform: it is a Kubernetes API server, too.

    `export KUBECONFIG=$(closedloop kubeconfig --path)` has kubectl, k9s and
    other clients use it while the platform is up. A cluster is reached as
    your own kubeconfig says.
    """
    from closedloop.platforms.embedded import state

    folder = paths.platform_folder()
    daemon = state.read(folder)
    if daemon is None or not state.held(folder):
        raise PlatformError("no platform runs here: start one with `closedloop up`")
    typer.echo(daemon.kubeconfig if path else Path(daemon.kubeconfig).read_text(), nl=path)


def mirror(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where to bring it; without a folder it is only listed."),
    ] = None,
    registry: Annotated[
        str, typer.Option("--registry", help="A mirror to pull images from, such as host/path.")
    ] = "",
) -> None:
    """List every image, chart and manifest of a run on a cluster, or bring them into a folder.

    `closedloop up --platform cluster --offline FOLDER` then needs no network.
    Images come through docker, charts through helm.
    """
    from closedloop.platforms.cluster.mirror import contents, fill
    from closedloop.platforms.cluster.sources import Sources
    from closedloop.platforms.cluster.versions import read

    console = Console(highlight=False, soft_wrap=True)
    manifests = paths.manifests_folder()
    versions = read(manifests)
    sources = Sources(paths.parts_folder() / "cluster")
    if folder is None:
        for line in contents(versions, manifests, sources).lines():
            console.print(line)
        return
    fill(folder, versions, manifests, sources, console.print, registry=registry)
    console.print(f"{folder} has everything.")
