"""Proportions against SciPy, statsmodels and R."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from causalgia.analysis.proportions import clopper_pearson, difference_interval, fisher
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
