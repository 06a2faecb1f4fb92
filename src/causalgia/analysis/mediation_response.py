"""Mediation of a yes-or-no outcome, such as a response: natural effects as differences of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.batches import Batch, as_batch
from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.mediation import LEAST_PER_ARM
from causalgia.analysis.newton import EXACT, Lanes, maximise
from causalgia.analysis.olsen import standardise
from causalgia.analysis.tails import log_cdf
from causalgia.documents.errors import InputError

CHUNK = 512
FLAT = 1e-6
"""Information of a coefficient, as a share of what it could be, below which the response is separated."""


@dataclass(frozen=True)
class ResponseMediation:
    """Differences of response probabilities (..., size), averaged over the covariates of the sample.

    `indirect_control` = P(Y(0, M(1))) − P(Y(0, M(0))), `indirect_treated` = P(Y(1, M(1))) − P(Y(1, M(0))), `indirect`
    their mean; `direct` likewise; total = indirect_treated + P(Y(1, M(0))) − P(Y(0, M(0))) = direct + indirect.
    """

    total: Effect
    direct: Effect
    indirect: Effect
    indirect_control: Effect
    indirect_treated: Effect


def mediate_response(
    response: ArrayLike,
    mediator: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    error: ArrayLike,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
    least: int = LEAST_PER_ARM,
) -> ResponseMediation:
    """Natural effects on the probability of a response through a mediator read with error, by a probit model.

        M = μ(A, C) + N(0, σ²_M), μ linear;  W = M + N(0, `error`);  P(Y = 1) = Φ(β₀ + c·A + b·M + β_C C)

    The probit of Y on the reading has the slope κ = bλ/√(1 + b²λu), λ = σ²_M/(σ²_M + u), whence b; with η its linear
    predictor, k = √(1 + b²λu) and a the effect on M,

        P(Y(t, M(t')) = 1 | C) = Φ((k η(t, μ(t, C), C) + b·a·(t' − t)) / √(1 + b²σ²_M)),

    averaged over C. Delta method, normal intervals. response, treated of 0 and 1, mediator (log scale), error, observed
    (..., n), covariates (..., n, p); `error` 0 is the naive analysis. Statuses as in `mediate`, `NO_VARIATION` where
    all respond or none, `NOT_CONVERGED` where response is separated, `ERROR_DOMINATES`. Raises `InputError` for
    responses other than 0 and 1, negative variances, shapes that do not agree.
    Source: Imai, Keele and Tingley (2010), Psychol. Methods 15, 309, in closed form; Carroll et al. (2006), ch. 4.
    """
    batch = as_batch([response, mediator, treated, error], covariates, observed=observed, sizes=sizes, arm=2)
    y, _, _, u = batch.columns[:4]
    if np.any(batch.observed & (y != 0) & (y != 1)):
        raise InputError("response", "other values", "0 for no and 1 for yes")
    if np.any(batch.observed & ~(u >= 0)):
        raise InputError("error", "a negative or missing variance", "variances of at least zero")
    rows = []
    for size in batch.sizes:
        parts = []
        for chunk in batch.chunks(CHUNK):
            columns = [column[chunk, :size] for column in batch.columns]
            parts.append(_fit(columns, batch.observed[chunk, :size], least))
        rows.append([np.concatenate(part) for part in zip(*parts, strict=True)])
    effects, variances, status = (np.stack(x) for x in zip(*rows, strict=True))
    return ResponseMediation(*(_effect(batch, effects[..., i], variances[..., i], status, alpha) for i in range(5)))


def _effect(batch: Batch, estimate: Array, variance: Array, status: NDArray, alpha: float) -> Effect:
    with np.errstate(invalid="ignore"):
        se = batch.restore(np.sqrt(variance))
    return t_effect(batch.restore(estimate), se, np.full(se.shape, np.inf), batch.restore(status), alpha)


def _fit(columns: Sequence[Array], seen: NDArray[np.bool_], least: int) -> tuple[Array, Array, NDArray[np.int8]]:
    """The five effects of `ResponseMediation` (R, 5), their variances, and status (R,) of one chunk."""
    y, w, arm, error, *covariates = columns
    raw = np.where(seen[..., None], np.stack([*covariates, w], axis=2), 0.0)
    finite = np.isfinite(raw).all(axis=(1, 2))
    n, treated, yes = (np.where(seen, x, 0.0).sum(axis=1) for x in (np.ones_like(y), arm, y))
    status = np.select(
        [~finite, n == 0, (treated == 0) | (treated == n), np.minimum(treated, n - treated) < least],
        [Status.NOT_FINITE, Status.TOO_FEW, Status.NO_ARM, Status.ARM_TOO_SMALL],
        np.where((yes == 0) | (yes == n), Status.NO_VARIATION, Status.OK),
    )
    results = np.full((2, len(n), 5), np.nan)
    ok = np.flatnonzero(status == Status.OK)
    if len(ok):
        z, _, unit = standardise(raw[ok], seen[ok])
        one = seen[ok].astype(float)
        X = np.concatenate([one[..., None], (one * arm[ok])[..., None], z], axis=2)
        u = np.where(seen[ok], error[ok], 0.0).sum(axis=1) / n[ok] / unit[:, -1] ** 2
        sign = np.where(seen[ok], 2 * y[ok] - 1, 0.0)
        estimate, variance, found = _effects(X, sign, u)
        results[:, ok], status[ok] = np.stack([estimate, variance]), found
    return results[0], results[1], status.astype(np.int8)


def _effects(X: Array, sign: Array, u: Array) -> tuple[Array, Array, NDArray]:
    """Effects and variances (R, 5) and status; X (R, n, d) is 1, arm, covariates, reading; sign ±1, 0 not observed."""
    d, n = X.shape[2], np.abs(sign).sum(axis=1)
    gram = np.swapaxes(X, 1, 2) @ X
    Z = gram[:, :-1, :-1]
    singular = np.linalg.eigvalsh(Z / n[:, None, None])[:, 0] < 1e-10
    inverse = np.linalg.inv(np.where(singular[:, None, None], np.eye(d - 1), Z))
    mu = (inverse @ gram[:, :-1, -1:])[..., 0]
    spread = (gram[:, -1, -1] - (gram[:, :-1, -1] * mu).sum(axis=1)) / (n - d + 1)
    gamma, information, converged = _probit(X, sign)
    weak = np.linalg.eigvalsh(information / n[:, None, None])[:, 0] < FLAT
    fitted = converged & ~weak & ~singular & (n >= d + 1)
    covariance = np.zeros((len(n), 2 * d, 2 * d))  # of γ (d), μ (d − 1) and the spread
    safe = np.where(fitted[:, None, None], information, np.eye(d))
    covariance[:, :d, :d] = np.linalg.inv(safe)
    covariance[:, d:-1, d:-1] = spread[:, None, None] * inverse
    covariance[:, -1, -1] = 2 * spread**2 / np.maximum(n - d + 1, 1)
    parameters = np.concatenate([gamma, mu, spread[:, None]], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = _probabilities(parameters, X, n, u)
        slopes = np.empty((len(n), 5, 2 * d))
        for j in range(2 * d):
            step = np.zeros(2 * d)
            step[j] = 1e-5
            ahead, behind = (_probabilities(parameters + s * step, X, n, u) for s in (1, -1))
            slopes[..., j] = (ahead - behind) / 2e-5
        variance = np.einsum("rij,rjk,rik->ri", slopes, covariance, slopes)
    dominated = ~np.isfinite(value).all(axis=1)
    status = np.select(
        [singular, n < d + 1, ~fitted, dominated],
        [Status.SINGULAR, Status.TOO_FEW, Status.NOT_CONVERGED, Status.ERROR_DOMINATES],
        Status.OK,
    )
    return value, variance, status


def _probabilities(parameters: Array, X: Array, n: Array, u: Array) -> Array:
    """total, direct, indirect, indirect at control, indirect at treatment (R, 5); NaN where the error dominates."""
    d = X.shape[2]
    gamma, mu, spread = parameters[:, :d], parameters[:, d:-1], parameters[:, -1]
    truth = spread - u
    share = np.where(truth > 0, truth / spread, np.nan)
    kappa, tau = gamma[:, -1], share * u
    b = kappa / np.sqrt(share**2 - kappa**2 * tau)
    k, wide = np.sqrt(1 + b**2 * tau), np.sqrt(1 + b**2 * truth)
    seen = X[..., 0]
    rest = (X[..., 2:-1] @ gamma[:, 2:-1, None])[..., 0] + gamma[:, :1]
    mean = (X[..., 2:-1] @ mu[:, 2:, None])[..., 0] + mu[:, :1]
    probability = {}
    for t in (0, 1):
        eta = rest + gamma[:, 1:2] * t + kappa[:, None] * (mean + mu[:, 1:2] * t)
        for other in (0, 1):
            argument = (k[:, None] * eta + (b * mu[:, 1])[:, None] * (other - t)) / wide[:, None]
            probability[t, other] = (seen * special.ndtr(argument)).sum(axis=1) / n
    control, treated = (probability[t, 1] - probability[t, 0] for t in (0, 1))
    total = probability[1, 1] - probability[0, 0]
    indirect = (control + treated) / 2
    return np.stack([total, total - indirect, indirect, control, treated], axis=1)


def _probit(X: Array, sign: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Coefficients (R, d), information (R, d, d) and convergence of the probit regression."""

    def evaluate(lanes: Lanes, gamma: Array) -> tuple[Array, Array, Array]:
        x, s = X[lanes], sign[lanes]
        log_p, m, m_prime = log_cdf(s * (x @ gamma.T[:, :, None])[..., 0])
        weight = s * s
        weighted = x * (weight * m_prime)[..., None]
        gradient = ((s * m)[:, None] @ x)[:, 0].T
        return (weight * log_p).sum(axis=1), gradient, -np.moveaxis(np.swapaxes(weighted, 1, 2) @ x, 0, 2)

    R, _, d = X.shape
    scale = np.moveaxis((X**2).sum(axis=1), 0, 1)
    top = maximise(evaluate, np.zeros((d, R)), scale, EXACT)
    return top.parameters.T, np.moveaxis(top.information, 2, 0), top.converged
