"""Mixtures of conjugate distributions: priors that can be updated, counted in subjects and checked against new data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from causalgia.analysis.estimates import Array
from causalgia.analysis.families import FAMILIES, Family
from causalgia.documents.errors import InputError

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(12)
CUTS = special.ndtr(np.linspace(-8, 8, 25))
"""Quantiles of every component at which an integral is split, so that sharp and vague components are both resolved."""


@dataclass(frozen=True)
class Mixture:
    """Σ weightₖ · family(aₖ, bₖ): weights (K,) that sum to 1, parameters (K,); `family` is a key of `FAMILIES`."""

    family: str
    weight: Array
    a: Array
    b: Array

    @property
    def kind(self) -> Family:
        return FAMILIES[self.family]

    @property
    def mean(self) -> float:
        return float(self.weight @ self.kind.moments(self.a, self.b)[0])

    @property
    def sd(self) -> float:
        mean, variance = self.kind.moments(self.a, self.b)
        return float(np.sqrt(self.weight @ (variance + (mean - self.mean) ** 2)))

    def cdf(self, x: ArrayLike) -> Array:
        """P(θ ≤ x) for x of any shape."""
        return self.kind.cdf(np.asarray(x, dtype=float)[..., None], self.a, self.b) @ self.weight

    def quantile(self, probability: float) -> float:
        """θ with P(θ' ≤ θ) = probability, between those of the components."""
        ends = self.kind.quantile(np.asarray(probability), self.a, self.b)
        low, high = float(ends.min()), float(ends.max())
        if high - low <= 1e-13 * abs(high):
            return high
        # Within rounding an end may lie on the wrong side.
        low, high = low - 1e-9 * (high - low), high + 1e-9 * (high - low)
        return float(optimize.brentq(lambda x: float(self.cdf(x)) - probability, low, high, xtol=1e-14, rtol=1e-13))


def mixture(family: str, *components: tuple[float, float, float]) -> Mixture:
    """A mixture from components (weight, a, b); the weights are scaled to sum to 1.

    (a, b) is (mean, sd) of a normal, the two parameters of a beta, (shape, rate) of a gamma.
    Raises `InputError` for an unknown family, negative weights and improper components.

    >>> prior = mixture("beta", (0.2, 1, 1), (0.8, 10, 2))
    >>> round(prior.mean, 4), round(prior.quantile(0.5), 4)
    (0.7667, 0.8296)
    """
    if family not in FAMILIES:
        raise InputError("family", repr(family), f"one of {', '.join(FAMILIES)}")
    weight, a, b = np.array(components, dtype=float).reshape(-1, 3).T
    if not len(weight) or np.any(weight < 0) or not weight.sum() > 0:
        raise InputError("weights", str(weight.tolist()), "weights of 0 or more, not all 0")
    if not (np.all(np.isfinite([a, b])) and FAMILIES[family].proper(a, b)):
        raise InputError(f"{family} component", f"{components}", FAMILIES[family].parameters)
    return Mixture(family, weight / weight.sum(), a, b)


def posterior(prior: Mixture, value: float, size: float) -> Mixture:
    """The mixture after data: each component updated, its weight multiplied by the probability that it gave the data.

    (value, size) is (estimate, standard error) for a normal, (events, n) for a beta, (events, exposure) for a gamma.
    Raises `InputError` for impossible data.

    >>> after = posterior(mixture("beta", (0.5, 1, 1), (0.5, 10, 2)), 1, 10)
    >>> after.weight.round(3).tolist()
    [0.997, 0.003]
    """
    _check(prior, value, size)
    with np.errstate(divide="ignore"):
        log_weight = np.log(prior.weight) + _log_marginal(prior, value, size)
    weight = np.exp(log_weight - log_weight.max())
    return Mixture(prior.family, weight / weight.sum(), *prior.kind.update(prior.a, prior.b, value, size))


def robustify(prior: Mixture, weight: float, vague: tuple[float, float] | None = None) -> Mixture:
    """The prior with a vague component of the given weight put last, as `conflict` expects it.

    `vague` holds the component's parameters: a normal needs (mean, sd of one subject), a beta defaults to (1, 1).
    Raises `InputError` for a weight outside 0 to 1 and where `vague` is needed.
    Source: Schmidli et al. (2014), Biometrics 70, 1023.

    >>> robustify(mixture("beta", (1, 4, 16)), 0.2).weight.tolist()
    [0.8, 0.2]
    """
    if not 0 < weight < 1:
        raise InputError("weight", f"{weight:g}", "a weight of the vague component between 0 and 1")
    if vague is None and prior.family != "beta":
        raise InputError("vague", "nothing", f"the vague component, {prior.kind.parameters}", "A normal: (mean, sd).")
    last = (weight, *(vague or (1.0, 1.0)))
    kept = zip((1 - weight) * prior.weight, prior.a, prior.b, strict=True)
    return mixture(prior.family, *((float(w), float(a), float(b)) for w, a, b in kept), last)


def effective_sample_size(prior: Mixture, *, sd: float | None = None, method: str = "ELIR") -> float:
    """How many subjects the prior is worth; for a gamma how many units of exposure.

    ELIR, the expected local information ratio ∫ p(θ) [−d² log p/dθ²] / I(θ) dθ with one subject's information I, is
    predictively consistent: the expected value after n subjects is n more. "moment" matches mean and variance by a
    single conjugate component. A normal needs the `sd` of one subject.
    Raises `InputError` without it, for another method, and for ELIR of a beta or gamma below 1, which is infinite.
    Source: Neuenschwander et al. (2020), Biometrics 76, 578.

    >>> round(effective_sample_size(mixture("beta", (1, 4, 16))), 6)
    20.0
    """
    if prior.family == "normal" and not (sd is not None and sd > 0):
        raise InputError("sd", str(sd), "the standard deviation of one subject, above 0")
    if method == "moment":
        return float(prior.kind.subjects(prior.mean, prior.sd**2, sd or 1.0))
    if method != "ELIR":
        raise InputError("method", repr(method), "ELIR or moment")
    shapes = {"normal": np.ones(1), "beta": np.concatenate([prior.a, prior.b]), "gamma": prior.a}[prior.family]
    if np.any(shapes < 1):
        raise InputError("component", f"a shape of {shapes.min():g}", "shapes of 1 or more for ELIR", "Use moment.")
    cuts = _cuts(prior)
    if prior.family != "normal":  # in η the integrand falls only as exp(−(shape − 1)|η|)
        reach = 40 / (shapes[shapes > 1].min(initial=2.0) - 1)
        tail = np.cumsum(1.4 ** np.arange(np.ceil(np.log1p(0.4 * reach) / np.log(1.4))))
        cuts = np.concatenate([cuts.min() - tail, cuts, cuts.max() + tail * (prior.family == "beta")])
    eta, step = _panels(np.unique(cuts))
    log_p, score, second = prior.kind.curves(eta[:, None], prior.a, prior.b)
    with np.errstate(divide="ignore"):
        log_parts = np.log(prior.weight) + log_p
    log_density = special.logsumexp(log_parts, axis=1)
    share = np.exp(log_parts - log_density[:, None])
    information = (share * score).sum(axis=1) ** 2 - (share * (second + score**2)).sum(axis=1)
    unit = sd**2 if prior.family == "normal" and sd else 1.0  # beta and gamma: I(θ) = 1/J
    return float(unit * (step * np.exp(log_density) * information).sum())


def probability_greater(x: Mixture, y: Mixture, difference: float = 0.0) -> float:
    """P(θₓ − θᵧ > difference) for independent x and y: ∫ Fᵧ(θ − difference) dFₓ(θ), exact for normals.

    Raises `InputError` for mixtures of two families.

    >>> round(probability_greater(mixture("beta", (1, 13, 7)), mixture("beta", (1, 7, 13))), 4)
    0.9749
    """
    if x.family == y.family == "normal":
        gap = (x.a[:, None] - y.a - difference) / np.hypot(x.b[:, None], y.b)
        return float(x.weight @ special.ndtr(gap) @ y.weight)
    if x.family != y.family:
        raise InputError("mixtures", f"{x.family} and {y.family}", "two mixtures of one family")
    cuts = np.concatenate([x.kind.from_line(_cuts(x)), y.kind.from_line(_cuts(y)) + difference])
    inside = (cuts > 0) & (cuts < 1) if x.family == "beta" else cuts > 0
    theta, step = _panels(np.unique(cuts[inside]))
    density = np.exp(x.kind.curves(x.kind.to_line(theta)[:, None], x.a, x.b)[0]) @ x.weight
    return float((step * density * y.cdf(theta - difference)).sum())


@dataclass(frozen=True)
class Conflict:
    """Prior against data: `p`, the two-sided prior predictive tail probability, and the vague component's weight."""

    p: float
    vague_before: float
    vague_after: float


def conflict(prior: Mixture, value: float, size: float) -> Conflict:
    """Does a new control arm contradict a robust prior, whose last component is the vague one?

    p = 2 min(P(Y ≤ y), P(Y ≥ y)), at most 1, under the informative components alone; data as in `posterior`.
    Raises `InputError` for impossible data and for a prior of one component. Source: Box (1980), J. R. Stat. Soc. A
    143, 383.

    >>> found = conflict(robustify(mixture("beta", (1, 4, 16)), 0.2), 14, 20)
    >>> round(found.p, 4), round(found.vague_after, 2)
    (0.0016, 0.96)
    """
    if len(prior.weight) < 2:
        raise InputError("prior", "one component", "informative components and a vague one", "Call robustify first.")
    after = posterior(prior, value, size)
    informative = prior.weight[:-1] / prior.weight[:-1].sum()
    predictive = prior.kind.predictive(prior.a[:-1], prior.b[:-1], size)
    below = float(informative @ predictive.cdf(value))
    above = float(informative @ predictive.sf(value if prior.family == "normal" else value - 1))
    return Conflict(min(1.0, 2 * min(below, above)), float(prior.weight[-1]), float(after.weight[-1]))


def _check(prior: Mixture, value: float, size: float) -> None:
    if not (np.isfinite(value) and np.isfinite(size) and prior.kind.possible(value, size)):
        raise InputError("data", f"({value:g}, {size:g})", f"for a {prior.family} prior {prior.kind.data}")


def _log_marginal(prior: Mixture, value: float, size: float) -> Array:
    predictive = prior.kind.predictive(prior.a, prior.b, size)
    return predictive.logpdf(value) if prior.family == "normal" else predictive.logpmf(value)


def _cuts(prior: Mixture) -> Array:
    """Quantiles of all components on the line η."""
    cuts = prior.kind.to_line(prior.kind.quantile(CUTS[:, None], prior.a, prior.b)).ravel()
    return cuts[np.isfinite(cuts)]


def _panels(cuts: Array) -> tuple[Array, Array]:
    """Gauss-Legendre points and weights between each two neighbours of the sorted cuts."""
    half = 0.5 * np.diff(cuts)[:, None]
    return (cuts[:-1, None] + half * (1 + POINTS)).ravel(), (half * WEIGHTS).ravel()
