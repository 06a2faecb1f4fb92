"""MAP priors against bayesmeta and RBesT (trial_reference_values.csv) and against integration by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special, stats

from causalgia.analysis.map_prior import map_means, map_rates
from causalgia.analysis.mixtures import conflict, effective_sample_size, posterior, robustify
from causalgia.documents.errors import InputError

# map_data_AS: placebo arms of eight trials in ankylosing spondylitis, responders of n; RBesT data set AS
AS = ([23, 12, 19, 9, 39, 6, 9, 10], [107, 44, 51, 39, 139, 20, 78, 35])
# bayesmeta_8schools: Rubin (1981), unrounded
SCHOOLS = [28.39, 7.94, -2.75, 6.82, -0.64, 0.63, 18.01, 12.16]
ERRORS = [14.9, 10.2, 16.3, 11.0, 9.4, 11.4, 10.4, 17.6]


def test_published_ankylosing_spondylitis():
    prior = map_rates(*AS)
    assert special.expit(prior.mu.mean) == pytest.approx(0.25, abs=0.02)
    assert special.expit(prior.mu.quantile(0.5)) == pytest.approx(0.25, abs=0.02)
    assert prior.mixture.mean == pytest.approx(0.25, abs=0.02)
    assert prior.k == 8


def shortest(quantile, coverage: float) -> tuple[float, float]:
    """The shortest interval, from a quantile function."""
    found = optimize.minimize_scalar(
        lambda p: float(quantile(p + coverage) - quantile(p)), bounds=(0, 1 - coverage), method="bounded"
    )
    return float(quantile(found.x)), float(quantile(found.x + coverage))


def test_published_eight_schools():
    prior = map_means(SCHOOLS, ERRORS, tau_scale=25, tau_prior="half-cauchy", mu_prior=(0, 50))
    mean = prior.tau_weight @ prior.tau
    sd = np.sqrt(prior.tau_weight @ (prior.tau - mean) ** 2)
    assert [mean, sd] == pytest.approx([5.884511, 4.869904], abs=1e-5)
    # The density of τ falls from 0 on, so that its shortest interval begins there.
    assert prior.tau_quantile([0.5, 0.95]) == pytest.approx([4.758539, 15.165894], abs=5e-3)
    assert [prior.mu.mean, prior.mu.quantile(0.5), prior.mu.sd] == pytest.approx(
        [7.985729, 7.962961, 4.995762], abs=1e-3
    )
    assert shortest(prior.mu.quantile, 0.95) == pytest.approx((-1.823353, 17.824562), abs=5e-3)


def test_rates_agree_with_integration_by_brute_force():
    events, n = np.array([1, 2, 0]), np.array([10, 12, 8])
    prior = map_rates(events, n)
    mu = np.linspace(-9, 5, 141)
    tau = (np.arange(80) + 0.5) * 5 / 80
    z = np.linspace(-9, 9, 301)
    theta = mu[:, None, None] + tau[:, None] * z
    log_posterior = stats.norm.logpdf(mu, 0, 2)[:, None] + stats.halfnorm.logpdf(tau)
    for r, size in zip(events, n, strict=True):
        p = special.expit(theta)
        log_posterior = log_posterior + np.log((p**r * (1 - p) ** (size - r)) @ stats.norm.pdf(z))
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    phi = stats.norm.pdf(z) * (z[1] - z[0])
    mean = float((weight * (special.expit(theta) @ phi)).sum())
    square = float((weight * (special.expit(theta) ** 2 @ phi)).sum())
    assert prior.mixture.mean == pytest.approx(mean, rel=3e-3)
    assert prior.mixture.sd == pytest.approx(np.sqrt(square - mean**2), rel=1e-2)
    assert prior.mu.mean == pytest.approx(weight.sum(axis=1) @ mu, abs=1e-3)
    assert prior.tau_quantile(0.5) == pytest.approx(
        np.interp(0.5, np.cumsum(weight.sum(axis=0)), tau + 2.5 / 80), rel=5e-3
    )
    for limit in (-4.0, -2.0, 0.0):
        exact = (weight * stats.norm.cdf((limit - mu[:, None]) / tau)).sum()
        assert prior.predictive.cdf(limit) == pytest.approx(exact, abs=1e-3)


def test_large_arms_are_normal_arms():
    rng = np.random.default_rng(4)
    n = np.full(5, 4000)
    events = rng.binomial(n, special.expit(rng.normal(-0.5, 0.4, 5)))
    rates = map_rates(events, n, tau_scale=0.5)
    logit, se = special.logit(events / n), np.sqrt(1 / events + 1 / (n - events))
    means = map_means(logit, se, tau_scale=0.5, mu_prior=(0, 2))
    probabilities = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
    expected = special.expit([means.predictive.quantile(p) for p in probabilities])
    assert special.expit([rates.predictive.quantile(p) for p in probabilities]) == pytest.approx(expected, abs=1e-3)
    assert [rates.mixture.quantile(p) for p in probabilities] == pytest.approx(expected, abs=0.01)


def test_means_agree_with_simulation_from_the_posterior():
    y, se, scale = np.array([-1.0, -0.6, -1.4, -0.9]), np.array([0.3, 0.25, 0.4, 0.2]), 0.5
    rng = np.random.default_rng(8)
    draws = 400_000  # importance sampling from the prior of τ; μ flat, so drawn from its conditional
    tau = np.abs(rng.normal(0, scale, draws))
    w = 1 / (se**2 + tau[:, None] ** 2)
    V = 1 / w.sum(axis=1)
    centre = V * (w @ y)
    importance = np.sqrt(V * w.prod(axis=1)) * np.exp(-0.5 * (w * (y - centre[:, None]) ** 2).sum(axis=1))
    theta = rng.normal(centre, np.sqrt(V + tau**2))
    prior = map_means(y, se, tau_scale=scale)
    share = importance / importance.sum()
    band = 4 * np.sqrt((share**2).sum())
    for limit in (-2.0, -1.2, -0.9, -0.5, 0.2):
        assert prior.predictive.cdf(limit) == pytest.approx(share[theta <= limit].sum(), abs=band)
        assert prior.mixture.cdf(limit) == pytest.approx(share[theta <= limit].sum(), abs=band + 0.005)


@pytest.mark.parametrize("prior", [map_rates(*AS), map_means(SCHOOLS, ERRORS, tau_scale=5)], ids=["rates", "means"])
def test_the_small_mixture_is_close_to_the_exact_prior(prior):
    assert 0 <= prior.divergence < 2e-3
    link = special.expit if prior.mixture.family == "beta" else np.asarray
    for probability in (0.025, 0.25, 0.5, 0.75, 0.975):
        exact = float(link(prior.predictive.quantile(probability)))
        assert prior.mixture.cdf(exact) == pytest.approx(probability, abs=0.01)


def test_more_components_come_closer():
    divergences = [map_rates(*AS, components=count).divergence for count in (1, 2, 3)]
    assert divergences[0] > divergences[1] > divergences[2]


def test_heterogeneous_arms_are_worth_less():
    n = [50, 50, 50, 50]
    alike, apart = map_rates([15, 16, 14, 15], n), map_rates([5, 30, 12, 22], n)
    sizes = [effective_sample_size(prior.mixture) for prior in (alike, apart)]
    assert sizes[0] > 3 * sizes[1]
    assert sizes[0] < sum(n)
    assert np.all(np.isfinite(alike.tau_quantile([0.0, 0.5, 1.0])))


def test_the_unit_of_a_mean_does_not_matter():
    one = map_means([-1.0, -0.6, -1.4], [0.3, 0.25, 0.4], tau_scale=0.5)
    ten = map_means([-10.0, -6.0, -14.0], [3.0, 2.5, 4.0], tau_scale=5.0)
    assert ten.mixture.mean == pytest.approx(10 * one.mixture.mean, rel=1e-3)
    assert ten.mixture.sd == pytest.approx(10 * one.mixture.sd, rel=1e-2)
    assert ten.predictive.sd == pytest.approx(10 * one.predictive.sd, rel=1e-9)
    far = map_means([1e6 - 1.0, 1e6 - 0.6, 1e6 - 1.4], [0.3, 0.25, 0.4], tau_scale=0.5)
    assert far.predictive.sd == pytest.approx(one.predictive.sd, rel=1e-6)


def test_a_robust_prior_gives_way_to_data_that_contradict_it():
    plain = map_rates(*AS).mixture
    robust = robustify(plain, 0.2)
    assert conflict(robust, 6, 24).p > 0.5
    against = conflict(robust, 20, 24)
    assert against.p < 0.01
    assert against.vague_after > 0.9
    assert abs(posterior(robust, 20, 24).mean - 20 / 24) < abs(posterior(plain, 20, 24).mean - 20 / 24)


def test_arms_without_numbers_do_not_count():
    with_gap = map_means([-1.0, np.nan, -0.6, -1.4, -0.5], [0.3, 0.2, 0.25, 0.4, np.nan], tau_scale=0.5)
    assert with_gap.k == 3
    without = map_means([-1.0, -0.6, -1.4], [0.3, 0.25, 0.4], tau_scale=0.5)
    assert with_gap.mixture.a.tolist() == without.mixture.a.tolist()
    for arms in (0, 1, 2):
        with pytest.raises(InputError, match=f"found {arms} with numbers; expected at least 3"):
            map_means([-1.0] * arms + [np.nan], [0.3] * arms + [0.2], tau_scale=0.5)
        with pytest.raises(InputError, match=f"found {arms} with numbers; expected at least 3"):
            map_rates([3] * arms, [10] * arms)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: map_means([1, 2, 3], [1, 1, 0], tau_scale=1), "above 0"),
        (lambda: map_means([1, 2, 3], [1, 1, 1], tau_scale=0), "tau_scale"),
        (lambda: map_means([1, 2, 3], [1, 1], tau_scale=1), "one shape"),
        (lambda: map_means([1, 2, 3], [1, 1, 1], tau_scale=1, tau_prior="uniform"), "half-normal"),
        (lambda: map_means([1, 2, 3], [1, 1, 1], tau_scale=1, components=0), "1 to 5"),
        (lambda: map_rates([1, 2, 11], [10, 10, 10]), "impossible counts"),
        (lambda: map_rates([1, 2, 3], [10, 10, 10], mu_prior=(0, np.inf)), "finite sd"),
    ],
)
def test_bad_arms_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
