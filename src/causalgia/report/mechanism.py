"""Figure of the mechanism: how often trials find a path through the marker, and how much of the effect they ascribe to
it, where it is there and where it is not.
"""

from __future__ import annotations

from typing import Any

from causalgia.report.dots import Group, Row, Scene, dots
from causalgia.report.svg import Drawing, Look, looks, structural
from causalgia.report.words import Scale, between, fixed, percent, scale_of

Json = dict[str, Any]


def mediation(table: Json) -> list[Drawing]:
    """Claims of a path through the marker by world, and the indirect effect, true and estimated; none where no size
    could be analysed.
    """
    protocol, worlds = table["protocol"], table["evaluation"]["worlds"]
    sizes = [str(size) for size in protocol["sizes"]]
    known = [
        size for size in sizes if any(_value(row["sizes"][size], "mediated") is not None for row in worlds.values())
    ]
    if not known:
        return []
    size, style = known[-1], looks(table["worlds"])
    cells = {world: row["sizes"][size] for world, row in worlds.items()}
    scale = scale_of(protocol["endpoints"]["relieved"])
    claims = [_claim(world, style[world], cell) for world, cell in cells.items()]
    paths = [_path(world, style[world], cell, scale) for world, cell in cells.items() if _estimated(cell) is not None]
    real = between((_value(cells[world], "mediated") for world in structural(table)), percent)
    others = [world for world in cells if world not in structural(table)]
    false = {world: value for world in others if (value := _value(cells[world], "mediated")) is not None}
    worst = max(false, key=lambda world: false[world], default=None)
    title = f"With {size} randomised, {real} of trials find a path through TNF where it is there"
    if worst is not None:
        title += f", and at most {percent(false[worst])} where it is not ({worst})"
    panels = [
        dots(
            "mediated",
            [Group("Trials that find relief, and a path through TNF", claims)],
            Scene("% of trials", dashed=[100 * protocol["alpha"]]),
            f"{title}.",
        )
    ]
    if paths:
        scene = Scene(f"effect through TNF ({scale.unit})")
        panels.append(dots("paths", paths, scene, f"Indirect effect, true and as estimated, {scale.unit}."))
    note = (
        "Hollow: worlds without such a path, where every claim of it is false. A claim: the total effect and the part "
        "through TNF are both significant, to the same side. Of the trials with 20 analysed in each arm; lines: two "
        "Monte Carlo standard errors. Estimate: the median of trials."
    )
    data: list[list[Any]] = [
        ["world", "share that claims", "standard error", "true effect through TNF", "median estimate"]
    ]
    for world, cell in cells.items():
        claim = cell.get("mediated") or {"value": None, "se": None}
        data.append([world, claim["value"], claim["se"], _value(cell, "mediated_truth"), _estimated(cell)])
    return [Drawing("mediation", title, panels, [], note, data=data)]


def _value(cell: Json, name: str) -> float | None:
    return (cell.get(name) or {"value": None})["value"]


def _claim(world: str, look: Look, cell: Json) -> Row:
    share = cell.get("mediated") or {"value": None, "se": None}
    hollow = look.dash != "solid"
    if share["value"] is None:
        return Row(world, None, None, None, look, "not analysed", hollow)
    value, reach = 100 * share["value"], 200 * (share["se"] or 0)
    text = f"{fixed(value, 1)} % ({fixed(reach / 2, 1)})"
    return Row(world, value, max(value - reach, 0), min(value + reach, 100), look, text, hollow)


def _estimated(cell: Json) -> float | None:
    truth, bias = _value(cell, "mediated_truth"), _value(cell, "mediated_bias")
    return None if truth is None or bias is None else truth + bias


def _path(world: str, look: Look, cell: Json, scale: Scale) -> Group:
    """The true and the estimated effect through the marker, with their share of the whole effect."""
    whole = _value(cell, "truth")
    rows = []
    for label, value in (("true", _value(cell, "mediated_truth")), ("estimate", _estimated(cell))):
        assert value is not None
        share = f", {percent(value / whole)}" if whole and abs(whole) > abs(value) / 5 else ""
        text = f"{fixed(scale.factor * value, scale.decimals)}{share}"
        rows.append(Row(label, scale.factor * value, None, None, look, text, hollow=label == "estimate"))
    return Group(f"{world} (in % of the whole effect)" if whole else world, rows)
