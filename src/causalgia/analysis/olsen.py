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
        return maximise(Packed.of(self).evaluate, start, scale, precision)


@dataclass(frozen=True)
class Packed:
    """A likelihood with those below their limit side by side, lane by lane: nobody else costs a probability.

    gram (d, d, L) and count (L,) of those known; censored (d, N), of which a lane's begin at `first` (L,) and are
    `length` (L,), so that lanes may share them; `theta` is the row of 1/σ. Sums run in order, lane by lane: a lane's
    bits do not depend on the others.
    """

    gram: Array
    count: Array
    censored: Array
    first: Lanes
    length: Lanes
    theta: int = -1

    @classmethod
    def of(cls, likelihood: Likelihood) -> Packed:
        """One lane a replicate."""
        below = likelihood.below > 0
        length = below.sum(axis=1)
        censored = np.ascontiguousarray(likelihood.columns[below].T)
        return cls(likelihood.gram, likelihood.count, censored, np.cumsum(length) - length, length)

    def evaluate(self, lanes: Lanes, delta: Array) -> tuple[Array, Array, Array]:
        """Log likelihood, gradient (d, lanes) and information (d, d, lanes) at δ (d, lanes)."""
        gram, count, theta = self.gram[:, :, lanes], self.count[lanes], delta[self.theta]
        inside = theta > 0
        theta = np.where(inside, theta, 1)
        G_delta = (gram * delta).sum(axis=1)
        value = count * np.log(theta) - 0.5 * (delta * G_delta).sum(axis=0)
        gradient, information = -G_delta, gram
        gradient[self.theta] += count / theta
        information[self.theta, self.theta] += count / theta**2
        some = self.length[lanes] > 0
        if some.any():
            here = slice(None) if some.all() else np.flatnonzero(some)
            log_p, slope, bend = self._below(lanes[here], delta[:, here])
            value[here] += log_p
            gradient[:, here] += slope
            information[:, :, here] += bend
        return np.where(inside, value, -np.inf), gradient, information

    def _below(self, lanes: Lanes, delta: Array) -> tuple[Array, Array, Array]:
        """Σ log Φ(δ·z) over those below, its gradient and negative Hessian, in lanes that have some."""
        length = self.length[lanes]
        offset = np.cumsum(length) - length
        lane = np.repeat(np.arange(len(lanes)), length)
        z = self.censored[:, np.arange(len(lane)) + (self.first[lanes] - offset)[lane]]
        r = (z * delta[:, lane]).sum(axis=0)
        log_p, m, m_prime = log_cdf(r)
        bend = np.empty((len(z), *delta.shape))
        for a, weighted in enumerate(-m_prime * z):
            bend[a, a:] = bend[a:, a] = np.add.reduceat(weighted * z[a:], offset, axis=1)
        return np.add.reduceat(log_p, offset), np.add.reduceat(m * z, offset, axis=1), bend


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
