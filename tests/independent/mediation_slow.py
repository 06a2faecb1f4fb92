"""Mediation with assay error by brute force: the structural likelihood, integrated over the latent variables.

Written from the structural equations alone and sharing no code with the package. Per subject

    ∫∫ N(W₀; x, u₀) N(x; γ·(1, C), σ_X²) N(m; α·(1, A, x, C), σ_M²) p(W; m, u) N(Y; β·(1, A, m, x, C), σ_Y²) dx dm

with p the density of W above its limit and the probability below it; Gauss-Hermite nodes in x and m; BFGS.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special


def _log_normal(residual, sd):
    return -0.5 * (residual / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def fit(y, w, treated, c, w0, u, u0, limit=-np.inf, nodes=20):
    """Maximum likelihood: a, b, the direct effect, and the residual sd of M, Y given the error variances u, u0.

    y, w, treated, c, w0 (n,); u0 = 0 means that the baseline is known, w0 None that there is none.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    log_weight = np.log(weight / weight.sum())
    latent = w0 is not None and u0 > 0
    z_x = z if latent else np.zeros(1)
    log_weight_x = log_weight if latent else np.zeros(1)

    def loss(p):
        gamma, alpha, beta = p[:2], p[2:6], p[6:11]
        s_x, s_m, s_y = np.exp(p[11:])
        mean_x = gamma[0] + gamma[1] * c
        if w0 is None:
            x, log_x = np.zeros((len(y), 1)), 0.0
        elif latent:  # nodes about the law of x given its reading, which is normal
            share = s_x**2 / (s_x**2 + u0)
            x = (mean_x + share * (w0 - mean_x))[:, None] + np.sqrt(share * u0) * z_x
            log_x = _log_normal(w0 - mean_x, np.sqrt(s_x**2 + u0))
        else:
            x, log_x = w0[:, None], _log_normal(w0 - mean_x, s_x)
        mean_m = (alpha[0] + alpha[1] * treated + alpha[3] * c)[:, None] + alpha[2] * x
        m = mean_m[..., None] + s_m * z
        known = (w > limit)[:, None, None]
        reading = np.where(
            known,
            _log_normal(w[:, None, None] - m, np.sqrt(u)),
            special.log_ndtr((limit - m) / np.sqrt(u)) if np.isfinite(limit) else 0.0,
        )
        mean_y = (beta[0] + beta[1] * treated + beta[4] * c)[:, None, None] + beta[2] * m + beta[3] * x[..., None]
        inner = reading + _log_normal(y[:, None, None] - mean_y, s_y) + log_weight
        outer = special.logsumexp(inner, axis=2) + log_weight_x
        return -np.sum(special.logsumexp(outer, axis=1) + log_x)

    start = np.zeros(14)
    start[6] = y.mean()
    start[13] = np.log(y.std())
    free = np.ones(14, bool)
    if w0 is None:
        free[[0, 1, 4, 9, 11]] = False

    def on_free(q):
        p = start.copy()
        p[free] = q
        return loss(p)

    q = start[free]
    for _ in range(3):  # BFGS stops early on the rounding of its numerical gradient
        top = optimize.minimize(on_free, q, method="BFGS", options={"gtol": 1e-5})
        q = top.x
    p = start.copy()
    p[free] = q
    return {"a": p[3], "b": p[8], "direct": p[7], "sd_m": np.exp(p[12]), "sd_y": np.exp(p[13])}
