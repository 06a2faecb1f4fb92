"""Decision rules against RBesT and its sources, R and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causalgia.analysis.decisions import (
    Criterion,
    critical_value,
    decision_probability,
    difference_decision,
    equivalence,
)
from causalgia.analysis.linear import ancova
from causalgia.analysis.mixtures import mixture
from causalgia.analysis.ranks import rank_test
from causalgia.documents.errors import InputError

NORMAL, BETA = mixture("normal", (0.2, 0, 2), (0.8, 2, 2)), mixture("beta", (0.2, 2, 2), (0.8, 5, 5))
A, B = np.array([4.0, 7, 8, 6, 3, 2]), np.array([6.0, 8, 7, 10, 11, 9])


@pytest.mark.parametrize(
    ("criterion", "expected", "tolerance"),
    [
        pytest.param(Criterion(0.6, 0.95, above=False), -0.7359727, 2e-4, id="bayes_normal_mix_boundary_lower"),
        pytest.param(Criterion(1.5, 0.8), 2.105779, 1e-4, id="bayes_normal_mix_boundary_upper"),
    ],
)
def test_normal_boundaries_published(criterion, expected, tolerance):
    # RBesT test-decision1S_boundary.R, sd 5, n 50; trial_reference_values.csv, by id, relative tolerance
    assert critical_value(NORMAL, 5 / np.sqrt(50), [criterion]) == pytest.approx(expected, rel=tolerance)


def test_bayes_beta_mix_boundary():
    # RBesT test-decision1S_boundary.R; trial_reference_values.csv, bayes_beta_mix_boundary_lower, _upper: exact. For an
    # upper rule RBesT gives the last number of events that does not meet it.
    assert critical_value(BETA, 50, [Criterion(0.6, 0.95, above=False)]) == 24
    assert critical_value(BETA, 50, [Criterion(0.6, 0.6)]) - 1 == 31


@pytest.mark.parametrize(("n", "expected"), [(155, (0.50, 0.05)), (233, (0.50, 0.02)), (78, (0.32, 0.05))])
def test_bayes_double_criterion(n, expected):
    # RBesT test-oc1S.R; Neuenschwander et al. (2011), Statist. Med. 30, 1618; trial_reference_values.csv,
    # bayes_double_criterion: ± 0.01
    middle = 0.4 - 1.645 * 2 / np.sqrt(155)
    rule = [Criterion(0.4, 0.95, above=False), Criterion(middle, 0.5, above=False)]
    found = decision_probability(mixture("normal", (1, 0, 100)), 2 / np.sqrt(n), rule, [middle, 0.4])
    assert found == pytest.approx(expected, abs=0.01)


def test_bayes_gsponer_interim():
    # RBesT test-oc2S.R; Gsponer et al. (2014), table 1; trial_reference_values.csv, bayes_gsponer_interim: ± 0.15. The
    # benefit d is placebo minus drug, so success is a difference drug − placebo that is low enough.
    sigma, deltas = 88.0, np.array([0, 40, 50, 60, 70.0])
    drug = (mixture("normal", (1, 0, sigma / np.sqrt(0.001))), sigma / np.sqrt(20))
    placebo = (mixture("normal", (1, -49, sigma / np.sqrt(20))), sigma / np.sqrt(10))
    truth = np.stack([-49 - deltas, np.full(5, -49.0)], axis=1)
    success = [Criterion(0, 0.95, above=False), Criterion(-50, 0.5, above=False)]
    found = 100 * difference_decision(drug, placebo, success, truth)
    assert found == pytest.approx([1.1, 32.2, 50.0, 67.6, 82.2], abs=0.15)
    found = 100 * difference_decision(drug, placebo, [Criterion(-40, 0.9)], truth)
    assert found == pytest.approx([63.3, 6.8, 2.5, 0.8, 0.2], abs=0.15)


def test_difference_decision_is_what_simulated_trials_reach():
    arms = ((mixture("normal", (1, 0.3, 1.0)), 0.4), (mixture("normal", (1, 0.0, 0.5)), 0.3))
    rule, n = [Criterion(0, 0.9), Criterion(0.5, 0.5)], 40_000
    rng, means, variance = np.random.default_rng(1), [], 0.0
    for (prior, se), true in zip(arms, (1.2, 0.1), strict=True):
        precision = 1 / prior.b[0] ** 2 + 1 / se**2
        means.append((prior.a[0] / prior.b[0] ** 2 + rng.normal(true, se, n) / se**2) / precision)
        variance += 1 / precision
    met = np.ones(n, dtype=bool)
    for c in rule:
        met &= stats.norm.sf(c.threshold, means[0] - means[1], np.sqrt(variance)) >= c.probability
    found = difference_decision(*arms, rule, [1.2, 0.1])
    assert found == pytest.approx(met.mean(), abs=4 * 0.5 / np.sqrt(n))


@pytest.mark.parametrize("above", [True, False])
def test_probabilities_of_count_decisions_sum_over_counts(above):
    rule, rates = [Criterion(0.5, 0.9, above), Criterion(0.4 if above else 0.6, 0.95, above)], np.array([0.2, 0.6])
    critical = critical_value(BETA, 20, rule)
    x = np.arange(21)
    met = x >= critical if above else x <= critical
    expected = stats.binom.pmf(x, 20, rates[:, None])[:, met].sum(axis=1)
    np.testing.assert_allclose(decision_probability(BETA, 20, rule, rates), expected)


def test_decisions_that_are_never_and_always_made():
    never, always = [Criterion(0.99, 0.999)], [Criterion(0.99, 0.001, above=False)]
    assert critical_value(BETA, 5, never) == 6
    assert decision_probability(BETA, 5, never, 0.9) == 0
    assert decision_probability(BETA, 5, always, 0.9) == 1
    assert critical_value(BETA, 5, [Criterion(0.01, 0.999, above=False)]) == -1
    assert decision_probability(BETA, 5, [Criterion(0.01, 0.999, above=False)], 0.9) == 0
    assert decision_probability(BETA, 5, [Criterion(0.01, 0.001)], 0.1) == 1


def test_tost_two_sample():
    # R equivalence by pingouin test_equivalence.py; trial_reference_values.csv, tost_two_sample: rel 1e-5
    effect = ancova(np.concatenate([A, B]), [1] * 6 + [0] * 6)
    assert effect.df[0] == 10
    assert equivalence(effect.estimate, effect.se, effect.df, -1, 1)[0] == pytest.approx(0.9650974, rel=1e-5)


def test_tost_paired():
    # R equivalence by pingouin test_equivalence.py; trial_reference_values.csv, tost_paired: rel 1e-5
    d = A - B
    found = equivalence(d.mean(), d.std(ddof=1) / np.sqrt(6), 5, -1, 1)
    assert found == pytest.approx(0.9293826, rel=1e-5)


def test_ranksum_smallest_3v3():
    # R wilcox.test; trial_reference_values.csv, ranksum_smallest_3v3: abs 1e-12
    assert rank_test([1, 2, 3, 4, 5, 6], -np.inf, [1, 1, 1, 0, 0, 0]).p[0] == pytest.approx(0.1, abs=1e-12)


def test_wilcoxon_signedrank_pratt():
    # R coin by scipy TestWilcoxon; trial_reference_values.csv, wilcoxon_signedrank_pratt: rel 1e-10; SciPy itself
    found = stats.wilcoxon([1, 2, 3, 4], [1, 2, 3, 5], zero_method="pratt", method="asymptotic", correction=False)
    assert found.statistic == 0
    assert found.pvalue == pytest.approx(0.31731050786291415, rel=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: critical_value(NORMAL, 1.0, []), "one side"),
        (lambda: critical_value(NORMAL, 1.0, [Criterion(0, 0.9), Criterion(1, 0.5, above=False)]), "one side"),
        (lambda: critical_value(mixture("gamma", (1, 2, 2)), 5, [Criterion(0, 0.9)]), "normal or beta"),
        (lambda: difference_decision((NORMAL, 1.0), (NORMAL, 1.0), [Criterion(0, 0.9)], [0, 0]), "one component"),
        (lambda: difference_decision((NORMAL, 1.0), (NORMAL, 1.0), [], [0, 0]), "one side"),
        (lambda: equivalence(0.0, 1.0, 5, 1, -1), "low < high"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
