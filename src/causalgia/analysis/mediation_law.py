"""The joint law of what is observed in mediation: outcome, reading of the mediator, reading of the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array, Status
from causalgia.analysis.linear import NOISE
from causalgia.analysis.moments import eliminate, nested_moments
from causalgia.analysis.newton import EXACT
from causalgia.analysis.olsen import Likelihood, least_squares_start, standardise

PARAMETERS = ("total", "k_y", "s_y", "s_b", "g_a", "g_b", "g_y", "s_w", "u", "u_0")
"""Y = total·A + k_y W₀ + … + N(0, s_y); W = g_a A + g_b W₀ + g_y Y + … + N(0, s_w); s_b = Var(W₀ | C); u, u₀ errors."""

FLAT = 1e-7
"""Information of a subject on a standardised coefficient below which the likelihood is flat in its direction."""


@dataclass(frozen=True)
class Law:
    """Parameters (L, 10), named by `PARAMETERS`, their covariance (L, 10, 10), degrees of freedom and status (L,)."""

    parameters: Array
    covariance: Array
    df: Array
    status: NDArray[np.int8]


def observed_law(
    columns: Sequence[Array], seen: NDArray[np.bool_], has_baseline: bool, has_arm: bool, least: int
) -> Law:
    """Fit one chunk: columns (R, n) are y, mediator, limit, arm, two errors, their df, the baseline, covariates.

    Without a baseline or an arm, their coefficients are zero and s_b is one.
    """
    y, w, limit, arm, u, u_0, error_df, baseline, *covariates = columns
    below = seen & ~(w > limit)
    w = np.where(below, limit, w)
    middle = ([arm] if has_arm else []) + ([baseline] if has_baseline else [])
    v = np.stack([np.where(seen, c, 0.0) for c in (*covariates, *middle, y, w)], axis=2)
    with np.errstate(invalid="ignore", over="ignore"):  # told by the status
        n, _, C = (m[0] for m in nested_moments(v, seen.astype(float), [v.shape[1]]))
    p, k = len(covariates), len(middle)
    finite = np.isfinite(C).all(axis=(0, 1))
    C = np.where(finite, C, np.eye(len(C))[..., None])
    kept = eliminate(C, p + k)[1]
    df = n - 1 - kept.sum(axis=0)
    treated = np.where(seen, arm, 0.0).sum(axis=1)
    status = _examine(finite, n, treated, kept[p:], df, has_arm, least)
    ok = status == Status.OK
    K = _complement(C, p)
    K = np.where(ok[:, None, None], K, np.eye(k + 2))
    df = np.where(ok, df, 1)
    place = ([0] if has_arm else []) + ([1] if has_baseline else [])
    fit = _least_squares(K, place, df)
    total = np.where(C[-2, -2] > 0, C[-2, -2], 1), np.where(C[-1, -1] > 0, C[-1, -1], 1)
    hidden = below.any(axis=1)
    flat = (fit[0][:, 2] * df <= NOISE * total[0]) | (~hidden & (fit[0][:, 7] * df <= NOISE * total[1]))
    status = np.where(ok & flat, Status.NO_VARIATION, status)
    rows = np.flatnonzero((status == Status.OK) & hidden)
    status[rows] = _hopeless(v[rows], seen[rows], below[rows], place, df[rows])
    rows = rows[status[rows] == Status.OK]
    if len(rows):
        good = _censored(v[rows], seen[rows], below[rows], place, df[rows], fit, rows)
        status[rows[~good]] = Status.NOT_CONVERGED
    parameters, covariance = fit
    count = np.maximum(n, 1)
    for column, values in ((8, u), (9, u_0)):
        parameters[:, column] = np.where(seen, values, 0.0).sum(axis=1) / count
        freedom = np.where(seen, error_df, np.inf).min(axis=1)
        covariance[:, column, column] = 2 * parameters[:, column] ** 2 / freedom
    covariance[:, 8, 9] = covariance[:, 9, 8] = np.sqrt(covariance[:, 8, 8] * covariance[:, 9, 9])  # one estimate
    return Law(parameters, covariance, df, status.astype(np.int8))


def _examine(
    finite: NDArray, n: Array, treated: Array, kept: NDArray, df: Array, has_arm: bool, least: int
) -> NDArray[np.int8]:
    checks = [(~finite, Status.NOT_FINITE), (n == 0, Status.TOO_FEW)]
    if has_arm:
        checks += [((treated == 0) | (treated == n), Status.NO_ARM)]
        checks += [(np.minimum(treated, n - treated) < least, Status.ARM_TOO_SMALL), (~kept[0], Status.SINGULAR)]
    if len(kept) > has_arm:
        checks += [(~kept[-1], Status.NO_VARIATION)]
    checks += [(df < 3, Status.TOO_FEW)]
    conditions, codes = zip(*checks, strict=True)
    return np.select(conditions, codes, Status.OK).astype(np.int8)


def _complement(C: Array, p: int) -> Array:
    """Cross-products (R, q − p, q − p) of the last columns after regression on the first p."""
    U = eliminate(C, p)[0][p:, p:]
    upper = np.triu(np.ones(U.shape[:2], dtype=bool))[..., None]
    return np.moveaxis(np.where(upper, U, np.swapaxes(U, 0, 1)), 2, 0)


def _least_squares(K: Array, place: list[int], df: Array) -> tuple[Array, Array]:
    """Parameters and covariance without errors and limits; `place` of arm (0) and baseline (1) among the regressors."""
    R, k = len(K), len(place)
    parameters, covariance = np.zeros((R, 10)), np.zeros((R, 10, 10))
    parameters[:, 3] = 1.0
    coefficients, rest, inverse = _regress(K, k, k)
    s_y = rest / df
    where = np.array(place, dtype=int)
    parameters[:, where], parameters[:, 2] = coefficients, s_y
    covariance[:, where[:, None], where] = s_y[:, None, None] * inverse
    covariance[:, 2, 2] = 2 * s_y**2 / df
    if 1 in place:
        parameters[:, 3] = K[:, k - 1, k - 1] / df
        covariance[:, 3, 3] = 2 * parameters[:, 3] ** 2 / df
    coefficients, rest, inverse = _regress(K, k + 1, k + 1)
    s_w = rest / df
    where = np.array([*(4 + j for j in place), 6], dtype=int)
    parameters[:, where], parameters[:, 7] = coefficients, s_w
    covariance[:, where[:, None], where] = s_w[:, None, None] * inverse
    covariance[:, 7, 7] = 2 * s_w**2 / df
    return parameters, covariance


def _regress(K: Array, k: int, target: int) -> tuple[Array, Array, Array]:
    """Regress column `target` on the first k: coefficients (R, k), residual squares (R,), inverse (R, k, k)."""
    scale = np.sqrt(np.diagonal(K, axis1=1, axis2=2))[:, :k]
    scale = np.where(scale > 0, scale, 1.0)
    M = K[:, :k, :k] / (scale[:, :, None] * scale[:, None])
    M = np.where((np.abs(np.linalg.det(M)) > 1e-14)[:, None, None], M, np.eye(k))  # told by the status
    inverse = np.linalg.inv(M) / (scale[:, :, None] * scale[:, None])
    across = K[:, :k, target]
    coefficients = (inverse @ across[..., None])[..., 0]
    return coefficients, np.maximum(K[:, target, target] - (across * coefficients).sum(axis=1), 0), inverse


def _hopeless(
    v: Array, seen: NDArray[np.bool_], below: NDArray[np.bool_], place: list[int], df: Array
) -> NDArray[np.int8]:
    """What forbids the censored likelihood; W has one regressor more than Y."""
    known = seen & ~below
    count = known.sum(axis=1)
    hidden = np.zeros(len(v), dtype=bool)
    if 0 in place:
        arm = v[..., v.shape[2] - 2 - len(place)] > 0
        hidden = np.any([~(known & arm).any(axis=1), ~(known & ~arm).any(axis=1)], axis=0)
    few = count - (seen.sum(axis=1) - df) - 1 < 1
    codes = [Status.ALL_CENSORED, Status.ARM_CENSORED, Status.TOO_FEW]
    return np.select([count == 0, hidden, few], codes, Status.OK).astype(np.int8)


def _censored(
    v: Array,
    seen: NDArray[np.bool_],
    below: NDArray[np.bool_],
    place: list[int],
    df: Array,
    fit: tuple[Array, Array],
    rows: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Put W given Y by the censored likelihood into `fit` at `rows`; returns where it converged.

    Estimates of variance and covariance times n / df, so that without a value below its limit it is least squares.
    """
    parameters, covariance = fit
    z, _, unit = standardise(v, seen)
    z = np.concatenate([seen[..., None].astype(float), z], axis=2)
    n = seen.sum(axis=1).astype(float)
    whole = np.moveaxis(z.transpose(0, 2, 1) @ z, 0, 2)
    scale = np.diagonal(whole).T.copy()
    top = Likelihood.of(z, seen, below).maximum(least_squares_start(whole, n), scale, EXACT)
    m = len(place) + 2
    U = eliminate(top.information, z.shape[2] - m, scale)[0][-m:, -m:]
    block = np.moveaxis(U, 2, 0)
    block = np.triu(block) + np.swapaxes(np.triu(block, 1), 1, 2)
    good = top.converged & (np.linalg.eigvalsh(block / n[:, None, None])[:, 0] > FLAT)
    delta, at, units = top.parameters[-m:].T[good], rows[good], unit[good][:, -1:] / unit[good][:, -m:]
    theta, stretch = delta[:, -1:], n[good] / df[good]
    # β = −δ/θ in the unit of W over that of its column, σ² = 1/θ²: values and Jacobian by (δ, θ)
    units[:, -1] = unit[good][:, -1] ** 2 * stretch
    values = np.concatenate([-delta[:, :-1] / theta, 1 / theta**2], axis=1) * units
    J = np.zeros((len(delta), m, m))
    J[:, range(m - 1), range(m - 1)] = -1 / theta
    J[:, : m - 1, m - 1] = delta[:, :-1] / theta**2
    J[:, m - 1, m - 1] = -2 / theta[:, 0] ** 3
    J *= units[:, :, None]
    spread = J @ np.linalg.inv(block[good]) @ J.transpose(0, 2, 1)
    where = np.array([*(4 + j for j in place), 6, 7], dtype=int)
    parameters[at[:, None], where] = values
    covariance[at[:, None, None], where[:, None], where] = spread * stretch[:, None, None]
    return good
