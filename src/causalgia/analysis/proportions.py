"""Exact and score inference for proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

SIDES = ("two-sided", "greater", "less")
HALVINGS = 60
FAR = 30.0
"""Log ratio beyond which a limit is not sought."""
GRID = 401
MOST_TABLES = 40_000
TIE = 1e-7
"""Tables whose probability exceeds the observed one by less than this share are as extreme, as in R's `fisher.test`."""


def clopper_pearson(events: ArrayLike, n: ArrayLike, alpha: float = 0.05) -> tuple[Array, Array]:
    """Exact interval of a proportion: quantiles α/2 of Beta(x, n − x + 1) and 1 − α/2 of Beta(x + 1, n − x).

    Arrays broadcast; n = 0 gives (0, 1). Raises `InputError` unless 0 ≤ events ≤ n.
    Source: Clopper and Pearson (1934), Biometrika 26, 404.

    >>> [round(float(limit), 4) for limit in clopper_pearson(0, 10)]
    [0.0, 0.3085]
    """
    x, n = _counts(events, n)
    with np.errstate(invalid="ignore"):
        lower = np.where(x == 0, 0.0, special.betaincinv(np.maximum(x, 1), n - x + 1, alpha / 2))
        upper = np.where(x == n, 1.0, special.betaincinv(x + 1, np.maximum(n - x, 1), 1 - alpha / 2))
    return lower, upper


