"""Which uncertain numbers drive a trial's decision: variance-based sensitivity over the draws of the posterior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.stats import norm

from causalgia.documents import Condition, InputError, Instrument, Protocol
from causalgia.documents.arms import Arm
from causalgia.documents.protocol import WITHOUT
from causalgia.documents.targets import Targets
from causalgia.documents.units import factor
from causalgia.engine import solve
from causalgia.inference.calibration.space import Space
from causalgia.measurement.readings import signal
from causalgia.population.dosing import drug_of
from causalgia.population.outcomes import expectation, placebo, treated
from causalgia.population.patients import RTOL, Population
from causalgia.population.posterior import Posterior

INJURED_TO_ENROLLED = 12
WORLD = "world"
# A posterior at least this wide, against the prior, has learned next to nothing.
UNCHANGED = 0.9
RESAMPLES = 100


@dataclass(frozen=True)
class Sensitivity:
    """Shares of the variance of benefit and of power, over posterior draws of all worlds, that go with each number.

    `benefit` and `power` (draw,) are the mean difference in the clinical endpoint, better above 0, and the chance of a
    significant one at the largest size. First-order shares by name with the half-width of their 95 % interval;
    `ranges` are the documents' ranges of numbers that the published data leave as the prior has them.
    """

    benefit: np.ndarray
    power: np.ndarray
    shares: dict[str, dict[str, tuple[float, float]]]
    ranges: dict[str, tuple[float, float]]


def sensitivity(
    protocol: Protocol, *, people: int = 300, seed: int = 1, progress: Callable[[int], None] | None = None
) -> Sensitivity:
    """Sensitivity of a protocol's benefit and power, at the calibrated posterior of its condition.

    First-order indices by Plischke's given-data estimator (2013, Eur J Oper Res 226:536) as in SALib, over the draws
    that the posterior has, weighted by world through how often each is used. Raises InputError where the condition has
    no posterior or SALib is missing.
    """
    try:
        from SALib.analyze import delta
    except ImportError:
        raise InputError(
            "SALib", "not installed", "the extra sensitivity", "pip install causalgia[sensitivity]"
        ) from None
    population = Population.load(protocol.population.condition)
    if population.posterior is None:
        found = f"{population.condition.name} without a posterior"
        raise InputError(
            f"{protocol.path}, key population.condition", found, "a calibrated condition", "Choose another."
        )
    posterior = population.posterior
    names = _names(population, protocol, posterior)
    rows, benefit, power = [], [], []
    for w, (world, count) in enumerate(_counts(posterior).items()):
        for k in range(count):
            point = {name: column[k : k + 1] for name, column in posterior.draws[world].items()}
            better, chance = _trial(population.with_draws({world: point}), protocol, world, people, seed)
            rows.append([*(float(point[name][0]) for name in names), w])
            benefit.append(better)
            power.append(chance)
            if progress is not None:
                progress(1)
    x = np.array(rows)
    moving = [j for j in range(x.shape[1]) if np.ptp(x[:, j]) > 0]
    labels = [[*names, WORLD][j] for j in moving]
    problem = {"num_vars": len(moving), "names": labels, "bounds": [[x[:, j].min(), x[:, j].max()] for j in moving]}
    shares = {}
    for title, y in (("benefit", np.array(benefit)), ("power", np.array(power))):
        index = delta.analyze(problem, x[:, moving], y, num_resamples=RESAMPLES, seed=seed, method="sobol")
        shares[title] = {name: (float(index["S1"][j]), float(index["S1_conf"][j])) for j, name in enumerate(labels)}
    return Sensitivity(np.array(benefit), np.array(power), shares, unidentified(posterior, names))


def _counts(posterior: Posterior) -> dict[str, int]:
    """How many draws of each world are used: all of the likeliest, of others in proportion, at least one in ten."""
    most = max(posterior.weights.values())
    return {
        world: max(len(next(iter(columns.values()))) * round(10 * posterior.weights[world] / most) // 10, 5)
        for world, columns in posterior.draws.items()
    }


def _names(population: Population, protocol: Protocol, posterior: Posterior) -> list[str]:
    """The calibrated numbers that reach the protocol's people or its drugs, in every world."""
    drugs = {drug_of(course).name for arm in protocol.arms.values() for course in arm.courses}
    scopes = {population.condition.name, population.condition.model, *drugs}
    base = population.condition.base
    while base is not None:
        scopes.add(base)
        base = Condition.load(base).base
    columns = [set(posterior.draws[world]) for world in population.condition.worlds]
    return [name for name in posterior.draws[next(iter(posterior.draws))] if name.split(".")[0] in scopes
            and all(name in each for each in columns)]  # fmt: skip


