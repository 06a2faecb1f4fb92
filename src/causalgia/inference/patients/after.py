"""After treatment: did TNF fall, did pain fall, was it the drug, and what next?"""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtr

from causalgia.documents import Drug, Instrument, streams
from causalgia.documents.arms import Arm
from causalgia.documents.arms import Course as Regimen
from causalgia.documents.patient import Given, Patient
from causalgia.documents.weighing import Weights
from causalgia.inference.patients import kinetics
from causalgia.inference.patients.before import posterior_of, quantiles
from causalgia.inference.patients.people import Course, People
from causalgia.inference.patients.seen import LEVEL, Seen, counted, latent, scaled
from causalgia.inference.patients.weigh import FORECAST, SHARES, bands
from causalgia.inference.patients.words import between, capital, chance, listed, num, points
from causalgia.population.worlds import CONTROLS, SYMPTOMS

PEOPLE = 8000
# Draws a person of the response to placebo and to knowing the treatment, which cost no simulation.
RESPONSES = 4
SIMULATED = 1500  # (person, hypothesis) pairs whose future is followed
LEAST = 30.0
AHEAD = (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0)
HYPOTHESES = {"drug": "the drug lowers TNF and pain follows"} | {
    name: CONTROLS[name][0] for name in ("no mediation", "bypass", "null")
}
Z95 = 1.959964


class Followed(NamedTuple):
    """The patient's course under each hypothesis, (hypothesis) of outputs (person, time), and the joint weights.

    `none` is the course without the drug and without what people expect of one; `left` is the share of pain that
    expectation and placebo leave, (person, time). Everybody stands there `RESPONSES` times, with other responses.
    """

    people: People
    recovery: np.ndarray
    days: list[float]
    courses: dict[str, Course]
    none: Course
    left: np.ndarray
    response: Course
    weight: np.ndarray


def after(
    patient: Patient, people: People, sights: list[Seen], measure: Instrument, weights: Weights, seed: int
) -> dict[str, Any]:
    """The section `after` of the result; `people` stand for the patient at the decision."""
    people = people.resampled(PEOPLE, seed)
    start, last = patient.decision, max(patient.days)
    later = [sight._replace(day=sight.day - start) for sight in counted(sights) if sight.day > start]
    given = given_arm(patient.doses, patient, start)
    tested = (day - start for day, visit in zip(patient.days, patient.visits, strict=True) if visit.antibodies)
    days = sorted({0.0, last - start, *(sight.day for sight in later), *(day for day in tested if day > 0)})
    drugs = {course.drug or "": course.route or "" for course in given.courses}
    output = tuple(dict.fromkeys(Drug.load(name).concentration for name in drugs))
    followed = _follow(people, given, days, output, weights, seed)
    followed = _informed(followed, later, patient, weights)
    person = followed.weight.sum(axis=0).reshape(RESPONSES, -1).sum(axis=0)
    ess = float(1 / (person**2).sum())
    table: dict[str, Any] = {
        "week": (last - min(patient.day(dose) for dose in patient.doses)) / 7,
        "given": [course.text(lambda name: Drug.load(name).title) for course in given.courses],
        "ess": ess,
        "tnf": change(followed, sights, later, start, measure.name, "affected"),
        "pain": change(followed, sights, later, start, "nrs", "patient"),
        "hypotheses": [
            {"name": name, "title": title, "prior": _prior(weights)[k], "posterior": float(followed.weight[k].sum())}
            for k, (name, title) in enumerate(HYPOTHESES.items())
        ],
        "level": _level(followed, later, given, drugs, weights, ess),
        "next": _next(followed, given, patient, output, measure, seed),
    }
    table["sentences"] = _sentences(table)
    return table


def given_arm(doses: tuple[Given, ...], patient: Patient, start: float) -> Arm:
    """The doses that were given as an arm, days from `start`."""
    rows = sorted(doses, key=lambda dose: (dose.drug, dose.route, patient.day(dose)))
    courses = []
    for (drug, route), part in groupby(rows, key=lambda dose: (dose.drug, dose.route)):
        same = list(part)
        at = tuple(patient.day(dose) - start for dose in same)
        courses.append(Regimen(drug=drug, route=route, dose=tuple(dose.dose for dose in same), at=at, unit="day"))
    return Arm(combine=tuple(courses))


def _prior(weights: Weights) -> list[float]:
    total = sum(entry.typical for entry in weights.hypotheses.values())
    return [weights.hypotheses[name].typical / total for name in HYPOTHESES]


