"""Paired tests, other families and the profile interval against published values and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causalgia.analysis.estimates import Status
from causalgia.analysis.sensitivity import location_scale, profile_mean_limits, sign_test, signed_rank_test
from causalgia.documents.errors import InputError

NONE = -np.inf


def test_published_profile_interval():
    """trial_reference_values.csv, blq_Mn_MLE: EnvStats, manganese in ground water."""
    known = [12.1, 16.9, 21.6, 7.7, 53.6, 9.5, 45.9, 5.3, 12.6, 106.3, 34.5, 6.3, 11.9, 10, 77.2, 17.9, 22.7, 3.3, 8.4]
    limits = [5, 2, 5, 5, 2, 2]
    value = np.array(known + [np.nan] * 6)
    found = profile_mean_limits(value, np.array([0.0] * 19 + limits))
    assert found == pytest.approx((12.37629, 69.87694), abs=1e-3)


def test_published_mixed_censoring_under_a_cauchy():
    """trial_reference_values.csv, censored_mixed_cauchy: scipy's tests, from R fitdistrplus."""
    found = location_scale([1, 10, NONE, 30, 4], [1, 10, 1, np.inf, 8])
    assert found == pytest.approx((4.60515, 5.900852), rel=5e-6)


def test_published_signed_ranks():
    """trial_reference_values.csv, wilcoxon_signedrank_pratt: scipy's tests, from R coin."""
    test = signed_rank_test([1.0, 2, 3, 4], NONE, [1.0, 2, 3, 5], NONE, exact_up_to=0)
    assert test.p[0] == pytest.approx(0.31731050786291415, rel=1e-10)
    assert (test.higher[0], test.lower[0], test.undecided[0]) == (0, 1, 3)


def pairs(seed: int, replicates: int, n: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(replicates, n))
    a, b = (own + 0.7 * rng.normal(size=(replicates, n)) for _ in range(2))
    return (a + shift).round(1), b.round(1)


def test_exact_signed_ranks_are_all_signs_of_the_differences():
    a, b = pairs(1, 4, 9)
    found = signed_rank_test(a, NONE, b, NONE).p[:, 0]
    every = stats.PermutationMethod(n_resamples=10_000)  # at least 2⁹: all of them
    direct = [stats.wilcoxon(x, y, zero_method="pratt", method=every).pvalue for x, y in zip(a, b, strict=True)]
    assert found == pytest.approx(direct, rel=1e-12)


def test_large_signed_ranks_are_the_normal_ones_of_scipy():
    a, b = pairs(2, 6, 80, 0.2)
    found = signed_rank_test(a, NONE, b, NONE).p[:, 0]
    direct = [stats.wilcoxon(x, y, zero_method="pratt", method="asymptotic").pvalue for x, y in zip(a, b, strict=True)]
    assert found == pytest.approx(direct, rel=1e-9)


def test_signs_are_binomial_over_those_that_can_be_ordered():
    a, b = pairs(3, 6, 15)
    found = sign_test(a, NONE, b, NONE)
    direct = [stats.binomtest(int((x > y).sum()), int((x != y).sum())).pvalue for x, y in zip(a, b, strict=True)]
    assert found.p[:, 0] == pytest.approx(direct, rel=1e-12)
    # 2 against below 1: higher. 0.5 below 1 against 0.3: unknown. Both below: unknown. Below 1 against 3: lower
    order = sign_test([2.0, 0.5, 0.5, np.nan, 1.5], 1.0, [0.2, 0.3, 0.1, 3.0, 1.5], [1.0, 0.0, 1.0, 0.0, 0.0])
    assert (order.higher[0], order.lower[0], order.undecided[0]) == (1, 1, 3)


@pytest.mark.parametrize("test", [sign_test, signed_rank_test])
def test_size_and_power_with_values_below_limits(test):
    R, n = 3000, 20
    for shift, limit in ((0.0, 0.3), (1.0, 0.3)):
        a, b = pairs(4, R, n, shift)
        rejected = (test(a, limit, b, limit).p <= 0.05).mean()
        if shift == 0:
            assert rejected < 0.05 + 4 * np.sqrt(0.05 * 0.95 / R)
        else:
            assert rejected > 0.5


@pytest.mark.parametrize("test", [sign_test, signed_rank_test])
def test_what_is_below_the_limit_is_not_read_and_batches_hold(test):
    a, b = pairs(5, 6, 14)
    hidden = np.where(a > 0.2, a, np.nan)
    one = test(a.reshape(2, 3, 14), 0.2, b.reshape(2, 3, 14), 0.2, sizes=[9, 14])
    two = test(hidden[4], 0.2, b[4], 0.2, sizes=[9, 14])
    np.testing.assert_array_equal(one.p[1, 1], two.p)
    swapped = test(b, 0.2, a, 0.2)
    np.testing.assert_array_equal(swapped.p[4, 0], two.p[1])
    np.testing.assert_array_equal(swapped.higher[4, 0], two.lower[1])
    nobody = test(a[0], 0.2, b[0], 0.2, observed=np.zeros(14, bool))
    assert Status(nobody.status[0]) == Status.TOO_FEW and np.isnan(nobody.p[0])
    assert test(a[0], 9.0, b[0], 9.0).p[0] == 1.0


def test_families_agree_with_scipy_where_nothing_is_censored():
    x = np.random.default_rng(6).standard_cauchy(60)
    for family in ("norm", "logistic", "cauchy"):
        assert location_scale(x, x, family=family) == pytest.approx(getattr(stats, family).fit(x), rel=1e-3)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="family"):
        location_scale([1.0], [1.0], family="gamma")
    with pytest.raises(InputError, match="lower ≤ upper"):
        location_scale([1.0, 3.0], [1.0, 2.0])
    with pytest.raises(InputError, match="two"):
        location_scale([NONE, 1.0], [1.0, np.inf])
    with pytest.raises(InputError, match="two distinct"):
        profile_mean_limits([1.0, 1.0], 0.5)
