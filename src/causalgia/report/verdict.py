"""The verdict in plain words, beginning with the assumptions it rests on; every number comes with its Monte Carlo
error.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, isfinite
from typing import Any

from causalgia.analysis.answers import Answer
from causalgia.documents import Protocol
from causalgia.report.words import Scale, fixed, listed, lower_first, scale_of

Json = dict[str, Any]
ENOUGH = 0.8
LITTLE = 0.5
SURPRISE = 0.05
MONTHS_A_YEAR = 12
UNKNOWN = "a share that could not be computed"
NO_CONTROL = "Nobody is a control, so the trial cannot say who should be spared."
NO_ESTIMATE = " A trial of this size gives no estimate to compare with it."
WHOLE = Scale(1, "", 0)


def verdict(protocol: Protocol, table: Json) -> list[str]:
    """Sentences from the results of `report.results`: what they rest on, what the trial could show, what not."""
    worlds = table["worlds"]
    structural = [world["name"] for world in worlds if world["structural"]]
    sentences = [_rests_on(table, structural), *_changed(table, structural)]
    if protocol.single_arm and protocol.evaluation.sizes[-1] == 1:
        sentences += _one_patient(protocol, table, structural)
    else:
        sentences += _could_show(protocol, table, structural)
        sentences += _could_not_show(protocol, table, structural)
    sentences += _gate(protocol, table, structural)
    sentences.append(_cost(protocol, table, structural))
    scale = scale_of(table["protocol"]["endpoints"]["relieved"])
    sentences += [_published(row, scale) for row in table["protocol"]["published"]]
    return sentences


def sentence(answer: Answer) -> str:
    """One answer in one line."""
    if not answer.known:
        return f"{answer.question} {answer.reason or _details(answer.details)}"
    p = f", exact p = {answer.exact_p:.3f}" if answer.exact_p is not None else f", p {_p(answer.p)}"
    numbers = f"{answer.estimate:.2f} (95 % CI {answer.lower:.2f} to {answer.upper:.2f}{p}; n = {answer.n})"
    return f"{answer.question} {answer.quantity}: {numbers}."


def power_lines(evaluation: Json) -> list[str]:
    """A small table: the share of significant trials on the clinical endpoint, by world and size."""
    worlds = evaluation["worlds"]
    sizes = list(next(iter(worlds.values()))["sizes"])
    title = "Share of trials with a significant clinical endpoint (standard error)"
    lines = [title, "world".ljust(14) + "".join(size.rjust(15) for size in sizes)]
    for world, row in worlds.items():
        cells = [f"{percent(row['sizes'][size]['relieved'])}".rjust(15) for size in sizes]
        lines.append(world.ljust(14) + "".join(cells))
    return lines


def percent(cell: Json) -> str:
    """A share with its standard error, in per cent."""
    return f"{100 * cell['value']:.1f} % ({100 * cell['se']:.1f})"


def _rests_on(table: Json, structural: list[str]) -> str:
    titles = {world["name"]: lower_first(world["title"]) for world in table["worlds"]}
    accounts = "; ".join(f"{name}: {titles[name]}" for name in structural)
    known = table.get("posterior")
    if known is None:
        weighed, ranges = "prior and uncalibrated", ""
    else:
        weights = listed(f"{name} {100 * known['weights'][name]:.0f} %" for name in structural)
        weighed = f"posterior-weighted ({weights}), calibrated to {known['targets']} published summaries"
        if not known["checked"]:
            weighed += ", by a posterior that is too narrow: it failed its check on synthetic data"
        ranges = " (within ranges that the calibration narrowed where it could)"
    return (
        f"This rests on {len(structural)} alternative accounts of the biology, called worlds here ({accounts}), "
        f"{weighed}; on {len(table['assumed'])} numbers that are assumed, not measured{ranges}; and on the errors and "
        "limits stated for each instrument. All are listed below."
    )


def _changed(table: Json, structural: list[str]) -> list[str]:
    """How power differs from what it was before the calibration, where that was computed."""
    power = (table.get("posterior") or {}).get("power")
    if not power:
        return []
    before, after = (
        listed(f"{100 * power[key][name]:.0f} % in {name}" for name in structural) for key in ("prior", "posterior")
    )
    return [
        f"Calibration changed it: with the prior the largest trial would find relief in {before}, and "
        f"calibrated in {after}, "
        "an average over the typical values that the published summaries leave open, which the errors here include."
    ]


def _could_show(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    evaluation = table["evaluation"]["worlds"]
    size = str(protocol.evaluation.sizes[-1])
    rows = [evaluation[world]["sizes"][size] for world in structural]
    endpoint = table["protocol"]["endpoints"]["relieved"]
    power = [row["relieved"] for row in rows]
    tnf = f"would find TNF significantly lowered in {_range([row['lowered'] for row in rows])} of replicates, and"
    if not _tests_tnf(rows):
        tnf = "could not test TNF, and would find"
    between = f" between {protocol.treatment} and {protocol.control}" if len(protocol.arms) > 2 else ""
    found = (
        f"With {size} {_taken(protocol)}, the trial {tnf} a significant {_kind(protocol)}{between} in "
        f"{_variable(endpoint)} at {protocol.unit} {endpoint['week']:g} in {_range(power)}"
        f"{', depending on the world' if _differ(power) else ''} (Monte Carlo standard errors in brackets)."
    )
    if protocol.single_arm:
        return [found, _own_effect(protocol, rows, endpoint)]
    first = [_first_size(evaluation[world]["sizes"]) for world in structural]
    needed = _sizes_needed(structural, first, size, [cell["value"] for cell in power])
    return [found, _true_effect(protocol, structural, rows, endpoint), needed]


def _taken(protocol: Protocol) -> str:
    return "treated" if protocol.single_arm else "randomised"


def _kind(protocol: Protocol) -> str:
    return "change" if protocol.single_arm else "difference"


def _variable(endpoint: Json) -> str:
    """The clinical endpoint inside a sentence, in full."""
    measure = lower_first(endpoint["measure"])
    return f"the share with a fall of at least {endpoint['fall']} in {measure}" if endpoint["fall"] else measure


def _tests_tnf(rows: list[Json]) -> bool:
    """Whether TNF can be analysed in any trial of the design."""
    return any(not row["failed_lowered"]["value"] >= 1 for row in rows)


def _differ(cells: list[Json]) -> bool:
    known = _known(cells)
    return bool(known) and percent(known[0]) != percent(known[-1])


def _one_patient(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    """What one treated patient can say: nothing that could be tested."""
    rows = [table["evaluation"]["worlds"][world]["sizes"]["1"] for world in structural]
    endpoint = table["protocol"]["endpoints"]["relieved"]
    scale = scale_of(endpoint)
    return [
        "One patient cannot be tested: a test of a change, and its interval, need at least two.",
        f"The drug's own mean effect on {_variable(endpoint)} at {protocol.unit} {endpoint['week']:g}, with it minus "
        f"without it in the same people, is {_plain([row['truth'] for row in rows], scale)} {scale.unit}; what one "
        "patient shows besides is natural recovery, regression to the mean, expectation and the error of a reading.",
        NO_CONTROL,
    ]


def _own_effect(protocol: Protocol, rows: list[Json], endpoint: Json) -> str:
    """Of the change in one arm, how much is the drug's."""
    scale = scale_of(endpoint)
    changes = [
        {
            "value": row["truth"]["value"] + row["bias"]["value"],
            "se": (row["truth"]["se"] ** 2 + row["bias"]["se"] ** 2) ** 0.5,
        }
        for row in rows
    ]
    return (
        f"Of the mean change from baseline, {_plain(changes, scale)} {scale.unit}, the drug's own effect is "
        f"{_plain([row['truth'] for row in rows], scale)}, as the same people without it show; the rest is natural "
        f"recovery, regression to the mean and expectation.{_width(protocol, rows, scale)}"
    )


