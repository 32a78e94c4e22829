"""The texts of the live page as HTML, each from its part of the view model."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from html import escape

from closedloop.judging.decision import Verdict
from closedloop.live.models import SINGLE
from closedloop.live.shown import Alarm, Coverage, Curve, Pair, Refusal, Side, View

_SIGNS = {"done": "✓", "refused": "⊘", "failed": "✕"}
_EVENTS, _REFUSALS, _CHIPS = 2, 4, 3  # that there is room for


def header(view: View) -> str:
    """The state of everything in one sentence."""
    return f'<p class="state">{escape(view.state)}</p>'


def alarms(found: Sequence[Alarm], curve: Curve) -> str:
    """The first alert that fires in large letters; the others, and those that wait, beside it."""
    firing = [one for one in found if one.state != "pending"]
    others = Counter(one.name for one in firing[1:])
    chips = [name if count == 1 else f"{name} {count} times" for name, count in others.items()]
    chips += dict.fromkeys(f"{one.name} may follow" for one in found if one.state == "pending")
    beside = "".join(f"<span>{escape(each)}</span>" for each in chips[:_CHIPS])
    if not firing:
        rule = ""
        if curve.threshold is not None and curve.threshold_pieces is not None:
            rule = (
                f"ModelAccuracyLow fires below {curve.threshold:.0%} of at least"
                f" {curve.threshold_pieces:.0f} truths in 30 s."
            )
        return (
            f'<div class="alarm quiet"><p><b>✓ No alert</b>{beside}</p>'
            f'<p class="summary">{rule}</p></div>'
        )
    first = firing[0]
    sentence = first.summary if first.state == "delivered" else "On its way to its receiver"
    since = "" if first.since is None else f" since {_clock(first.since)}"
    return (
        f'<div class="alarm firing"><p><b>▲ {escape(first.name)}</b>'
        f" <i>{escape(first.model)}{since}</i>{beside}</p>"
        f'<p class="summary">{escape(sentence)}</p></div>'
    )


def accuracy(curve: Curve) -> str:
    """The newest accuracy in large figures, or the reason why there is none."""
    if curve.share is None or curve.lower is None or curve.upper is None:
        return f'<p class="missing">{escape(curve.sentence)}</p>'
    return (
        f'<p class="figure"><b>{curve.share:.0%}</b> right'
        f" <i>95% interval {curve.lower:.0%} to {curve.upper:.0%},"
        f" {escape(curve.sentence)}</i></p>"
    )


def pair(found: Pair | None, missing: str) -> str:
    """Champion and challenger beside one another, and the meter between their thresholds."""
    if found is None:
        return f'<p class="missing">{escape(missing or "Nothing is compared yet.")}</p>'
    side = "challenger" if found.position > 0 else "champion" if found.position < 0 else ""
    decided = "" if found.verdict is Verdict.UNDECIDED else side
    return (
        f'<div class="sides">{_side(found.champion, "champion")}'
        f"{_side(found.challenger, 'challenger')}</div>"
        f'<div class="ends"><span>◀ keep</span><span>promote ▶</span></div>'
        f'<div class="track {side}" role="meter" aria-valuemin="-1" aria-valuemax="1"'
        f' aria-valuenow="{found.position:.2f}" aria-label="{escape(found.sentence)}">'
        f'<div class="fill" style="{_fill(found.position)}"></div>'
        f'<div class="needle" style="left:{50 + 48 * found.position:.1f}%"></div></div>'
        f'<p class="odds">evidence <b>{odds(found)}</b>, decisive at {found.threshold:.0f}</p>'
        f'<p class="verdict {decided}"><b>{_verdict(found)}</b></p>'
    )


def odds(pair: Pair) -> str:
    """The evidence, of which past the threshold the size no longer matters."""
    if pair.odds >= 1000:
        return "over 1000 to 1"
    return f"{max(pair.odds, 1):.{1 if pair.odds < 10 else 0}f} to 1"


def _verdict(pair: Pair) -> str:
    if pair.verdict is Verdict.PROMOTE:
        return f"Promote {escape(pair.challenger.predictor)}"
    if pair.verdict is Verdict.KEEP:
        return f"Keep {escape(pair.champion.predictor)}"
    more = "" if pair.needed is None else f", about {pair.needed} more rows"
    return f"Undecided{more}"


def coverage(found: Sequence[Coverage]) -> str:
    """A bar for each predictor: the share of its answers that are judged."""
    if not found:
        return '<p class="missing">No answer is counted yet.</p>'
    return "".join(
        f'<div class="bar"><span>{escape(one.predictor)}</span><b>{one.share:.0%}</b>'
        f'<meter min="0" max="1" value="{one.share:.3f}">{one.share:.0%}</meter>'
        f"<i>{one.judged} of {one.answered}</i></div>"
        for one in found
    )


def refusals(found: Sequence[Refusal] | None) -> str:
    """The feedback that did not count: how often, why, and the remedy."""
    if found is None:
        return '<p class="missing">No metrics server tells now.</p>'
    if not found:
        return '<p class="good">✓ Every piece of feedback counted.</p>'
    rows = "".join(
        f"<li><b>{one.count}x {escape(one.reason.replace('_', ' '))}</b>"
        f" <i>{escape(one.predictor)}</i><br>{escape(one.remedy)}</li>"
        for one in found[:_REFUSALS]
    )
    return f"<ul>{rows}</ul>"


def events(view: View) -> str:
    """The newest actions of the controls, the newest first."""
    found = view.controlled.events[: -_EVENTS - 1 : -1]
    if not found:
        return '<p class="missing">Nothing was asked for yet.</p>'
    rows = "".join(
        f'<li class="{one.kind}"><i>{_clock(one.at)}</i> {_SIGNS[one.kind]}'
        f" {escape(one.sentence)}</li>"
        for one in found
    )
    return f"<ol>{rows}</ol>"


def correctness(view: View) -> str:
    """The share of the single model's truths that agree with its answers."""
    return f"<p>{SINGLE} <b>{view.controlled.correctness:.0%}</b> right</p>"


def _side(side: Side, role: str) -> str:
    share = "—" if side.share is None else f"{side.share:.1%}"
    return (
        f'<div class="side {role}"><i>{role}</i> <span>{escape(side.predictor)}</span>'
        f"<b>{share}</b><i>{side.lower:.0%} to {side.upper:.0%} of {side.judged}</i>"
        f"<em>alone right on {side.alone}</em></div>"
    )


def _fill(position: float) -> str:
    width = 48 * abs(position)
    return f"left:{50 - width if position < 0 else 50:.1f}%;width:{width:.1f}%"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
