"""Reference-based multiple imputation of normal endpoints over visits, for many replicate trials at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.linear import ancova
from causalgia.documents.errors import InputError

METHODS = {
    "mar": "missing at random: the own arm's means",
    "jump": "jump to reference: the reference arm's means after the last visit seen",
    "increments": "copy increments in reference: the own mean at the last visit seen plus the reference's increments",
    "copy": "copy reference: the reference arm's means at every visit",
}
LEAST_IMPUTATIONS = 2
SWEEPS = 30
"""Data augmentation steps that forget the start where a visit is missing between two that were seen."""
LANES = 2000
"""Replicates times imputations worked on at a time."""


@dataclass(frozen=True)
class Completed:
    """Imputed data sets: values (replicate, imputation, subject, visit) and which of them were imputed (…).

    `missing` (replicate, subject, visit) and `after` the same for visits after the subject's last one seen.
    """

    values: Array
    missing: NDArray[np.bool_]
    after: NDArray[np.bool_]
    treated: Array
    covariates: Array
    lead: tuple[int, ...]


def impute(
    y: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    method: str = "mar",
    imputations: int = 20,
    generator: np.random.Generator,
) -> Completed:
    """Draw the missing values of normal outcomes over visits; NaN in y is missing.

    Model: visit t on the visits before it, arm and covariates, y_t = x·β_t + Σ_{s<t} φ_ts y_s + e_t, which is an
    unstructured covariance common to the arms with means by arm × visit and covariate × visit. Parameters are drawn
    from their posterior (p ∝ 1/σ_t² a visit), exactly where subjects leave for good; a gap between two visits seen is
    filled under MAR by data augmentation (`SWEEPS`). After the last visit d seen, residuals r from the means μ* of
    `METHODS` follow the same recursion, r_t = Σ_{s<t} φ_ts r_s + e_t:

        mar μ*_t = μ_t; jump: μ_t up to d, then ρ_t; increments: then μ_d + ρ_t − ρ_d (ρ_t where nothing was seen);
        copy: ρ_t throughout, with μ the mean of the own arm and ρ that of the reference (control).

    y (..., n, T), treated (..., n) of 0 and 1, covariates (..., n, p) complete; the result holds every completed data
    set, 8 bytes a number. Raises `InputError` for an unknown
    method, under two imputations, incomplete covariates, and visits with too few values for the regression.
    Source: Carpenter, Roger and Kenward (2013), J. Biopharm. Stat. 23, 1352; Schafer (1997), Analysis of Incomplete
    Multivariate Data, section 6.5.
    """
    if method not in METHODS:
        raise InputError("method", repr(method), f"one of {', '.join(METHODS)}")
    if imputations < LEAST_IMPUTATIONS:
        raise InputError("imputations", str(imputations), "two at least")
    y, arm, x = _arrays(y, treated, covariates)
    lead, (n, T) = y.shape[:-2], y.shape[-2:]
    y, arm, x = y.reshape(-1, n, T), arm.reshape(-1, n), x.reshape(-1, n, x.shape[-1])
    missing = np.isnan(y)
    seen_later = np.flip(np.logical_or.accumulate(np.flip(~missing, axis=2), axis=2), axis=2)
    _check_enough(seen_later, arm, x)
    values = np.empty((len(y), imputations, n, T))
    for rows in _chunks(len(y), max(1, LANES // imputations)):
        part = (y[rows], arm[rows], x[rows], seen_later[rows])
        values[rows] = _impute(*part, method, imputations, generator)
    return Completed(values, missing, missing & ~seen_later, arm, x[..., 1:], lead)


def _arrays(y: ArrayLike, treated: ArrayLike, covariates: ArrayLike | None) -> tuple[Array, Array, Array]:
    y, arm = np.asarray(y, dtype=float), np.asarray(treated, dtype=float)
    if y.ndim < 2:
        raise InputError("y", f"shape {y.shape}", "(..., n, visits)")
    extra = np.empty((*y.shape[:-1], 0)) if covariates is None else np.asarray(covariates, dtype=float)
    try:
        arm = np.broadcast_to(arm, y.shape[:-1])
        extra = np.broadcast_to(extra, (*y.shape[:-1], extra.shape[-1]))
    except ValueError as error:
        raise InputError("arrays", f"shapes {y.shape}, {arm.shape}, {extra.shape}", "shapes that agree") from error
    if not np.isin(arm, (0, 1)).all():
        raise InputError("treated", "other values", "0 for control and 1 for treated", "Recode the arms.")
    if not np.isfinite(extra).all():
        raise InputError("covariates", "a missing value", "complete covariates", "Fill or drop them beforehand.")
    if np.isinf(y).any():
        raise InputError("y", "an infinite value", "finite numbers, NaN where missing")
    return y, arm, np.concatenate([np.ones((*y.shape[:-1], 1)), extra], axis=-1)


def _check_enough(reached: NDArray[np.bool_], arm: Array, x: Array) -> None:
    """Every visit needs more subjects that reached it than its regression has coefficients, and some in each arm."""
    for t in range(reached.shape[2]):
        at = reached[:, :, t]
        fewest = int(at.sum(axis=1).min())
        needed = x.shape[2] + t + 3
        if fewest < needed or not ((at & (arm > 0)).any(axis=1) & (at & (arm == 0)).any(axis=1)).all():
            raise InputError(
                f"y, visit {t + 1}", f"{fewest} subjects with a value then or later", f"{needed} at least, in both arms"
            )


def _chunks(total: int, length: int) -> Iterator[slice]:
    for start in range(0, total, length):
        yield slice(start, min(start + length, total))


def _impute(
    y: Array, arm: Array, x: Array, reached: NDArray[np.bool_], method: str, m: int, generator: np.random.Generator
) -> Array:
    """Completed values (R, m, n, T) of one chunk."""
    R, n, T = y.shape
    design = np.concatenate([arm[..., None], x], axis=2)  # arm first
    gaps = np.isnan(y) & reached
    filled = np.broadcast_to(y[:, None], (R, m, n, T)).copy()
    if gaps.any():
        means = np.nanmean(np.where(np.isnan(y).all(axis=1, keepdims=True), 0.0, y), axis=1)
        filled = np.where(gaps[:, None], means[:, None, None], filled)
        for _ in range(SWEEPS):
            steps = [_draw(filled, design, reached, t, generator) for t in range(T)]
            _fill_gaps(filled, design, gaps, reached, steps, generator)
    steps = [_draw(filled, design, reached, t, generator) for t in range(T)]
    own, reference = (_means(design, steps, to_control) for to_control in (False, True))
    return _continue(filled, reached, own, reference, steps, method, generator)


Step = tuple[Array, Array, Array]
"""Coefficients on the design (R, m, k), on the visits before (R, m, t), and the residual variance (R, m)."""


def _draw(filled: Array, design: Array, reached: NDArray[np.bool_], t: int, generator: np.random.Generator) -> Step:
    """One draw from the posterior of the regression of visit t: σ² = RSS/χ²_{n−k}, β ~ N(β̂, σ² (XᵀX)⁻¹)."""
    R, m, n, _ = filled.shape
    at = reached[:, :, t].astype(float)
    base = np.broadcast_to(design[:, None], (R, m, n, design.shape[2]))
    X = np.concatenate([base, np.where(at[:, None, :, None] > 0, filled[..., :t], 0.0)], axis=3) * at[:, None, :, None]
    target = np.where(at[:, None] > 0, filled[..., t], 0.0)
    k = X.shape[3]
    unit = np.sqrt((X**2).sum(axis=2) / np.maximum(at.sum(axis=1), 1)[:, None, None])
    unit = np.where(unit > 0, unit, 1.0)
    X = X / unit[:, :, None]
    gram = np.swapaxes(X, 2, 3) @ X
    lower = np.linalg.cholesky(gram + 1e-12 * at.sum(axis=1)[:, None, None, None] * np.eye(k))
    across = (np.swapaxes(X, 2, 3) @ target[..., None])[..., 0]
    estimate = _solve(lower, across)
    residual = np.where(at[:, None] > 0, target - (X @ estimate[..., None])[..., 0], 0.0)
    df = (at.sum(axis=1) - k)[:, None]
    variance = (residual**2).sum(axis=2) / generator.chisquare(np.broadcast_to(df, (R, m)))
    noise = np.linalg.solve(np.swapaxes(lower, 2, 3), generator.normal(size=(R, m, k))[..., None])[..., 0]
    beta = (estimate + np.sqrt(variance)[..., None] * noise) / unit
    d = design.shape[2]
    return beta[..., :d], beta[..., d:], variance


def _solve(lower: Array, right: Array) -> Array:
    half = np.linalg.solve(lower, right[..., None])
    return np.linalg.solve(np.swapaxes(lower, -2, -1), half)[..., 0]


def _means(design: Array, steps: list[Step], to_control: bool) -> Array:
    """Means (R, m, n, T) given design alone, of the own arm or as if in the reference arm."""
    if to_control:
        design = np.concatenate([np.zeros_like(design[..., :1]), design[..., 1:]], axis=2)
    R, n, _ = design.shape
    means = np.empty((R, steps[0][2].shape[1], n, len(steps)))
    for t, (beta, phi, _) in enumerate(steps):
        means[..., t] = np.einsum("rnk,rmk->rmn", design, beta) + (means[..., :t] @ phi[..., None])[..., 0]
    return means


def _continue(
    filled: Array,
    reached: NDArray[np.bool_],
    own: Array,
    reference: Array,
    steps: list[Step],
    method: str,
    generator: np.random.Generator,
) -> Array:
    """Draw the visits after the last one seen, from the means that `method` prescribes."""
    values = filled.copy()
    d = reached.sum(axis=2)  # visits up to the last one seen
    gone = ~reached[:, None]
    if method == "mar":
        means = own
    elif method == "copy":
        means = reference
    else:
        means = np.where(gone, reference, own)
    if method == "increments":
        last = np.broadcast_to(np.maximum(d - 1, 0)[:, None, :, None], (*own.shape[:3], 1))
        apart = np.take_along_axis(own, last, axis=3) - np.take_along_axis(reference, last, axis=3)
        means = np.where(gone & (d > 0)[:, None, :, None], reference + apart, means)
    if method == "copy":  # those who stayed are not changed by the means
        means = np.where((d < reached.shape[2])[:, None, :, None], means, own)
    residual = np.where(gone, 0.0, values - means)
    for t, (_, phi, variance) in enumerate(steps):
        expected = (residual[..., :t] @ phi[..., None])[..., 0]
        noise = np.sqrt(variance)[..., None] * generator.normal(size=expected.shape)
        leaving = gone[..., t]
        residual[..., t] = np.where(leaving, expected + noise, residual[..., t])
        values[..., t] = np.where(leaving, means[..., t] + residual[..., t], values[..., t])
    return values


def _fill_gaps(
    filled: Array,
    design: Array,
    gaps: NDArray[np.bool_],
    reached: NDArray[np.bool_],
    steps: list[Step],
    generator: np.random.Generator,
) -> None:
    """Redraw each gap given all other visits of the subject: precision Σ over the regressions that it enters."""
    T = filled.shape[3]
    for t in range(T):
        if not gaps[:, :, t].any():
            continue
        precision = 1 / steps[t][2][..., None] * np.ones_like(filled[..., 0])
        pull = _predict(filled, design, steps[t], t) * precision
        for later in range(t + 1, T):
            beta, phi, variance = steps[later]
            enters = reached[:, None, :, later] / variance[..., None]
            slope = phi[..., t][..., None]
            rest = filled[..., later] - _predict(filled, design, (beta, phi, variance), later) + slope * filled[..., t]
            precision += enters * slope**2
            pull += np.where(reached[:, None, :, later], enters * slope * rest, 0.0)
        drawn = pull / precision + generator.normal(size=pull.shape) / np.sqrt(precision)
        filled[..., t] = np.where(gaps[:, None, :, t], drawn, filled[..., t])


def _predict(filled: Array, design: Array, step: Step, t: int) -> Array:
    beta, phi, _ = step
    return np.einsum("rnk,rmk->rmn", design, beta) + (filled[..., :t] @ phi[..., None])[..., 0]


@dataclass(frozen=True)
class Pooled(Effect):
    """The pooled effect with the share of its variance that is due to what is missing."""

    missing_share: Array


def rubin(estimates: ArrayLike, errors: ArrayLike, df: ArrayLike, *, alpha: float = 0.05) -> Pooled:
    """Rubin's rules over the last axis, the imputations (..., m), with the degrees of freedom of Barnard and Rubin.

    Q̄ the mean, T = W + (1 + 1/m) B; λ = (1 + 1/m) B/T, ν_m = (m − 1)/λ², ν_obs = (ν + 1)/(ν + 3) ν (1 − λ),
    1/df = 1/ν_m + 1/ν_obs with ν = `df` (...) those of complete data. `missing_share` is λ.
    Source: Barnard and Rubin (1999), Biometrika 86, 948.

    >>> pooled = rubin([1.0, 1.2, 1.4], [0.5, 0.5, 0.5], 50.0)
    >>> round(float(pooled.estimate), 3), round(float(pooled.se), 3), round(float(pooled.df), 2)
    (1.2, 0.551, 24.58)
    """
    q, se = np.asarray(estimates, dtype=float), np.asarray(errors, dtype=float)
    m = q.shape[-1]
    if m < LEAST_IMPUTATIONS:
        raise InputError("estimates", f"{m} imputation", "two at least")
    within, between = (se**2).mean(axis=-1), q.var(axis=-1, ddof=1)
    total = within + (1 + 1 / m) * between
    nu = np.broadcast_to(np.asarray(df, dtype=float), total.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (1 + 1 / m) * between / total
        seen = np.where(np.isfinite(nu), (nu + 1) / (nu + 3) * nu * (1 - share), np.inf)
        pooled_df = 1 / (share**2 / (m - 1) + 1 / seen)
    bad = ~np.isfinite(total) | (total <= 0)
    status = np.where(bad, Status.NO_VARIATION, Status.OK).astype(np.int8)
    effect = t_effect(q.mean(axis=-1), np.sqrt(total), np.where(bad, 1.0, pooled_df), status, alpha)
    return Pooled(**vars(effect), missing_share=np.where(bad, np.nan, share))


def analyse_completed(completed: Completed, *, delta: ArrayLike = 0.0, alpha: float = 0.05) -> Pooled:
    """ANCOVA of the last visit on arm and covariates in every completed data set, pooled; arrays (...).

    `delta` (scalar or (...)) is added to the imputed last visit of the treated who had left: a worse course than the
    method's, in the unit of the endpoint.
    """
    delta = np.broadcast_to(np.asarray(delta, dtype=float), completed.lead).reshape(len(completed.values))
    shift = delta[:, None] * (completed.after[:, :, -1] & (completed.treated > 0))
    y = completed.values[..., -1] + shift[:, None]
    covariates = completed.covariates if completed.covariates.shape[2] else None
    fit = ancova(y, completed.treated[:, None], None if covariates is None else covariates[:, None], alpha=alpha)
    estimate, se, df = (getattr(fit, name)[..., 0] for name in ("estimate", "se", "df"))
    pooled = rubin(estimate, se, df.mean(axis=1), alpha=alpha)
    return Pooled(**{name: value.reshape(completed.lead) for name, value in vars(pooled).items()})


def tipping_point(
    completed: Completed, *, worse: int = 1, most: float, alpha: float = 0.05, tolerance: float = 1e-4
) -> Array:
    """The smallest delta, in the direction `worse` (+1 or −1), at which the pooled test is no longer significant (...).

    By bisection on 0..`most` of `analyse_completed`, to `tolerance` · `most`: 0 where it is not significant to begin
    with, infinite where it still is at `most`. Only benefit can tip: the search follows p upwards from delta 0.
    Source: Carpenter and Kenward (2013), Multiple Imputation and its Application, chapter 10.
    """
    if worse not in (-1, 1) or not most > 0:
        raise InputError("worse, most", f"{worse}, {most}", "a direction of +1 or −1 and a positive length")

    def significant(delta: Array) -> NDArray[np.bool_]:
        pooled = analyse_completed(completed, delta=worse * delta, alpha=alpha)
        return (pooled.p < alpha) & (np.sign(pooled.estimate) == -worse)

    low, high = np.zeros(completed.lead), np.full(completed.lead, float(most))
    at_first, at_last = significant(low), significant(high)
    while np.max(high - low, initial=0.0) > tolerance * most:
        middle = (low + high) / 2
        still = significant(middle)
        low, high = np.where(still, middle, low), np.where(still, high, middle)
    return np.where(~at_first, 0.0, np.where(at_last, np.inf, high))