def fisher(events_treated: ArrayLike, n_treated: ArrayLike, events_control: ArrayLike, n_control: ArrayLike) -> Array:
    """Two-sided p of Fisher's exact test: the probability of all tables no likelier than the observed one.

    Hypergeometric, given both margins (the minimum-likelihood definition of R and SciPy). Arrays broadcast; every
    distinct margin is computed once. Raises `InputError` unless 0 ≤ events ≤ n.

    >>> round(float(fisher(2, 10, 7, 9)), 4)
    0.023
    """
    x1, n1, x0, n0 = _arms(events_treated, n_treated, events_control, n_control)
    margins = np.stack([n1, n0, x1 + x0], axis=-1).reshape(-1, 3).astype(np.int64)
    distinct, which = np.unique(margins, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    bounds = np.searchsorted(which.ravel()[order], np.arange(len(distinct) + 1))
    p, events = np.empty(len(margins)), x1.ravel().astype(np.int64)
    for i, margin in enumerate(distinct.tolist()):
        rows = order[bounds[i] : bounds[i + 1]]
        p[rows] = _fisher_table(*margin)[events[rows] - max(0, margin[2] - margin[1])]
    return p.reshape(x1.shape)


def _fisher_table(n1: int, n0: int, total: int) -> Array:
    """p for every possible number of events among the treated, from the least to the most."""
    x = np.arange(max(0, total - n0), min(n1, total) + 1)
    log_p = _log_choose(n1, x) + _log_choose(n0, total - x) - _log_choose(n1 + n0, np.array(total))
    probability = np.exp(log_p)
    ordered = np.sort(probability)
    count = np.searchsorted(ordered, probability * (1 + TIE), side="right")
    return np.minimum(np.cumsum(ordered)[count - 1], 1)


def _log_choose(n: int, k: NDArray) -> Array:
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def difference_interval(
    events_treated: ArrayLike,
    n_treated: ArrayLike,
    events_control: ArrayLike,
    n_control: ArrayLike,
    alpha: float = 0.05,
) -> tuple[Array, Array]:
    """Score interval of p₁ − p₀: all δ with (p̂₁ − p̂₀ − δ)² ≤ z² V(δ), z the normal quantile 1 − α/2.

    V(δ) = [p̃₁(1 − p̃₁)/n₁ + p̃₀(1 − p̃₀)/n₀] N/(N − 1) at the maximum likelihood under p₁ − p₀ = δ. Arrays broadcast; an
    empty arm gives (−1, 1). Raises `InputError` unless 0 ≤ events ≤ n.
    Source: Miettinen and Nurminen (1985), Statist. Med. 4, 213.

    >>> [round(float(limit), 3) for limit in difference_interval(7, 34, 1, 34)]
    [0.027, 0.345]
    """
    x1, n1, x0, n0, empty = _two_arms(events_treated, n_treated, events_control, n_control)
    d = x1 / n1 - x0 / n0
    z2 = special.ndtri(1 - alpha / 2) ** 2
    limits = []
    for end in (-1.0, 1.0):
        outside, inside = np.full(d.shape, end), d
        for _ in range(HALVINGS):
            delta = 0.5 * (outside + inside)
            p1, p0 = restricted_difference(delta, x1, n1, x0, n0)
            variance = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * (n1 + n0) / (n1 + n0 - 1)
            accepted = (d - delta) ** 2 <= z2 * variance
            inside, outside = np.where(accepted, delta, inside), np.where(accepted, outside, delta)
        limits.append(np.where(empty, end, np.where(d == end, end, inside)))
    return limits[0], limits[1]


def ratio_interval(
    events_treated: ArrayLike,
    n_treated: ArrayLike,
    events_control: ArrayLike,
    n_control: ArrayLike,
    alpha: float = 0.05,
) -> tuple[Array, Array]:
    """Score interval of p₁/p₀: all φ with (p̂₁ − φp̂₀)² ≤ z² [p̃₁(1 − p̃₁)/n₁ + φ² p̃₀(1 − p̃₀)/n₀].

    p̃₁ = φp̃₀ at the maximum likelihood. No events among the controls: no upper limit; among the treated: lower limit 0;
    an empty arm gives (0, ∞). Arrays broadcast. Raises `InputError` unless 0 ≤ events ≤ n.
    Source: Koopman (1984), Biometrics 40, 513.

    >>> [round(float(limit), 3) for limit in ratio_interval(7, 34, 1, 34)]
    [1.221, 42.576]
    """
    x1, n1, x0, n0, empty = _two_arms(events_treated, n_treated, events_control, n_control)
    z2 = special.ndtri(1 - alpha / 2) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = np.clip(np.log(x1 / n1) - np.log(x0 / n0), -FAR, FAR)
    limits = []
    for end, none in ((-FAR, x1 == 0), (FAR, x0 == 0)):
        outside, inside = np.full(x1.shape, end), np.where(np.isnan(estimate), end, estimate)
        for _ in range(HALVINGS):
            middle = 0.5 * (outside + inside)
            phi = np.exp(middle)
            p1, p0 = restricted_ratio(phi, x1, n1, x0, n0)
            variance = p1 * (1 - p1) / n1 + phi**2 * p0 * (1 - p0) / n0
            accepted = (x1 / n1 - phi * x0 / n0) ** 2 <= z2 * variance
            inside, outside = np.where(accepted, middle, inside), np.where(accepted, outside, middle)
        limits.append(np.where(empty | none, np.exp(end * np.inf), np.exp(inside)))
    return limits[0], limits[1]


def agresti_caffo(
    events_treated: ArrayLike,
    n_treated: ArrayLike,
    events_control: ArrayLike,
    n_control: ArrayLike,
    alpha: float = 0.05,
) -> tuple[Array, Array]:
    """Wald interval of p₁ − p₀ after one event and one non-event are added to either arm, within (−1, 1).

    Arrays broadcast. Raises `InputError` unless 0 ≤ events ≤ n. Source: Agresti and Caffo (2000), Am. Stat. 54, 280.

    >>> [round(float(limit), 4) for limit in agresti_caffo(7, 34, 1, 34)]
    [0.0116, 0.3217]
    """
    x1, n1, x0, n0 = (count.astype(float) for count in _arms(events_treated, n_treated, events_control, n_control))
    p1, p0 = (x1 + 1) / (n1 + 2), (x0 + 1) / (n0 + 2)
    half = special.ndtri(1 - alpha / 2) * np.sqrt(p1 * (1 - p1) / (n1 + 2) + p0 * (1 - p0) / (n0 + 2))
    return np.maximum(p1 - p0 - half, -1), np.minimum(p1 - p0 + half, 1)


def score_test(
    events_treated: ArrayLike,
    n_treated: ArrayLike,
    events_control: ArrayLike,
    n_control: ArrayLike,
    *,
    null: float = 0.0,
    alternative: str = "two-sided",
) -> tuple[Array, Array]:
    """z and p against p₁ − p₀ = `null`, with the variance at the maximum likelihood under it; z = 0 where that is 0.

    A margin makes it a test of non-inferiority. Arrays broadcast; an empty arm gives z = 0. Raises `InputError` unless
    0 ≤ events ≤ n and −1 < null < 1. Source: Farrington and Manning (1990), Statist. Med. 9, 1447.

    >>> z, p = score_test(15, 40, 9, 40, null=-0.1, alternative="greater")
    >>> round(float(z), 3), round(float(p), 4)
    (2.429, 0.0076)
    """
    x1, n1, x0, n0, empty = _two_arms(events_treated, n_treated, events_control, n_control)
    if not -1 < null < 1:
        raise InputError("null", f"{null:g}", "a difference between -1 and 1")
    p1, p0 = restricted_difference(np.asarray(null), x1, n1, x0, n0)
    variance = p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0
    known = (variance > 1e-12) & ~empty
    z = np.where(known, (x1 / n1 - x0 / n0 - null) / np.sqrt(np.where(known, variance, 1)), 0.0)
    side = check_side(alternative)
    p = {"two-sided": 2 * special.ndtr(-np.abs(z)), "greater": special.ndtr(-z), "less": special.ndtr(z)}[side]
    return z, p


def unconditional_exact(
    events_treated: ArrayLike,
    n_treated: ArrayLike,
    events_control: ArrayLike,
    n_control: ArrayLike,
    *,
    ordering: str = "boschloo",
    alternative: str = "two-sided",
) -> Array:
    """p = max over π of the probability, both rates π, of all tables at least as extreme as the observed one.

    "boschloo" orders tables by Fisher's p (so it is never larger), "barnard" by the pooled z. Arrays broadcast; every
    distinct pair of arm sizes is computed once. An empty arm gives 1. Raises `InputError` unless 0 ≤ events ≤ n, for
    unknown options and beyond `MOST_TABLES` tables.
    Source: Boschloo (1970), Stat. Neerl. 24, 1; Barnard (1947), Biometrika 34, 123.

    >>> round(float(unconditional_exact(2, 10, 7, 9, ordering="barnard")), 6)
    0.019211
    """
    x1, n1, x0, n0 = (count.astype(np.int64) for count in _arms(events_treated, n_treated, events_control, n_control))
    p = np.empty(x1.shape)
    for a, b in set(zip(n1.ravel().tolist(), n0.ravel().tolist(), strict=True)):
        here = (n1 == a) & (n0 == b)
        p[here] = unconditional_table(a, b, ordering, alternative)[x1[here], x0[here]]
    return p


def unconditional_table(n1: int, n0: int, ordering: str, alternative: str) -> Array:
    """p of `unconditional_exact` for every table (n₁ + 1, n₀ + 1), to about 1e-8.

    Given s events the tables are hypergeometric, so the probability of the m most extreme ones is Σₛ H[m, s] Bin(s; N,
    π): maximised on a grid even in arcsin √π, then once more at the vertex of the parabola through the best three.
    """
    if ordering not in ORDERINGS:
        raise InputError("ordering", repr(ordering), f"one of {', '.join(ORDERINGS)}")
    if (n1 + 1) * (n0 + 1) > MOST_TABLES:
        raise InputError("arms", f"{n1} and {n0}", f"at most {MOST_TABLES} tables", "Use score_test or fisher.")
    N = n1 + n0
    x1, x0 = np.arange(n1 + 1)[:, None], np.arange(n0 + 1)
    log_p = _log_choose(n1, x1) + _log_choose(n0, x0) - _log_choose(N, x1 + x0)
    extreme = ORDERINGS[ordering](x1, x0, n1, n0, np.exp(log_p), check_side(alternative)).ravel()
    order = np.argsort(extreme, kind="stable")
    H = np.zeros((len(order), N + 1))
    H[np.arange(len(order)), (x1 + x0).ravel()[order]] = np.exp(log_p).ravel()[order]
    ranked = extreme[order]
    H = np.cumsum(H, axis=0)[np.searchsorted(ranked, ranked + 1e-9 * np.abs(ranked) + 1e-15, side="right") - 1]
    at = np.linspace(0, np.pi / 2, GRID)
    p = H @ binomial_pmf(N, np.sin(at) ** 2).T
    best = np.clip(p.argmax(axis=1), 1, GRID - 2)
    left, middle, right = (p[np.arange(len(p)), best + shift] for shift in (-1, 0, 1))
    curve = left - 2 * middle + right
    shift = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, 1), 0.0)
    vertex = (H * binomial_pmf(N, np.sin(at[best] + np.clip(shift, -1, 1) * at[1]) ** 2)).sum(axis=1)
    result = np.empty(len(order))
    result[order] = np.minimum(np.maximum(p.max(axis=1), vertex), 1.0)
    return result.reshape(n1 + 1, n0 + 1)


