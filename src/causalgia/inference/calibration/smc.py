"""Tempered sequential Monte Carlo: prior to posterior in steps, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

LogLikelihood = Callable[[np.ndarray], np.ndarray]
# Effective share of the particles that every tempering step keeps.
KEPT = 0.5
MOVES = 10
MOST_STEPS = 200


class Sampled(NamedTuple):
    """Equally weighted particles (particle, axis), the log evidence, and how many steps it took."""

    points: np.ndarray
    log_evidence: float
    steps: int


def sample(
    log_likelihood: LogLikelihood,
    prior: np.ndarray,
    inside: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    *,
    moves: int = MOVES,
) -> Sampled:
    """The posterior of standard normals, cut off where `inside` is false, given a log likelihood (particle,) of points
    (particle, axis). `prior` (particle, axis) are draws of the prior.

    The likelihood's power t rises from 0 to 1 so that each step keeps half of the effective sample:
    log Z = Σ log mean(L^Δt). After resampling, particles move by generalised preconditioned Crank-Nicolson steps with
    the mean m and covariance C of the particles: z' = m + sqrt(1 − β²)(z − m) + β C^½ ξ, accepted by the ratio of the
    target to the normal (m, C), which the proposal leaves invariant (Rudolf and Sprungk 2018, Found Comput Math 18:309,
    section 3). β is adapted to accept about a third.
    """
    points, power, log_evidence, step = prior.copy(), 0.0, 0.0, 0.8
    values = log_likelihood(points)
    for number in range(1, MOST_STEPS + 1):
        rise = _rise(values, 1 - power)
        power = min(1.0, power + rise)
        weights = rise * values
        log_evidence += float(logsumexp(weights) - np.log(len(weights)))
        chosen = _systematic(np.exp(weights - logsumexp(weights)), rng)
        points, values = points[chosen], values[chosen]
        points, values, step = _move(points, values, log_likelihood, inside, rng, power, step, moves)
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
    inside: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    power: float,
    step: float,
    moves: int,
) -> tuple[np.ndarray, np.ndarray, float]:
    mean = points.mean(axis=0)
    covariance = np.cov(points.T) + 1e-6 * np.eye(points.shape[1])
    root = np.linalg.cholesky(np.atleast_2d(covariance))

    def excess(z: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Log of target over reference."""
        centred = np.linalg.solve(root, (z - mean).T)
        return power * value - 0.5 * (z**2).sum(axis=1) + 0.5 * (centred**2).sum(axis=0)

    now = excess(points, values)
    for _ in range(moves):
        noise = rng.standard_normal(points.shape) @ root.T
        other = mean + np.sqrt(1 - step**2) * (points - mean) + step * noise
        ok = inside(other)
        fresh = np.full(len(points), -np.inf)
        if ok.any():
            fresh[ok] = log_likelihood(other[ok])
        after = np.where(ok, excess(other, np.where(ok, fresh, 0.0)), -np.inf)
        accepted = np.log(rng.random(len(points))) < after - now
        points = np.where(accepted[:, None], other, points)
        values, now = np.where(accepted, fresh, values), np.where(accepted, after, now)
        step = float(np.clip(step * np.exp(0.5 * (accepted.mean() - 0.35)), 0.05, 0.99))
    return points, values, step
