"""Pooling study results with random effects: the mean, what the next study may find, an exact test for few studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.estimates import Array, t_quantile
from causalgia.analysis.heterogeneity import Estimator, weighted
from causalgia.analysis.metaregression import meta_regression, studies, tau2_estimator
from causalgia.documents.errors import InputError

EXACT_MOST = 14
"""Most studies for which all sign changes are tried (8192 after symmetry, about a second)."""
CHUNK = 1024
TIE = 1e-9
"""Statistics that fall short of the observed one by less than this share are as large: they differ by rounding."""


@dataclass(frozen=True)
class Pooled:
    """A pooled effect in the unit of the studies; fields as in `MetaRegression`.

    `prediction_lower` to `prediction_upper` holds the true effect of a further study with probability 1 − alpha; NaN
    for two studies, where `prediction_interval` says why.
    """

    estimate: float
    se: float
    lower: float
    upper: float
    p: float
    df: float
    tau2: float
    tau2_lower: float
    tau2_upper: float
    i2: float
    h2: float
    q: float
    q_p: float
    prediction_lower: float
    prediction_upper: float
    k: int
    method: str


@dataclass(frozen=True)
class Permutation:
    """An exact p, the smallest p that k studies can give (2/2ᵏ), and the number of sign arrangements 2ᵏ."""

    p: float
    smallest: float
    arrangements: int


def pool(
    y: ArrayLike,
    v: ArrayLike,
    *,
    method: str | float = "REML",
    hartung_knapp: bool = True,
    at_least_wald: bool = False,
    alpha: float = 0.05,
) -> Pooled:
    """The random-effects mean μ̂ = Σ wy/Σ w, w = 1/(v + τ²), of estimates y (k,) with sampling variances v (k,).

    Options as in `meta_regression`. The prediction interval is μ̂ ± t √(se² + τ²) with the degrees of freedom of the
    interval: k − 1 with Hartung-Knapp, else normal. With two or three studies the Hartung-Knapp interval may be very
    wide, or very narrow where they agree by chance: `at_least_wald` prevents the latter.
    Raises `InputError` for fewer than two studies, shapes, v ≤ 0 and an unknown method.
    Source: Hartung and Knapp (2001), Statist. Med. 20, 3875; Partlett and Riley (2017), Statist. Med. 36, 301.

    >>> fit = pool([-1.55, -0.10, 0.05], [0.0182, 0.1225, 0.0400])
    >>> round(fit.estimate, 2), round(fit.lower, 2), round(fit.upper, 2)
    (-0.56, -2.78, 1.67)
    """
    y, v = studies(y, v)
    k = len(y)
    if k < 2:
        raise InputError("studies", str(k), "at least 2 studies to pool", "Report the one study with its own interval.")
    fit = meta_regression(
        y, v, np.empty((k, 0)), method=method, hartung_knapp=hartung_knapp, at_least_wald=at_least_wald, alpha=alpha
    )
    estimate, se = float(fit.coefficients[0]), float(fit.se[0])
    half = _spread(se, fit.tau2, fit.df, alpha) if k >= 3 else np.nan
    return Pooled(
        estimate, se, float(fit.lower[0]), float(fit.upper[0]), float(fit.p[0]), fit.df, fit.tau2, fit.tau2_lower,
        fit.tau2_upper, fit.i2, fit.h2, fit.q, fit.q_p, estimate - half, estimate + half, k, fit.method,
    )  # fmt: skip


def prediction_interval(pooled: Pooled, alpha: float = 0.05) -> tuple[float, float]:
    """Where the true effect of a further study lies with probability 1 − alpha; `InputError` for two studies.

    >>> lower, upper = prediction_interval(pool([0.1, 0.9, 0.4, -0.2], [0.01, 0.02, 0.04, 0.02]))
    >>> round(lower, 2), round(upper, 2)
    (-1.32, 1.91)
    """
    if pooled.k < 3:
        raise InputError(
            "studies", str(pooled.k), "at least 3 studies for a prediction interval", "Show the studies one by one."
        )
    half = _spread(pooled.se, pooled.tau2, pooled.df, alpha)
    return pooled.estimate - half, pooled.estimate + half


def _spread(se: float, tau2: float, df: float, alpha: float) -> float:
    return float(t_quantile(1 - alpha / 2, np.asarray(df)) * np.sqrt(se**2 + tau2))


def permutation_p(
    y: ArrayLike, v: ArrayLike, *, method: str | float = "REML", hartung_knapp: bool = True
) -> Permutation:
    """Exact two-sided p of no effect on average: the share of the 2ᵏ sign changes of y with as large a |μ̂/se|.

    Valid under symmetry of the true effects about zero, whatever their distribution; τ² is estimated anew each time.
    Below six studies p cannot fall under 0.05. Raises `InputError` for fewer than 2 or more than `EXACT_MOST` studies.
    Source: Follmann and Proschan (1999), Biometrics 55, 732.

    >>> permutation_p([-2.0, -0.6, -0.9, -0.1], [0.64, 0.25, 0.36, 0.04]).p
    0.125
    """
    y, v = studies(y, v)
    k = len(y)
    if not 2 <= k <= EXACT_MOST:
        raise InputError("studies", str(k), f"2 to {EXACT_MOST} studies", "Use the Hartung-Knapp test of `pool`.")
    estimator = tau2_estimator(method)
    half = np.arange(2 ** (k - 1))  # the first sign fixed: the statistic is symmetric
    signs = np.where((half[:, None] >> np.arange(k)) & 1, -1.0, 1.0)
    chunks = [signs[start : start + CHUNK] * y for start in range(0, len(half), CHUNK)]
    statistics = np.concatenate([_statistic(chunk, v, estimator, hartung_knapp) for chunk in chunks])
    as_large = statistics >= statistics[0] * (1 - TIE)
    return Permutation(float(as_large.mean()), 2.0 ** (1 - k), 2**k)


def _statistic(y: Array, v: Array, estimator: Estimator, hartung_knapp: bool) -> Array:
    """|μ̂/se| of each row; infinite where all studies agree exactly."""
    Q = np.full((len(v), 1), len(v) ** -0.5)
    fit = weighted(y, v, Q, estimator(y, v, Q))
    variance = fit.covariance[..., 0, 0]
    if hartung_knapp:
        variance = variance * fit.q / (len(v) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(fit.coefficients[..., 0]) / np.sqrt(variance)
    return np.where(np.isnan(ratio), 0.0, ratio)