def binomial_pmf(n: int, p: ArrayLike) -> Array:
    """Probabilities (..., n + 1) of 0 to n events at rates p (...,)."""
    x, p = np.arange(n + 1), np.asarray(p, dtype=float)[..., None]
    return np.exp(_log_choose(n, x) + special.xlogy(x, p) + special.xlog1py(n - x, -p))


def _by_fisher(x1: NDArray, x0: NDArray, n1: int, n0: int, conditional: Array, side: str) -> Array:
    if side == "two-sided":
        return fisher(x1, n1, x0, n0)
    p, total = np.empty(conditional.shape), x1 + x0
    for s in range(n1 + n0 + 1):
        here = np.nonzero(total == s)  # from the fewest events among the treated to the most
        share = conditional[here]
        p[here] = np.cumsum(share) if side == "less" else np.cumsum(share[::-1])[::-1]
    return p


def _by_pooled_z(x1: NDArray, x0: NDArray, n1: int, n0: int, conditional: Array, side: str) -> Array:
    if n1 == 0 or n0 == 0:
        return np.zeros(conditional.shape)
    pooled = (x1 + x0) / (n1 + n0)
    variance = pooled * (1 - pooled) * (1 / n1 + 1 / n0)
    z = np.where(variance > 0, (x1 / n1 - x0 / n0) / np.sqrt(np.where(variance > 0, variance, 1)), 0.0)
    return {"two-sided": -np.abs(z), "less": z, "greater": -z}[side]


