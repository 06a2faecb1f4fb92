"""Group-sequential designs: boundaries, exit probabilities, conditional and predictive power, combination of stages.

Canonical form: look k of K at information Iₖ, fractions t = I / I_K; zₖ ~ N(θ√Iₖ, 1), and the score B = z√I has
independent increments N(θΔI, ΔI). Large z speaks for the drug. The drift is the expected z at full information, θ√I_K.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(16)
PANEL = 6.0
"""Width of a panel of 16 points, in standard deviations of the narrowest factor of the integrand: error 1e-15."""
RADIUS = 8.0
"""Standard deviations beyond which a density is left out (6e-16)."""
LEAST_STEP = 1e-3
TILT = 600.0
"""Largest exponent when many drifts share one recursion; e^709 overflows."""
CHUNK = 4096

SHAPES: dict[str, float | None] = {"obrien-fleming": 0.0, "pocock": 0.5, "wang-tsiatis": None}
"""Boundaries zₖ = c tₖ^(Δ − ½) by their Δ, None where it is the rule's parameter."""
SPENDING: dict[str, tuple[bool, Callable[[Array, float, float], Array]]] = {
    "lan-demets-obrien-fleming": (False, lambda t, a, _: 2 * special.ndtr(special.ndtri(a / 2) / np.sqrt(t))),
    "lan-demets-pocock": (False, lambda t, a, _: a * np.log1p((np.e - 1) * t)),
    "hwang-shih-decani": (True, lambda t, a, g: a * (np.expm1(-g * t) / np.expm1(-g) if g else t)),
    "power": (True, lambda t, a, rho: a * t**rho),
}
"""Error spent up to fraction t of the information, and whether the rule has a parameter (γ; ρ > 0)."""


@dataclass(frozen=True)
class Rule:
    """A boundary by name, a key of `SHAPES` or `SPENDING`, with its parameter where it has one."""

    name: str
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.name not in SHAPES and self.name not in SPENDING:
            raise InputError("rule", repr(self.name), f"one of {', '.join([*SHAPES, *SPENDING])}")
        wanted = SPENDING[self.name][0] if self.name in SPENDING else SHAPES[self.name] is None
        given = self.parameter is not None and np.isfinite(self.parameter)
        if wanted != given or (self.name == "power" and not (self.parameter or 0) > 0):
            expected = "a finite number (above 0 for power)" if wanted else "none: this rule has no parameter"
            raise InputError(f"parameter of {self.name}", str(self.parameter), expected)

    def spent(self, t: Array, error: float) -> Array:
        """Cumulative error at fractions t; a rule of `SPENDING`."""
        return SPENDING[self.name][1](t, error, self.parameter or 0.0)


@dataclass(frozen=True)
class Futility:
    """Type II error spent by `rule`. Where it is `binding`, efficacy bounds use that futility stops are obeyed."""

    rule: Rule
    binding: bool = False


@dataclass(frozen=True)
class Exits:
    """Probability (..., K) of stopping first at look k above `upper` or below `lower`, and what was spent till then.

    `expected` (...,) is the mean information at the end, in the unit of the information given.
    """

    upper: Array
    lower: Array
    expected: Array


@dataclass(frozen=True)
class Design:
    """Bounds (K,) on z at fractions `information` of the planned maximum; −inf where there is no lower bound.

    `drift` is the expected z at the end with which the power is reached, and `inflation` the maximum sample size over
    that of a fixed design. A lower bound is rejection for two sides and futility for one.
    """

    information: Array
    upper: Array
    lower: Array
    alpha: float
    power: float
    sides: int
    binding: bool
    drift: float
    inflation: float

    def exits(self, effect: ArrayLike = 1.0) -> Exits:
        """Exit probabilities at multiples (...,) of the planned effect."""
        mean = np.asarray(effect, dtype=float)[..., None] * self.drift * np.sqrt(self.information)
        return exit_probabilities(self.information, self.upper, self.lower, mean=mean)

    def expected_size(self, effect: ArrayLike = 1.0) -> Array:
        """Mean sample size over that of a fixed design, at multiples (...,) of the planned effect."""
        return self.inflation * self.exits(effect).expected


