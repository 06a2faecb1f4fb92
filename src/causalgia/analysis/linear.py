"""Analysis of covariance for many trials and nested trial sizes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalgia.analysis.batches import Batch, as_batch
from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.moments import eliminate, merge, nested_moments

CHUNK = 256
NOISE = 1e-14
"""Residual squares below this share of the total are rounding, not variation."""


def ancova(
    y: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> Effect:
    """Adjusted difference treated − control by least squares: y = a + b·treated + c·covariates + error.

    y, treated (0 or 1), observed (..., n); covariates (..., n, p), such as the baseline and dummies of the strata.
    Returns arrays (..., size): b with its two-sided t test and 1 − alpha interval, df = n − rank, complete cases only.
    Covariates are eliminated in the order given and before the arm; one that depends linearly on those before it (an
    empty stratum, a constant) is dropped and does not count in the rank. An arm that depends on them is `SINGULAR`.
    Raises `InputError` for shapes that do not agree. Source: Frisch-Waugh-Lovell; moments by Welford's update.

    >>> round(float(ancova([1.0, 2.0, 4.0, 6.0], [0, 0, 1, 1]).estimate[0]), 6)
    3.5
    """
    batch = as_batch([y, treated], covariates, observed=observed, sizes=sizes, arm=1)
    parts = [_from_moments(*moments) for moments, *_ in _chunks(batch, ())]
    return _effect(batch, parts, alpha)


def ancova_by(
    y: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None,
    group: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> tuple[Effect, Effect, Effect]:
    """`ancova` in everybody, in the members of a group (..., n) alone, and in the others alone.

    One pass over the subjects: the moments of all are the two groups' moments put together.
    """
    batch = as_batch([y, treated, group], covariates, observed=observed, sizes=sizes, arm=1)
    parts = [[_from_moments(*moments) for moments in chunk] for chunk in _chunks(batch, (2,))]
    every, inside, outside = (_effect(batch, list(part), alpha) for part in zip(*parts, strict=True))
    return every, inside, outside


Moments = tuple[Array, Array, Array]
Estimates = tuple[Array, Array, Array, NDArray[np.int8]]


def _chunks(batch: Batch, group: tuple[int, ...]) -> Iterator[tuple[Moments, ...]]:
    """Moments of covariates, arm, endpoint by chunks of replicates: of all, or of all, a group and the rest."""
    order = (*(j for j in range(2, len(batch.columns)) if j not in group), 1, 0)
    for chunk in batch.chunks(CHUNK):
        seen = batch.observed[chunk]
        v = np.stack([np.where(seen, batch.columns[j][chunk], 0.0) for j in order], axis=2)
        with np.errstate(invalid="ignore", over="ignore"):  # told by the status
            if not group:
                yield (nested_moments(v, seen.astype(float), batch.sizes),)
                continue
            member = seen & (batch.columns[group[0]][chunk] > 0)
            inside, outside = (nested_moments(v, part.astype(float), batch.sizes) for part in (member, seen & ~member))
            yield merge(inside, outside), inside, outside


def _effect(batch: Batch, parts: list[Estimates], alpha: float) -> Effect:
    estimate, se, df, status = (batch.restore(np.concatenate(part, axis=1)) for part in zip(*parts, strict=True))
    return t_effect(estimate, se, df, status, alpha)


def _from_moments(n: Array, mean: Array, C: Array) -> tuple[Array, Array, Array, NDArray[np.int8]]:
    """Estimate, standard error, degrees of freedom and status (S, R) from moments of (covariates, arm, endpoint)."""
    C = np.moveaxis(C, 0, 2)
    arm, y = len(C) - 2, len(C) - 1
    U, kept = eliminate(C, arm + 1)
    df = n - 1 - kept.sum(axis=0)
    usable = kept[arm] & (df > 0)
    tt = np.where(usable, U[arm, arm], 1)
    estimate = U[arm, y] / tt
    se = np.sqrt(np.maximum(U[y, y], 0) / np.where(usable, df, 1) / tt)
    share = mean[:, arm]
    status = np.select(
        [
            ~np.isfinite(C).all(axis=(0, 1)),
            n == 0,
            (share <= 0) | (share >= 1),
            ~kept[arm],
            df < 1,
            np.maximum(U[y, y], 0) <= NOISE * C[y, y],
        ],
        [Status.NOT_FINITE, Status.TOO_FEW, Status.NO_ARM, Status.SINGULAR, Status.TOO_FEW, Status.NO_VARIATION],
        Status.OK,
    ).astype(np.int8)
    return estimate, se, df, status
