"""The rank test against R, SciPy and complete enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from causalgia.analysis.estimates import Status
from causalgia.analysis.ranks import rank_test

# R wilcox.test by scipy 1.17.1 TestMannWhitneyU; trial_reference_values.csv, mannwhitney_*_3v13.
X = [210.05211, 110.19063, 307.918612]
Y = [436.08811482466416, 416.3739732976819, 179.96975939463582, 197.8118754228619, 34.038757281225756]
Y += [138.54220550921517, 128.7769351470246, 265.9272142795185, 275.6617533155341, 592.3408339541626]
Y += [448.7317759061702, 300.61495185038905, 187.97508449019588]


@pytest.mark.parametrize(
    ("exact_up_to", "expected"),
    [
        (16, [16, 0.7035714285714, 0.3517857142857, 0.6946428571429]),
        (15, [16, 0.6865041817876, 0.3432520908938, 0.7047591913255]),
    ],
)
def test_published_values(exact_up_to, expected):
    test = rank_test(X + Y, -np.inf, [1] * 3 + [0] * 13, exact_up_to=exact_up_to)
    assert [test.u[0], test.p[0], test.p_less[0], test.p_greater[0]] == pytest.approx(expected, rel=1e-10)
    assert test.exact[0] == (exact_up_to == 16)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-2, 3), min_size=3, max_size=8), st.data())
def test_exact_p_is_complete_enumeration_with_ties(values, data):
    n = len(values)
    treated = np.zeros(n)
    n1 = data.draw(st.integers(1, n - 1))
    treated[:n1] = 1
    test = rank_test(values, 0, treated)
    ranks = stats.rankdata(np.maximum(values, 0))
    sums = np.array([ranks[list(chosen)].sum() for chosen in combinations(range(n), n1)])
    w, centre = ranks[:n1].sum(), n1 * (n + 1) / 2
    expected = [np.mean(np.abs(sums - centre) >= abs(w - centre)), np.mean(sums <= w), np.mean(sums >= w)]
    assert [test.p[0], test.p_less[0], test.p_greater[0]] == pytest.approx(expected, abs=1e-12)


def test_large_trials_agree_with_scipy_and_sizes_are_prefixes():
    rng = np.random.default_rng(1)
    y, treated = rng.normal(size=(5, 90)), rng.random((5, 90)) < 0.5
    seen = rng.random((5, 90)) < 0.9
    test = rank_test(y, -0.4, treated, observed=seen, sizes=[60, 90])
    for r in range(5):
        for s, size in enumerate((60, 90)):
            a = np.maximum(y, -0.4)[r, :size]
            one, zero = (a[seen[r, :size] & (treated[r, :size] == arm)] for arm in (1, 0))
            expected = stats.mannwhitneyu(one, zero, method="asymptotic")
            assert test.u[r, s] == expected.statistic
            assert test.p[r, s] == pytest.approx(expected.pvalue, rel=1e-10)


def test_an_arm_wholly_below_the_limit_still_has_a_one_sided_statement():
    test = rank_test([np.nan] * 5 + [2.0, 3, 4, 5, 6], 1.0, [1] * 5 + [0] * 5)
    assert test.p_less[0] == pytest.approx(1 / 252)
    assert test.estimate[0] == 0


def test_unequal_limits_tie_all_below_the_highest():
    y, treated = [0.1, 0.5, 2.0, 0.4, 3.0, 4.0], [1, 1, 1, 0, 0, 0]
    a = rank_test(y, [0.2, 0.2, 1.0, 0.2, 0.2, 0.2], treated)
    b = rank_test(y, 1.0, treated)
    assert a.p[0] == b.p[0]
    assert a.u[0] == b.u[0]


def test_all_tied_is_no_evidence_and_a_missing_arm_a_status():
    for exact_up_to in (0, 40):
        test = rank_test(np.zeros((2, 6)), 1.0, [[1, 1, 1, 0, 0, 0], [1] * 6], exact_up_to=exact_up_to)
        assert test.p[0, 0] == 1
        assert test.status[:, 0].tolist() == [Status.OK, Status.NO_ARM]
        assert np.isnan(test.p[1, 0])


def test_it_never_rejects_above_its_level():
    rng = np.random.default_rng(2)
    treated = rng.permuted(np.tile(np.arange(24) % 2, (4000, 1)), axis=1)
    p = rank_test(rng.normal(size=(4000, 24)), 0.3, treated).p
    assert (p <= 0.05).mean() <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 4000)
