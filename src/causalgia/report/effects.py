"""Figures of effects by world: the clinical effect, every arm, groups of people, published results, the mechanism."""

from __future__ import annotations

from dataclasses import replace
from math import exp, isfinite
from typing import Any

from causalgia.report.dots import PUBLISHED, Group, Row, Scene, dots
from causalgia.report.svg import Drawing, Look, looks, structural
from causalgia.report.words import Scale, between, fixed, listed, percent, scale_of, short_title

Json = dict[str, Any]
SEEN = "Lines: the interval that one trial would give, on average, around the mean of its estimates; points: the truth."
HEADING = ["group", "world", "true value", "mean estimate", "mean lower end", "mean upper end"]


def effect(table: Json, key: str = "effect") -> Drawing:
    """The effect on the clinical endpoint by world with the interval of one trial, at the largest size."""
    protocol, evaluation = table["protocol"], table["evaluation"]["worlds"]
    endpoint, size = protocol["endpoints"]["relieved"], str(protocol["sizes"][-1])
    scale = scale_of(endpoint)
    cells = {world: evaluation[world]["sizes"][size] for world in structural(table)}
    style = looks(table["worlds"])
    if protocol["single_arm"]:
        groups = _own_parts(cells, style, scale)
        note = (
            "Change: what the trial sees, with the interval of one trial. Own effect: with the drug minus without it."
        )
        data = [HEADING, *_data("change", cells, scale)]
    else:
        groups = [Group("", [_row(world, style[world], cell, scale) for world, cell in cells.items()])]
        note = f"{SEEN} Dashed: the difference held to matter."
        data = [HEADING, *_data("effect", cells, scale)]
    sign = -1 if endpoint["better"] == "lower" else 1
    relevant = [] if protocol["single_arm"] else [sign * scale.factor * _value(protocol["relevant"])]
    title = f"{_effect_finding(table, cells, scale)}, {_people(protocol, size)}"
    scene = Scene(_effect_axis(protocol, scale), dashed=relevant)
    return Drawing("effect", title, [dots(key, groups, scene, f"{title}.")], [], note, data=data)


def small_effect(table: Json) -> Drawing:
    """The effect that the trial is about with the interval of one trial, for the summary."""
    protocol = table["protocol"]
    people = _people(protocol, str(protocol["sizes"][-1]))
    if protocol["contrast_asked"] and not protocol["single_arm"]:
        title, full = f"How much the effect differs between groups, {people}", contrast(table, "summary-contrast")[0]
    else:
        what = short_title(protocol["endpoints"]["relieved"])
        kind = "Change in" if protocol["single_arm"] and protocol["sizes"][-1] > 1 else "Effect on"
        title = f"{kind} {what}, {people}"
        full = effect(table, "summary-effect")
    return replace(full, key="summary", title=title, data=[])


def _value(relevant: Any) -> float:
    return relevant if isinstance(relevant, int | float) else 0.0


def _people(protocol: Json, size: str) -> str:
    return f"{size} {'treated' if protocol['single_arm'] else 'randomised'}"


def _effect_axis(protocol: Json, scale: Scale) -> str:
    if protocol["single_arm"]:
        return f"change ({scale.unit})"
    better = "left" if protocol["endpoints"]["relieved"]["better"] == "lower" else "right"
    return f"difference ({scale.unit}; better to the {better})"


def _effect_finding(table: Json, cells: dict[str, Json], scale: Scale) -> str:
    endpoint = table["protocol"]["endpoints"]["relieved"]
    title = short_title(endpoint)
    values = between([_times(cell["truth"]["value"], scale) for cell in cells.values()], _writer(scale), scale.unit)
    if table["protocol"]["single_arm"]:
        return f"The drug itself changes {title} by {values}"
    return f"{table['protocol']['treatment']} against {table['protocol']['control']} changes {title} by {values}"


def _writer(scale: Scale) -> Any:
    return lambda x: fixed(x, scale.decimals)


def _times(value: float | None, scale: Scale) -> float | None:
    return None if value is None else scale.factor * value


def _seen(cell: Json, name: str = "") -> tuple[float, float, float] | None:
    """Mean estimate and mean ends of the interval, or None where no trial gives them."""
    middle, width = _estimate(cell, name), cell[f"{name}_width" if name else "width"]["value"]
    return None if middle is None or width is None else (middle, middle - width / 2, middle + width / 2)


