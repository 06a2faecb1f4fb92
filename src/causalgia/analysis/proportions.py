"""Exact and score inference for proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

HALVINGS = 60
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
    x1, n1 = _counts(events_treated, n_treated)
    x0, n0 = _counts(events_control, n_control)
    x1, n1, x0, n0 = np.broadcast_arrays(x1, n1, x0, n0)
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
    x1, n1 = _counts(events_treated, n_treated)
    x0, n0 = _counts(events_control, n_control)
    x1, n1, x0, n0 = np.broadcast_arrays(x1, n1, x0, n0)
    empty = (n1 == 0) | (n0 == 0)
    n1, n0 = np.where(empty, 1, n1), np.where(empty, 1, n0)
    d = x1 / n1 - x0 / n0
    z2 = special.ndtri(1 - alpha / 2) ** 2
    limits = []
    for end in (-1.0, 1.0):
        outside, inside = np.full(d.shape, end), d
        for _ in range(HALVINGS):
            delta = 0.5 * (outside + inside)
            accepted = (d - delta) ** 2 <= z2 * _restricted_variance(delta, x1, n1, x0, n0)
            inside, outside = np.where(accepted, delta, inside), np.where(accepted, outside, delta)
        limits.append(np.where(empty, end, np.where(d == end, end, inside)))
    return limits[0], limits[1]


def _restricted_variance(delta: Array, x1: Array, n1: Array, x0: Array, n0: Array) -> Array:
    """Variance of p̂₁ − p̂₀ where p₁ = p₀ + δ, p₀ the root of the likelihood's cubic L₃p³ + L₂p² + L₁p + L₀."""
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
    return (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * N / (N - 1)


def _counts(events: ArrayLike, n: ArrayLike) -> tuple[NDArray, NDArray]:
    x, total = np.broadcast_arrays(np.asarray(events), np.asarray(n))
    wrong = (x < 0) | (x > total) | (x != np.floor(x)) | (total != np.floor(total))
    if wrong.any():
        where = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise InputError("events", f"{x[where]} of {total[where]}", "whole numbers, events between 0 and n")
    return x.astype(float), total.astype(float)
