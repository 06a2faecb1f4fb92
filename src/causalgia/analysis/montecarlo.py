"""The Monte Carlo error of what many replicates say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.estimates import Array

BATCHES = 20


def batch_error(batches: ArrayLike) -> tuple[Array, Array]:
    """Mean m over the B disjoint batches (batch, ...) that have a value, and its standard error.

    se² = Σ (m_b − m)² / (B (B − 1)); what the replicates of a batch share is in it. NaN unless two batches have a value
    m_b that is finite.

    >>> mean, se = batch_error([1.0, 2.0, 3.0])
    >>> float(mean), round(float(se), 4)
    (2.0, 0.5774)
    """
    values = np.asarray(batches, dtype=float)
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean = np.where(count > 1, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    squares = np.where(known, (values - mean) ** 2, 0).sum(axis=0)
    error = np.sqrt(squares / np.maximum(count * (count - 1), 1))
    return mean, np.where(count > 1, error, np.nan)


def proportion_error(events: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    """Share x/n of independent replicates and its standard error √(p̃(1 − p̃)/n) with p̃ = (x + 1)/(n + 2), never zero.

    >>> share, se = proportion_error(0, 98)
    >>> float(share), round(float(se), 4)
    (0.0, 0.0101)
    """
    x, n = np.asarray(events, dtype=float), np.asarray(n, dtype=float)
    shrunk = (x + 1) / (n + 2)
    return x / n, np.sqrt(shrunk * (1 - shrunk) / n)
