"""Which of two models is better, and letting it serve: `closedloop compare` and `promote`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from closedloop.cli.errors import CommandError
from closedloop.cli.options import (
    ModelArgument,
    NamespaceOption,
    PlatformName,
    PlatformOption,
    open_platform,
)
from closedloop.platforms.parts import LOG

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from closedloop.judging.comparison import Comparison
    from closedloop.judging.promotion import Promotion, Roles
    from closedloop.log.period import Period
    from closedloop.platforms.protocol import Platform

AlphaOption = Annotated[
    float,
    typer.Option(
        "--alpha",
        min=1e-9,
        max=0.5,
        # closedloop.judging.decision.ALPHA, which takes scipy to import
        help="The chance, between two equally good models, of ever deciding for one of them,"
        " however often one looks.",
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        help="Count requests from this time on, such as 2026-05-01T12:00:00Z."
        " (Default: since both predictors have their present models.)",
        show_default=False,
    ),
]


def compare(
    model: ModelArgument = "iris-perf",
    since: SinceOption = None,
    until: Annotated[str | None, typer.Option(help="Count requests before this time.")] = None,
    alpha: AlphaOption = 0.05,
    namespace: NamespaceOption = "seldon",
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Compare the model that serves with its shadow, row by row, from the log.

    Only rows on which exactly one of the two is right tell them apart, and each
    counts once, however often it is asked. The verdict stays valid however often
    one looks, if --since is not chosen by looking at it.
    """
    console = Console()
    piped = not console.is_terminal  # where nobody's window is, no line has to end
    target = open_platform(platform)
    period = _period(console, target, namespace, model, since, until)
    found = _compare(target, namespace, model, period)
    console.print(comparison_table(found))
    test = found.report()
    console.print(
        f"Both right {found.both_right}, both wrong {found.both_wrong}, champion alone"
        f" {found.champion_only}, challenger alone {found.challenger_only}. Exact test, valid for"
        f" one look: p = {test.p_value:.3g}.",
        highlight=False,
        soft_wrap=piped,
    )
    if sentences := left_out(found):
        console.print(" ".join(sentences), highlight=False, soft_wrap=piped)
    console.print(found.decide(alpha).sentence, style="bold", highlight=False, soft_wrap=piped)


def promote(
    model: ModelArgument = "iris-perf",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the verdict and the change, and apply nothing.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option("--anyway", help="Swap the two whatever the evidence says; also to undo."),
    ] = False,
    since: SinceOption = None,
    alpha: AlphaOption = 0.05,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait until the answers have turned.")
    ] = 300.0,
    namespace: NamespaceOption = "seldon",
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Let the shadow serve and the serving model be its shadow, if the evidence says so.

    Requests go on being answered meanwhile. The gateway's answers before and
    after are compared, to see that it happened.
    """
    from closedloop.judging import promotion
    from closedloop.judging.decision import Verdict

    target = open_platform(platform)
    console = Console()
    period = _period(console, target, namespace, model, since)
    if not anyway:
        decision = _compare(target, namespace, model, period).decide(alpha)
        console.print(decision.sentence, style="bold", highlight=False)
        if decision.verdict is not Verdict.PROMOTE and not dry_run:
            raise CommandError(
                f"{namespace}/{model} is left as it is: wait for more feedback, or add --anyway"
            )
    try:
        who = promotion.roles(target.get(promotion.KIND, model, namespace))
        probes = () if dry_run else _probes(target, namespace, model, who, period)
        done = promotion.promote(
            target, namespace, model, probes=probes, dry_run=dry_run, timeout=timeout
        )
    except promotion.PromotionError as error:
        raise CommandError(str(error)) from None
    console.print(Syntax(done.diff, "diff", background_color="default"))
    console.print(told(done), highlight=False)


def comparison_table(found: "Comparison") -> Table:
    """A row for each of the two predictors."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("role", "predictor", "right", "wrong", "accuracy", "feedback"):
        table.add_column(heading, justify="left" if heading in {"role", "predictor"} else "right")
    for role, each in (("champion", found.champion), ("challenger", found.challenger)):
        table.add_row(
            role,
            each.predictor,
            str(each.correct),
            str(each.incorrect),
            _percent(each.accuracy),
            _percent(each.coverage),
        )
    return table


def told(done: "Promotion") -> str:
    """The effect of a promotion, in a sentence."""
    if not done.applied:
        return f"Nothing was applied: {done.after.serving} would serve, {done.after.shadow} shadow."
    if done.answered_after is None:
        return (
            f"{done.after.serving} serves and {done.after.shadow} is its shadow; no logged request"
            " tells their answers apart, so only the platform says so."
        )
    return (
        f"{done.after.serving} serves and {done.after.shadow} is its shadow: the gateway's answers"
        f" were those of {done.answered_before or 'both'} before and are those of"
        f" {done.answered_after} now."
    )


def left_out(found: "Comparison") -> list[str]:
    """Which rows do not count, and which may count too often, in sentences."""
    sentences = []
    if found.repeats:
        sentences.append(f"Left out: {found.repeats} repeats of rows that count already.")
    if found.unlogged:
        sentences.append(
            f"{found.unlogged} rows count whose request is in no log: whether they are repeats"
            " cannot be told."
        )
    if found.champion_unpaired or found.challenger_unpaired:
        sentences.append(
            f"Scored for one of the two only: {found.champion_unpaired} rows of the champion,"
            f" {found.challenger_unpaired} of the challenger."
        )
    return sentences


def _period(
    console: Console,
    platform: "Platform",
    namespace: str,
    model: str,
    since: str | None,
    until: str | None = None,
) -> "Period":
    """The rows to look at, and a sentence that says which."""
    from closedloop.judging.present import present_pair
    from closedloop.log.period import Period

    start: datetime | str | None = since
    sentence = f"Rows asked since {since} count, as you say."
    if since is None:
        present = present_pair(platform, namespace, model)
        start, sentence = present.since, present.sentence
    try:
        period = Period(start, until)
    except ValueError as error:
        raise CommandError(str(error)) from None
    console.print(sentence, highlight=False)
    return period


def _compare(platform: "Platform", namespace: str, model: str, period: "Period") -> "Comparison":
    """The serving predictor as champion against its shadow as challenger."""
    from closedloop.judging import comparison, promotion
    from closedloop.log.pages import NothingLoggedError

    try:
        who = promotion.roles(platform.get(promotion.KIND, model, namespace))
        with _log(platform) as client:
            return comparison.compare(client, namespace, model, who.serving, who.shadow, period)
    except (promotion.PromotionError, NothingLoggedError) as error:
        raise CommandError(str(error)) from None


def _probes(
    platform: "Platform", namespace: str, model: str, who: "Roles", period: "Period"
) -> list[dict[str, object]]:
    """Logged requests that the two answered differently; none if nothing is logged."""
    from closedloop.judging import comparison
    from closedloop.log.pages import NothingLoggedError

    try:
        with _log(platform) as client:
            found = comparison.disagreements(
                client, namespace, model, who.serving, who.shadow, period
            )
            return [dict(request) for request in found]
    except NothingLoggedError:
        return []


@contextmanager
def _log(platform: "Platform") -> Iterator["Elasticsearch"]:
    from elasticsearch import ApiError, Elasticsearch, TransportError

    url = platform.url(LOG)
    try:
        with Elasticsearch(url) as client:
            yield client
    except (ApiError, TransportError) as error:
        raise CommandError(
            f"Elasticsearch at {url} does not answer ({error}): see `closedloop status`"
        ) from None


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"
