"""Maximum likelihood of the left-censored normal linear model, a lane per replicate and nested trial size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.batches import Batch
from causalgia.analysis.estimates import Array, Status
from causalgia.analysis.moments import eliminate, nested_moments
from causalgia.analysis.newton import EXACT, Lanes, maximise, newton_step
from causalgia.analysis.olsen import Packed

LANES = 4096
"""Replicates times sizes worked on at a time, for the processor's cache."""
FLAT = 1e-6
"""Share of a complete sample's information on the target below which the likelihood rises for ever in its direction."""


@dataclass(frozen=True)
class Fit:
    """Maximum likelihood of the target coefficient in the unit of the endpoint: arrays (S, R), NaN where not OK."""

    estimate: Array
    se: Array
    sigma: Array
    n: Array
    rank: Array
    status: NDArray[np.int8]


def fit_batch(batch: Batch, arm: bool, precision: float = EXACT) -> Fit:
    """Mark what lies below its limit and fit chunk by chunk; columns are the value, its limit, the arm, covariates."""
    parts = []
    for chunk in batch.chunks(max(1, LANES // len(batch.sizes))):
        seen = batch.observed[chunk]
        y, limit, *others = (column[chunk] for column in batch.columns)
        censored = seen & ~(y > limit)
        value = np.where(censored, limit, y)
        columns = (*others[1:], value, others[0]) if arm else (value,)
        raw = np.stack([np.where(seen, column, 0.0) for column in columns], axis=2)
        with np.errstate(invalid="ignore", over="ignore"):  # told by the status
            parts.append(_fit(raw, seen.astype(float), censored.astype(float), batch.sizes, arm, precision))
    joined = (np.concatenate([getattr(part, f.name) for part in parts], axis=1) for f in fields(Fit))
    return Fit(*(batch.restore(values) for values in joined))


def _fit(raw: Array, seen: Array, censored: Array, sizes: Sequence[int], arm: bool, precision: float) -> Fit:
    """Fit one chunk: raw (R, n, q) holds covariates, value or limit and, if `arm`, the arm; seen, censored (R, n).

    The target is the coefficient of the arm, without arm the mean. Columns are standardised by their moments at the
    largest size.
    """
    q = raw.shape[2]
    v = q - 2 if arm else q - 1
    n, mean, C = nested_moments(raw, seen, sizes)
    shift, unit = _standard(n, mean, C, arm)
    columns = np.where(seen[..., None] > 0, (raw - shift.T[:, None]) / unit.T[:, None], 0.0)
    n_u, mean_u, C_u = nested_moments(columns, seen - censored, sizes)
    rank, status = _examine((n, mean, C), (n_u, mean_u, C_u), [j for j in range(q) if j != v], arm)
    order = [*range(q + 1)] if arm else [1, 0]  # the target last, θ before it
    data = _pack(n_u, _gram(n_u, mean_u, C_u, order), columns, censored, sizes, order)
    whole = _gram(n, (mean - shift) / unit, C / (unit[:, None] * unit), order)
    ok = np.flatnonzero(status.ravel() == Status.OK)
    numbers = np.full((3, status.size), np.nan)
    numbers[:, ok], status.ravel()[ok] = _solve(data, ok, n.ravel()[ok], whole[:, :, ok], precision)
    estimate, se, sigma = numbers.reshape(3, *status.shape)
    target = shift[v] if not arm else 0.0
    return Fit(target + unit[v] * estimate, unit[v] * se, unit[v] * sigma, n, rank, status)


def _standard(n: Array, mean: Array, C: Array, arm: bool) -> tuple[Array, Array]:
    """Shift and unit (q, R) of the columns from the size with most subjects; the arm stays 0 or 1."""
    most = int(np.argmax(n.sum(axis=1)))
    spread = np.sqrt(np.diagonal(C[most]).T / np.maximum(n[most], 1))
    shift, unit = mean[most].copy(), np.where(spread > 0, spread, 1.0)
    if arm:
        shift[-1], unit[-1] = 0.0, 1.0
    return shift, unit


def _examine(
    every: tuple[Array, Array, Array], uncensored: tuple[Array, Array, Array], design: list[int], arm: bool
) -> tuple[Array, NDArray[np.int8]]:
    """Rank of the design with its constant, and what forbids a fit, both (S, R)."""
    (n, mean, C), (n_u, mean_u, C_u) = every, uncensored
    kept, kept_u = (eliminate(np.moveaxis(M[:, design][:, :, design], 0, 2), len(design))[1] for M in (C, C_u))
    rank, rank_u = 1 + kept.sum(axis=0), 1 + kept_u.sum(axis=0)
    checks = [(~np.isfinite(C).all(axis=(1, 2)), Status.NOT_FINITE), (n == 0, Status.TOO_FEW)]
    if arm:
        checks += [((mean[:, -1] <= 0) | (mean[:, -1] >= 1), Status.NO_ARM)]
    checks += [(n_u == 0, Status.ALL_CENSORED)]
    if arm:
        checks += [((mean_u[:, -1] <= 0) | (mean_u[:, -1] >= 1), Status.ARM_CENSORED), (~kept[-1], Status.SINGULAR)]
    checks += [((n - rank < 1) | (n_u - rank_u < 1), Status.TOO_FEW)]
    conditions, codes = zip(*checks, strict=True)
    return rank, np.select(conditions, codes, Status.OK).astype(np.int8)


def _gram(n: Array, mean: Array, C: Array, order: list[int]) -> Array:
    """Cross-products about the origin with a column of ones first, (q + 1, q + 1, S·R), then put into `order`."""
    S, q, R = mean.shape
    gram = np.empty((q + 1, q + 1, S, R))
    gram[0, 0] = n
    gram[0, 1:] = gram[1:, 0] = np.moveaxis(n[:, None] * mean, 0, 1)
    gram[1:, 1:] = np.moveaxis(C + n[:, None, None] * mean[:, :, None] * mean[:, None], 0, 2)
    return gram.reshape(q + 1, q + 1, S * R)[np.ix_(order, order)]


def _pack(n_u: Array, gram: Array, columns: Array, censored: Array, sizes: Sequence[int], order: list[int]) -> Packed:
    """Gather the censored subjects of every replicate side by side; a nested size is a prefix of them."""
    replicate, subject = np.nonzero(censored)
    rows = columns[replicate, subject].T
    packed = np.concatenate([np.ones((1, rows.shape[1])), rows])[order]
    length = np.cumsum(censored, axis=1).T[[size - 1 for size in sizes]].astype(np.intp)
    total = censored.sum(axis=1).astype(np.intp)
    first = np.broadcast_to(np.cumsum(total) - total, length.shape)
    return Packed(gram, n_u.ravel(), packed, first.ravel(), length.ravel(), len(order) - 2)


def _start(n: Array, whole: Array, theta: int) -> Array:
    """Least squares with the limit in place of what lies below it: the maximum of n log θ − δᵀGδ/2, in closed form."""
    others = [a for a in range(len(whole)) if a != theta]
    inner, across = whole[np.ix_(others, others)], whole[others, theta]
    step, _, _ = newton_step(-across, inner, np.diagonal(inner).T, np.zeros(len(n)))
    residual = whole[theta, theta] + (across * step).sum(axis=0)
    start = np.ones((len(whole), len(n)))
    start[others] = step
    return start * np.sqrt(n / np.maximum(residual, 1e-3 * whole[theta, theta]))


def _solve(data: Packed, lanes: Lanes, n: Array, whole: Array, precision: float) -> tuple[Array, NDArray[np.int8]]:
    """Estimate, standard error and σ (3, lanes), and status of the lanes, in standard units.

    `whole` are the cross-products (d, d, lanes) of all `n` subjects, with the limit where a value lies below it.

    With δ_θ = 1/σ and δ_t = −β/σ the last two parameters: β = −δ_t/δ_θ, its error by the delta method, which at the
    maximum equals the observed information in (β, σ).
    """
    scale = np.diagonal(whole).T
    start = _start(n, whole, data.theta)
    top = maximise(lambda subset, delta: data.evaluate(lanes[subset], delta), start, scale, precision)
    U, _ = eliminate(top.information, data.theta, scale)
    theta, target = top.parameters[-2:]
    a, b, c = U[-2, -2], U[-2, -1], U[-1, -1]
    determinant = a * c - b * b
    fine = top.converged & (determinant > FLAT * scale[-1] * a)
    determinant = np.where(fine, determinant, np.nan)
    variance = (c * target**2 / theta**2 + 2 * b * target / theta + a) / (theta**2 * determinant)
    status = np.where(fine, Status.OK, Status.NOT_CONVERGED).astype(np.int8)
    return np.where(fine, np.stack([-target / theta, np.sqrt(variance), 1 / theta]), np.nan), status
