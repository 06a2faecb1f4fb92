"""How much true effects differ between studies: estimators of τ² and the Q-profile interval, for many data sets at once.

Symbols: k studies, p coefficients; y (..., k) estimates; v (k,) sampling variances; Q (k, p) orthonormal columns that
span the moderators; τ² (...); w = 1/(v + τ²); e the residuals of the weighted regression; h its leverages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from causalgia.analysis.estimates import Array

HALVINGS = 80
CELLS = 80
"""Values of τ² at which a likelihood is looked at before the best is refined: REML can have several maxima."""


@dataclass(frozen=True)
class Weighted:
    """Weighted least squares at a given τ²: w, e and h (..., k), coefficients (..., p) of Q, their information."""

    w: Array
    e: Array
    h: Array
    coefficients: Array
    information: Array

    @property
    def q(self) -> Array:
        """Σ w e², the generalised Q statistic."""
        return (self.w * self.e**2).sum(axis=-1)


def weighted(y: Array, v: Array, Q: Array, tau2: Array) -> Weighted:
    """Regress y on Q with weights w = 1/(v + τ²)."""
    w = 1 / (v + tau2[..., None])
    information = np.einsum("...k,ki,kj->...ij", w, Q, Q)
    inverse = np.linalg.inv(information)
    coefficients = np.einsum("...ij,...j->...i", inverse, (w * y) @ Q)
    e = y - coefficients @ Q.T
    h = w * np.einsum("ki,...ij,kj->...k", Q, inverse, Q)
    return Weighted(w, e, h, coefficients, information)


def _paule_mandel_score(fit: Weighted) -> Array:
    k, p = fit.e.shape[-1], fit.coefficients.shape[-1]
    return fit.q - (k - p)


def _ml_score(fit: Weighted) -> Array:
    return (fit.w**2 * fit.e**2 - fit.w).sum(axis=-1)


def _reml_score(fit: Weighted) -> Array:
    return (fit.w**2 * fit.e**2 - fit.w * (1 - fit.h)).sum(axis=-1)


def _ml_likelihood(fit: Weighted) -> Array:
    return 0.5 * (np.log(fit.w) - fit.w * fit.e**2).sum(axis=-1)


def _reml_likelihood(fit: Weighted) -> Array:
    return _ml_likelihood(fit) - 0.5 * np.linalg.slogdet(fit.information)[1]


Score = Callable[[Weighted], Array]


def _equal_effects(y: Array, v: Array, Q: Array) -> Array:
    return np.zeros(y.shape[:-1])


def _from_moments(y: Array, v: Array, Q: Array, weights: Array) -> Array:
    """τ² that makes the residual squares of a regression with fixed weights equal to their expectation."""
    fit = weighted(y, 1 / weights, Q, np.zeros(y.shape[:-1]))
    # Residual projector M = W − W Q A⁻¹ Q' W: E[y' M y] = tr(M V) + τ² tr(M).
    WQ = weights[:, None] * Q
    M = np.diag(weights) - WQ @ np.linalg.solve((Q * weights[:, None]).T @ Q, WQ.T)
    return np.maximum((fit.q - (np.diag(M) * v).sum()) / np.trace(M), 0)


def _dersimonian_laird(y: Array, v: Array, Q: Array) -> Array:
    return _from_moments(y, v, Q, 1 / v)


def _hedges(y: Array, v: Array, Q: Array) -> Array:
    return _from_moments(y, v, Q, np.ones_like(v))


def _paule_mandel(y: Array, v: Array, Q: Array) -> Array:
    return _root(_paule_mandel_score, y, v, Q, np.zeros(y.shape[:-1]), _ceiling(y, v, Q))


def _most_likely(score: Score, likelihood: Score) -> Callable[[Array, Array, Array], Array]:
    def estimate(y: Array, v: Array, Q: Array) -> Array:
        grid = np.concatenate([[0.0], np.geomspace(1e-3 * v.min(), _ceiling(y, v, Q).max(), CELLS)])
        values = np.stack([likelihood(weighted(y, v, Q, np.full(y.shape[:-1], tau2))) for tau2 in grid])
        best = values.argmax(axis=0)
        return _root(score, y, v, Q, grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, CELLS)])

    return estimate


METHODS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "REML": _most_likely(_reml_score, _reml_likelihood),
    "ML": _most_likely(_ml_score, _ml_likelihood),
    "PM": _paule_mandel,
    "DL": _dersimonian_laird,
    "HE": _hedges,
    "EE": _equal_effects,
}
"""Estimators of τ² by name: restricted and full maximum likelihood, Paule-Mandel (which is empirical Bayes),
DerSimonian-Laird, Hedges, and equal effects (none)."""


def q_profile(y: Array, v: Array, Q: Array, alpha: float) -> tuple[float, float]:
    """The 1 − alpha interval of τ²: where Σ w e² equals the χ² quantiles 1 − α/2 and α/2 with k − p degrees of freedom.

    An end that would be negative is 0. Source: Viechtbauer (2007), Statist. Med. 26, 37.
    """
    df = len(v) - Q.shape[1]
    rss = float((weighted(y, np.ones_like(v), Q, np.zeros(())).e ** 2).sum())
    ends = []
    for upper_tail in (alpha / 2, 1 - alpha / 2):
        quantile = float(special.chdtri(df, upper_tail))
        top = np.asarray(rss / quantile)  # Σ w e² ≤ RSS/τ²
        ends.append(float(_root(lambda fit, c=quantile: fit.q - c, y, v, Q, np.zeros(()), top)))
    return ends[0], ends[1]


def _ceiling(y: Array, v: Array, Q: Array) -> Array:
    """RSS + max v, above which every score is negative (Σ w²e² ≤ RSS/(τ² + min v)², tr P ≥ 1/(τ² + max v))."""
    fit = weighted(y, np.ones_like(v), Q, np.zeros(y.shape[:-1]))
    return (fit.e**2).sum(axis=-1) + v.max()


def _root(score: Score, y: Array, v: Array, Q: Array, low: Array, high: Array) -> Array:
    """Bisect a score that falls through zero between low and high; low where it is negative there already."""
    negative = score(weighted(y, v, Q, low)) <= 0
    start = low
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        falls = score(weighted(y, v, Q, middle)) <= 0
        low, high = np.where(falls, low, middle), np.where(falls, middle, high)
    return np.where(negative, start, 0.5 * (low + high))
