"""Everything about one patient, or a few: before, weigh, after, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from causalgia import __version__
from causalgia.documents import Condition, Drug, InputError
from causalgia.documents.patient import Patient, Series
from causalgia.documents.units import factor
from causalgia.documents.weighing import Therapies, Weights
from causalgia.inference.patients.after import after
from causalgia.inference.patients.before import before, local, people_now
from causalgia.inference.patients.people import People, outside, people_like
from causalgia.inference.patients.seen import Seen, is_level, latent, scaled, seen
from causalgia.inference.patients.series import pooled
from causalgia.inference.patients.weigh import Gate, weigh
from causalgia.inference.patients.words import chance, listed, num

LEAST = 30.0  # effective virtual patients below which nothing is forecast
ENOUGH = 1000.0  # effective virtual patients above which more add nothing
SIMULATED = 1000  # virtual patients who are taken through every therapy
ODD = 0.01
DEVICE = "Research use only: this is no medical device, and no advice for a patient."


def consider(
    patient: Patient | Series,
    weights: Weights | str | Path | Mapping[str, float] | None = None,
    *,
    seed: int = 1,
    people: int = 20_000,
) -> dict[str, Any]:
    """Before, weigh and after for a patient, or for each of a series and pooled: a dictionary ready for JSON.

    `weights` is a document, its name or path, or changed values by key, such as {"harm.malignancy": 20}. `people`
    virtual patients at most stand behind it. The keys of the result are listed in `causalgia.inference.patients`.
    Raises InputError for unknown weights and too few people.
    """
    if people < 300:
        raise InputError("people", str(people), "at least 300 virtual patients", "Ask for more.")
    judged = _weights(weights)
    if isinstance(patient, Series):
        return _series(patient, judged, seed, people)
    return {"causalgia": __version__, "seed": seed, **_one(patient, judged, seed, people, full=True)}


def _weights(given: Weights | str | Path | Mapping[str, float] | None) -> Weights:
    if isinstance(given, Weights):
        return given
    if isinstance(given, Mapping):
        return Weights.load("standard").changed(given)
    return Weights.load("standard" if given is None else given)


def _series(series: Series, weights: Weights, seed: int, people: int) -> dict[str, Any]:
    cache: dict[str, People] = {}
    rows = [_one(patient, weights, seed, people // 4, full=False, cache=cache) for patient in series.patients]
    for row in rows:
        del row["device"], row["assumptions"]
    pairs = [(patient, seen(patient, weights.level_error.typical)) for patient in series.patients]
    return {
        "causalgia": __version__,
        "seed": seed,
        "name": series.name,
        "patients": rows,
        "series": pooled(pairs),
        "assumptions": _assumptions(series.patients[0], rows[0]["people"]["label"]),
        "device": DEVICE,
    }


def _one(
    patient: Patient, weights: Weights, seed: int, people: int, *, full: bool, cache: dict[str, People] | None = None
) -> dict[str, Any]:
    sights = seen(patient, weights.level_error.typical)
    alike, odd = _alike(patient, sights, people, seed, cache)
    inside = alike.ess >= LEAST and not outside(Condition.load(patient.condition), patient)
    now = local(alike, sights, patient.decision)
    table: dict[str, Any] = {
        "patient": _described(patient, sights),
        "people": _people(alike, odd, inside),
        "before": before(now, alike, weights, seed),
        "weigh": None,
        "after": None,
    }
    if inside and full:
        gate = table["before"]["gate"]
        limit = f"{num(gate['limit'])} {gate['unit']}"
        answer = Gate(now.affected is not None, gate["probability"], limit, weights.gate.source)
        stand_ins = alike.resampled(SIMULATED, seed)
        table["weigh"] = weigh(patient, stand_ins, answer, now.instrument, weights, Therapies.load("standard"), seed)
    if inside and patient.doses:
        table["after"] = after(patient, alike, sights, now.instrument, weights, seed)
    table["summary"] = _summary(table)
    return table | {"assumptions": _assumptions(patient, alike.label), "device": DEVICE}


def _alike(
    patient: Patient, sights: list[Seen], people: int, seed: int, cache: dict[str, People] | None
) -> tuple[People, list[dict[str, Any]]]:
    """People like the patient at the decision, weighted by all that was read up to then, and what surprises them.

    A quarter of them is tried first, and kept where it is enough.
    """
    key = f"{patient.condition} {patient.entry} {patient.about}"
    many = any(sight.instrument.scale == "log" for sight in sights)
    for count in (people,) if many else (people // 4, people):
        if cache is not None and key in cache:
            alike = cache[key]
        else:
            alike = people_like(patient, count, seed)
            if cache is not None:
                cache[key] = alike
        weighted, odd = _read(alike, sights, patient.decision)
        if weighted.ess >= ENOUGH or cache is not None:
            break
    return weighted, odd


def _read(alike: People, sights: list[Seen], decision: float) -> tuple[People, list[dict[str, Any]]]:
    """The people weighted by everything that was read up to the decision, and moved to it; readings that are rare."""
    odd, past = [], [sight for sight in sights if sight.day <= decision and not is_level(sight)]
    now = 0.0
    for day, group in groupby(past, key=lambda sight: sight.day):
        alike, now = alike.later(day - now), day
        course = people_now(alike)
        for sight in group:
            value = latent(alike.of("recovery"), sight.instrument, sight.side, course)[:, 0]
            rare = _rare(alike, sight, value)
            if rare < ODD:
                text = f"{sight.title} {sight.text} {_unit(sight)}".strip() + f" on day {num(sight.day)}"
                odd.append({"text": text, "probability": rare})
            alike = alike.reweighted(sight.log_likelihood(value))
        alike = alike.kept()
    return alike.later(decision - now), odd


def _rare(people: People, sight: Seen, value: np.ndarray) -> float:
    """Two-sided probability of a reading as far out, among people weighted by what was read before it."""
    below = float(people.weight @ ndtr((sight.mean - scaled(sight.instrument, value)) / max(sight.error, 1e-9)))
    return 2 * min(below, 1 - below) if not sight.below else min(1.0, 2 * below)


def _unit(sight: Seen) -> str:
    return {"score": "", "delta_degC": "°C", "percent": "%"}.get(sight.instrument.unit, sight.instrument.unit)


def _described(patient: Patient, sights: list[Seen]) -> dict[str, Any]:
    condition, about, entry = Condition.load(patient.condition), patient.about, patient.entry
    names = {name for visit in patient.visits for name in visit.scores} | {s.instrument.name for s in sights}
    asked = {"nrs": "pain", "blister-tnf": "local TNF", "blister-il6": "local IL-6", "temperature": "skin temperature"}
    asked |= {"volume": "limb volume", "motor": "motor function"}
    missing = [title for name, title in asked.items() if name not in names]
    missing += [name for name in ("age", "sex", "weight", "albumin") if getattr(about, name) is None]
    missing += [] if entry is not None else ["time since the injury"]
    missing += [] if patient.comorbidities is not None else ["comorbidities"]
    return {
        "name": patient.name,
        "title": patient.title,
        "synthetic": patient.synthetic,
        "source": patient.source,
        "condition": condition.name,
        "condition_title": condition.title,
        "age": about.age,
        "sex": about.sex,
        "weight": about.weight,
        "albumin": about.albumin,
        "duration_days": None if entry is None else entry.typical * factor(entry.unit, "day"),
        "comorbidities": None if patient.comorbidities is None else list(patient.comorbidities),
        "current": list(patient.current),
        "planned": list(patient.planned),
        "readings": [
            {"day": s.day, "measure": s.instrument.name, "title": s.title, "side": s.side, "text": s.text}
            | {"unit": _unit(s)}
            for s in sights
        ],
        "doses": [
            {"day": patient.day(d), "text": f"{Drug.load(d.drug).title} {d.dose}, {d.route.replace('_', ' ')}"}
            for d in patient.doses
        ],
        "adverse_events": [
            {"day": patient.day(e), "term": e.term, "serious": e.serious} for e in patient.adverse_events
        ],
        "unmeasured": missing,
        "notes": list(patient.notes),
    }


def _people(alike: People, odd: list[dict[str, Any]], inside: bool) -> dict[str, Any]:
    worlds = alike.population.condition.worlds
    return {
        "simulated": alike.histories,
        "ess": alike.ess,
        "least": LEAST,
        "inside": inside,
        "error": float(0.5 / np.sqrt(min(alike.ess, SIMULATED))),
        "label": alike.label,
        "worlds": [
            {"name": name, "title": page.title, "prior": float(p), "posterior": float(share)}
            for (name, page), p, share in zip(worlds.items(), alike.prior, alike.shares, strict=True)
        ],
        "odd": odd,
    }


def _summary(table: dict[str, Any]) -> list[str]:
    people, said = table["people"], []
    if not people["inside"]:
        strange = [row["text"] for row in people["odd"]] or ["what was read, taken together"]
        said.append(
            f"No forecast: the patient lies outside the population (effective sample size {num(people['ess'])} of "
            f"{people['simulated']:,}, least {num(people['least'])}); hardly anybody in it shows {listed(strange)}."
        )
    if table["after"] is not None:
        said += table["after"]["sentences"]
    if table["weigh"] is not None:
        first, *others = table["weigh"]["sentences"]
        said += [f"Before treatment: {first[0].lower()}{first[1:]}" if table["after"] else first, *others]
    return said + table["before"]["sentences"][:1]


def _assumptions(patient: Patient, label: str) -> list[str]:
    return [
        f"Pain, oedema and the rest follow the three structural worlds; their parameters are: {label}.",
        "Forecasts of therapies leave out the response to placebo and to knowing the treatment; "
        "the course after a dose includes both.",
        "Weights of benefit and harm, the gate and the plausibility of each hypothesis are judgements: change them.",
        *(["Current therapy is taken to go on, and is not simulated."] if patient.current else []),
        f"Probabilities carry a Monte Carlo error of about {chance(0.5 / np.sqrt(SIMULATED))}.",
    ]
