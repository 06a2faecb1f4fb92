"""Posteriors by the No-U-Turn sampler, for the final analysis of one data set: draws, and whether to believe them.

Replicate trials use the closed forms of `bayes`; here the same models, and those without a closed form, are sampled by
numpyro (the extra `bayes`), which is imported when first needed. Models are log densities of a vector θ in standard
units; symbols as in `bayes` and `mediation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from causalgia.analysis.batches import as_batch
from causalgia.analysis.bayes import Prior
from causalgia.analysis.estimates import Array
from causalgia.analysis.mixtures import Mixture
from causalgia.documents import streams
from causalgia.documents.errors import InputError

RHAT = 1.01
"""Largest potential scale reduction that passes (Vehtari et al. 2021)."""
ESS_PER_CHAIN = 100
"""Least effective draws a chain, in the bulk and in the tails."""
TAILS = (0.05, 0.95)
SAME = 1e-10
"""Share of a covariate's squares, given those before it, below which it is dropped."""
WIDE = 2.5
"""Standard deviation of weakly informative priors, in standard deviations of what is explained."""


@dataclass(frozen=True)
class Sampling:
    """How much is drawn, and the acceptance rate that warm-up steers to: higher means smaller steps."""

    chains: int = 4
    warmup: int = 1000
    draws: int = 2000
    acceptance: float = 0.95

    def __post_init__(self) -> None:
        if self.chains < 2 or self.warmup < 100 or self.draws < 100 or not 0 < self.acceptance < 1:
            raise InputError("sampling", str(self), "2 chains, 100 warm-up and 100 kept draws at least")


@dataclass(frozen=True)
class Sampled:
    """Draws (chain, draw) by name, and what says whether they are those of the posterior.

    `rhat` is the largest rank-normalised R-hat of all parameters, `bulk` and `tail` the least effective draws,
    `divergences` the steps that left the path. `problem` says in words which of them fails, with the remedy; the
    numbers below are then NaN. Source: Vehtari et al. (2021), Bayesian Anal. 16, 667.
    """

    draws: dict[str, Array]
    rhat: float
    bulk: float
    tail: float
    divergences: int
    problem: str

    @property
    def diagnostics(self) -> str:
        """The diagnostics in words."""
        return (
            f"R-hat {self.rhat:.3f}, effective draws {self.bulk:.0f} in the bulk and {self.tail:.0f} in the tails, "
            f"{self.divergences} divergences"
        )

    def summary(self, name: str, alpha: float = 0.05) -> dict[str, float]:
        """Posterior mean, sd and the limits of the central 1 − alpha interval."""
        draws = self.draws[name]
        limits = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
        found = [draws.mean(), draws.std(ddof=1), *limits]
        return {
            key: float("nan") if self.problem else float(value)
            for key, value in zip(("mean", "sd", "lower", "upper"), found, strict=True)
        }

    def beyond(self, name: str, threshold: float = 0.0, better: int = -1) -> float:
        """Posterior probability that better · effect exceeds the threshold."""
        return float("nan") if self.problem else float((better * self.draws[name] > threshold).mean())


def sample_effect(
    y: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    limit: ArrayLike = -np.inf,
    prior: Prior | Mixture | None = None,
    control: Mixture | None = None,
    observed: ArrayLike | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
) -> Sampled:
    """The posterior of the adjusted difference "effect", of the "control" mean and of "sigma", for one data set.

        y = control + effect·A + C γ + N(0, σ²), C about its mean; y ≤ `limit` or NaN is only known to be below it

    `prior` as in `bayes` (then this is `posterior_effect`, or what `posterior_censored` approximates), or a mixture of
    normals for the effect in the unit of y; `control` the same for the control mean, as a robust MAP prior is
    (`map_means`, `robustify`). γ and what has no prior are flat. y, limit, treated, observed (n,), covariates (n, p).
    The chains depend on the data, `seed` and `sampling` alone. Raises `InputError` without the extra `bayes`, for
    shapes that do not agree and for data that leave a parameter without a posterior.

    >>> y, arm = [5.0, 6.0, 4.0, 7.0, 3.0, 2.0, 4.0, 1.0], [0, 0, 0, 0, 1, 1, 1, 1]
    >>> found = sample_effect(y, arm)  # doctest: +SKIP
    >>> found.problem, round(found.summary("effect")["mean"], 1)  # doctest: +SKIP
    ('', -2.9)
    """
    data = _Data.of([y, limit, treated], covariates, observed)
    value, bound, arm = data.columns
    below = ~(value > bound)
    value = np.where(below, bound, value)
    known = value[~below]
    if not np.isfinite(value).all():
        raise InputError("y", "a value that is not a finite number", "finite values, or NaN with a limit")
    if len({*arm}) < 2:
        raise InputError("treated", "one arm", "two arms with somebody observed")
    least = 2 + data.basis.shape[1]
    if len(known) <= least or np.ptp(known) == 0:
        found = f"{len(known)} different values above the limit"
        raise InputError("y", found, f"more than {least}, the coefficients", "Report the rank test.")
    proper = isinstance(prior, Mixture) or np.isfinite((prior or Prior()).scale)
    lacking = [a for a in (0, 1) if below[arm == a].all()]
    if lacking and not (proper and (lacking == [1] or control is not None)):
        raise InputError("y", "an arm wholly below its limit", "a proper prior of that arm", "Give one.")
    centre, unit = float(known.mean()), float(known.std())
    arrays = ((value - centre) / unit, below, arm, data.basis, *_prior_arrays(prior, control, centre, unit))
    theta = _run(_effect_density, 3 + data.basis.shape[1], arrays, seed, sampling or Sampling())
    draws = {"effect": theta.z[..., 1] * unit, "control": centre + theta.z[..., 0] * unit}
    return theta.named(draws | {"sigma": unit * np.exp(theta.z[..., 2])})


