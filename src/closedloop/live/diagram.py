"""The loop as a diagram: SVG, with live rates on its arrows and states in its boxes."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 1560, 374
_TOP, _MIDDLE, _LOW = 52, 168, 294
_HALF = 32  # of a box's height


@dataclass(frozen=True, slots=True)
class _Box:
    """A box centred at (x, y); `group` chooses its colour."""

    x: int
    y: int
    text: str
    group: str
    width: int = 200


@dataclass(frozen=True, slots=True)
class _Arrow:
    """A line through `points` as SVG writes them, its head at the last.

    The label is at (x, y); its `rate` is the name of one, and `words` come after it.
    """

    points: str
    x: int
    y: int
    rate: str = ""
    words: str = ""
    anchor: str = "middle"
    dashed: bool = False


_BOXES = {
    "client": _Box(70, _TOP, "client", "outside", 120),
    "gateway": _Box(440, _TOP, "gateway", "serving", 170),
    "models": _Box(770, _TOP, "models", "serving"),
    "shadow": _Box(770, _MIDDLE, "shadow", "serving"),
    "broker": _Box(1070, _TOP, "broker", "events", 150),
    "logger": _Box(1415, _TOP, "request logger", "events", 270),
    "log": _Box(1425, _MIDDLE, "Elasticsearch", "events", 240),
    "server": _Box(1055, _MIDDLE, "metrics server", "metrics", 236),
    "prometheus": _Box(1070, _LOW, "Prometheus", "metrics", 210),
    "alerts": _Box(770, _LOW, "alerts", "metrics"),
    "decision": _Box(440, _LOW, "decision", "outside", 170),
}
_ARROWS = (
    _Arrow("130,40 353,40", 242, 28, "requests", "requests"),
    _Arrow("130,64 353,64", 242, 98, "truths", "truths"),
    _Arrow("525,52 668,52", 597, 40, "served"),
    _Arrow("480,84 480,168 668,168", 577, 156, "mirrored", dashed=True),
    _Arrow("870,52 993,52", 932, 40, "sent"),
    _Arrow("870,168 910,168 910,58", 0, 0),
    _Arrow("1145,52 1278,52", 1210, 40, "logged"),
    _Arrow("1070,84 1070,134", 1082, 119, "received", anchor="start"),
    _Arrow("1415,84 1415,134", 1427, 119, "written", anchor="start"),
    _Arrow("1305,168 1175,168", 1240, 156, words="restore", dashed=True),
    _Arrow("1070,200 1070,260", 1082, 242, "scraped", "scrapes", anchor="start"),
    _Arrow("965,294 872,294", 918, 284),
    _Arrow("670,294 527,294", 597, 284, words="alert"),
    _Arrow("1415,200 1415,364 440,364 440,328", 1405, 354, words="evidence", anchor="end"),
    _Arrow("400,262 400,86", 388, 190, words="promote", anchor="end"),
)
_WORDS = {"ready": "", "absent": "not there"}


def diagram(
    boxes: Mapping[str, str], rates: Mapping[str, float | None], *, alert: bool, evidence: str
) -> str:
    """The SVG. `boxes` are states by name, `rates` events/s; an `alert` marks its way."""
    said = ", ".join(f"{_per_second(rate, name)}" for name, rate in rates.items())
    head = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="loop"'
        f' aria-label="The loop, in events a second: {escape(said)}">'
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="14"'
        ' markerHeight="14" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0,0 L10,5 L0,10 z"/></marker></defs>'
    )
    parts = [head]
    for arrow in _ARROWS:
        classes = ["flow"] if rates.get(arrow.rate) else []
        classes += ["dashed"] if arrow.dashed else []
        classes += ["alert"] if alert and arrow.words == "alert" else []
        words = evidence if arrow.words == "evidence" else arrow.words
        parts.append(
            f'<polyline points="{arrow.points}" class="{" ".join(classes)}"'
            ' marker-end="url(#head)"/>'
        )
        label = _per_second(rates.get(arrow.rate), words) if arrow.rate else words
        if label:
            parts.append(
                f'<text x="{arrow.x}" y="{arrow.y}" text-anchor="{arrow.anchor}"'
                f' class="{"rate" if rates.get(arrow.rate) else "word"}">{escape(label)}</text>'
            )
    parts += [_box(box, boxes.get(name, "ready"), alert) for name, box in _BOXES.items()]
    return "".join([*parts, "</svg>"])


def _box(box: _Box, state: str, alert: bool) -> str:
    note = _WORDS.get(state, state)
    fires = alert and box.text == "alerts"
    kind = "fires" if fires else "bad" if note else box.group
    y = box.y - 4 if note else box.y + 8
    text = f'<text x="{box.x}" y="{y}" text-anchor="middle">{escape(box.text)}</text>'
    if note:
        text += (
            f'<text x="{box.x}" y="{box.y + 22}" text-anchor="middle" class="note">'
            f"{escape(note)}</text>"
        )
    return (
        f'<g class="box {kind}"><rect x="{box.x - box.width / 2}" y="{box.y - _HALF}"'
        f' width="{box.width}" height="{2 * _HALF}" rx="10"/>{text}</g>'
    )


def _per_second(rate: float | None, what: str = "") -> str:
    number = "—" if rate is None else f"{rate:.{1 if rate < 9.95 else 0}f}"
    return f"{number} {what}/s" if what else f"{number}/s"
