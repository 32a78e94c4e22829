"""Send traffic to a model: `closedloop traffic`."""

import secrets
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from closedloop.cli.errors import CommandError
from closedloop.cli.options import (
    ModelArgument,
    NamespaceOption,
    PlatformName,
    PlatformOption,
    open_platform,
)
from closedloop.platforms.parts import GATEWAY
from closedloop.seldon import gateway_path


def traffic(
    model: ModelArgument = "sklearn",
    count: Annotated[int, typer.Option("--requests", min=1, help="How many requests.")] = 100,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Requests a second. (Default: as fast as they are answered.)", show_default=False
        ),
    ] = None,
    feedback: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the requests that get feedback.")
    ] = 1.0,
    right: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the feedback that says the answer was right."
            " (Default: each flower's true kind decides.)",
            show_default=False,
        ),
    ] = None,
    right_at_end: Annotated[
        float | None,
        typer.Option(
            "--right-at-end",
            min=0,
            max=1,
            help="Move evenly from --right to this share, to see a model get worse.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Requests under way at a time.")] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of the flowers and all random choices: the same seed sends the same flowers"
            " again. (Default: another one each time.)",
            show_default=False,
        ),
    ] = None,
    namespace: NamespaceOption = "seldon",
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Send iris flowers to a model, and feedback about its answers.

    The flowers are simulated, from a distribution fitted to the measured ones,
    and no two are alike: every row is new to the models. Exit status 1 if a
    request failed.
    """
    from closedloop.models.flowers import simulated
    from closedloop.notebook.traffic import Plan, Traffic

    if right_at_end is not None and right is None:
        raise CommandError("--right-at-end needs --right: give the share at the start too")
    if rate is not None and rate <= 0:
        raise CommandError(f"--rate is {rate:g}: give requests a second, more than 0")
    last = right if right_at_end is None else right_at_end
    seed = secrets.randbits(32) if seed is None else seed
    flowers = list(islice(simulated(seed), count))
    plan = Plan(
        [flower.features for flower in flowers],
        labels=[flower.label for flower in flowers] if right is None else None,
        right=None if right is None or last is None else lambda done: right + (last - right) * done,
        share=feedback,
        n=count,
        rate=rate,
        seed=seed,
    )
    url = open_platform(platform).url(GATEWAY) + gateway_path(namespace, model)
    console = Console()
    console.print(f"{count} simulated flowers, --seed {seed}", highlight=False)
    with (
        Progress(console=console, disable=not console.is_terminal) as progress,
        Traffic(url, plan, threads=threads) as stream,
    ):
        task = progress.add_task(f"{namespace}/{model}", total=count)
        for record in stream:
            progress.update(task, advance=record.kind == "prediction")
    tally = stream.tally
    console.print(
        f"{tally.predictions} requests, {tally.predictions_failed} failed;"
        f" {tally.feedback} pieces of feedback, {tally.right} right,"
        f" {tally.feedback_failed} failed",
        highlight=False,
    )
    for reason, times in tally.reasons.most_common():
        console.print(f"  {reason}: {times}", markup=False, highlight=False)
    if tally.failed:
        raise typer.Exit(1)