def sample_mediation(
    y: ArrayLike,
    mediator: ArrayLike,
    treated: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    baseline: ArrayLike,
    error: float,
    error_df: float = np.inf,
    limit: ArrayLike = -np.inf,
    observed: ArrayLike | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
) -> Sampled:
    """The joint posterior of "total", "direct", "indirect", "to_mediator" (a) and "slope" (b), for one data set.

    The structure of `mediate`, with the true marker integrated out in closed form. In standard deviations of what is
    read, coefficients ~ N(0, 2.5²), residual standard deviations half-normal(1); the error variance is `error` ·
    df/χ²(df). Arrays (n,), covariates (n, p), marker and limit on the log scale; a marker ≤ limit or NaN counts as
    below it. Unlike `mediate` it holds where the error explains all of the marker: then the prior shows.
    Raises `InputError` as `sample_effect` does, and for an error variance that is not positive.
    """
    data = _Data.of([y, mediator, limit, treated, baseline], covariates, observed)
    value, reading, bound, arm, before = data.columns
    if not (error > 0 and error_df > 0):
        raise InputError("error", f"{error:g} with {error_df:g} degrees of freedom", "values above 0")
    if len({*arm}) < 2:
        raise InputError("treated", "one arm", "two arms with somebody observed")
    below = ~(reading > bound)
    reading = np.where(below, bound, reading)
    known, least = reading[~below], 3 + data.basis.shape[1]
    if not np.isfinite([value, reading, before]).all():
        raise InputError("arrays", "a value that is not a finite number", "complete cases", "Mark it as not observed.")
    if len(known) <= least or min(map(np.ptp, (value, known, before))) == 0:
        raise InputError("mediator", f"{len(known)} readings above the limit", f"more than {least}, with variation")
    (cy, uy), (cw, uw) = ((float(v.mean()), float(v.std())) for v in (value, known))
    half = 0.5 * min(error_df, 1e8)
    standard = ((value - cy) / uy, (reading - cw) / uw, below, arm, (before - cw) / uw)
    arrays = (*standard, data.basis, np.float64(error / uw**2), np.float64(half))
    p = data.basis.shape[1]
    theta = _run(_mediation_density, 12 + 3 * p, arrays, seed, sampling or Sampling())
    a, b, c = (theta.z[..., j] for j in (2, 5, 4))
    indirect = a * b
    draws = {"total": uy * (indirect + c), "direct": uy * c, "indirect": uy * indirect}
    return theta.named(draws | {"to_mediator": uw * a, "slope": uy / uw * b})


@dataclass(frozen=True)
class _Data:
    """Columns (n,) of the observed, and an orthogonal basis of the covariates about their means (n, q), variance 1."""

    columns: tuple[Array, ...]
    basis: Array

    @classmethod
    def of(cls, columns: list[ArrayLike], covariates: ArrayLike | None, observed: ArrayLike | None) -> _Data:
        batch = as_batch(columns, covariates, observed=observed)
        if batch.lead:
            raise InputError("arrays", f"{batch.replicates} replicates", "one data set (n,)", "Use `bayes` for many.")
        seen = batch.observed[0]
        if seen.sum() < 2:
            raise InputError("observed", f"{seen.sum()} subjects", "some in each arm")
        rows = [column[0, seen] for column in batch.columns]
        basis: list[Array] = []
        for column in rows[len(columns) :]:
            if not np.isfinite(column).all():
                raise InputError("covariates", "a value that is not a finite number", "finite values where observed")
            centred = column - column.mean()
            rest = centred - sum((b * (b @ centred) / len(b) for b in basis), np.zeros_like(column))
            if rest @ rest > SAME * (centred @ centred):
                basis.append(rest / np.sqrt(rest @ rest / len(rest)))
        shape = (int(seen.sum()), len(basis))
        return cls(tuple(rows[: len(columns)]), np.stack(basis, axis=1) if basis else np.empty(shape))