def _follow(
    people: People, given: Arm, days: list[float], output: tuple[str, ...], weights: Weights, seed: int
) -> Followed:
    drug, none = people.course(given, days, output), people.course(Arm(), days)
    drug, none = ({name: np.tile(v, (RESPONSES, 1)) for name, v in course.items()} for course in (drug, none))
    response = people.again(("PEF", "PHA", "open_bias"), RESPONSES, seed)
    left = _left(response, np.array(days) - min(given.days))
    weight = np.tile(people.weight / RESPONSES, RESPONSES)
    courses = {name: _under(name, drug, none, left, weight) for name in HYPOTHESES}
    joint = np.array(_prior(weights))[:, None] * weight
    return Followed(people, np.tile(people.of("recovery"), RESPONSES), days, courses, none, left, response, joint)


def _under(name: str, drug: Course, none: Course, left: np.ndarray, weight: np.ndarray) -> Course:
    """Outputs under a hypothesis, with what placebo and expectation leave of pain; drug levels are as they are."""
    found = dict(drug)
    for key in SYMPTOMS if name != "null" else [key for key in none if key != "ada"]:
        if name in ("no mediation", "null") and key in none:
            found[key] = none[key]
        elif name == "bypass":
            found[key] = none[key] + weight @ (drug[key] - none[key])
    found["NRS"] = np.clip(found["NRS"], 0.0, 10.0) * left
    return found


def _left(response: Course, days: np.ndarray) -> np.ndarray:
    """(1 − PEF rise)(1 − open_bias rise), rise = 1 − exp(−ln 2 · t / PHA), (person, time); days from the first dose."""
    rise = 1 - np.exp(-np.log(2) * np.maximum(days, 0.0) / response["PHA"][:, None])
    return (1 - response["PEF"][:, None] * rise) * (1 - response["open_bias"][:, None] * rise)


def _informed(followed: Followed, later: list[Seen], patient: Patient, weights: Weights) -> Followed:
    """The joint weights (hypothesis, person) after everything that was read later, antibodies among it."""
    log = np.log(np.maximum(followed.weight, 1e-300))
    test = weights.antibodies
    for k, course in enumerate(followed.courses.values()):
        for sight in later:
            at = followed.days.index(sight.day)
            here = {name: values[:, at : at + 1] for name, values in course.items()}
            log[k] += sight.log_likelihood(latent(followed.recovery, sight.instrument, sight.side, here)[:, 0])
        for day, visit in zip(patient.days, patient.visits, strict=True):
            for found in visit.antibodies.values() if day > patient.decision else ():
                has = course["ada"][:, followed.days.index(day - patient.decision)]
                positive = np.where(has > 0, test.sensitivity.typical, test.false_positive.typical)
                log[k] += np.log(positive if found else 1 - positive)
    weight = np.exp(log - logsumexp(log))
    return followed._replace(weight=weight)


def change(
    followed: Followed, sights: list[Seen], later: list[Seen], start: float, name: str, side: str
) -> dict[str, Any] | None:
    """What changed between the last reading before and the last after, and why; None without both."""
    first = [s for s in sights if s.key == (name, side) and s.day <= start]
    then = [s for s in later if s.key == (name, side)]
    if not first or not then:
        return None
    table = measured_change(first[-1], then[-1])
    at = followed.days.index(then[-1].day)
    page = then[-1].instrument

    def value(course: Course, k: int) -> np.ndarray:
        here = {key: values[:, k : k + 1] for key, values in course.items()}
        return scaled(page, latent(followed.recovery, page, side, here)[:, 0])

    zero = value(followed.none, 0)
    natural = value(followed.none, at)
    expected = value(followed.none | {"NRS": followed.none["NRS"] * followed.left}, at)
    then_by = np.stack([value(course, at) for course in followed.courses.values()])
    fell = float((followed.weight * (then_by < zero)).sum())
    mostly = (then_by < zero) & (expected - then_by > 0.5 * (zero - then_by))
    caused = float((followed.weight * mostly).sum())
    parts = {
        "natural course": float((followed.weight * (natural - zero)).sum()),
        "placebo and expectation": float((followed.weight * (expected - natural)).sum()),
        "drug": float((followed.weight * (then_by - expected)).sum()),
    }
    if page.scale == "log":
        del parts["placebo and expectation"]
    observed = then[-1].mean - first[-1].mean
    parts["error and regression to the mean"] = observed - sum(parts.values())
    shown = {text: (float(np.exp(part)) if page.scale == "log" else part) for text, part in parts.items()}
    return table | {
        "fell": fell,
        "caused": caused,
        "parts": [{"text": text, "value": part} for text, part in shown.items()],
    }