def group_sequential(
    information: ArrayLike,
    efficacy: Rule,
    futility: Futility | None = None,
    *,
    alpha: float = 0.025,
    power: float = 0.9,
    sides: int = 1,
) -> Design:
    """Bounds for looks at fractions (K,) of the information, and the inflation of the sample size.

    `alpha` is the error of each side, 0.025 for a two-sided test at 0.05. Two sides: symmetric bounds, no futility.
    Futility spends 1 − power; the last lower bound then meets the last upper one. Raises `InputError` for
    fractions that do not rise to 1 in steps of 0.001 at least, and for rules that do not fit together.
    Source: Jennison and Turnbull (2000), Group Sequential Methods, chapters 2, 4, 7 and 19.

    >>> design = group_sequential([0.5, 1], Rule("obrien-fleming"))
    >>> design.upper.round(3).tolist(), round(design.inflation, 3)
    ([2.797, 1.977], 1.007)
    """
    t = _fractions(information)
    _check_design(efficacy, futility, alpha, power, sides)
    binding = futility is not None and futility.binding
    upper = None if binding else _efficacy(t, efficacy, alpha, sides == 2)
    fixed = float(special.ndtri(1 - alpha) + special.ndtri(power))
    if futility is None:
        assert upper is not None
        lower = -upper if sides == 2 else np.full(len(t), -np.inf)
        drift = _root(lambda d: _power_at(t, upper, lower, d) - power, fixed)
        return Design(t, upper, lower, alpha, power, sides, False, drift, (drift / fixed) ** 2)
    spent = futility.rule.spent(t, 1 - power)

    def at(drift: float) -> tuple[Array, Array, float]:
        return _with_futility(t, drift, spent, efficacy.spent(t, alpha) if upper is None else None, upper)

    drift = _root(lambda d: at(d)[2] - power, fixed)
    high, low, _ = at(drift)
    return Design(t, high, low, alpha, power, sides, binding, drift, (drift / fixed) ** 2)


def exit_probabilities(
    information: ArrayLike, upper: ArrayLike, lower: ArrayLike | None = None, *, mean: ArrayLike = 0.0
) -> Exits:
    """Where z leaves the region between the bounds: P(lowerⱼ < zⱼ < upperⱼ for j < k, zₖ ≥ upperₖ) and the like below.

    information (K,) in any unit, bounds (K,), `mean` (..., K) the expectation of z, θ√Iₖ for a constant effect θ.
    Accurate to about 1e-12. Raises `InputError` for information that does not rise, crossed bounds and drifts so far
    apart that one recursion cannot hold them.
    Source: Armitage, McPherson and Rowe (1969), J. R. Stat. Soc. A 132, 235; Jennison and Turnbull (2000), chapter 19.

    >>> exits = exit_probabilities([1, 2], [1.96, 1.96], [-1.96, -1.96])
    >>> round(float(exits.upper.sum()), 4)
    0.0416
    """
    I = np.asarray(information, dtype=float)
    last = float(I[-1]) if I.ndim == 1 and I.size else 0.0
    _fractions(I / last if last > 0 else I)
    high = np.broadcast_to(np.asarray(upper, dtype=float), I.shape)
    low = np.broadcast_to(np.asarray(-np.inf if lower is None else lower, dtype=float), I.shape)
    if np.any(np.isnan(high) | np.isnan(low) | (low > high)):
        raise InputError("bounds", f"{low.tolist()} and {high.tolist()}", "lower bounds no higher than upper ones")
    means = np.asarray(mean, dtype=float)
    means = np.broadcast_to(means, np.broadcast_shapes(means.shape, I.shape))
    root = np.sqrt(I)
    delta = np.diff(means.reshape(-1, len(I)) * root, prepend=0.0)
    above, below = _exits(I, high * root, low * root, delta, np.zeros(len(delta)))
    above, below = (p.reshape(means.shape) for p in (above, below))
    return Exits(above, below, last - (above + below) @ (last - I))


