"""First and second moments of nested prefixes of the subjects, and their elimination, for many replicates at once.

Every replicate is summed on its own, so its bits do not depend on the batch it stands in. In results the replicate is
the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array

PIVOT = 1e-10
"""A column is dropped when regression on those before it leaves less than this share of its squares."""

CONSTANT = 1e-13
"""Centred squares below this share of those about the shift are rounding of a constant column."""


def nested_moments(v: Array, weight: Array, sizes: Sequence[int]) -> tuple[Array, Array, Array]:
    """Counts, means and centred cross-products of the first `size` subjects, for each size, in one pass.

    v (R, n, q), weight (R, n) of 0 and 1 → counts (S, R), means (S, q, R), products (S, q, q, R). Every stretch between
    two sizes is one matrix product a replicate, about a shift (the mean of all), which keeps the digits.
    """
    R, n, q = v.shape
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    everybody = np.maximum(weight.sum(axis=1), 1)
    shift = (weight[:, None] @ v)[:, 0] / everybody[:, None]
    d = np.empty((R, n, q + 1))  # a first column of ones, so that one product holds counts, sums and squares
    d[..., 0] = weight
    np.multiply(v - shift[:, None], weight[..., None], out=d[..., 1:])
    every, so_far, first = np.empty((len(sizes), R, q + 1, q + 1)), np.zeros((R, q + 1, q + 1)), 0
    for s in order:
        part = d[:, first : sizes[s]]
        so_far = so_far + part.transpose(0, 2, 1) @ part
        every[s], first = so_far, sizes[s]
    counts = every[..., 0, 0].copy()
    mean = every[..., 0, 1:] / np.maximum(counts, 1)[..., None]
    products = every[..., 1:, 1:] - every[..., 0, 1:, None] * mean[..., None, :]
    squares = np.einsum("srkk->srk", products)  # a view of the diagonal
    # A column that is constant up to here, but not among all, leaves rounding: it would pass for variation.
    squares[squares <= CONSTANT * np.einsum("srkk->srk", every)[..., 1:]] = 0.0
    return counts, np.moveaxis(shift + mean, 1, 2), np.moveaxis(products, 1, 3)


def merge(a: tuple[Array, Array, Array], b: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Moments, as of `nested_moments`, of two groups of subjects put together."""
    (n_a, mean_a, C_a), (n_b, mean_b, C_b) = a, b
    n = n_a + n_b
    whole = np.maximum(n, 1)
    apart = mean_b - mean_a
    mean = mean_a + (n_b / whole)[:, None] * apart
    between = (n_a * n_b / whole)[:, None, None] * apart[:, :, None] * apart[:, None]
    return n, mean, C_a + C_b + between


def eliminate(C: Array, pivots: int, scale: Array | None = None) -> tuple[Array, NDArray[np.bool_]]:
    """Eliminate the first `pivots` rows of symmetric matrices C (q, q, ...) in their order, without exchange.

    Returns the triangle of Schur complements (row k as it stood when it became the pivot; the rows after `pivots` hold
    the remaining complement) and which pivots were kept (pivots, ...). A pivot below `PIVOT` of its scale, by default
    its own diagonal, is dropped: its column depends linearly on those before it, or is constant.
    """
    U = C.copy()
    kept = np.zeros((pivots, *C.shape[2:]), dtype=bool)
    for k in range(pivots):
        kept[k] = U[k, k] > PIVOT * (C[k, k] if scale is None else scale[k])
        inverse = np.where(kept[k], 1 / np.where(kept[k], U[k, k], 1), 0)
        for a in range(k + 1, len(C)):
            U[a, a:] -= (U[k, a] * inverse) * U[k, a:]
    return U, kept
