"""Sensitivity analyses of values below a limit: paired signs and ranks, other families, a profile interval.

Robust regression on order statistics is in `lognormal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.batches import Batch, as_batch
from causalgia.analysis.estimates import Array, Status
from causalgia.analysis.tails import log_cdf
from causalgia.documents.errors import InputError

EXACT_UP_TO = 40
"""Pairs up to which the distribution over all signs is computed."""
CHUNK = 512
FAMILIES = ("norm", "logistic", "cauchy")
_FINE = {"xatol": 1e-9}


@dataclass(frozen=True)
class PairedTest:
    """A paired test of a against b (..., size): `higher` and `lower` count pairs with a above and below b.

    `undecided` pairs are tied or cannot be ordered; `p` is two-sided, 1 where no pair is decided.
    """

    higher: Array
    lower: Array
    undecided: Array
    p: Array
    status: NDArray[np.int8]


def sign_test(
    a: ArrayLike,
    limit_a: ArrayLike,
    b: ArrayLike,
    limit_b: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
) -> PairedTest:
    """Exact sign test of pairs, such as two sides or two visits, when either may lie below its limit.

    A pair is decided when its order is known: both values known and unequal, or one known and above the other's limit.
    p = 2 P(Binomial(m, ½) ≤ min(higher, lower)) over the m decided pairs, which is valid whatever the limits, as long
    as both sides share them. a, limit_a, b, limit_b, observed (..., n) as in `censored_paired`; `TOO_FEW` without one.
    Source: Lehmann (1975), Nonparametrics, chapter 3; Helsel (2012), Statistics for Censored Environmental Data, ch. 8.

    >>> float(sign_test([1.0, 2, 3, 4, 5], 0.0, [0.5, 1, 9, 0, 1], 1.0).p[0])
    0.625
    """
    batch = as_batch([a, limit_a, b, limit_b], observed=observed, sizes=sizes)
    rows = []
    for size in batch.sizes:
        a_, la, b_, lb = (column[:, :size] for column in batch.columns)
        seen = batch.observed[:, :size]
        known_a, known_b = a_ > la, b_ > lb
        above = seen & known_a & np.where(known_b, a_ > b_, a_ > lb)
        under = seen & known_b & np.where(known_a, b_ > a_, b_ > la)
        higher, lower, n = (x.sum(axis=1).astype(float) for x in (above, under, seen))
        p = np.minimum(1, 2 * special.bdtr(np.minimum(higher, lower), (higher + lower).astype(int), 0.5))
        rows.append(_row(higher, lower, n, np.where(higher + lower > 0, p, 1.0)))
    return _restore(batch, rows)


def signed_rank_test(
    a: ArrayLike,
    limit_a: ArrayLike,
    b: ArrayLike,
    limit_b: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    exact_up_to: int = EXACT_UP_TO,
) -> PairedTest:
    """Wilcoxon's signed rank test of pairs with ties and values below limits.

    Everything at or below the highest limit of the replicate's pairs, on either side, is set to that limit, which keeps
    the two sides exchangeable under the null. Differences of zero are ranked and then dropped (Pratt); midranks for
    ties. p from all signs up to `exact_up_to` pairs, above that normal: mean Σr/2, variance Σr²/4 over differences that
    are not zero, without continuity correction. Arrays as in `sign_test`.
    Source: Pratt (1959), J. Am. Stat. Assoc. 54, 655.

    >>> float(signed_rank_test([1.0, 2, 3, 4, 5], -9.0, [0.5, 1, 1.5, 2, 2.5], -9.0).p[0])
    0.0625
    """
    batch = as_batch([a, limit_a, b, limit_b], observed=observed, sizes=sizes)
    rows = []
    for size in batch.sizes:
        parts = [_signed_ranks(batch, chunk, size, exact_up_to) for chunk in batch.chunks(CHUNK)]
        rows.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    return _restore(batch, rows)


def _row(higher: Array, lower: Array, n: Array, p: Array) -> list[Array]:
    status = np.where(n == 0, Status.TOO_FEW, Status.OK)
    return [higher, lower, n - higher - lower, np.where(n == 0, np.nan, p), status.astype(float)]


def _restore(batch: Batch, rows: list[list[Array]]) -> PairedTest:
    *numbers, status = (batch.restore(np.stack(x)) for x in zip(*rows, strict=True))
    higher, lower, undecided, p = numbers
    return PairedTest(higher, lower, undecided, p, status.astype(np.int8))


def _signed_ranks(batch: Batch, chunk: slice, size: int, exact_up_to: int) -> list[Array]:
    a, la, b, lb = (column[chunk, :size] for column in batch.columns)
    seen = batch.observed[chunk, :size]
    bound = np.where(seen, np.maximum(la, lb), -np.inf).max(axis=1, keepdims=True)
    high = [np.where(x > bound, x, bound) for x in (a, b)]
    with np.errstate(invalid="ignore"):
        d = np.where(seen & (high[0] != high[1]), high[0] - high[1], 0.0)
    size_of = np.where(seen, np.abs(d), np.inf)
    less = (size_of[:, None, :] < size_of[:, :, None]).sum(axis=2)
    tied = (size_of[:, None, :] == size_of[:, :, None]).sum(axis=2)
    doubled = np.where(d != 0, 2 * less + tied + 1, 0)  # twice the midrank, 0 for what does not count
    plus, total = (doubled * (d > 0)).sum(axis=1), doubled.sum(axis=1)
    far = np.abs(2 * plus - total)
    spread = np.sqrt((doubled.astype(float) ** 2).sum(axis=1))
    p = 2 * special.ndtr(-far / np.where(spread > 0, spread, 1))
    n = seen.sum(axis=1)
    for lane in np.flatnonzero((n <= exact_up_to) & (total > 0)):
        p[lane] = _all_signs(tuple(sorted(doubled[lane][doubled[lane] > 0].tolist())), int(far[lane]))
    higher, lower = (d > 0).sum(axis=1).astype(float), (d < 0).sum(axis=1).astype(float)
    return _row(higher, lower, n.astype(float), np.where(total > 0, p, 1.0))


def _all_signs(ranks: tuple[int, ...], far: int) -> float:
    """P(|Σ ± rank| ≥ far) over all equally likely signs."""
    chance = np.zeros(sum(ranks) + 1)  # of the sum of those with a plus
    chance[0] = 1.0
    for rank in ranks:
        moved = chance / 2
        moved[rank:] += chance[: len(chance) - rank] / 2
        chance = moved
    return float(min(1.0, chance[np.abs(2 * np.arange(len(chance)) - sum(ranks)) >= far].sum()))


def location_scale(lower: ArrayLike, upper: ArrayLike, *, family: str = "cauchy") -> tuple[float, float]:
    """Location and scale by maximum likelihood when each value is only known to lie between `lower` and `upper`.

    Equal bounds are a known value, lower −inf one below a limit, upper inf one above; (n,), on the log scale for a
    biomarker. `family` is one of `FAMILIES`; the Cauchy is the sensitivity analysis for outliers.
    Raises `InputError` for an unknown family, crossed bounds, and under two values that bound the scale.

    >>> loc, scale = location_scale([1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 4.0, 8.0], family="norm")
    >>> round(loc, 4), round(scale, 4)
    (3.75, 2.681)
    """
    from scipy import optimize, stats  # slow to import

    if family not in FAMILIES:
        raise InputError("family", repr(family), f"one of {', '.join(FAMILIES)}")
    lower, upper = np.broadcast_arrays(np.asarray(lower, dtype=float), np.asarray(upper, dtype=float))
    if not np.all(lower <= upper):
        raise InputError("lower, upper", "a lower bound above its upper one, or NaN", "lower ≤ upper")
    ends = np.concatenate([lower, upper])
    ends = ends[np.isfinite(ends)]
    if len(np.unique(ends)) < 2:
        raise InputError("lower, upper", "fewer than two distinct finite bounds", "two at least")
    exact = lower == upper
    law = getattr(stats, family)

    def loss(parameters: Array) -> float:
        loc, scale = parameters[0], np.exp(parameters[1])
        width = law.cdf(upper[~exact], loc, scale) - law.cdf(lower[~exact], loc, scale)
        with np.errstate(divide="ignore"):
            return float(-law.logpdf(lower[exact], loc, scale).sum() - np.log(width).sum())

    start = np.array([np.median(ends), np.log(np.subtract(*np.quantile(ends, [0.75, 0.25])) / 2 + 1e-3 * np.ptp(ends))])
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    top = optimize.minimize(loss, start, method="Nelder-Mead", options=options)
    return float(top.x[0]), float(np.exp(top.x[1]))


def profile_mean_limits(y: ArrayLike, limit: ArrayLike, *, alpha: float = 0.05) -> tuple[float, float]:
    """Profile likelihood limits of the mean exp(μ + σ²/2) of one lognormal sample with values below limits.

    All means for which 2 (ℓ_max − max_σ ℓ) stays under the χ²₁ quantile. y, limit (n,) on the original scale, y ≤ limit
    or NaN below it. The upper limit is infinite where the likelihood stays above it. Raises `InputError` below two
    distinct known values. Source: Schmoyer et al. (1996), Environ. Ecol. Stat. 3, 81.
    """
    from scipy import optimize  # slow to import

    y, limit = np.broadcast_arrays(np.asarray(y, dtype=float), np.asarray(limit, dtype=float))
    below = ~(y > limit)
    if len(np.unique(y[~below])) < 2:
        raise InputError("y", f"{np.sum(~below)} values above their limits", "two distinct ones at least")
    known, edge = np.log(y[~below]), np.log(limit[below])

    def loss(log_sigma: float, mean: float) -> float:
        sigma = np.exp(log_sigma)
        mu = mean - sigma**2 / 2
        r = (known - mu) / sigma
        return float(0.5 * (r @ r) + len(known) * log_sigma - log_cdf((edge - mu) / sigma)[0].sum())

    def profile(mean: float) -> float:
        wide = np.log(known.std()) + np.array([-3.0, 3.0])
        return float(optimize.minimize_scalar(loss, bounds=wide, args=(mean,), method="bounded", options=_FINE).fun)

    centre = known.mean() + known.var() / 2
    top = optimize.minimize_scalar(profile, bounds=(centre - 5, centre + 5), method="bounded", options=_FINE)
    drop = float(special.chdtri(1, alpha)) / 2

    def over(mean: float) -> float:
        return profile(mean) - float(top.fun) - drop

    limits = []
    for side in (-1, 1):
        far = float(top.x) + side * 0.1
        while over(far) < 0 and abs(far - float(top.x)) < 50:
            far += 0.5 * (far - float(top.x))
        limits.append(np.exp(optimize.brentq(over, float(top.x), far)) if over(far) > 0 else np.exp(side * np.inf))
    return float(limits[0]), float(limits[1])
