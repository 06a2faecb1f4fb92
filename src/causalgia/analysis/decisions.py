"""Decisions from posterior probabilities and from equivalence margins, and how often a trial would reach them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.analysis.mixtures import Mixture, posterior
from causalgia.documents.errors import InputError


@dataclass(frozen=True)
class Criterion:
    """P(θ > `threshold`) ≥ `probability`, or P(θ ≤ threshold) ≥ probability where not `above`."""

    threshold: float
    probability: float
    above: bool = True

    def met(self, after: Mixture) -> bool:
        """Whether a posterior meets it."""
        return self.excess(after) >= 0

    def excess(self, after: Mixture) -> float:
        """The posterior probability, less the one that is wanted."""
        below = float(after.cdf(self.threshold))
        return (1 - below if self.above else below) - self.probability


def critical_value(prior: Mixture, size: float, criteria: Sequence[Criterion]) -> float:
    """The estimate (normal) or number of events (beta) of a new arm at which all criteria are just met.

    Criteria must point to one side. `size` is the standard error, or n. Where the decision needs low values the largest
    that makes it, else the smallest; counts that never do give −1 or n + 1.
    Raises `InputError` for no criteria, criteria of both sides and a gamma prior.
    Source: Neuenschwander et al. (2011), Statist. Med. 30, 1618.

    >>> from causalgia.analysis.mixtures import mixture
    >>> round(critical_value(mixture("normal", (1, 0, 100)), 0.2, [Criterion(0, 0.975)]), 3)
    0.392
    """
    from scipy.optimize import brentq  # slow to import

    if len({criterion.above for criterion in criteria}) != 1:
        raise InputError("criteria", f"{list(criteria)}", "criteria that all point to one side")
    above = criteria[0].above
    if prior.family == "beta":
        events = np.arange(int(size) + 1)
        met = [all(c.met(posterior(prior, float(x), size)) for c in criteria) for x in events]
        found = events[met]
        if above:
            return float(found.min(initial=int(size) + 1))
        return float(found.max(initial=-1))
    if prior.family != "normal":
        raise InputError("prior", prior.family, "a normal or beta mixture")

    def root(criterion: Criterion) -> float:
        reach = 10.0 * (size + prior.sd)
        low, high = criterion.threshold - reach, criterion.threshold + reach
        while criterion.excess(posterior(prior, low, size)) * criterion.excess(posterior(prior, high, size)) > 0:
            low, high = low - reach, high + reach
            reach *= 4
        return float(brentq(lambda m: criterion.excess(posterior(prior, m, size)), low, high, xtol=1e-12))

    return (max if above else min)(root(criterion) for criterion in criteria)


def decision_probability(prior: Mixture, size: float, criteria: Sequence[Criterion], truth: ArrayLike) -> Array:
    """Probability (...,) that a new arm meets all criteria, at true means (normal) or rates (beta).

    Criteria and errors as in `critical_value`.

    >>> from causalgia.analysis.mixtures import mixture
    >>> round(float(decision_probability(mixture("normal", (1, 0, 100)), 0.2, [Criterion(0, 0.975)], 0.6)), 3)
    0.851
    """
    critical = critical_value(prior, size, criteria)
    truth = np.asarray(truth, dtype=float)
    above = criteria[0].above
    if prior.family == "normal":
        return special.ndtr((truth - critical) / size * (1 if above else -1))
    if above:
        return np.asarray(special.bdtrc(critical - 1, int(size), truth)) if critical >= 1 else np.ones(truth.shape)
    return np.asarray(special.bdtr(critical, int(size), truth)) if critical >= 0 else np.zeros(truth.shape)


def difference_decision(
    treated: tuple[Mixture, float], control: tuple[Mixture, float], criteria: Sequence[Criterion], truth: ArrayLike
) -> Array:
    """Probability (...,) that θ_treated − θ_control meets all criteria, at true means `truth` (..., 2) of the two arms.

    Each arm is its prior, a normal of one component, and the standard error of its mean. Both posteriors are then
    normal with known variances, so the decision rests on the difference of their means and the answer is exact.
    Raises `InputError` for other priors and for no criteria or criteria of both sides.
    Source: Gsponer et al. (2014), Pharm. Stat. 13, 71.

    >>> from causalgia.analysis.mixtures import mixture
    >>> arm = (mixture("normal", (1, 0, 100)), 0.3)
    >>> round(float(difference_decision(arm, arm, [Criterion(0, 0.95)], [1.0, 0.0])), 3)
    0.762
    """
    if len({criterion.above for criterion in criteria}) != 1:
        raise InputError("criteria", f"{list(criteria)}", "criteria that all point to one side")
    truth = np.asarray(truth, dtype=float)
    centre, spread2, posterior2 = np.zeros(truth.shape[:-1]), 0.0, 0.0
    for i, (prior, se) in enumerate((treated, control)):
        if prior.family != "normal" or len(prior.weight) != 1:
            raise InputError("prior", f"{prior.family}, {len(prior.weight)} components", "a normal of one component")
        mean, sd = float(prior.a[0]), float(prior.b[0])
        share = sd**2 / (sd**2 + se**2)  # of the data in the posterior mean
        centre = centre + (1, -1)[i] * (mean + share * (truth[..., i] - mean))
        spread2 += (share * se) ** 2
        posterior2 += share * se**2
    sign = 1 if criteria[0].above else -1
    limits = [sign * c.threshold + special.ndtri(c.probability) * np.sqrt(posterior2) for c in criteria]
    return special.ndtr((sign * centre - max(limits)) / np.sqrt(spread2))


def equivalence(estimate: ArrayLike, se: ArrayLike, df: ArrayLike, low: float, high: float) -> Array:
    """p (...,) of two one-sided t tests that an effect lies between low and high: the larger of both.

    T((low − estimate)/se; df) and T((estimate − high)/se; df); arrays broadcast, NaN stays NaN. Raises `InputError`
    unless low < high. Source: Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657.

    >>> round(float(equivalence(0.1, 0.3, 20, -1, 1)), 5)
    0.00354
    """
    if not low < high:
        raise InputError("margins", f"{low:g} and {high:g}", "low < high")
    estimate, se, df = (np.asarray(x, dtype=float) for x in (estimate, se, df))
    return np.maximum(special.stdtr(df, (low - estimate) / se), special.stdtr(df, (estimate - high) / se))
