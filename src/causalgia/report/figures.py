"""The figures of the report, from the results dictionary alone; every title states what its numbers show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalgia.report.conducted import answers, curve, harm
from causalgia.report.effects import comparisons, contrast, effect, published, small_effect
from causalgia.report.flow import flow
from causalgia.report.mechanism import mediation
from causalgia.report.operating import gate, power, small_power
from causalgia.report.svg import (
    CONTROL,
    INK,
    MUTED,
    NARROW,
    SMALL,
    STYLE,
    TREATED,
    WIDE,
    Drawing,
    Look,
    axis_name,
    finish,
    heading,
    looks,
    panel,
    plain_log,
    structural,
)
from causalgia.report.words import between, fixed, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Json = dict[str, Any]
# Trajectories: output, title, unit as written, logarithmic axis.
MEASURES = {
    "Cp": ("Drug in serum", "mg/L", False),
    "TNF": ("Free TNF, affected site", "pg/mL", True),
    "total": ("Total TNF, affected site", "pg/mL", True),
    "NRS": ("Pain, NRS", "0–10", False),
}


def drawings(table: Json) -> dict[str, list[Drawing]]:
    """The figures of each section of the page; a section without data has none."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        return {
            "patients": _patients(table),
            "trajectories": _trajectories(table),
            "flow": [flow(table)],
            "trial": [*answers(table), *curve(table)],
            "power": [*power(table), effect(table)],
            "comparisons": comparisons(table),
            "contrast": contrast(table),
            "mediation": mediation(table),
            "published": published(table),
            "gate": gate(table),
            "harm": harm(table),
            "summary": [small_picture(table)],
        }


def small_picture(table: Json) -> Drawing:
    """The one picture of the summary: power by size, or the effect with its interval where there is one size."""
    sizes = table["protocol"]["sizes"]
    return small_power(table) if len(sizes) > 1 and not table["protocol"]["contrast_asked"] else small_effect(table)


def _patients(table: Json) -> list[Drawing]:
    """Published median and quartiles beside the simulated ones, a panel a measure."""
    shown = {name: table["population"][name]["published"] for name in structural(table)}
    rows: list[Json] = next(iter(shown.values()), [])
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    if not measures:
        return []
    style = looks(table["worlds"])
    panels = []
    for k, measure in enumerate(measures):
        sides = [index for index, row in enumerate(rows) if row["measure"] == measure]
        panels.append(_published_panel(f"pub{k}", {name: [shown[name][i] for i in sides] for name in shown}, style))
    ratios = [
        row["simulated"][1]["value"] / row["median"]
        for part in shown.values()
        for row in part
        if row["simulated"][1]["value"] is not None
    ]
    title = f"Simulated medians are {between(ratios, lambda x: fixed(x, 2))} times the published ones"
    patients = between([row["n"] for row in rows])
    note = (
        "Points are medians, lines run from the lower to the upper quartile, with the values on the right. Simulated "
        f"readings carry the assay's assumed error; the published ones come from {patients} patients. The simulated "
        f"medians have Monte Carlo standard errors of {_relative_errors(shown)} of their value. "
        "Agreement here is no validation: the same published numbers informed the parameters."
    )
    data = [["measure", "side", "world", "lower quartile", "median", "upper quartile", "unit"]]
    for row in rows:
        data.append(
            [
                row["title"],
                row["side"],
                "published",
                row["quartiles"][0],
                row["median"],
                row["quartiles"][1],
                row["unit"],
            ]
        )
    for name, part in shown.items():
        for row in part:
            data.append([row["title"], row["side"], name, *(cell["value"] for cell in row["simulated"]), row["unit"]])
    return [Drawing("published", title, panels, [], note, data=data)]


def _relative_errors(shown: dict[str, list[Json]]) -> str:
    middle = [row["simulated"][1] for part in shown.values() for row in part]
    return between(
        [m["se"] / m["value"] for m in middle if m["value"] and m["se"] is not None], lambda x: percent(x, 1)
    )


