"""The report on one page: the answer, how sure it is and what it rests on, in sentences that a physician reads once."""

from __future__ import annotations

from typing import Any

from causalgia.report.effects import inside, intervals
from causalgia.report.svg import structural
from causalgia.report.words import between, fixed, listed, lower_first, number, percent, scale_of, short_title

Json = dict[str, Any]
ENOUGH, LITTLE, SURPRISE = 0.8, 0.5, 0.05
# Below this an effect is called none: points, or percentage points.
SMALLEST = 0.05


def summary(table: Json) -> Json:
    """Sentences under `answer`, `sure` and `rests`, from the dictionary of `report.results`, NaN as None."""
    protocol = table["protocol"]
    if protocol["single_arm"]:
        answer = _one_patient(table) if protocol["sizes"][-1] == 1 else _one_arm(table)
    else:
        answer = [*(_contrast(table) if protocol["contrast_asked"] else []), _power(table), _effect(table)]
        answer.append(_mechanism(table))
    return {"answer": answer, "sure": _sure(table), "rests": _rests(table)}


def _cells(table: Json) -> list[Json]:
    size = str(table["protocol"]["sizes"][-1])
    return [table["evaluation"]["worlds"][world]["sizes"][size] for world in structural(table)]


def _cell(table: Json, world: str) -> Json:
    return table["evaluation"]["worlds"][world]["sizes"][str(table["protocol"]["sizes"][-1])]


def _of_100(cells: list[Json]) -> str:
    """Shares as so many of 100."""
    return f"{between([_share(cell) for cell in cells], lambda x: fixed(100 * x, 0))} of 100"


def _share(cell: Json) -> float | None:
    return cell["value"]


def _known(cells: list[Json]) -> list[float]:
    return [cell["value"] for cell in cells if cell["value"] is not None]


def _amount(table: Json, cells: list[Json]) -> str:
    """Sizes of an effect without their sign, with the unit."""
    scale = scale_of(table["protocol"]["endpoints"]["relieved"])
    values = [abs(scale.factor * value) for value in _known(cells)]
    return between(values, lambda x: fixed(x, min(scale.decimals, 1)), scale.unit)


def _one_patient(table: Json) -> list[str]:
    protocol = table["protocol"]
    endpoint = protocol["endpoints"]["relieved"]
    return [
        "One patient cannot be tested: there is nobody to compare with, and one change has no error to judge it by.",
        f"In the simulation {protocol['treatment']} itself changes {short_title(endpoint)} by "
        f"{_signed(table, [cell['truth'] for cell in _cells(table)])} by {protocol['unit']} "
        f"{number(endpoint['week'])}, on average; a single course also holds natural recovery and chance.",
    ]


def _signed(table: Json, cells: list[Json]) -> str:
    scale = scale_of(table["protocol"]["endpoints"]["relieved"])
    return between(
        [scale.factor * value for value in _known(cells)], lambda x: fixed(x, min(scale.decimals, 1)), scale.unit
    )


def _one_arm(table: Json) -> list[str]:
    cells, null = _cells(table), _cell(table, "null")
    size = table["protocol"]["sizes"][-1]
    what = short_title(table["protocol"]["endpoints"]["relieved"])
    changes = [
        {"value": cell["truth"]["value"] + cell["bias"]["value"]}
        for cell in cells
        if cell["truth"]["value"] is not None and cell["bias"]["value"] is not None
    ]
    lines = [
        "Nobody is a control, so the trial cannot tell the drug from natural recovery, regression to the mean and "
        "expectation.",
        f"With {size} treated, {_of_100([cell['relieved'] for cell in cells])} such trials would find a significant "
        f"change in {what}, and {_of_100([null['relieved']])} even if the drug did nothing.",
    ]
    if changes:
        lines.append(
            f"Of the mean change, {_signed(table, changes)}, only {_signed(table, [c['truth'] for c in cells])} is the "
            "drug's own."
        )
    return lines


def _power(table: Json) -> str:
    protocol, cells = table["protocol"], _cells(table)
    found = _known([cell["relieved"] for cell in cells])
    what = short_title(protocol["endpoints"]["relieved"])
    text = (
        f"With {protocol['sizes'][-1]} people randomised, {_of_100([cell['relieved'] for cell in cells])} such trials "
        f"would find that {what} differs between {protocol['treatment']} and {protocol['control']}"
    )
    if not found:
        return text + "."
    if min(found) >= ENOUGH:
        return f"{text}; by custom 80 is enough."
    if max(found) < LITTLE:
        return f"{text}: more often than not it would miss the effect."
    custom = "only some accounts of the biology reach the customary 80" if max(found) >= ENOUGH else "80 is customary"
    return f"{text}; {custom}."


def _effect(table: Json) -> str:
    protocol, truth = table["protocol"], [cell["truth"] for cell in _cells(table)]
    endpoint = protocol["endpoints"]["relieved"]
    known, scale = _known(truth), scale_of(endpoint)
    if not known:
        return "The size of the effect could not be computed."
    better, least = -1 if endpoint["better"] == "lower" else 1, protocol["relevant"]
    large = [better * value >= least for value in known]
    verdict = "at least" if all(large) else "less than" if not any(large) else "under some accounts less than"
    text = f"By the simulation {_difference(table, truth)}, at {protocol['unit']} {number(endpoint['week'])}"
    return f"{text}: {verdict} the {number(scale.factor * least)} {scale.unit} held to matter."


