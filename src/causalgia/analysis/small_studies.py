"""Do the small studies say what the largest says? Small positive, then larger and null, is this field's pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.metaregression import MetaRegression, meta_regression, studies
from causalgia.analysis.pooling import pool
from causalgia.documents.errors import InputError

ASYMMETRY_LEAST = 10
"""Fewer studies cannot tell asymmetry from chance: Sterne et al. (2011), BMJ 343, d4002."""


@dataclass(frozen=True)
class SmallStudies:
    """The largest study (its position, estimate, se), the `k` smaller ones pooled, and pooled − largest.

    `difference` with `difference_se`, interval and two-sided p; `df` infinite where one smaller study leaves the
    heterogeneity unknown and only sampling error counts (τ² NaN).
    """

    largest: int
    largest_estimate: float
    largest_se: float
    estimate: float
    se: float
    difference: float
    difference_se: float
    lower: float
    upper: float
    p: float
    df: float
    tau2: float
    k: int


def largest_against_rest(
    y: ArrayLike, v: ArrayLike, *, size: ArrayLike | None = None, method: str | float = "REML", alpha: float = 0.05
) -> SmallStudies:
    """Pooled effect of the smaller studies against the largest: by `size` (k,), else by the smallest variance.

    With two or more smaller studies the difference is the coefficient of "smaller" in a random-effects regression (τ²
    from the smaller studies, counted for the largest too; Hartung-Knapp, at least Wald); with one, y₁ − y₀ ± z √(v₁ +
    v₀). Raises `InputError` for fewer than two studies and for two that are equally large.
    Source: Cappelleri et al. (1996), JAMA 276, 1332.

    >>> found = largest_against_rest([-1.55, -0.10], [0.0182, 0.0100], size=[12, 111])
    >>> round(found.difference, 2), round(found.lower, 2), round(found.upper, 2)
    (-1.45, -1.78, -1.12)
    """
    y, v = studies(y, v)
    if len(y) < 2:
        raise InputError("studies", str(len(y)), "at least 2 studies to compare", "Report the one study.")
    largest = _largest(1 / v if size is None else np.asarray(size, dtype=float), len(y))
    smaller = np.arange(len(y)) != largest
    k = len(y) - 1
    if k == 1:
        estimate, se, df, tau2 = float(y[smaller][0]), float(np.sqrt(v[smaller][0])), np.inf, np.nan
        difference, error = estimate - float(y[largest]), float(np.sqrt(v.sum()))
    else:
        rest = pool(y[smaller], v[smaller], method=method, at_least_wald=True, alpha=alpha)
        both = meta_regression(y, v, smaller.astype(float), method=method, at_least_wald=True, alpha=alpha)
        estimate, se, df, tau2 = rest.estimate, rest.se, both.df, both.tau2
        difference, error = float(both.coefficients[1]), float(both.se[1])
    quantile = special.stdtrit(df, 1 - alpha / 2) if np.isfinite(df) else special.ndtri(1 - alpha / 2)
    tail = special.stdtr(df, -abs(difference / error)) if np.isfinite(df) else special.ndtr(-abs(difference / error))
    return SmallStudies(
        largest, float(y[largest]), float(np.sqrt(v[largest])), estimate, se, difference, error,
        difference - float(quantile) * error, difference + float(quantile) * error, float(2 * tail), df, tau2, k,
    )  # fmt: skip


def egger(y: ArrayLike, v: ArrayLike, *, method: str | float = "REML", alpha: float = 0.05) -> MetaRegression:
    """Asymmetry of the funnel: random-effects regression on the standard error, whose slope [1] is zero without it.

    Raises `InputError` under `ASYMMETRY_LEAST` studies. Source: Egger et al. (1997), BMJ 315, 629; Sterne and Egger
    (2005), in Rothstein et al., Publication Bias in Meta-Analysis, ch. 6 (mixed-effects form).

    >>> slope = egger(np.linspace(-1, 0, 12), np.linspace(1, 0.1, 12)).coefficients[1]
    >>> bool(slope < 0)
    True
    """
    y, v = studies(y, v)
    if len(y) < ASYMMETRY_LEAST:
        raise InputError(
            "studies", str(len(y)), f"at least {ASYMMETRY_LEAST} for a test of asymmetry", "Use largest_against_rest."
        )
    return meta_regression(y, v, np.sqrt(v), method=method, hartung_knapp=False, alpha=alpha)


def _largest(size: np.ndarray, k: int) -> int:
    if size.shape != (k,) or not np.all(np.isfinite(size)):
        raise InputError("size", f"shape {size.shape}", f"a finite size for each of {k} studies")
    if np.count_nonzero(size == size.max()) > 1:
        raise InputError("size", "two largest studies of one size", "one largest study", "Give sizes that tell.")
    return int(size.argmax())
