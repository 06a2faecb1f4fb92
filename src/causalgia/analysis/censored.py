"""Analyses of values below a limit of quantification by their exact likelihood, for many trials and sizes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.batches import as_batch
from causalgia.analysis.bivariate import fit_pairs
from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.newton import EXACT
from causalgia.analysis.tobit import Fit, fit_batch


def censored_regression(
    y: ArrayLike,
    limit: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
    precision: float = EXACT,
) -> Effect:
    """Adjusted difference treated − control when values below a limit are only known to lie below it.

    Normal linear model, maximum likelihood: density of y > limit, probability of y ≤ limit. y, limit, treated, observed
    (..., n), covariates (..., n, p), y and limit on one (log) scale; an observed subject with y ≤ limit or y NaN is
    censored, and only its limit is used; limit −inf where there is none. Returns arrays (..., size), complete cases.

    Standard errors from the observed information times √(n/(n − k)), t with n − k degrees of freedom (n subjects, k the
    rank of the design), so that without censoring the result is `ancova`. Chosen by simulation (20 000 trials, 1:1,
    p = 2, nominal size 5 %): at n = 20, 40, 60 the size is 4.5, 4.7, 4.7 % with 30 % censored and 3.9, 4.3, 4.5 % with
    60 %; counting the uncensored or their information instead of n gives 2.6 and 0.4 % at n = 20. Bias is below 3 % of
    the standard deviation of the estimate. Where a fall leaves one arm almost always below the limit (true effect −1,
    the limit at the 60 % quantile of the controls), non-coverage is 12, 7, 6 % *among the trials with an estimate*, and
    at n = 20 half have none, with bias +0.17: declare `rank_test` as the companion there.

    `precision` is the gain in log likelihood at which the search may stop; 10⁻⁹, for many replicates, leaves standard
    errors with four digits. Dependent covariates are dropped as in `ancova`; a stratum that is wholly censored no
    longer informs the effect and is not counted against it. Statuses: `ALL_CENSORED`, `ARM_CENSORED`, `TOO_FEW` (no
    more uncensored subjects than coefficients), `SINGULAR`, `NOT_CONVERGED` (strata and limits leave the effect without
    a bound on one side).
    Source: Olsen (1978), Econometrica 46, 1211: concave in 1/σ, β/σ.

    >>> effect = censored_regression([0.0, 0.9, 1.7, 1.2, 2.4, 3.1], 1.0, [1, 1, 1, 0, 0, 0])
    >>> round(float(effect.estimate[0]), 3)
    -1.491
    """
    batch = as_batch([y, limit, treated], covariates, observed=observed, sizes=sizes, arm=2)
    fit = fit_batch(batch, arm=True, precision=precision)
    return _small_sample(fit, alpha)


@dataclass(frozen=True)
class Normal:
    """Mean and standard deviation of a normal sample: the mean with its test and interval, σ by maximum likelihood."""

    mean: Effect
    sd: Array


def censored_mean(
    y: ArrayLike,
    limit: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> Normal:
    """Mean and standard deviation of a normal sample of which some values are only known to lie below a limit.

    y, limit, observed (..., n) as in `censored_regression`, on the log scale for a lognormal sample, whose mean is then
    `lognormal_moments` of the result. Returns arrays (..., size). The error of the mean has the small-sample form of
    `censored_regression`; σ is not corrected.

    >>> round(float(censored_mean([1.0, 2.0, 3.0, 4.0], 1.5).mean.estimate[0]), 3)
    2.45
    """
    fit = fit_batch(as_batch([y, limit], observed=observed, sizes=sizes), arm=False)
    return Normal(_small_sample(fit, alpha), fit.sigma)


def _small_sample(fit: Fit, alpha: float) -> Effect:
    ok = fit.status == Status.OK
    df = np.where(ok, fit.n - fit.rank, 1)
    return t_effect(fit.estimate, fit.se * np.sqrt(fit.n / df), df, fit.status, alpha)


@dataclass(frozen=True)
class Pairs(Effect):
    """The mean difference a − b, with both standard deviations and the correlation by maximum likelihood."""

    sd_a: Array
    sd_b: Array
    correlation: Array


def censored_paired(
    a: ArrayLike,
    limit_a: ArrayLike,
    b: ArrayLike,
    limit_b: ArrayLike,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> Pairs:
    """Mean difference a − b of pairs, such as the two sides of one subject, when either may lie below its limit.

    Bivariate normal likelihood of all four patterns: both known, one known and the other below its limit, both below.
    a, limit_a, b, limit_b, observed (..., n) as in `censored_regression`, on the log scale for a ratio of geometric
    means; `observed` speaks of the pair. Returns arrays (..., size). The standard error times √(n/(n − 1)) with n − 1
    degrees of freedom, so that without censoring the result is the paired t test.

    Non-coverage of the 95 % interval by simulation (10 000 samples, correlation 0.5), n = 10, 20, 40: 3.0, 3.8, 4.4 %
    with 30 % of all values censored and 1.3, 0.4, 1.6 % with 60 %, where 55, 11 and 0.2 % have no estimate (those that
    have are biased at n = 10: −0.2 for a true 0.7). Statuses: `ALL_CENSORED`, `ARM_CENSORED` (one side), `TOO_FEW`
    (under three pairs with both known), `NOT_CONVERGED`.
    Source: Lyles, Williams and Chuachoowong (2001), Biometrics 57, 1238.

    >>> effect = censored_paired([2.0, 3.1, 2.7, 4.0], -9.0, [1.0, 2.5, 2.4, 2.9], -9.0)
    >>> round(float(effect.estimate[0]), 6)
    0.75
    """
    fit = fit_pairs(as_batch([a, limit_a, b, limit_b], observed=observed, sizes=sizes))
    df = np.where(fit.status == Status.OK, fit.n - 1, 1)
    effect = t_effect(fit.estimate, fit.se * np.sqrt(fit.n / df), df, fit.status, alpha)
    return Pairs(**vars(effect), sd_a=fit.sd_a, sd_b=fit.sd_b, correlation=fit.correlation)
