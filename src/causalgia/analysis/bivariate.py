"""Maximum likelihood of a bivariate normal sample of which either value may only be known to lie below its limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.batches import Batch
from causalgia.analysis.estimates import Array, Status
from causalgia.analysis.newton import Lanes, maximise, newton_step
from causalgia.analysis.tails import bivariate_cdf, log_cdf

CHUNK = 256
"""Replicates worked on at a time, for the processor's cache."""
FLOOR = 1e-15
"""Below this the bivariate distribution function has no correct digit: the parameters are outside the domain."""


@dataclass(frozen=True)
class PairFit:
    """Maximum likelihood of the mean difference a − b, both standard deviations and the correlation (..., size)."""

    estimate: Array
    se: Array
    sd_a: Array
    sd_b: Array
    correlation: Array
    n: Array
    status: NDArray[np.int8]


def fit_pairs(batch: Batch) -> PairFit:
    """Fit the columns a, limit of a, b, limit of b chunk by chunk and size by size."""
    rows = []
    for size in batch.sizes:
        parts = []
        for chunk in batch.chunks(CHUNK):
            seen = batch.observed[chunk, :size]
            a, limit_a, b, limit_b = (column[chunk, :size] for column in batch.columns)
            below = np.stack([seen & ~(a > limit_a), seen & ~(b > limit_b)])
            value = np.where(seen, np.where(below, np.stack([limit_a, limit_b]), np.stack([a, b])), 0.0)
            parts.append(_fit(value, below, seen))
        rows.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    estimate, se, sd_a, sd_b, rho, n, status = (batch.restore(np.stack(row)) for row in zip(*rows, strict=True))
    return PairFit(estimate, se, sd_a, sd_b, rho, n, status.astype(np.int8))


@dataclass(frozen=True)
class _Pairs:
    """Standardised values (2, L, n), which of them lie below their limits, and who counts."""

    value: Array
    below: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    def evaluate(self, lanes: Lanes, parameters: Array) -> tuple[Array, Array, Array]:
        """Log likelihood, gradient and information of (γ_a, θ_a, γ_b, θ_b, ζ).

        h = θ_a a − γ_a, k = θ_b b − γ_b, ρ = tanh ζ with θ = 1/σ and γ = μ/σ, so that h and k are linear and only log θ
        adds to the curvature of the pairs' terms.
        """
        gamma_a, theta_a, gamma_b, theta_b, zeta = parameters
        inside = (theta_a > 0) & (theta_b > 0) & (np.abs(zeta) < 12)
        theta_a, theta_b, zeta = (np.where(inside, x, y) for x, y in ((theta_a, 1), (theta_b, 1), (zeta, 0)))
        a, b = self.value[:, lanes]
        seen, below = self.seen[lanes], self.below[:, lanes]
        h, k = theta_a[:, None] * a - gamma_a[:, None], theta_b[:, None] * b - gamma_b[:, None]
        f, first, second = pair_terms(h, k, zeta[:, None], below)
        n = [(seen & ~below[side]).sum(axis=1) for side in (0, 1)]
        value = _total(seen, f) + n[0] * np.log(theta_a) + n[1] * np.log(theta_b)

        # columns of the Jacobian of (h, k, ζ): which of the three a parameter moves, and by what factor
        moves = ((0, -np.ones_like(a)), (0, a), (1, -np.ones_like(b)), (1, b), (2, np.ones_like(a)))
        gradient = np.stack([_total(seen, first[i] * x) for i, x in moves])
        information = np.empty((5, 5, len(lanes)))
        for p, (i, x) in enumerate(moves):
            for q, (j, y) in enumerate(moves[: p + 1]):
                information[p, q] = information[q, p] = -_total(seen, second[i][j] * x * y)
        for row, theta, count in ((1, theta_a, n[0]), (3, theta_b, n[1])):
            gradient[row] += count / theta
            information[row, row] += count / theta**2
        return np.where(inside, value, -np.inf), gradient, information


def _total(seen: NDArray[np.bool_], terms: Array) -> Array:
    return np.where(seen, terms, 0.0).sum(axis=1)


def pair_terms(
    h: Array, k: Array, zeta: Array, below: NDArray[np.bool_]
) -> tuple[Array, list[Array], list[list[Array]]]:
    """Log likelihood of standardised pairs with its first and second derivatives by (h, k, ζ), by censoring pattern.

    Neither below: log φ₂ (without log θ). One below: log φ of the other + log Φ of the conditional. Both: log Φ₂(h, k).
    `below` (2, ...) says which of a and b.
    """
    zeta = np.broadcast_to(zeta, h.shape)
    swap = below[0] & ~below[1]
    u, w = np.where(swap, k, h), np.where(swap, h, k)  # u is known, w known or below its limit
    f, d, dd = _known_first(u, w, zeta, below[0] | below[1])
    first = [np.where(swap, d[1], d[0]), np.where(swap, d[0], d[1]), d[2]]
    order = ((1, 0, 2), (0, 1, 2))
    second = [[np.where(swap, dd[order[0][i]][order[0][j]], dd[i][j]) for j in range(3)] for i in range(3)]
    both = below[0] & below[1]
    if both.any():
        value, d, dd = _both_below(h[both], k[both], zeta[both])
        f[both] = value
        for i in range(3):
            first[i][both] = d[i]
            for j in range(3):
                second[i][j][both] = dd[i][j]
    return f, first, second


