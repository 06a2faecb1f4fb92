"""The Monte Carlo error of what many replicates say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

BATCHES = 20


def batch_error(values: ArrayLike, axis: int = 0, batches: int = BATCHES) -> tuple[Array, Array]:
    """Mean along `axis` and its standard error from disjoint batches of neighbours, which may share randomness.

    se² = Σ n_b (m_b − m)² / (N (B − 1)) over B batches of sizes n_b that differ by at most one.
    Raises `InputError` for under 20 batches, or under one value a batch.

    >>> mean, se = batch_error(np.arange(100.0) % 5)
    >>> float(mean), float(se)
    (2.0, 0.0)
    """
    x = np.moveaxis(np.asarray(values, dtype=float), axis, -1)
    if not BATCHES <= batches <= x.shape[-1]:
        raise InputError("batches", f"{batches} of {x.shape[-1]} values", f"at least {BATCHES}, and a value in each")
    parts = np.array_split(np.arange(x.shape[-1]), batches)
    n = np.array([len(part) for part in parts])
    means = np.stack([x[..., part[0] : part[-1] + 1].mean(axis=-1) for part in parts], axis=-1)
    mean = (means * n).sum(axis=-1) / n.sum()
    return mean, np.sqrt((n * (means - mean[..., None]) ** 2).sum(axis=-1) / (n.sum() * (batches - 1)))


def proportion_error(events: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    """Share x/n of independent replicates and its standard error √(p̃(1 − p̃)/n) with p̃ = (x + 1)/(n + 2), never zero.

    >>> share, se = proportion_error(0, 98)
    >>> float(share), round(float(se), 4)
    (0.0, 0.0101)
    """
    x, n = np.asarray(events, dtype=float), np.asarray(n, dtype=float)
    shrunk = (x + 1) / (n + 2)
    return x / n, np.sqrt(shrunk * (1 - shrunk) / n)
