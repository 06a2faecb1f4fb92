"""A forest plot as deterministic SVG: each trial, the studies without a number, the pooled effect, the prediction."""

from __future__ import annotations

import io
from math import log
from typing import TYPE_CHECKING, Any

from causalgia.evidence.compare import Comparison
from causalgia.evidence.tables import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, MARK = "#1c2430", "#5f6b7a", "#d5dae1", "#0072B2"
STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "causalgia"}
ROW, WIDTH = 0.32, 8.0
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def forest(comparison: Comparison, title: str, scale: str) -> str:
    """The plot as SVG text; the same comparison gives the same bytes. Ratios stand on a logarithmic axis."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = len(comparison.effects) + len(comparison.left) + (2 if comparison.pooled else 0)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, ROW * rows + 1.1))
        height = figure.get_figheight()
        axes = figure.add_axes((0.30, 0.62 / height, 0.40, ROW * rows / height))
        axes.set_ylim(rows - 0.5, -0.5)
        _draw(axes, comparison)
        figure.text(0.02, 1 - 0.25 / height, title, color=INK, fontweight="bold", va="center")
        axes.set_xlabel(scale, color=MUTED)
        return _svg(figure)


def _draw(axes: Axes, comparison: Comparison) -> None:
    weights = [1 / (item.se**2 + (comparison.pooled.tau2 if comparison.pooled else 0)) for item in comparison.effects]
    limits = [edge for item in comparison.effects for edge in item.ends]
    for row, item in enumerate(comparison.effects):
        low, high = item.ends
        axes.plot([low, high], [row, row], color=MARK, linewidth=1.2)
        size = 3 + 6 * (weights[row] / max(weights)) ** 0.5
        axes.plot([item.y], [row], marker="s", color=MARK, markersize=size)
        _label(axes, row, item.study.key, shown(item.y, (low, high), comparison.ratio), INK)
    row = len(comparison.effects)
    if comparison.pooled is not None:
        pooled = comparison.pooled
        diamond = [pooled.lower, pooled.estimate, pooled.upper, pooled.estimate]
        axes.fill(diamond, [row, row - 0.28, row, row + 0.28], color=INK)
        figure = shown(pooled.estimate, (pooled.lower, pooled.upper), comparison.ratio)
        _label(axes, row, f"pooled, k {pooled.k}", figure, INK)
        limits += [pooled.lower, pooled.upper]
        row += 1
        if pooled.k >= 3:
            ends = (pooled.prediction_lower, pooled.prediction_upper)
            axes.plot(ends, [row, row], color=INK, linewidth=2.4, solid_capstyle="butt")
            _label(axes, row, "a further trial (prediction)", shown(None, ends, comparison.ratio), INK)
            limits += ends
        else:
            _label(axes, row, "a further trial (prediction)", "needs three trials", MUTED)
        row += 1
    for left in comparison.left:
        _label(axes, row, left.study.key, "null, no number" if left.null else "not pooled", MUTED)
        row += 1
    _axis(axes, limits, comparison.ratio)


def _axis(axes: Axes, limits: list[float], ratio: bool) -> None:
    low, high = min([0.0, *limits]), max([0.0, *limits])
    room = 0.06 * (high - low) or 1.0
    axes.set_xlim(low - room, high + room)
    axes.axvline(0.0, color=RULE, linewidth=1, zorder=0)
    axes.set_yticks([])
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=MUTED)
    if ratio:
        ticks = [tick for tick in TICKS if low - room <= log(tick) <= high + room]
        axes.set_xticks([log(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])


def _label(axes: Axes, row: int, name: str, figure: str, colour: str) -> None:
    where = axes.get_yaxis_transform()
    axes.text(-0.03, row, name, transform=where, ha="right", va="center", color=colour)
    axes.text(1.04, row, figure, transform=where, ha="left", va="center", color=colour)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
