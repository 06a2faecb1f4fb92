"""Before treatment: is local TNF raised, how sure is that, and what would one more blister add?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtr

from causalgia.documents import Instrument, streams
from causalgia.documents.arms import Arm
from causalgia.documents.units import factor
from causalgia.documents.weighing import Weights
from causalgia.inference.patients.people import People
from causalgia.inference.patients.seen import Seen, errors, latent
from causalgia.inference.patients.words import between, capital, chance, num
from causalgia.measurement import readings
from causalgia.measurement.readings import Readings

TNF = "blister-tnf"
HEALTHY = 5000
FUTURES = 400
LEVELS = np.linspace(np.log(1e-3), np.log(1e5), 4001)


class Local(NamedTuple):
    """Local TNF at the decision: by what it is read, the readings of both sides, and each person's level, pg/mL."""

    instrument: Instrument
    affected: Seen | None
    contralateral: Seen | None
    level: np.ndarray
    ratio: np.ndarray | None
    weight: np.ndarray


def local(people: People, sights: list[Seen], decision: float) -> Local:
    """Local TNF of the people, who stand at the decision, with the last readings up to then."""
    past = [s for s in sights if s.day <= decision and s.instrument.paramcd.startswith("TNF")] if sights else []
    name = past[-1].instrument.name if past else TNF
    last = {side: s for s in past for side in [s.side] if s.instrument.name == name}
    affected, other = last.get("affected"), last.get("contralateral")
    instrument = affected.instrument if affected is not None else Instrument.load(name)
    course = {key: values[:, :1] for key, values in people_now(people).items()}
    level = latent(people.of("recovery"), instrument, "affected", course)[:, 0]
    ratio = None
    if "contralateral" in instrument.signal:
        ratio = level / np.maximum(latent(people.of("recovery"), instrument, "contralateral", course)[:, 0], 1e-9)
    return Local(instrument, affected, other, level, ratio, people.weight)


def people_now(people: People) -> dict[str, np.ndarray]:
    """Outputs of the people as they are."""
    return people.course(Arm(), [0.0])


def before(found: Local, people: People, weights: Weights, seed: int) -> dict[str, Any]:
    """The section `before` of the result."""
    instrument, unit = found.instrument, found.instrument.unit
    limit = weights.gate.typical * factor(weights.gate.unit, unit)
    above = float(found.weight @ (found.level > limit))
    alone = None if found.affected is None else _alone(found.affected)
    table: dict[str, Any] = {
        "measure": instrument.name,
        "title": instrument.title,
        "unit": unit,
        "measured": found.affected is not None,
        "readings": alone,
        "level": _quantiles(found.level, found.weight),
        "contralateral": _contralateral(found, weights),
        "controls": _controls(found, people, seed),
        "gate": {
            "limit": limit,
            "unit": unit,
            "probability": above,
            "answer": "above" if above >= 0.5 else "below",
            "reading": None if found.affected is None else float(np.exp(found.affected.mean)),
            "reading_is_limit": found.affected is not None and found.affected.below,
            "again": _again(found, limit, above >= 0.5, seed),
            "source": weights.gate.source,
        },
        "one_more": _one_more(found, limit, seed),
    }
    table["sentences"] = _sentences(table)
    return table


