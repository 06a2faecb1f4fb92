"""The rank test for values below a limit: everything below it is tied, exact while the trial is small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.batches import Batch, as_batch
from causalgia.analysis.estimates import Array, Status

EXACT_UP_TO = 40
"""Subjects up to which the permutation distribution is computed; a distribution then takes about a millisecond."""


@dataclass(frozen=True)
class RankTest:
    """A Mann-Whitney test (..., size): `u` counts pairs in which the treated value is higher, ties a half.

    `estimate` = u / (n₁ n₀) = P(treated > control) + ½ P(tied); `p` two-sided, `p_less` against "treated lower",
    `p_greater` against "treated higher"; `exact` says which p are exact.
    """

    u: Array
    estimate: Array
    p: Array
    p_less: Array
    p_greater: Array
    exact: NDArray[np.bool_]
    status: NDArray[np.int8]


def rank_test(
    y: ArrayLike,
    limit: ArrayLike,
    treated: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    exact_up_to: int = EXACT_UP_TO,
) -> RankTest:
    """Mann-Whitney test, treated against control, with every value at or below the limit tied below all others.

    y, limit, treated, observed (..., n) as in `censored_regression`; where limits differ, everything at or below the
    highest limit of the subjects who count is tied, because it cannot be ordered. p from the permutation distribution
    of the midranks up to `exact_up_to` subjects (two-sided: |u − n₁n₀/2| as large or larger), above that from the
    normal approximation with tie correction and continuity correction, as in R's `wilcox.test`. All tied: p = 1.
    Source: Lehmann (1975), Nonparametrics, chapter 1.

    >>> test = rank_test([0.1, 0.2, 0.3, 2.0, 3.0, 4.0], 1.0, [1, 1, 1, 0, 0, 0])
    >>> float(test.p[0])
    0.1
    """
    batch = as_batch([y, limit, treated], observed=observed, sizes=sizes, arm=2)
    parts = [_test(batch, size, exact_up_to) for size in batch.sizes]
    u, estimate, p, p_less, p_greater, exact, status = (batch.restore(np.stack(x)) for x in zip(*parts, strict=True))
    return RankTest(u, estimate, p, p_less, p_greater, exact.astype(bool), status.astype(np.int8))


def _test(batch: Batch, size: int, exact_up_to: int) -> tuple:
    """The fields of `RankTest` for the first `size` subjects of every replicate (R,)."""
    y, limit, treated = (column[:, :size] for column in batch.columns)
    seen = batch.observed[:, :size]
    arm = np.where(seen, treated, 0.0)
    n, n1 = seen.sum(axis=1), arm.sum(axis=1).astype(int)
    status = np.select([n == 0, (n1 == 0) | (n1 == n)], [Status.TOO_FEW, Status.NO_ARM], Status.OK).astype(np.int8)
    bound = np.where(seen, limit, -np.inf).max(axis=1, keepdims=True)
    value = np.where(y > bound, y, -np.inf)
    doubled, ties = _doubled_midranks(np.where(seen, value, np.nan))
    w = (doubled * arm).sum(axis=1).astype(int)  # twice the rank sum of the treated
    u = w / 2 - n1 * (n1 + 1) / 2
    pairs = n1 * (n - n1)
    ok = status == Status.OK
    estimate = u / np.where(ok, pairs, 1)
    p = _normal(u, n, pairs, ties)
    exact = ok & (n <= exact_up_to)
    p[:, exact] = _exact(w[exact], np.sort(np.where(seen, doubled, 0), axis=1)[exact], n[exact], n1[exact])
    blank = np.where(ok, 0.0, np.nan)
    return u + blank, estimate + blank, *(p + blank), exact, status


def _doubled_midranks(value: Array) -> tuple[NDArray[np.intp], Array]:
    """Twice the midranks (R, n), an integer, and Σ (t³ − t) over the groups of tied values (R,); NaN does not count."""
    R, n = value.shape
    order = np.argsort(value, axis=1, kind="stable")
    ordered = np.take_along_axis(value, order, axis=1)
    place = np.arange(n)
    new = np.ones((R, n + 1), dtype=bool)
    new[:, 1:n] = ordered[:, 1:] != ordered[:, :-1]  # NaN differ from each other
    first = np.maximum.accumulate(np.where(new[:, :n], place, 0), axis=1)
    last = np.minimum.accumulate(np.where(new[:, :0:-1], place[::-1], n), axis=1)[:, ::-1]
    doubled = np.empty((R, n), dtype=np.intp)
    np.put_along_axis(doubled, order, first + last + 2, axis=1)
    t = (last - first + 1).astype(float)
    return doubled, (t * t - 1).sum(axis=1)


def _normal(u: Array, n: NDArray, pairs: NDArray, ties: Array) -> Array:
    """Two-sided, lower and upper p (3, R): variance n₁n₀/12 (n + 1 − Σ(t³ − t)/(n(n − 1))), continuity ½."""
    variance = pairs / 12 * (n + 1 - ties / np.maximum(n * (n - 1), 1))
    sd = np.sqrt(np.where(variance > 0, variance, 1))
    d = np.where(variance > 0, u - pairs / 2, 0.0)
    less, greater = special.ndtr((d + 0.5) / sd), special.ndtr((0.5 - d) / sd)
    both = np.minimum(1, 2 * special.ndtr((0.5 - np.abs(d)) / sd))
    whole = variance <= 0  # all tied: nothing speaks against equality
    return np.stack([np.where(whole, 1.0, p) for p in (both, less, greater)])


def _exact(w: NDArray, ranks: NDArray, n: NDArray, n1: NDArray) -> Array:
    """Two-sided, lower and upper p (3, R) from the permutation distribution of each distinct pattern of ties."""
    p = np.empty((3, len(w)))
    patterns, which = np.unique(np.column_stack([n1, n, ranks]), axis=0, return_inverse=True)
    which = which.ravel()
    for i, (treated, count, *doubled) in enumerate(patterns.tolist()):
        rows = np.flatnonzero(which == i)
        chance = _distribution(doubled[len(doubled) - count :], treated)
        centre = treated * (count + 1)
        sums = np.arange(len(chance))
        below, above = np.cumsum(chance), np.cumsum(chance[::-1])[::-1]
        far = np.bincount(np.abs(sums - centre), chance)
        p[0, rows] = np.cumsum(far[::-1])[::-1][np.abs(w[rows] - centre)]
        p[1, rows], p[2, rows] = below[w[rows]], above[w[rows]]
    return np.minimum(p, 1)


def _distribution(doubled: list[int], treated: int) -> Array:
    """Probability of every sum of `treated` of the doubled ranks, all choices equally likely.

    counts[k, s] is the number of sets of k of the subjects added so far whose ranks sum to s.
    """
    top = sum(doubled[len(doubled) - treated :])
    counts = np.zeros((treated + 1, top + 1))
    counts[0, 0] = 1
    for rank in doubled:
        counts[1:, rank:] += counts[:-1, : top + 1 - rank]
    return counts[treated] / counts[treated].sum()
