"""What every analysis returns: estimate, error and test, and a status per element instead of an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


class Status(IntEnum):
    """Why an element of a batch has no estimate; `STATUS_TEXT` says it in words with the remedy."""

    OK = 0
    TOO_FEW = 1
    NO_ARM = 2
    SINGULAR = 3
    NO_VARIATION = 4
    NOT_FINITE = 5
    ALL_CENSORED = 6
    ARM_CENSORED = 7
    NOT_CONVERGED = 8
    ARM_TOO_SMALL = 9
    ERROR_DOMINATES = 10


STATUS_TEXT = {
    Status.OK: "estimated",
    Status.TOO_FEW: "too few subjects for the number of coefficients: drop covariates or enrol more",
    Status.NO_ARM: "an arm has no observed subject: the difference is not defined",
    Status.SINGULAR: "arm and covariates cannot be told apart: drop the covariate that determines the arm",
    Status.NO_VARIATION: "the endpoint has no residual variation: look for copied or rounded values",
    Status.NOT_FINITE: "an observed value is not a finite number: mark it as not observed or correct it",
    Status.ALL_CENSORED: "every value lies below its limit: use a more sensitive assay",
    Status.ARM_CENSORED: "every value of one arm (or side) lies below its limit: report the rank test",
    Status.NOT_CONVERGED: "the likelihood has no finite maximum that Newton's method reaches: report the rank test",
    Status.ARM_TOO_SMALL: "an arm has too few subjects to tell the paths apart (20 are the least): enrol more",
    Status.ERROR_DOMINATES: "the assay error explains the biomarker's whole variation: measure more replicates",
}


@dataclass(frozen=True)
class Effect:
    """An estimated effect: arrays of one shape, NaN where `status` is not `Status.OK`.

    `estimate` ± `se` in the unit of the endpoint, `df` of the t distribution, two-sided `p` against zero,
    and the confidence limits `lower`, `upper`.
    """

    estimate: Array
    se: Array
    df: Array
    p: Array
    lower: Array
    upper: Array
    status: NDArray[np.int8]


def t_effect(estimate: Array, se: Array, df: Array, status: NDArray[np.int8], alpha: float) -> Effect:
    """The two-sided t test and 1 − alpha interval: p = 2 T(−|estimate / se|; df), NaN where the status is not OK."""
    ok = status == Status.OK
    estimate, se, df = (np.where(ok, value, np.nan) for value in (estimate, se, df))
    half = t_quantile(1 - alpha / 2, df) * se
    p = 2 * special.stdtr(df, -np.abs(estimate / se))
    return Effect(estimate, se, df, p, estimate - half, estimate + half, status)


def t_quantile(probability: float, df: Array) -> Array:
    """Quantiles of the t distribution, each distinct number of degrees of freedom computed once (they are slow)."""
    distinct, where = np.unique(df, return_inverse=True)
    return special.stdtrit(distinct, probability)[where].reshape(np.shape(df))
