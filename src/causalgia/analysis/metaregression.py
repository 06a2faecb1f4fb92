"""Random-effects regression of study results on what differs between the studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.estimates import Array, t_quantile
from causalgia.analysis.heterogeneity import METHODS, Estimator, Weighted, q_profile, weighted
from causalgia.documents.errors import InputError

EXACT = 1e-12
"""Residual variation below this share of what the sampling variances predict is rounding, not agreement."""


@dataclass(frozen=True)
class MetaRegression:
    """Coefficients (p,), the intercept first, each with se, interval and two-sided p; `df` is infinite without HK.

    `tau2` residual heterogeneity with its Q-profile interval, `i2` its share (0 to 1) of the total and `h2` total over
    sampling variance, `r2` the share of τ² that the moderators explain; `q` the χ² of residual heterogeneity, `qm` the
    joint test of the moderators (χ², or F with HK). `k` studies.
    """

    coefficients: Array
    se: Array
    lower: Array
    upper: Array
    p: Array
    df: float
    tau2: float
    tau2_lower: float
    tau2_upper: float
    i2: float
    h2: float
    r2: float
    q: float
    q_p: float
    qm: float
    qm_p: float
    k: int
    method: str
    covariance: Array


def meta_regression(
    y: ArrayLike,
    v: ArrayLike,
    X: ArrayLike,
    *,
    method: str | float = "REML",
    hartung_knapp: bool = True,
    at_least_wald: bool = False,
    alpha: float = 0.05,
) -> MetaRegression:
    """Random-effects regression yᵢ = b₀ + xᵢ'b + uᵢ + eᵢ with var(uᵢ) = τ² and var(eᵢ) = vᵢ known.

    y, v (k,); X (k,) or (k, m) moderators without the intercept (m = 0 gives the pooled effect). `method` is a key of
    `heterogeneity.METHODS`, or τ² itself where it is known. Hartung-Knapp scales the covariance by s² = Σ w e²/(k − p)
    and refers to t with k − p degrees of freedom; `at_least_wald` takes max(1, s²), for few studies that agree by
    chance. EE with Hartung-Knapp is multiplicative dispersion.
    Raises `InputError` for shapes, v ≤ 0, k ≤ p, dependent moderators and an unknown method.
    Source: Knapp and Hartung (2003), Statist. Med. 22, 2693; Röver, Knapp and Friede (2015), BMC Med. Res. Methodol.
    15, 99.

    >>> fit = meta_regression([-1.5, -0.9, 0.1, 0.2], [0.2, 0.1, 0.1, 0.05], [10, 20, 60, 80])
    >>> fit.coefficients.round(3).tolist()
    [-1.42, 0.021]
    """
    y, v = studies(y, v)
    estimator = tau2_estimator(method)
    k = len(y)
    X = np.column_stack([np.ones(k), _moderators(X, k)])
    p = X.shape[1]
    if k <= p:
        raise InputError("studies", str(k), f"more than {p} studies for {p} coefficients", "Drop moderators.")
    Q, R = np.linalg.qr(X)
    scale = np.abs(np.diag(R))
    if np.any(scale <= 1e-10 * np.linalg.norm(X, axis=0)):
        raise InputError("moderators", "columns that depend on each other or are constant", "independent columns")
    tau2 = float(estimator(y, v, Q))
    fit = weighted(y, v, Q, np.asarray(tau2))
    s2, df = dispersion(fit, k - p, hartung_knapp, at_least_wald)
    inverse = np.linalg.inv(R)
    coefficients = inverse @ fit.coefficients
    covariance = s2 * inverse @ fit.covariance @ inverse.T
    se = np.sqrt(np.diag(covariance))
    half = t_quantile(1 - alpha / 2, np.full(p, df)) * se
    t = coefficients / se
    test = 2 * special.stdtr(df, -np.abs(t)) if np.isfinite(df) else 2 * special.ndtr(-np.abs(t))
    return MetaRegression(
        coefficients, se, coefficients - half, coefficients + half, test, df,
        tau2, *q_profile(y, v, Q, alpha), *_explained(y, v, Q, estimator, tau2),
        *_moderator_test(coefficients[1:], covariance[1:, 1:], df), k, _named(method, hartung_knapp),
        covariance,
    )  # fmt: skip


def dispersion(fit: Weighted, residual_df: int, hartung_knapp: bool, at_least_wald: bool) -> tuple[float, float]:
    """The factor of the covariance and the degrees of freedom; refuses Hartung-Knapp where nothing varies."""
    if not hartung_knapp:
        return 1.0, np.inf
    s2 = float(fit.q) / residual_df
    if s2 < EXACT and not at_least_wald:
        raise InputError(
            "studies", "results that agree exactly", "residual variation for Hartung-Knapp", "Set at_least_wald=True."
        )
    return max(s2, 1.0) if at_least_wald else s2, float(residual_df)


def studies(y: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
    """Estimates and sampling variances as arrays (k,); `InputError` unless finite and v above 0."""
    estimates, variances = np.asarray(y, dtype=float), np.asarray(v, dtype=float)
    if estimates.ndim != 1 or estimates.shape != variances.shape:
        raise InputError("studies", f"shapes {estimates.shape} and {variances.shape}", "y and v of one shape (k,)")
    if not np.all(np.isfinite(estimates)):
        raise InputError("y", "a value that is not finite", "finite estimates", "Leave out studies without numbers.")
    if not (np.all(np.isfinite(variances)) and np.all(variances > 0)):
        raise InputError("v", "a variance that is not positive and finite", "sampling variances above 0")
    return estimates, variances


def tau2_estimator(method: str | float) -> Estimator:
    """The estimator of a name, or one that returns a known τ²; `InputError` for another name and for τ² below 0."""
    if isinstance(method, str):
        if method not in METHODS:
            raise InputError("method", repr(method), f"one of {', '.join(METHODS)}, or the known tau2")
        return METHODS[method]
    if not 0 <= method < np.inf:
        raise InputError("method", f"{method:g}", "a known tau2 of 0 or more")
    return lambda y, v, Q: np.full(y.shape[:-1], float(method))


def _named(method: str | float, hartung_knapp: bool) -> str:
    return (method if isinstance(method, str) else f"known tau2 {method:g}") + ", Hartung-Knapp" * hartung_knapp


def _moderators(X: ArrayLike, k: int) -> Array:
    columns = np.asarray(X, dtype=float)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or len(columns) != k:
        raise InputError("moderators", f"shape {columns.shape}", f"({k}, m), a row for each study")
    if not np.all(np.isfinite(columns)):
        raise InputError("moderators", "a value that is not finite", "finite moderators")
    return columns


def _explained(
    y: Array, v: Array, Q: Array, estimator: Estimator, tau2: float
) -> tuple[float, float, float, float, float]:
    """I² = τ²/(τ² + s²), H² = 1 + τ²/s², R², Q and its p, where s² = (k − p)/tr(P) is the typical sampling variance.

    Source: Higgins and Thompson (2002), Statist. Med. 21, 1539, generalised; with equal effects from Q itself.
    """
    k, p = Q.shape
    fixed = weighted(y, v, Q, np.zeros(()))
    q = float(fixed.q)
    typical = (k - p) / float((fixed.w * (1 - fixed.h)).sum())
    i2, h2 = tau2 / (tau2 + typical), 1 + tau2 / typical
    if estimator is METHODS["EE"]:
        i2, h2 = max(0.0, 1 - (k - p) / q) if q > 0 else 0.0, q / (k - p)
    alone = float(estimator(y, v, np.full((k, 1), k**-0.5))) if p > 1 else tau2
    r2 = max(0.0, 1 - tau2 / alone) if alone > 0 else 0.0
    return i2, h2, r2, q, float(special.chdtrc(k - p, q))


def _moderator_test(coefficients: Array, covariance: Array, df: float) -> tuple[float, float]:
    m = len(coefficients)
    if m == 0:
        return np.nan, np.nan
    wald = float(coefficients @ np.linalg.solve(covariance, coefficients))
    if np.isfinite(df):
        return wald / m, float(special.fdtrc(m, df, wald / m))
    return wald, float(special.chdtrc(m, wald))