def _difference(table: Json, truth: list[Json]) -> str:
    """How the arms differ, in words that name the better one."""
    protocol = table["protocol"]
    endpoint, values = protocol["endpoints"]["relieved"], _known(truth)
    arms = (protocol["treatment"], protocol["control"])
    scale, what = scale_of(endpoint), short_title(endpoint)
    if max(abs(scale.factor * value) for value in values) < SMALLEST:
        return f"{what} hardly differs between {arms[0]} and {arms[1]} (by less than {SMALLEST} {scale.unit})"
    if min(values) * max(values) < 0:
        return f"{what} differs by {_signed(table, truth)} between {arms[0]} and {arms[1]}"
    amount, rises = _amount(table, truth), values[0] > 0
    if endpoint["fall"]:
        fall = f"a fall of at least {endpoint['fall']} in {lower_first(endpoint['measure'].split(',')[0])}"
        return f"{amount} {'more' if rises else 'fewer'} people on {arms[0]} than on {arms[1]} have {fall}"
    word = "higher" if rises else "lower"
    if endpoint["second"] is not None:
        drug = listed(map(lower_first, protocol["drugs"]))
        return f"{what} is {amount} {word} in the periods on {drug} than in the others"
    return f"{what} is {amount} {word} on {arms[0]} than on {arms[1]}"


def _contrast(table: Json) -> list[str]:
    protocol, cells = table["protocol"], _cells(table)
    groups = "people with low and with high TNF" if protocol["compared"] == "gate" else "long and short disease"
    spared = [cell["spared"] for cell in cells]
    chance = all(value < 2 * protocol["alpha"] for value in _known(spared))
    return [
        f"With {protocol['sizes'][-1]} people randomised, {_of_100(spared)} such trials would find that the effect "
        f"differs between {groups}{': hardly more than by chance' if chance else ''}. By the simulation it differs by "
        f"{_amount(table, [cell['contrast_truth'] for cell in cells])}."
    ]


def _mechanism(table: Json) -> str:
    real, other = [cell["claim"] for cell in _cells(table)], _cell(table, "bypass")["claim"]
    both = f"TNF and the symptom both improve significantly in {_of_100(real)} such trials"
    if other["value"] is None or other["value"] < table["protocol"]["alpha"] * 2:
        return f"{both}, too few to ask whether one follows from the other."
    return (
        f"{both}, and in {_of_100([other])} even if the drug relieved in another way: so that both improve does not "
        "show that TNF is the reason."
    )


def _sure(table: Json) -> list[str]:
    protocol, cells = table["protocol"], _cells(table)
    null = _cell(table, "null")["relieved"]
    lines = []
    if not protocol["single_arm"] and null["value"] is not None:
        lines.append(f"If the drug did nothing, {_of_100([null])} such trials would find a difference, by chance.")
    errors = [cell["relieved"]["se"] for cell in cells if cell["relieved"]["se"] is not None]
    scale = scale_of(protocol["endpoints"]["relieved"])
    effects = [scale.factor * cell["truth"]["se"] for cell in cells if cell["truth"]["se"] is not None]
    if effects and protocol["sizes"][-1] == 1:
        lines.append(
            f"That mean carries a simulation error of at most {fixed(max(effects), 2)} {scale.unit}; what the drug "
            "does in one person cannot be seen."
        )
    elif errors and effects:
        lines.append(
            "Ranges run over the accounts of the biology; simulation adds an error of at most "
            f"{fixed(100 * max(errors), 1)} of 100 trials and {fixed(max(effects), 2)} {scale.unit}."
        )
    return lines + _published(table)


def _published(table: Json) -> list[str]:
    """How many published results the accounts held improbable: as significant as they are, or as large."""
    rows = [row for row in table["protocol"]["published"] if _chances(row) or row["estimate"] is not None]
    poor = [row["outcome"] for row in rows if _improbable(row)]
    if not rows:
        return []
    if not poor:
        what = "the published result" if len(rows) == 1 else f"any of the {len(rows)} published results"
        return [f"It does not make {what} improbable (below 5 of 100 under every account)."]
    return [
        f"It makes {len(poor)} of {len(rows)} published results improbable (below 5 of 100 under every account): "
        f"{listed(poor)}."
    ]


def _chances(row: Json) -> list[float]:
    return [cell["value"] for cell in (row["chance"] or {}).values() if cell["value"] is not None]


def _improbable(row: Json) -> bool:
    chances = _chances(row)
    far = row["estimate"] is not None and bool(intervals(row)) and not inside(row)
    return far or (bool(chances) and max(chances) < SURPRISE)


def _rests(table: Json) -> list[str]:
    worlds, known = structural(table), table.get("posterior")
    if known is None:
        fitted = "none of them calibrated"
    else:
        weights = listed(f"{name} {percent(known['weights'][name])}" for name in worlds)
        fitted = f"calibrated to {known['targets']} published summaries and weighted by them ({weights})"
        if not known["checked"]:
            fitted += ", too surely: the calibration failed its check on synthetic data"
    return [
        f"{len(worlds)} alternative accounts of the biology, {fitted}; {len(table['assumed'])} assumed numbers; "
        f"{number(table['protocol']['subjects'])} virtual patients in each account and "
        f"{number(table['evaluation']['replicates'])} replicate trials of a size."
    ]