@dataclass(frozen=True)
class Monitoring:
    """How trials (...,) ended: `look` from 1, whether the hypothesis was `rejected`, or given up early (`futile`).

    `p` belongs to the whole design by the stagewise ordering; one-sided, or two-sided for two sides.
    """

    look: NDArray[np.int_]
    rejected: NDArray[np.bool_]
    futile: NDArray[np.bool_]
    p: Array


def monitor(design: Design, z: ArrayLike) -> Monitoring:
    """Stop each trial at its first look outside the bounds; z (..., K), NaN where a look was not taken.

    p = Σⱼ P₀(exit above at j < k) + P₀(no exit before k, Zₖ ≥ z), doubled for two sides and without non-binding
    futility bounds, so that p is at most the level exactly where the hypothesis is rejected. A futility stop is counted
    from below: p = 1 − Σⱼ P₀(exit below at j < k) − P₀(no exit before k, Zₖ ≤ z). Without the last look p is NaN.
    Raises `InputError` for another number of looks. Source: Jennison and Turnbull (2000), section 8.4.

    >>> design = group_sequential([0.5, 1], Rule("pocock"))
    >>> ended = monitor(design, [[2.5, 0.1], [1.0, 1.0]])
    >>> ended.look.tolist(), ended.rejected.tolist(), ended.p.round(4).tolist()
    ([1, 2], [True, False], [0.0062, 0.1608])
    """
    z = np.asarray(z, dtype=float)
    K = len(design.information)
    if z.ndim == 0 or z.shape[-1] != K:
        raise InputError("z", f"shape {z.shape}", f"(..., {K}): one column a look")
    above, below = z >= design.upper, z <= design.lower
    out = above | below
    look = np.where(out.any(axis=-1), out.argmax(axis=-1), K - 1)
    rejected = np.take_along_axis(above | (below & (design.sides == 2)), look[..., None], axis=-1)[..., 0]
    at = np.take_along_axis(z, look[..., None], axis=-1)[..., 0]
    futile = out.any(axis=-1) & ~rejected & (look < K - 1)
    p = _stagewise_p(design, look, at)
    if futile.any():
        p[futile] = 1 - _as_extreme(design.information, -design.lower, -design.upper, look[futile], -at[futile])
    return Monitoring(look + 1, rejected, futile, p)


def conditional_power(design: Design, look: int, z: ArrayLike, drift: ArrayLike | None = None) -> Array:
    """P(z crosses an upper bound after `look`, given its value z (...,) there); the later lower bounds are obeyed.

    `drift` (...,) is the expected z at full information that is assumed, None for the trend seen, z / √t. Raises
    `InputError` unless a look follows. Source: Jennison and Turnbull (2000), chapter 10.

    >>> design = group_sequential([0.5, 1], Rule("obrien-fleming"))
    >>> round(float(conditional_power(design, 1, 1.5)), 3)
    0.581
    """
    t0, t = _rest(design, look)
    z = np.asarray(z, dtype=float)
    drift = z / np.sqrt(t0) if drift is None else np.asarray(drift, dtype=float)
    z, drift = np.broadcast_arrays(z, drift)
    delta = drift.reshape(-1, 1) * np.diff(t, prepend=t0)
    high, low = (bound[look:] * np.sqrt(t) for bound in (design.upper, design.lower))
    return _exits(t - t0, high, low, delta, z.ravel() * np.sqrt(t0))[0].sum(axis=1).reshape(z.shape)