def measured_change(first: Seen, then: Seen) -> dict[str, Any]:
    """The change by the readings alone: estimate, 90 % limits, minimal detectable change, probability of a real fall.

    On a log scale a ratio, after / before. Minimal detectable change 1.96 √(SE₁² + SE₂²).
    """
    page = then.instrument
    log = page.scale == "log"
    se = float(np.hypot(first.error, then.error))
    observed = then.mean - first.mean
    censored = first.below or then.below
    real: float | None
    if first.readings.below.all():
        real = None  # a fall from below the limit cannot be seen
    elif log and censored:
        here, there = posterior_of(then), posterior_of(first)
        real = float(there @ (np.cumsum(here) - here / 2))
    else:
        real = float(ndtr(-observed / se))
    write = np.exp if log else float
    low, high = observed - 1.6449 * se, observed + 1.6449 * se
    return {
        "before": float(write(first.mean)),
        "after": float(write(then.mean)),
        "before_text": first.text,
        "after_text": then.text,
        "change": float(write(observed)),
        "low": None if then.below else float(write(low)),
        "high": None if first.below else float(write(high)),
        "se": se,
        "unit": page.unit,
        "title": page.title,
        "scale": "ratio" if log else "difference",
        "detectable": float(write(Z95 * se)),
        "beyond": bool(abs(observed) > Z95 * se),
        "real": real,
    }


def _level(
    followed: Followed, later: list[Seen], given: Arm, drugs: dict[str, str], weights: Weights, ess: float
) -> dict[str, Any] | None:
    levels = [sight for sight in later if sight.is_level]
    if not levels:
        return None
    drug = Drug.load(levels[0].instrument.name.removeprefix(LEVEL))
    levels = [sight for sight in levels if sight.instrument.name == LEVEL + drug.name]
    weight = followed.weight.sum(axis=0)
    person = weight.reshape(RESPONSES, -1).sum(axis=0)
    course = followed.courses["drug"]
    days = [sight.day for sight in levels]
    observed = []
    for sight in levels:
        low, median, high = quantiles(
            course[drug.concentration][:, followed.days.index(sight.day)], weight, (0.05, 0.5, 0.95)
        )
        observed.append({"day": sight.day, "text": sight.text, "median": median, "low": low, "high": high})
    antibodies = float(weight @ course["ada"][:, followed.days.index(max(days))])
    return {
        "drug": drug.title,
        "unit": "mg/L",
        "observed": observed,
        "map": kinetics.most_probable(followed.people, given, drug, levels, days, antibodies > 0.5),
        "posterior": kinetics.posterior(followed.people, person, drug, drugs[drug.name]),
        "antibodies": antibodies,
        "antibodies_prior": drug.antibodies["Z"].typical if drug.antibodies else None,
        "ess": ess,
    }


def _next(
    followed: Followed, given: Arm, patient: Patient, output: tuple[str, ...], measure: Instrument, seed: int
) -> list[dict[str, Any]]:
    """What happens without a further dose, and with one more of the last kind at the last visit.

    Pairs of person and hypothesis are drawn by their weight; the symptoms of each go as the hypothesis says.
    """
    start, last = patient.decision, max(patient.days)
    days = [last - start + 7 * week for week in AHEAD]
    rng = streams.generator(seed, "next")
    pairs = rng.choice(followed.weight.size, SIMULATED, p=followed.weight.reshape(-1))
    which, row = np.divmod(pairs, followed.weight.shape[1])
    people = followed.people.taken(row % len(followed.people.weight))
    order = np.argsort(row % len(followed.people.weight), kind="stable")
    which, row = which[order], row[order]
    response = {name: value[row] for name, value in followed.response.items()}
    left = _left(response, np.array(days) - min(given.days))
    final = max(patient.doses, key=patient.day)
    one_more = final.model_copy(update={"day": last, "date": None})
    arms = [("stop", "no further dose", given)]
    if max(given.days) < last - start:
        title = f"one more dose now, {final.dose} of {Drug.load(final.drug).title.lower()}"
        arms.append(("more", title, given_arm((*patient.doses, one_more), patient, start)))
    none = people.course(Arm(), days)
    return [
        _future(people, none, arm, name, title, which, left, days, output, measure, seed) for name, title, arm in arms
    ]


