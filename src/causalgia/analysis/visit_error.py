"""How far a visit's reading is from the truth: the error that replicates of one session cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.batches import as_batch
from causalgia.analysis.estimates import Array

LEAST_PAIRS = 10


@dataclass(frozen=True)
class VisitError:
    """`variance` of a visit's reading about the truth, its degrees of freedom, arrays (..., size), NaN where unknown.

    `persistence` is the slope of the second reading on the first: of a distance from the mean, the share still there.
    """

    variance: Array
    df: Array
    persistence: Array


def visit_error(
    first: ArrayLike,
    second: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
) -> VisitError:
    """The error variance of a reading from two visits between which nothing happened but time; arrays (..., n).

    Of readings with variance t² + s² the second has slope ρ = t²/(t² + s²) on the first and residual variance
    σ² = (t² + s²)(1 − ρ²), so s² = σ²/(1 + ρ). A regression on the first visit does not mind who was selected by it, as
    a gate does: the variance of the differences does. It counts assay, replicates and day alike, and what true change
    between the visits differs from person to person. ρ is kept within 0 and 1. Degrees of freedom 2/Var(log s²),
    Var(log s²) = 2/(n − 2) + Var(ρ)/(1 + ρ)². NaN below 10 pairs.
    Source: Fuller (1987), Measurement Error Models, chapter 1.

    >>> first = np.arange(12.0)
    >>> found = visit_error(first, first + np.tile([0.5, -0.5], 6))
    >>> round(float(found.variance[0]), 2), round(float(found.persistence[0]), 2)
    (0.15, 0.98)
    """
    batch = as_batch([first, second], observed=observed, sizes=sizes)
    rows = []
    for size in batch.sizes:
        x, y = (column[:, :size] for column in batch.columns)
        seen = batch.observed[:, :size] & np.isfinite(x) & np.isfinite(y)
        n = seen.sum(axis=1)
        x, y = (np.where(seen, v, 0.0) for v in (x, y))
        x, y = (np.where(seen, v - v.sum(axis=1, keepdims=True) / np.maximum(n, 1)[:, None], 0.0) for v in (x, y))
        xx, xy, yy = (x * x).sum(axis=1), (x * y).sum(axis=1), (y * y).sum(axis=1)
        fine = (n >= LEAST_PAIRS) & (xx > 0)
        slope = np.clip(xy / np.where(fine, xx, 1), 0, 1)
        residual = np.maximum(yy - 2 * slope * xy + slope**2 * xx, 0) / np.maximum(n - 2, 1)
        spread = 2 / np.maximum(n - 2, 1) + residual / np.where(fine, xx, 1) / (1 + slope) ** 2
        rows.append(np.where(fine, [residual / (1 + slope), 2 / spread, slope], np.nan))
    return VisitError(*(batch.restore(np.stack([row[i] for row in rows])) for i in range(3)))
