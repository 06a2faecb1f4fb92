"""Proportions against SciPy, statsmodels and R."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from causalgia.analysis.proportions import (
    agresti_caffo,
    clopper_pearson,
    difference_interval,
    fisher,
    ratio_interval,
    score_test,
    unconditional_exact,
    unconditional_table,
)
from causalgia.documents.errors import InputError


def test_clopper_pearson_is_statsmodels_beta():
    n = 17
    x = np.arange(n + 1)
    expected = proportion_confint(x, n, alpha=0.1, method="beta")
    np.testing.assert_allclose(clopper_pearson(x, n, 0.1), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("p", [0.03, 0.2, 0.5])
def test_clopper_pearson_covers_exactly(p):
    x = np.arange(21)
    lower, upper = clopper_pearson(x, 20)
    assert stats.binom.pmf(x, 20, p)[(lower <= p) & (p <= upper)].sum() >= 0.95


@pytest.mark.parametrize(
    ("table", "expected"),  # R by scipy 1.17.1 TestFisherExact; trial_reference_values.csv, fisher_exact_*
    [([[2, 7], [8, 2]], 0.0230141), ([[5, 15], [20, 20]], 0.0958044), ([[5, 0], [1, 4]], 0.04761904)],
)
def test_fisher_published(table, expected):
    (a, b), (c, d) = table
    assert fisher(a, a + b, c, c + d) == pytest.approx(expected, rel=5e-6)  # six digits


def test_fisher_agrees_with_scipy_on_every_table_of_a_batch():
    x1, x0 = np.meshgrid(np.arange(8), np.arange(12), indexing="ij")
    p = fisher(x1, 7, x0, 11)
    expected = [[stats.fisher_exact([[a, 7 - a], [c, 11 - c]]).pvalue for c in range(12)] for a in range(8)]
    np.testing.assert_allclose(p, expected, rtol=1e-10)
    mixed = fisher([3, 3, 0], [7, 9, 0], [5, 5, 2], [11, 11, 4])
    assert mixed[0] == p[3, 5]
    assert mixed[2] == 1


def score(delta: float, x1: int, n1: int, x0: int, n0: int) -> float:
    """The score statistic at δ with the restricted likelihood maximised numerically."""

    def loss(p: float) -> float:
        return -stats.binom.logpmf(x1, n1, p + delta) - stats.binom.logpmf(x0, n0, p)

    bounds = (max(0, -delta), min(1, 1 - delta))
    p = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = (p + delta) * (1 - p - delta) / n1 + p * (1 - p) / n0
    return (x1 / n1 - x0 / n0 - delta) / np.sqrt(variance * (n1 + n0) / (n1 + n0 - 1))


def test_difference_interval_published():
    # R PropCIs, which statsmodels meets to 2e-3 only; trial_reference_values.csv, riskdiff_ci_score_small
    assert difference_interval(7, 34, 1, 34) == pytest.approx((0.0270416, 0.3452912), abs=1e-7)


@pytest.mark.parametrize("table", [(7, 34, 1, 34), (12, 20, 5, 31), (3, 9, 8, 10), (56, 70, 48, 80), (0, 6, 2, 8)])
def test_difference_interval_ends_where_the_score_reaches_the_quantile(table):
    lower, upper = difference_interval(*table)
    assert [score(float(lower), *table), score(float(upper), *table)] == pytest.approx([1.959964, -1.959964], abs=1e-5)


def test_difference_interval_at_the_edges_and_its_symmetry():
    x1, x0 = np.meshgrid(np.arange(6), np.arange(8), indexing="ij")
    lower, upper = difference_interval(x1, 5, x0, 7)
    other = difference_interval(x0, 7, x1, 5)
    np.testing.assert_allclose(lower, -other[1], atol=1e-12)
    d = x1 / 5 - x0 / 7
    assert ((lower >= -1) & (lower <= d) & (d <= upper) & (upper <= 1)).all()
    assert lower[0, 0] < 0 < upper[0, 0]
    assert upper[5, 0] == 1
    assert np.array(difference_interval(0, 0, 1, 3)).tolist() == [-1, 1]


@pytest.mark.parametrize("events", [-1, 5, 1.5])
def test_impossible_counts_are_refused(events):
    with pytest.raises(InputError, match="whole numbers"):
        clopper_pearson(events, 4)


def test_riskdiff_ci_agresti_caffo():
    # R PropCIs by statsmodels test_proportion.py; trial_reference_values.csv, riskdiff_ci_agresti_caffo: ± 6e-7
    assert agresti_caffo(7, 34, 1, 34) == pytest.approx((0.01161167, 0.32172166), abs=6e-7)
    assert np.array(agresti_caffo([5, 0], [5, 0], [0, 2], [5, 2], 1e-6)).max() <= 1


def test_riskratio_ci_score():
    # R PropCIs by statsmodels test_proportion.py; trial_reference_values.csv, riskratio_ci_score: ± 1e-5
    assert ratio_interval(7, 34, 1, 34) == pytest.approx((1.220853, 42.575718), abs=1e-5)


@pytest.mark.parametrize("table", [(12, 20, 5, 31), (3, 9, 8, 10), (56, 70, 48, 80), (9, 9, 4, 8)])
def test_ratio_interval_is_statsmodels_and_turns_over_with_the_arms(table):
    x1, n1, x0, n0 = table
    found = ratio_interval(*table, alpha=0.1)
    expected = confint_proportions_2indep(*table, compare="ratio", method="score", correction=False, alpha=0.1)
    assert found == pytest.approx(expected, rel=1e-6)
    turned = ratio_interval(x0, n0, x1, n1, alpha=0.1)
    assert found == pytest.approx((1 / turned[1], 1 / turned[0]), rel=1e-9)


def test_ratio_interval_without_events():
    lower, upper = ratio_interval([0, 3, 0, 0], [5, 5, 5, 0], [3, 0, 0, 1], [5, 5, 5, 3])
    assert lower.tolist()[0] == 0 and lower.tolist()[2:] == [0, 0]
    assert upper.tolist()[1:] == [np.inf] * 3
    assert (lower[1], upper[0]) == pytest.approx((1 / upper[0], 1 / lower[1]), rel=1e-9)


@given(st.integers(0, 12), st.integers(0, 9), st.floats(-0.6, 0.6))
def test_score_test_accepts_what_the_interval_holds(x1, x0, null):
    # Miettinen and Nurminen's interval has variance N/(N − 1) times that of Farrington and Manning's test.
    z, p = score_test(x1, 12, x0, 9, null=null)
    lower, upper = difference_interval(x1, 12, x0, 9, 0.05)
    adjusted = z * np.sqrt(20 / 21)
    if abs(abs(adjusted) - 1.959964) > 1e-3:
        assert (lower <= null <= upper) == (abs(adjusted) < 1.959964)
    sides = [score_test(x1, 12, x0, 9, null=null, alternative=side)[1] for side in ("greater", "less")]
    assert sum(sides) == pytest.approx(1)
    assert p == pytest.approx(2 * min(sides))


def test_score_test_of_equality_is_the_pooled_z_and_empty_arms_say_nothing():
    z, _ = score_test([15, 0, 0], [40, 10, 0], [9, 0, 1], [40, 10, 3])
    pooled = 24 / 80
    assert z[0] == pytest.approx((15 - 9) / 40 / np.sqrt(pooled * (1 - pooled) * 2 / 40))
    assert z[1:].tolist() == [0, 0]


def test_barnard_pooled_2_7_8_2():
    # R Barnard by scipy 1.17.1 TestBarnardExact; trial_reference_values.csv, barnard_pooled_[[2, 7], [8, 2]]: rel 1e-7
    z, _ = score_test(2, 10, 7, 9)
    assert z == pytest.approx(-2.518474945157, rel=1e-7)
    assert unconditional_exact(2, 10, 7, 9, ordering="barnard") == pytest.approx(0.01921081543, rel=1e-7)


@pytest.mark.parametrize(
    ("table", "statistic", "expected"),
    [
        pytest.param((2, 10, 7, 9), 0.01852173, 0.009886142, id="boschloo_less_[[2, 7], [8, 2]]"),
        pytest.param((7, 15, 12, 15), 0.06406797, 0.03410916, id="boschloo_less_[[7, 12], [8, 3]]"),
    ],
)
def test_boschloo_published(table, statistic, expected):
    # R Exact by scipy 1.17.1 TestBoschlooExact; trial_reference_values.csv, by id: abs 1e-7
    x1, n1, x0, n0 = table
    conditional = stats.hypergeom.cdf(x1, n1 + n0, x1 + x0, n1)
    assert conditional == pytest.approx(statistic, abs=1e-7)
    assert unconditional_exact(*table, alternative="less") == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("alternative", ["less", "greater", "two-sided"])
def test_barnard_is_the_largest_probability_on_a_fine_grid(alternative):
    # Not SciPy: barnard_exact stops at a local maximum for some of these tables (0.1686 for [[1, 0], [3, 6]] "greater",
    # whose mirror image has 0.1895); it is never above the true maximum.
    n1, n0, rates = 4, 6, np.linspace(0, 1, 20_001)
    p = unconditional_table(n1, n0, "barnard", alternative)
    x1, x0 = np.meshgrid(np.arange(n1 + 1), np.arange(n0 + 1), indexing="ij")
    pooled = (x1 + x0) / (n1 + n0)
    with np.errstate(invalid="ignore"):
        z = np.nan_to_num((x1 / n1 - x0 / n0) / np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0)))
    extreme = {"less": z, "greater": -z, "two-sided": -np.abs(z)}[alternative]
    treated = stats.binom.pmf(np.arange(n1 + 1)[:, None], n1, rates)
    control = stats.binom.pmf(np.arange(n0 + 1)[:, None], n0, rates)
    for a, c in np.ndindex(p.shape):
        region = (extreme <= extreme[a, c] + 1e-9).astype(float)
        largest = np.einsum("ig,ij,jg->g", treated, region, control).max()
        assert p[a, c] == pytest.approx(largest, abs=2e-8)
        if 0 < a + c < n1 + n0:  # SciPy gives NaN at the ends
            found = stats.barnard_exact([[a, c], [n1 - a, n0 - c]], alternative=alternative).pvalue
            assert found <= p[a, c] + 1e-8


@pytest.mark.parametrize("alternative", ["less", "greater"])
def test_boschloo_agrees_with_scipy_on_every_table(alternative):
    p = unconditional_table(5, 4, "boschloo", alternative)
    for a in range(6):
        for c in range(5):
            found = stats.boschloo_exact([[a, c], [5 - a, 4 - c]], alternative=alternative, n=64).pvalue
            assert p[a, c] == pytest.approx(found, rel=1e-6)


@given(st.integers(1, 14), st.integers(1, 14), st.sampled_from(["boschloo", "barnard"]), st.floats(0.01, 0.99))
def test_unconditional_tests_hold_their_level_and_boschloo_beats_fisher(n1, n0, ordering, rate):
    p = unconditional_table(n1, n0, ordering, "two-sided")
    probability = np.outer(stats.binom.pmf(np.arange(n1 + 1), n1, rate), stats.binom.pmf(np.arange(n0 + 1), n0, rate))
    for level in (0.01, 0.05, 0.3):
        assert probability[p <= level].sum() <= level + 1e-6
    if ordering == "boschloo":
        assert (p <= fisher(np.arange(n1 + 1)[:, None], n1, np.arange(n0 + 1), n0) + 1e-12).all()


def test_unconditional_tests_of_a_batch_and_their_errors():
    p = unconditional_exact([[2, 0], [1, 3]], [[10, 0], [4, 4]], [[7, 2], [3, 0]], [[9, 3], [6, 6]])
    assert p[0, 1] == pytest.approx(1)
    assert p[1, 1] == unconditional_table(4, 6, "boschloo", "two-sided")[3, 0]
    for options, message in (
        ({"ordering": "liebermeister"}, "barnard"),
        ({"alternative": "both"}, "two-sided"),
    ):
        with pytest.raises(InputError, match=message):
            unconditional_exact(1, 4, 2, 5, **options)
    with pytest.raises(InputError, match="score_test"):
        unconditional_exact(1, 400, 2, 500)
    with pytest.raises(InputError, match="between -1 and 1"):
        score_test(1, 4, 2, 5, null=1.5)
