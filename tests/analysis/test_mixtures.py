"""Conjugate mixtures against brute force, SciPy and the published cases of RBesT (trial_reference_values.csv)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from causalgia.analysis.families import FAMILIES
from causalgia.analysis.mixtures import (
    conflict,
    effective_sample_size,
    mixture,
    posterior,
    probability_greater,
    robustify,
)
from causalgia.documents.errors import InputError

PRIORS = {
    "normal": mixture("normal", (0.3, 0.0, 2.0), (0.7, 3.0, 0.5)),
    "beta": mixture("beta", (0.2, 1.0, 1.0), (0.8, 10.0, 2.0)),
    "gamma": mixture("gamma", (0.3, 20.0, 4.0), (0.7, 2.5, 1.0)),
}
DATA = {"normal": (1.2, 0.7), "beta": (4, 11), "gamma": (14, 2.5)}
LIKELIHOODS = {
    "normal": lambda x, value, size: stats.norm.pdf(value, x, size),
    "beta": lambda x, value, size: stats.binom.pmf(value, size, x),
    "gamma": lambda x, value, size: stats.poisson.pmf(value, x * size),
}
SCIPY = {
    "normal": lambda a, b: stats.norm(a, b),
    "beta": lambda a, b: stats.beta(a, b),
    "gamma": lambda a, b: stats.gamma(a, scale=1 / b),
}


def density(prior, x):
    parts = zip(prior.weight, prior.a, prior.b, strict=True)
    return sum(weight * SCIPY[prior.family](a, b).pdf(x) for weight, a, b in parts)


def test_every_family_is_tested():
    assert set(PRIORS) == set(FAMILIES) == set(DATA)


@pytest.mark.parametrize("family", PRIORS)
def test_moments_cdf_and_quantiles_are_those_of_the_density(family):
    prior = PRIORS[family]
    x = np.linspace(prior.quantile(1e-9), prior.quantile(1 - 1e-9), 40_001)
    f = density(prior, x)
    mean = integrate.simpson(x * f, x=x)
    assert prior.mean == pytest.approx(mean, rel=1e-6)
    assert prior.sd == pytest.approx(np.sqrt(integrate.simpson((x - mean) ** 2 * f, x=x)), rel=1e-5)
    for probability in (0.025, 0.5, 0.9):
        assert prior.cdf(prior.quantile(probability)) == pytest.approx(probability, abs=1e-11)
    assert prior.cdf(x[:3]).shape == (3,)


@pytest.mark.parametrize("family", PRIORS)
def test_posterior_is_prior_times_likelihood(family):
    prior, data = PRIORS[family], DATA[family]
    after = posterior(prior, *data)
    x = np.linspace(after.quantile(1e-9), after.quantile(1 - 1e-9), 20_001)
    product = density(prior, x) * LIKELIHOODS[family](x, *data)
    np.testing.assert_allclose(density(after, x), product / integrate.simpson(product, x=x), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("family", PRIORS)
def test_conflict_is_the_prior_predictive_tail(family):
    prior, (value, size) = PRIORS[family], DATA[family]
    informative = mixture(family, *zip(prior.weight, prior.a, prior.b, strict=True))
    robust = robustify(informative, 0.1, (float(prior.a[0]), float(prior.b[0])))
    rng = np.random.default_rng(2)
    which = rng.choice(2, size=200_000, p=prior.weight)
    theta = SCIPY[family](prior.a[which], prior.b[which]).rvs(random_state=rng)
    draws = {
        "normal": lambda: rng.normal(theta, size),
        "beta": lambda: rng.binomial(size, theta),
        "gamma": lambda: rng.poisson(theta * size),
    }[family]()
    expected = min(1, 2 * min(np.mean(draws <= value), np.mean(draws >= value)))
    assert conflict(robust, value, size).p == pytest.approx(expected, abs=4 * np.sqrt(2 * expected / 200_000))


@pytest.mark.parametrize(
    ("prior", "sd", "expected"),
    [
        (mixture("normal", (1, -1, 2)), 4.0, 4.0),
        (mixture("beta", (1, 5, 15)), None, 20.0),
        (mixture("gamma", (1, 10, 1)), None, 1.0),
    ],
)
@pytest.mark.parametrize("method", ["ELIR", "moment"])
def test_a_single_component_is_worth_its_canonical_size(prior, sd, expected, method):
    # Neuenschwander et al. (2020); RBesT tests "conjugate ... case matches canonical formula"
    assert effective_sample_size(prior, sd=sd, method=method) == pytest.approx(expected, rel=1e-9)


def test_gamma_prior_after_poisson_counts():
    # trial_reference_values.csv, ess_gamma_poisson: mean 10 and n 1, then 20 counts of mean 2
    after = posterior(mixture("gamma", (1, 10, 1)), 40, 20)
    assert effective_sample_size(after) == pytest.approx(21, rel=1e-9)


@pytest.mark.parametrize("prior", [PRIORS["beta"], mixture("beta", (0.5, 1.2, 3.0), (0.5, 30.0, 60.0))])
def test_elir_is_predictively_consistent_for_rates(prior):
    # E over the predictive of the ELIR after n subjects is the ELIR before plus n: exact, by enumeration
    n = 9
    events = np.arange(n + 1)
    probability = sum(
        weight * stats.betabinom(n, a, b).pmf(events)
        for weight, a, b in zip(prior.weight, prior.a, prior.b, strict=True)
    )
    after = [effective_sample_size(posterior(prior, int(r), n)) for r in events]
    assert probability @ np.array(after) - n == pytest.approx(effective_sample_size(prior), rel=1e-7)


def test_elir_is_predictively_consistent_for_means():
    prior, sd, n = mixture("normal", (0.5, 0, 2), (0.5, 3, 4)), 10.0, 30
    se = sd / np.sqrt(n)
    m = np.linspace(-25, 28, 401)
    parts = zip(prior.weight, prior.a, prior.b, strict=True)
    f = sum(weight * stats.norm.pdf(m, a, np.hypot(b, se)) for weight, a, b in parts)
    after = np.array([effective_sample_size(posterior(prior, x, se), sd=sd) for x in m])
    assert integrate.simpson(f * after, x=m) - n == pytest.approx(effective_sample_size(prior, sd=sd), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.05, 60), st.floats(1.05, 60))
def test_elir_of_any_beta_is_its_parameters_sum(a, b):
    assert effective_sample_size(mixture("beta", (1, a, b))) == pytest.approx(a + b, rel=1e-7)


@settings(max_examples=30, deadline=None)
@given(*[st.floats(0.5, 300)] * 4, st.floats(-0.5, 0.5))
def test_probability_greater_is_the_double_integral(a, b, c, d, difference):
    x, y = mixture("beta", (1, a, b)), mixture("beta", (1, c, d))
    u = (np.arange(20_000) + 0.5) / 20_000
    expected = np.mean(stats.beta(c, d).cdf(stats.beta(a, b).ppf(u) - difference))
    assert probability_greater(x, y, difference) == pytest.approx(expected, abs=2e-4)


def test_probability_greater_of_normals_and_gammas():
    x, y = PRIORS["normal"], mixture("normal", (1, 1.0, 1.5))
    rng = np.random.default_rng(5)
    which = rng.choice(2, size=400_000, p=x.weight)
    share = np.mean(rng.normal(x.a[which], x.b[which]) - rng.normal(1, 1.5, 400_000) > 0.5)
    assert probability_greater(x, y, 0.5) == pytest.approx(share, abs=4 * 0.5 / np.sqrt(400_000))
    rate = mixture("gamma", (1, 3, 1))
    assert probability_greater(rate, rate) == pytest.approx(0.5, abs=1e-9)


def test_published_boundary_of_a_normal_decision():
    # trial_reference_values.csv, bayes_normal_mix_boundary_*: estimate at which the rule starts to hold; sigma 5, n 50
    prior, se = mixture("normal", (0.2, 0, 2), (0.8, 2, 2)), 5 / np.sqrt(50)
    lower = optimize.brentq(lambda m: float(posterior(prior, m, se).cdf(0.6)) - 0.95, -5, 5)
    assert lower == pytest.approx(-0.7359727, rel=2e-4)
    assert lower == pytest.approx(-0.735886, abs=1e-6)  # the recheck's exact root
    upper = optimize.brentq(lambda m: 1 - float(posterior(prior, m, se).cdf(1.5)) - 0.8, -5, 5)
    assert upper == pytest.approx(2.105779, rel=1e-4)


def test_published_boundary_of_a_responder_decision():
    # trial_reference_values.csv, bayes_beta_mix_boundary_*: RBesT counts the last r at which a ">" rule fails
    prior = mixture("beta", (0.2, 2, 2), (0.8, 5, 5))
    below = np.array([float(posterior(prior, r, 50).cdf(0.6)) for r in range(51)])
    assert np.flatnonzero(below > 0.95).max() == 24
    assert np.flatnonzero(1 - below <= 0.6).max() == 31


def test_published_double_criterion():
    # trial_reference_values.csv, bayes_double_criterion; Neuenschwander et al. (2011), Statist. Med. 30, 1618
    prior, margin = mixture("normal", (1, 0, 100)), 0.4
    middle = margin - 1.645 * 2 / np.sqrt(155)
    for n, expected in ((155, (0.50, 0.05)), (233, (0.50, 0.02)), (78, (0.32, 0.05))):
        se = 2 / np.sqrt(n)

        def margin_met(m: float, se: float = se) -> float:
            return float(posterior(prior, m, se).cdf(margin)) - 0.95

        def middle_met(m: float, se: float = se) -> float:
            return float(posterior(prior, m, se).cdf(middle)) - 0.5

        critical = min(optimize.brentq(margin_met, -5, 5), optimize.brentq(middle_met, -5, 5))
        assert stats.norm.cdf(critical, [middle, margin], se) == pytest.approx(expected, abs=0.01)


def test_published_interim_rule():
    # trial_reference_values.csv, bayes_gsponer_interim; Gsponer et al. (2014), table 1. Drug - placebo, so placebo
    # minus drug of a fall; the two posteriors are normal, and the rule depends on the difference of their means.
    sigma, n_drug, n_placebo = 88.0, 20, 10
    placebo, drug = mixture("normal", (1, -49, sigma / np.sqrt(20))), mixture("normal", (1, 0, sigma / np.sqrt(0.001)))
    deltas, success, futility = [0, 40, 50, 60, 70], [1.1, 32.2, 50.0, 67.6, 82.2], [63.3, 6.8, 2.5, 0.8, 0.2]
    m = -49 + np.linspace(-5, 5, 61) * sigma / np.sqrt(n_placebo)
    weight = stats.norm.pdf(m, -49, sigma / np.sqrt(n_placebo)) * (m[1] - m[0])
    after_placebo = [posterior(placebo, x, sigma / np.sqrt(n_placebo)) for x in m]
    se = sigma / np.sqrt(n_drug)

    def boundary(control, threshold: float, probability: float) -> float:
        """The drug's mean at which P(placebo − drug > threshold) reaches the probability."""

        def excess(x: float) -> float:
            return probability_greater(control, posterior(drug, x, se), threshold) - probability

        return optimize.brentq(excess, -600, 600)

    succeeds = np.array([min(boundary(c, 0, 0.95), boundary(c, 50, 0.5)) for c in after_placebo])
    fails = np.array([boundary(c, 40, 0.1) for c in after_placebo])
    for delta, wins, stops in zip(deltas, success, futility, strict=True):
        assert 100 * weight @ stats.norm.cdf(succeeds, -49 - delta, se) == pytest.approx(wins, abs=0.15)
        assert 100 * weight @ stats.norm.sf(fails, -49 - delta, se) == pytest.approx(stops, abs=0.15)


