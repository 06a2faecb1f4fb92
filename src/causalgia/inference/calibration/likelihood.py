"""How probable the published numbers are, given what the simulator says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_ndtr

from causalgia.documents.targets import Target

# A rank correlation has this many times the error of a product-moment one (Fieller 1957, Biometrika 44:470).
RANKS = 1.06


@dataclass(frozen=True)
class Likelihood:
    """Published numbers on their scales and their errors.

    Gaussian where there is a number: y (number,) ~ N(s, covariance + error); for an interval, the probability that a
    reading of s with its error `spread` falls inside, or outside where `within` is False.
    """

    numbers: np.ndarray
    y: np.ndarray
    covariance: np.ndarray
    intervals: np.ndarray
    bounds: np.ndarray
    spread: np.ndarray
    within: np.ndarray

    @classmethod
    def of(cls, targets: tuple[Target, ...], samples: dict[tuple[int, ...], np.ndarray]) -> Likelihood:
        """The likelihood of targets; `samples` has covariances of published sampling by target numbers."""
        numbers = np.array([k for k, target in enumerate(targets) if target.bounds is None], int)
        intervals = np.array([k for k, target in enumerate(targets) if target.bounds is not None], int)
        covariance = np.diag([_error(targets[k]) ** 2 for k in numbers])
        for group, matrix in samples.items():
            at = np.searchsorted(numbers, group)
            covariance[np.ix_(at, at)] = matrix
        bounds = np.array([on_scale(np.array(targets[k].bounds), targets[k].scale) for k in intervals]).reshape(-1, 2)
        return cls(
            numbers,
            np.array([published(targets[k]) for k in numbers]),
            covariance,
            intervals,
            bounds,
            np.array([_error(targets[k]) for k in intervals]),
            np.ones(len(intervals), bool),
        )

    def log(self, statistics: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Log likelihood (...) of statistics (..., target) that have themselves an error variance (target,)."""
        return self.slopes(statistics, error)[0]

    def slopes(self, statistics: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log likelihood (...) as `log`, and its slopes along the statistics (..., target)."""
        covariance = self.covariance + np.diag(error[self.numbers])
        residual = self.y - statistics[..., self.numbers]
        weighted = residual @ np.linalg.inv(covariance)
        constant = np.linalg.slogdet(covariance)[1] + len(covariance) * np.log(2 * np.pi)
        slopes = np.empty(statistics.shape)
        slopes[..., self.numbers] = weighted
        inside, slopes[..., self.intervals] = self._intervals(statistics, error)
        return -0.5 * ((residual * weighted).sum(axis=-1) + constant) + inside, slopes

    def parts(self, statistics: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Standardised differences (..., number) of each published number, one at a time."""
        spread = np.sqrt(np.diag(self.covariance) + error[self.numbers])
        return (self.y - statistics[..., self.numbers]) / spread

    def _intervals(self, statistics: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        spread = np.sqrt(self.spread**2 + error[self.intervals])
        s = statistics[..., self.intervals]
        low, high = (self.bounds[:, 0] - s) / spread, (self.bounds[:, 1] - s) / spread
        flip = low > 0  # both in the upper tail: use the lower one, where the difference is exact
        a, b = np.where(flip, -high, low), np.where(flip, -low, high)
        inside = log_ndtr(b) + np.log1p(-np.exp(np.minimum(log_ndtr(a) - log_ndtr(b), -1e-15)))
        outside = np.log(-np.expm1(np.minimum(inside, -1e-15)))
        chosen = np.where(self.within, inside, outside)
        heights = np.exp(-0.5 * low**2 - chosen) - np.exp(-0.5 * high**2 - chosen)
        slopes = np.where(self.within, heights, -heights) / (spread * np.sqrt(2 * np.pi))
        return chosen.sum(axis=-1), slopes

    def replicates(self, statistics: np.ndarray, rng: np.random.Generator) -> Likelihood:
        """The likelihood of synthetic data sets that people with these statistics (data set, target) would have given;
        it takes statistics (data set, chain, target).
        """
        root = np.linalg.cholesky(self.covariance)
        y = statistics[:, self.numbers] + rng.standard_normal((len(statistics), len(root))) @ root.T
        reading = statistics[:, self.intervals]
        reading = reading + self.spread * rng.standard_normal(reading.shape)
        within = (self.bounds[:, 0] <= reading) & (reading <= self.bounds[:, 1])
        return replace(self, y=y[:, None], within=within[:, None])


def on_scale(value: np.ndarray, scale: str) -> np.ndarray:
    """Numbers on a target's scale; the ends of a scale are infinite."""
    with np.errstate(divide="ignore"):
        if scale == "log":
            return np.log(value)
        if scale == "logit":
            return np.log(value) - np.log1p(-value)
        return np.arctanh(value) if scale == "fisher" else np.asarray(value, float)


def off_scale(value: np.ndarray, scale: str) -> np.ndarray:
    """The inverse of `on_scale`."""
    if scale == "log":
        return np.exp(value)
    if scale == "logit":
        return 1 / (1 + np.exp(-value))
    return np.tanh(value) if scale == "fisher" else np.asarray(value, float)


def published(target: Target) -> float:
    """The published number on its scale; a share with half a person added to both sides."""
    if target.events is not None and target.n is not None:
        return float(np.log((target.events + 0.5) / (target.n - target.events + 0.5)))
    return float(on_scale(np.array(target.value), target.scale))


def _error(target: Target) -> float:
    """Its standard error; that of a quantile is put in from samples."""
    if target.se is not None:
        return target.se
    assert target.n is not None
    if target.events is not None:
        return float(np.sqrt(1 / (target.events + 0.5) + 1 / (target.n - target.events + 0.5)))
    return RANKS / np.sqrt(target.n - 3)