def _prior_arrays(prior: Prior | Mixture | None, control: Mixture | None, centre: float, unit: float) -> tuple:
    """Components (weight, mean, sd) of both priors in standard units, or None; whether σ scales; strength, its sd²."""
    for name, given in (("prior", prior), ("control", control)):
        if isinstance(given, Mixture) and given.family != "normal":
            raise InputError(name, f"a mixture of {given.family}", "a mixture of normals")
    prior = Prior() if prior is None else prior
    of_control = None if control is None else (control.weight, (control.a - centre) / unit, control.b / unit)
    if isinstance(prior, Mixture):
        return (prior.weight, prior.a / unit, prior.b / unit), False, of_control, 0.0, 1.0
    strength, square = prior.strength, (prior.sd / unit) ** 2
    if not np.isfinite(prior.scale):
        return None, False, of_control, strength, square
    component = tuple(np.array([value]) for value in (1.0, prior.mean / unit, prior.scale))
    return component, True, of_control, strength, square


def _effect_density(theta: Any, value: Any, below: Any, arm: Any, basis: Any, *priors: Any) -> Any:
    """Log posterior of θ = (control, effect, log σ, γ)."""
    import jax.numpy as jnp
    from jax.scipy.special import log_ndtr

    of_effect, by_sigma, of_control, strength, square = priors
    control, effect, log_sigma = theta[0], theta[1], theta[2]
    inverse = jnp.exp(-log_sigma)
    z = (value - control - effect * arm - basis @ theta[3:]) * inverse
    log = jnp.where(below, log_ndtr(z), -0.5 * z**2 - log_sigma).sum()
    log -= strength * (log_sigma + 0.5 * square * inverse**2)
    if of_effect is not None:
        weight, mean, sd = of_effect
        log += _log_mixture(effect, weight, mean, sd * jnp.where(by_sigma, jnp.exp(log_sigma), 1.0))
    return log if of_control is None else log + _log_mixture(control, *of_control)


def _log_mixture(x: Any, weight: Any, mean: Any, sd: Any) -> Any:
    import jax.numpy as jnp
    from jax.scipy.special import logsumexp

    return logsumexp(jnp.log(weight) - 0.5 * ((x - mean) / sd) ** 2 - jnp.log(sd))


def _mediation_density(
    theta: Any, y: Any, w: Any, below: Any, arm: Any, before: Any, basis: Any, error: Any, half: Any
) -> Any:
    """Log posterior of θ = (ξ, α₀, a, α_X, c, b, β₀, β_X, log s_X, log s_M, log s_Y, r, ξ_C, α_C, β_C).

    r = √half log(Var u / error). Given W₀ the true baseline X has mean X̂ and variance τ²; (M, Y) are then bivariate
    normal with moments in closed form, and W = M + u given Y is univariate, so that a limit needs one normal
    distribution function.
    """
    import jax.numpy as jnp
    from jax.scipy.special import log_ndtr

    xi, alpha, a, alpha_x, c, b, beta, beta_x, *logs = theta[:12]
    *logs, stretched = logs
    s_x, s_m, s_y = (jnp.exp(value) for value in logs)
    log_ratio = stretched / jnp.sqrt(half)  # of scale 1 for any degrees of freedom
    ratio = jnp.exp(log_ratio)
    of_x, of_m, of_y = theta[12:].reshape(3, basis.shape[1])
    v = error * ratio
    total_x = s_x**2 + v
    gap = before - xi - basis @ of_x
    log = (-0.5 * gap**2 / total_x - 0.5 * jnp.log(total_x)).sum()
    x = before - gap * v / total_x
    tau = s_x**2 * v / total_x
    m = alpha + a * arm + alpha_x * x + basis @ of_m
    through = b * alpha_x + beta_x
    var_m = alpha_x**2 * tau + s_m**2
    var_y = through**2 * tau + b**2 * s_m**2 + s_y**2
    across = alpha_x * through * tau + b * s_m**2
    rest = y - beta - c * arm - b * m - beta_x * x - basis @ of_y
    log += (-0.5 * rest**2 / var_y - 0.5 * jnp.log(var_y)).sum()
    sd = jnp.sqrt(var_m + v - across**2 / var_y)
    z = (w - m - across / var_y * rest) / sd
    log += jnp.where(below, log_ndtr(z), -0.5 * z**2 - jnp.log(sd)).sum()
    places = jnp.concatenate([theta[:8], theta[12:]])
    log -= 0.5 * (places**2).sum() / WIDE**2
    log += sum(value - 0.5 * jnp.exp(2 * value) for value in logs)  # half-normal, with the Jacobian of the log
    return log - half * (log_ratio + 1 / ratio)  # ratio ~ df/χ²(df), with the Jacobian of the log