ORDERINGS = {"boschloo": _by_fisher, "barnard": _by_pooled_z}


def restricted_difference(delta: Array, x1: Array, n1: Array, x0: Array, n0: Array) -> tuple[Array, Array]:
    """p₁, p₀ of maximal likelihood under p₁ = p₀ + δ, p₀ the root of the likelihood's cubic L₃p³ + L₂p² + L₁p + L₀."""
    N, events = n1 + n0, x1 + x0
    L2 = (N + n0) * delta - N - events
    L1 = (n0 * delta - N - 2 * x0) * delta + events
    L0 = x0 * delta * (1 - delta)
    third = L2 / (3 * N)
    q = third**3 - L1 * L2 / (6 * N**2) + L0 / (2 * N)
    p = np.where(q >= 0, 1.0, -1.0) * np.sqrt(np.maximum(third**2 - L1 / (3 * N), 0))
    cosine = np.clip(q / np.where(p == 0, 1, p) ** 3, -1, 1)
    p0 = np.clip(
        2 * p * np.cos((np.pi + np.arccos(cosine)) / 3) - third, np.maximum(0, -delta), np.minimum(1, 1 - delta)
    )
    p1 = np.clip(p0 + delta, 0, 1)
    return p1, p0


def restricted_ratio(phi: Array, x1: Array, n1: Array, x0: Array, n0: Array) -> tuple[Array, Array]:
    """p₁, p₀ of maximal likelihood under p₁ = φp₀: the smaller root of Nφp² − (φ(n₁ + x₀) + x₁ + n₀)p + x₁ + x₀."""
    b = phi * (n1 + x0) + x1 + n0
    p0 = 2 * (x1 + x0) / (b + np.sqrt(np.maximum(b**2 - 4 * (n1 + n0) * phi * (x1 + x0), 0)))
    return np.clip(phi * p0, 0, 1), np.clip(p0, 0, 1)


def _arms(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike) -> list[NDArray]:
    return list(np.broadcast_arrays(*_counts(x1, n1), *_counts(x0, n0)))


def _two_arms(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike) -> tuple[Array, Array, Array, Array, NDArray]:
    """Counts of one shape, and where an arm is empty; its size is then given as 1."""
    treated, size1, control, size0 = _arms(x1, n1, x0, n0)
    empty = (size1 == 0) | (size0 == 0)
    return treated, np.where(empty, 1.0, size1), control, np.where(empty, 1.0, size0), empty


def check_side(alternative: str) -> str:
    """The alternative itself; raises `InputError` for one that is not in `SIDES`."""
    if alternative not in SIDES:
        raise InputError("alternative", repr(alternative), f"one of {', '.join(SIDES)}")
    return alternative


def _counts(events: ArrayLike, n: ArrayLike) -> tuple[NDArray, NDArray]:
    x, total = np.broadcast_arrays(np.asarray(events), np.asarray(n))
    wrong = (x < 0) | (x > total) | (x != np.floor(x)) | (total != np.floor(total))
    if wrong.any():
        where = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise InputError("events", f"{x[where]} of {total[where]}", "whole numbers, events between 0 and n")
    return x.astype(float), total.astype(float)