def _estimate(cell: Json, name: str) -> float | None:
    if name:
        return cell[name]["value"]
    truth, bias = cell["truth"]["value"], cell["bias"]["value"]
    return None if truth is None or bias is None else truth + bias


def _row(label: str, look: Look, cell: Json, scale: Scale, name: str = "") -> Row:
    truth = _times(cell[f"{name}_truth" if name else "truth"]["value"], scale)
    seen = _seen(cell, name)
    low, high = (None, None) if seen is None else (scale.factor * seen[1], scale.factor * seen[2])
    text = fixed(truth, scale.decimals)
    if low is not None:
        text += f" ({fixed(low, scale.decimals)} to {fixed(high, scale.decimals)})"
    return Row(label, truth, low, high, look, text)


def _own_parts(cells: dict[str, Json], style: dict[str, Look], scale: Scale) -> list[Group]:
    """Of one arm: the change that is seen, and the part of it that is the drug's own."""
    changes, own = [], []
    for world, cell in cells.items():
        seen, truth = _seen(cell), _times(cell["truth"]["value"], scale)
        if seen is not None:
            middle, low, high = (scale.factor * value for value in seen)
            text = f"{fixed(middle, scale.decimals)} ({fixed(low, scale.decimals)} to {fixed(high, scale.decimals)})"
            changes.append(Row(world, middle, low, high, style[world], text, hollow=True))
        own.append(Row(world, truth, None, None, style[world], fixed(truth, scale.decimals)))
    groups = [Group("change from baseline", changes)] if changes else []
    return [*groups, Group("the drug's own effect", own)]


def _data(group: str, cells: dict[str, Json], scale: Scale, name: str = "") -> list[list[Any]]:
    rows = []
    for world, cell in cells.items():
        seen = _seen(cell, name) or (None, None, None)
        truth = cell[f"{name}_truth" if name else "truth"]["value"]
        rows.append([group, world, *(_times(value, scale) for value in (truth, *seen))])
    return rows


def contrast(table: Json, key: str = "contrast") -> list[Drawing]:
    """How much the effect differs between groups of people, by world, with the interval of one trial."""
    protocol = table["protocol"]
    if protocol["compared"] is None or protocol["single_arm"]:
        return []
    size, scale = str(protocol["sizes"][-1]), scale_of(protocol["endpoints"]["relieved"])
    cells = {world: table["evaluation"]["worlds"][world]["sizes"][size] for world in structural(table)}
    style = looks(table["worlds"])
    low, high = ("low", "high TNF") if protocol["compared"] == "gate" else ("long", "short duration")
    rows = [_row(world, style[world], cell, scale, "contrast") for world, cell in cells.items()]
    found = between((cell["spared"]["value"] for cell in cells.values()), percent)
    truth = between((_times(cell["contrast_truth"]["value"], scale) for cell in cells.values()), _writer(scale))
    title = (
        f"With {size} randomised, {found} of trials find that the effect differs between {low} and {high}; "
        f"truly it differs by {truth} {scale.unit}"
    )
    scene = Scene(f"effect with {low} minus effect with {high} ({scale.unit})")
    panel = dots(key, [Group("", rows)], scene, f"{title}.")
    return [Drawing("contrast", title, [panel], [], SEEN, data=[HEADING, *_data("contrast", cells, scale, "contrast")])]


def comparisons(table: Json) -> list[Drawing]:
    """Every arm against control by world, where there are several."""
    rows = table["comparisons"]
    if not rows:
        return []
    protocol, style = table["protocol"], looks(table["worlds"])
    endpoint = protocol["endpoints"]["relieved"]
    scale, worlds = scale_of(endpoint), structural(table)
    groups = [
        Group(row["arm"], [_row(world, style[world], row["worlds"][world], scale) for world in worlds]) for row in rows
    ]
    means = {row["arm"]: _middle([row["worlds"][world]["truth"]["value"] for world in worlds]) for row in rows}
    sign = -1 if endpoint["better"] == "lower" else 1
    best = max(means, key=lambda arm: sign * means[arm])
    cells = next(row for row in rows if row["arm"] == best)["worlds"]
    gain = between((_times(cells[world]["truth"]["value"], scale) for world in worlds), _writer(scale), scale.unit)
    title = f"{best} does most: {gain} against {protocol['control']}"
    scene = Scene(_effect_axis(protocol, scale), dashed=[sign * scale.factor * _value(protocol["relevant"])])
    data = [HEADING]
    for row in rows:
        data += _data(row["arm"], {world: row["worlds"][world] for world in worlds}, scale)
    note = f"{SEEN} Dashed: the difference held to matter."
    return [Drawing("comparisons", title, [dots("arms", groups, scene, f"{title}.")], [], note, data=data)]


