"""Figures of one analysed trial, simulated or real, as files of SVG that stand alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from causalgia.report.dots import Group, Row, Scene, dots
from causalgia.report.svg import (
    CONTROL,
    INK,
    MUTED,
    RULE,
    SOLID,
    STRUCTURAL,
    STYLE,
    TREATED,
    Look,
    axis_name,
    finish,
    heading,
    panel,
    plain_log,
)
from causalgia.report.words import fixed, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json = dict[str, Any]
WIDTH = 640.0
RATIOS, DIFFERENCES = ("raised", "lowered"), ("relieved", "mediated", "spared")
MAIN, BESIDE = Look(INK, "o", SOLID, INK), Look(MUTED, "o", SOLID, MUTED)
LABELS = {
    "raised": "affected / contralateral",
    "lowered": "lowered",
    "relieved": "relieved",
    "mediated": "of it through the marker",
    "spared": "difference between groups",
}


def figures(answers: Json, courses: list[Json], control: str) -> dict[str, str]:
    """File name and content of every figure for which there are numbers; `answers` and `courses` as plain tables."""
    import matplotlib

    unit = next((row["unit"] for row in courses if row["endpoint"] == "lowered"), "")
    with matplotlib.rc_context(STYLE):
        drawn = {
            "forest-ratios": _forest(answers, RATIOS, "Ratios of TNF", "ratio (1 = no difference)", ratio=True),
            "forest-differences": _forest(
                answers, DIFFERENCES, "Effects on the clinical endpoint", "difference (0 = none)", ratio=False
            ),
            "responders": _responders(answers["relieved"]["series"].get("responders", []), control),
            "course-lowered": _course([row for row in courses if row["endpoint"] == "lowered"], control, True),
            "course-relieved": _course([row for row in courses if row["endpoint"] == "relieved"], control, False),
            "sensitivity": _lines(
                answers["mediated"]["series"].get("correlation", []),
                "correlation",
                "Indirect effect if the errors of marker and endpoint were correlated",
                "correlation of the errors",
            ),
            "gradient": _lines(
                answers["spared"]["series"].get("gradient", []),
                "marker",
                "Effect along the true marker at baseline",
                f"true marker at baseline ({unit})",
                log=True,
            ),
        }
    return {f"{name}.svg": standalone(text) for name, text in drawn.items() if text}


def standalone(text: str) -> str:
    """Inline SVG as a file of its own."""
    return text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1) + "\n"


def _forest(answers: Json, keys: tuple[str, ...], title: str, axis: str, *, ratio: bool) -> str:
    rows: list[Row] = []
    for key in (*keys, *(name for name in answers if name.startswith(f"{keys[-1 if ratio else 0]} "))):
        if _whole(answers[key]):
            parts = [] if ratio else [c for c in answers[key]["companions"] if _whole(c) and _same_scale(c)]
            rows += [_row(LABELS.get(key, key), answers[key], MAIN), *(_row(c["name"], c, BESIDE) for c in parts)]
    if not rows:
        return ""
    scene = Scene(axis, zero=1.0 if ratio else 0.0, log=ratio, width=WIDTH)
    return dots(f"forest-{'ratio' if ratio else 'difference'}", [Group(title, rows)], scene, title)


def _row(label: str, row: Json, look: Look) -> Row:
    text = f"{fixed(row['estimate'])} ({fixed(row['lower'])} to {fixed(row['upper'])})"
    return Row(label, row["estimate"], row["lower"], row["upper"], look, text)


def _whole(row: Json) -> bool:
    return all(row[key] is not None for key in ("estimate", "lower", "upper"))


def _same_scale(row: Json) -> bool:
    """Companions that are effects on the endpoint: not slopes and not effects on the marker."""
    return "log marker" not in row["name"]


def _colours(arms: list[str], control: str) -> dict[str, str]:
    others = iter((TREATED, *STRUCTURAL))
    return {arm: CONTROL if arm == control else next(others, INK) for arm in arms}


def _by_arm(rows: list[Json], control: str) -> tuple[Figure, Axes, Iterator[tuple[list[Json], str]]]:
    """A panel with the arms named beside it, and each arm's rows with its colour."""
    figure, axes = panel(WIDTH, 320, (60, 130, 46, 40))
    colours = _colours(list(dict.fromkeys(row["arm"] for row in rows)), control)
    for k, (arm, colour) in enumerate(colours.items()):
        axes.text(1.02, 0.95 - 0.08 * k, arm, transform=axes.transAxes, color=colour)
    return figure, axes, (([row for row in rows if row["arm"] == arm], colour) for arm, colour in colours.items())


def _responders(rows: list[Json], control: str) -> str:
    if not rows:
        return ""
    figure, axes, arms = _by_arm(rows, control)
    for own, colour in arms:
        axes.plot([row["percent"] for row in own], [100 * row["share"] for row in own], color=colour, linewidth=2)
    axes.set_xlabel("at least so many per cent better than at baseline")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axis_name(axes, "subjects, %; missing is not better")
    return finish(figure, "responders", "Cumulative responders by arm")


def _course(rows: list[Json], control: str, log: bool) -> str:
    rows = [row for row in rows if row["estimate"] is not None]
    if not rows:
        return ""
    figure, axes, arms = _by_arm(rows, control)
    for k, (own, colour) in enumerate(arms):
        weeks = [row["week"] + 0.08 * k for row in own]
        axes.plot(weeks, [row["estimate"] for row in own], color=colour, marker="o", markersize=4)
        axes.vlines(weeks, [r["lower"] for r in own], [r["upper"] for r in own], color=colour, linewidth=1)
    if log:
        axes.set_yscale("log")
        plain_log(axes.yaxis)
    axes.set_xlabel("week")
    kind = "geometric mean" if log else "mean"
    axis_name(axes, f"{rows[0]['title']}, {kind} and 95 % interval ({rows[0]['unit']})")
    return finish(figure, f"course-{rows[0]['endpoint']}", f"{rows[0]['title']} by arm and week")


def _lines(rows: list[Json], over: str, title: str, label: str, *, log: bool = False) -> str:
    """An estimate with its interval over one number."""
    rows = [row for row in rows if row.get("estimate") is not None]
    if not rows:
        return ""
    figure, axes = panel(WIDTH, 320, (60, 30, 46, 40))
    x = [row[over] for row in rows]
    axes.fill_between(x, [r["lower"] for r in rows], [r["upper"] for r in rows], color=TREATED, alpha=0.18, linewidth=0)
    axes.plot(x, [row["estimate"] for row in rows], color=TREATED, linewidth=2)
    axes.axhline(0, color=RULE, linewidth=1, zorder=0)
    if log:
        axes.set_xscale("log")
        plain_log(axes.xaxis)
    axes.set_xlabel(label)
    heading(axes, title)
    return finish(figure, over, f"{title}: from {number(rows[0]['estimate'])} to {number(rows[-1]['estimate'])}")
