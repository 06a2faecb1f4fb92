"""Planning numbers: power and sample size of tests of means and of proportions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.analysis.proportions import (
    ORDERINGS,
    SIDES,
    binomial_pmf,
    check_side,
    fisher,
    restricted_difference,
    restricted_ratio,
    unconditional_table,
)
from causalgia.documents.errors import InputError

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


def anova_power(eta_squared: ArrayLike, groups: ArrayLike, n: ArrayLike, *, alpha: float = 0.05) -> Array:
    """Power of one-way analysis of variance with n subjects in each of k groups: noncentral F, ncp = k n f².

    f² = η²/(1 − η²), degrees of freedom k − 1 and k(n − 1). Arrays broadcast.

    >>> round(float(anova_power(0.06, 4, 45)), 3)
    0.813
    """
    eta2, k, n = (np.asarray(x, dtype=float) for x in (eta_squared, groups, n))
    between, within = k - 1, k * (n - 1)
    critical = special.fdtri(between, within, 1 - alpha)
    return 1 - special.ncfdtr(between, within, k * n * eta2 / (1 - eta2), critical)


def _difference(p1: Array, p0: Array, share: Array, null: float) -> tuple[Array, Array, Array]:
    q1, q0 = restricted_difference(np.asarray(null), share * p1, share, (1 - share) * p0, 1 - share)
    return p1 - p0 - null, _spread(q1, q0, share), _spread(p1, p0, share)


def _ratio(p1: Array, p0: Array, share: Array, null: float) -> tuple[Array, Array, Array]:
    q1, q0 = restricted_ratio(np.asarray(null), share * p1, share, (1 - share) * p0, 1 - share)
    return p1 - null * p0, _spread(q1, q0, share, null), _spread(p1, p0, share, null)


def _odds_ratio(p1: Array, p0: Array, share: Array, null: float) -> tuple[Array, Array, Array]:
    events = share * p1 + (1 - share) * p0
    b = share * null + 1 - share - events * (null - 1)
    q0 = 2 * events / (b + np.sqrt(b**2 + 4 * (1 - share) * (null - 1) * events))
    q1 = null * q0 / (1 + q0 * (null - 1))
    effect = special.logit(p1) - special.logit(p0) - np.log(null)
    return effect, *(1 / (share * a * (1 - a)) + 1 / ((1 - share) * c * (1 - c)) for a, c in ((q1, q0), (p1, p0)))


def _spread(p1: Array, p0: Array, share: Array, weight: float = 1.0) -> Array:
    return p1 * (1 - p1) / share + weight**2 * p0 * (1 - p0) / (1 - share)


SCALES = {"difference": (0.0, _difference), "ratio": (1.0, _ratio), "odds ratio": (1.0, _odds_ratio)}
"""No effect on each scale, and (effect beyond the null, its variance under the null, under the truth) times N."""


def proportion_power(
    p_treated: ArrayLike,
    p_control: ArrayLike,
    n_treated: ArrayLike,
    n_control: ArrayLike,
    *,
    null: float | None = None,
    scale: str = "difference",
    alpha: float = 0.05,
    alternative: str = "two-sided",
) -> Array:
    """Power of the score test of two proportions: Φ((δ − z σ₀)/σ₁), both tails for two sides.

    δ is the effect beyond `null` (None: no effect, else a margin), z the quantile 1 − α or 1 − α/2, σ₀ the standard
    error at the proportions that fit the null best, σ₁ that at the truth. Arrays broadcast; n need not be whole.
    Raises `InputError` for unknown options. Source: Farrington and Manning (1990), Statist. Med. 9, 1447.

    >>> round(float(proportion_power(0.5, 0.75, 77, 77)), 3)
    0.901
    """
    n1, n0 = np.asarray(n_treated, dtype=float), np.asarray(n_control, dtype=float)
    effect, v0, v1 = _score_scale(p_treated, p_control, n1 / (n1 + n0), null, scale)
    check_side(alternative)
    z = special.ndtri(1 - alpha / (2 if alternative == "two-sided" else 1))
    shift, limit = effect * np.sqrt((n1 + n0) / v1), z * np.sqrt(v0 / v1)
    upper, lower = special.ndtr(shift - limit), special.ndtr(-shift - limit)
    return {"two-sided": upper + lower, "greater": upper, "less": lower}[alternative]


def proportion_size(
    p_treated: float,
    p_control: float,
    *,
    null: float | None = None,
    scale: str = "difference",
    power: float = 0.8,
    alpha: float = 0.025,
    ratio: float = 1.0,
) -> tuple[float, float]:
    """Subjects (treated, control), not rounded, treated = ratio · control, for a one-sided score test at `alpha`.

    N = ((z₁₋ₐ √V₀ + z_power √V₁)/δ)², the effect's variances V as in `proportion_power`. Raises `InputError` for
    unknown options and where there is no effect beyond the null.

    >>> [round(n, 1) for n in proportion_size(0.25, 0.05, null=0.1, alpha=0.05, power=0.9, ratio=2 / 3)]
    [173.2, 259.8]
    """
    share = ratio / (1 + ratio)
    effect, v0, v1 = (float(x) for x in _score_scale(p_treated, p_control, share, null, scale))
    if abs(effect) < 1e-9:
        raise InputError("effect", "none beyond the null", "proportions that differ from it", "Plan a larger effect.")
    N = ((special.ndtri(1 - alpha) * np.sqrt(v0) + special.ndtri(power) * np.sqrt(v1)) / effect) ** 2
    return float(share * N), float((1 - share) * N)


def _score_scale(
    p1: ArrayLike, p0: ArrayLike, share: ArrayLike, null: float | None, scale: str
) -> tuple[Array, Array, Array]:
    if scale not in SCALES:
        raise InputError("scale", repr(scale), f"one of {', '.join(SCALES)}")
    none, terms = SCALES[scale]
    p1, p0, share = (np.asarray(x, dtype=float) for x in (p1, p0, share))
    if not (np.all((p1 > 0) & (p1 < 1)) and np.all((p0 > 0) & (p0 < 1))):
        raise InputError("proportions", f"{p1} and {p0}", "values between 0 and 1, neither of them included")
    null = none if null is None else null
    if not (-1 < null < 1 if scale == "difference" else 0 < null < np.inf):
        raise InputError("null", f"{null:g}", "a difference between -1 and 1, or a ratio above 0")
    return terms(p1, p0, share, null)


def exact_power(
    p_treated: ArrayLike,
    p_control: ArrayLike,
    n_treated: int,
    n_control: int,
    *,
    test: str = "boschloo",
    alpha: float = 0.05,
    alternative: str = "two-sided",
) -> Array:
    """Power of an exact test of two proportions: the probability of all tables whose p is `alpha` or less.

    test "boschloo" or "barnard", or "fisher" (two-sided). Proportions broadcast. Raises `InputError` for other options.

    >>> [round(float(exact_power(0.7, 0.3, 15, 15, test=test)), 3) for test in ("fisher", "boschloo")]
    [0.434, 0.59]
    """
    if test == "fisher" and alternative == "two-sided":
        p = fisher(np.arange(n_treated + 1)[:, None], n_treated, np.arange(n_control + 1), n_control)
    elif test in ORDERINGS:
        p = unconditional_table(n_treated, n_control, test, alternative)
    else:
        raise InputError("test", f"{test}, {alternative}", "boschloo, barnard, or fisher with two sides")
    p1, p0 = np.broadcast_arrays(np.asarray(p_treated, dtype=float), np.asarray(p_control, dtype=float))
    treated, control = binomial_pmf(n_treated, p1), binomial_pmf(n_control, p0)
    return np.einsum("...i,ij,...j->...", treated, (p <= alpha * (1 + 1e-12)).astype(float), control)


def binomial_power(p_null: float, p: ArrayLike, n: int, *, alpha: float = 0.025, alternative: str = "greater") -> Array:
    """Power of the exact one-sided test of one proportion against `p_null`, at true proportions p (...,).

    "greater" rejects from the fewest events c with P(X ≥ c) ≤ α, "less" up to the most with P(X ≤ c) ≤ α.
    Raises `InputError` for two sides.

    >>> round(float(binomial_power(0.05, 0.2, 25)), 6)
    0.579326
    """
    if alternative not in SIDES[1:]:
        raise InputError("alternative", repr(alternative), f"one of {', '.join(SIDES[1:])}")
    order = slice(None, None, -1 if alternative == "greater" else 1)
    rejected = np.cumsum(binomial_pmf(n, p_null)[order]) <= alpha
    return binomial_pmf(n, p)[..., order] @ rejected


def equivalence_power(low: float, high: float, p: ArrayLike, n: int, *, alpha: float = 0.05) -> tuple[Array, range]:
    """Power (...,) of two one-sided exact tests that a proportion lies between low and high; the events that show it.

    Both P(X ≥ x; low) and P(X ≤ x; high) are α or less for those x. Raises `InputError` unless 0 < low < high < 1.

    >>> power, events = equivalence_power(0.5, 0.7, 0.6, 500)
    >>> round(float(power), 4), events
    (0.9965, range(269, 333))
    """
    if not 0 < low < high < 1:
        raise InputError("equivalence region", f"{low:g} to {high:g}", "0 < low < high < 1")
    above = np.cumsum(binomial_pmf(n, low)[::-1])[::-1] <= alpha
    shown = np.flatnonzero(above & (np.cumsum(binomial_pmf(n, high)) <= alpha))
    events = range(int(shown[0]), int(shown[-1]) + 1) if shown.size else range(0)
    return binomial_pmf(n, p)[..., shown].sum(axis=-1), events


@dataclass(frozen=True)
class TwoStage:
    """Give up at `r1` responders or fewer of `n1`; conclude activity with more than `r` of `n`.

    `expected` subjects and probability of `early` stopping under the null response rate.
    """

    r1: int
    n1: int
    r: int
    n: int
    expected: float
    early: float


def simon_two_stage(
    p_null: float, p: float, *, alpha: float = 0.05, power: float = 0.8, most: int = 100
) -> dict[str, TwoStage]:
    """Simon's two-stage designs up to `most` subjects: "optimal" in the expected, "minimax" in the most subjects.

    Raises `InputError` where none reaches the power. Source: Simon (1989), Control. Clin. Trials 10, 1.

    >>> found = simon_two_stage(0.2, 0.4, alpha=0.1, power=0.9)["optimal"]
    >>> found.r1, found.n1, found.r, found.n
    (3, 17, 10, 37)
    """
    if not 0 < p_null < p < 1:
        raise InputError("proportions", f"{p_null:g} and {p:g}", "0 < p_null < p < 1")
    rates = np.array([p_null, p])
    optimal: TwoStage | None = None
    minimax: TwoStage | None = None
    for n in range(2, most + 1):
        if _best_power(binomial_pmf(n, rates), alpha) < power:
            continue
        for n1 in range(1, n):
            if minimax and optimal and minimax.n < n and n1 >= optimal.expected:
                break
            found = _stages(n1, n, rates, alpha, power)
            if found and (optimal is None or found.expected < optimal.expected):
                optimal = found
            if found and (minimax is None or (found.n == minimax.n and found.expected < minimax.expected)):
                minimax = found
    if optimal is None or minimax is None:
        raise InputError("most", f"{most} subjects", "enough for the power", "Allow more, or plan a larger effect.")
    return {"optimal": optimal, "minimax": minimax}


def _stages(n1: int, n: int, rates: Array, alpha: float, power: float) -> TwoStage | None:
    """The design with those sizes that stops most often early under the null."""
    first, second = binomial_pmf(n1, rates), binomial_pmf(n - n1, rates)
    early = np.cumsum(first, axis=1)
    tried = np.flatnonzero(early[1, :n1] <= 1 - power)
    if not tried.size:
        return None
    # P(more than r, and not stopped) [rate, r1, r]: tails of the second stage at r − x₁, summed over x₁ > r₁.
    tail = np.concatenate([np.ones((2, n)), 1 - np.cumsum(second, axis=1), np.zeros((2, n))], axis=1)
    at = n + np.arange(n + 1) - np.arange(n1 + 1)[:, None]
    joint = first[:, :, None] * np.clip(np.take(tail, np.clip(at, 0, tail.shape[1] - 1), axis=1), 0, 1)
    beyond = np.cumsum(joint[:, ::-1], axis=1)[:, ::-1][:, 1:]
    for r1 in tried[::-1]:
        r = int(np.argmax(beyond[0, r1] <= alpha))
        if beyond[1, r1, r] >= power:
            stop = float(early[0, r1])
            return TwoStage(int(r1), n1, r, n, n1 + (1 - stop) * (n - n1), stop)
    return None


def _best_power(probability: Array, alpha: float) -> float:
    """Power of the best test of these two binomials (2, n + 1), randomised at its bound: no design of n has more."""
    above = np.cumsum(probability[:, ::-1], axis=1)
    c = int(np.searchsorted(above[0], alpha, side="right"))
    if c == 0:
        return float(probability[1, -1] * alpha / probability[0, -1])
    share = (alpha - above[0, c - 1]) / probability[0, -1 - c] if c < probability.shape[1] else 0.0
    return float(above[1, c - 1] + share * probability[1, -1 - c])


def _power(ncp: ArrayLike, df: ArrayLike, alpha: float, alternative: str) -> Array:
    check_side(alternative)
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
