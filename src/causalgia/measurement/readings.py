"""The observation model of an instrument: latent signal → readings with error, limit, bounds and steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from causalgia.documents import Instrument, expressions
from causalgia.documents.parameters import Parameter
from causalgia.documents.units import factor


class Noise(NamedTuple):
    """Standard normal errors of one visit: `day` (...,) shared by its replicates, `replicate` (replicate, ...)."""

    day: np.ndarray
    replicate: np.ndarray


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
