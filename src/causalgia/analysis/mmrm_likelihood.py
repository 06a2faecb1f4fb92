"""(Restricted) maximum likelihood of the covariance of a subject's visits, by the patterns of visits seen.

Symbols as in `covariances`; Ω = Σ⁻¹ of the visits seen; Z = [X, y] with c = p + 1 columns; Φ = (X'ΩX)⁻¹;
P_u = X'ΩD_uΩX; r the residuals. The likelihood needs the subjects only through `Patterns.moments`, a matrix for each
pattern and element, so that a step costs the same for any number of subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.covariances import STRUCTURES, Layout, definite, elements, multiplicity, pack, unpack
from causalgia.analysis.estimates import Array
from causalgia.analysis.newton import EXACT, Lanes, maximise

ITERATIONS = 60
FLAT = 1e-8
"""Smallest eigenvalue of the information, its diagonal scaled to one, that still has a maximum."""
SINGULAR = 1e-8
"""Share of a visit's variance, given the visits before it, below which Σ counts as singular."""


@dataclass(frozen=True)
class Patterns:
    """The patterns of visits seen, replicate by replicate: K patterns in all, R replicates.

    `moments` (K, U, c, c) are Σ_k Z_k'D_uZ_k over the subjects k of a pattern; `first` (R,) where a replicate begins.
    """

    owner: Lanes
    first: Lanes
    seen: NDArray[np.bool_]
    count: Array
    moments: Array

    @classmethod
    def of(cls, Z: Array, seen: NDArray[np.bool_]) -> tuple[Patterns, Lanes]:
        """From Z (R, n, T, c), zero where not seen (R, n, T); also the pattern (R, n) of each subject."""
        R, n, T = seen.shape
        key = (np.arange(R)[:, None] << T) + (seen << np.arange(T)).sum(axis=2)
        order = np.argsort(key, axis=None, kind="stable")
        keys, start, pattern = np.unique(key.ravel()[order], return_index=True, return_inverse=True)
        pattern_of = np.empty(R * n, dtype=np.intp)
        pattern_of[order] = pattern
        rows = Z.reshape(R * n, T, -1)[order]
        moments = np.stack([_cross(rows, t, s, start) for t, s in zip(*elements(T), strict=True)], axis=1)
        owner = (keys >> T).astype(np.intp)
        visits = (keys[:, None] >> np.arange(T)) & 1 > 0
        count = np.diff(np.append(start, R * n)).astype(float)
        return cls(owner, np.searchsorted(owner, np.arange(R)), visits, count, moments), pattern_of.reshape(R, n)

    def take(self, lanes: Lanes) -> Patterns:
        """The patterns of some replicates, in their order."""
        if np.array_equal(lanes, np.arange(len(self.first))):
            return self
        length = np.diff(np.append(self.first, len(self.owner)))[lanes]
        first = np.cumsum(length) - length
        owner = np.repeat(np.arange(len(lanes)), length)
        rows = np.arange(len(owner)) + (self.first[lanes] - first)[owner]
        return Patterns(owner, first, self.seen[rows], self.count[rows], self.moments[rows])

    def total(self, values: Array) -> Array:
        """Sums over the patterns of each replicate: (K, ...) → (R, ...)."""
        return np.add.reduceat(values, self.first, axis=0)

    def weighted(self, A: Array) -> Array:
        """Σ_ab A_ab M[t, a, s, b] (K, T, T) for symmetric A (R, c, c), M the sums of Z_k[t, a] Z_k[s, b]."""
        K, U, c, _ = self.moments.shape
        T = self.seen.shape[1]
        values = (self.moments.reshape(K, U, c * c) @ A.reshape(-1, c * c, 1)[self.owner])[..., 0]
        return unpack(values / multiplicity(T), T)


def _cross(rows: Array, t: int, s: int, start: Lanes) -> Array:
    """Sums of Z'D_uZ over stretches of subjects, u = (t, s)."""
    product = rows[:, t, :, None] * rows[:, s, None, :]
    return np.add.reduceat(product if t == s else product + product.swapaxes(1, 2), start, axis=0)


def traces(A: Array, B: Array) -> Array:
    """tr(D_u A D_v B) (K, U, U) for symmetric A, B (K, T, T)."""
    t, s = elements(A.shape[1])
    half = multiplicity(A.shape[1]) / 2
    t_, s_ = t[:, None], s[:, None]
    F = A[:, s_, t] * B[:, t_, s] + A[:, t_, t] * B[:, s_, s] + A[:, s_, s] * B[:, t_, t] + A[:, t_, s] * B[:, s_, t]
    return F * half[:, None] * half