def predictive_power(design: Design, look: int, z: ArrayLike, prior: tuple[float, float] = (0.0, np.inf)) -> Array:
    """Conditional power averaged over the posterior of the drift, whose `prior` is N(mean, sd²), flat by default.

    Given z the drift is N(m, τ²). With s = t − t₀ the score is Gaussian with covariance s(1 + τ²s') for s ≤ s', so
    B/(1 + τ²s) is again a process with independent increments, of information s/(1 + τ²s) and drift m − τ²B₀: the
    recursion stays exact. Raises `InputError` unless a look follows and the prior's sd is positive.
    Source: Spiegelhalter, Freedman and Blackburn (1986), Control. Clin. Trials 7, 8, for one look to come.

    >>> design = group_sequential([0.5, 1], Rule("obrien-fleming"))
    >>> round(float(predictive_power(design, 1, 1.5)), 3)
    0.557
    """
    t0, t = _rest(design, look)
    mean, sd = prior
    if not (np.isfinite(mean) and sd > 0):
        raise InputError("prior", str(prior), "a finite mean and an sd above 0")
    z = np.asarray(z, dtype=float)
    x, precision = z.ravel() * np.sqrt(t0), sd**-2.0
    m, tau2 = (x + mean * precision) / (t0 + precision), 1 / (t0 + precision)
    stretch = 1 + tau2 * (t - t0)
    h = (t - t0) / stretch
    delta = (m - tau2 * x)[:, None] * np.diff(h, prepend=0.0)
    high, low = (bound[look:] * np.sqrt(t) / stretch for bound in (design.upper, design.lower))
    return _exits(h, high, low, delta, x)[0].sum(axis=1).reshape(z.shape)


def stagewise(z: ArrayLike, information: ArrayLike) -> Array:
    """The z of each stage alone (..., K) from those of the looks (..., K): (Bₖ − Bₖ₋₁) / √ΔIₖ."""
    I = np.asarray(information, dtype=float)
    return np.diff(np.asarray(z, dtype=float) * np.sqrt(I), prepend=0.0) / np.sqrt(np.diff(I, prepend=0.0))


def inverse_normal(z: ArrayLike, weights: ArrayLike) -> Array:
    """Combined z at every look from those of the stages (..., K): Σⱼ≤ₖ wⱼzⱼ / √Σⱼ≤ₖ wⱼ², wⱼ² fixed before the data.

    Whatever the sizes became, bounds planned for information fractions Σⱼ≤ₖ wⱼ² keep their level.
    Raises `InputError` for weights that are not positive. Source: Lehmacher and Wassmer (1999), Biometrics 55, 1286.

    >>> inverse_normal([1.0, 2.0], [1.0, 1.0]).round(3).tolist()
    [1.0, 2.121]
    """
    w = np.asarray(weights, dtype=float)
    if w.ndim != 1 or not (np.all(w > 0) and np.all(np.isfinite(w))):
        raise InputError("weights", str(w.tolist()), "one positive weight a stage")
    return np.cumsum(w * np.asarray(z, dtype=float), axis=-1) / np.sqrt(np.cumsum(w**2))


