"""Hamiltonian Monte Carlo for many chains and many data sets at once, and the evidence by bridge sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

# Log density (...) and its gradient (..., axis) at points (..., axis).
Density = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
# How far a trajectory runs in the whitened space, where a quarter of a circle forgets a normal's start.
LENGTH = 1.5
ACCEPTED = 0.8
FEWEST_STEPS, MOST_STEPS = 3, 24


class Sampled(NamedTuple):
    """Points (data set, chain, draw, axis), their log densities (data set, chain, draw), and the share accepted."""

    points: np.ndarray
    values: np.ndarray
    accepted: float

    @property
    def rhat(self) -> np.ndarray:
        """Split R-hat (data set, axis): the chains' spread over that within their halves; 1 where they agree."""
        sets, chains, draws, axes = self.points.shape
        half = draws // 2
        parts = self.points[:, :, : 2 * half].reshape(sets, 2 * chains, half, axes)
        within = parts.var(axis=2, ddof=1).mean(axis=1)
        between = parts.mean(axis=2).var(axis=1, ddof=1)
        return np.sqrt((half - 1) / half + between / within)


def sample(
    density: Density, start: np.ndarray, root: np.ndarray, rng: np.random.Generator, *, warmup: int, draws: int
) -> Sampled:
    """Draws of a density by Hamiltonian Monte Carlo, a chain from each start (data set, chain, axis).

    x = root u (Cholesky) makes the axes u about independent with variance 1; leapfrog steps of length ε, which in the
    warm-up is adapted to accept four fifths and afterwards varies by a fifth, so that no orbit closes (Neal 2011,
    Handbook of Markov Chain Monte Carlo, chapter 5).
    """
    x = start.copy()
    value, gradient = density(x)
    step, rates = 0.1, []
    points, values = [], []
    for number in range(warmup + draws):
        length = step * rng.uniform(0.8, 1.2)
        count = int(np.clip(np.ceil(LENGTH / length), FEWEST_STEPS, MOST_STEPS))
        first = rng.standard_normal(x.shape)
        p, y, slope, after = first, x, gradient, value
        with np.errstate(over="ignore", invalid="ignore"):  # a trajectory that runs away is refused
            for _ in range(count):
                p = p + 0.5 * length * (slope @ root)
                y = y + length * (p @ root.T)
                after, slope = density(y)
                p = p + 0.5 * length * (slope @ root)
            log_ratio = after - value + 0.5 * ((first**2).sum(axis=-1) - (p**2).sum(axis=-1))
        chance = np.exp(np.minimum(np.where(np.isfinite(log_ratio), log_ratio, -np.inf), 0.0))
        taken = rng.random(chance.shape) < chance
        x, gradient = np.where(taken[..., None], y, x), np.where(taken[..., None], slope, gradient)
        value = np.where(taken, after, value)
        if number < warmup:
            step = float(np.clip(step * np.exp((chance.mean() - ACCEPTED) / np.sqrt(1 + number / 10)), 1e-3, 1.0))
        else:
            points.append(x)
            values.append(value)
            rates.append(chance.mean())
    return Sampled(np.stack(points, axis=2), np.stack(values, axis=2), float(np.mean(rates)))


def log_evidence(
    density: Density, points: np.ndarray, values: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Log of the integral of a density, and its standard error, from draws (draw, axis) and their log densities.

    Bridge sampling (Meng and Wong 1996, Stat Sinica 6:831) to the normal of one half of the draws with the other half,
    and the reverse; the error is from the difference of the two.
    """
    half = len(points) // 2
    parts = (slice(None, half), slice(half, 2 * half))
    found = [_bridge(density, points[fit], points[use], values[use], rng) for fit, use in (parts, parts[::-1])]
    return float(np.mean(found)), abs(found[0] - found[1]) / 2


def _bridge(
    density: Density, fit: np.ndarray, points: np.ndarray, values: np.ndarray, rng: np.random.Generator
) -> float:
    mean, n = fit.mean(axis=0), len(points)
    root = np.linalg.cholesky(np.atleast_2d(np.cov(fit.T)))
    fresh = mean + rng.standard_normal(points.shape) @ root.T

    def normal(x: np.ndarray) -> np.ndarray:
        white = np.linalg.solve(root, (x - mean).T)
        return -0.5 * (white**2).sum(axis=0) - np.log(np.diag(root)).sum() - 0.5 * len(mean) * np.log(2 * np.pi)

    old, new = values - normal(points), density(fresh)[0] - normal(fresh)
    log_z = float(np.median(old))
    for _ in range(200):
        top = logsumexp(new - np.logaddexp(new, log_z)) - np.log(n)
        bottom = logsumexp(-np.logaddexp(old, log_z)) - np.log(n)
        last, log_z = log_z, float(top - bottom)
        if abs(log_z - last) < 1e-8:
            break
    return log_z