@dataclass(frozen=True)
class Point:
    """The likelihood at Σ and what its derivatives and the inference need.

    Φ (R, p, p), β (R, p), Ω (K, T, T), N (R, U, c, c) = Σ Z'ΩD_uΩZ, minus2 (R,) = −2 log likelihood without constants,
    slope (R, U) its gradient; observed and expected information of σ (R, U, U).
    """

    Phi: Array
    beta: Array
    Omega: Array
    N: Array
    minus2: Array
    slope: Array
    observed: Array
    expected: Array


def likelihood(patterns: Patterns, sigma: Array, reml: bool) -> Point:
    """The (restricted) likelihood and its exact first and second derivatives in the elements σ (R, U) of definite Σ.

    −2 l = log|V| + r'V⁻¹r + log|X'V⁻¹X|, the last for REML alone. Columns of X that are zero count as absent.
    """
    K, U, c, _ = patterns.moments.shape
    T, p, m = patterns.seen.shape[1], c - 1, patterns.moments.reshape(K, U, c * c)
    count, twice = patterns.count, multiplicity(patterns.seen.shape[1])
    Omega, log_det = _inverse(unpack(sigma, T)[patterns.owner], patterns.seen)
    F = traces(Omega, Omega)
    # One product of matrices for both sums: a single row times a matrix is rounded by its place in memory (OpenBLAS).
    sums = patterns.total(np.concatenate([pack(Omega)[:, None], F / twice], axis=1) @ m).reshape(-1, U + 1, c, c)
    H, N = sums[:, 0], sums[:, 1:]
    A = H[:, :p, :p] + np.eye(p) * (np.diagonal(H, axis1=1, axis2=2)[:, :p, None] == 0)
    Phi = _inverses(A)
    beta = (Phi @ H[:, :p, p:])[..., 0]
    w = np.concatenate([-beta, np.ones((len(beta), 1))], axis=1)
    rss = H[:, p, p] - (H[:, p, :p] * beta).sum(axis=1)
    minus2 = patterns.total(count * log_det) + rss

    Nw = (N @ w[:, None, :, None])[..., 0]
    slope = patterns.total(count[:, None] * pack(Omega) * twice) - (Nw * w[:, None]).sum(axis=2)
    E = Omega @ patterns.weighted(w[:, :, None] * w[:, None]) @ Omega
    spent = patterns.total(traces(Omega, E)) - Nw[:, :, :p] @ Phi @ Nw[:, :, :p].swapaxes(1, 2)
    expected = patterns.total(0.5 * count[:, None, None] * F)
    if reml:
        minus2 = minus2 + np.linalg.slogdet(A)[1]
        PhiP = Phi[:, None] @ N[:, :, :p, :p]
        slope = slope - np.trace(PhiP, axis1=2, axis2=3)
        padded = np.zeros((len(Phi), c, c))
        padded[:, :p, :p] = Phi
        G = Omega @ patterns.weighted(padded) @ Omega
        R = len(Phi)
        crossed = PhiP.reshape(R, U, p * p) @ PhiP.swapaxes(2, 3).reshape(R, U, p * p).swapaxes(1, 2)
        expected = expected - patterns.total(traces(Omega, G)) + 0.5 * crossed
    return Point(Phi, beta, Omega, N, minus2, slope, spent - expected, expected)


def _inverses(A: Array) -> Array:
    """Inverses (R, p, p), NaN for a matrix that is singular to rounding: the search then turns back from there."""
    try:
        return np.asarray(np.linalg.inv(A))
    except np.linalg.LinAlgError:
        result = np.full_like(A, np.nan)
        for r, matrix in enumerate(A):
            with suppress(np.linalg.LinAlgError):
                result[r] = np.linalg.inv(matrix)
        return result