def test_published_error_inflation_under_conflict():
    # trial_reference_values.csv, bayes_schmidli_informative; Schmidli et al. (2014), table 2
    control = [posterior(mixture("beta", (1, 4, 16)), r, 20) for r in range(21)]
    treated = [posterior(mixture("beta", (1, 1, 1)), r, 40) for r in range(41)]
    wins = np.array([[probability_greater(t, c) > 0.975 for t in treated] for c in control])
    rates = np.arange(1, 7) / 10
    for delta, expected in ((0.0, [0, 1.6, 6.1, 13.7, 26.0, 44.4]), (0.3, [81.6, 87.8, 93.4, 97.9, 99.6, 100.0])):
        found = [
            100 * stats.binom.pmf(np.arange(21), 20, p) @ wins @ stats.binom.pmf(np.arange(41), 40, p + delta)
            for p in rates
        ]
        assert found == pytest.approx(expected, abs=2.5)


def test_robustness_grows_with_conflict():
    robust = robustify(mixture("beta", (1, 20, 60)), 0.2)
    found = [conflict(robust, r, 30) for r in (8, 14, 20, 26)]
    assert [c.vague_before for c in found] == pytest.approx([0.2] * 4)
    assert all(np.diff([c.vague_after for c in found]) > 0)
    assert all(np.diff([c.p for c in found]) < 0)
    assert found[0].vague_after < 0.2 and found[-1].vague_after > 0.99
    assert found[0].p > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mixture("cauchy", (1, 0, 1)), "normal, beta, gamma"),
        (lambda: mixture("beta", (1, 0, 1)), "both above 0"),
        (lambda: mixture("beta", (-1, 1, 1)), "0 or more"),
        (lambda: mixture("beta"), "0 or more"),
        (lambda: posterior(PRIORS["beta"], 1.5, 3), "whole number"),
        (lambda: posterior(PRIORS["normal"], 1.5, 0), "standard error above 0"),
        (lambda: robustify(PRIORS["normal"], 0.2), "vague component"),
        (lambda: robustify(PRIORS["beta"], 1.2), "between 0 and 1"),
        (lambda: conflict(mixture("beta", (1, 1, 1)), 1, 3), "robustify"),
        (lambda: effective_sample_size(PRIORS["normal"]), "one subject"),
        (lambda: effective_sample_size(PRIORS["beta"], method="morita"), "ELIR or moment"),
        (lambda: effective_sample_size(mixture("beta", (1, 0.5, 3))), "shapes of 1 or more"),
        (lambda: probability_greater(PRIORS["beta"], PRIORS["gamma"]), "one family"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