def _true_effect(protocol: Protocol, structural: list[str], rows: list[Json], endpoint: Json) -> str:
    """How large the effect truly is, beside the interval's width and the difference held to matter."""
    scale = scale_of(endpoint)
    relevant = protocol.endpoints.relevant
    direction = -1 if endpoint["better"] == "lower" else 1
    cells = zip(structural, rows, strict=True)
    large = [world for world, row in cells if direction * row["truth"]["value"] >= relevant.typical]
    reached = "every world" if len(large) == len(rows) else _worlds(large) + " only" if large else "no world"
    crossover = " (half the difference of the two periods)" if endpoint["second"] is not None else ""
    return (
        f"The true mean difference there, {protocol.treatment} minus {protocol.control}{crossover}, is "
        f"{_plain([row['truth'] for row in rows], scale)} {scale.unit}; {scale.factor * relevant.typical:g} "
        f"{scale.unit} are held to matter"
        f"{' (assumed)' if relevant.assumed else ''}, which it reaches in {reached}."
        f"{_width(protocol, rows, scale)}"
    )


def _width(protocol: Protocol, rows: list[Json], scale: Scale) -> str:
    widths = [row["width"] for row in rows]
    if not _known(widths):
        return " A trial of this size gives no interval."
    level = f"{100 * (1 - protocol.evaluation.alpha):g} %"
    return f" Its {level} interval is {_plain(widths, scale)} {scale.unit} wide."