def _inverse(S: Array, seen: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Inverse (K, T, T), zero outside the visits seen, and log determinant (K,) of the part of S that is seen."""
    both = seen[:, :, None] & seen[:, None]
    part = np.where(both, S, np.eye(S.shape[1]))
    return np.where(both, np.linalg.inv(part), 0.0), np.linalg.slogdet(part)[1]


@dataclass(frozen=True)
class Covariance:
    """σ (R, U), the asymptotic covariance W (R, U, U) of its estimate, and which structure fitted (R,), −1 for none."""

    sigma: Array
    W: Array
    fitted: NDArray[np.int8]


def fit_covariance(patterns: Patterns, names: Sequence[str], reml: bool) -> Covariance:
    """Fit the structures in their order, each to the replicates in which those before it have no maximum."""
    R, U = len(patterns.first), patterns.moments.shape[1]
    result = Covariance(np.full((R, U), np.nan), np.full((R, U, U), np.nan), np.full(R, -1, dtype=np.int8))
    left = np.arange(R)
    for which, name in enumerate(names):
        sigma, W, good = _fit(patterns.take(left), STRUCTURES[name].layout(patterns.seen.shape[1]), reml)
        lanes = left[good]
        result.sigma[lanes], result.W[lanes], result.fitted[lanes] = sigma[good], W[good], which
        left = left[~good]
        if not len(left):
            break
    return result


def _fit(patterns: Patterns, layout: Layout, reml: bool) -> tuple[Array, Array, NDArray[np.bool_]]:
    """σ, W and whether there is a maximum, by Newton's method with the exact information."""
    T = layout.T
    both = (patterns.seen[:, :, None] & patterns.seen[:, None]).astype(float)
    pairs = patterns.total(patterns.count[:, None] * pack(both))
    squares = patterns.total(patterns.moments[:, :, -1, -1] / multiplicity(T))
    with np.errstate(all="ignore"):  # a replicate that overflows has no maximum, and says so
        theta = layout.start(squares / np.maximum(pairs, 1), pairs)
        _, _, _, scale = _step(patterns, layout, theta, reml)

        def evaluate(lanes: Lanes, x: Array) -> tuple[Array, Array, Array]:
            rows = np.ascontiguousarray(x.T)  # the order in memory must not depend on how many lanes there are
            value, gradient, information, _ = _step(patterns.take(lanes), layout, rows, reml)
            return value, gradient.T, np.moveaxis(information, 0, 2)

        top = maximise(evaluate, theta.T, scale.T, EXACT, ITERATIONS)
        theta = np.ascontiguousarray(top.parameters.T)
        sigma, J = layout.sigma(theta)
        fine = top.converged & definite(unpack(sigma, T), SINGULAR)
        sigma = np.where(fine[:, None], sigma, pack(np.eye(T)))
        point = likelihood(patterns, sigma, reml)
        observed, expected = _chain(point, layout, theta, J)
        fine &= _peaked(observed, expected)
        W = np.linalg.inv(np.where(fine[:, None, None], observed, np.eye(theta.shape[1])))
    return sigma, J @ W @ J.swapaxes(1, 2), fine


def _step(patterns: Patterns, layout: Layout, theta: Array, reml: bool) -> tuple[Array, Array, Array, Array]:
    """Log likelihood, gradient, information and the diagonal of the expected information in θ (R, d).

    Where the observed information is not definite the expected one stands in; the value is −∞ where Σ is not definite.
    """
    sigma, J = layout.sigma(theta)
    inside = definite(unpack(sigma, layout.T), SINGULAR / 10)
    point = likelihood(patterns, np.where(inside[:, None], sigma, pack(np.eye(layout.T))), reml)
    observed, expected = _chain(point, layout, theta, J)
    information = np.where(_peaked(observed, expected)[:, None, None], observed, expected)
    value = np.where(inside & np.isfinite(point.minus2), -0.5 * point.minus2, -np.inf)
    gradient = -0.5 * (J.swapaxes(1, 2) @ point.slope[..., None])[..., 0]
    return value, gradient, information, np.diagonal(expected, axis1=1, axis2=2)


def _chain(point: Point, layout: Layout, theta: Array, J: Array) -> tuple[Array, Array]:
    """Observed and expected information in θ from those in σ."""
    observed = J.swapaxes(1, 2) @ point.observed @ J + 0.5 * layout.curvature(theta, point.slope)
    return observed, J.swapaxes(1, 2) @ point.expected @ J


def _peaked(observed: Array, expected: Array) -> NDArray[np.bool_]:
    """Whether the observed information is definite, in units of the expected one."""
    d = np.diagonal(expected, axis1=1, axis2=2)
    fine: NDArray[np.bool_] = np.asarray((d > 0).all(axis=1) & np.isfinite(observed).all(axis=(1, 2)))
    unit = 1 / np.sqrt(np.where(fine[:, None], d, 1))
    scaled = np.where(fine[:, None, None], observed * unit[:, :, None] * unit[:, None], 0)
    return fine & (np.linalg.eigvalsh(scaled)[:, 0] > FLAT)
