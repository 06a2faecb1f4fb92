"""Meta-analytic-predictive priors: what placebo arms of the past say about the placebo arm of the next trial.

θᵢ ~ N(μ, τ²) for arm i, μ and τ with weakly informative priors; the prior of a new arm is p(θ* | data), by numerical
integration over (μ, τ), then fitted by a small conjugate mixture. Symbols: k arms; θ the mean, or the logit of a
response rate; y, s estimates and standard errors; r of n responders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import interpolate, optimize, special

from causalgia.analysis.estimates import Array
from causalgia.analysis.mixtures import Mixture, mixture
from causalgia.documents.errors import InputError

ARMS_LEAST = 3
NORMAL_TAU, BINOMIAL_TAU = 400, 48
"""Points of the grid of τ; the second is dearer, for every point costs a likelihood of each arm on the grid of μ."""
HERMITE = np.polynomial.hermite.hermgauss(24)
MU_POINTS = 161
MU_PASSES = 8
MU_FINE = 10
"""Grid steps to a standard deviation of μ that are enough."""
CELLS = 600
TAU_PRIORS = {
    "half-normal": lambda tau, scale: -0.5 * (tau / scale) ** 2,
    "half-cauchy": lambda tau, scale: -np.log1p((tau / scale) ** 2),
}


@dataclass(frozen=True)
class MapPrior:
    """A prior for the next arm, `mixture` (normal for means, beta for rates), and what it comes from.

    `divergence` is the Kullback-Leibler divergence of the exact prior from it (nats); `mu` the posterior of μ and
    `predictive` the exact prior of θ*, as mixtures of many normals (logit scale for rates); `tau` with `tau_weight` the
    posterior of τ on its grid; `k` the arms used.
    """

    mixture: Mixture
    divergence: float
    mu: Mixture
    predictive: Mixture
    tau: Array
    tau_weight: Array
    k: int

    def tau_quantile(self, probability: ArrayLike) -> Array:
        """Quantiles of the posterior of τ, interpolated between the points of its grid."""
        below = np.cumsum(self.tau_weight) - 0.5 * self.tau_weight
        told = np.flatnonzero(np.diff(below, prepend=-1.0) > 1e-12)  # the rest repeats a value by rounding
        return interpolate.PchipInterpolator(below[told], self.tau[told])(
            np.clip(probability, below[0], below[told[-1]])
        )


def map_means(
    y: ArrayLike,
    se: ArrayLike,
    *,
    tau_scale: float,
    tau_prior: str = "half-normal",
    mu_prior: tuple[float, float] = (0.0, np.inf),
    components: int = 3,
) -> MapPrior:
    """The MAP prior of a mean from arms with estimates y (k,) and standard errors se (k,), as a mixture of normals.

    `tau_scale` is the scale of the prior of τ, in the unit of y; `mu_prior` mean and sd of a normal for μ, flat when
    the sd is infinite. Given τ all is normal, so the exact prior is a mixture of normals over the grid of τ. Arms
    without numbers (NaN) are left out. Raises `InputError` under three arms, with the count; for se ≤ 0, bad options.
    Source: Neuenschwander et al. (2010), Clin. Trials 7, 5; Röver (2020), J. Stat. Softw. 93(6).

    >>> prior = map_means([-1.0, -0.6, -1.4, -0.9], [0.3, 0.25, 0.4, 0.2], tau_scale=0.5)
    >>> round(prior.mixture.mean, 2), round(prior.mixture.sd, 2)
    (-0.91, 0.37)
    """
    y, se = _arms(y, se)
    _check(len(y), tau_scale, tau_prior, components)
    if not (np.all(se > 0) and np.isfinite(mu_prior[0]) and mu_prior[1] > 0):
        raise InputError("se", "a standard error or prior sd that is not positive", "values above 0")
    tau, step = _tau_grid(tau_scale, NORMAL_TAU)
    variance = se**2 + tau[:, None] ** 2
    precision = mu_prior[1] ** -2.0
    origin = float(y.mean())  # the squares cancel, so they are kept small
    centred, prior_mean = y - origin, mu_prior[0] - origin
    V = 1 / ((1 / variance).sum(axis=1) + precision)
    mean = V * ((centred / variance).sum(axis=1) + precision * prior_mean)
    squares = (centred**2 / variance).sum(axis=1) + precision * prior_mean**2 - mean**2 / V
    log_p = 0.5 * (np.log(V) - np.log(variance).sum(axis=1) - squares) + TAU_PRIORS[tau_prior](tau, tau_scale)
    weight = _normalised(np.log(step) + log_p)
    mean = mean + origin
    mu = Mixture("normal", weight, mean, np.sqrt(V))
    predictive = Mixture("normal", weight, mean, np.sqrt(V + tau**2))
    return MapPrior(*_fit(predictive, "normal", components), mu, predictive, tau, weight, len(y))


def map_rates(
    events: ArrayLike,
    n: ArrayLike,
    *,
    tau_scale: float = 1.0,
    tau_prior: str = "half-normal",
    mu_prior: tuple[float, float] = (0.0, 2.0),
    components: int = 3,
) -> MapPrior:
    """The MAP prior of a response rate from arms with events of n (k,), as a mixture of betas with shapes of 1 or more.

    The binomial likelihood is exact: each arm's random effect is integrated out by adaptive Gauss-Hermite quadrature.
    `tau_scale` and `mu_prior` are on the logit scale. Arms without numbers (NaN) are left out. Where arms differ
    so much that the exact prior peaks at 0 and 1, the fit is nearly uniform and `divergence` large.
    Raises `InputError` under three arms, with the count; for impossible counts and bad options.
    Source: Schmidli et al. (2014), Biometrics 70, 1023; Weber et al. (2021), J. Stat. Softw. 100(19).

    >>> prior = map_rates([23, 12, 19, 9, 39, 6, 9, 10], [107, 44, 51, 39, 139, 20, 78, 35])
    >>> round(prior.mixture.mean, 2), round(prior.mixture.sd, 2)
    (0.26, 0.09)
    """
    r, n = _arms(events, n)
    _check(len(r), tau_scale, tau_prior, components)
    if np.any((r < 0) | (r > n) | (n <= 0) | (r != np.floor(r)) | (n != np.floor(n))):
        raise InputError("events", "impossible counts", "whole numbers, events between 0 and n, n above 0")
    if not (np.isfinite(mu_prior[0]) and 0 < mu_prior[1] < np.inf):
        raise InputError("mu_prior", str(mu_prior), "a finite mean and a finite sd above 0")
    tau, step = _tau_grid(tau_scale, BINOMIAL_TAU)
    grid = mu_prior[0] + np.linspace(-6, 6, MU_POINTS) * mu_prior[1]
    for _ in range(MU_PASSES):  # from the prior's range to that of the posterior
        log_p = _log_likelihood(r, n, grid, tau) - 0.5 * ((grid[:, None] - mu_prior[0]) / mu_prior[1]) ** 2
        weight = _normalised(log_p + TAU_PRIORS[tau_prior](tau, tau_scale) + np.log(step))
        marginal, gap = weight.sum(axis=1), grid[1] - grid[0]
        mean = float(marginal @ grid)
        spread = float(np.sqrt(marginal @ (grid - mean) ** 2))
        if spread >= MU_FINE * gap:
            break
        grid = mean + np.linspace(-7, 7, MU_POINTS) * max(spread, gap)
    kernel = 0.5 * gap  # joins the points of the grid to a smooth density; adds 0.2 % to the variance of μ
    mu = Mixture("normal", marginal, grid, np.full(MU_POINTS, kernel))
    nodes = np.broadcast_arrays(grid[:, None], np.hypot(tau, kernel))
    predictive = Mixture("normal", weight.ravel(), nodes[0].ravel(), nodes[1].ravel())
    return MapPrior(*_fit(predictive, "beta", components), mu, predictive, tau, weight.sum(axis=0), len(r))


def _arms(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError("arms", f"shapes {x.shape} and {y.shape}", "two columns of one shape (k,)")
    told = np.isfinite(x) & np.isfinite(y)
    return x[told], y[told]


def _check(k: int, tau_scale: float, tau_prior: str, components: int) -> None:
    if k < ARMS_LEAST:
        raise InputError(
            "arms", f"{k} with numbers", f"at least {ARMS_LEAST}", "Use a vague prior: fewer tell no heterogeneity."
        )
    if not 0 < tau_scale < np.inf:
        raise InputError("tau_scale", f"{tau_scale:g}", "a finite scale above 0, in the unit of the endpoint")
    if tau_prior not in TAU_PRIORS:
        raise InputError("tau_prior", repr(tau_prior), f"one of {', '.join(TAU_PRIORS)}")
    if not 1 <= components <= 5:
        raise InputError("components", str(components), "1 to 5")


def _tau_grid(scale: float, count: int) -> tuple[Array, Array]:
    """Gauss-Legendre points τ = scale·u/(1 − u), u = x², over (0, ∞) with their weights: crowded where τ is small."""
    points, weights = np.polynomial.legendre.leggauss(count)
    x = 0.5 * (1 + points)
    u = x**2
    return scale * u / (1 - u), scale / (1 - u) ** 2 * x * weights


def _normalised(log_weight: Array) -> Array:
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum()


def _log_likelihood(r: Array, n: Array, mu: Array, tau: Array) -> Array:
    """Σᵢ log ∫ Bin(rᵢ; nᵢ, expit(μ + τz)) φ(z) dz (μ, τ), Gauss-Hermite about the mode ẑ of each integrand in z."""
    points, weights = HERMITE
    log_weights = np.log(weights) + points**2
    total = np.zeros((len(mu), len(tau)))
    for events, size in zip(r, n, strict=True):
        z = _mode(events, size, mu[:, None], tau)
        p = special.expit(mu[:, None] + tau * z)
        width = np.sqrt(2 / (1 + tau**2 * size * p * (1 - p)))
        at = z[..., None] + width[..., None] * points
        theta = mu[:, None, None] + tau[:, None] * at
        log_f = events * special.log_expit(theta) + (size - events) * special.log_expit(-theta) - 0.5 * at**2
        total += np.log(width) + special.logsumexp(log_f + log_weights, axis=-1)
    return total


def _mode(r: float, n: float, mu: Array, tau: Array) -> Array:
    """The root of τ(r − n expit(μ + τz)) − z, which falls in z, by bisection: it lies between τ(r − n) and τr."""
    low, high = np.broadcast_to(tau * (r - n), (len(mu), tau.size)), np.broadcast_to(tau * r, (len(mu), tau.size))
    for _ in range(40):
        z = 0.5 * (low + high)
        above = tau * (r - n * special.expit(mu + tau * z)) < z
        low, high = np.where(above, low, z), np.where(above, z, high)
    return 0.5 * (low + high)


def _fit(exact: Mixture, family: str, components: int) -> tuple[Mixture, float]:
    """The mixture of a family with the smallest Kullback-Leibler divergence from the exact prior, and that divergence.

    The exact prior is cut into cells between its quantiles 1e-5 and 1 − 1e-5; the search starts from components at its
    spread-out quantiles.
    """
    edges = np.linspace(exact.quantile(1e-5), exact.quantile(1 - 1e-5), CELLS + 1)
    mass = np.diff(exact.cdf(edges))
    mass /= mass.sum()
    x = 0.5 * (edges[:-1] + edges[1:])
    centre, spread = float(mass @ x), float(np.sqrt(mass @ (x - mass @ x) ** 2))
    density = {"normal": _normal_terms, "beta": _beta_terms}[family]
    widths = spread * np.geomspace(0.6, 1.8, components) if components > 1 else np.array([spread])
    start = np.concatenate([np.zeros(components), *_start(family, centre, widths)])
    bounds = [(-12, 12)] * components + [(-np.inf, np.inf)] * components + [(-30, 30)] * components
    if family == "beta":
        bounds[components:] = [(-30, 30)] * (2 * components)

    def loss(parameters: Array) -> tuple[float, Array]:
        logits, first, second = parameters.reshape(3, components)
        log_weight = logits - special.logsumexp(logits)
        log_f, by_first, by_second = density(x[:, None], first, second)
        total = special.logsumexp(log_weight + log_f, axis=1)
        share = mass[:, None] * np.exp(log_weight + log_f - total[:, None])
        gradient = [share.sum(axis=0) - np.exp(log_weight), (share * by_first).sum(axis=0)]
        return -float(mass @ total), -np.concatenate([*gradient, (share * by_second).sum(axis=0)])

    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000})
    logits, first, second = found.x.reshape(3, components)
    a, b = (first, np.exp(second)) if family == "normal" else (1 + np.exp(first), 1 + np.exp(second))
    fitted = mixture(family, *zip(np.exp(logits - logits.max()), a, b, strict=True))
    model = np.diff(fitted.cdf(edges if family == "normal" else special.expit(edges)))
    return fitted, float(mass @ np.log(mass / np.maximum(model, 1e-300)))


def _start(family: str, centre: float, widths: Array) -> tuple[Array, Array]:
    """Parameters of components at one centre with different widths."""
    if family == "normal":
        return np.full(len(widths), centre), np.log(widths)
    p = float(special.expit(centre))
    size = 1 / (p * (1 - p) * widths**2)  # the delta method on the logit scale
    return np.log(np.maximum(size * p - 1, 0.05)), np.log(np.maximum(size * (1 - p) - 1, 0.05))


def _normal_terms(x: Array, mean: Array, log_sd: Array) -> tuple[Array, Array, Array]:
    """Log density of N(mean, exp(log_sd)²) and its derivatives in both parameters."""
    z = (x - mean) * np.exp(-log_sd)
    return -0.5 * z**2 - log_sd - 0.5 * np.log(2 * np.pi), z * np.exp(-log_sd), z**2 - 1


def _beta_terms(x: Array, u: Array, w: Array) -> tuple[Array, Array, Array]:
    """Log density of logit θ, θ ~ Beta(1 + eᵘ, 1 + eʷ), and its derivatives in both parameters."""
    a, b = 1 + np.exp(u), 1 + np.exp(w)
    log_p, log_q = special.log_expit(x), special.log_expit(-x)
    both = special.digamma(a + b)
    by_u, by_w = (log_p - special.digamma(a) + both) * (a - 1), (log_q - special.digamma(b) + both) * (b - 1)
    return a * log_p + b * log_q - special.betaln(a, b), by_u, by_w
