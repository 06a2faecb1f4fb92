"""Errors and degrees of freedom of a contrast: model-based, Satterthwaite, linear Kenward-Roger, sandwich.

Symbols as in `mmrm_likelihood`; V is a contrast of the orthonormal columns, a = ΦV.
"""

from __future__ import annotations

import numpy as np

from causalgia.analysis.covariances import unpack
from causalgia.analysis.estimates import Array
from causalgia.analysis.mmrm_design import Chunk, Fit
from causalgia.analysis.mmrm_likelihood import traces

INFERENCES = {
    "kenward-roger-linear": "Kenward-Roger with first derivatives of the covariance (exact for unstructured)",
    "satterthwaite": "model-based error, Satterthwaite degrees of freedom",
    "model-based": "model-based error, normal quantiles",
    "sandwich": "sandwich error (CR0), Satterthwaite degrees of freedom",
    "sandwich-bias-reduced": "bias-reduced sandwich error (CR2), Satterthwaite degrees of freedom",
}


def contrast_error(chunk: Chunk, fit: Fit, V: Array, inference: str) -> tuple[Array, Array]:
    """Standard error and degrees of freedom of V'β̃ (R,), β̃ the coefficients of the orthonormal columns."""
    if inference.startswith("sandwich"):
        return _sandwich(chunk, fit, V, inference == "sandwich-bias-reduced")
    a, variance, slope = gradient(fit, V)
    if inference == "model-based":
        return np.sqrt(variance), np.full(len(variance), np.inf)
    df = 2 * variance**2 / quadratic(slope, fit.covariance.W)
    if inference == "kenward-roger-linear":
        variance = variance + _kenward_roger(fit, a)
    return np.sqrt(variance), df


def gradient(fit: Fit, V: Array) -> tuple[Array, Array, Array]:
    """a = ΦV (R, p), V'ΦV (R,) and its derivatives a'P_u a in σ (R, U)."""
    a = (fit.point.Phi @ V[..., None])[..., 0]
    P = fit.point.N[:, :, :-1, :-1]
    return a, (a * V).sum(axis=1), ((P @ a[:, None, :, None])[..., 0] * a[:, None]).sum(axis=2)


def quadratic(g: Array, W: Array) -> Array:
    """g'Wg (R,)."""
    return ((W @ g[..., None])[..., 0] * g).sum(axis=1)


def _kenward_roger(fit: Fit, a: Array) -> Array:
    """2 Σ_uv W_uv (a'Q_uv a − a'P_uΦP_v a): what the error of Σ adds to the variance."""
    padded = np.concatenate([a, np.zeros((len(a), 1))], axis=1)
    Omega = fit.point.Omega
    A = Omega @ fit.patterns.weighted(padded[:, :, None] * padded[:, None]) @ Omega
    Pa = (fit.point.N[:, :, :-1, :-1] @ a[:, None, :, None])[..., 0]
    C = fit.patterns.total(traces(Omega, A)) - Pa @ fit.point.Phi @ Pa.swapaxes(1, 2)
    return 2 * (fit.covariance.W * C).sum(axis=(1, 2))


def _sandwich(chunk: Chunk, fit: Fit, V: Array, reduced: bool) -> tuple[Array, Array]:
    """Error and degrees of freedom from the subjects' residuals r_k: Σ_k (a_k'r_k)², a_k = A_k'Ω_kX_kΦV.

    A_k = D'B^(−1/2)D with V_k = D'D and B = D(V_k − X_kΦX_k')D' makes each term unbiased where Σ is right; A_k = 1
    unreduced. df = (tr G)²/ΣG² with G_jk = a_j' cov(r_j, r_k) a_k.
    """
    Z, seen = chunk.Z[fit.lanes], chunk.seen[fit.lanes]
    X, Phi, T = Z[..., :-1], fit.point.Phi, Z.shape[2]
    r = Z[..., -1] - (X @ fit.point.beta[:, None, :, None])[..., 0]
    Omega = fit.point.Omega[fit.pattern_of]
    a = (Omega @ (X @ (Phi @ V[..., None])[:, None]))[..., 0]
    both = seen[..., None] & seen[..., None, :]
    S = np.where(both, unpack(fit.covariance.sigma, T)[:, None], np.eye(T))
    if reduced:
        D = np.linalg.cholesky(S).swapaxes(2, 3)
        B = D @ (S - X @ Phi[:, None] @ X.swapaxes(2, 3)) @ D.swapaxes(2, 3)
        values, vectors = np.linalg.eigh(B)
        power = np.where(values > 1e-10 * values[..., -1:], np.abs(values), np.inf) ** -0.5
        root = (vectors * power[..., None, :]) @ vectors.swapaxes(2, 3)
        a = (D.swapaxes(2, 3) @ (root @ (D @ a[..., None])))[..., 0]
    own = ((S @ a[..., None])[..., 0] * a).sum(axis=2)
    F = (X.swapaxes(2, 3) @ a[..., None])[..., 0]
    FPhi = F @ Phi
    leverage = (FPhi * F).sum(axis=2)
    M = FPhi.swapaxes(1, 2) @ F
    squares = (own**2 - 2 * own * leverage).sum(axis=1) + (M * M.swapaxes(1, 2)).sum(axis=(1, 2))
    variance = ((a * r).sum(axis=2) ** 2).sum(axis=1)
    return np.sqrt(variance), (own - leverage).sum(axis=1) ** 2 / squares
