"""Every coefficient of the left-censored normal linear model, with their covariance or under a quadratic prior.

`tobit` is the fast way to one coefficient; this keeps the whole parameter vector, a lane per replicate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array
from causalgia.analysis.newton import EXACT, Lanes, Maximum, maximise
from causalgia.analysis.tails import log_cdf


@dataclass(frozen=True)
class Likelihood:
    """Log likelihood of δ = (−β/σ, 1/σ) for columns z = (design, value or limit): concave (Olsen 1978).

    count · log θ − δᵀ(gram)δ/2 + Σ_below log Φ(δ·z). columns (R, n, d); below (R, n) of 0 and 1; gram (d, d, R), the
    cross-products of what is known, to which a prior's precision of δ may be added; count (R,), the number known.
    """

    columns: Array
    below: Array
    gram: Array
    count: Array

    @classmethod
    def of(cls, columns: Array, seen: NDArray[np.bool_], below: NDArray[np.bool_]) -> Likelihood:
        """The likelihood of those `seen` (R, n), some `below` their limit, without a prior."""
        known = np.where((seen & ~below)[..., None], columns, 0.0)
        gram = np.moveaxis(known.transpose(0, 2, 1) @ known, 0, 2)
        return cls(columns, (seen & below).astype(float), gram, (seen & ~below).sum(axis=1).astype(float))

    def maximum(self, start: Array, scale: Array, precision: float = EXACT) -> Maximum:
        """The maximum from `start` (d, R), information compared with `scale` (d, R) as in `maximise`."""
        return maximise(self._evaluate, start, scale, precision)

    def _evaluate(self, lanes: Lanes, delta: Array) -> tuple[Array, Array, Array]:
        gram, count, theta = self.gram[:, :, lanes], self.count[lanes], delta[-1]
        inside = theta > 0
        theta = np.where(inside, theta, 1)
        G_delta = (gram * delta).sum(axis=1)
        z, below = self.columns[lanes], self.below[lanes]
        r = (z @ delta.T[:, :, None])[..., 0]
        log_p, m, m_prime = log_cdf(r)
        value = count * np.log(theta) - 0.5 * (delta * G_delta).sum(axis=0) + (below * log_p).sum(axis=1)
        gradient = -G_delta + ((below * m)[:, None] @ z)[:, 0].T
        weighted = z * (below * m_prime)[..., None]
        information = gram - np.moveaxis(weighted.transpose(0, 2, 1) @ z, 0, 2)
        gradient[-1] += count / theta
        information[-1, -1] += count / theta**2
        return np.where(inside, value, -np.inf), gradient, information


def standardise(columns: Array, seen: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Columns (R, n, d) about their means in units of their standard deviations, 0 where not seen; shift, unit (R, d).

    A constant column keeps its unit.
    """
    n = np.maximum(seen.sum(axis=1), 1)[:, None]
    shift = np.where(seen[..., None], columns, 0.0).sum(axis=1) / n
    centred = np.where(seen[..., None], columns - shift[:, None], 0.0)
    spread = np.sqrt((centred**2).sum(axis=1) / n)
    unit = np.where(spread > 1e-12 * np.abs(shift), spread, 1.0)
    return centred / unit[:, None], shift, unit


def least_squares_start(whole: Array, n: Array) -> Array:
    """δ at the least-squares fit that takes the limit for what lies below it, from all cross-products (d, d, R)."""
    K = np.moveaxis(whole, 2, 0)
    d = K.shape[-1] - 1
    ridge = 1e-8 * np.maximum(np.trace(K, axis1=1, axis2=2), 1e-300)[:, None, None] * np.eye(d)
    beta = np.linalg.solve(K[:, :d, :d] + ridge, K[:, :d, d:])[..., 0]
    residual = K[:, d, d] - (K[:, d, :d] * beta).sum(axis=1)
    theta = np.sqrt(n / np.maximum(residual, 1e-3 * K[:, d, d]))
    return np.concatenate([-beta * theta[:, None], theta[:, None]], axis=1).T
