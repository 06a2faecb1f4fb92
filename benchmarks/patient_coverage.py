"""How often the forecast bands of one patient hold the truth, over simulated patients.

A patient is drawn from one pool of virtual patients, read with the instruments' errors, and forecast from another pool:
bands of 90 % of the true value and of one more reading, without a drug and on infliximab, at week 12.
Run: python benchmarks/patient_coverage.py [patients] [histories]. Prints coverage with its Monte Carlo standard error.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict

import numpy as np

from causalgia.documents import Instrument
from causalgia.documents.arms import Arm
from causalgia.documents.parameters import Parameter
from causalgia.documents.patient import Patient, Visit
from causalgia.inference.patients.people import OUTPUTS, people_like, systematic
from causalgia.inference.patients.seen import Seen, latent, read_again, scaled
from causalgia.inference.patients.weigh import bands
from causalgia.measurement import readings
from causalgia.measurement.readings import Noise

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
LEAST = 30


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
            seen = readings.read(page, true, noise)
            kept = readings.Readings(seen.value[:, 0], seen.below[:, 0])
            found.append(Seen(0.0, page, side, kept, ""))
    return found


def coverage(patients: int, histories: int, durations: tuple[float, ...] = DURATIONS) -> dict[str, np.ndarray]:
    """Whether each band held, (patient,), by "arm measure true" and "arm measure reading", without the refused."""
    held: dict[str, list[bool]] = defaultdict(list)
    pages = {name: Instrument.load(name) for name in FORECAST}
    for days in durations:
        known, truth = people_like(like(days), histories, 1), people_like(like(days), max(patients * 4, 1200), 2)
        times = [0.0, 7 * WEEK]
        ahead = {name: known.course(arm, times) for name, arm in ARMS.items()}
        real = {name: truth.course(arm, times) for name, arm in ARMS.items()}
        rng = np.random.default_rng(int(days))
        for row in rng.choice(len(truth.weight), patients // len(durations), p=truth.weight):
            recovery = truth.of("recovery")[row]
            weighted = known
            for sight in sights(real["no drug"], row, recovery, rng):
                now = {name: ahead["no drug"][name][:, :1] for name in OUTPUTS}
                value = latent(known.of("recovery"), sight.instrument, sight.side, now)[:, 0]
                weighted = weighted.reweighted(sight.log_likelihood(value))
            held["ess"].append(weighted.ess)
            if weighted.ess < LEAST:
                continue
            chosen = systematic(weighted.weight, 1000, int(row))
            for arm in ARMS:
                for name, side in FORECAST.items():
                    page = pages[name]
                    future = {key: ahead[arm][key][chosen] for key in OUTPUTS}
                    values = latent(known.of("recovery")[chosen], page, side, future)[:, 1:]
                    band = bands(page, values, np.full(len(chosen), 1 / len(chosen)), [WEEK], int(row))[0]
                    one = {key: real[arm][key][row : row + 1] for key in OUTPUTS}
                    true = latent(np.array([recovery]), page, side, one)[:, 1]
                    again = read_again(page, true, rng)[0]
                    held[f"{arm} {name} true"].append(band["low"] <= true[0] <= band["high"])
                    held[f"{arm} {name} reading"].append(band["low_read"] <= again <= band["high_read"])
    return {name: np.array(values) for name, values in held.items()}


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    histories = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    start = time.perf_counter()
    found = coverage(patients, histories)
    ess = found.pop("ess")
    print(f"{patients} patients, {histories} histories a duration, {time.perf_counter() - start:.0f} s")
    print(f"effective sample size: median {np.median(ess):.0f}; refused {np.mean(ess < LEAST):.1%}")
    print(f"{'90 % band':40}{'holds':>8}{'s.e.':>8}")
    for name, values in found.items():
        share = values.mean()
        print(f"{name:40}{share:8.3f}{np.sqrt(0.9 * 0.1 / len(values)):8.3f}")


if __name__ == "__main__":
    main()