def _published_panel(key: str, shown: dict[str, list[Json]], style: dict[str, Look]) -> str:
    sides = next(iter(shown.values()))
    height = 62 + len(sides) * (26 + 23 * (len(shown) + 1))
    figure, axes = panel(WIDE, height, (88, 124, 40, 34))
    y, ends = 0.0, []
    for s, side in enumerate(sides):
        axes.text(-0.22, y, side["side"], transform=axes.get_yaxis_transform(), weight="bold", va="center")
        lines: list[tuple[str, Any, str, str]] = [
            ("published", (side["quartiles"][0], side["median"], side["quartiles"][1]), INK, "o")
        ]
        for name, rows in shown.items():
            values = tuple(cell["value"] for cell in rows[s]["simulated"])
            lines.append((name, values, style[name].colour, style[name].marker))
        for name, values, colour, marker in lines:
            y -= 1
            axes.text(-0.03, y, name, transform=axes.get_yaxis_transform(), ha="right", va="center", color=MUTED)
            if None in values:
                continue
            low, middle, high = values
            ends += [low, high]
            axes.plot([low, high], [y, y], color=colour, linewidth=2.6 if name == "published" else 2)
            axes.plot([middle], [y], color=colour, marker=marker, markersize=7)
            digits = 4 if name == "published" else 3
            text = f"{number(middle, digits)} ({number(low, digits)}–{number(high, digits)})"
            axes.text(1.03, y, text, transform=axes.get_yaxis_transform(), va="center", size=SMALL)
        y -= 1.25
    axes.set_xscale("log")
    axes.set_xlim(min(ends) / 1.3, max(ends) * 1.3)
    plain_log(axes.xaxis)
    axes.set_ylim(y + 0.7, 0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(sides[0]["unit"])
    heading(axes, sides[0]["title"], rise=14)
    alt = f"{sides[0]['title']}: published median and quartiles beside those simulated in {len(shown)} worlds, by side."
    return finish(figure, key, alt)


def _trajectories(table: Json) -> list[Drawing]:
    """One figure a measure, one panel a structural world: median and bands of both arms over time."""
    legend = [
        (f"line:{TREATED}", f"{table['protocol']['treatment']}, median"),
        (f"dash:{CONTROL}", f"{table['protocol']['control']}, median"),
        (f"band:{TREATED}", "middle half and middle 80 % of patients"),
        ("tick", "dose"),
    ]
    figures = []
    for name, (title, unit, log) in MEASURES.items():
        low, high = _limits(table, name, log)
        panels = [
            _course_panel(f"course-{name}-{k}", table, world, name, (title, unit, log), (low, high))
            for k, world in enumerate(table["trajectories"])
        ]
        if panels:
            finding = _course_finding(table, name, title)
            figures.append(
                Drawing(
                    f"course-{name}", finding, panels, legend, COURSE_NOTES.get(name, ""), 3, _course_data(table, name)
                )
            )
            legend = []
    return figures


def _course_data(table: Json, name: str) -> list[list[Any]]:
    """World, arm, week and percentiles, a row each."""
    rows: list[list[Any]] = []
    for world, row in table["trajectories"].items():
        if not rows:
            rows.append(["world", "arm", table["protocol"]["unit"], *(f"percentile {q}" for q in row["percentiles"])])
        for arm, bands in row[name].items():
            rows += [[world, arm, week, *values] for week, values in zip(row["weeks"], bands, strict=True)]
    return rows


COURSE_NOTES = {
    "Cp": "Weekly values; on a day of infusion the value just before it, so the peaks after infusions are not drawn.",
    "total": "Free and drug-bound together: what an assay would see that reads bound TNF as well.",
    "NRS": "Every virtual patient before the gate, as they would be on each arm, without the error of the diary.",
}


def _limits(table: Json, name: str, log: bool) -> tuple[float, float]:
    """The vertical axis that all worlds share."""
    arms = [np.ravel(np.array(arm, float)) for row in table["trajectories"].values() for arm in row[name].values()]
    values = np.concatenate(arms)
    values = values[values > 0] if log else values[np.isfinite(values)]
    if name == "NRS":
        return 0, 10
    if not len(values):
        return (0.1, 10) if log else (0, 1)
    if log:
        return values.min() / 1.5, max(values.max(), 10 * values.min()) * 1.5
    return min(values.min(), 0), max(values.max(), 1) * 1.05


def _course_panel(
    key: str, table: Json, world: str, name: str, measure: tuple[str, str, bool], limits: tuple[float, float]
) -> str:
    title, unit, log = measure
    protocol, row = table["protocol"], table["trajectories"][world]
    figure, axes = panel(NARROW, 232, (58, 12, 46, 46))
    weeks = np.array(row["weeks"], float)
    if log:
        axes.set_yscale("log")
    axes.set_ylim(*limits)
    axes.set_xlim(weeks[0], weeks[-1])
    arms = {protocol["control"]: (CONTROL, (0, (5, 2))), protocol["treatment"]: (TREATED, "solid")}
    for arm, (colour, dash) in arms.items():
        bands = np.array(row[name][arm], float).T
        if name == "Cp" and not (bands > 0).any():
            continue
        for low, high, alpha in ((bands[0], bands[-1], 0.11), (bands[1], bands[-2], 0.2)):
            axes.fill_between(weeks, low, high, color=colour, alpha=alpha, linewidth=0)
        axes.plot(weeks, bands[len(bands) // 2], color=colour, linestyle=dash, linewidth=2)
    if log:
        plain_log(axes.yaxis)
    _reference_lines(axes, table, name, limits)
    for dose in protocol["doses"]:
        axes.plot([dose], [0], marker="^", color=INK, markersize=6, transform=axes.get_xaxis_transform(), clip_on=False)
    span = weeks[-1] - max(weeks[0], 0)
    step = next(step for step in (1, 2, 3, 4, 6, 8, 13, 26, 52, 104, 1e9) if span / step <= 5)
    axes.set_xticks([week for week in np.arange(0, weeks[-1] + 1e-9, step) if week >= weeks[0]])
    axes.set_xlabel(f"{protocol['unit']}s from randomisation", labelpad=6)
    heading(axes, world, rise=26)
    axis_name(axes, f"{title.split(',')[0].lower() if name == 'Cp' else title.split(',')[0]} ({unit})", rise=9)
    alt = f"{title} over time in the {world} world: {_medians(table, world, name)}."
    return finish(figure, key, alt)


def _reference_lines(axes: Axes, table: Json, name: str, limits: tuple[float, float]) -> None:
    """The gate's limit and the assay's, where free TNF is drawn."""
    protocol = table["protocol"]
    if name != "TNF":
        return
    lines = []
    gate, endpoint = protocol["gate_limit"], protocol["endpoints"]["lowered"]
    if gate and gate["unit"] == "pg/mL":
        lines.append((gate["value"], f"gate {number(gate['value'])}"))
    if endpoint["limit"] is not None and endpoint["unit"] == "pg/mL":
        assumed = " (assumed)" if endpoint["limit_assumed"] else ""
        lines.append((endpoint["limit"], f"assay limit {number(endpoint['limit'])}{assumed}"))
    for value, text in lines:
        if limits[0] < value < limits[1]:
            axes.axhline(value, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
            axes.text(
                0.985,
                value * 0.9,
                text,
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="top",
                size=10.5,
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
            )


def _at(table: Json, world: str, name: str, arm: str, week: float) -> float | None:
    """The median at the week nearest to the one asked for."""
    row = table["trajectories"][world]
    weeks = np.array(row["weeks"], float)
    at = int(np.argmin(np.abs(weeks - week)))
    return row[name][arm][at][len(row["percentiles"]) // 2]


def _week(table: Json, name: str) -> float:
    return table["protocol"]["endpoints"]["relieved" if name == "NRS" else "lowered"]["week"]


def _medians(table: Json, world: str, name: str) -> str:
    protocol, week = table["protocol"], _week(table, name)
    parts = [
        f"{number(_at(table, world, name, arm, week), 2)} on {arm}"
        for arm in (protocol["treatment"], protocol["control"])
    ]
    return f"median {' and '.join(parts)} at {protocol['unit']} {number(week)}"


def _course_finding(table: Json, name: str, title: str) -> str:
    protocol, week = table["protocol"], _week(table, name)
    worlds = list(table["trajectories"])
    treated = [_at(table, world, name, protocol["treatment"], week) for world in worlds]
    control = [_at(table, world, name, protocol["control"], week) for world in worlds]

    def write(values: Sequence[float | None]) -> str:
        return between(values, lambda x: number(x, 2), "" if name == "NRS" else MEASURES[name][1])

    when = f"at {protocol['unit']} {number(week)}"
    if name == "Cp":
        return f"{title}: median {write(treated)} {when}"
    both = f"median {write(treated)} on {protocol['treatment']}, {write(control)} on {protocol['control']}"
    if name == "total":
        pairs = [(a, b) for a, b in zip(treated, control, strict=True) if a is not None and b is not None]
        if pairs and all(a > b for a, b in pairs):
            return f"Total TNF rises while free TNF falls: {both} {when}"
    return f"{title.split(',')[0]} {when}: {both}"