def second_stage(
    design: Design,
    z: ArrayLike,
    drift: ArrayLike | None = None,
    *,
    power: float = 0.9,
    least: float = 1.0,
    most: float = 2.0,
) -> Array:
    """Size of the second of two stages over its plan, for that conditional power with the inverse-normal combination.

    ((c + Φ⁻¹(power)) √(1 − t) / (drift (1 − t)))², c = (u₂ − √t z)/√(1 − t), kept between `least` and `most`; drift as
    in `conditional_power`. 0 for trials (...,) that stopped, `most` where the drift is not positive.
    Raises `InputError` for other than two looks. Source: Proschan and Hunsberger (1995), Biometrics 51, 1315.

    >>> design = group_sequential([0.5, 1], Rule("obrien-fleming"))
    >>> second_stage(design, [0.5, 1.5, 3.0]).round(2).tolist()
    [2.0, 2.0, 0.0]
    """
    if len(design.information) != 2 or not 0 < least <= most:
        raise InputError(
            "second stage", f"{len(design.information)} looks, {least:g} to {most:g}", "two looks, a range"
        )
    t = float(design.information[0])
    z = np.asarray(z, dtype=float)
    drift = z / np.sqrt(t) if drift is None else np.asarray(drift, dtype=float)
    needed = (design.upper[1] - np.sqrt(t) * z) / np.sqrt(1 - t) + special.ndtri(power)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(needed > 0, (needed / (drift * np.sqrt(1 - t))) ** 2, 0.0)
    factor = np.clip(np.where(drift > 0, factor, most), least, most)
    stopped = (z >= design.upper[0]) | (z <= design.lower[0])
    return np.where(np.isnan(z + drift), np.nan, np.where(stopped, 0.0, factor))


@dataclass(frozen=True)
class _Walk:
    """Who has not stopped yet, for R drifts: masses (R, n) at scores x (n,), or (R, 1) at the start."""

    x: Array
    mass: Array

    def above(self, bound: float | Array, delta: Array, step: float) -> Array:
        """P(next score ≥ bound) (R,) after an increment N(delta, step); bound a number or (R, 1)."""
        return (self.mass * special.ndtr((self.x + delta[:, None] - bound) / np.sqrt(step))).sum(axis=1)

    def below(self, bound: float, delta: Array, step: float) -> Array:
        return (self.mass * special.ndtr((bound - self.x - delta[:, None]) / np.sqrt(step))).sum(axis=1)

    def advance(self, low: float, high: float, delta: Array, step: float, following: float) -> _Walk:
        """The masses after the increment between low and high, on panels fine enough for it and the `following` one."""
        finest = 1 / np.sqrt(1 / step + 1 / following)
        edges = np.linspace(low, max(low, high), max(1, int(np.ceil((high - low) / (PANEL * finest)))) + 1)
        half = 0.5 * np.diff(edges)[:, None]
        y, weight = (edges[:-1, None] + half * (1 + POINTS)).ravel(), (half * WEIGHTS).ravel()
        scale = weight / np.sqrt(2 * np.pi * step)
        if self.x.ndim == 2:  # the start: every drift has its own point
            return _Walk(y, np.exp(-0.5 * (y - self.x - delta[:, None]) ** 2 / step) * scale)
        centre = delta.mean()  # one kernel at the mean drift, tilted to each
        tilt = (delta - centre)[:, None] / step
        if np.abs(tilt).max() * np.abs(y).max() > TILT:
            raise InputError("mean", "drifts very far apart", "drifts nearer to each other", "Ask for them separately.")
        kernel = np.exp(-0.5 * (y - self.x[:, None] - centre) ** 2 / step)
        mass = (self.mass * np.exp(-tilt * self.x)) @ kernel
        return _Walk(y, mass * np.exp(tilt * y - 0.5 * (delta**2 - centre**2)[:, None] / step) * scale)


def _start(x: Array) -> _Walk:
    return _Walk(x[:, None], np.ones((len(x), 1)))


def _reach(low: float, high: float, centre: Array, variance: float) -> tuple[float, float]:
    """The bounds, drawn in to where there is any mass; `centre` (R,) holds the expected scores."""
    spread = RADIUS * np.sqrt(variance)
    return max(low, float(centre.min()) - spread), min(high, float(centre.max()) + spread)


