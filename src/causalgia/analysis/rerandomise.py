"""The exact re-randomisation test: the trial's own way of allocating is the reference distribution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalgia.analysis.batches import Batch, as_batch
from causalgia.analysis.estimates import Array, Effect, Status
from causalgia.analysis.moments import PIVOT
from causalgia.documents.errors import InputError

TIE = 1e-9
"""Statistics that differ by less than this share are tied: they differ by rounding only."""
CELLS = 2_000_000
"""Replicates × reference allocations held at a time."""


def rerandomisation_test(
    y: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None,
    allocations: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
    enumerated: bool = False,
    interval: bool = False,
) -> Effect:
    """Test of no effect on anybody: mean residual of y on 1 + covariates, treated − control, against allocations.

    y, treated (0 or 1), observed (..., n), covariates (..., n, p), allocations (M, n) or (..., M, n): M allocations
    drawn by the procedure that randomised, then p = (1 + #{|t*| ≥ |t|}) / (M + 1), or all it can give, equally likely
    and the actual one among them (`enumerated`), then p = #{|t*| ≥ |t|} / M. Either p is at most α with probability at
    most α under the null hypothesis, whatever the distribution, the size and the missing values (complete cases); an
    allocation that leaves an arm unobserved counts as extreme.

    Returns arrays (..., size): `estimate` is the shift that makes the statistic zero, which is the difference of
    `ancova`; `se` and `df` are NaN, and so are `lower` and `upper` unless `interval` asks for the shifts that the test
    does not reject at `alpha` (their convex hull, infinite where the reference set is too small to exclude any).
    Source: Rosenberger and Lachin (2015), Randomization in Clinical Trials, ch. 6; Phipson and Smyth (2010).

    >>> every = enumerate_allocations(6, 3)
    >>> effect = rerandomisation_test([1.0, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1], None, every, enumerated=True)
    >>> float(effect.p[0])
    0.1
    """
    batch = as_batch([y, treated], covariates, observed=observed, sizes=sizes, arm=1)
    reference = _reference(allocations, batch)
    rows = []
    for size in batch.sizes:
        parts = []
        for chunk in batch.chunks(max(1, CELLS // reference.shape[-2])):
            columns = np.stack([column[chunk, :size] for column in (*batch.columns[2:], *batch.columns[:2])])
            A = reference[:, :size] if reference.ndim == 2 else reference[chunk, :, :size]
            with np.errstate(invalid="ignore", over="ignore"):  # told by the status
                parts.append(_test(columns, batch.observed[chunk, :size], A, enumerated, alpha if interval else None))
        rows.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    estimate, p, lower, upper, status = (batch.restore(np.stack(row)) for row in zip(*rows, strict=True))
    nothing = np.full(p.shape, np.nan)
    return Effect(estimate, nothing, nothing, p, lower, upper, status.astype(np.int8))


def enumerate_allocations(n: int, n_treated: int) -> NDArray[np.bool_]:
    """All allocations of n subjects with n_treated in the treated arm: (C(n, n_treated), n), in lexical order.

    Raises `InputError` above a million, where drawn allocations serve as well.
    """
    if not 0 <= n_treated <= n:
        raise InputError("n_treated", str(n_treated), f"a number between 0 and {n}")
    count = comb(n, n_treated)
    if count > 1_000_000:
        raise InputError("allocations", f"{count} of them", "at most 1000000", "Draw a reference set instead.")
    chosen = np.array(list(combinations(range(n), n_treated)), dtype=np.intp).reshape(count, n_treated)
    allocations = np.zeros((count, n), dtype=bool)
    allocations[np.arange(count)[:, None], chosen] = True
    return allocations


def _reference(allocations: ArrayLike, batch: Batch) -> Array:
    """Allocations (M, n) that serve all replicates, or (R, M, n)."""
    A = np.asarray(allocations, dtype=float)
    n = batch.observed.shape[1]
    if A.ndim < 2 or A.shape[-1] != n or A.shape[-2] == 0:
        raise InputError("allocations", f"shape {A.shape}", f"(M, {n}) or (..., M, {n})")
    if A.ndim == 2:
        return A
    if A.shape[:-2] != batch.lead:
        raise InputError("allocations", f"leading axes {A.shape[:-2]}", f"those of the trials, {batch.lead}")
    return A.reshape(batch.replicates, *A.shape[-2:])


def _test(
    columns: Array, seen: NDArray[np.bool_], A: Array, enumerated: bool, alpha: float | None
) -> tuple[Array, Array, Array, Array, NDArray[np.int8]]:
    """Estimate, p, limits and status (R,) of columns (q, R, n): covariates, endpoint, arm."""
    arm = np.where(seen, columns[-1], 0.0)[:, None]
    e, u, status = _residuals(columns, seen)
    ok = status == Status.OK
    unit = np.where(ok, _difference(u, seen, arm)[:, 0], 1)
    t, actual = _difference(e, seen, A), _difference(e, seen, arm)[:, 0]
    estimate = np.where(ok, actual / unit, np.nan)
    rounding = TIE * np.abs(actual) + 1e-12 * np.abs(e).mean(axis=1)
    extreme = (np.abs(t) >= (np.abs(actual) - rounding)[:, None]).sum(axis=1)
    M = A.shape[-2]
    p = np.where(ok, extreme / M if enumerated else (1 + extreme) / (M + 1), np.nan)
    lower, upper = np.full((2, len(p)), np.nan)
    if alpha is not None:
        ratio = _difference(u, seen, A) / unit[:, None]
        centred = t / unit[:, None] - estimate[:, None] * ratio
        needed = alpha * M if enumerated else alpha * (M + 1) - 1
        for i in np.flatnonzero(ok):
            lower[i] = estimate[i] - _reach(-centred[i], ratio[i], needed)
            upper[i] = estimate[i] + _reach(centred[i], ratio[i], needed)
    return estimate, p, lower, upper, status


def _residuals(columns: Array, seen: NDArray[np.bool_]) -> tuple[Array, Array, NDArray[np.int8]]:
    """Endpoint and arm (R, n) less their regression on 1 + covariates (modified Gram-Schmidt), zero where not seen."""
    n = seen.sum(axis=1)
    x = np.where(seen, columns, 0.0)
    treated = x[-1].sum(axis=1)
    x = np.where(seen, x - (x.sum(axis=2) / np.maximum(n, 1))[..., None], 0.0)
    squares = (x * x).sum(axis=2)
    rank = np.ones(len(n))
    for j in range(len(x) - 2):
        left = (x[j] * x[j]).sum(axis=1)
        kept = left > PIVOT * squares[j]
        rank += kept
        slope = (x[j + 1 :] * x[j]).sum(axis=2) * np.where(kept, 1 / np.where(kept, left, 1), 0)
        x[j + 1 :] -= slope[..., None] * x[j]
    e, u = x[-2:]
    status = np.select(
        [
            ~np.isfinite(squares).all(axis=0),
            n == 0,
            (treated == 0) | (treated == n),
            (u * u).sum(axis=1) <= PIVOT * squares[-1],
            n - rank < 1,
        ],
        [Status.NOT_FINITE, Status.TOO_FEW, Status.NO_ARM, Status.SINGULAR, Status.TOO_FEW],
        Status.OK,
    )
    return e, u, status.astype(np.int8)


def _difference(e: Array, seen: NDArray[np.bool_], A: Array) -> Array:
    """Mean of e over the treated less that over the controls of every allocation (R, M), infinite for an empty arm.

    e sums to zero, so it is Σ_treated e · (1/n₁ + 1/n₀). Ties are told with a tolerance, so the order of a sum cannot
    change a count.
    """
    seen_ = seen.astype(float)
    if A.ndim == 2:
        by_subject = np.ascontiguousarray(A.T)
        total, n1 = e @ by_subject, seen_ @ by_subject
    else:
        total, n1 = (np.einsum("rn,rmn->rm", values, A) for values in (e, seen_))
    n0 = seen_.sum(axis=1)[:, None] - n1
    both = (n1 > 0) & (n0 > 0)
    return np.where(both, total * (1 / np.where(both, n1, 1) + 1 / np.where(both, n0, 1)), np.inf)


def _reach(c: Array, r: Array, needed: float) -> float:
    """Largest d ≥ 0 at which more than `needed` allocations satisfy |c − d r| ≥ d, the statistic after a shift by d.

    Each does so where d (1 + r) ≤ c or d (1 − r) ≤ −c: up to a bound, or from a bound on, or always.
    """
    never_empty = np.isfinite(c) & np.isfinite(r)
    always = int(np.count_nonzero(~never_empty))
    c, r = c[never_empty], r[never_empty]
    c = np.where(np.abs(c) <= TIE * np.abs(c).max(initial=0), 0, c)
    slopes, bounds = np.concatenate([1 + r, 1 - r]), np.concatenate([c, -c])
    slopes = np.where(np.abs(slopes) <= TIE, 0, slopes)
    whole = ((slopes <= 0) & (bounds >= 0)).reshape(2, -1).any(axis=0)
    always += int(np.count_nonzero(whole))
    some = ~np.tile(whole, 2)
    quotient = bounds / np.where(slopes == 0, 1, slopes)
    until = np.sort(quotient[(slopes > 0) & (bounds >= 0) & some])
    since = np.sort(quotient[(slopes < 0) & (bounds < 0) & some])
    if always + len(since) > needed:
        return np.inf
    holding = always + len(until) - np.searchsorted(until, until, "left") + np.searchsorted(since, until, "right")
    enough = until[holding > needed]
    return float(enough[-1]) if len(enough) else 0.0
