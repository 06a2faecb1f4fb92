"""The published analysis of covariance of four methods, by the elimination that `ancova` uses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causalgia.analysis.linear import ancova
from causalgia.analysis.moments import eliminate, nested_moments

# pingouin 0.5, ancova.csv (GPL-3): scores and income under methods A to D
SCORES = [12, 39, 36, 17, 25, 15, 8, 31, 45, 37, 13, 50, 35, 40, 33, 17, 20, 42, 31, 24, 15, 13, 9, 21, 31, 13, 12, 10]
SCORES += [19, 18, 14, 8, 7, 19, 25, 26]
INCOME = [17.5, 104.6, 64.7, 47, 22, 12.4, 20, 79.7, 70.8, 45.9, 47.5, 77.8, 70.9, 84.8, 49.8, 34.6, 71.4, 55, 54, 27.9]
INCOME += [40.6, 33, 22.2, 80.5, 80, 41, 35, 33, 34.2, 43.2, 20, 37, 28.2, 46.4, 64.9, 59.4]
METHOD = np.repeat([0, 1, 2, 3], [8, 8, 10, 10])
DUMMIES = (METHOD[:, None] == [1, 2, 3]).astype(float)


def residual_squares(columns: np.ndarray) -> float:
    """Of the scores after regression on a constant and the columns (36, k)."""
    v = np.column_stack([columns, SCORES])[None]
    _, _, products = nested_moments(v, np.ones((1, 36)), [36])
    triangle, kept = eliminate(np.moveaxis(products, 0, 2), columns.shape[1])
    assert kept.all()
    return triangle[-1, -1, 0, 0]


def test_published_f_tests():
    """trial_reference_values.csv, ancova_jasp: Scores ~ Method + Income."""
    income = np.array(INCOME)[:, None]
    full = residual_squares(np.hstack([income, DUMMIES]))
    f_method = (residual_squares(income) - full) / 3 / (full / 31)
    f_income = (residual_squares(DUMMIES) - full) / (full / 31)
    assert [f_method, f_income] == pytest.approx([3.3365, 29.4194], abs=5e-5)
    assert stats.f.sf(f_method, 3, 31) == pytest.approx(0.0319, abs=5e-5)


def test_its_one_degree_of_freedom_is_ancova():
    """Method B against the three others as reference levels: F of the last dummy is the square of `ancova`'s t."""
    others = np.column_stack([INCOME, DUMMIES[:, 1:]])
    effect = ancova(SCORES, DUMMIES[:, 0], others)
    full = residual_squares(np.column_stack([others, DUMMIES[:, 0]]))
    f = (residual_squares(others) - full) / (full / 31)
    assert effect.df[0] == 31
    assert (effect.estimate[0] / effect.se[0]) ** 2 == pytest.approx(f, rel=1e-9)