def _quantiles(value: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    low, median, high = quantiles(value, weight, (0.05, 0.5, 0.95))
    return {"median": median, "low": low, "high": high}


def quantiles(value: np.ndarray, weight: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    """Weighted quantiles: the value at which the cumulative weight, counted to its middle, reaches each share."""
    order = np.argsort(value, kind="stable")
    middle = np.cumsum(weight[order]) - weight[order] / 2
    return np.interp(shares, middle / weight.sum(), value[order]).tolist()


def posterior_of(sight: Seen) -> np.ndarray:
    """The level's posterior on the grid `LEVELS` by the readings alone, flat on the logarithm."""
    log = readings.logpdf(sight.instrument, LEVELS, sight.readings)
    return np.exp(log - logsumexp(log))


def _alone(sight: Seen) -> dict[str, float | None]:
    """Median and 90 % limits by the readings alone; no lower limit where every replicate is below the assay's."""
    found = _quantiles(np.exp(LEVELS), posterior_of(sight))
    if sight.readings.below.all():
        return {"median": None, "low": None, "high": found["high"]}
    return dict(found)


def _contralateral(found: Local, weights: Weights) -> dict[str, Any]:
    fold = weights.fold.typical
    table: dict[str, Any] = {"ratio": None, "low": None, "high": None, "probability": None, "fold": fold}
    table["probability_fold"] = None if found.ratio is None else float(found.weight @ (found.ratio > fold))
    if found.affected is None or found.contralateral is None:
        return table
    if found.affected.readings.below.all() or found.contralateral.readings.below.all():
        return table  # how far below its limit a side lies, and so which is higher, nothing but a prior would say
    here, there = posterior_of(found.affected), posterior_of(found.contralateral)
    below = np.cumsum(there) - there / 2
    table["probability"] = float(here @ below)
    if not (found.affected.below or found.contralateral.below):
        difference = found.affected.mean - found.contralateral.mean
        half = 1.6449 * float(np.hypot(found.affected.error, found.contralateral.error))
        table |= {"ratio": np.exp(difference), "low": np.exp(difference - half), "high": np.exp(difference + half)}
    return table


def _controls(found: Local, people: People, seed: int) -> dict[str, Any]:
    """Against people without the disease: the healthy level of the model, as this assay recovers it."""
    population, parts, weights = people.population, [], []
    gain = float(readings.signal(found.instrument, "affected", {"TNF": np.ones(1), "bound": np.zeros(1)})[0])
    for world, share in zip(population.condition.worlds, people.prior, strict=True):
        drawn = population.draw(world, HEALTHY, seed)
        healthy = drawn["T0"] * (drawn["recovery"] if found.instrument.recovery else 1.0)
        parts.append(gain * np.broadcast_to(healthy, HEALTHY))
        weights.append(np.full(HEALTHY, share / HEALTHY))
    level, weight = np.concatenate(parts), np.concatenate(weights)
    order = np.argsort(level)
    share = np.interp(found.level, level[order], np.cumsum(weight[order]))
    limit = quantiles(level, weight, (0.95,))[0]
    return {
        "percentile": float(found.weight @ share),
        "limit": limit,
        "probability": float(found.weight @ (found.level > limit)),
        "source": "healthy levels of the model, whose centre and spread are those of the contralateral side "
        "(huygen2004_mast, abstract); no blister fluid of healthy people is among the studies",
    }


def _again(found: Local, limit: float, above: bool, seed: int) -> float:
    """Probability that the geometric mean of two blisters on another day lies on the same side of the limit."""
    day, replicate = errors(found.instrument)
    spread = float(np.sqrt(day**2 + replicate**2 / 2))
    higher = float(found.weight @ ndtr((np.log(np.maximum(found.level, 1e-9)) - np.log(limit)) / spread))
    return higher if above else 1 - higher


def _one_more(found: Local, limit: float, seed: int) -> list[dict[str, Any]]:
    """What one more blister is expected to do to the level's SD and to the gate's answer, today and on another day.

    Preposterior simulation: a reading is drawn from what is known, the people are weighted by it, and the answer given
    again; `FUTURES` times.
    """
    rng = streams.generator(seed, "one more blister")
    chosen = rng.choice(len(found.level), 1000, p=found.weight)
    x = np.log(np.maximum(found.level[chosen], 1e-9))
    day, replicate = errors(found.instrument)
    today = rng.standard_normal(len(x)) * day
    if found.affected is not None:  # the day's error given what was read on it
        exact = ~found.affected.readings.below
        n = int(exact.sum())
        if n:
            gap = found.affected.readings.value[exact].mean() - x
            total = replicate**2 + n * day**2
            today = n * day**2 * gap / total + rng.standard_normal(len(x)) * day * replicate / np.sqrt(total)
    whens = [("another day", "one more blister on another day", x, float(np.hypot(day, replicate)))]
    if found.affected is not None:
        whens.insert(0, ("today", "one more blister on the same day", x + today, replicate))
    return [
        {"when": when, "text": text, "sd_now": float(x.std())} | _future(x, centre, spread, limit, found, rng)
        for when, text, centre, spread in whens
    ]


def _future(
    x: np.ndarray, centre: np.ndarray, spread: float, limit: float, found: Local, rng: np.random.Generator
) -> dict[str, float]:
    one = found.instrument.model_copy(
        update={
            "day_error": found.instrument.day_error.model_copy(update={"value": spread}),
            "replicate_error": None,
        }
    )
    draws = rng.choice(len(x), FUTURES)
    readings_next = centre[draws] + spread * rng.standard_normal(FUTURES)
    low = readings.log_lloq(one)
    above = bool((x > np.log(limit)).mean() >= 0.5)
    sds, changes = [], 0
    for value in readings_next:
        log = readings.logpdf(one, centre, Readings(np.array([value]), np.array([value < low])))
        weight = np.exp(log - log.max())
        weight /= weight.sum()
        mean = weight @ x
        sds.append(np.sqrt(weight @ (x - mean) ** 2))
        changes += bool((weight @ (x > np.log(limit)) >= 0.5) != above)
    return {"sd_after": float(np.mean(sds)), "change": changes / FUTURES}


def _sentences(table: dict[str, Any]) -> list[str]:
    unit, gate, level = table["unit"], table["gate"], table["level"]
    known = f"{num(level['median'])} {unit} ({between(level['low'], level['high'])})"
    if not table["measured"]:
        said = [
            f"Local TNF has not been measured. What else is known of the patient puts it at {known}; the limits hold "
            "90 %, here and below."
        ]
    else:
        alone = table["readings"]
        what = f"below {num(alone['high'])} {unit}"
        if alone["median"] is not None:
            what = f"at {num(alone['median'])} {unit} ({between(alone['low'], alone['high'])})"
        said = [
            f"The blisters alone put local TNF {what}, all that is known of the patient at {known}; the limits hold "
            "90 %, here and below."
        ]
        said.append(_side_sentence(table["contralateral"]))
    controls = table["controls"]
    said.append(
        f"Of people without the disease {chance(controls['percentile'])} have less. Their 95th centile is "
        f"{num(controls['limit'])} {unit}; the patient is above it with probability {chance(controls['probability'])}."
    )
    above = gate["probability"]
    said.append(
        f"The gate is {num(gate['limit'])} {unit}: local TNF lies {gate['answer']} it with probability "
        f"{chance(max(above, 1 - above))}. Two blisters on another day would say the same in {chance(gate['again'])}."
    )
    return [*said, _one_more_sentence(table["one_more"], table["measured"])]


def _side_sentence(side: dict[str, Any]) -> str:
    if side["probability"] is not None:
        ratio = ""
        if side["ratio"] is not None:
            ratio = f"{num(side['ratio'])} times the other side's ({between(side['low'], side['high'])}), and "
        higher = chance(side["probability"])
        return f"By the readings it is {ratio}higher than on the other side with probability {higher}."
    if side["probability_fold"] is None:
        return "The other side was not read."
    return (
        "The readings alone do not say whether it is higher than on the other side: one side was not read, or lies "
        f"below the limit. With all that is known it is more than {num(side['fold'], 1)} times that with probability "
        f"{chance(side['probability_fold'])}."
    )


def _one_more_sentence(rows: list[dict[str, Any]], measured: bool) -> str:
    """What one more blister would add, in factors that hold 90 % either way."""

    def within(sd: float) -> str:
        return num(float(np.exp(1.6449 * sd)))

    what = [f"{row['text'] if measured else 'a blister'} would make that {within(row['sd_after'])}" for row in rows]
    also = [text.replace("one more blister ", "").replace("would make that ", "") for text in what[1:]]
    changes = list(dict.fromkeys(chance(row["change"]) for row in rows))
    return (
        f"The level is known to within a factor of {within(rows[0]['sd_now'])} either way. "
        f"{capital(', '.join([what[0], *also]))}, and change the gate's answer with probability {' or '.join(changes)}."
    )
