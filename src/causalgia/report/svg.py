"""One style for every figure of the report: panels drawn with matplotlib, written as deterministic inline SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from causalgia.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe-Ito palette. Blue is the accent and the treated arm; worlds take the rest.
INK, MUTED, RULE = "#1c2430", "#5f6b7a", "#d5dae1"
TREATED, CONTROL = "#0072B2", "#6b7280"
STRUCTURAL = ("#008A64", "#D55E00", "#B8558F", "#3A7FB0", "#A87400")
CONTROLS = ("#4b5563", "#A87400", "#3A7FB0")
MARKERS = ("o", "s", "D", "^", "v", "<")
SOLID: Any = "solid"
DASHES: Any = ((0, (5, 2)), (0, (1.5, 1.8)), (0, (7, 2, 1.5, 2)))
FONT, SMALL = 13.0, 12.0
NARROW, WIDE = 330.0, 440.0
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": FONT,
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": MUTED,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "axes.grid": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Look:
    """How one world is drawn in every figure."""

    colour: str
    marker: str
    dash: Any
    ink: str


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: its finding, panels of SVG, a legend of (swatch, label), a note, the rows behind it."""

    key: str
    title: str
    panels: list[str]
    legend: list[tuple[str, str]]
    note: str = ""
    columns: int = 2
    data: list[list[Any]] = field(default_factory=list)

    @property
    def link(self) -> str:
        """The data as a link that needs no network: CSV, the heading first; empty where there is none."""
        if not self.data:
            return ""
        lines = (",".join(map(_field, row)) for row in self.data)
        return "data:text/csv;charset=utf-8," + quote("\n".join(lines) + "\n", safe=",.-:;()/")


def _field(value: Any) -> str:
    """One value of CSV, numbers to five digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


def structural(table: dict[str, Any]) -> list[str]:
    """Names of the structural worlds."""
    return [world["name"] for world in table["worlds"] if world["structural"]]


def looks(worlds: Sequence[dict[str, Any]]) -> dict[str, Look]:
    """The look of every world: structural ones solid, controls dashed, no two alike."""
    result: dict[str, Look] = {}
    solid = dashed = 0
    for k, world in enumerate(worlds):
        marker = MARKERS[k % len(MARKERS)]
        if world["structural"]:
            colour, dash = STRUCTURAL[solid % len(STRUCTURAL)], SOLID
            solid += 1
        else:
            colour, dash = CONTROLS[dashed % len(CONTROLS)], DASHES[dashed % len(DASHES)]
            dashed += 1
        result[world["name"]] = Look(colour, marker, dash, darker(colour))
    return result


def darker(colour: str, by: float = 0.72) -> str:
    """A darker shade, legible as text on white."""
    parts = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{int(by * part):02x}" for part in parts)


def panel(width: float, height: float, margins: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """A figure of one axes, in pixels at nominal size; margins are left, right, bottom, top."""
    from matplotlib.figure import Figure

    left, right, bottom, top = margins
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    return figure, figure.add_axes(box)


def heading(axes: Axes, text: str, colour: str = INK, rise: float = 10) -> None:
    """A bold line above the axes, at their left edge."""
    _above(axes, text, rise, color=colour, weight="bold")


def axis_name(axes: Axes, text: str, rise: float = 10) -> None:
    """The name of the vertical axis, written level above it."""
    _above(axes, text, rise, color=MUTED)


def _above(axes: Axes, text: str, rise: float, **style: Any) -> None:
    axes.annotate(text, (0, 1), xytext=(0, rise), xycoords="axes fraction", textcoords="offset points", **style)


def plain_log(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 3 and 10 times powers of ten, as plain numbers, at most seven."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axis.get_view_interval()
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 3) if low <= m * 10.0**d <= high]
    if len(ticks) > 5:
        ticks = [10.0**d for d in decades if low <= 10.0**d <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _: number(x)))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """The places moved as little as needed so that neighbours stand at least `gap` apart, in the order given."""
    order = sorted(range(len(places)), key=lambda k: places[k])
    groups: list[tuple[list[int], float]] = []
    for k in order:
        members, centre = [k], places[k]
        while groups:
            others, middle = groups[-1]
            if centre - middle >= gap * (len(members) + len(others)) / 2:
                break
            groups.pop()
            centre = (centre * len(members) + middle * len(others)) / (len(members) + len(others))
            members = others + members
        groups.append((members, centre))
    moved = [0.0] * len(places)
    for members, centre in groups:
        for rank, k in enumerate(members):
            moved[k] = centre + gap * (rank - (len(members) - 1) / 2)
    return moved


def finish(figure: Figure, key: str, alt: str) -> str:
    """The figure as inline SVG: unique ids, no size of its own, no reference outside, an accessible name."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return clean(file.getvalue(), key, alt)


def clean(text: str, key: str, alt: str) -> str:
    """Inline SVG from matplotlib's file."""
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda match: _tag(match[0], key), body)
    body = re.sub(r"\s*\n\s*", "\n", body).strip()
    name = escape(alt, quote=True)
    width = float(box[1].split()[2])
    style = f"max-width:{1.25 * width:.0f}px"
    return (
        f'<svg class="panel" role="img" aria-label="{name}" viewBox="{box[1]}" style="{style}">'
        f"<title>{escape(alt)}</title>\n{body}\n</svg>"
    )


def _tag(tag: str, key: str) -> str:
    """One tag with unique ids, two decimals and the page's own font."""
    tag = re.sub(r'<g id="[^"]*"', "<g", tag)
    tag = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', tag)
    tag = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", tag)
    tag = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{key}-\1"', tag)
    tag = re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), tag)
    tag = re.sub(r"font: ([^;\"]*?)([\d.]+px) [^;\"]*", r"font: \1\2 sans-serif", tag)
    return re.sub(r"font-family: [^;\"]+;? ?", "", tag)
