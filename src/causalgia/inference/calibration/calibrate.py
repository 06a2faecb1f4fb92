"""Calibration in four steps: simulate prior points, emulate, sample the posterior, and correct it by simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import logsumexp
from scipy.stats import qmc

from causalgia.documents import streams
from causalgia.documents.targets import Target, Targets
from causalgia.inference.calibration.bank import simulate_points
from causalgia.inference.calibration.emulator import Emulator
from causalgia.inference.calibration.likelihood import Likelihood
from causalgia.inference.calibration.simulator import Simulator
from causalgia.inference.calibration.smc import Sampled, sample
from causalgia.inference.calibration.space import Space

Progress = Callable[[int], None]
WORLDS = ("absolute", "relative", "recovery")


@dataclass(frozen=True)
class Settings:
    """How much is simulated in each world, in points of the parameter space; people by `size`."""

    prior: int = 512
    local: int = 192
    final: int = 96
    repeats: int = 12
    particles: int = 1000
    size: float = 1.0
    seed: int = 1
    kept: int = 100

    @property
    def points(self) -> int:
        """Points simulated in all worlds."""
        return len(WORLDS) * (self.prior + self.local + self.final + self.repeats)


QUICK = Settings(prior=64, local=16, final=16, repeats=4, particles=500, size=0.5, kept=20)


@dataclass(frozen=True)
class Fitted:
    """One world's posterior: all simulated points and statistics, the emulator, the particles, and the draws kept.

    `final` are simulated posterior points with their log importance weights; `draws` are equally weighted.
    """

    space: Space
    targets: tuple[Target, ...]
    likelihood: Likelihood
    noise: np.ndarray
    bank: tuple[np.ndarray, np.ndarray]
    emulator: Emulator
    particles: np.ndarray
    log_evidence: float
    final: tuple[np.ndarray, np.ndarray, np.ndarray]
    draws: np.ndarray
    statistics: np.ndarray

    @property
    def effective(self) -> float:
        """Effective sample size of the simulated posterior points, at their full weights."""
        return effective(self.final[2])

    @property
    def evidence_error(self) -> float:
        """Standard error of the log evidence, by the spread of the weights."""
        return float(np.sqrt(1 / self.effective - 1 / len(self.final[2])))


def fit_world(
    targets: Targets,
    world: str,
    settings: Settings = Settings(),
    *,
    workers: int = 1,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """The posterior of one world's typical values.

    1. Statistics at Sobol points of the prior. 2. An emulator of each and the posterior on it; statistics at points
    drawn from that, with half of the likelihood's power, and a better emulator, whose error is that at these points.
    3. The posterior on it, by tempered sequential Monte Carlo. 4. Some of its points are simulated and weighted by the
    likelihood of what was simulated over that on the emulator, which also corrects the evidence; they are resampled by
    these weights, flattened as far as it takes to keep a third effective (see `flattened`).
    """
    space = Space.of(targets, world)
    simulator = Simulator.of(targets, world, size=settings.size)
    key = simulator.key()

    def simulated(points: np.ndarray) -> np.ndarray:
        return simulate_points(simulator, space, points, key, workers=workers, folder=folder, progress=progress)

    likelihood, noise = _errors(simulator, space, settings, progress)
    axes = simulator.axes(space.names)
    prior = prior_points(space, settings.prior, settings.seed)
    points, found = prior, simulated(prior)
    emulator = Emulator.fit(points, found, axes, np.ones(len(points), bool))
    rough = posterior(space, likelihood, emulator, noise, settings, "rough", power=0.5)
    local = _some(rough.points, settings.local)
    points, found = np.concatenate([prior, local]), np.concatenate([found, simulated(local)])
    emulator = Emulator.fit(points, found, axes, np.arange(len(points)) >= len(prior))
    fine = posterior(space, likelihood, emulator, noise, settings, "fine")
    final = _some(fine.points, settings.final)
    real = simulated(final)
    weights = _weights(likelihood, emulator, noise, final, real)
    rng = streams.generator(settings.seed, "calibration", world, "draws")
    chosen = _resample(flattened(weights), settings.kept, rng)
    evidence = fine.log_evidence + float(logsumexp(weights) - np.log(len(weights)))
    return Fitted(
        space, simulator.targets, likelihood, noise, (points, found), emulator, fine.points, evidence,
        (final, real, weights), final[chosen], real[chosen],
    )  # fmt: skip


def prior_points(space: Space, count: int, seed: int) -> np.ndarray:
    """Sobol points of the prior, shifted at random, (count, axis)."""
    shift = streams.generator(seed, "calibration", "prior").random(len(space.axes))
    return space.from_uniform((qmc.Sobol(len(space.axes), scramble=False).random(count) + shift) % 1)


def posterior(
    space: Space,
    likelihood: Likelihood,
    emulator: Emulator,
    noise: np.ndarray,
    settings: Settings,
    name: str,
    *,
    power: float = 1.0,
) -> Sampled:
    """The posterior on the emulator, the likelihood raised to a power."""
    rng = streams.generator(settings.seed, "calibration", space.world, name)
    start = space.from_uniform(rng.random((settings.particles, len(space.axes))))
    error = emulator.variance + noise
    return sample(lambda z: power * likelihood.log(emulator.predict(z), error), start, space.inside, rng)


def _some(points: np.ndarray, count: int) -> np.ndarray:
    """So many of the particles, evenly; they come in no order that matters."""
    return points[np.linspace(0, len(points) - 1, count).astype(int)]


def _weights(
    likelihood: Likelihood, emulator: Emulator, noise: np.ndarray, points: np.ndarray, real: np.ndarray
) -> np.ndarray:
    """Log importance weights: the likelihood of simulated statistics over that on the emulator; none without them."""
    known = np.isfinite(real).all(axis=1)
    result = np.full(len(points), -np.inf)
    guess = likelihood.log(emulator.predict(points[known]), emulator.variance + noise)
    result[known] = likelihood.log(real[known], noise) - guess
    return result


def effective(log_weights: np.ndarray) -> float:
    """Effective sample size (Σw)²/Σw²."""
    return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)))


def flattened(log_weights: np.ndarray, share: float = 1 / 3) -> np.ndarray:
    """Log weights times the largest power up to 1 that leaves a share of the points effective.

    Power 0 is the posterior on the emulator, power 1 the simulator's own, which so few points in so many dimensions
    cannot hold: as in the nonlinear weights of Koblents and Miguez (2015, Stat Comput 25:407).
    """
    known = np.isfinite(log_weights)
    base = np.where(known, log_weights, 0.0)
    low, high = 0.0, 1.0
    if effective(log_weights) >= share * len(log_weights):
        return log_weights
    for _ in range(50):
        middle = (low + high) / 2
        enough = effective(np.where(known, middle * base, -np.inf)) >= share * len(log_weights)
        low, high = (middle, high) if enough else (low, middle)
    return np.where(known, low * base, -np.inf)


def _resample(log_weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of equally weighted draws, by systematic resampling and in random order."""
    weights = np.exp(log_weights - logsumexp(log_weights))
    places = (np.arange(count) + rng.random()) / count
    return rng.permutation(np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1))