def _exits(I: Array, high: Array, low: Array, delta: Array, start: Array) -> tuple[Array, Array]:
    """Exit probabilities (R, K) above and below bounds (K,) on the score, from scores (R,) with increments (R, K).

    NaN where the score or an increment is not a number.
    """
    known = np.isfinite(start) & np.isfinite(delta).all(axis=1)
    if not known.all():
        above, below = np.full((2, *delta.shape), np.nan)
        if known.any():
            above[known], below[known] = _exits(I, high, low, delta[known], start[known])
        return above, below
    steps = np.diff(I, prepend=0.0)
    parts = [np.zeros((2, 0, len(I)))]
    for first in range(0, len(start), CHUNK):
        rows = slice(first, first + CHUNK)
        walk, centre, move = _start(start[rows]), start[rows].copy(), delta[rows]
        exits = np.zeros((2, *move.shape))
        for k, step in enumerate(steps):
            exits[0, :, k] = walk.above(high[k], move[:, k], step)
            exits[1, :, k] = walk.below(low[k], move[:, k], step)
            if k < len(steps) - 1:
                centre = centre + move[:, k]
                walk = walk.advance(*_reach(low[k], high[k], centre, I[k]), move[:, k], step, steps[k + 1])
        parts.append(exits)
    above, below = np.concatenate(parts, axis=1)
    return above, below


def _power_at(t: Array, upper: Array, lower: Array, drift: float) -> float:
    root = np.sqrt(t)
    delta = drift * np.diff(t, prepend=0.0)[None]
    return float(_exits(t, upper * root, lower * root, delta, np.zeros(1))[0].sum())


def _efficacy(t: Array, rule: Rule, alpha: float, mirrored: bool) -> Array:
    """Upper bounds (K,) with error alpha above, under no effect; `mirrored` ones below also stop."""
    if rule.name in SPENDING:
        return _spend(t, rule.spent(t, alpha), mirrored)
    delta = rule.parameter if rule.parameter is not None else SHAPES[rule.name]
    shape = t ** (float(delta or 0.0) - 0.5)

    def excess(c: float) -> float:
        return alpha - _power_at(t, c * shape, -c * shape if mirrored else np.full(len(t), -np.inf), 0.0)

    return shape * _root(excess, float(special.ndtri(1 - alpha) / shape.max()))


def _spend(t: Array, spent: Array, mirrored: bool) -> Array:
    steps, none, bounds = np.diff(t, prepend=0.0), np.zeros(1), np.empty(len(t))
    walk = _start(none)
    for k, share in enumerate(np.diff(spent, prepend=0.0)):
        score = _bound(walk.x.ravel(), walk.mass[0], steps[k], share)
        bounds[k] = score / np.sqrt(t[k])
        if k < len(t) - 1:
            ends = _reach(-score if mirrored else -np.inf, score, none, t[k])
            walk = walk.advance(*ends, none, steps[k], steps[k + 1])
    return bounds


def _with_futility(
    t: Array, drift: float, spent: Array, alpha_spent: Array | None, upper: Array | None
) -> tuple[Array, Array, float]:
    """Upper and lower bounds and power at a drift; lower bounds spend `spent` of the type II error.

    Upper bounds are given, or spend `alpha_spent` where futility binds. Row 0 of the walk has no drift, row 1 has it.
    """
    steps, root = np.diff(t, prepend=0.0), np.sqrt(t)
    high, low, power = np.empty(len(t)), np.empty(len(t)), 0.0
    walk, drifts = _start(np.zeros(2)), np.array([0.0, drift])
    share = np.diff(spent, prepend=0.0)
    for k, step in enumerate(steps):
        delta, x = drifts * step, np.broadcast_to(walk.x, walk.mass.shape)
        if upper is not None:
            high[k] = upper[k] * root[k]
        elif alpha_spent is not None:
            high[k] = _bound(x[0], walk.mass[0], step, alpha_spent[k] - (alpha_spent[k - 1] if k else 0.0))
        power += float(walk.above(high[k], delta, step)[1])
        low[k] = high[k]  # the last ones meet
        if k < len(steps) - 1:
            low[k] = min(-_bound(-x[1] - delta[1], walk.mass[1], step, share[k]), high[k])
            ends = _reach(low[k], high[k], drifts * t[k], t[k])
            walk = walk.advance(*ends, delta, step, steps[k + 1])
    return high / root, low / root, power


