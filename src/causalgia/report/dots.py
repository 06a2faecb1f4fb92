"""A panel of dots with intervals, a row each, in titled groups: the shape that most findings of a report take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from causalgia.report.svg import INK, MUTED, SMALL, WIDE, Look, finish, panel, plain_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW, HEAD, FOOT = 25.0, 27.0, 48.0
CHARACTER = 7.1
PUBLISHED = Look(INK, "D", "solid", INK)


@dataclass(frozen=True)
class Row:
    """One dot: its label, the point, the ends of its interval, how it looks, and what is written beside it."""

    label: str
    point: float | None
    low: float | None
    high: float | None
    look: Look
    text: str
    hollow: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under a title; the title may be empty."""

    title: str
    rows: list[Row]


@dataclass(frozen=True)
class Scene:
    """What the rows share: the axis with its unit, values drawn as a solid and as dashed lines, the kind of axis,
    values that it must reach, and the width of all.
    """

    axis: str
    zero: float | None = 0.0
    dashed: Sequence[float] = ()
    log: bool = False
    reach: Sequence[float] = ()
    width: float = WIDE


def dots(key: str, groups: Sequence[Group], scene: Scene, alt: str) -> str:
    """The panel as inline SVG."""
    rows = [row for group in groups for row in group.rows]
    titles = sum(bool(group.title) for group in groups)
    height = ROW * len(rows) + HEAD * titles + FOOT + 12
    left = 18 + CHARACTER * max(len(row.label) for row in rows)
    right = 16 + CHARACTER * max(len(row.text) for row in rows)
    figure, axes = panel(scene.width, height, (left, right, FOOT, 12))
    axes.set_ylim(height - FOOT - 12, 0)
    _axis(axes, rows, scene)
    y = 0.0
    for group in groups:
        if group.title:
            axes.annotate(
                group.title,
                (0, y + HEAD / 2 + 3),
                xycoords=("figure fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                weight="bold",
                bbox={"facecolor": "white", "linewidth": 0, "pad": 1.5},
            )
            y += HEAD
        for row in group.rows:
            _row(axes, row, y + ROW / 2)
            y += ROW
    return finish(figure, key, alt)


def _row(axes: Axes, row: Row, y: float) -> None:
    beside: Any = axes.get_yaxis_transform()
    axes.annotate(
        row.label, (0, y), xycoords=beside, xytext=(-9, 0), textcoords="offset points", ha="right", va="center",
        color=row.look.ink,
    )  # fmt: skip
    axes.annotate(row.text, (1, y), xycoords=beside, xytext=(9, 0), textcoords="offset points", va="center", size=SMALL)
    if row.low is not None and row.high is not None:
        axes.plot([row.low, row.high], [y, y], color=row.look.colour, linewidth=2)
    if row.point is not None:
        face = "white" if row.hollow else row.look.colour
        axes.plot(
            [row.point], [y], color=row.look.colour, marker=row.look.marker, markersize=7.5, markerfacecolor=face,
            mew=1.6, clip_on=False,
        )  # fmt: skip


def _axis(axes: Axes, rows: Sequence[Row], scene: Scene) -> None:
    known = [value for row in rows for value in (row.point, row.low, row.high) if value is not None]
    ends = [*known, *scene.dashed, *scene.reach, *([] if scene.zero is None else [scene.zero])] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    if scene.log:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.25, high * 1.25)
        plain_log(axes.xaxis)
    else:
        room = 0.05 * (high - low) or 1.0
        axes.set_xlim(low - room, high + room)
        axes.locator_params(axis="x", nbins=5)
        from matplotlib.ticker import FuncFormatter

        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
    if scene.zero is not None:
        axes.axvline(scene.zero, color=MUTED, linewidth=1, zorder=0)
    for value in scene.dashed:
        axes.axvline(value, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(scene.axis, labelpad=6)
