"""Change within subjects and shares of responders, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from causalgia.analysis.change import mean_change, responder_difference
from causalgia.analysis.estimates import Status
from causalgia.analysis.proportions import difference_interval


@given(arrays(np.float64, (3, 9), elements=st.floats(-50, 50, width=32)), arrays(bool, (3, 9)))
def test_mean_change_is_the_one_sample_t_test(change, observed):
    effect = mean_change(change, observed=observed, sizes=(4, 9))
    for r in range(3):
        for j, size in enumerate((4, 9)):
            values = change[r, :size][observed[r, :size]]
            if len(values) < 2:
                assert effect.status[r, j] == Status.TOO_FEW
            elif np.ptp(values) > 1e-3:
                expected = stats.ttest_1samp(values, 0)
                assert effect.estimate[r, j] == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
                assert effect.p[r, j] == pytest.approx(expected.pvalue, rel=1e-5, abs=1e-9)
                interval = expected.confidence_interval(0.95)
                assert effect.lower[r, j] == pytest.approx(interval.low, rel=1e-6, abs=1e-6)


def test_no_spread_has_no_test():
    assert mean_change(np.ones(5), observed=np.ones(5, bool)).status[0] == Status.NO_VARIATION


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (3, 10, 6, 12), (5, 9, 0, 8)])
def test_difference_of_shares(table):
    """The interval of `proportions`, and the score test as the chi-square test without correction."""
    x1, n1, x0, n0 = table
    response = np.repeat([True, False, True, False], [x1, n1 - x1, x0, n0 - x0])
    treated = np.repeat([True, False], [n1, n0])
    effect = responder_difference(response, treated)
    low, high = difference_interval(x1, n1, x0, n0)
    assert effect.estimate[0] == pytest.approx(x1 / n1 - x0 / n0)
    assert (effect.lower[0], effect.upper[0]) == (pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))
    plain = stats.chi2_contingency([[x1, n1 - x1], [x0, n0 - x0]], correction=False)
    assert effect.p[0] == pytest.approx(plain.pvalue, rel=1e-9)


def test_sizes_are_the_first_subjects():
    generator = np.random.default_rng(3)
    response, treated = generator.random((5, 30)) < 0.4, generator.random((5, 30)) < 0.5
    both = responder_difference(response, treated, sizes=(12, 30))
    first = responder_difference(response[:, :12], treated[:, :12])
    np.testing.assert_array_equal(both.estimate[:, 0], first.estimate[:, 0])
    np.testing.assert_array_equal(both.p[:, 0], first.p[:, 0])


def test_one_arm_has_a_share_and_no_test():
    effect = responder_difference(np.array([True, True, False, False]), np.ones(4, bool))
    assert effect.estimate[0] == 0.5
    assert np.isnan(effect.p[0])
    exact = stats.binomtest(2, 4).proportion_ci(0.95)
    assert (effect.lower[0], effect.upper[0]) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_nobody_or_everybody_responds():
    treated = np.array([True, True, False, False])
    for response in (np.zeros(4, bool), np.ones(4, bool)):
        effect = responder_difference(response, treated)
        assert effect.estimate[0] == 0
        assert effect.p[0] == 1
