"""How much true effects differ between studies: estimators of τ² for many data sets at once, its Q-profile interval.

Symbols: k studies, p coefficients; y (..., k) estimates; v (k,) sampling variances; Q (k, p) orthonormal columns that
span the moderators; τ² (...); w = 1/(v + τ²); e the residuals of the weighted regression; h its leverages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from causalgia.analysis.estimates import Array

HALVINGS = 60
CELLS = 80
"""Values of τ² at which a likelihood is looked at before the best is refined: REML can have several maxima."""


@dataclass(frozen=True)
class Weighted:
    """Weighted least squares at a given τ²: w and e (..., k), coefficients (..., p), and covariance (..., p, p)."""

    Q: Array
    w: Array
    e: Array
    coefficients: Array
    covariance: Array

    @property
    def h(self) -> Array:
        """The leverages, the diagonal of Q A⁻¹ Q' W."""
        return self.w * ((self.Q @ self.covariance) * self.Q).sum(axis=-1)

    @property
    def q(self) -> Array:
        """Σ w e², the generalised Q statistic."""
        return (self.w * self.e**2).sum(axis=-1)


def weighted(y: Array, v: Array, Q: Array, tau2: Array) -> Weighted:
    """Regress y on Q with weights w = 1/(v + τ²)."""
    w = 1 / (v + tau2[..., None])
    information = (w[..., None, :] * Q.T) @ Q
    covariance = np.asarray(np.linalg.inv(information) if Q.shape[1] > 1 else 1 / information, dtype=float)
    coefficients = (covariance @ ((w * y) @ Q)[..., None])[..., 0]
    return Weighted(Q, w, y - coefficients @ Q.T, coefficients, covariance)


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
    return _ml_likelihood(fit) + 0.5 * np.linalg.slogdet(fit.covariance)[1]


Score = Callable[[Weighted], Array]
Estimator = Callable[[Array, Array, Array], Array]
"""(y, v, Q) → τ²."""


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


def _most_likely(score: Score, likelihood: Score) -> Estimator:
    def estimate(y: Array, v: Array, Q: Array) -> Array:
        grid = np.concatenate([[0.0], np.geomspace(1e-3 * v.min(), _ceiling(y, v, Q).max(), CELLS)])
        values = np.stack([likelihood(weighted(y, v, Q, np.full(y.shape[:-1], tau2))) for tau2 in grid])
        best = values.argmax(axis=0)
        return _root(score, y, v, Q, grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, CELLS)])

    return estimate


METHODS: dict[str, Estimator] = {
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

        def above(tau2: float, quantile: float = quantile) -> float:
            return float(weighted(y, v, Q, np.asarray(tau2)).q) - quantile

        # Σ w e² ≤ RSS/τ²
        ends.append(optimize.brentq(above, 0, rss / quantile, xtol=1e-300, rtol=1e-13) if above(0) > 0 else 0.0)
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
