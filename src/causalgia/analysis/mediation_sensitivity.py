"""How fragile a mediated effect is: to a residual correlation, to an unmeasured confounder, to its normal intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.mediation import Mediation, structural_effects, structure
from causalgia.documents.errors import InputError

RR_PER_SD = 0.91
"""log risk ratio that stands for one standard deviation (Chinn 2000; VanderWeele 2017)."""


def correlation_sensitivity(fit: Mediation, correlations: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """The indirect effect if the errors of mediator and outcome were correlated by ρ, arrays (..., size, ρ).

    a·b(ρ) with b(ρ) = σ_Y/σ_M (ρ̃ − ρ √((1 − ρ̃²)/(1 − ρ²))): σ and ρ̃ of the true mediator and of the outcome without
    it, given arm, covariates and true baseline. Zero at ρ̃ = `fit.vanishing_correlation`. t intervals by the delta
    method. Raises `InputError` outside −1 < ρ < 1, and for a fit with an interaction.
    Source: Imai, Keele and Yamamoto (2010), Statist. Sci. 25, 51, theorem 4.
    """
    rho = np.atleast_1d(np.asarray(correlations, dtype=float))
    if np.any(~(np.abs(rho) < 1)):
        raise InputError("correlations", str(rho.tolist()), "numbers between −1 and 1")
    if fit.interaction is not None:
        raise InputError("fit", "a fit with an interaction", "one without", "Call `mediate` without `interaction`.")
    rows = [structural_effects(fit.law, float(r)) for r in rho]
    estimate = np.stack([value[3] for value, _ in rows], axis=-1)
    variance = np.stack([covariance[:, 3, 3] for _, covariance in rows], axis=-1)
    lead = fit.total.estimate.shape

    def shape(lanes: Array) -> Array:  # lanes are size · R + replicate
        return np.moveaxis(lanes.reshape(lead[-1], *lead[:-1], -1), 0, -2)

    df = shape(np.repeat(fit.law.df[:, None], len(rho), axis=1))
    status = shape(np.repeat(fit.law.status[:, None], len(rho), axis=1)).astype(np.int8)
    with np.errstate(invalid="ignore"):
        return t_effect(shape(estimate), np.sqrt(shape(variance)), df, status, alpha)


def e_value(estimate: ArrayLike, sd: ArrayLike, se: ArrayLike = 0.0) -> tuple[Array, Array]:
    """E-values of a difference on a continuous outcome and of the confidence limit that is nearer to zero.

    RR = exp(0.91 |d|) with d = estimate / sd, limit exp(0.91 |d| − 1.78 se / sd), E = RR + √(RR (RR − 1)): the risk
    ratio that an unmeasured confounder of mediator and outcome would need with both, beyond what was measured, to
    explain the effect away; 1 where the interval holds zero.
    Source: VanderWeele and Ding (2017), Ann. Intern. Med. 167, 268; for mediation Smith and VanderWeele (2019),
    Epidemiology 30, 835.

    >>> e, limit = e_value(0.5, 1.0, 0.1)
    >>> round(float(e), 3), round(float(limit), 3)
    (2.529, 1.968)
    """
    estimate, sd, se = (np.asarray(x, dtype=float) for x in (estimate, sd, se))
    if np.any(~(sd > 0)):
        raise InputError("sd", str(sd), "a positive standard deviation of the outcome")
    point = RR_PER_SD * np.abs(estimate) / sd
    return _e(point), _e(np.maximum(point - 1.78 * se / sd, 0))


def _e(log_ratio: Array) -> Array:
    ratio = np.exp(log_ratio)
    return ratio + np.sqrt(ratio * (ratio - 1))


def bootstrap_limits(
    fit: Mediation, generator: np.random.Generator, *, draws: int = 4000, alpha: float = 0.05
) -> dict[str, tuple[Array, Array]]:
    """Percentile limits (..., size) of direct, indirect and slope by the parametric bootstrap, for few data sets.

    Draws the sufficient statistics of the fitted normal law, exactly so where nothing is censored (coefficients normal,
    variances scaled χ², the error variance from its degrees of freedom), and recomputes the effects. Keeps the skewness
    of the corrected slope, which the t interval lacks. A draw in which the error would exceed the variance counts as a
    slope without bound in its direction. Raises `InputError` for a fit with an interaction.
    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    if fit.interaction is not None:
        raise InputError("fit", "a fit with an interaction", "one without", "Call `mediate` without `interaction`.")
    lead, law = fit.total.estimate.shape, fit.law
    ends = np.full((len(law.df), 2, 3), np.nan)
    for lane in np.flatnonzero(law.status == Status.OK):
        psi = _draw(law.parameters[lane], law.covariance[lane], generator, draws)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = structure(psi)
            fine = (value[5] > 0) & (psi[3] > psi[9])
            unbounded = np.where(fine, 0.0, np.inf)
        b = np.where(fine, value[2], np.copysign(unbounded, value[7]))
        a, total = value[1], value[0]
        rows = np.stack([total - a * b, a * b, b])
        ends[lane] = np.quantile(rows, [alpha / 2, 1 - alpha / 2], axis=1, method="inverted_cdf")
    shaped = np.moveaxis(ends.reshape(lead[-1], *lead[:-1], 2, 3), 0, -3)
    names = ("direct", "indirect", "slope")
    return {name: (shaped[..., 0, i], shaped[..., 1, i]) for i, name in enumerate(names)}


def _draw(parameters: Array, covariance: Array, generator: np.random.Generator, draws: int) -> Array:
    """Parameters (10, draws) of the observed law: variances as scaled χ², the rest normal."""
    spread = np.diagonal(covariance)
    root = np.linalg.cholesky(covariance + np.diag(np.where(spread > 0, 1e-12 * spread, 1e-30)))
    psi = parameters[:, None] + root @ generator.normal(size=(len(parameters), draws))
    for j in (2, 3, 7, 8, 9):
        if spread[j] > 0:
            df = 2 * parameters[j] ** 2 / spread[j]
            psi[j] = parameters[j] * generator.chisquare(df, draws) / df
        else:
            psi[j] = parameters[j]
    if spread[8] > 0 and spread[9] > 0:  # one estimate behind both errors
        psi[9] = psi[8] * (parameters[9] / parameters[8])
    return psi
