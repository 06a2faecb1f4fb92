"""Endpoints of other kinds: change from baseline in one arm, and responders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.batches import check_sizes
from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.proportions import clopper_pearson, difference_interval, score_test


def mean_change(
    change: Array, *, observed: NDArray[np.bool_], sizes: Sequence[int] | None = None, alpha: float = 0.05
) -> Effect:
    """Mean of a change within subjects with its t test, change and observed (..., n); results (..., size).

    >>> effect = mean_change(np.array([1.0, 2.0, 3.0]), observed=np.ones(3, bool))
    >>> round(float(effect.p[0]), 4)
    0.0742
    """
    at = np.array(check_sizes(sizes, change.shape[-1])) - 1
    known = np.where(observed, change, 0.0)
    n = np.cumsum(observed, axis=-1)[..., at]
    total = np.cumsum(known, axis=-1)[..., at]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        centre = np.where(observed, known - (total[..., -1:] / n[..., -1:]), 0.0)  # against cancellation
        square = np.cumsum(centre**2, axis=-1)[..., at] - n * (mean - total[..., -1:] / n[..., -1:]) ** 2
        se = np.sqrt(square / (n - 1) / n)
    status = np.where(n < 2, Status.TOO_FEW, np.where(se > 0, Status.OK, Status.NO_VARIATION))
    return t_effect(mean, se, (n - 1).astype(np.float64), status, alpha)


def responder_difference(
    response: NDArray[np.bool_],
    treated: NDArray[np.bool_],
    *,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> Effect:
    """Share of responders, treated minus control, arrays (..., n); results (..., size).

    Score test and Miettinen-Nurminen interval; where nobody is control, the share itself with the Clopper-Pearson
    interval and no p. Each distinct table is computed once.
    """
    at = np.array(check_sizes(sizes, response.shape[-1])) - 1
    masks = (response & treated, treated, response & ~treated, ~treated)
    tables = np.stack([np.cumsum(mask, axis=-1, dtype=np.int64)[..., at] for mask in masks], axis=-1)
    distinct, which = np.unique(tables.reshape(-1, 4), axis=0, return_inverse=True)
    rows = np.stack(_of_tables(distinct.T, alpha), axis=-1)
    every = rows[which.ravel()].reshape(*tables.shape[:-1], 4)
    estimate, p, lower, upper = (every[..., j] for j in range(4))
    nothing = np.full(estimate.shape, np.nan)
    status = np.where(np.isfinite(estimate), Status.OK, Status.NO_ARM).astype(np.int8)
    return Effect(estimate, nothing, nothing, p, lower, upper, status)


def _of_tables(tables: NDArray[np.int64], alpha: float) -> tuple[Array, ...]:
    """Estimate, p and limits of tables given as responders and subjects, treated then control."""
    x1, n1, x0, n0 = tables
    alone = n0 == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = np.where(alone, x1 / n1, x1 / n1 - x0 / n0)
    p = np.where(alone | (n1 == 0), np.nan, score_test(x1, n1, x0, n0)[1])
    between, single = difference_interval(x1, n1, x0, n0, alpha=alpha), clopper_pearson(x1, n1, alpha)
    lower, upper = (np.where(alone, one, two) for one, two in zip(single, between, strict=True))
    return estimate, p, lower, upper