def _known_first(
    u: Array, w: Array, zeta: Array, censored: NDArray[np.bool_]
) -> tuple[Array, list[Array], list[list[Array]]]:
    """log φ(u) and, with q = w cosh ζ − u sinh ζ, log φ(q) + log cosh ζ where w is known, log Φ(q) where it is not."""
    c, s = np.cosh(zeta), np.sinh(zeta)
    q, q_zeta = c * w - s * u, s * w - c * u
    log_p, m, m_prime = log_cdf(np.where(censored, q, 0.0))
    half_log = 0.5 * np.log(2 * np.pi)
    g = np.where(censored, log_p, -0.5 * q * q - half_log + np.log(c))
    m, m_prime = np.where(censored, m, -q), np.where(censored, m_prime, -1.0)
    jacobian, curvature = np.where(censored, 0.0, s / c), np.where(censored, 0.0, 1 / c**2)
    first = [-u - s * m, c * m, m * q_zeta + jacobian]
    cross = -s * c * m_prime
    u_zeta, w_zeta = -c * m - s * m_prime * q_zeta, s * m + c * m_prime * q_zeta
    second = [
        [-1 + s * s * m_prime, cross, u_zeta],
        [cross, c * c * m_prime, w_zeta],
        [u_zeta, w_zeta, m_prime * q_zeta**2 + m * q + curvature],
    ]
    return -0.5 * u * u - half_log + g, first, second


def _both_below(h: Array, k: Array, zeta: Array) -> tuple[Array, list[Array], list[list[Array]]]:
    """log Φ₂(h, k; tanh ζ): with P its argument, P_h = φ(h) Φ(q), P_k = φ(k) Φ(p), P_ζ = φ(h) φ(q) / cosh ζ."""
    c, s = np.cosh(zeta), np.sinh(zeta)
    q, p = c * k - s * h, c * h - s * k
    P = bivariate_cdf(h, k, zeta)
    inside = P > FLOOR
    P = np.where(inside, P, 1.0)
    density_h, density_k, density_q, density_p = (np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) for x in (h, k, q, p))
    joint = density_h * density_q
    first = [density_h * np.exp(log_cdf(q)[0]) / P, density_k * np.exp(log_cdf(p)[0]) / P, joint / c / P]
    slope = c * s * h - s * s * k - k  # −k + s p
    raw = {
        (0, 0): -h * first[0] * P - s * joint,
        (0, 1): c * joint,
        (0, 2): joint / c * (s * q - h),
        (1, 1): -k * first[1] * P - s * density_k * density_p,
        (1, 2): joint / c * slope,
        (2, 2): -joint / c * (q * (s * k - c * h) + s / c),
    }
    second = [[raw[min(i, j), max(i, j)] / P - first[i] * first[j] for j in range(3)] for i in range(3)]
    return np.where(inside, np.log(P), -np.inf), first, second


def _fit(value: Array, below: NDArray[np.bool_], seen: NDArray[np.bool_]) -> tuple[Array, ...]:
    """Difference, its error, σ_a, σ_b, ρ, n and status (R,) of values (2, R, n), a censored one being its limit."""
    n = seen.sum(axis=1)
    known = (seen & ~below).sum(axis=2)
    pairs = (seen & ~below.any(axis=0)).sum(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):  # told by the status
        shift = value.sum(axis=2) / np.maximum(n, 1)
        centred = np.where(seen, value - shift[..., None], 0.0)
        unit = np.sqrt((centred**2).sum(axis=2) / np.maximum(n, 1))
    status = np.select(
        [~np.isfinite(unit).all(axis=0), n == 0, (known == 0).all(axis=0), (known == 0).any(axis=0), pairs < 3],
        [Status.NOT_FINITE, Status.TOO_FEW, Status.ALL_CENSORED, Status.ARM_CENSORED, Status.TOO_FEW],
        np.where((unit == 0).any(axis=0), Status.NO_VARIATION, Status.OK),
    )
    ok = np.flatnonzero(status == Status.OK)
    results = [np.full(len(n), np.nan) for _ in range(5)]
    if len(ok):
        scale = unit[:, ok]
        data = _Pairs(centred[:, ok] / scale[..., None], below[:, ok], seen[ok])
        numbers, status[ok] = _solve(data, scale, n[ok])
        numbers[0] += np.where(status[ok] == Status.OK, shift[0, ok] - shift[1, ok], np.nan)
        for result, number in zip(results, numbers, strict=True):
            result[ok] = number
    return (*results, n.astype(float), status)


def _solve(data: _Pairs, unit: Array, n: Array) -> tuple[list[Array], Array]:
    """Difference from the shifts, its error, σ_a, σ_b, ρ and status; the error by the delta method."""
    start = np.zeros((5, len(n)))
    start[[1, 3]] = 1.0
    scale = np.broadcast_to(n.astype(float), start.shape)
    top = maximise(data.evaluate, start, scale)
    gamma_a, theta_a, gamma_b, theta_b, zeta = top.parameters
    s_a, s_b = unit[0] / theta_a, unit[1] / theta_b
    slope = np.stack([s_a, -s_a * gamma_a / theta_a, -s_b, s_b * gamma_b / theta_b, np.zeros_like(zeta)])
    _, variance, definite = newton_step(slope, top.information, scale, np.zeros(len(n)))
    fine = top.converged & definite
    variance = np.where(fine, variance, np.nan)
    status = np.where(fine, Status.OK, Status.NOT_CONVERGED)
    return [s_a * gamma_a - s_b * gamma_b, np.sqrt(variance), s_a, s_b, np.tanh(zeta)], status