def _trial(population: Population, protocol: Protocol, world: str, people: int, seed: int) -> tuple[float, float]:
    """Mean benefit of the first comparison, and its power at the largest size by a normal approximation."""
    patients = population.follow(world, INJURED_TO_ENROLLED * people, seed=seed).isel(subject=slice(people))
    endpoint = protocol.endpoints.relieved
    instrument = Instrument.load(endpoint.measure)
    before, control = _values(population, protocol, patients, protocol.control)
    _, drug = _values(population, protocol, patients, protocol.treatment)
    better = 1 if instrument.better == "higher" else -1
    error = (instrument.day_error.value or 0.0) * factor(instrument.day_error.unit, instrument.unit)
    total = protocol.evaluation.sizes[-1] * protocol.share(protocol.treatment)
    arms = total / 2
    if endpoint.responder is not None:
        gain = [better * (each - before) for each in (drug, control)]
        needed = endpoint.responder.fall * (before / 100 if endpoint.responder.relative else 1)
        shares = [norm.cdf((each - needed) / (error * np.sqrt(2))).mean() for each in gain]
        effect = shares[0] - shares[1]
        spread = np.sqrt(sum(p * (1 - p) for p in shares) / arms)
    else:
        effect = better * float((drug - control).mean())
        noisy = before.var() + error**2
        slope = np.cov(control, before)[0, 1] / noisy if noisy > 0 else 0.0
        residual = control.var() + error**2 - slope**2 * noisy
        spread = np.sqrt(2 * residual / arms)
    z = norm.ppf(1 - protocol.evaluation.alpha / 2)
    return float(effect), float(norm.cdf(effect / spread - z) + norm.cdf(-effect / spread - z))


def _values(population: Population, protocol: Protocol, patients: xr.Dataset, name: str) -> list[np.ndarray]:
    """What the clinical endpoint would read without error at baseline and at its visit, (person,)."""
    endpoint = protocol.endpoints.relieved
    arm = Arm() if name == WITHOUT else protocol.arms[name]
    people = treated(population, patients, arm)
    weeks = np.array([0.0, endpoint.at * factor(protocol.unit, "week")])
    solution = solve(
        people.kernel, people.parameters, weeks * 7, initial=people.initial, start=0.0, events=people.events, rtol=RTOL
    )
    outputs = {name: solution.values[:, :, j] for j, name in enumerate(people.kernel.outputs)}
    left = placebo(patients, weeks)
    if protocol.blinding == "open" and arm.courses:
        left = left * expectation(patients, weeks)
    outputs["NRS"] = outputs["NRS"] * left
    outputs["adverse"] = np.zeros_like(outputs["NRS"])
    value = signal(Instrument.load(endpoint.measure), endpoint.side, outputs)
    return [value[:, 0], value[:, 1]]


def unidentified(posterior: Posterior, names: list[str]) -> dict[str, tuple[float, float]]:
    """The documents' ranges, over all worlds, of numbers whose posterior is about as wide as the prior."""
    targets, found = Targets.load("targets"), {}
    for name in names:
        if posterior.narrowed.get(name, 0.0) >= UNCHANGED:
            axes = [axis for world in posterior.draws for axis in Space.of(targets, world).axes if axis.key == name]
            found[name] = (min(axis.low for axis in axes), max(axis.high for axis in axes))
    return found