def _middle(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("-inf")


def published(table: Json) -> list[Drawing]:
    """Each published estimate beside the range that 95 % of simulated trials give, by world."""
    protocol = table["protocol"]
    shown = [row for row in protocol["published"] if row["predicted"] and intervals(row)]
    if not any(row["estimate"] is not None for row in shown):
        return []
    panels, data = [], [["endpoint", "outcome", "world", "mean", "2.5 % of trials", "97.5 % of trials"]]
    for name in ("relieved", "lowered"):
        rows = [row for row in shown if row["endpoint"] == name]
        if rows:
            panels.append(_published_panel(table, name, rows, data))
    fits = [inside(row) for row in shown if row["estimate"] is not None]
    title = f"{_count(sum(fits), len(fits))} the range that 95 % of simulated trials give in one world or more"
    note = (
        "Black: published, with its interval where one was printed. Coloured: mean and 95 % range of the estimates "
        "of simulated trials of the same size. The simulation was not fitted to these results."
    )
    return [Drawing("predicted", title, panels, [], note, data=data)]


def _count(inside: int, of: int) -> str:
    if of == 1:
        return f"The 1 published estimate {'falls in' if inside else 'lies outside'}"
    return f"{inside} of {of} published estimates fall in"


def intervals(row: Json) -> dict[str, tuple[float, float, float]]:
    """Mean and 95 % range of the estimates of simulated trials by world, as far as they are known."""
    return {
        world: (cell["mean"], cell["mean"] - 1.96 * cell["sd"], cell["mean"] + 1.96 * cell["sd"])
        for world, cell in row["predicted"].items()
        if all(x is not None and isfinite(x) for x in (cell["mean"], cell["sd"]))
    }


def inside(row: Json) -> bool:
    return any(low <= row["estimate"] <= high for _, low, high in intervals(row).values())


def _published_panel(table: Json, name: str, rows: list[Json], data: list[list[Any]]) -> str:
    style, ratio = looks(table["worlds"]), name == "lowered"
    scale = Scale(1, "", 2) if ratio else scale_of(table["protocol"]["endpoints"]["relieved"])

    def on_axis(value: float) -> float:
        return exp(value) if ratio else scale.factor * value

    groups = []
    for row in rows:
        lines = []
        if row["estimate"] is not None:
            ends: list[float | None] = [None, None]
            if row["interval"]:
                ends = [on_axis(end) for end in row["interval"]]
            point = on_axis(row["estimate"])
            lines.append(Row("published", point, ends[0], ends[1], PUBLISHED, _text(point, ends, scale)))
            data.append([name, row["outcome"], "published", point, *ends])
        for world, values in intervals(row).items():
            middle, low, high = (on_axis(value) for value in values)
            lines.append(Row(world, middle, low, high, style[world], _text(middle, [low, high], scale)))
            data.append([name, row["outcome"], world, middle, low, high])
        groups.append(Group(_cut(row["outcome"]), lines))
    axis = "ratio of TNF (1 = no difference)" if ratio else _effect_axis(table["protocol"], scale)
    scene = Scene(axis, zero=1.0 if ratio else 0.0, log=ratio)
    alt = f"Published estimates beside simulated ones: {listed(_cut(row['outcome']) for row in rows)}."
    return dots(f"predicted-{name}", groups, scene, alt)


def _text(point: float, ends: list[Any], scale: Scale) -> str:
    text = fixed(point, scale.decimals)
    if ends[0] is None:
        return text
    return f"{text} ({fixed(ends[0], scale.decimals)} to {fixed(ends[1], scale.decimals)})"


def _cut(text: str, most: int = 58) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
