"""The verdict in plain words, beginning with the assumptions it rests on; every number comes with its Monte Carlo
error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from causalgia.analysis.answers import Answer
from causalgia.documents import Protocol

Json = dict[str, Any]
ENOUGH = 0.8
LITTLE = 0.5
SURPRISE = 0.05


def verdict(protocol: Protocol, table: Json) -> list[str]:
    """Sentences from the results of `report.results`: what they rest on, what the trial could show, what it could not.
    """
    worlds = table["worlds"]
    structural = [world["name"] for world in worlds if world["structural"]]
    sentences = [_rests_on(table, structural)]
    sentences += _could_show(protocol, table, structural)
    sentences += _could_not_show(protocol, table, structural)
    sentences += _gate(protocol, table, structural)
    sentences.append(_cost(protocol, table, structural))
    sentences += [_published(row, table, structural) for row in table["protocol"]["published"]]
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
    lines = ["Share of trials with a significant clinical endpoint (standard error)", "world".ljust(14) + "".join(s.rjust(15) for s in sizes)]
    for world, row in worlds.items():
        cells = [f"{percent(row['sizes'][size]['relieved'])}".rjust(15) for size in sizes]
        lines.append(world.ljust(14) + "".join(cells))
    return lines


def percent(cell: Json) -> str:
    """A share with its standard error, in per cent."""
    return f"{100 * cell['value']:.1f} % ({100 * cell['se']:.1f})"


def _rests_on(table: Json, structural: list[str]) -> str:
    count = len(table["assumed"])
    return (
        f"This rests on {len(structural)} structural worlds ({', '.join(structural)}), prior and uncalibrated, "
        f"on {count} assumed numbers listed below, and on the errors and limits stated for each instrument."
    )


def _could_show(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    evaluation = table["evaluation"]["worlds"]
    size = str(protocol.evaluation.sizes[-1])
    power = [evaluation[world]["sizes"][size]["relieved"] for world in structural]
    lowered = [evaluation[world]["sizes"][size]["lowered"] for world in structural]
    truths = [evaluation[world]["sizes"][size]["truth"] for world in structural]
    widths = [evaluation[world]["sizes"][size]["width"] for world in structural]
    endpoint = table["protocol"]["endpoints"]["relieved"]
    unit = endpoint["unit"] + "s" if endpoint["unit"] == "score" else endpoint["unit"]
    lines = [
        f"With {size} randomised the trial would find TNF lowered in {_range(lowered)} of replicates, and a difference in "
        f"{_lower_first(endpoint['title'])} at week {endpoint['week']:g} in {_range(power)} (range over the structural worlds, standard error in brackets)."
    ]
    effects = f"{_plain(truths)} {unit.replace('scores', 'points')}"
    lines.append(
        f"The true mean difference there is {effects}, and its interval is {_plain(widths)} points wide; "
        f"{protocol.endpoints.relevant.typical:g} points are held to matter."
    )
    first = [_first_size(evaluation[world]["sizes"]) for world in structural]
    lines.append(_sizes_needed(structural, first, size, [cell["value"] for cell in power]))
    return lines


def _sizes_needed(structural: list[str], first: list[str | None], largest: str, power: list[float]) -> str:
    reached = [f"{size} in the {world} world" for world, size in zip(structural, first, strict=True) if size is not None]
    if not reached:
        if max(power) < LITTLE:
            return f"It reaches {ENOUGH:.0%} power in no structural world up to {largest} randomised: as designed it could not show relief."
        return f"It reaches {ENOUGH:.0%} power in no structural world up to {largest} randomised."
    missing = [world for world, size in zip(structural, first, strict=True) if size is None]
    text = f"{ENOUGH:.0%} power for relief needs {', '.join(reached)} (of the sizes compared)"
    return text + (f"; in {' and '.join(missing)} even {largest} do not reach it." if missing else ".")


def _could_not_show(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    evaluation = table["evaluation"]["worlds"]
    size = str(protocol.evaluation.sizes[-1])
    null = evaluation["null"]["sizes"][size]["relieved"]
    bypass, none = (evaluation[world]["sizes"][size]["claim"] for world in ("bypass", "no mediation"))
    real = [evaluation[world]["sizes"][size]["claim"] for world in structural]
    lines = [f"Were the drug inert, {percent(null)} of trials would still find a difference."]
    lines.append(
        f"Seeing both TNF and symptoms improve does not show that one follows from the other: it happens in {_range(real)} of "
        f"replicates where relief does run through TNF, in {percent(bypass)} where it bypasses TNF, in {percent(none)} where nothing follows."
    )
    if protocol.gate is None or protocol.gate.low_stratum is None:
        lines.append("Nobody is randomised below a gate as such, so the trial cannot say who should be spared.")
    else:
        spared = [evaluation[world]["sizes"][size]["spared"] for world in structural]
        lines.append(f"It would find that the effect differs between high and low TNF in {_range(spared)} of replicates.")
    return lines


def _gate(protocol: Protocol, table: Json, structural: list[str]) -> list[str]:
    if protocol.gate is None:
        return []
    gates = [table["evaluation"]["worlds"][world]["gate"] for world in structural]
    return [
        f"The gate ({protocol.gate.rule}) passes {_range([g['passes'] for g in gates])}; of those, {_range([g['ppv'] for g in gates])} are truly above "
        f"the limit at the site. Measured again two weeks later without treatment, those who passed read {_fall(gates, 'regression')} lower, of which "
        f"{_fall(gates, 'decline')} is a true fall and the rest regression to the mean."
    ]


def _cost(protocol: Protocol, table: Json, structural: list[str]) -> str:
    size = str(protocol.evaluation.sizes[-1])
    rows = [table["evaluation"]["worlds"][world]["sizes"][size] for world in structural]
    screened, months = ([row[key] for row in rows] for key in ("screened", "months"))
    wounds = table["protocol"]["wounds_per_subject"]
    return (
        f"It would screen {_plain(screened, 0)} people for {size} randomised, take {_plain(months, 0)} months at "
        f"{protocol.conduct.screened_per_month.typical:g} screened a month, and leave {wounds} skin wounds on each subject."
    )


def _published(row: Json, table: Json, structural: list[str]) -> str:
    """A published result, and how probable the simulation made it: never fitted, so a poor prediction stands here as
    one.
    """
    text = f"Published: {row['outcome']}: {row['result']} ({row['source']})."
    if row["endpoint"] is None:
        return text + " The simulation makes no prediction of it."
    size = str(table["protocol"]["sizes"][-1])
    cells = [table["evaluation"]["worlds"][world]["sizes"][size][row["endpoint"]] for world in structural]
    chances = [cell if row["significant"] else {"value": 1 - cell["value"], "se": cell["se"]} for cell in cells]
    text += f" The structural worlds gave that result a probability of {_range(chances)}"
    if max(cell["value"] for cell in chances) < SURPRISE:
        return text + ": it contradicts their priors, or the assay did not read what is assumed here."
    return text + "."


def _first_size(sizes: Json) -> str | None:
    return next((size for size, row in sizes.items() if row["relieved"]["value"] >= ENOUGH), None)


def _range(cells: list[Json]) -> str:
    low, high = min(cells, key=lambda cell: cell["value"]), max(cells, key=lambda cell: cell["value"])
    if percent(low) == percent(high):
        return percent(low)
    return f"{percent(low)} to {percent(high)}"


def _plain(cells: list[Json], digits: int = 2) -> str:
    texts = [f"{cell['value']:.{digits}f} ({cell['se']:.{max(digits, 1)}f})" for cell in sorted(cells, key=lambda cell: cell["value"])]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"


def _fall(gates: list[Json], name: str) -> str:
    return _range([{"value": 1 - gate[name]["value"], "se": gate[name]["se"]} for gate in gates])


def _details(details: Iterable[dict]) -> str:
    parts = [f"{row['term']}, {row['arm']}: {row['events']} of {row['n']}" for row in details]
    return "; ".join(parts) + "." if parts else "None recorded."


def _p(p: float | None) -> str:
    return "not known" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _lower_first(text: str) -> str:
    return text if text[:2].isupper() else text[0].lower() + text[1:]
