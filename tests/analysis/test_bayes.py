"""Bayesian twins against their frequentist counterparts, quadrature and calibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from causalgia.analysis.bayes import Prior, posterior_censored, posterior_effect
from causalgia.analysis.censored import censored_regression
from causalgia.analysis.estimates import Status
from causalgia.analysis.linear import ancova
from causalgia.documents.errors import InputError

FLAT = Prior(scale=np.inf)
FIELDS = ("median", "sd", "lower", "upper", "beyond")


def trials(seed: int, replicates: int, n: int, effect=-0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    arm = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    c, e = rng.normal(size=(2, replicates, n))
    return 1 + effect * arm + 0.5 * c + e, arm, c[..., None]


def test_under_a_flat_prior_it_is_ancova():
    y, arm, c = trials(1, 50, 30)
    c = np.concatenate([c, 2 * c], axis=2)  # a dependent covariate is dropped
    fit = posterior_effect(y, arm, c, prior=FLAT, sizes=[12, 30], threshold=0.3)
    direct = ancova(y, arm, c, sizes=[12, 30])
    np.testing.assert_allclose(fit.median, direct.estimate, rtol=1e-10)
    np.testing.assert_allclose(fit.lower, direct.lower, rtol=1e-10)
    np.testing.assert_allclose(fit.upper, direct.upper, rtol=1e-10)
    chance = stats.t.cdf((-direct.estimate - 0.3) / direct.se, direct.df)
    np.testing.assert_allclose(fit.beyond, chance, rtol=1e-9)


def by_quadrature(y, limit, arm, prior, threshold):
    """Limits, median, sd and P(effect < −threshold) on a grid of (θ = 1/σ, intercept, effect)."""
    theta = np.linspace(0.15, 2.6, 71)[:, None, None]
    b0, b1 = np.linspace(-3, 4, 91)[None, :, None], np.linspace(-5, 4, 226)[None, None, :]
    log = (prior.strength - 1) * np.log(theta) - 0.5 * prior.strength * (prior.sd * theta) ** 2  # dσ²/σ² ∝ dθ/θ
    log = log + np.log(theta) - 0.5 * ((b1 - prior.mean) * theta / prior.scale) ** 2
    for value, treated in zip(y, arm, strict=True):
        mu = b0 + b1 * treated
        known = value > limit
        log = log + (
            np.log(theta) - 0.5 * ((value - mu) * theta) ** 2 if known else special.log_ndtr((limit - mu) * theta)
        )
    weight = np.exp(log - log.max()).sum(axis=(0, 1))
    weight /= weight.sum()
    grid = b1.ravel()
    step = grid[1] - grid[0]
    lower, median, upper = np.interp([0.025, 0.5, 0.975], np.cumsum(weight), grid + step / 2)
    mean = weight @ grid
    beyond = np.interp(-threshold, grid + step / 2, np.cumsum(weight))
    return {"median": median, "sd": np.sqrt(weight @ (grid - mean) ** 2), "lower": lower, "upper": upper,
            "beyond": beyond}  # fmt: skip


PRIOR = Prior(mean=-0.2, scale=1.0, sd=1.2, strength=2.0)


def test_the_conjugate_posterior_is_quadrature():
    y, arm, _ = (x[0] for x in trials(2, 1, 16))
    fit, truth = posterior_effect(y, arm, prior=PRIOR, threshold=0.4), by_quadrature(y, -np.inf, arm, PRIOR, 0.4)
    for name in FIELDS:
        assert getattr(fit, name)[0] == pytest.approx(truth[name], abs=4e-3)


@pytest.mark.parametrize(("n", "tolerance"), [(16, 0.02), (32, 0.012)])
def test_laplace_is_near_quadrature(n, tolerance):
    y, arm, _ = (x[0] for x in trials(3, 1, n))
    limit = 0.6
    assert 0.3 < np.mean(y < limit) < 0.6
    fit, truth = posterior_censored(y, limit, arm, prior=PRIOR, threshold=0.4), by_quadrature(y, limit, arm, PRIOR, 0.4)
    assert fit.beyond[0] == pytest.approx(truth["beyond"], abs=tolerance)
    for name in ("median", "lower", "upper"):
        assert getattr(fit, name)[0] == pytest.approx(truth[name], abs=0.15 * truth["sd"])


def test_laplace_without_censoring_is_near_the_exact_posterior():
    y, arm, c = trials(4, 500, 20)
    for prior in (FLAT, Prior(), PRIOR):
        laplace = posterior_censored(y, -np.inf, arm, c, prior=prior, threshold=0.3)
        exact = posterior_effect(y, arm, c, prior=prior, threshold=0.3)
        np.testing.assert_allclose(laplace.median, exact.median, atol=0.02)
        np.testing.assert_allclose(laplace.beyond, exact.beyond, atol=0.005)
        np.testing.assert_allclose(laplace.upper, exact.upper, atol=0.08)


def test_under_a_flat_prior_the_censored_twin_follows_the_likelihood():
    y, arm, c = trials(5, 400, 80)
    fit = posterior_censored(y, 0.4, arm, c, prior=FLAT)
    direct = censored_regression(y, 0.4, arm, c)
    np.testing.assert_allclose(fit.median, direct.estimate, atol=0.04)
    one_sided = np.where(direct.estimate < 0, 1 - direct.p / 2, direct.p / 2)
    np.testing.assert_allclose(fit.beyond, one_sided, atol=0.03)


def test_credible_intervals_cover_when_the_prior_is_true():
    """Effects drawn from the prior (scale 1, σ = 1): limits and probabilities are calibrated at n = 20."""
    R = 4000
    effect = np.random.default_rng(6).normal(size=(R, 1))
    y, arm, c = trials(7, R, 20, effect)
    prior = Prior(scale=1.0)
    for fit in (
        posterior_effect(y, arm, c, prior=prior),
        posterior_censored(y, 0.4, arm, c, prior=prior),
    ):
        ok = fit.status[:, 0] == Status.OK
        assert ok.mean() > 0.99
        inside = (fit.lower <= effect) & (effect <= fit.upper)
        assert inside[ok].mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / R) + 0.005)
        sure = ok & (fit.beyond[:, 0] > 0.8)
        expected = fit.beyond[sure].mean()
        assert (effect[sure] < 0).mean() == pytest.approx(expected, abs=4 * np.sqrt(0.1 * 0.9 / sure.sum()) + 0.01)


def test_the_prior_shrinks_and_moves():
    y, arm, c = trials(8, 20, 16)
    flat, tight, moved = (
        posterior_effect(y, arm, c, prior=prior) for prior in (FLAT, Prior(scale=0.3), Prior(mean=-2.0, scale=0.3))
    )
    assert (np.abs(tight.median) < np.abs(flat.median)).all()
    assert (moved.median < tight.median).all() and (tight.sd < flat.sd).all()


@pytest.mark.parametrize("better", [-1, 1])
def test_units_do_not_matter(better):
    y, arm, c = trials(9, 5, 24)
    limit = 0.4
    for scale, shift in ((10.0, 300.0), (0.01, -5.0)):
        prior = Prior(mean=-0.2 * scale, scale=1.0, sd=1.2 * scale, strength=2.0)
        one = posterior_censored(y, limit, arm, c, prior=PRIOR, threshold=0.3, better=better)
        two = posterior_censored(
            scale * y + shift, scale * limit + shift, arm, 7 - 3 * c, prior=prior, threshold=0.3 * scale, better=better
        )
        np.testing.assert_allclose(two.beyond, one.beyond, rtol=1e-6)
        np.testing.assert_allclose(two.upper, scale * one.upper, rtol=1e-6)


def test_batch_axes_sizes_and_hidden_values():
    y, arm, c = trials(10, 6, 24)
    batch = posterior_censored(y.reshape(2, 3, 24), 0.4, arm.reshape(2, 3, 24), c.reshape(2, 3, 24, 1), sizes=[16, 24])
    single = posterior_censored(np.where(y[5] > 0.4, y[5], np.nan), 0.4, arm[5], c[5], sizes=[16, 24])
    np.testing.assert_allclose(batch.beyond[1, 2], single.beyond, rtol=1e-12)


def test_statuses_and_bad_input():
    y, arm, c = trials(11, 5, 16)
    limit = np.full(y.shape, -9.0)
    limit[1] = 9.0
    limit[2] = np.where(arm[2], 9.0, -9.0)
    arm[3] = 0
    y[4, 1] = np.inf
    fit = posterior_censored(y, limit, arm, c)
    assert [Status(s).name for s in fit.status[:, 0]] == ["OK", "ALL_CENSORED", "OK", "NO_ARM", "NOT_FINITE"]
    exact = posterior_effect(y, arm, c)
    assert [Status(s).name for s in exact.status[:, 0]] == ["OK", "OK", "OK", "NO_ARM", "NOT_FINITE"]
    assert np.isnan(exact.beyond[3:]).all() and np.isnan(fit.median[[1, 3, 4]]).all()
    with pytest.raises(InputError, match="prior"):
        Prior(scale=0.0)
    with pytest.raises(InputError, match="better"):
        posterior_effect(y, arm, c, better=2)
