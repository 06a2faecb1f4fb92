"""A mixed model for repeated measures from its definition: dense matrices, numerical derivatives, own parameters.

Shares no code, no parameters and no algebra with causalgia.analysis: the whole V is built and inverted, its derivatives
are finite differences, and the sandwich multiplies whole matrices.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import linalg, optimize


def sigma_of(structure: str, theta: np.ndarray, T: int) -> np.ndarray:
    """Σ from unconstrained parameters: a Cholesky factor, or log variances and tanh-like correlations."""
    if structure == "unstructured":
        root = np.zeros((T, T))
        root[np.tril_indices(T)] = theta
        return root @ root.T
    lag = np.abs(np.subtract.outer(np.arange(T), np.arange(T)))
    if structure == "toeplitz":
        corr = np.concatenate([[1.0], theta[T:]])[lag]
        return np.sqrt(np.outer(np.exp(theta[:T]), np.exp(theta[:T]))) * corr
    if structure == "heterogeneous-ar1":
        return np.sqrt(np.outer(np.exp(theta[:T]), np.exp(theta[:T]))) * np.tanh(theta[T]) ** lag
    if structure == "ar1":
        return np.exp(theta[0]) * np.tanh(theta[1]) ** lag
    return theta[0] * np.eye(T) + theta[1] * np.ones((T, T))


def start_of(structure: str, T: int) -> np.ndarray:
    if structure == "unstructured":
        return np.eye(T)[np.tril_indices(T)]
    return {
        "toeplitz": np.zeros(2 * T - 1),
        "heterogeneous-ar1": np.append(np.zeros(T), 0.1),
        "ar1": np.array([0.0, 0.1]),
        "compound-symmetry": np.array([1.0, 0.1]),
    }[structure]


class SlowMmrm:
    """Fit of y (n, T) with NaN where missing on x (n, T, p), and inference on a contrast."""

    def __init__(self, y: np.ndarray, x: np.ndarray, structure: str, reml: bool = True):
        self.structure, self.reml, self.T = structure, reml, y.shape[1]
        self.visits = [np.flatnonzero(np.isfinite(row)) for row in y]
        self.y = np.concatenate([row[v] for row, v in zip(y, self.visits, strict=True)])
        self.X = np.concatenate([rows[v] for rows, v in zip(x, self.visits, strict=True)])
        edges = np.cumsum([0, *map(len, self.visits)])
        self.blocks = [slice(a, b) for a, b in pairwise(edges) if b > a]
        theta = start_of(structure, self.T)
        for _ in range(2):
            theta = optimize.minimize(self.minus2, theta, method="BFGS", options={"gtol": 1e-7}).x
        for _ in range(2):  # Newton steps remove what is left of the search's tolerance
            theta = theta - np.linalg.solve(self.hessian(theta), self.gradient(theta))
        self.theta, self.V = theta, self.V_of(theta)
        self.W = 2 * np.linalg.inv(self.hessian(theta))
        Omega = np.linalg.inv(self.V)
        self.Omega, self.Phi = Omega, np.linalg.inv(self.X.T @ Omega @ self.X)
        self.beta = self.Phi @ self.X.T @ Omega @ self.y

    def V_of(self, theta: np.ndarray) -> np.ndarray:
        Sigma = sigma_of(self.structure, theta, self.T)
        return linalg.block_diag(*[Sigma[np.ix_(v, v)] for v in self.visits if len(v)])

    def minus2(self, theta: np.ndarray) -> float:
        V = self.V_of(theta)
        try:
            root = np.linalg.cholesky(V)
        except np.linalg.LinAlgError:
            return 1e10
        log_det, Omega = 2 * np.log(np.diag(root)).sum(), np.linalg.inv(V)
        A = self.X.T @ Omega @ self.X
        r = self.y - self.X @ np.linalg.solve(A, self.X.T @ Omega @ self.y)
        value = log_det + r @ Omega @ r
        N, p = self.X.shape
        if self.reml:
            return value + np.linalg.slogdet(A)[1] + (N - p) * np.log(2 * np.pi)
        return value + N * np.log(2 * np.pi)

    def gradient(self, theta: np.ndarray, h: float = 1e-4) -> np.ndarray:
        steps = h * np.eye(len(theta))
        near = [self.minus2(theta + s) - self.minus2(theta - s) for s in steps]
        far = [self.minus2(theta + 2 * s) - self.minus2(theta - 2 * s) for s in steps]
        return (8 * np.array(near) - np.array(far)) / (12 * h)

    def hessian(self, theta: np.ndarray, h: float = 3e-3) -> np.ndarray:
        steps = h * np.eye(len(theta))
        return np.array(
            [
                (
                    8 * (self.gradient(theta + s) - self.gradient(theta - s))
                    - (self.gradient(theta + 2 * s) - self.gradient(theta - 2 * s))
                )
                / (12 * h)
                for s in steps
            ]
        )

    def slopes(self, h: float = 1e-5) -> list[np.ndarray]:
        return [(self.V_of(self.theta + s) - self.V_of(self.theta - s)) / (2 * h) for s in h * np.eye(len(self.theta))]

    def satterthwaite(self, L: np.ndarray) -> tuple[float, float]:
        B = self.Omega @ self.X @ self.Phi @ L
        g = np.array([B @ D @ B for D in self.slopes()])
        variance = L @ self.Phi @ L
        return float(np.sqrt(variance)), float(2 * variance**2 / (g @ self.W @ g))

    def kenward_roger(self, L: np.ndarray) -> tuple[float, float]:
        """Kenward and Roger (1997) with P, Q as printed and R left out; the degrees of freedom from A1, A2, B, g, c."""
        X, O, Phi = self.X, self.Omega, self.Phi
        D = self.slopes()
        P = [-X.T @ O @ d @ O @ X for d in D]
        total = np.zeros_like(Phi)
        for i in range(len(D)):
            for j in range(len(D)):
                Q = X.T @ O @ D[i] @ O @ D[j] @ O @ X
                total += self.W[i, j] * (Q - P[i] @ Phi @ P[j])
        adjusted = Phi + 2 * Phi @ total @ Phi
        Theta = np.outer(L, L) / (L @ Phi @ L)
        A1 = A2 = 0.0
        for i in range(len(D)):
            for j in range(len(D)):
                a, b = Theta @ Phi @ P[i] @ Phi, Theta @ Phi @ P[j] @ Phi
                A1 += self.W[i, j] * np.trace(a) * np.trace(b)
                A2 += self.W[i, j] * np.trace(a @ b)
        B = (A1 + 6 * A2) / 2
        g = (2 * A1 - 5 * A2) / (3 * A2)
        c1, c2, c3 = (k / (3 + 2 * (1 - g)) for k in (g, 1 - g, 3 - g))
        E, var = 1 / (1 - A2), 2 * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
        df = 4 + 3 / (var / (2 * E**2) - 1)
        assert abs(df / (E * (df - 2)) - 1) < 1e-6  # the scale of one contrast
        return float(np.sqrt(L @ adjusted @ L)), float(df)

    def sandwich(self, L: np.ndarray, reduced: bool) -> tuple[float, float]:
        """CR0 or CR2 and its degrees of freedom, from the whole (I − H) V (I − H)'."""
        N = len(self.y)
        H = self.X @ self.Phi @ self.X.T @ self.Omega
        M = (np.eye(N) - H) @ self.V @ (np.eye(N) - H).T
        r = self.y - self.X @ self.beta
        vectors = []
        for b in self.blocks:
            A = np.eye(b.stop - b.start)
            if reduced:
                D = linalg.cholesky(self.V[b, b])
                values, U = np.linalg.eigh(D @ M[b, b] @ D.T)
                root = U[:, values > 1e-9] @ np.diag(values[values > 1e-9] ** -0.5) @ U[:, values > 1e-9].T
                A = D.T @ root @ D
            full = np.zeros(N)
            full[b] = A.T @ self.Omega[b, b] @ self.X[b] @ self.Phi @ L
            vectors.append(full)
        a = np.array(vectors)
        G = a @ M @ a.T
        return float(np.sqrt(((a @ r) ** 2).sum())), float(np.trace(G) ** 2 / (G**2).sum())
