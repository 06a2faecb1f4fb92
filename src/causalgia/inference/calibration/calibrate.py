"""Calibration in four steps: simulate prior points, emulate, sample the posterior, and simulate what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import qmc

from causalgia.documents import streams
from causalgia.documents.targets import Target, Targets
from causalgia.inference.calibration.bank import simulate_points
from causalgia.inference.calibration.emulator import Emulator
from causalgia.inference.calibration.hmc import Density, log_evidence, sample
from causalgia.inference.calibration.likelihood import Likelihood
from causalgia.inference.calibration.simulator import Simulator
from causalgia.inference.calibration.space import Space

Progress = Callable[[int], None]
WORLDS = ("absolute", "relative", "recovery")


@dataclass(frozen=True)
class Settings:
    """How much is simulated in each world, in points of the parameter space; people by `size`; and how long the chains
    are.
    """

    prior: int = 512
    local: int = 192
    final: int = 112
    repeats: int = 12
    size: float = 1.0
    seed: int = 1
    chains: int = 32
    warmup: int = 150
    draws: int = 64

    @property
    def points(self) -> int:
        """Points simulated in all worlds."""
        return len(WORLDS) * (self.prior + self.local + self.final + self.repeats)


QUICK = Settings(prior=48, local=16, final=24, repeats=3, size=0.5, chains=16, warmup=100, draws=32)


@dataclass(frozen=True)
class Fitted:
    """One world's posterior: all points simulated for the emulator and their statistics, the emulator, the posterior on
    it, and some draws of that (draw, axis) with the statistics simulated there (draw, target).

    `weights` (draw,) are the log importance weights that would make the emulator's posterior the simulator's.
    """

    space: Space
    targets: tuple[Target, ...]
    likelihood: Likelihood
    noise: np.ndarray
    bank: tuple[np.ndarray, np.ndarray]
    emulator: Emulator
    sampled: Found
    draws: np.ndarray
    statistics: np.ndarray
    weights: np.ndarray

    @property
    def effective(self) -> float:
        """Effective sample size of the draws, were they weighted to the simulator's own posterior."""
        return effective(self.weights)

    @property
    def log_evidence(self) -> float:
        """That on the emulator, corrected by the mean weight of the draws."""
        return self.sampled.log_evidence + float(logsumexp(self.weights) - np.log(len(self.weights)))

    @property
    def evidence_error(self) -> float:
        """Standard error of the log evidence: of the bridge, and by the spread of the weights."""
        return float(np.hypot(self.sampled.error, np.sqrt(1 / self.effective - 1 / len(self.weights))))


class Found(NamedTuple):
    """The posterior on an emulator: points (particle, axis), log evidence and its error, the worst R-hat."""

    points: np.ndarray
    log_evidence: float
    error: float
    rhat: float


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
    drawn from that, with half of the likelihood's power, and a better emulator, whose error is that at these points
    and takes part in the likelihood. 3. The posterior on it, by Hamiltonian Monte Carlo. 4. The draws that are kept are
    simulated: for posterior predictive checks, and to weigh how far the emulator's posterior is from the simulator's.
    The draws are the emulator's, unweighted: so many points in so many dimensions cannot hold the weights, and it is
    this posterior that simulation-based calibration tests.
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
    draws = _some(fine.points, settings.final)
    real = simulated(draws)
    weights = _weights(likelihood, emulator, noise, draws, real)
    kept = np.isfinite(weights)
    return Fitted(
        space, simulator.targets, likelihood, noise, (points, found), emulator, fine, draws[kept], real[kept],
        weights[kept],
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
) -> Found:
    """The posterior on the emulator, the likelihood raised to a power; points in no order that matters."""
    rng = streams.generator(settings.seed, "calibration", space.world, name)
    error = emulator.variance + noise
    density = density_on(space, likelihood, emulator, error, power)
    root = whitened(space, likelihood, emulator, error, power, rng)
    start = rng.standard_normal((1, settings.chains, len(space.axes)))
    found = sample(density, start, root, rng, warmup=settings.warmup, draws=settings.draws)
    order = rng.permutation(settings.chains * settings.draws)
    x = found.points.reshape(len(order), -1)[order]
    log_z, spread = log_evidence(density, x, found.values.ravel()[order], rng)
    return Found(space.from_normal(x)[0], log_z, spread, float(found.rhat.max()))


def density_on(
    space: Space, likelihood: Likelihood, emulator: Emulator, error: np.ndarray, power: float = 1.0
) -> Density:
    """The prior, standard normals x without ends, times the likelihood on the emulator."""
    constant = 0.5 * len(space.axes) * np.log(2 * np.pi)

    def density(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z, rise = space.from_normal(x)
        statistics, pull = emulator.pull(z)
        value, slopes = likelihood.slopes(statistics, error)
        return power * value - 0.5 * (x**2).sum(axis=-1) - constant, power * pull(slopes) * rise - x

    return density


def whitened(
    space: Space,
    likelihood: Likelihood,
    emulator: Emulator,
    error: np.ndarray,
    power: float,
    rng: np.random.Generator,
    count: int = 1000,
) -> np.ndarray:
    """Root of the posterior's covariance if statistics were the straight lines that fit the prior best."""
    x = rng.standard_normal((count, len(space.axes)))
    statistics = emulator.predict(space.from_normal(x)[0])[:, likelihood.numbers]
    lines = np.linalg.lstsq(x, statistics - statistics.mean(axis=0), rcond=None)[0]
    covariance = likelihood.covariance + np.diag(error[likelihood.numbers])
    precision = np.eye(len(lines)) + power * lines @ np.linalg.solve(covariance, lines.T)
    return np.linalg.cholesky(np.linalg.inv(precision))


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
