"""The notebooks: run them, and make slides of them."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from closedloop import paths
from closedloop.cli.options import PlatformName, PlatformOption, open_platform
from closedloop.suite import SuiteError

TEST_PARAMETERS = "test-parameters.yaml"
QUICK_PARAMETERS = "quick-parameters.yaml"
AGAIN = "again.yaml"


class RunCommand(TyperCommand):
    """Takes `-p NAME VALUE` as two words, as papermill does, and hands on `NAME=VALUE`.

    typer has no options of several words that come several times.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        joined: list[str] = []
        words = iter(args)
        for word in words:
            joined.append(word)
            if word in {"-p", "--parameter"}:
                name = next(words, "")
                value = next(words, None)
                if not name.isidentifier() or value is None:
                    raise SuiteError(
                        f"{word} is followed by {name!r}: give a name and a value, "
                        f"such as {word} total 500"
                    )
                joined.append(f"{name}={value}")
        return super().parse_args(ctx, joined)


def run(
    platform: PlatformOption = PlatformName.EMBEDDED,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NOTEBOOK",
            help="Run only this notebook: its number, such as 03, or its name. Repeatable.",
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            "-p",
            metavar="NAME VALUE",
            help="Set a parameter of the notebooks that have it, such as `-p total 500`."
            " Repeatable.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the platform running afterwards, print its URLs.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="A new folder for report, notebooks and figures."
            " (Default: out/<time> in the checkout.)",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option("--test", help="Smaller parameters, as the tests use them. -p still counts."),
    ] = False,
    notebooks: Annotated[
        Path | None,
        typer.Option(help="The notebooks' folder. (Default: the checkout's.)", show_default=False),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(
            help="Write JUnit XML here, a case a notebook, for a CI server.", show_default=False
        ),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            help="Append a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY.",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Where the figures will be published, for the summary."
            " (Default: the run's own, where a link from the summary reaches them.)",
            show_default=False,
        ),
    ] = "",
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Only notebook 04, where accuracy falls and the alert comes, with less traffic"
            " and a line for each wait.",
        ),
    ] = False,
) -> None:
    """Run the walkthrough: start the platform, run the notebooks, write a report, stop it all.

    Exit status: 0, every notebook ran to its end; 1, a notebook failed, or the
    platform did, and bundle.tar.gz in the run's folder has the evidence; 2, the
    command line is wrong; 130, the run was interrupted. A platform that was up
    before stays up.
    """
    from closedloop.suite.parameters import (
        assign,
        assign_again,
        chosen,
        notebooks_in,
        read_defaults,
    )
    from closedloop.suite.run import Plan, Run

    folder = (notebooks or paths.checkout_root() / "notebooks").resolve()
    asked = [
        name for name, wanted in ((TEST_PARAMETERS, test), (QUICK_PARAMETERS, quick)) if wanted
    ]
    defaults: dict[str, dict[str, Any]] = {}
    for name in asked:
        defaults |= read_defaults(folder / name)
    if quick and not only:
        only = list(read_defaults(folder / QUICK_PARAMETERS))
    selected = chosen(notebooks_in(folder), only or [])
    given = dict(_pair(each) for each in parameter or [])
    values = assign(selected, given, platform=platform.value, defaults=defaults)
    repeats = read_defaults(folder / AGAIN) if (folder / AGAIN).exists() else {}
    again = assign_again(selected, given, values, repeats)
    plan = Plan(
        platform.value,
        selected,
        values | {name: mine for name, (_, mine) in again.items()},
        out.resolve() if out else _new_folder(),
        keep,
        talkative=quick,
        junit=junit.resolve() if junit else None,
        summary=summary.resolve() if summary else None,
        pictures=pictures and f"{pictures.rstrip('/')}/",
        again={name: notebook for name, (notebook, _) in again.items()},
    )
    perform = Run(
        plan,
        lambda name: open_platform(name, owned=not keep),
        console=Console(),
        errors=Console(stderr=True),
    )
    raise typer.Exit(perform())


def slides(
    executed: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="A folder that `closedloop run` wrote: its results are on the slides. Without it"
            " the slides show the notebooks as they are, without results.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for the decks. (Default: slides/ in RUN, or out/slides in the checkout.)",
            show_default=False,
        ),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print each deck as PDF, too; needs the extra `pdf`.")
    ] = False,
) -> None:
    """Write a deck of slides for each notebook; a browser opens them without a network.

    The key S opens the speaker's view with its notes. To run cells on the slides,
    open the notebook in `jupyter lab` and press its slides button.
    """
    from closedloop.suite.parameters import notebooks_in
    from closedloop.suite.pdf import write_pdfs
    from closedloop.suite.slides import write_slides

    originals = paths.checkout_root() / "notebooks"
    source = executed or originals
    target = out or (executed or paths.out_folder()) / "slides"
    decks = write_slides(notebooks_in(source), target, images=originals)
    for written in [*decks, *(write_pdfs(decks) if pdf else [])]:
        typer.echo(written)


def site(
    executed: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder that `closedloop run` wrote.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A new folder. (Default: site/ in RUN.)", show_default=False),
    ] = None,
) -> None:
    """Write the notebooks as run, figures, versions and slides as a small static site."""
    from closedloop.suite.site import write_site

    originals = paths.checkout_root() / "notebooks"
    typer.echo(write_site(executed, out or executed / "site", originals))


def same(
    first: Annotated[
        Path, typer.Argument(metavar="A", help="A folder that `closedloop run` wrote.")
    ],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    page: Annotated[
        Path | None,
        typer.Option(help="A page to write, with both runs side by side.", show_default=False),
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option(
            help="pytest's --junitxml of the second platform, for the page.", show_default=False
        ),
    ] = None,
    note: Annotated[
        list[str] | None,
        typer.Option(help="Something that was not covered, for the page. Repeatable."),
    ] = None,
) -> None:
    """Compare the records of two runs, number by number: one line for each difference.

    Exit status 0 means that all numbers are the same, but for those that a
    notebook says vary; 1 that some are not.
    """
    from closedloop.suite import verified
    from closedloop.suite.same import compare, read

    one, other = read(first), read(second)
    compared = compare(one, other)
    for fault in compared.faults:
        typer.echo(fault)
    vary = [each for each in compared.differences if each.why]
    for each in vary:
        typer.echo(f"may differ ({each.why}): {each}", err=True)
    faults = len(compared.faults)
    typer.echo(
        f"{faults} of {compared.values} values differ, beside {len(vary)} that may", err=True
    )
    if page is not None:
        tested = verified.read_tests(tests) if tests else None
        page.write_text(verified.page(one, other, tested, note or []), encoding="utf-8")
    raise typer.Exit(0 if compared.same else 1)


def export(
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="FOLDER")],
) -> None:
    """Write notebooks, manifests, dashboards and templates into a folder, to change them.

    In that folder, and in those below it, every command uses these files.
    """
    from closedloop.suite.export import write_checkout

    for written in write_checkout(paths.checkout_root(), folder):
        typer.echo(written)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _new_folder() -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    parent = paths.out_folder()
    folder, number = parent / stamp, 1
    while folder.exists():
        number += 1
        folder = parent / f"{stamp}-{number}"
    return folder
