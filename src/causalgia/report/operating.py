"""Figures of what the trial would do over many replicates: its power, the mechanism it would claim, its gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalgia.report.svg import (
    INK,
    MUTED,
    RULE,
    SMALL,
    SOLID,
    WIDE,
    Drawing,
    Look,
    axis_name,
    finish,
    heading,
    looks,
    panel,
    spread,
    structural,
)
from causalgia.report.words import between, fixed, listed, number, percent, short_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Json = dict[str, Any]
ENOUGH = 0.8
GATE_ROWS = {
    "passes": "passes the gate",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
}


def power(table: Json) -> list[Drawing]:
    """Power on the clinical endpoint and the naive claim of a mechanism, by world and size."""
    evaluation = table["evaluation"]["worlds"]
    sizes = [str(size) for size in table["protocol"]["sizes"]]
    draw: Callable[..., str] = _by_size if len(sizes) > 1 else _by_world
    style = looks(table["worlds"])
    panels = [
        draw("power-relieved", table, "relieved", "Significant difference in the clinical endpoint", style),
        draw("power-claim", table, "claim", "TNF and the clinical endpoint both better", style),
    ]
    title = f"{_power_finding(table, evaluation, sizes)}; {_claim_finding(table, evaluation, sizes[-1])}"
    replicates = number(table["evaluation"]["replicates"])
    note = (
        f"{'Bands' if len(sizes) > 1 else 'Bars'}: two Monte Carlo standard errors to each side, from {replicates} "
        "replicate trials a world. Solid: worlds where relief runs through TNF. Dashed or hollow: controls, where "
        "every claim that it does is false, and where, but for bypass, so is every significant difference."
    )
    return [Drawing("power", title, panels, [], note, data=_power_data(table))]


def _power_data(table: Json) -> list[list[Any]]:
    """World, size, and each share with its standard error."""
    rows: list[list[Any]] = [["world", "randomised", "power", "standard error", "claim", "standard error of claim"]]
    for world, row in table["evaluation"]["worlds"].items():
        for size, cells in row["sizes"].items():
            values = [cells[name][part] for name in ("relieved", "claim") for part in ("value", "se")]
            rows.append([world, int(size), *values])
    return rows


def small_power(table: Json) -> Drawing:
    """Power on the clinical endpoint by size alone, for the summary."""
    endpoint = table["protocol"]["endpoints"]["relieved"]
    title = f"% of trials that find a difference in {short_title(endpoint)}, by size"
    small = [world for world in table["worlds"] if world["structural"] or world["name"] == "null"]
    panel_of = _by_size("summary-power", table, "relieved", "", {w: looks(table["worlds"])[w] for w in _names(small)})
    note = "Bands: two Monte Carlo standard errors. Dashed: 80 %, and the error allowed. Null: the drug does nothing."
    return Drawing("summary", title, [panel_of], [], note)


def _names(worlds: Sequence[Json]) -> list[str]:
    return [world["name"] for world in worlds]


def _power_finding(table: Json, evaluation: Json, sizes: Sequence[str]) -> str:
    first: dict[str, list[str]] = {}
    for world in structural(table):
        power = {size: evaluation[world]["sizes"][size]["relieved"]["value"] for size in sizes}
        reached = next((size for size in sizes if power[size] is not None and power[size] >= ENOUGH), "")
        first.setdefault(reached, []).append(world)
    enough = [f"{size} randomised ({listed(worlds)})" for size, worlds in first.items() if size]
    if not enough:
        power_range = between(
            (evaluation[w]["sizes"][sizes[-1]]["relieved"]["value"] for w in structural(table)), percent
        )
        return f"Power is {power_range} with {sizes[-1]} randomised"
    text = f"Power reaches 80 % with {' and '.join(enough)}"
    return text + (f", not by {sizes[-1]} in {listed(first[''])}" if "" in first else "")


def _claim_finding(table: Json, evaluation: Json, size: str) -> str:
    real = between((evaluation[world]["sizes"][size]["claim"]["value"] for world in structural(table)), percent)
    false = {
        world["name"]: evaluation[world["name"]]["sizes"][size]["claim"]["value"]
        for world in table["worlds"]
        if not world["structural"] and evaluation[world["name"]]["sizes"][size]["claim"]["value"] is not None
    }
    if not false:
        return f"both improve in {real} of trials where relief runs through TNF"
    worst = max(false, key=lambda name: false[name])
    return (
        f"both improve in {real} of trials where relief runs through TNF, and in {percent(false[worst])} under {worst}"
    )


def _share_axis(axes: Axes, axis: Any, alpha: float) -> None:
    from matplotlib.ticker import FuncFormatter

    line = axes.axhline if axis is axes.yaxis else axes.axvline
    for value in (ENOUGH, alpha):
        line(value, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    axis.set_ticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f}"))


def _by_size(key: str, table: Json, name: str, title: str, style: dict[str, Look]) -> str:
    top = 50 if title else 24
    figure, axes = panel(WIDE, 280 + top, (42, 136, 48, top))
    sizes = np.array(table["protocol"]["sizes"], float)
    axes.set_xscale("log")
    axes.set_ylim(-0.015, 1.03)
    axes.set_xlim(sizes[0] / 1.06, sizes[-1] * 1.03)
    _share_axis(axes, axes.yaxis, table["protocol"]["alpha"])
    ends: list[tuple[str, float]] = []
    for world, look in style.items():
        cells = [table["evaluation"]["worlds"][world]["sizes"][f"{size:g}"][name] for size in sizes]
        value, se = (np.array([cell[part] for cell in cells], float) for part in ("value", "se"))
        low, high = np.clip(value - 2 * se, 0, 1), np.clip(value + 2 * se, 0, 1)
        axes.fill_between(sizes, low, high, color=look.colour, alpha=0.18, linewidth=0)
        axes.plot(sizes, value, color=look.colour, linestyle=look.dash, marker=look.marker, markersize=5, linewidth=1.8)
        if np.isfinite(value[-1]):
            ends.append((world, float(value[-1])))
    beside = axes.get_yaxis_transform()
    for (world, end), place in zip(ends, spread([end for _, end in ends], 0.062), strict=True):
        axes.plot([1.01, 1.045], [end, place], transform=beside, clip_on=False, color=RULE, linewidth=1)
        text = f"{world} {percent(end)}"
        axes.text(1.055, place, text, transform=beside, va="center", color=style[world].ink, size=SMALL)
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    named = _apart(np.log(sizes / sizes[0]) / np.log(sizes[-1] / sizes[0]), 0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, k: f"{x:g}" if k in named else ""))
    axes.set_xlabel("randomised in total")
    heading(axes, title, rise=28)
    axis_name(axes, "% of replicate trials", rise=10)
    title = title or "Significant difference in the clinical endpoint"
    return finish(figure, key, f"{title}, by number randomised: {_shares(table, name, f'{sizes[-1]:g}')}.")


def _apart(places: np.ndarray, gap: float) -> set[int]:
    """Indices of places, from the last one on, that stand at least `gap` apart: ticks with room for a number."""
    chosen = [len(places) - 1]
    for k in range(len(places) - 2, -1, -1):
        if places[chosen[-1]] - places[k] >= gap:
            chosen.append(k)
    return set(chosen)


def _by_world(key: str, table: Json, name: str, title: str, style: dict[str, Look]) -> str:
    height = 84 + 28 * len(style)
    figure, axes = panel(WIDE, height, (112, 96, 46, 34))
    size = str(table["protocol"]["sizes"][-1])
    axes.set_xlim(0, 1)
    _share_axis(axes, axes.xaxis, table["protocol"]["alpha"])
    for k, (world, look) in enumerate(style.items()):
        cell = table["evaluation"]["worlds"][world]["sizes"][size][name]
        axes.text(-0.06, -k, world, transform=axes.get_yaxis_transform(), ha="right", va="center", color=look.ink)
        if cell["value"] is None:
            continue
        reach = 2 * (cell["se"] or 0)
        axes.plot([cell["value"] - reach, cell["value"] + reach], [-k, -k], color=look.colour, linewidth=2)
        face = look.colour if look.dash == SOLID else "white"
        axes.plot(
            [cell["value"]],
            [-k],
            color=look.colour,
            marker=look.marker,
            markersize=8,
            markerfacecolor=face,
            mew=1.8,
            clip_on=False,
        )
        text = f"{percent(cell['value'], 1)} ({fixed(100 * cell['se'], 1) if cell['se'] is not None else '–'})"
        axes.text(1.04, -k, text, transform=axes.get_yaxis_transform(), va="center", size=SMALL)
    axes.set_ylim(0.6 - len(style), 0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"% of replicate trials of {size}")
    figure.text(0.01, 1 - 18 / height, title, weight="bold")
    return finish(figure, key, f"{title}, trials of {size}: {_shares(table, name, size)}.")


def _shares(table: Json, name: str, size: str) -> str:
    worlds = table["evaluation"]["worlds"]
    parts = [f"{world} {percent(row['sizes'][size][name]['value'])}" for world, row in worlds.items()]
    return f"at {size}, {', '.join(parts)}"


def gate_groups(table: Json) -> dict[str, Json]:
    """Gate figures by group of people: the structural worlds, and the mixture that all controls share."""
    alternatives = set(structural(table))
    groups: dict[str, Json] = {}
    for world, row in table["evaluation"]["worlds"].items():
        if row["gate"]:
            groups.setdefault(world if world in alternatives else "mixture", row["gate"])
    return groups


def gate(table: Json) -> list[Drawing]:
    """How well the gate sorts people, and what those who pass read when they are measured again."""
    groups = gate_groups(table)
    if not groups:
        return []
    style = looks(
        [*(world for world in table["worlds"] if world["structural"]), {"name": "mixture", "structural": False}]
    )
    style = {name: style[name] for name in groups}
    panels = [_gate_shares(groups, style, table), _gate_regression(groups, style)]
    gates = [figures for name, figures in groups.items() if name != "mixture"]
    ppv = between((gate["ppv"]["value"] for gate in gates), percent)
    falls = between(
        (1 - gate["regression"]["value"] for gate in gates if gate["regression"]["value"] is not None), percent
    )
    title = f"Of those who pass, {ppv} are truly above the limit; measured again untreated they read {falls} lower"
    note = (
        "Bars: two Monte Carlo standard errors to each side, mostly hidden by the points. "
        "Mixture: the people of all control worlds."
    )
    data: list[list[Any]] = [["people of", "figure", "value", "standard error"]]
    for name, figures in groups.items():
        data += [[name, what, cell["value"], cell["se"]] for what, cell in figures.items()]
    return [Drawing("gate", title, panels, [], note, data=data)]


def _gate_shares(groups: dict[str, Json], style: dict[str, Look], table: Json) -> str:
    from matplotlib.ticker import FuncFormatter

    figure, axes = panel(WIDE, 350, (188, 20, 46, 58))
    offsets = np.linspace(-0.27, 0.27, len(groups)) if len(groups) > 1 else [0.0]
    for k, (row, label) in enumerate(GATE_ROWS.items()):
        axes.text(-0.03, -k, label, transform=axes.get_yaxis_transform(), ha="right", va="center")
        axes.axhline(-k - 0.5, color=RULE, linewidth=0.7)
        for offset, (name, gate) in zip(offsets, groups.items(), strict=True):
            cell, look = gate[row], style[name]
            if cell["value"] is None:
                continue
            reach = 2 * (cell["se"] or 0)
            y = -k - offset
            axes.plot([cell["value"] - reach, cell["value"] + reach], [y, y], color=look.colour, linewidth=2)
            face = "white" if name == "mixture" else look.colour
            axes.plot(
                [cell["value"]],
                [y],
                color=look.colour,
                marker=look.marker,
                markersize=6.5,
                markerfacecolor=face,
                mew=1.6,
            )
    axes.set_xlim(0, 1)
    axes.set_ylim(0.5 - len(GATE_ROWS), 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f}"))
    axes.set_xlabel("%")
    figure.text(0.01, 1 - 20 / 350, "How well the gate sorts people", weight="bold")
    _key(figure, style, 350)
    texts = []
    for name, gate in groups.items():
        shares = [f"{label} {percent(gate[row]['value'])}" for row, label in GATE_ROWS.items()]
        texts.append(f"{name}: {', '.join(shares)}")
    return finish(figure, "gate-shares", f"Gate {table['protocol']['gate']}. {'; '.join(texts)}.")


def _key(figure: Any, style: dict[str, Look], height: float) -> None:
    """Markers and names of the worlds in one line under the heading."""
    from matplotlib.lines import Line2D

    x = 12.0
    for name, look in style.items():
        face = "white" if look.dash != SOLID else look.colour
        mark = Line2D(
            [x / WIDE],
            [1 - 40 / height],
            color=look.colour,
            marker=look.marker,
            markersize=7,
            markerfacecolor=face,
            mew=1.6,
            transform=figure.transFigure,
        )
        figure.add_artist(mark)
        figure.text((x + 9) / WIDE, 1 - 44.5 / height, name, color=look.ink)
        x += 34 + 8.4 * len(name)


def _gate_regression(groups: dict[str, Json], style: dict[str, Look]) -> str:
    figure, axes = panel(WIDE, 350, (84, 28, 46, 58))
    lowest = 1.0
    for k, (name, gate) in enumerate(groups.items()):
        look, decline, again = style[name], gate["decline"]["value"], gate["regression"]["value"]
        axes.text(-0.03, -k, name, transform=axes.get_yaxis_transform(), ha="right", va="center", color=look.ink)
        if decline is None or again is None:
            continue
        lowest = min(lowest, again, decline)
        axes.plot([1, decline], [-k, -k], color=look.colour, linewidth=7, alpha=0.9, solid_capstyle="butt")
        axes.plot([decline, again], [-k, -k], color=look.colour, linewidth=7, alpha=0.4, solid_capstyle="butt")
        reach = 2 * (gate["regression"]["se"] or 0)
        axes.plot([again - reach, again + reach], [-k, -k], color=INK, linewidth=1.4)
        middle, rest = (1 + decline) / 2, (decline + again) / 2
        axes.text(middle, -k + 0.17, f"true fall {percent(1 - decline)}", ha="center", va="bottom", size=SMALL)
        axes.text(
            rest, -k - 0.17, f"regression to the mean {percent(decline - again)}", ha="center", va="top", size=SMALL
        )
    axes.axvline(1, color=MUTED, linewidth=1)
    floor = 1 - 1.25 * (1 - lowest) if lowest < 1 else 0.9
    axes.set_xlim(floor, 1 + 0.04 * (1 - floor))
    axes.set_ylim(0.5 - len(groups), 0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("reading before treatment / reading at the gate")
    figure.text(0.01, 1 - 20 / 350, "Those who pass, measured again before treatment", weight="bold")
    texts = []
    for name, gate in groups.items():
        ratio, decline = fixed(gate["regression"]["value"]), fixed(gate["decline"]["value"])
        texts.append(f"{name}: ratio {ratio}, of which a true change of {decline}")
    return finish(figure, "gate-regression", f"Regression to the mean in those who pass. {'; '.join(texts)}.")
