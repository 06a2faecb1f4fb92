"""First and second moments of nested prefixes of the subjects, and their elimination, for many replicates at once.

The replicate is the last axis everywhere and every sum runs over the subjects in their order, so a replicate's bits do
not depend on the batch it stands in, and a prefix gives the bits of a trial that stopped there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array

PIVOT = 1e-10
"""A column is dropped when regression on those before it leaves less than this share of its squares."""


def nested_moments(v: Array, weight: Array, sizes: Sequence[int]) -> tuple[Array, Array, Array]:
    """Counts, means and centred cross-products of the first `size` subjects, for each size, in one pass.

    v (n, q, R), weight (n, R) of 0 and 1 → counts (S, R), means (S, q, R), products (S, q, q, R).
    Welford's update: d = v − mean, mean += d/n, C += (1 − 1/n) d dᵀ.
    """
    _, q, R = v.shape
    counts, means, products = np.zeros((len(sizes), R)), np.zeros((len(sizes), q, R)), np.zeros((len(sizes), q, q, R))
    count, mean, product = np.zeros(R), np.zeros((q, R)), np.zeros((q, q, R))
    for i in range(max(sizes)):
        count = count + weight[i]
        share = weight[i] / np.maximum(count, 1)
        d = v[i] - mean
        mean += share * d
        product += (d * (weight[i] - share))[:, None] * d
        for s, size in enumerate(sizes):
            if size == i + 1:
                counts[s], means[s], products[s] = count, mean, product
    return counts, means, products


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