@dataclass(frozen=True)
class _Chains:
    """θ (chain, draw, d) with its diagnostics."""

    z: Array
    rhat: float
    bulk: float
    tail: float
    divergences: int

    def named(self, draws: dict[str, Array]) -> Sampled:
        """The draws of named quantities, with the verdict on the chains."""
        least = ESS_PER_CHAIN * self.z.shape[0]
        # Written so that a diagnostic that is not a number fails.
        wrong = [
            text
            for text, fine in (
                (f"R-hat {self.rhat:.3f} exceeds {RHAT}", self.rhat <= RHAT),
                (
                    f"{min(self.bulk, self.tail):.0f} effective draws, {least} needed",
                    min(self.bulk, self.tail) >= least,
                ),
                (f"{self.divergences} divergent steps", self.divergences == 0),
            )
            if not fine
        ]
        problem = f"Not converged: {'; '.join(wrong)}. Draw more, or use a more informative prior." if wrong else ""
        return Sampled(draws, self.rhat, self.bulk, self.tail, self.divergences, problem)


def _run(density: Callable[..., Any], d: int, arrays: tuple, seed: int, sampling: Sampling) -> _Chains:
    """Chains of a log density of d parameters on the arrays given, from scattered starts."""
    jax, stats = _extra()
    generator = streams.generator(seed, "nuts", density.__name__)
    start = generator.uniform(-1, 1, size=(sampling.chains, d))
    key = int(generator.integers(2**31))
    with jax.enable_x64(True):
        run = _compiled(density, sampling)
        z, diverging = (np.asarray(part) for part in run(jax.random.key(key), start, arrays))
    parameters = np.moveaxis(z, -1, 0)
    if not np.isfinite(z).all():
        return _Chains(z, np.nan, np.nan, np.nan, int(diverging.sum()))
    rhat = max(float(stats.rhat(part)) for part in parameters)
    bulk = min(float(stats.ess(part, method="bulk")) for part in parameters)
    tail = min(float(stats.ess(part, method="tail", prob=TAILS)) for part in parameters)
    return _Chains(z, rhat, bulk, tail, int(diverging.sum()))


def _extra() -> tuple[Any, Any]:
    """JAX, and ArviZ's diagnostics of arrays."""
    try:
        import jax
        import numpyro  # noqa: F401
        from arviz_stats.base import array_stats
    except ImportError as error:
        remedy = "Install it: pip install 'causalgia[bayes]'."
        raise InputError("NUTS", f"no package {error.name}", "the extra `bayes`", remedy) from None
    return jax, array_stats


@lru_cache(maxsize=16)
def _compiled(density: Callable[..., Any], sampling: Sampling) -> Callable[..., tuple[Any, Any]]:
    """(key, start, arrays) → θ (chain, draw, d) and where a step diverged, compiled once for each shape of the data."""
    import jax
    from numpyro.infer.hmc import hmc

    def chain(key: Any, start: Any, arrays: tuple) -> tuple[Any, Any]:
        init, step = hmc(potential_fn_gen=lambda *data: lambda theta: -density(theta, *data), algo="NUTS")
        state = init(start, sampling.warmup, model_args=arrays, rng_key=key, target_accept_prob=sampling.acceptance)

        def next_state(state: Any, _: None) -> tuple[Any, tuple[Any, Any]]:
            state = step(state, model_args=arrays)
            return state, (state.z, state.diverging)

        _, (z, diverging) = jax.lax.scan(next_state, state, None, length=sampling.warmup + sampling.draws)
        return z[sampling.warmup :], diverging[sampling.warmup :]

    def chains(key: Any, start: Any, arrays: tuple) -> tuple[Any, Any]:
        return jax.vmap(chain, in_axes=(0, 0, None))(jax.random.split(key, sampling.chains), start, arrays)

    return jax.jit(chains)
