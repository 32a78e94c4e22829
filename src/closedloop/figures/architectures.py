"""The two ways to get live model metrics, as diagrams."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

_INK = "#26323d"
_FILL = {"client": "#ffffff", "serving": "#e3eefb", "events": "#fdf0dd", "metrics": "#e2f3e8"}
_HEIGHT = 0.78


@dataclass(frozen=True, slots=True)
class _Box:
    """A box centred at (x, y); `group` chooses its colour."""

    x: float
    y: float
    text: str
    group: str
    width: float = 1.75
    height: float = _HEIGHT


def metrics_server() -> Figure:
    """Architecture A: a metrics server outside the models, fed by the broker."""
    boxes = {
        "client": _Box(0.7, 3.1, "client", "client", 1.1),
        "gateway": _Box(3.05, 3.1, "gateway", "serving", 1.25),
        "model": _Box(5.0, 3.1, "orchestrator\n+ model", "serving"),
        "broker": _Box(5.0, 1.7, "broker", "events"),
        "logger": _Box(7.6, 2.4, "request logger", "events"),
        "server": _Box(7.6, 1.0, "metrics server", "metrics"),
        "es": _Box(10.3, 2.4, "Elasticsearch", "events"),
        "prometheus": _Box(10.3, 1.0, "Prometheus", "metrics"),
        "views": _Box(12.9, 1.0, "dashboards,\nalerts", "metrics", 1.6),
        "history": _Box(12.9, 2.4, "history,\ncomparison", "events", 1.6),
    }
    figure, axes = _canvas("A · metrics server: one service beside the models", 13.9)
    _join(axes, boxes["client"], boxes["gateway"], "request,\nfeedback", both=True)
    _join(axes, boxes["gateway"], boxes["model"], both=True)
    _join(axes, boxes["model"], boxes["broker"], "CloudEvents", side="right")
    _join(axes, boxes["broker"], boxes["logger"])
    _join(axes, boxes["broker"], boxes["server"])
    _join(axes, boxes["logger"], boxes["es"])
    _join(axes, boxes["es"], boxes["server"], "restore, resync", dashed=True)
    _join(axes, boxes["prometheus"], boxes["server"], "scrape")
    _join(axes, boxes["prometheus"], boxes["views"])
    _join(axes, boxes["es"], boxes["history"])
    _draw(axes, boxes)
    return figure


def in_the_model() -> Figure:
    """Architecture B: each model keeps score itself and exposes custom metrics."""
    boxes = {
        "client": _Box(0.7, 2.1, "client", "client", 1.1),
        "gateway": _Box(3.3, 2.1, "gateway", "serving", 1.25),
        "default": _Box(6.0, 2.9, "champion: predict,\nsend_feedback, metrics", "serving", 2.9),
        "shadow": _Box(6.0, 1.3, "challenger: predict,\nsend_feedback, metrics", "serving", 2.9),
        "prometheus": _Box(9.6, 2.1, "Prometheus", "metrics"),
        "views": _Box(12.2, 2.1, "dashboards,\nalerts", "metrics", 1.6),
    }
    figure, axes = _canvas("B · in the model: the wrapper class keeps score", 13.2)
    _join(axes, boxes["client"], boxes["gateway"], "request,\nfeedback", both=True)
    _join(axes, boxes["gateway"], boxes["default"], both=True)
    _join(axes, boxes["gateway"], boxes["shadow"], "mirrored", dashed=True)
    _join(axes, boxes["prometheus"], boxes["default"], "scrape")
    _join(axes, boxes["prometheus"], boxes["shadow"])
    _join(axes, boxes["prometheus"], boxes["views"])
    _draw(axes, boxes)
    return figure


def _canvas(title: str, width: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width * 0.85, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(0, width)
    axes.set_ylim(0.4, 3.7)
    axes.axis("off")
    axes.set_title(title, loc="left", fontsize=15, color=_INK, fontweight="bold")
    return figure, axes


def _draw(axes: Axes, boxes: dict[str, _Box]) -> None:
    for box in boxes.values():
        corner = (box.x - box.width / 2, box.y - box.height / 2)
        style = "round,pad=0,rounding_size=0.12"
        axes.add_patch(
            FancyBboxPatch(
                corner,
                box.width,
                box.height,
                boxstyle=style,
                facecolor=_FILL[box.group],
                edgecolor=_INK,
                linewidth=1.3,
                zorder=3,
            )
        )
        axes.text(
            box.x, box.y, box.text, ha="center", va="center", fontsize=12, color=_INK, zorder=4
        )


def _join(
    axes: Axes,
    start: _Box,
    end: _Box,
    label: str = "",
    *,
    both: bool = False,
    dashed: bool = False,
    side: str = "above",
) -> None:
    tail, head = _edge(start, end), _edge(end, start)
    axes.add_patch(
        FancyArrowPatch(
            tail,
            head,
            arrowstyle="<|-|>" if both else "-|>",
            mutation_scale=15,
            linewidth=1.4,
            linestyle="--" if dashed else "-",
            color=_INK,
            shrinkA=1,
            shrinkB=1,
            zorder=2,
        )
    )
    if label:
        x, y = (tail[0] + head[0]) / 2, (tail[1] + head[1]) / 2
        beside = side == "right"
        axes.text(
            x + (0.12 if beside else 0),
            y + (0 if beside else 0.1),
            label,
            ha="left" if beside else "center",
            va="center" if beside else "bottom",
            fontsize=10,
            color=_INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )


def _edge(box: _Box, towards: _Box) -> tuple[float, float]:
    """The point of a box's side that faces the other box."""
    dx, dy = towards.x - box.x, towards.y - box.y
    if abs(dx) < box.width / 2:
        return box.x, box.y + (box.height / 2 if dy > 0 else -box.height / 2)
    return box.x + (box.width / 2 if dx > 0 else -box.width / 2), box.y
