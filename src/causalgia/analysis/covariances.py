"""Structures of the covariance of a subject's visits, by their elements and derivatives, for many replicates.

Symbols: T visits; U = T(T+1)/2 elements t ≤ s of a symmetric matrix, D_u its unit matrices, so Σ = Σ_u σ_u D_u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array
from causalgia.analysis.newton import Lanes

Lags = NDArray[np.intp]
"""s − t of the pairs of visits t < s."""


@dataclass(frozen=True)
class Structure:
    """Σ_tt = exp(2α_t), Σ_ts = exp(α_t + α_s) φ_j^k: one α a visit or one for all; lags → j and k of the pairs."""

    heterogeneous: bool
    correlations: Callable[[Lags], tuple[NDArray[np.intp], NDArray[np.intp]]]

    def layout(self, T: int) -> Layout:
        """Which parameters make which element, for T visits."""
        t, s = elements(T)
        off = np.flatnonzero(t != s)
        j, k = self.correlations((s - t)[off])
        visit = np.arange(T) if self.heterogeneous else np.zeros(T, dtype=np.intp)
        return Layout(T, visit[-1] + 1, (visit[t], visit[s]), off, j, k)


STRUCTURES = {
    "unstructured": Structure(True, lambda lag: (np.arange(len(lag)), np.ones_like(lag))),
    "toeplitz": Structure(True, lambda lag: (lag - 1, np.ones_like(lag))),
    "heterogeneous-ar1": Structure(True, lambda lag: (np.zeros_like(lag), lag)),
    "ar1": Structure(False, lambda lag: (np.zeros_like(lag), lag)),
    "compound-symmetry": Structure(False, lambda lag: (np.zeros_like(lag), np.ones_like(lag))),
}
"""By name; the Toeplitz structure has a standard deviation for each visit, "ar1" and "compound-symmetry" have one."""


@dataclass(frozen=True)
class Layout:
    """θ = (α, φ) ↔ elements σ of Σ, `scales` the number of α.

    `ends` are the two α (U,) of each element, `off` the elements of pairs, `j` and `k` (off,) their φ and its power.
    """

    T: int
    scales: int
    ends: tuple[Lanes, Lanes]
    off: Lanes
    j: NDArray[np.intp]
    k: NDArray[np.intp]

    @property
    def d(self) -> int:
        """How many parameters there are."""
        return self.scales + int(self.j.max(initial=-1)) + 1

    @property
    def E(self) -> Array:
        """∂ log σ / ∂α (U, α)."""
        return sum((np.eye(self.scales)[end] for end in self.ends), np.zeros((len(self.ends[0]), self.scales)))

    @property
    def which(self) -> Array:
        """1 for the φ of a pair (off, φ)."""
        return np.eye(self.d - self.scales)[self.j]

    def sigma(self, theta: Array) -> tuple[Array, Array]:
        """θ (R, d) → σ (R, U) and ∂σ/∂θ (R, U, d)."""
        value = np.exp(theta[:, self.ends[0]] + theta[:, self.ends[1]])
        J = np.zeros((*value.shape, self.d))
        phi, scale = theta[:, self.scales + self.j], value[:, self.off]
        value[:, self.off] *= phi**self.k
        J[:, :, : self.scales] = value[..., None] * self.E
        J[:, self.off, self.scales :] = (scale * self.k * phi ** (self.k - 1))[..., None] * self.which
        return value, J

    def curvature(self, theta: Array, g: Array) -> Array:
        """Σ_u g_u ∂²σ_u/∂θ∂θ' (R, d, d) for weights g (R, U)."""
        value, J = self.sigma(theta)
        phi = theta[:, self.scales + self.j]
        scale = np.exp(theta[:, self.ends[0]] + theta[:, self.ends[1]])[:, self.off]
        bend = scale * self.k * (self.k - 1) * phi ** np.maximum(self.k - 2, 0)
        S = np.zeros((len(theta), self.d, self.d))
        a, f, E, which = slice(self.scales), slice(self.scales, None), self.E, self.which
        S[:, a, a] = E.T @ ((g * value)[..., None] * E)
        S[:, a, f] = E.T @ (g[..., None] * J[:, :, f])
        S[:, f, a] = S[:, a, f].swapaxes(1, 2)
        S[:, f, f] = which.T @ ((g[:, self.off] * bend)[..., None] * which)
        return S

    def start(self, covariance: Array, pairs: Array) -> Array:
        """θ (R, d) from covariances of residuals (R, U) over `pairs` (R, U) subjects, shrunk until Σ is definite."""
        t, s = elements(self.T)
        on = np.flatnonzero(t == s)
        seen = pairs[:, on] > 0
        pooled = (covariance[:, on] * pairs[:, on]).sum(axis=1) / np.maximum(pairs[:, on].sum(axis=1), 1)
        variance = np.where(seen & (covariance[:, on] > 1e-6 * pooled[:, None]), covariance[:, on], pooled[:, None])
        spread = np.sqrt(variance[:, t[self.off]] * variance[:, s[self.off]])
        r = np.clip(covariance[:, self.off] / spread, -0.95, 0.95)
        first = ((self.k == 1) * pairs[:, self.off])[:, None]  # a decay starts from its neighbours
        phi = ((first * r[:, None]) @ self.which / np.maximum(first @ self.which, 1))[:, 0]
        alpha = 0.5 * np.log(variance if self.scales == self.T else pooled[:, None])
        theta = np.concatenate([alpha, phi], axis=1)
        for _ in range(12):
            bad = ~definite(unpack(self.sigma(theta)[0], self.T), 1e-3)
            theta[bad, self.scales :] *= 0.7
        return theta


def elements(T: int) -> tuple[Lanes, Lanes]:
    """Rows t and columns s of the elements t ≤ s of a T by T matrix."""
    return np.triu_indices(T)


def unpack(values: Array, T: int) -> Array:
    """Elements (..., U) → symmetric matrices (..., T, T)."""
    t, s = elements(T)
    out = np.empty((*values.shape[:-1], T, T))
    out[..., t, s] = out[..., s, t] = values
    return out


def pack(matrices: Array) -> Array:
    """Symmetric matrices (..., T, T) → elements (..., U)."""
    t, s = elements(matrices.shape[-1])
    return matrices[..., t, s]


def multiplicity(T: int) -> Array:
    """How often each element stands in a symmetric matrix: 1 on the diagonal, else 2."""
    t, s = elements(T)
    return np.where(t == s, 1.0, 2.0)


def definite(S: Array, least: float) -> NDArray[np.bool_]:
    """Which S (R, T, T) leave each visit more than the share `least` of its variance given those before it."""
    d = np.diagonal(S, axis1=1, axis2=2)
    fine: NDArray[np.bool_] = np.asarray(np.isfinite(S).all(axis=(1, 2)) & (d > 0).all(axis=1))
    unit = 1 / np.sqrt(np.where(fine[:, None], d, 1))
    C = np.where(fine[:, None, None], S, 0) * unit[:, :, None] * unit[:, None]
    for k in range(S.shape[1]):
        pivot = C[:, k, k].copy()
        fine &= pivot > least
        row = C[:, k].copy()
        C -= row[:, :, None] * (row / np.where(pivot > least, pivot, 1)[:, None])[:, None]
    return fine