def _bound(x: Array, mass: Array, step: float, share: float) -> float:
    """The score above which the next one lies with probability `share`: +inf for none, −inf when all is too little."""
    from scipy.optimize import brentq  # slow to import

    s = np.sqrt(step)
    if share <= 1e-290:
        return np.inf
    if share >= mass.sum():
        return -np.inf
    log_share = np.log(share)

    def excess(b: float) -> float:  # on the log scale the tail is almost a parabola
        return float(np.log(mass @ special.ndtr((x - b) / s)) - log_share)

    return float(brentq(excess, x.min() - 37 * s, x.max() + 37 * s, xtol=1e-13, rtol=1e-14))


def _root(excess: Callable[[float], float], low: float) -> float:
    """The root of a rising function that is not positive at `low` > 0, but for rounding."""
    from scipy.optimize import brentq  # slow to import

    if excess(low) > -1e-13:
        return low
    high = 1.15 * low
    while excess(high) < 0:
        low, high = high, 1.5 * high
    return float(brentq(excess, low, high, xtol=1e-12, rtol=1e-12))


def _stagewise_p(design: Design, look: NDArray[np.int_], z: Array) -> Array:
    """p of trials (...,) that ended at `look` (from 0) with z there, counted from above."""
    two = design.sides == 2
    low = design.lower if two or design.binding else np.full(len(design.lower), -np.inf)
    p = _as_extreme(design.information, design.upper, low, look, np.abs(z) if two else z)
    return np.minimum(2 * p, 1.0) if two else p


def _as_extreme(t: Array, upper: Array, lower: Array, look: NDArray[np.int_], z: Array) -> Array:
    """Under no effect: P(exit above before `look`, or no exit before and Z ≥ z there) (...,)."""
    steps, root = np.diff(t, prepend=0.0), np.sqrt(t)
    p, earlier, none = np.full(z.shape, np.nan), 0.0, np.zeros(1)
    walk = _start(none)
    for k, step in enumerate(steps):
        here = look == k
        p[here] = earlier + walk.above(z[here][:, None] * root[k], none, step)
        earlier += float(walk.above(upper[k] * root[k], none, step)[0])
        if k < len(steps) - 1:
            ends = _reach(lower[k] * root[k], upper[k] * root[k], none, t[k])
            walk = walk.advance(*ends, none, step, steps[k + 1])
    return p


def _rest(design: Design, look: int) -> tuple[float, Array]:
    if not 1 <= look < len(design.information):
        raise InputError("look", str(look), f"1 to {len(design.information) - 1}: a look must follow")
    return float(design.information[look - 1]), design.information[look:]


def _fractions(information: ArrayLike) -> Array:
    t = np.asarray(information, dtype=float)
    if t.ndim != 1 or not t.size or not np.all(np.diff(t, prepend=0.0) >= LEAST_STEP) or abs(t[-1] - 1) > 1e-9:
        raise InputError("information", str(t.tolist()), "fractions that rise to 1, 0.001 apart at least")
    return t


def _check_design(efficacy: Rule, futility: Futility | None, alpha: float, power: float, sides: int) -> None:
    if not 0 < alpha < power < 1:
        raise InputError("alpha and power", f"{alpha:g} and {power:g}", "0 < alpha < power < 1")
    if sides not in (1, 2):
        raise InputError("sides", str(sides), "1 or 2")
    if futility is None:
        return
    if sides == 2:
        raise InputError("futility", "two sides", "one side", "Test one side at half the level.")
    if futility.rule.name not in SPENDING:
        raise InputError("futility", futility.rule.name, f"one of {', '.join(SPENDING)}")
    if futility.binding and efficacy.name not in SPENDING:
        raise InputError("binding futility", efficacy.name, f"efficacy by one of {', '.join(SPENDING)}")