def _sizes_needed(structural: list[str], first: list[str | None], largest: str, power: list[float]) -> str:
    sizes: dict[str | None, list[str]] = {}
    for world, size in zip(structural, first, strict=True):
        sizes.setdefault(size, []).append(world)
    missing = sizes.pop(None, [])
    if not sizes:
        text = f"It reaches 80 % power for relief in no structural world with {largest} randomised"
        return text + (": as designed it could not show relief." if max(power) < LITTLE else ".")
    reached = listed(f"{size} randomised in {_worlds(worlds)}" for size, worlds in sizes.items())
    text = f"Of the sizes compared, 80 % power for relief takes {reached}"
    return text + (f"; in {_worlds(missing)} even {largest} do not reach it." if missing else ".")


def _worlds(names: list[str]) -> str:
    return f"the {listed(names)} world{'s' if len(names) > 1 else ''}"


def _could_not_show(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    evaluation = table["evaluation"]["worlds"]
    size = str(protocol.evaluation.sizes[-1])
    null = evaluation["null"]["sizes"][size]["relieved"]
    bypass, none = (evaluation[world]["sizes"][size]["claim"] for world in ("bypass", "no mediation"))
    real = [evaluation[world]["sizes"][size]["claim"] for world in structural]
    why = "by natural recovery, regression to the mean and expectation" if protocol.single_arm else "by chance"
    lines = [f"Were the drug inert, {percent(null)} of trials would still find a significant {_kind(protocol)}, {why}."]
    if not _tests_tnf([evaluation[world]["sizes"][size] for world in structural]):
        lines.append("As TNF cannot be tested, that relief follows from it could not even be claimed.")
        return [*lines, _contrast(protocol, table, structural)]
    lines.append(
        "That TNF and symptoms both improve does not show that one follows from the other: both improve significantly "
        f"in {_range(real)} of replicates where relief does run through TNF, in {percent(bypass)} where the drug "
        f"relieves by another way, and in {percent(none)} where it lowers TNF and symptoms do not follow."
    )
    return [*lines, _contrast(protocol, table, structural)]


def _contrast(protocol: Protocol, table: Json, structural: list[str]) -> str:
    """What the trial could say of who should be spared."""
    compared, size = protocol.compared, str(protocol.evaluation.sizes[-1])
    if protocol.single_arm:
        return NO_CONTROL
    if compared is None:
        return "No group with low TNF is randomised as such, so the trial cannot say who should be spared."
    rows = [table["evaluation"]["worlds"][world]["sizes"][size] for world in structural]
    scale = scale_of(table["protocol"]["endpoints"]["relieved"])
    groups = ("low", "high TNF") if compared.by == "gate" else ("long", "short duration")
    spared = [row["spared"] for row in rows]
    chance = all(cell["value"] < 2 * protocol.evaluation.alpha for cell in spared if isfinite(cell["value"]))
    poor = ", hardly more than by chance: it could not say who should be spared" if chance else ""
    return (
        f"The effect with {groups[0]} minus the effect with {groups[1]} is truly "
        f"{_plain([row['contrast_truth'] for row in rows], scale)} {scale.unit}; the trial's interval of it is "
        f"{_plain([row['contrast_width'] for row in rows], scale)} wide, and it would find a difference in "
        f"{_range(spared)} of replicates{poor}."
    )


def _gate(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    if protocol.gate is None:
        return []
    gates = [table["evaluation"]["worlds"][world]["gate"] for world in structural]
    passes, ppv = (_range([gate[name] for gate in gates]) for name in ("passes", "ppv"))
    delay = protocol.endpoints.lowered.baseline - protocol.gate.at
    again = f"{delay:g} {protocol.unit}{'' if delay == 1 else 's'}"
    return [
        f"Of those screened, {passes} pass the gate ({protocol.gate.rule}); of these, {ppv} are truly above the limit "
        f"at the site. Measured again {again} later, before any treatment, those who passed read "
        f"{_fall(gates, 'regression')} lower: {_fall(gates, 'decline')} is a true fall, the rest regression to the "
        "mean."
    ]


def _cost(protocol: Protocol, table: Json, structural: list[str]) -> str:
    size = str(protocol.evaluation.sizes[-1])
    rows = [table["evaluation"]["worlds"][world]["sizes"][size] for world in structural]
    screened, months = ([row[key] for row in rows] for key in ("screened", "months"))
    rate, wounds = protocol.conduct.screened_per_month, table["protocol"]["wounds_per_subject"]
    years = max(cell["value"] for cell in months) / MONTHS_A_YEAR
    long = f" (up to {years:.1f} years)" if years >= 2 else ""
    verb, screens = (
        ("treat", "") if protocol.single_arm else ("randomise", f"screen {_plain(screened, WHOLE)} people, ")
    )
    wounds_text = f"leave {wounds} skin wounds on each subject" if wounds else "need no skin wound"
    return (
        f"To {verb} {size} it would {screens if protocol.gate else ''}take {_plain(months, WHOLE)} months{long} at "
        f"{rate.typical:g} screened a month{' (assumed)' if rate.assumed else ''}, and {wounds_text}."
    )


def _published(row: Json, scale: Scale) -> str:
    """A published result, and how probable the simulation made it: never fitted, so a poor prediction stands here as
    one.
    """
    text = f"Published: {row['outcome']}: {row['result']} ({row['source']})."
    if row["endpoint"] is None:
        return text + " The simulation makes no prediction of it."
    if row["chance"] is None:
        said = predicted(row, scale)
        return text + (f" The structural worlds predicted {said}." if said else NO_ESTIMATE)
    chances = [cell for cell in row["chance"].values() if cell["value"] is not None and isfinite(cell["value"])]
    if not chances:
        return text + " No trial of this size could be analysed."
    seen = "that result" if row["significant"] else "a non-significant result"
    text += f" The structural worlds gave {seen} a probability of {_range(chances)}"
    if row["estimate"] is not None and predicted(row, scale):
        text += f", and predicted {predicted(row, scale)}"
    if max(cell["value"] for cell in chances) < SURPRISE:
        return text + ": it contradicts their priors, or the assay did not read what is assumed here."
    return text + "."


def predicted(row: Json, scale: Scale) -> str:
    """The estimate that the structural worlds expected, with the range that 95 % of trials would give; empty where a
    trial of this size gives none.
    """
    cells = (row["predicted"] or {}).values()
    known = [cell for cell in cells if all(x is not None and isfinite(x) for x in (cell["mean"], cell["sd"]))]
    if not known:
        return ""
    ends = [cell["mean"] + z * cell["sd"] for cell in known for z in (-1.96, 1.96)]
    numbers = [min(cell["mean"] for cell in known), max(cell["mean"] for cell in known), min(ends), max(ends)]
    ratio = row["endpoint"] == "lowered"
    texts = [fixed(exp(x) if ratio else scale.factor * x, 2 if ratio else scale.decimals) for x in numbers]
    middle = texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
    what = "a ratio" if ratio else "an estimate"
    unit = "" if ratio else f" {scale.unit}"
    return f"{what} of {middle}{unit} (95 % of trials between {texts[2]} and {texts[3]})"


def _first_size(sizes: Json) -> str | None:
    return next((size for size, row in sizes.items() if row["relieved"]["value"] >= ENOUGH), None)


def _known(cells: list[Json]) -> list[Json]:
    """Cells with a number, in rising order."""
    return sorted((cell for cell in cells if isfinite(cell["value"])), key=lambda cell: cell["value"])


def _range(cells: list[Json]) -> str:
    known = _known(cells)
    if not known:
        return UNKNOWN
    low, high = percent(known[0]), percent(known[-1])
    return low if low == high else f"{low} to {high}"


def _plain(cells: list[Json], scale: Scale) -> str:
    digits, factor = scale.decimals, scale.factor
    known = _known(cells)
    texts = [
        f"{fixed(factor * cell['value'], digits)} ({fixed(factor * cell['se'], max(digits, 1))})" for cell in known
    ]
    if not texts:
        return "not known"
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _fall(gates: list[Json], name: str) -> str:
    return _range([{"value": 1 - gate[name]["value"], "se": gate[name]["se"]} for gate in gates])


def _details(details: Iterable[dict]) -> str:
    parts = [f"{row['term']}, {row['arm']}: {row['events']} of {row['n']}" for row in details]
    return "; ".join(parts) + "." if parts else "None recorded."


def _p(p: float | None) -> str:
    return "not known" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"
