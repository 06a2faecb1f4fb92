"""Does the effect run through the biomarker? Natural direct and indirect effects with assay error and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.batches import Batch, as_batch
from causalgia.analysis.estimates import Array, Effect, Status, t_effect, t_quantile
from causalgia.analysis.mediation_law import PARAMETERS, Law, observed_law
from causalgia.documents.errors import InputError

Codes = NDArray[np.int8]

LEAST_PER_ARM = 20
POINTS = 2000
"""Points of the lattice on which the distribution of a product is read."""
CHUNK = 1024


@dataclass(frozen=True)
class Mediation:
    """Effects (..., size) on the outcome: total = direct + indirect, and the two paths of which indirect is made.

    `indirect.p` tests that both paths exist (the larger p of the two); its interval is that of their product, the
    others are t intervals. `to_mediator` is the effect of treatment on the true mediator, `slope` that of the true
    mediator on the outcome; `slope.p` tests their covariance, which is less skewed. `reliability` is the share of truth
    in the mediator's reading, given arm, covariates and true baseline; `vanishing_correlation` that between the errors
    of mediator and outcome at which the indirect effect is zero. With an interaction, `slope` is that under treatment,
    `direct` and `indirect` are the pure direct and the total indirect effect, and `slope_control`, `interaction` are
    set.
    """

    total: Effect
    direct: Effect
    indirect: Effect
    to_mediator: Effect
    slope: Effect
    reliability: Array
    vanishing_correlation: Array
    law: Law
    slope_control: Effect | None = None
    interaction: Effect | None = None


def path_shown(indirect: Effect, total: Effect, alpha: float) -> np.ndarray:
    """Whether relief through the mediator is shown (..., size): the indirect and the total effect both differ from 0,
    to the same side. Without a total effect there is no relief that could run through anything.
    """
    with np.errstate(invalid="ignore"):
        both = (indirect.p < alpha) & (total.p < alpha)
    return both & (np.sign(indirect.estimate) == np.sign(total.estimate))


def mediate(
    y: ArrayLike,
    mediator: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    error: ArrayLike,
    baseline: ArrayLike | None = None,
    baseline_error: ArrayLike | None = None,
    limit: ArrayLike = -np.inf,
    error_df: ArrayLike = np.inf,
    interaction: bool = False,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
    least: int = LEAST_PER_ARM,
    limits: bool = True,
) -> Mediation:
    """Total, natural direct and natural indirect effect of a randomised treatment through a mediator read with error.

    Structure, errors normal and independent, C covariates without error, X the true baseline and M the true mediator:

        M = α₀ + a·A + α_X X + α_C C + e_M        W = M + u,  Var u = `error`, W below `limit` only known to be so
        Y = β₀ + c·A + b·M + β_X X + β_C C + e_Y  W₀ = X + u₀, Var u₀ = `baseline_error`

    indirect = a·b, direct = total − a·b, total by ANCOVA. Joint maximum likelihood with residual degrees of freedom as
    divisors: (Y, W | A, W₀, C) is bivariate normal and factorises into Y, by least squares, and W given Y, by the
    censored likelihood (`olsen`); randomisation makes X independent of the arm. b comes from the covariances less the
    error variances. Errors by the delta method, t with n − rank degrees of freedom.

    y, mediator, limit, treated, baseline, observed (..., n), covariates (..., n, p); mediator and limit on the log
    scale; a mediator ≤ limit or NaN counts as below it. `error` and `baseline_error` (by default the same) are the
    variances of the readings as given (of a mean of r: variance / r), broadcast to (..., n), so one a replicate is
    variance[..., None]; `error=0` is the naive analysis, whose indirect effect is too small by about the reliability.
    `error_df` says from how many degrees of freedom the one estimate behind both came (`replicate_error`). Complete
    cases; a subject with a baseline below its limit is not one: mark it as not observed.

    `interaction` lets b differ between the arms (fitted in each). Without `limits` the indirect effect has no interval,
    which takes a third of the time and is not needed to count claims. Refused below `least` per arm (`ARM_TOO_SMALL`);
    `ERROR_DOMINATES` where the error leaves no true variance. Nothing here is causal evidence on M → Y: see
    `mediation_sensitivity`. Raises `InputError` for shapes that do not agree and negative error variances.
    Sources: Imai, Keele and Yamamoto (2010), Statist. Sci. 25, 51; Fuller (1987), Measurement Error Models, ch. 2.
    """
    columns = [y, mediator, limit, treated, error, _second(error, baseline, baseline_error), error_df]
    batch = as_batch(
        [*columns, 0.0 if baseline is None else baseline], covariates, observed=observed, sizes=sizes, arm=3
    )
    for name, column in (("error", batch.columns[4]), ("baseline_error", batch.columns[5])):
        if np.any(batch.observed & ~(column >= 0)):
            raise InputError(name, "a negative or missing variance", "variances of at least zero")
    whole = _fit(batch, None, baseline is not None, least)
    fit = _paths(batch, whole, alpha, limits)
    return fit if not interaction else _by_arm(batch, fit, baseline is not None, alpha)


def _second(error: ArrayLike, baseline: ArrayLike | None, baseline_error: ArrayLike | None) -> ArrayLike:
    if baseline is None:
        return 0.0
    return error if baseline_error is None else baseline_error


def _fit(batch: Batch, arm: int | None, has_baseline: bool, least: int) -> Law:
    """The law of the observed, in everybody or in one arm, with lanes size · R + replicate."""
    parts = []
    for size in batch.sizes:
        for chunk in batch.chunks(CHUNK):
            columns = [column[chunk, :size] for column in batch.columns]
            seen = batch.observed[chunk, :size]
            if arm is not None:
                seen = seen & (columns[3] == arm)
            parts.append(observed_law(columns, seen, has_baseline, arm is None, least))
    return Law(*(np.concatenate(part) for part in zip(*(vars(p).values() for p in parts), strict=True)))


def structure(psi: Array, rho: float = 0.0) -> Array:
    """total, a, b(ρ), a·b, total − a·b, σ²_M, ρ̃ and q (8, ...) from the parameters (10, ...) of the observed law.

    σ²_M, σ²_Y and ρ̃ belong to the residuals of M and of Y without M. b(ρ) = σ_Y/σ_M (ρ̃ − ρ √((1 − ρ̃²)/(1 − ρ²))).
    q = Cov(M, Y | A, X, C)/s_y is zero with b, and is g_y where the baseline has no error.
    """
    total, k_y, s_y, s_b, g_a, g_b, g_y, s_w, u, u_0 = psi
    k_w = g_b + g_y * k_y
    bb, mb, yb = s_b - u_0, k_w * s_b, k_y * s_b
    m = s_w + g_y**2 * s_y + k_w * mb - u - mb**2 / bb
    ym = g_y * s_y + k_y * mb - yb * mb / bb
    yy = s_y + k_y * yb - yb**2 / bb
    tilde = ym / np.sqrt(m * yy)
    b = ym / m
    if rho:
        b = b - rho * np.sqrt(yy / m * (1 - tilde**2) / (1 - rho**2))
    a = g_a + g_y * total
    return np.stack([total, a, b, a * b, total - a * b, m, tilde, ym / s_y])


def structural_effects(law: Law, rho: float = 0.0) -> tuple[Array, Array]:
    """Values (8, L) of `structure` and their covariance (L, 8, 8), by derivatives with an imaginary step."""
    psi = law.parameters.T
    with np.errstate(invalid="ignore", divide="ignore"):
        value = structure(psi, rho)
        step = 1e-30
        slope = []
        for j in range(len(PARAMETERS)):
            moved = psi.astype(complex)
            moved[j] += 1j * step
            slope.append(structure(moved, rho).imag / step)
        J = np.stack(slope, axis=-1).transpose(1, 0, 2)
        return value, J @ law.covariance @ J.transpose(0, 2, 1)


def _proper(law: Law, value: Array) -> Codes:
    """The status of a law, `ERROR_DOMINATES` where the true variables would have no positive variance."""
    s_b, u_0 = law.parameters[:, 3], law.parameters[:, 9]
    with np.errstate(invalid="ignore"):
        proper = (s_b > u_0) & (value[5] > 0) & (np.abs(value[6]) < 1)
    return np.where((law.status == Status.OK) & ~proper, Status.ERROR_DOMINATES, law.status).astype(np.int8)


def _paths(batch: Batch, law: Law, alpha: float, limits: bool) -> Mediation:
    value, covariance = structural_effects(law)
    status = _proper(law, value)
    total, a, b, _, direct = (_effect(batch, law.df, status, value[i], covariance[:, i, i], alpha) for i in range(5))
    b = replace(b, p=_effect(batch, law.df, status, value[7], covariance[:, 7, 7], alpha).p)
    indirect = _effect(batch, law.df, status, value[3], covariance[:, 3, 3], alpha)
    if limits:
        indirect = _product(batch, law.df, status, value[1:4], covariance[:, 1:4, 1:4], alpha)
    else:
        nothing = np.full(indirect.estimate.shape, np.nan)
        indirect = replace(indirect, lower=nothing, upper=nothing)
    indirect = replace(indirect, p=np.maximum(a.p, b.p))
    truth, tilde = np.where(status == Status.OK, value[5:7], np.nan)
    reliability = truth / (truth + law.parameters[:, 8])
    law = replace(law, status=status)
    return Mediation(total, direct, indirect, a, b, _shape(batch, reliability), _shape(batch, tilde), law)


def _by_arm(batch: Batch, common: Mediation, has_baseline: bool, alpha: float) -> Mediation:
    """The same with a slope of its own in each arm; total and the effect on the mediator stay."""
    laws = [_fit(batch, arm, has_baseline, 0) for arm in (0, 1)]
    (v_0, c_0), (v_1, c_1) = (structural_effects(law) for law in laws)
    status = common.law.status
    for law, v in zip(laws, (v_0, v_1), strict=True):
        status = np.where(status == Status.OK, _proper(law, v), status)
    value, covariance = structural_effects(common.law)
    a, b = value[1], v_1[2]
    spread = np.zeros((len(a), 3, 3))
    spread[:, 0, 0], spread[:, 1, 1] = covariance[:, 1, 1], c_1[:, 2, 2]
    spread[:, 2, 2] = b**2 * covariance[:, 1, 1] + a**2 * c_1[:, 2, 2]
    var_direct = covariance[:, 0, 0] + spread[:, 2, 2] - 2 * b * covariance[:, 0, 1]
    control, slope = (
        replace(
            _effect(batch, law.df, status, v[2], c[:, 2, 2], alpha),
            p=_effect(batch, law.df, status, v[7], c[:, 7, 7], alpha).p,
        )
        for law, v, c in zip(laws, (v_0, v_1), (c_0, c_1), strict=True)
    )
    indirect = _product(batch, laws[1].df, status, np.stack([a, b, a * b]), spread, alpha)
    return replace(
        common,
        direct=_effect(batch, common.law.df, status, value[0] - a * b, var_direct, alpha),
        indirect=replace(indirect, p=np.maximum(common.to_mediator.p, slope.p)),
        slope=slope,
        slope_control=control,
        interaction=_effect(batch, laws[0].df + laws[1].df, status, b - v_0[2], c_0[:, 2, 2] + c_1[:, 2, 2], alpha),
        vanishing_correlation=_shape(batch, np.where(status == Status.OK, v_1[6], np.nan)),
    )


def _shape(batch: Batch, lanes: NDArray) -> NDArray:
    return batch.restore(lanes.reshape(len(batch.sizes), batch.replicates))


def _effect(batch: Batch, df: Array, status: Codes, estimate: Array, variance: Array, alpha: float) -> Effect:
    with np.errstate(invalid="ignore"):
        se = np.sqrt(variance)
    return t_effect(_shape(batch, estimate), _shape(batch, se), _shape(batch, df), _shape(batch, status), alpha)


def _product(batch: Batch, df: Array, status: Codes, value: Array, covariance: Array, alpha: float) -> Effect:
    """The effect a·b from a, b, a·b (3, L), its interval from the distribution of the product of two normals.

    The normals have the standard errors stretched by t/z, so that each path alone would give its t interval. Read on a
    fixed lattice of `POINTS`: no random numbers. Source: MacKinnon, Lockwood and Williams (2004), Multivar. Behav. Res.
    39, 99.
    """
    ok = np.flatnonzero(status == Status.OK)
    se = np.sqrt(covariance[ok][:, [0, 1], [0, 1]]).T
    stretch = t_quantile(1 - alpha / 2, df[ok]) / special.ndtri(1 - alpha / 2)
    r = np.clip(covariance[ok, 0, 1] / (se[0] * se[1]), -1, 1)
    bounds = np.full((2, len(status)), np.nan)
    bounds[:, ok] = _product_bounds(value[0, ok], value[1, ok], se * stretch, r, alpha)
    effect = _effect(batch, df, status, value[2], covariance[:, 2, 2], alpha)
    return replace(effect, lower=_shape(batch, bounds[0]), upper=_shape(batch, bounds[1]))


def _product_bounds(a: Array, b: Array, se: Array, r: Array, alpha: float) -> Array:
    """Quantiles α/2 and 1 − α/2 (2, L) of the product of normals with means a, b, errors se (2, L), correlation r."""
    steps = np.array([0.7548776662466927, 0.5698402909980532])  # the R₂ lattice: 1/x, 1/x² with x³ = x + 1
    z = special.ndtri((0.5 + np.arange(POINTS)[:, None] * steps) % 1)
    places = [int(np.floor(POINTS * q)) for q in (alpha / 2, 1 - alpha / 2)]
    bounds = np.empty((2, len(a)))
    for start in range(0, len(a), CHUNK):
        c = slice(start, start + CHUNK)
        x = a[c, None] + se[0, c, None] * z[:, 0]
        x *= b[c, None] + se[1, c, None] * (r[c, None] * z[:, 0] + np.sqrt(1 - r[c, None] ** 2) * z[:, 1])
        bounds[:, c] = np.partition(x, places, axis=1)[:, places].T
    return bounds


def replicate_error(readings: ArrayLike) -> tuple[Array, Array]:
    """Variance of one reading and its degrees of freedom from replicates (..., n, r), NaN where there is none.

    Pooled within subjects: Σᵢ Σⱼ (xᵢⱼ − x̄ᵢ)² / Σᵢ (rᵢ − 1). Raises `InputError` where no subject has two readings.

    >>> variance, df = replicate_error([[1.0, 1.2], [2.0, 1.6], [3.0, np.nan]])
    >>> round(float(variance), 3), int(df)
    (0.05, 2)
    """
    x = np.asarray(readings, dtype=float)
    known = np.isfinite(x)
    count = known.sum(axis=-1)
    mean = np.where(known, x, 0.0).sum(axis=-1) / np.maximum(count, 1)
    squares = np.where(known, (x - mean[..., None]) ** 2, 0.0).sum(axis=(-2, -1))
    df = np.maximum(count - 1, 0).sum(axis=-1)
    if np.any(df == 0):
        raise InputError("readings", "no subject with two readings", "replicates", "Measure some subjects twice.")
    return squares / df, df.astype(float)
