"""Who should be spared: does the effect differ between high and low biomarker?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.batches import as_batch
from causalgia.analysis.estimates import Array, Effect, Status, t_effect, t_quantile
from causalgia.analysis.linear import NOISE, ancova_by
from causalgia.analysis.moments import eliminate, nested_moments
from causalgia.analysis.tails import bivariate_cdf
from causalgia.documents.errors import InputError

CHUNK = 256
UNLIKELY = 0.2
"""Who is less likely than this to gain what matters should be spared."""


def difference_of_effects(
    y: Array,
    treated: NDArray[np.bool_],
    covariates: Array,
    low: NDArray[np.bool_],
    *,
    observed: NDArray[np.bool_],
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> tuple[Effect, Effect]:
    """The effect in everybody by ANCOVA, and the effect in the low stratum minus that in the high one.

    The difference is that of two analyses, se² = se_low² + se_high², with Welch's degrees of freedom. Arrays as in
    `ancova`, `low` (..., n); results (..., size).
    """
    every, in_low, in_high = ancova_by(y, treated, covariates, low, observed=observed, sizes=sizes, alpha=alpha)
    variance = in_low.se**2 + in_high.se**2
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variance**2 / (in_low.se**4 / in_low.df + in_high.se**4 / in_high.df)
    status = np.where(in_low.status != Status.OK, in_low.status, in_high.status)
    return every, t_effect(in_low.estimate - in_high.estimate, np.sqrt(variance), df, status, alpha)


@dataclass(frozen=True)
class Gradient:
    """The effect as a line over the true biomarker, effect(x) = effect at `centre` + slope · (x − centre); (..., size).

    `slope` is the interaction with its test; `at_centre` the effect at `centre`, the mean biomarker; `covariance` that
    of the two; `reliability` the share of truth in the reading, given the covariates.
    """

    slope: Effect
    at_centre: Effect
    covariance: Array
    centre: Array
    reliability: Array
    alpha: float

    def at(self, x: ArrayLike) -> Effect:
        """The effect at true biomarker values x (k,), with t intervals point by point: arrays (..., size, k)."""
        estimate, se = self._line(x)
        df = np.broadcast_to(self.slope.df[..., None], se.shape)
        status = np.broadcast_to(self.slope.status[..., None], se.shape)
        return t_effect(estimate, se, df, status, self.alpha)

    def chance_of_benefit(self, x: ArrayLike, least: float, *, better: int = -1, monotone: bool = True) -> Array:
        """P(the effect at x is a gain of more than `least`), arrays (..., size, k).

        Posterior under flat priors. `better` is −1 where less of the endpoint is better. `monotone`: given that
        the gain does not fall as the biomarker rises (the drug removes it): the posterior restricted to
        better · slope ≥ 0, P(gain(x) > least | better · slope ≥ 0) = Φ₂/Φ of normals with the quantiles of the t.
        """
        if better not in (-1, 1):
            raise InputError("better", str(better), "-1 (less is better) or +1")
        estimate, se = self._line(x)
        df = np.broadcast_to(self.slope.df[..., None], se.shape)
        with np.errstate(invalid="ignore"):
            h = _normal_scale((better * estimate - least) / se, df)
            if not monotone:
                return special.ndtr(h)
            b, s = self.slope.estimate[..., None], self.slope.se[..., None]
            k = _normal_scale(np.broadcast_to(better * b / s, se.shape), df)
            x = np.asarray(x, dtype=float)
            across = self.covariance[..., None] + (x - self.centre[..., None]) * s**2
            r = np.clip(across / (se * s), -1 + 1e-12, 1 - 1e-12)
            joint = bivariate_cdf(h, k, np.arctanh(r))
        return np.clip(joint / special.ndtr(k), 0, 1)

    def spare(self, x: ArrayLike, least: float, *, better: int = -1, monotone: bool = True) -> NDArray[np.bool_]:
        """Where on x (k,) the chance of a gain of more than `least` is below 0.2: arrays (..., size, k)."""
        return self.chance_of_benefit(x, least, better=better, monotone=monotone) < UNLIKELY

    def _line(self, x: ArrayLike) -> tuple[Array, Array]:
        d = np.asarray(x, dtype=float) - self.centre[..., None]
        estimate = self.at_centre.estimate[..., None] + d * self.slope.estimate[..., None]
        c = self.covariance[..., None]
        variance = self.at_centre.se[..., None] ** 2 + 2 * d * c + d**2 * self.slope.se[..., None] ** 2
        return estimate, np.sqrt(variance)


def _normal_scale(t: Array, df: Array) -> Array:
    """The normal quantile of the same probability as t."""
    return special.ndtri(np.clip(special.stdtr(df, t), 1e-300, 1 - 1e-16))


def effect_by_biomarker(
    y: ArrayLike,
    treated: ArrayLike,
    biomarker: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    error: ArrayLike,
    error_df: float = np.inf,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> Gradient:
    """How the effect changes with the true baseline biomarker x (log TNF), of which W = x + u is read, Var u = `error`.

    y = β₀ + β₁ A + β₂ x + β₃ A (x − x̄) + β_C C + e, effect(x) = β₁ + β₃ (x − x̄). Regression calibration: x is replaced
    by E(x | W, C) = x̂_C + λ (W − x̂_C), with x̂_C the regression of W on C, λ = 1 − error / Var(W | C); without it the
    slope shrinks towards none. Least squares, t with n − rank degrees of freedom; where the interval of a slope depends
    on λ, se² gains β₃² Var(λ)/λ² by the delta method (with `error_df` for the error's own uncertainty). The test of
    no interaction does not need it, and is that of the calibrated regression.

    y, treated, biomarker, error, observed (..., n), covariates (..., n, p); results (..., size), complete cases. A
    design that randomises nobody with a low biomarker extrapolates: report it on the values that were enrolled only.
    Statuses as in `ancova`, `ERROR_DOMINATES` where λ ≤ 0. Raises `InputError` for a negative error variance.
    Source: Carroll, Ruppert, Stefanski and Crainiceanu (2006), Measurement Error in Nonlinear Models, chapter 4.
    """
    batch = as_batch([y, treated, biomarker, error], covariates, observed=observed, sizes=sizes, arm=1)
    if np.any(batch.observed & ~(batch.columns[3] >= 0)):
        raise InputError("error", "a negative or missing variance", "variances of at least zero")
    rows = []
    for size in batch.sizes:
        parts = []
        for chunk in batch.chunks(CHUNK):
            columns = [column[chunk, :size] for column in batch.columns]
            parts.append(_gradient(columns, batch.observed[chunk, :size], error_df))
        rows.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    b1, v11, b3, v33, v13, extra, centre, reliability, df, status = (
        batch.restore(np.stack(row)) for row in zip(*rows, strict=True)
    )
    status = status.astype(np.int8)
    slope = t_effect(b3, np.sqrt(v33), df, status, alpha)
    wider = np.sqrt(v33 + extra)
    half = t_quantile(1 - alpha / 2, df) * wider
    ok = np.where(status == Status.OK, 0.0, np.nan)
    slope = Effect(slope.estimate, wider + ok, slope.df, slope.p, b3 - half + ok, b3 + half + ok, status)
    at_centre = t_effect(b1, np.sqrt(v11), df, status, alpha)
    return Gradient(slope, at_centre, v13 + ok, centre + ok, reliability + ok, alpha)


def _gradient(columns: Sequence[Array], seen: NDArray[np.bool_], error_df: float) -> tuple[NDArray, ...]:
    """The parts of a `Gradient` (R,) for one chunk: columns (R, n) are y, arm, reading, error, covariates."""
    y, arm, w, error, *covariates = (np.where(seen, column, 0.0) for column in columns)
    p = len(covariates)
    weight = seen.astype(float)
    with np.errstate(invalid="ignore", over="ignore"):  # told by the status
        n, mean, C = (m[0] for m in nested_moments(np.stack([*covariates, w], axis=2), weight, [w.shape[1]]))
    finite = np.isfinite(C).all(axis=(0, 1)) & np.isfinite(np.where(seen, y, 0.0)).all(axis=1)
    C = np.where(finite, C, np.eye(p + 1)[..., None])
    U, kept = eliminate(C, p)
    count = np.maximum(n, 1)
    free = np.maximum(n - 1 - kept.sum(axis=0), 1)
    spread = U[p, p] / free
    u = np.where(seen, error, 0.0).sum(axis=1) / count
    flat = U[p, p] <= NOISE * np.maximum(C[p, p], 1e-300)
    reliability = np.where(flat, 0.0, 1 - u / np.where(flat, 1, spread))
    # Var(λ)/λ², λ = 1 − u/s: (u/s)² (2/free + 2/error_df)
    usable = reliability > 0
    relative = ((1 - reliability) / np.where(usable, reliability, 1)) ** 2 * (2 / free + 2 / error_df)
    x = _calibrated(U, kept, mean, covariates, w, reliability, p)
    v = np.stack([*covariates, x, arm * x, arm, y], axis=2) * weight[..., None]
    with np.errstate(invalid="ignore", over="ignore"):
        n, mean_v, C = (m[0] for m in nested_moments(np.where(finite[:, None, None], v, 0.0), weight, [w.shape[1]]))
    U, kept = eliminate(C, p + 3)
    df = n - 1 - kept.sum(axis=0)
    share = mean_v[p + 2]
    rss = np.maximum(U[-1, -1], 0)
    conditions = [~finite, n == 0, (share <= 0) | (share >= 1), ~usable, ~kept[p + 1 :].all(axis=0), df < 1]
    codes = [Status.NOT_FINITE, Status.TOO_FEW, Status.NO_ARM, Status.ERROR_DOMINATES, Status.SINGULAR, Status.TOO_FEW]
    conditions, codes = [*conditions, rss <= NOISE * C[-1, -1]], [*codes, Status.NO_VARIATION]
    status = np.select(conditions, codes, Status.OK).astype(np.int8)
    ok = status == Status.OK
    df = np.where(ok, df, 1)
    # rows of arm·x (i) and arm (j) hold their triangle: b_arm first, then b_(arm·x)
    i, j = p + 1, p + 2
    d_i, d_j = np.where(ok, U[i, i], 1), np.where(ok, U[j, j], 1)
    b_arm = U[j, -1] / d_j
    b_x = (U[i, -1] - U[i, j] * b_arm) / d_i
    s2 = rss / df
    v_arm = s2 / d_j
    across = -U[i, j] / d_i
    v_x, v_cross = s2 / d_i + across**2 * v_arm, across * v_arm
    c = mean_v[p]  # the mean of the calibrated biomarker, which is that of the reading
    at_centre = b_arm + c * b_x
    v_centre = v_arm + 2 * c * v_cross + c**2 * v_x
    return at_centre, v_centre, b_x, v_x, v_cross + c * v_x, b_x**2 * relative, c, reliability, df, status


def _calibrated(
    U: Array, kept: NDArray[np.bool_], mean: Array, covariates: list[Array], w: Array, reliability: Array, p: int
) -> Array:
    """E(x | W, C) (R, n): the regression of W on the covariates by back substitution, then towards it by 1 − λ."""
    coefficients = np.zeros((p, w.shape[0]))
    for k in range(p - 1, -1, -1):
        rest = U[k, p] - (U[k, k + 1 : p] * coefficients[k + 1 :]).sum(axis=0)
        coefficients[k] = np.where(kept[k], rest / np.where(kept[k], U[k, k], 1), 0)
    fitted = np.repeat(mean[p][:, None], w.shape[1], axis=1)
    for k in range(p):
        fitted = fitted + coefficients[k][:, None] * (covariates[k] - mean[k][:, None])
    return fitted + reliability[:, None] * (w - fitted)
