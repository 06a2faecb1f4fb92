"""Safety: exact limits against SciPy, and stopping rules against enumeration and simulated trials."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causalgia.analysis.proportions import clopper_pearson
from causalgia.analysis.safety import Stopping, exposure_rate, rule_of_three
from causalgia.documents.errors import InputError


def test_exposure_limits_are_poisson_tails():
    x = np.arange(7)
    rate, lower, upper = exposure_rate(x, 12.5, alpha=0.1)
    np.testing.assert_allclose(rate, x / 12.5)
    np.testing.assert_allclose(stats.poisson.sf(x[1:] - 1, 12.5 * lower[1:]), 0.05, rtol=1e-10)
    np.testing.assert_allclose(stats.poisson.cdf(x, 12.5 * upper), 0.05, rtol=1e-10)
    assert lower[0] == 0


def test_exposure_limits_published():
    # Ulm (1990), Am. J. Epidemiol. 131, 373: 11 events, 95 % limits 5.491 and 19.682
    _, lower, upper = exposure_rate(11, 1.0)
    assert (lower, upper) == pytest.approx((5.491, 19.682), abs=5e-4)


@pytest.mark.parametrize("mean", [0.3, 2.0, 9.0])
def test_exposure_limits_cover(mean):
    x = np.arange(80)
    _, lower, upper = exposure_rate(x, 4.0)
    assert stats.poisson.pmf(x, mean)[(lower <= mean / 4) & (mean / 4 <= upper)].sum() >= 0.95


def test_no_exposure_says_nothing():
    rate, lower, upper = exposure_rate([0, 1], [0.0, 2.0])
    assert np.isnan(rate[0]) and lower[0] == 0 and upper[0] == np.inf
    assert rate[1] == 0.5


def test_rule_of_three_is_the_one_sided_exact_limit():
    exact, rule = rule_of_three([1, 20, 300])
    np.testing.assert_allclose(exact, clopper_pearson(0, [1, 20, 300], 0.1)[1], rtol=1e-10)
    assert rule[1:] == pytest.approx([3 / 20, 3 / 300], rel=2e-3)
    assert rule[0] == 1


def test_stopping_boundary_of_the_analysis_plan():
    # STATISTICS.md section 4: 3 events by 8 treated, 4 by 12, 5 by 16, 6 by 20
    assert Stopping().boundary([8, 12, 16, 20]).tolist() == [3, 4, 5, 6]


def test_stopping_probability_is_the_beta_tail_and_the_boundary_its_first_crossing():
    rule = Stopping(0.25, 0.8, (1.0, 3.0))
    n = np.arange(1, 31)
    for size, least in zip(n, rule.boundary(n), strict=True):
        x = np.arange(size + 1)
        tail = stats.beta.sf(0.25, 1 + x, 3 + size - x)
        np.testing.assert_allclose(rule.probability(x, size), tail, rtol=1e-10)
        assert least == (np.flatnonzero(tail > 0.8)[0] if (tail > 0.8).any() else size + 1)
    assert Stopping(0.9, 0.99).boundary(2) == 3


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.4])
def test_stopping_trials_stop_as_often_as_calculated(rate):
    rule, looks, n = Stopping(), [8, 12, 16, 20], 20_000
    events = np.cumsum(np.random.default_rng(1).random((n, 20)) < rate, axis=1)[:, np.array(looks) - 1]
    stopped = rule.monitor(events, looks)
    for look, expected in zip(looks, rule.exits(rate, looks), strict=True):
        assert np.mean(stopped == look) == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


def test_every_patient_may_be_a_look():
    looks = list(range(1, 13))
    exits = Stopping().exits(0.3, looks)
    paths = (np.arange(2**12)[:, None] >> np.arange(12)) & 1  # every outcome of twelve patients
    weight = 0.3 ** paths.sum(axis=1) * 0.7 ** (12 - paths.sum(axis=1))
    stopped = Stopping().monitor(np.cumsum(paths, axis=1), looks)
    np.testing.assert_allclose(exits, [weight[stopped == look].sum() for look in looks], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exposure_rate(1.5, 2.0), "whole numbers"),
        (lambda: exposure_rate(1, 0.0), "whole numbers"),
        (lambda: exposure_rate(1, -1.0), "whole numbers"),
        (lambda: rule_of_three(0), "one patient"),
        (lambda: Stopping(limit=1.2), "between 0 and 1"),
        (lambda: Stopping().probability(4, 3), "between 0 and n"),
        (lambda: Stopping().exits(0.1, [8, 8]), "rising"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
