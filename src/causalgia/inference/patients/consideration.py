"""Everything about one patient, or a few: before, weigh, after, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from causalgia import __version__
from causalgia.documents import Condition, Drug, InputError
from causalgia.documents.patient import Patient, Series
from causalgia.documents.units import factor
from causalgia.documents.weighing import Therapies, Weights
from causalgia.inference.patients.after import after
from causalgia.inference.patients.alike import Alike, alike, outside
from causalgia.inference.patients.before import before, local
from causalgia.inference.patients.people import People
from causalgia.inference.patients.seen import Seen, counted, seen
from causalgia.inference.patients.weigh import Gate, weigh
from causalgia.inference.patients.words import chance, listed, num

LEAST = 100.0  # effective virtual patients below which nothing is forecast
STRANGE = 0.005  # share of simulated patients as unusual, below which the patient lies outside the population
SIMULATED = 1000  # virtual patients who are taken through every therapy
ODD = 0.01
DEVICE = "Research use only: this is no medical device, and no advice for a patient."


# Names of what is read, in a list of readings.
SHORT = {
    "nrs": "pain",
    "temperature": "temperature difference",
    "volume": "swelling",
    "motor": "motor function",
    "iss": "ISS",
    "css": "CSS",
    "blister-tnf": "TNF",
    "blister-il6": "IL-6",
}


def consider(
    patient: Patient | Series,
    weights: Weights | str | Path | Mapping[str, float] | None = None,
    *,
    therapies: Sequence[str] | None = None,
    seed: int = 1,
    people: int = 20_000,
) -> dict[str, Any]:
    """Before, weigh and after for a patient, or for each of a series and pooled: a dictionary ready for JSON.

    `weights` is a document, its name or path, or changed values by key, such as {"harm.malignancy": 20}; `therapies`
    names those to weigh, None all that the condition has. At most `people` virtual patients are simulated for it. The
    keys of the result are listed in `causalgia.inference.patients`. Raises InputError for unknown weights or therapies
    and for too few people.
    """
    if people < 300:
        raise InputError("people", str(people), "at least 300 virtual patients", "Ask for more.")
    judged, page = _weights(weights), Therapies.load("standard")
    if therapies is not None:
        page = page.only(therapies)
    if isinstance(patient, Series):
        return _series(patient, judged, seed, people)
    return {"causalgia": __version__, "seed": seed, **_one(patient, judged, page, seed, people)}


def _weights(given: Weights | str | Path | Mapping[str, float] | None) -> Weights:
    if isinstance(given, Weights):
        return given
    if isinstance(given, Mapping):
        return Weights.load("standard").changed(given)
    return Weights.load("standard" if given is None else given)


def _series(series: Series, weights: Weights, seed: int, people: int) -> dict[str, Any]:
    from causalgia.inference.patients.series import pooled  # pooling imports much that one patient does not need

    rows = [_one(patient, weights, None, seed, people // 4) for patient in series.patients]
    assumptions = rows[0]["assumptions"]
    for row in rows:
        del row["device"], row["assumptions"]
    pairs = [(patient, seen(patient, weights.level_error.typical)) for patient in series.patients]
    return {
        "causalgia": __version__,
        "seed": seed,
        "name": series.name,
        "patients": rows,
        "series": pooled(pairs),
        "assumptions": assumptions,
        "device": DEVICE,
    }


def _one(patient: Patient, weights: Weights, therapies: Therapies | None, seed: int, people: int) -> dict[str, Any]:
    """Before and after, and `therapies` weighed, if any are given."""
    sights = seen(patient, weights.level_error.typical)
    found = alike(patient, sights, people, seed)
    body = outside(Condition.load(patient.condition), patient)
    inside = found.people.ess >= LEAST and found.strange >= STRANGE and not body
    now = local(found.people, sights, patient.decision)
    table: dict[str, Any] = {
        "patient": _described(patient, sights),
        "people": _people(found, body, inside),
        "before": before(now, found.people, weights, seed),
        "weigh": None,
        "after": None,
    }
    if inside and therapies is not None:
        gate = table["before"]["gate"]
        limit = f"{num(gate['limit'])} {gate['unit']}"
        answer = Gate(now.affected is not None, gate["probability"], limit, weights.gate.source)
        stand_ins = found.people.resampled(SIMULATED, seed)
        table["weigh"] = weigh(patient, stand_ins, answer, now.instrument, weights, therapies, seed)
    if inside and patient.doses:
        table["after"] = after(patient, found.people, sights, now.instrument, weights, seed)
    table["summary"] = _summary(table)
    return table | {"assumptions": _assumptions(patient, sights, found.people), "device": DEVICE}


def _unit(sight: Seen) -> str:
    return {"score": "", "delta_degC": "°C", "percent": "%"}.get(sight.instrument.unit, sight.instrument.unit)


def _short(sight: Seen) -> str:
    name = SHORT.get(sight.instrument.name, sight.instrument.title)
    return f"{name} {sight.side}" if sight.side != "patient" else name


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
            {"day": s.day, "measure": s.instrument.name, "title": s.title, "short": _short(s), "side": s.side}
            | {"text": s.text, "unit": _unit(s)}
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


def _people(found: Alike, body: list[str], inside: bool) -> dict[str, Any]:
    people = found.people
    worlds = people.population.condition.worlds
    odd = [
        {"text": f"{_short(s)} {s.text} {_unit(s)}".strip() + f" on day {s.day:g}", "probability": probability}
        for s, probability in found.odd
        if probability < ODD
    ]
    return {
        "simulated": people.histories,
        "ess": people.ess,
        "least": LEAST,
        "strange": found.strange,
        "least_strange": STRANGE,
        "inside": inside,
        "body": body,
        "error": float(0.5 / np.sqrt(min(people.ess, SIMULATED))),
        "label": people.label,
        "worlds": [
            {"name": name, "title": page.title, "prior": float(p), "posterior": float(share)}
            for (name, page), p, share in zip(worlds.items(), people.prior, people.shares, strict=True)
        ],
        "odd": odd,
    }


def _summary(table: dict[str, Any]) -> list[str]:
    said = [] if table["people"]["inside"] else [_refusal(table["people"])]
    if table["after"] is not None:
        said += table["after"]["sentences"]
    if table["weigh"] is not None:
        first, *others = table["weigh"]["sentences"]
        before = f"Seen from before the first dose: {first[0].lower()}{first[1:]}"
        said += [before if table["after"] else first, *others]
    return said + table["before"]["sentences"][:1]


def _refusal(people: dict[str, Any]) -> str:
    """Why nothing is forecast: the body, what was read, or too few people who could be the patient."""
    if people["body"]:
        return f"No forecast: the patient lies outside the population by {listed(people['body'])}."
    if people["strange"] < people["least_strange"]:
        strange = [row["text"] for row in people["odd"]] or ["what was read, taken together"]
        return (
            f"No forecast: the patient lies outside the population. Fewer than {num(100 * STRANGE)} % of simulated "
            f"patients show readings as unusual; hardly anybody shows {listed(strange)}."
        )
    return (
        f"No forecast: too few virtual patients could be this one (effective sample size {num(people['ess'])} of "
        f"{people['simulated']:,}, least {num(people['least'])})."
    )


def _assumptions(patient: Patient, sights: list[Seen], people: People) -> list[str]:
    posterior = people.population.posterior
    narrow = posterior is not None and not posterior.checked
    return [
        "Pain, swelling and the rest follow three structural accounts of the biology, with parameters of the "
        f"{people.label}."
        + (" Its draws lie too close together: limits and probabilities are surer than they should be." * narrow),
        "Forecasts of therapies leave out the response to placebo and to knowing the treatment; "
        "the course after a dose includes both.",
        "Weights of benefit and harm, the gate and the plausibility of each hypothesis are judgements: change them.",
        *(["Current therapy is taken to go on, and is not simulated."] if patient.current else []),
        *(
            ["Sum scores are made of the other readings of their day, and are not counted beside them."]
            if len(counted(sights)) < len(sights)
            else []
        ),
        f"Probabilities carry a Monte Carlo error of about {chance(0.5 / np.sqrt(min(people.ess, SIMULATED)))}.",
    ]
