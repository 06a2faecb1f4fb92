"""Posteriors by the No-U-Turn sampler against closed forms, quadrature, a second density and their own prior."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import special, stats

from causalgia.analysis import nuts
from causalgia.analysis.bayes import Prior, posterior_effect
from causalgia.analysis.mediation import mediate
from causalgia.analysis.mixtures import mixture
from causalgia.analysis.nuts import Sampling, sample_effect, sample_mediation
from causalgia.documents.errors import InputError

SHORT = Sampling(chains=4, warmup=200, draws=800)
PRIOR = Prior(mean=-0.2, scale=1.0, sd=1.2, strength=4.0)
CONTROL = mixture("normal", (0.7, 0.0, 0.3), (0.3, 0.0, 1.5))
FLAT = mixture("normal", (0.5, 0.0, 1e4), (0.5, 0.0, 2e4))
ARM = np.tile([0, 1], 12)
# One shape of data and priors in all that samples an effect: it is compiled once.


def near(found, name, truth):
    """Mean, sd and the share of draws below each limit, within 4 standard errors of half the least effective draws."""
    summary, effective = found.summary(name), min(found.bulk, found.tail) / 2
    assert found.problem == ""
    assert summary["mean"] == pytest.approx(truth["mean"], abs=4 * truth["sd"] / np.sqrt(effective))
    assert summary["sd"] == pytest.approx(truth["sd"], rel=4 / np.sqrt(effective))
    for limit, share in ((truth["lower"], 0.025), (truth["upper"], 0.975)):
        assert (found.draws[name] < limit).mean() == pytest.approx(share, abs=4 * np.sqrt(0.025 * 0.975 / effective))


def by_grid(weight, grid):
    below = np.cumsum(weight) - 0.5 * weight
    mean = weight @ grid
    lower, upper = np.interp([0.025, 0.975], below, grid)
    return {"mean": mean, "sd": np.sqrt(weight @ (grid - mean) ** 2), "lower": lower, "upper": upper}


def test_with_a_conjugate_prior_it_is_the_t_distribution():
    rng = np.random.default_rng(1)
    y, arm, seen = 5 + 2 * rng.normal(size=25), np.append(ARM, 1), np.arange(25) != 3
    y -= arm
    prior = Prior(mean=-0.4, scale=1.0, sd=2.0, strength=2.0)
    found = sample_effect(y, arm, prior=prior, control=FLAT, observed=seen, sampling=SHORT)
    exact = posterior_effect(y, arm, prior=prior, observed=seen, threshold=0.5)
    near(
        found, "effect", {"mean": exact.median[0], "sd": exact.sd[0], "lower": exact.lower[0], "upper": exact.upper[0]}
    )
    assert found.beyond("effect", 0.5) == pytest.approx(exact.beyond[0], abs=4 * np.sqrt(0.25 / found.bulk))


def test_a_robust_prior_of_control_is_quadrature():
    rng = np.random.default_rng(2)
    y = 3 + rng.normal(size=24) - 0.9 * ARM
    control = mixture("normal", (0.8, 2.2, 0.2), (0.2, 2.2, 2.0))
    found = sample_effect(y, ARM, prior=PRIOR, control=control, sampling=SHORT)
    a, b = np.linspace(0.5, 5, 400)[:, None], np.linspace(-4, 2, 600)
    left = ((y - a[..., None] - b[:, None] * ARM) ** 2).sum(axis=-1)
    left = left + (b - PRIOR.mean) ** 2 / PRIOR.scale**2 + PRIOR.strength * PRIOR.sd**2
    log = -(len(y) + 1 + PRIOR.strength) / 2 * np.log(left)  # σ is integrated out
    log = log + np.log(sum(w * stats.norm.pdf(a, 2.2, s) for w, s in zip(control.weight, control.b, strict=True)))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    near(found, "effect", by_grid(weight.sum(axis=0), b))
    near(found, "control", by_grid(weight.sum(axis=1), a.ravel()))


def test_the_density_of_an_effect_is_that_of_its_distributions():
    jax = pytest.importorskip("jax", reason="the extra bayes")
    rng = np.random.default_rng(7)
    y, basis, below = rng.normal(size=24), rng.normal(size=(24, 2)), np.arange(24) < 5
    effect = mixture("normal", (0.5, 0.0, 0.2), (0.5, -2.0, 1.0))
    priors = nuts._prior_arrays(effect, CONTROL, 0.0, 1.0)

    def direct(theta):
        mean, sigma = theta[0] + theta[1] * ARM + basis @ theta[3:], np.exp(theta[2])
        log = stats.norm.logpdf(y, mean, sigma)[~below].sum() + stats.norm.logcdf(y, mean, sigma)[below].sum()
        for prior, x in ((effect, theta[1]), (CONTROL, theta[0])):
            log += np.log(prior.weight @ stats.norm.pdf(x, prior.a, prior.b))
        return log

    points = rng.normal(size=(5, 5))
    with jax.enable_x64(True):
        ours = [float(nuts._effect_density(t, y, below, ARM, basis, *priors)) for t in points]
    differences = np.array(ours) - [direct(t) for t in points]
    np.testing.assert_allclose(differences, differences[0], atol=1e-9)


def test_a_covariate_that_depends_on_others_is_dropped():
    c = np.random.default_rng(8).normal(size=(30, 2))
    data = nuts._Data.of([c[:, 0]], np.column_stack([c, c @ [1, 2], np.ones(30)]), np.arange(30) > 3)
    assert data.basis.shape == (26, 2)
    np.testing.assert_allclose(data.basis.T @ np.column_stack([data.basis, np.ones(26)]) / 26, np.eye(2, 3), atol=1e-12)


def test_a_censored_effect_is_calibrated_against_its_prior():
    """Ranks of the truth are uniform where truth and data come from the model (Talts et al. 2018)."""
    rng = np.random.default_rng(3)
    ranks = []
    for _ in range(16):
        sigma = PRIOR.sd * np.sqrt(PRIOR.strength / rng.chisquare(PRIOR.strength))
        k = rng.choice(2, p=CONTROL.weight)
        control = rng.normal(CONTROL.a[k], CONTROL.b[k])
        effect = rng.normal(PRIOR.mean, PRIOR.scale * sigma)
        y = control + effect * ARM + sigma * rng.normal(size=24)
        # Just below the sixth of control and the ninth of the treated: whatever the truth, so many are hidden.
        limit = np.nextafter([np.sort(y[ARM == 0])[5], np.sort(y[ARM == 1])[8]], -np.inf)[ARM]
        assert (y <= limit).sum() == 13
        found = sample_effect(y, ARM, limit=limit, prior=PRIOR, control=CONTROL, sampling=SHORT)
        assert found.rhat < 1.05
        ranks.append([(found.draws[name] < true).mean() for name, true in (("effect", effect), ("sigma", sigma))])
    ranks = np.array(ranks)
    assert np.abs(ranks.mean(axis=0) - 0.5).max() < 4 * np.sqrt(1 / 12 / len(ranks))
    assert np.abs((ranks**2).mean(axis=0) - 1 / 3).max() < 4 * np.sqrt(4 / 45 / len(ranks))


def test_the_joint_density_of_mediation_is_that_of_the_latent_variables():
    """Marker and baseline integrated out by matrices, where nothing is below its limit, and by differences where."""
    jax = pytest.importorskip("jax", reason="the extra bayes")
    rng = np.random.default_rng(4)
    n, p = 7, 2
    y, w, before = rng.normal(size=(3, n))
    arm, basis, error, half = np.arange(n) % 2, rng.normal(size=(n, p)), 0.3, 6.0
    below = np.zeros(n, bool)

    def direct(theta, reading):
        xi, alpha, a, alpha_x, c, b, beta, beta_x, *logs, stretched = theta[:12]
        x_sd, m_sd, y_sd, ratio = np.exp([*logs, stretched / np.sqrt(half)])
        g = theta[12:].reshape(3, p)
        # (X, M, Y) = intercepts + B (X, M, Y) + errors, then readings W0 = X + u0, W = M + u
        B = np.array([[0, 0, 0], [alpha_x, 0, 0], [beta_x, b, 0]])
        T = np.linalg.inv(np.eye(3) - B)
        cov = T @ np.diag([x_sd**2, m_sd**2, y_sd**2]) @ T.T + np.diag([error * ratio, error * ratio, 0])
        log = 0.0
        for i in range(n):
            start = np.array([xi, alpha + a * arm[i], beta + c * arm[i]]) + g @ basis[i]
            log += stats.multivariate_normal.logpdf([before[i], reading[i], y[i]], T @ start, cov)
        log += stats.norm.logpdf(np.concatenate([theta[:8], theta[12:]]), 0, 2.5).sum()
        log += (stats.halfnorm.logpdf([x_sd, m_sd, y_sd]) + logs).sum()
        return log + stats.invgamma.logpdf(ratio, half, scale=half) + np.log(ratio)

    points = [rng.normal(size=12 + 3 * p) * 0.7 for _ in range(5)]
    with jax.enable_x64(True):
        ours = [float(nuts._mediation_density(t, y, w, below, arm, before, basis, error, half)) for t in points]
        differences = np.array(ours) - [direct(t, w) for t in points]
        np.testing.assert_allclose(differences, differences[0], atol=1e-9)
        below[2] = True
        hidden = np.exp(float(nuts._mediation_density(points[0], y, w, below, arm, before, basis, error, half)))
    # The probability of lying below is the integral of the density over readings below.
    nodes, weights = np.polynomial.legendre.leggauss(60)
    readings = w[2] + 12 * (nodes - 1) / 2
    parts = [direct(points[0], np.where(np.arange(n) == 2, r, w)) for r in readings]
    # Our density leaves out 1/√(2π) of each value above its limit.
    integral = 6 * weights @ np.exp(np.array(parts) + differences[0] - np.log(np.sqrt(2 * np.pi)))
    assert hidden == pytest.approx(integral, rel=1e-6)


def test_mediation_agrees_with_the_likelihood_in_a_large_trial():
    rng = np.random.default_rng(5)
    n, error = 200, 0.1
    arm = np.arange(n) % 2
    x = rng.normal(size=n)
    m = -0.8 * arm + 0.6 * x + 0.8 * rng.normal(size=n)
    w, before = (v + np.sqrt(error) * rng.normal(size=n) for v in (m, x))
    y = 6 + 2 * (0.5 * m - 0.2 * arm + rng.normal(size=n))
    found = sample_mediation(y, w, arm, baseline=before, error=error, error_df=200, limit=-1.0, sampling=SHORT)
    fit = mediate(y, w, arm, baseline=before, error=error, error_df=200, limit=-1.0)
    assert found.problem == ""
    for name, one in (("total", fit.total), ("indirect", fit.indirect), ("direct", fit.direct), ("slope", fit.slope)):
        summary, se = found.summary(name), one.se[0]
        assert summary["mean"] == pytest.approx(one.estimate[0], abs=0.3 * se)
        assert summary["sd"] == pytest.approx(se, rel=0.15)
        assert summary["lower"] == pytest.approx(one.lower[0], abs=0.4 * se)


def test_the_same_seed_gives_the_same_draws_and_chains_that_disagree_give_no_numbers():
    y = np.r_[np.full(12, 0.0), np.full(12, 4.0)] + 0.02 * np.random.default_rng(6).normal(size=24)
    arm = np.repeat([0, 1], 12)
    one, same, other = (
        sample_effect(y, arm, prior=PRIOR, control=CONTROL, sampling=SHORT, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.draws["effect"], same.draws["effect"])
    assert not np.array_equal(one.draws["effect"], other.draws["effect"])
    chains = one.draws["effect"][..., None]
    shifted = nuts._Chains(chains, 1.2, one.bulk, one.tail, 3).named({"effect": one.draws["effect"]})
    assert "R-hat 1.200" in shifted.problem and "3 divergent" in shifted.problem
    assert np.isnan(shifted.summary("effect")["mean"]) and np.isnan(shifted.beyond("effect"))
    unknown = nuts._Chains(chains, np.nan, np.nan, np.nan, 0).named({"effect": one.draws["effect"]})
    assert unknown.problem


@pytest.mark.parametrize(
    ("y", "treated", "options", "message"),
    [
        ([1.0, 2.0, 4.0, 3.0], [1, 1, 1, 1], {}, "two arms"),
        ([1.0, 2.0, 1.0, 3.0], [1, 1, 0, 0], {"limit": 1.5}, "more than 2"),
        ([1.0, np.nan, 2.0, 4.0], [1, 0, 1, 0], {}, "finite values"),
        ([[1.0, 2.0, 3.0, 4.0]] * 2, [1, 0, 1, 0], {}, "one data set"),
        ([1.0, 2.0, 3.0, 5.0, 5.0], [1, 0, 1, 0, 0], {"control": mixture("beta", (1, 1, 1))}, "mixture of normals"),
        ([1, 1, 1, 5.0, 3, 2, 4], [1, 1, 1, 0, 0, 0, 0], {"limit": 1, "prior": Prior(scale=np.inf)}, "proper prior"),
    ],
)
def test_bad_data_are_refused(y, treated, options, message):
    with pytest.raises(InputError, match=message):
        sample_effect(y, treated, **options)


def test_without_the_extra_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpyro", None)
    with pytest.raises(InputError, match=r"pip install 'causalgia\[bayes\]'"):
        sample_effect(special.ndtri((np.arange(24) + 0.5) / 24), ARM)
