"""How often the forecast bands of one patient hold the truth, over simulated patients.

A patient is drawn from the condition's population, as trials draw them, and read with the instruments' errors; then
forecast as `causalgia patient` does: bands of 90 % of the true value and of one more reading, with its day's error,
without a drug and on infliximab, at week 12.
Run: python benchmarks/patient_coverage.py [patients] [prior | posterior]. Prints coverage with its Monte Carlo
standard error. 1000 patients take about 15 minutes on one core.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import replace

import numpy as np

from causalgia.documents import Drug, Instrument
from causalgia.documents.arms import Arm
from causalgia.documents.parameters import Parameter
from causalgia.documents.patient import Level, Patient, Visit
from causalgia.inference.patients.alike import alike
from causalgia.inference.patients.before import quantiles
from causalgia.inference.patients.consideration import LEAST, SIMULATED, STRANGE
from causalgia.inference.patients.people import People
from causalgia.inference.patients.seen import Seen, latent, read_again, scaled, seen
from causalgia.inference.patients.weigh import bands
from causalgia.measurement import readings
from causalgia.measurement.readings import Noise
from causalgia.population.dosing import drug_values
from causalgia.population.patients import Population

ERROR = 0.15  # SD of the logarithm of a drug level
DURATIONS = (35.0, 70.0, 120.0, 240.0, 365.0)
WEEK = 12.0
ARMS = {
    "no drug": Arm(),
    "infliximab": Arm(drug="infliximab", route="intravenous", dose="5 mg/kg", at=(0.0, 2.0, 6.0)),
}
READ = {
    "blister-tnf": (("affected", "contralateral"), 2),
    "blister-il6": (("affected",), 2),
    "nrs": (("patient",), 1),
    "temperature": (("patient",), 1),
    "volume": (("patient",), 1),
}
FORECAST = {
    "blister-tnf": "affected",
    "nrs": "patient",
    "temperature": "patient",
    "volume": "patient",
    "motor": "patient",
}


def like(days: float) -> Patient:
    """A patient of whom the duration alone is known."""
    return Patient.model_construct(
        kind="patient",
        name="simulated",
        condition="crps-acute",
        duration=Parameter(value=days, unit="day", source="simulated"),
        visits=(Visit(day=0.0),),
    )


def sights(outputs: dict[str, np.ndarray], row: int, recovery: float, rng: np.random.Generator) -> list[Seen]:
    """What a clinic reads of one virtual patient."""
    found = []
    here = {name: values[row : row + 1, :1] for name, values in outputs.items()}
    for name, (sides, count) in READ.items():
        page = Instrument.load(name)
        for side in sides:
            true = scaled(page, latent(np.array([recovery]), page, side, here)[:, 0])
            noise = Noise(rng.standard_normal(1), rng.standard_normal((count, 1)))
            drawn = readings.read(page, true, noise)
            kept = readings.Readings(drawn.value[:, 0], drawn.below[:, 0])
            found.append(Seen(0.0, page, side, kept, ""))
    return found


def pool(patient: Patient, people: int, prior: bool, seed: int) -> People:
    """Virtual patients as ill as the patient, whom `Population.sample` enrols; another seed gives other people."""
    population = Population.load(patient.condition, prior=prior)
    history = population.condition.history.model_copy(update={"entry": patient.entry})
    population = replace(population, condition=population.condition.model_copy(update={"history": history}))
    sample = population.sample(people, seed=seed)
    share = sample["prior"].values / sample["prior"].values.sum()
    parts = tuple(sample.isel(world=w) for w in range(len(share)))
    return People(population, parts, np.repeat(share / people, people), share, people)


def coverage(
    patients: int, people: int = 20_000, durations: tuple[float, ...] = DURATIONS, *, prior: bool = False
) -> dict[str, np.ndarray]:
    """Whether each band held, (patient,), by "arm measure true" and "arm measure reading", without the refused.

    `ess` and `strange` are of everybody.
    """
    held: dict[str, list[float]] = defaultdict(list)
    pages = {name: Instrument.load(name) for name in FORECAST}
    for days in durations:
        truth = pool(like(days), max(patients // len(durations), 200), prior, 1000 + int(days))
        real = {name: truth.course(arm, [0.0, 7 * WEEK]) for name, arm in ARMS.items()}
        rng = np.random.default_rng(int(days))
        for row in rng.choice(len(truth.weight), patients // len(durations), replace=False, p=truth.weight):
            recovery = truth.of("recovery")[row : row + 1]
            found = alike(like(days), sights(real["no drug"], row, recovery[0], rng), people, 1, prior=prior)
            held["ess"].append(found.people.ess)
            held["strange"].append(found.strange)
            if found.people.ess < LEAST or found.strange < STRANGE:
                continue
            stand_ins = found.people.resampled(SIMULATED, int(row))
            for arm, regimen in ARMS.items():
                ahead = stand_ins.course(regimen, [0.0, 7 * WEEK])
                for name, side in FORECAST.items():
                    page = pages[name]
                    values = latent(stand_ins.of("recovery"), page, side, ahead)[:, 1:]
                    band = bands(page, values, [WEEK], int(row))[0]
                    one = {key: value[row : row + 1] for key, value in real[arm].items()}
                    true = latent(recovery, page, side, one)[:, 1]
                    again = read_again(page, true, rng)[0]
                    held[f"{arm} {name} true"].append(band["low"] <= true[0] <= band["high"])
                    held[f"{arm} {name} reading"].append(band["low_read"] <= again <= band["high_read"])
    return {name: np.array(values) for name, values in held.items()}


def kinetics(patients: int, people: int = 9000, *, prior: bool = False) -> dict[str, np.ndarray]:
    """Whether bands held, (patient,), of clearance and of a level at week 14, given two trough levels of infliximab."""
    drug, arm, days = Drug.load("infliximab"), ARMS["infliximab"], [0.0, 13.9, 41.9, 98.0]
    known, truth = (pool(like(70), n // 3, prior, seed) for n, seed in ((people, 3), (3 * patients, 4)))
    ahead, real = (found.course(arm, days, ("Cp",))["Cp"] for found in (known, truth))
    clearance, true = (_clearance(found, drug) for found in (known, truth))
    rng, held = np.random.default_rng(5), defaultdict(list)
    for row in rng.choice(len(truth.weight), patients, replace=False, p=truth.weight):
        visits = [Visit(day=0.0)]
        for day, level in zip(days[1:3], real[row, 1:3], strict=True):
            value = max(level * np.exp(ERROR * rng.standard_normal()), 1e-6)
            visits.append(Visit(day=day, levels=(Level(drug=drug.name, value=value, unit="mg/L"),)))
        weight = known.weight.copy()
        for sight in seen(like(70).model_copy(update={"visits": tuple(visits)}), ERROR):
            log = sight.log_likelihood(ahead[:, days.index(sight.day)])
            weight *= np.exp(log - log.max())
        weight /= weight.sum()
        low, high = quantiles(clearance, weight, (0.05, 0.95))
        held["clearance"].append(low <= true[row] <= high)
        low, high = quantiles(ahead[:, 3], weight, (0.05, 0.95))
        held["level true"].append(low <= real[row, 3] <= high)
    return {name: np.array(values) for name, values in held.items()}


def _clearance(people: People, drug: Drug) -> np.ndarray:
    """Clearance of every person."""
    return np.concatenate([drug_values(people.population, drug, "intravenous", part)["CL"] for part in people.worlds])


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    prior = len(sys.argv) > 2 and sys.argv[2] == "prior"
    start = time.perf_counter()
    found = coverage(patients, prior=prior)
    ess, strange = found.pop("ess"), found.pop("strange")
    which = "prior" if prior else "posterior"
    print(f"{patients} patients of the {which} population, {time.perf_counter() - start:.0f} s")
    few, odd = np.mean(ess < LEAST), np.mean(strange < STRANGE)
    print(f"effective sample size: median {np.median(ess):.0f}, 5th centile {np.quantile(ess, 0.05):.0f}")
    print(f"refused: too few alike {few:.1%}, outside the population {odd:.1%}")
    print(f"{'90 % band':40}{'holds':>8}{'s.e.':>8}")
    for name, values in found.items():
        print(f"{name:40}{values.mean():8.3f}{np.sqrt(0.9 * 0.1 / len(values)):8.3f}")
    every = np.array(list(found.values())).mean(axis=0)
    for name, values in kinetics(patients, prior=prior).items():
        print(f"{'given levels, ' + name:40}{values.mean():8.3f}{np.sqrt(0.9 * 0.1 / len(values)):8.3f}")
    print(f"{'all together, without levels':40}{every.mean():8.3f}{every.std() / np.sqrt(len(every)):8.3f}")


if __name__ == "__main__":
    main()