def _future(
    people: People,
    none: Course,
    arm: Arm,
    name: str,
    title: str,
    which: np.ndarray,
    left: np.ndarray,
    days: list[float],
    output: tuple[str, ...],
    measure: Instrument,
    seed: int,
) -> dict[str, Any]:
    """Bands of one course ahead, over people each under one hypothesis, `which` (person,)."""
    drug = people.course(arm, days, output)
    courses = [_under(hypothesis, drug, none, left, people.weight) for hypothesis in HYPOTHESES]
    course = {key: np.stack([c[key] for c in courses])[which, np.arange(len(which))] for key in drug}
    pages = {measure.name: (measure, "affected")} | {n: (Instrument.load(n), side) for n, side in FORECAST.items()}
    recovery = people.of("recovery")
    found = {
        key: bands(page, latent(recovery, page, side, course), list(AHEAD), seed) for key, (page, side) in pages.items()
    }
    levels = np.quantile(course[output[0]], SHARES, axis=0, method="hazen").T.tolist()
    serum = [
        {"week": week, "low": low, "median": median, "high": high}
        for week, (low, median, high) in zip(AHEAD, levels, strict=True)
    ]
    return {"name": name, "title": title, "bands": found, "level": serum, "level_unit": "mg/L"}


def _sentences(table: dict[str, Any]) -> list[str]:
    given = listed(text[:1].lower() + text[1:] for text in table["given"])
    said = [f"Given: {given}. Last seen {num(table['week'], 1)} weeks after the first dose."]
    if table["ess"] < LEAST:
        said.append(
            f"Hardly any virtual patient takes such a course (effective sample size {num(table['ess'])}, least "
            f"{num(LEAST)}): what follows, but for the readings alone, is rough."
        )
    for key, what in (("tnf", "Local TNF"), ("pain", "Pain")):
        row = table[key]
        if row is None:
            said.append(f"{what} was not read both before and after: whether it fell cannot be said.")
        else:
            said += _change_sentences(row, what)
    if table["level"] is not None:
        said.append(_level_sentence(table["level"]))
    for row in table["next"]:
        pain = row["bands"]["nrs"][-1]
        limits = f"{points(pain['low'])} to {points(pain['high'])}"
        said.append(
            f"With {row['title']}, pain {AHEAD[-1]:g} weeks from now is forecast at {points(pain['median'])} "
            f"({limits}; a reading {points(pain['low_read'])} to {points(pain['high_read'])})."
        )
    return said


def _level_sentence(level: dict[str, Any]) -> str:
    first = level["posterior"][0]
    what = "its clearance" if first["symbol"] == "CL" else first["symbol"]
    read = listed(row["text"] for row in level["observed"])
    return (
        f"{capital(level['drug'])} levels ({read} {level['unit']}) put {what} at {num(first['median'])} "
        f"{first['unit']} ({between(first['low'], first['high'])}; typical {num(first['prior'])}). Antibodies by then "
        f"have probability {chance(level['antibodies'])}."
    )


def _change_sentences(row: dict[str, Any], what: str) -> list[str]:
    unit, ratio = ("" if row["unit"] == "score" else f" {row['unit']}"), row["scale"] == "ratio"
    write = num if ratio else points
    before, after = write(row["before"]), write(row["after"])
    after = f"at most {after}" if row["low"] is None else after
    down = row["change"] < (1.0 if ratio else 0.0)
    verb = "did not change from" if before == after else "fell from" if down else "rose from"
    if ratio:
        size = f"to {num(row['change'])} times"
        detectable = f"to {num(1 / row['detectable'])} or {num(row['detectable'])} times"
    else:
        size = f"by {points(abs(row['change']))} points"
        detectable = f"by {points(row['detectable'])} points"
    beyond = "more than error alone explains" if row["beyond"] else "no more than error alone explains"
    real = "cannot be said, from below the limit," if row["real"] is None else f"has probability {chance(row['real'])}"
    times = "× " if ratio else ""
    parts = ", ".join(f"{part['text']} {times}{write(part['value'])}" for part in row["parts"])
    return [
        f"{what} {verb} {before} to {after}{unit}, {size}: {beyond} (minimal detectable change: {detectable}). That it "
        f"really fell {real} by the readings alone, and {chance(row['fell'])} with natural course and regression to "
        f"the mean; that it fell and the drug did more than half of it, {chance(row['caused'])}.",
        f"The change of {what[:1].lower()}{what[1:]} is best explained by {parts}.",
    ]
