"""Weighing therapies for one patient: forecasts, harm, contraindications, net benefit, reasons for and against."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from causalgia.documents import Drug, InputError, Instrument, streams
from causalgia.documents.arms import Arm
from causalgia.documents.patient import Patient
from causalgia.documents.units import factor, quantity
from causalgia.documents.weighing import Therapies, Therapy, Weights
from causalgia.evidence.base import read
from causalgia.evidence.figures import figure
from causalgia.evidence.schemas import Outcome, Study
from causalgia.evidence.words import FOLDER, words
from causalgia.inference.patients.people import Course, People
from causalgia.inference.patients.seen import latent, read_again
from causalgia.inference.patients.words import capital, chance, listed, named, num, points

WEEKS = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 26.0)
# What is forecast: instrument and side.
FORECAST = {"nrs": "patient", "temperature": "patient", "volume": "patient", "motor": "patient"}
AGAIN = 2  # readings of each person that stand for one more reading
SHARES = (0.05, 0.5, 0.95)
BINDERS = "TNF inhibitor"
NONE = "none"
ASSUMED = "assumed"


class Gate(NamedTuple):
    """What the gate says: whether TNF was measured, the probability that it is above the limit, the limit in words."""

    measured: bool
    probability: float
    limit: str
    source: str


def weigh(
    patient: Patient, people: People, gate: Gate, measure: Instrument, weights: Weights, therapies: Therapies, seed: int
) -> dict[str, Any]:
    """The section `weigh` of the result, for people of equal weight who stand for the patient."""
    week = weights.week.typical * factor(weights.week.unit, "week")
    weeks = sorted({*WEEKS, week})
    instruments = {measure.name: (measure, "affected")}
    instruments |= {name: (Instrument.load(name), side) for name, side in FORECAST.items()}
    none = _latents(people, people.course(Arm(), [7 * w for w in weeks]), instruments)
    rows = []
    for therapy in (page for page in therapies.therapies if patient.condition in page.conditions):
        values = _latents(people, people.course(therapy.arm, [7 * w for w in weeks]), instruments)
        plausible = weights.plausible.get(therapy.name, weights.plausible["other"])
        values = _as_plausible(values, none, plausible.typical, measure.name, seed)
        row = _identity(therapy)
        row |= _forecast(values, none, weeks, week, instruments, weights, seed)
        drugs = [Drug.load(course.drug or "") for course in therapy.arm.courses]
        row["harms"] = _harms(therapy.arm, drugs, weights)
        row |= _net(values, none, weeks.index(week), row["harms"], weights)
        row["contraindications"] = _contraindications(patient, therapy, drugs, therapies)
        row["plausible"] = {"value": plausible.typical, "source": plausible.source}
        row |= _verdict(row, gate, weights)
        row["reasons"] = _reasons(row, gate, therapy, weights, people.label)
        rows.append(row)
    rows.sort(key=lambda row: (ORDER.index(row["verdict"]), -row["net"]["mean"]))
    alone = {"name": NONE, "title": "No drug", "regimen": ""}
    alone |= _forecast(none, none, weeks, week, instruments, weights, seed)
    choice = next((row["name"] for row in rows if row["verdict"] == ORDER[0]), None)
    table = {
        "week": week,
        "points": weights.relief.typical,
        "none": alone,
        "therapies": rows,
        "choice": choice,
        "weights": [
            {"key": key, "value": entry.typical, "unit": entry.unit, "source": entry.source}
            for key, entry in weights.entries.items()
        ],
    }
    table["sentences"] = _sentences(table, gate)
    return table


ORDER = ("may be justified", "not justified", "contraindicated")


def _identity(therapy: Therapy) -> dict[str, Any]:
    drugs = [Drug.load(course.drug or "") for course in therapy.arm.courses]
    return {
        "name": therapy.name,
        "title": therapy.title,
        "group": drugs[0].group,
        "drug": " and ".join(drug.name for drug in drugs),
        "route": (therapy.arm.courses[0].route or "").replace("_", " "),
        "regimen": therapy.arm.text(lambda name: Drug.load(name).title),
        "regimen_source": therapy.source,
    }


def _latents(people: People, course: Course, instruments: dict[str, tuple[Instrument, str]]) -> Course:
    return {name: latent(people.of("recovery"), page, side, course) for name, (page, side) in instruments.items()}


def _as_plausible(values: Course, none: Course, plausible: float, tnf: str, seed: int) -> Course:
    """Symptoms as simulated in the share of people in whom they follow the drug, as without it in the others.

    The same people in every therapy: a drug that is less plausible helps a part of those whom another one helps.
    """
    follows = streams.uniforms(seed, "plausible", size=len(none["nrs"])) < plausible
    return {
        name: value if name == tnf else np.where(follows[:, None], value, none[name]) for name, value in values.items()
    }


def bands(instrument: Instrument, values: np.ndarray, weeks: list[float], seed: int) -> list[dict[str, float]]:
    """Bands of the values (person, time) and of one more reading of them, at each week, for people of equal weight."""
    found = []
    true = np.quantile(values, SHARES, axis=0, method="hazen")  # as `quantiles` has them for equal weights
    for k, week in enumerate(weeks):
        rng = streams.generator(seed, "forecast", instrument.name, f"{week:g}")
        again = read_again(instrument, np.repeat(values[:, k], AGAIN), rng)
        low, median, high = true[:, k].tolist()
        low_read, high_read = np.quantile(again, (SHARES[0], SHARES[-1]), method="hazen").tolist()
        row = {"week": week, "median": median, "low": low, "high": high, "low_read": low_read, "high_read": high_read}
        found.append(row)
    return found


def _forecast(
    values: Course,
    none: Course,
    weeks: list[float],
    week: float,
    instruments: dict[str, tuple[Instrument, str]],
    weights: Weights,
    seed: int,
) -> dict[str, Any]:
    at, effect = weeks.index(week), {}
    for name in instruments:
        difference = values[name][:, at] - none[name][:, at]
        low, high = np.quantile(difference, (SHARES[0], SHARES[-1]), method="hazen").tolist()
        effect[name] = {"mean": float(difference.mean()), "low": low, "high": high}
    now = none["nrs"][:, 0]
    return {
        "bands": {name: bands(page, values[name], weeks, seed) for name, (page, _) in instruments.items()},
        "effect": effect,
        "relief": float((now - values["nrs"][:, at] >= weights.relief.typical).mean()),
        "relief_none": float((now - none["nrs"][:, at] >= weights.relief.typical).mean()),
    }


def _harms(arm: Arm, drugs: list[Drug], weights: Weights) -> list[dict[str, Any]]:
    """Every event that the drugs list: its rate at the highest dose, that without the drug, and what it costs."""
    found = []
    for drug in drugs:
        given = [course.dose for course in arm.courses if course.drug == drug.name]
        doses = [one for dose in given for one in ((dose,) if isinstance(dose, str) else dose or ())]
        for event in drug.adverse_events:
            rate = max((event.rate(*quantity(dose)) for dose in doses), key=lambda entry: entry.typical)
            weight = weights.harm.get(event.term, weights.serious if event.serious else weights.other)
            excess = rate.typical - event.control.typical
            found.append(
                {
                    "term": event.term,
                    "serious": event.serious,
                    "drug": rate.typical,
                    "control": event.control.typical,
                    "excess": excess,
                    "weight": weight.typical,
                    "cost": max(excess, 0.0) * weight.typical,
                    "source": rate.source,
                    "assumed": rate.assumed or event.control.assumed,
                }
            )
    return sorted(found, key=lambda row: -row["cost"])


def _net(values: Course, none: Course, at: int, harms: list[dict[str, Any]], weights: Weights) -> dict[str, Any]:
    """Benefit minus expected harm in points of pain: Σ weight × improvement − Σ weight × excess rate, a person each."""
    gain = np.zeros(len(none["nrs"]))
    for name, entry in weights.benefit.items():
        with_drug, without = values[name][:, at], none[name][:, at]
        if name == "temperature":  # what counts is the asymmetry, whichever side is warmer
            with_drug, without = np.abs(with_drug), np.abs(without)
        better = with_drug - without if Instrument.load(name).better == "higher" else without - with_drug
        gain += entry.typical * better
    harm = sum(row["cost"] for row in harms)
    net = gain - harm
    low, high = np.quantile(net, (SHARES[0], SHARES[-1]), method="hazen").tolist()
    spread = {"mean": float(net.mean()), "low": low, "high": high, "positive": float((net > 0).mean())}
    return {"benefit": float(gain.mean()), "harm": harm, "net": spread}


def _contraindications(
    patient: Patient, therapy: Therapy, drugs: list[Drug], therapies: Therapies
) -> list[dict[str, Any]]:
    """Those that the patient has, with the comorbidity; all of them, to be asked, where none was recorded."""
    route_of = {row.term: row.routes for row in therapies.by_route}
    routes = {course.route or "" for course in therapy.arm.courses}
    found: list[dict[str, Any]] = []
    for page in (page for drug in drugs for page in drug.contraindications):
        if page.term in route_of:
            because = f"the route {listed(sorted(routes & set(route_of[page.term])))}"
            met = bool(routes & set(route_of[page.term]))
        elif patient.comorbidities is None:
            because, met = None, True
        else:
            because = next((c for c in patient.comorbidities if page.term in therapies.comorbidities[c]), None)
            met = because is not None
        if met:
            found.append({"term": page.term, "level": page.level, "because": because, "source": page.source})
    return sorted(found, key=lambda row: (row["because"] is None, row["level"] != "contraindication"))


def _verdict(row: dict[str, Any], gate: Gate, weights: Weights) -> dict[str, Any]:
    """A contraindication outranks any benefit; then the gate, for drugs that bind TNF; then the net benefit."""
    if any(c["level"] == "contraindication" and c["because"] for c in row["contraindications"]):
        return {"verdict": ORDER[2], "sure": None}
    if row["group"] == BINDERS and gate.probability < 0.5:
        return {"verdict": ORDER[1], "sure": 1 - gate.probability}
    if row["net"]["mean"] < weights.worthwhile.typical:
        return {"verdict": ORDER[1], "sure": 1 - row["net"]["positive"]}
    return {"verdict": ORDER[0], "sure": row["net"]["positive"]}


def _reasons(row: dict[str, Any], gate: Gate, therapy: Therapy, weights: Weights, label: str) -> list[dict[str, Any]]:
    """Reasons for and against, the weightiest first, each with its source."""
    ranked: list[tuple[float, bool, str, str]] = []
    simulated = f"simulated: virtual patients weighted by what was read; {label}"
    for page in row["contraindications"]:
        if page["because"]:
            heavy = page["level"] == "contraindication"
            text = f"{'Contraindicated' if heavy else 'Warning'}: {page['term']} ({page['because']})"
            ranked.append((100 if heavy else 60, True, text, page["source"]))
    unasked = [page["term"] for page in row["contraindications"] if not page["because"]]
    if unasked:
        text = f"Not recorded, to be ruled out first: {'; '.join(unasked)}"
        ranked.append((55, True, text, row["contraindications"][-1]["source"]))
    if row["group"] == BINDERS:
        if not gate.measured:
            text = (
                f"Local TNF has not been measured; it is above {gate.limit} with probability {chance(gate.probability)}"
            )
            ranked.append((88, True, text, gate.source))
        elif gate.probability < 0.5:
            text = f"Local TNF is low: at or below {gate.limit} with probability {chance(1 - gate.probability)}"
            ranked.append((90, True, text, gate.source))
        else:
            text = f"Local TNF is raised: above {gate.limit} with probability {chance(gate.probability)}"
            ranked.append((65, False, text, gate.source))
    for finding in therapy.findings:
        study, outcome = published(finding.outcome)
        text = f"{capital(study.type)}: {outcome.what}, {figure(outcome, words(), study.people)}"
        trial = "trial" in study.type
        ranked.append((70 if trial else 30, finding.against, text, f"{study.key}, {outcome.locator}"))
    pain, net = row["effect"]["nrs"], row["net"]
    text = (
        f"Forecast at week {weights.week.typical:g}: pain {points(-pain['mean'])} points lower than without the drug "
        f"({points(-pain['high'])} to {points(-pain['low'])}); at least {weights.relief.typical:g} points of relief in "
        f"{chance(row['relief'])}, without the drug in {chance(row['relief_none'])}"
    )
    ranked.append((50, bool(-pain["mean"] < 0.1), text, simulated))
    text = (
        f"Benefit of {points(row['benefit'])} minus harm of {points(row['harm'])} points is {points(net['mean'])} "
        f"({points(net['low'])} to {points(net['high'])}), above 0 in {chance(net['positive'])}"
    )
    little = net["mean"] < weights.worthwhile.typical
    text += f"; below {points(weights.worthwhile.typical)} a course is taken not to be worth it" if little else ""
    ranked.append((80 if little else 45, little, text, "the weights of this page"))
    plausible = row["plausible"]
    text = f"That pain follows it as simulated is taken to have a probability of {chance(plausible['value'])}"
    ranked.append((68, plausible["value"] <= 0.5, text, plausible["source"]))
    for harm in [h for h in row["harms"] if h["excess"] > 0][:3]:
        text = f"{capital(harm['term'])}: {num(100 * harm['drug'])} % instead of {num(100 * harm['control'])} %"
        ranked.append((40 + (harm["serious"] * 2), True, text, harm["source"]))
    if therapy.source.startswith(ASSUMED):
        ranked.append((10, True, "The dose is assumed", therapy.source))
    ranked.sort(key=lambda reason: -reason[0])
    return [{"against": against, "text": text, "source": source} for _, against, text, source in ranked]


@cache
def published(link: str) -> tuple[Study, Outcome]:
    """The study and finding of the library that "study:outcome" names; one file is read, not all."""
    key, _, name = link.partition(":")
    study = read(FOLDER / "studies" / f"{key}.toml", words())
    outcome = study.outcome(name)
    if outcome is None:
        raise InputError(link, f"no outcome {name!r}", f"an outcome of {key}", "Correct the link.")
    return study, outcome


def _sentences(table: dict[str, Any], gate: Gate) -> list[str]:
    """What a physician would want first: whether a TNF inhibitor is justified, then the best of the others."""
    rows = table["therapies"]
    binders = [row for row in rows if row["group"] == BINDERS]
    said = [_binder_sentence(binders, gate)] if binders else []
    best = next((row for row in rows if row["name"] == table["choice"]), None)
    if best is None:
        said.append("No therapy is justified by these weights.")
    else:
        pain, net = best["effect"]["nrs"], best["net"]
        limits = f"{points(-pain['high'])} to {points(-pain['low'])}"
        said.append(
            f"{capital(named(best['title']))} may be justified: at week {table['week']:g} pain would be "
            f"{points(-pain['mean'])} points lower than without it ({limits}). The net benefit is "
            f"{points(net['mean'])} points on average, and above 0 with probability {chance(net['positive'])}."
        )
    barred = [named(row["title"]) for row in rows if row["verdict"] == ORDER[2]]
    if barred:
        said.append(f"Contraindicated: {listed(barred)}.")
    said.append(
        f"Without a drug, pain would be at least {table['points']:g} points lower by week {table['week']:g} with "
        f"probability {chance(table['none']['relief'])}."
    )
    return [text for text in said if text]


def _binder_sentence(binders: list[dict[str, Any]], gate: Gate) -> str:
    """Why no TNF inhibitor is justified; empty where one may be."""
    verdicts = {row["verdict"] for row in binders}
    if ORDER[0] in verdicts:
        return ""
    if verdicts == {ORDER[2]}:
        terms = {c["because"] for row in binders for c in row["contraindications"] if c["level"] == "contraindication"}
        return f"A TNF inhibitor is contraindicated: {listed(sorted(term for term in terms if term))}."
    if gate.probability < 0.5 and gate.measured:
        return (
            f"A TNF inhibitor is not justified: local TNF is low, at or below {gate.limit} with probability "
            f"{chance(1 - gate.probability)}."
        )
    if gate.probability < 0.5:
        return (
            f"A TNF inhibitor is not justified: local TNF has not been measured, and without that it is above "
            f"{gate.limit} with probability {chance(gate.probability)} only."
        )
    best = max((row for row in binders if row["verdict"] == ORDER[1]), key=lambda row: row["net"]["mean"])
    return (
        f"A TNF inhibitor is not justified, although local TNF is raised: {named(best['title'])} does best, with a net "
        f"benefit of {points(best['net']['mean'])} points on average, above 0 with probability "
        f"{chance(best['net']['positive'])}."
    )
