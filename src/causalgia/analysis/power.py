"""Planning numbers: power and sample size of t tests and of the analysis of covariance."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

SIDES = ("two-sided", "greater", "less")
MOST = 1e7
"""Subjects beyond which a sample size is refused."""


def t_power(
    d: ArrayLike,
    n: ArrayLike,
    n_control: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    alternative: str = "two-sided",
) -> Array:
    """Power of the t test for a standardised difference d = δ/σ: noncentral t with ncp = d √m.

    One sample or pairs: m = n, df = n − 1; two samples: 1/m = 1/n + 1/n_control, df = n + n_control − 2. Arrays
    broadcast; n need not be whole. Raises `InputError` for an unknown alternative.

    >>> round(float(t_power(0.5, 64, 64)), 4)
    0.8015
    """
    n = np.asarray(n, dtype=float)
    if n_control is None:
        return _power(np.sqrt(n) * d, n - 1, alpha, alternative)
    control = np.asarray(n_control, dtype=float)
    return _power(np.sqrt(n * control / (n + control)) * d, n + control - 2, alpha, alternative)


def t_size(
    d: float, *, power: float = 0.8, alpha: float = 0.05, alternative: str = "two-sided", paired: bool = False
) -> float:
    """Subjects per arm (pairs if `paired`), not rounded, at which `t_power` reaches `power`.

    >>> round(t_size(0.5), 3)
    63.766
    """
    return _solve(lambda n: t_power(d, n, None if paired else n, alpha=alpha, alternative=alternative), power, 2.0)


def ancova_power(
    difference: ArrayLike,
    sd: ArrayLike,
    correlation: ArrayLike,
    n_treated: ArrayLike,
    n_control: ArrayLike,
    *,
    alpha: float = 0.05,
    covariates: int = 1,
    imbalance: float = 0.0,
) -> Array:
    """Two-sided power of the analysis of covariance: noncentral t with N − 2 − s degrees of freedom.

    ncp = δ / √(σ² (1 − ρ²) (1/n₁ + 1/n₀) f), f = 1 + s/(N − s − 3) + Δ² n₁n₀/(N(N − 2)): s = `covariates` normal ones
    explain ρ² (`correlation`²) of the variance, their chance imbalance costs its expectation s/(N − s − 3), and a
    systematic one of Δ = `imbalance` standard deviations, in a study without randomisation, the last term.
    Arrays broadcast. Source: Shieh (2020), Psychometrika 85, 101, with the expected noncentrality.

    >>> round(float(ancova_power(1.5, 2.0, 0.4, 25, 25)), 3)
    0.8
    """
    n1, n0 = np.asarray(n_treated, dtype=float), np.asarray(n_control, dtype=float)
    N = n1 + n0
    f = 1 + covariates / (N - covariates - 3) + imbalance**2 * n1 * n0 / (N * (N - 2))
    variance = np.square(sd) * (1 - np.square(correlation)) * (1 / n1 + 1 / n0) * f
    return _power(np.asarray(difference) / np.sqrt(variance), N - 2 - covariates, alpha, "two-sided")


def ancova_size(
    difference: float,
    sd: float,
    correlation: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    covariates: int = 1,
    imbalance: float = 0.0,
    ratio: float = 1.0,
) -> tuple[int, int]:
    """Whole numbers (treated, control), treated = ratio · control rounded up, at which `ancova_power` reaches `power`.

    >>> ancova_size(1.5, 2.0, 0.4), ancova_size(1.5, 2.0, 0.4, power=0.9)
    ((25, 25), (33, 33))
    """

    def at(control: float) -> Array:
        arms = (ratio * control, control)
        return ancova_power(difference, sd, correlation, *arms, alpha=alpha, covariates=covariates, imbalance=imbalance)

    least = (covariates + 3.5) / (1 + ratio)
    control = ceil(_solve(at, power, least) - 1e-9)
    return ceil(ratio * control - 1e-9), control


def _power(ncp: ArrayLike, df: ArrayLike, alpha: float, alternative: str) -> Array:
    if alternative not in SIDES:
        raise InputError("alternative", repr(alternative), f"one of {', '.join(SIDES)}")
    ncp, df = np.broadcast_arrays(np.asarray(ncp, dtype=float), np.asarray(df, dtype=float))
    if alternative == "two-sided":
        t = special.stdtrit(df, 1 - alpha / 2)
        return 1 - special.nctdtr(df, ncp, t) + special.nctdtr(df, ncp, -t)
    t = special.stdtrit(df, 1 - alpha)
    return 1 - special.nctdtr(df, ncp if alternative == "greater" else -ncp, t)


def _solve(power_at: Callable[[float], Array], power: float, least: float) -> float:
    """The smallest n ≥ `least` with that power; power grows with n."""
    from scipy.optimize import brentq  # slow to import

    if power_at(least) >= power:
        return least
    if not power_at(MOST) >= power:
        raise InputError(
            "power", f"{float(power_at(MOST)):.3g} at {MOST:g} subjects", f"{power}", "Plan a larger effect."
        )
    high = 2 * least
    while power_at(high) < power:
        high *= 2
    return float(brentq(lambda n: float(power_at(n)) - power, high / 2, high, xtol=1e-9, rtol=1e-12))
