"""Tempered sequential Monte Carlo: prior to posterior in steps, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

LogLikelihood = Callable[[np.ndarray], np.ndarray]
# Effective share of the particles that every tempering step keeps.
KEPT = 0.5
# Particles move until they have forgotten where they stood: to this correlation, on average over the axes.
FORGOTTEN = 0.15
MOST_MOVES = 80
MOST_STEPS = 200


class Sampled(NamedTuple):
    """Equally weighted particles (particle, axis), the log evidence, and how many steps it took."""

    points: np.ndarray
    log_evidence: float
    steps: int


def sample(log_likelihood: LogLikelihood, prior: np.ndarray, rng: np.random.Generator) -> Sampled:
    """The posterior of independent standard normals, given a log likelihood (particle,) of points (particle, axis).

    `prior` (particle, axis) are draws of the prior. The likelihood's power t rises from 0 to 1 so that each step keeps
    half of the effective sample: log Z = Σ log mean(L^Δt). After resampling, particles move until forgotten by
    generalised preconditioned Crank-Nicolson steps: z' = m + sqrt(1 − β²)(z − m) + β C^½ ξ, accepted by the ratio of
    the target to the normal (m, C), which the proposal leaves invariant (Rudolf and Sprungk 2018, Found Comput Math
    18:309, section 3). m and C of one half of the particles come from the other half, so neither half follows its own
    scatter. β is adapted to accept about a third.
    """
    points, power, log_evidence, step = prior.copy(), 0.0, 0.0, 0.6
    values = log_likelihood(points)
    for number in range(1, MOST_STEPS + 1):
        rise = _rise(values, 1 - power)
        power = min(1.0, power + rise)
        weights = rise * values
        log_evidence += float(logsumexp(weights) - np.log(len(weights)))
        chosen = rng.permutation(_systematic(np.exp(weights - logsumexp(weights)), rng))
        points, values, step = _move(points[chosen], values[chosen], log_likelihood, rng, power, step)
        if power >= 1:
            return Sampled(points, log_evidence, number)
    raise RuntimeError("tempering did not end")


def _rise(values: np.ndarray, left: float) -> float:
    """The rise of the power at which the effective sample is the kept share, by bisection; at most what is left."""

    def effective(rise: float) -> float:
        w = rise * values
        return float(np.exp(2 * logsumexp(w) - logsumexp(2 * w))) / len(values)

    if effective(left) >= KEPT:
        return left
    low, high = 0.0, left
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= KEPT else (low, middle)
    return high


def _systematic(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Systematic resampling: indices (particle,)."""
    places = (np.arange(len(weights)) + rng.random()) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), places), len(weights) - 1)


def _move(
    points: np.ndarray,
    values: np.ndarray,
    log_likelihood: LogLikelihood,
    rng: np.random.Generator,
    power: float,
    step: float,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Particles and their values after moving, and the step β."""
    start, points, values = points, points.copy(), values.copy()
    halves = (slice(None, len(points) // 2), slice(len(points) // 2, None))
    for _ in range(MOST_MOVES):
        rates = []
        for mine, others in (halves, halves[::-1]):
            mean, root = _reference(points[others])
            noise = rng.standard_normal(points[mine].shape) @ root.T
            new = mean + np.sqrt(1 - step**2) * (points[mine] - mean) + step * noise
            fresh = log_likelihood(new)
            ratio = _excess(new, fresh, mean, root, power) - _excess(points[mine], values[mine], mean, root, power)
            accepted = np.log(rng.random(len(new))) < ratio
            points[mine] = np.where(accepted[:, None], new, points[mine])
            values[mine] = np.where(accepted, fresh, values[mine])
            rates.append(accepted.mean())
        step = float(np.clip(step * np.exp(0.5 * (np.mean(rates) - 0.33)), 0.05, 0.99))
        if _memory(start, points) < FORGOTTEN:
            break
    return points, values, step


def _reference(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and root of the covariance, drawn towards the prior's as there are fewer points for each axis."""
    count, axes = points.shape
    prior = axes / (axes + count)
    covariance = (1 - prior) * np.atleast_2d(np.cov(points.T)) + prior * np.eye(axes)
    return points.mean(axis=0), np.linalg.cholesky(covariance)


def _excess(z: np.ndarray, value: np.ndarray, mean: np.ndarray, root: np.ndarray, power: float) -> np.ndarray:
    """Log of the target over the reference normal, but for a constant."""
    centred = np.linalg.solve(root, (z - mean).T)
    return power * value - 0.5 * (z**2).sum(axis=1) + 0.5 * (centred**2).sum(axis=0)


def _memory(before: np.ndarray, now: np.ndarray) -> float:
    """Mean correlation over the axes of where particles were and where they are."""
    a, b = before - before.mean(axis=0), now - now.mean(axis=0)
    return float(np.mean((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0) + 1e-300)))
