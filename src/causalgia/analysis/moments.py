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


def nested_moments(v: Array, weight: Array, sizes: Sequence[int]) -> tuple[Array, Array, Array]:
    """Counts, means and centred cross-products of the first `size` subjects, for each size, in one pass.

    v (R, n, q), weight (R, n) of 0 and 1 → counts (S, R), means (S, q, R), products (S, q, q, R). Every stretch between
    two sizes is one matrix product a replicate, about a shift (the mean of all), which keeps the digits.
    """
    R, _, q = v.shape
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    counts, sums, products = np.zeros((len(sizes), R)), np.zeros((len(sizes), R, q)), np.zeros((len(sizes), R, q, q))
    everybody = np.maximum(weight.sum(axis=1), 1)
    shift = (v * weight[..., None]).sum(axis=1) / everybody[:, None]
    d = (v - shift[:, None]) * weight[..., None]
    count, total, product, first = np.zeros(R), np.zeros((R, q)), np.zeros((R, q, q)), 0
    for s in order:
        part = d[:, first : sizes[s]]
        count = count + weight[:, first : sizes[s]].sum(axis=1)
        total = total + part.sum(axis=1)
        product = product + part.transpose(0, 2, 1) @ part
        counts[s], sums[s], products[s], first = count, total, product, sizes[s]
    mean = sums / np.maximum(counts, 1)[..., None]
    products -= (counts[..., None, None] * mean[..., None]) * mean[..., None, :]
    return counts, np.moveaxis(shift + mean, 1, 2), np.moveaxis(products, 1, 3)


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
