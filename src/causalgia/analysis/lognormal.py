"""Mean and coefficient of variation of a lognormal sample with values below limits, on its original scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError


def lognormal_moments(mu: ArrayLike, sigma: ArrayLike) -> tuple[Array, Array]:
    """Mean exp(μ + σ²/2) and coefficient of variation √(exp σ² − 1); with the estimates of `censored_mean`, their MLE.

    >>> [round(float(x), 3) for x in lognormal_moments(0.0, 1.0)]
    [1.649, 1.311]
    """
    variance = np.square(np.asarray(sigma, dtype=float))
    return np.exp(np.asarray(mu, dtype=float) + variance / 2), np.sqrt(np.expm1(variance))


def quasi_unbiased_moments(mu: ArrayLike, sigma: ArrayLike, n: int) -> tuple[Array, Array]:
    """Mean and coefficient of variation by the minimum variance unbiased formulas, at censored estimates from n values.

    Mean e^μ g(σ²/2), variance e^{2μ} (g(2σ²) − g(σ²(n − 2)/(n − 1))), with Finney's g for n − 1 degrees of freedom.
    Source: Cohn (1988), USGS Open-File Report 88-350; Finney (1941), Suppl. J. R. Stat. Soc. 7, 155.
    """
    variance = np.square(np.asarray(sigma, dtype=float))
    mean = _finney(n - 1, variance / 2)
    spread = _finney(n - 1, 2 * variance) - _finney(n - 1, variance * (n - 2) / (n - 1))
    return np.exp(mu) * mean, np.sqrt(spread) / mean


def _finney(m: int, z: Array) -> Array:
    """g_m(z) = Σ mⁱ (m + 2i) / (m (m + 2) ⋯ (m + 2i)) (m/(m + 1))ⁱ zⁱ / i! = ₀F₁(; m/2; m² z / (2 (m + 1)))."""
    return special.hyp0f1(m / 2, m * m * z / (2 * (m + 1)))


def robust_ros(y: ArrayLike, limit: ArrayLike, *, constant: float = 0.375) -> tuple[float, float]:
    """Mean and coefficient of variation by robust regression on order statistics, a sensitivity analysis of one sample.

    Log y of the known values is regressed on normal quantiles of their plotting positions; the values below a limit
    (y ≤ limit or NaN) are filled in from the line. Positions by Hirsch and Stedinger for several limits; `constant` 0
    is Weibull's and 0.375 Blom's. y, limit (n,), original scale. Raises `InputError` below two distinct known ones.
    Source: Helsel and Cohn (1988), Water Resour. Res. 24, 1997; Hirsch and Stedinger (1987), 23, 715.

    >>> [round(x, 3) for x in robust_ros([1.0, 2.0, 4.0, 8.0], [1.0, 0.0, 0.0, 0.0])]
    [3.706, 0.849]
    """
    y, limit = np.broadcast_arrays(np.asarray(y, dtype=float), np.asarray(limit, dtype=float))
    below = ~(y > limit)
    value = np.where(below, limit, y)
    if len(np.unique(value[~below])) < 2:
        raise InputError("y", f"{np.sum(~below)} values above their limits", "two distinct ones at least")
    q, log_value = special.ndtri(_positions(value, below, constant)), np.log(value)
    centred = q[~below] - q[~below].mean()
    slope = (centred * log_value[~below]).sum() / (centred**2).sum()
    line = log_value[~below].mean() + slope * (q - q[~below].mean())
    filled = np.exp(np.where(below, line, log_value))
    return float(filled.mean()), float(filled.std(ddof=1) / filled.mean())


def _positions(value: Array, below: NDArray[np.bool_], constant: float) -> Array:
    """Plotting positions: the chance of exceeding each limit first, then places between neighbouring limits."""
    edges = np.concatenate([[-np.inf], np.unique(value[below]), [np.inf]])
    exceeding = np.zeros(len(edges))
    exceeding[0] = 1
    for j in range(len(edges) - 2, 0, -1):
        within = np.sum(~below & (value >= edges[j]) & (value < edges[j + 1]))
        lower = np.sum(~below & (value < edges[j])) + np.sum(below & (value <= edges[j]))
        exceeding[j] = exceeding[j + 1] + within / (within + lower) * (1 - exceeding[j + 1])
    position = np.empty(len(value))
    for j in range(len(edges) - 1):
        known = np.flatnonzero(~below & (value >= edges[j]) & (value < edges[j + 1]))
        place = _places(value[known], constant)
        position[known] = 1 - exceeding[j] + (exceeding[j] - exceeding[j + 1]) * place
        hidden = np.flatnonzero(below & (value == edges[j]))
        position[hidden] = (1 - exceeding[j]) * _places(value[hidden], constant)
    return position


def _places(value: Array, constant: float) -> Array:
    rank = np.argsort(np.argsort(value, kind="stable"), kind="stable").astype(float) + 1
    return (rank - constant) / (len(value) + 1 - 2 * constant)
