"""The observation model of an instrument: latent signal → readings with error, limit, bounds and steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, logsumexp

from causalgia.documents import Instrument, expressions
from causalgia.documents.parameters import Parameter
from causalgia.documents.units import factor


class Noise(NamedTuple):
    """Standard normal errors of one visit: `day` (...,) shared by its replicates, `replicate` (replicate, ...)."""

    day: np.ndarray
    replicate: np.ndarray


# Nodes over the day's error where readings are known by their limits alone; the tests say how exact.
NODES = 48


class Readings(NamedTuple):
    """Readings (replicate, ...) on the instrument's scale, natural log or linear, and which are below its limit."""

    value: np.ndarray
    below: np.ndarray


class VisitValue(NamedTuple):
    """One value a visit on the instrument's scale, and whether it is only an upper limit."""

    value: np.ndarray
    below: np.ndarray


def signal(instrument: Instrument, side: str, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the instrument would read without error: free target plus the share of bound that the assay counts."""
    value = np.asarray(expressions.evaluate(instrument.signal[side], outputs), float)
    if side in instrument.bound and instrument.reads is not None and instrument.reads.value:
        value = value + instrument.reads.value * expressions.evaluate(instrument.bound[side], outputs)
    return value


def names(instrument: Instrument, side: str) -> set[str]:
    """Model outputs that a reading needs."""
    formulas = [instrument.signal[side], *([instrument.bound[side]] if side in instrument.bound else [])]
    return set().union(*(expressions.symbols(formula) for formula in formulas))


def to_scale(instrument: Instrument, value: np.ndarray) -> np.ndarray:
    """A value in the instrument's unit on its scale."""
    return np.log(value) if instrument.scale == "log" else value


def from_scale(instrument: Instrument, value: np.ndarray) -> np.ndarray:
    """A value on the instrument's scale in its unit."""
    return np.exp(value) if instrument.scale == "log" else value


def read(instrument: Instrument, latent: np.ndarray, noise: Noise) -> Readings:
    """Readings of `latent` (...), on the instrument's scale, in as many replicates as `noise` holds.

    latent + day's error + replicate's error; on a log scale reported as below the limit where less, on a linear scale
    clipped to the range and rounded to the step.
    """
    centre = latent + _size(instrument, instrument.day_error) * noise.day
    replicate_sd = _size(instrument, instrument.replicate_error)
    if replicate_sd:
        value = centre + replicate_sd * noise.replicate
    else:
        value = np.broadcast_to(centre, (len(noise.replicate), *centre.shape))
    if instrument.scale == "log":
        return Readings(value, value < log_lloq(instrument))
    value = np.clip(value, *(instrument.range or (-np.inf, np.inf)))
    if instrument.step is not None:
        value = np.round(value / instrument.step) * instrument.step
    return Readings(value, np.zeros(value.shape, bool))


def logpdf(instrument: Instrument, latent: np.ndarray, seen: Readings) -> np.ndarray:
    """Log density (...,) of one visit's replicates `seen` (replicate,) where the reading without error is `latent`.

    The law that `read` draws from: replicates share the day's error, below the limit and at an end of the range a
    reading is known to lie beyond it, and a rounded one to lie within its step. With the exact ones y₁ … yₙ in closed
    form, the others by Gauss–Hermite quadrature over the day's error given those:
    log f = log N(y; μ, s² + d² 11ᵀ) + log E[Π P(low < reading < high | day's error)].
    """
    mu = np.asarray(latent, float)
    day, spread = _size(instrument, instrument.day_error), _size(instrument, instrument.replicate_error)
    low, high = _limits(instrument, seen)
    if not spread:  # every replicate is the same number
        return _one(low[0], high[0], mu, day)
    exact = low == high
    y, n = seen.value[exact], int(exact.sum())
    total = spread**2 + n * day**2
    mean, variance = np.zeros(mu.shape), day**2
    result = np.zeros(mu.shape)
    if n:
        result = -0.5 * (n * np.log(2 * np.pi) + (n - 1) * np.log(spread**2) + np.log(total))
        result = result - 0.5 * (((y - y.mean()) ** 2).sum() / spread**2 + n * (y.mean() - mu) ** 2 / total)
        mean, variance = n * day**2 * (y.mean() - mu) / total, (day * spread) ** 2 / total
    if exact.all():
        return result
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    centre = mu[..., None] + mean[..., None] + np.sqrt(variance) * nodes
    parts = sum(_between((a - centre) / spread, (b - centre) / spread) for a, b in _pairs(low, high, ~exact))
    return result + logsumexp(parts, b=weights / weights.sum(), axis=-1)


def _limits(instrument: Instrument, seen: Readings) -> tuple[np.ndarray, np.ndarray]:
    """Between what each replicate lies, (replicate,); the same twice where it is known exactly."""
    value = np.asarray(seen.value, float)
    if instrument.scale == "log":
        below = np.asarray(seen.below, bool)
        return np.where(below, -np.inf, value), np.where(below, log_lloq(instrument), value)
    half = (instrument.step or 0.0) / 2
    least, most = instrument.range or (-np.inf, np.inf)
    return np.where(value <= least, -np.inf, value - half), np.where(value >= most, np.inf, value + half)


def _pairs(low: np.ndarray, high: np.ndarray, chosen: np.ndarray) -> list[tuple[float, float]]:
    return list(zip(low[chosen].tolist(), high[chosen].tolist(), strict=True))


def _one(low: float, high: float, mu: np.ndarray, sd: float) -> np.ndarray:
    """Log density of one normal reading, or log probability that it lies in an interval."""
    if low == high:
        return -0.5 * ((low - mu) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
    return _between((low - mu) / sd, (high - mu) / sd)


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log(Φ(b) - Φ(a)) without cancellation in either tail."""
    upper = a > 0
    low, high = log_ndtr(np.where(upper, -b, a)), log_ndtr(np.where(upper, -a, b))
    with np.errstate(divide="ignore"):
        return high + np.log1p(-np.exp(np.minimum(low - high, 0.0)))


def visit_value(instrument: Instrument, readings: Readings) -> VisitValue:
    """The mean of the replicates.

    A replicate below the limit counts as the limit, and the mean is then an upper limit of what would have been read: a
    censored value with its own limit, never a substituted one.
    """
    below = np.asarray(readings.below.any(axis=0))
    value = readings.value if instrument.scale == "linear" else np.maximum(readings.value, log_lloq(instrument))
    return VisitValue(value[0] if len(value) == 1 else value.mean(axis=0), below)


def log_lloq(instrument: Instrument) -> float:
    """The natural logarithm of the lower limit of quantification; minus infinity where there is none."""
    limit = lloq(instrument)
    return float(np.log(limit)) if limit > 0 else -np.inf


def lloq(instrument: Instrument) -> float:
    """The lower limit of quantification in the instrument's unit; 0 where it has none."""
    limit = instrument.lloq
    return 0.0 if limit is None or limit.value is None else limit.value * factor(limit.unit, instrument.unit)


def _size(instrument: Instrument, error: Parameter | None) -> float:
    if error is None or error.value is None:
        return 0.0
    return error.value if instrument.scale == "log" else error.value * factor(error.unit, instrument.unit)