def _errors(
    simulator: Simulator, space: Space, settings: Settings, progress: Progress | None
) -> tuple[Likelihood, np.ndarray]:
    """The likelihood, with the sampling error of quantiles, and the variance (target,) by the simulator's own finite
    number of people: both from simulations at the documents' values with other people.
    """
    centre = {name: float(value) for name, value in space.values(np.zeros(len(space.axes))).items()}
    repeats = []
    groups = quantile_groups(simulator.targets)
    readings: dict[tuple[int, ...], list[np.ndarray]] = {group: [] for group in groups}
    for k in range(settings.repeats):
        other = Simulator(simulator.targets, space.world, settings.size, 1000 + k, simulator.populations)
        repeats.append(other.statistics(centre))
        for group in groups:
            first = simulator.targets[group[0]]
            keys = [(t.measure or "", t.side or "") for t in (simulator.targets[j] for j in group)]
            readings[group].append(other.readings(centre, first.condition, keys))
        if progress is not None:
            progress(1)
    noise = np.nanvar(repeats, axis=0, ddof=1)
    samples = {group: _sampled(simulator.targets, group, np.concatenate(readings[group])) for group in groups}
    return Likelihood.of(simulator.targets, samples), noise


def quantile_groups(targets: tuple[Target, ...]) -> list[tuple[int, ...]]:
    """Quantile targets that come from the same people, by their numbers."""
    groups: dict[tuple[str, str, int | None], list[int]] = {}
    for k, target in enumerate(targets):
        if target.statistic == "quantile" and target.se is None:
            groups.setdefault((target.condition, target.source.split(",")[0], target.n), []).append(k)
    return [tuple(group) for group in groups.values()]


SAMPLES = 2000


def _sampled(targets: tuple[Target, ...], group: tuple[int, ...], readings: np.ndarray) -> np.ndarray:
    """Covariance of quantiles of samples of the published size, from readings (person, quantile)."""
    rng = streams.generator(1, "calibration", "quantiles")
    n = targets[group[0]].n or 1
    people = rng.integers(len(readings), size=(SAMPLES, n))
    columns = []
    for j, k in enumerate(group):
        value = np.quantile(readings[people, j], targets[k].probability or 0.5, axis=1)
        columns.append(np.log(np.maximum(value, 1e-9)) if targets[k].scale == "log" else value)
    return np.cov(np.array(columns))
