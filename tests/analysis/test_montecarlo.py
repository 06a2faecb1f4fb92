"""Monte Carlo errors."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.analysis.montecarlo import batch_error, proportion_error


def test_batch_error_of_independent_values_is_the_usual_one():
    x = np.random.default_rng(1).normal(3, 2, size=(20, 500, 40))
    mean, se = batch_error(x.mean(axis=1))
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-12)
    # s² of 20 batches has a relative standard deviation of √(2/19); 40 columns are averaged
    assert (se**2).mean() * 10_000 == pytest.approx(4, abs=4 * 4 * np.sqrt(2 / 19 / 40))


def test_batch_error_is_that_of_the_batches():
    parts = np.random.default_rng(2).normal(size=50)
    _, se = batch_error(parts)
    assert se == pytest.approx(parts.std(ddof=1) / np.sqrt(50), rel=1e-12)


def test_batches_without_a_value_do_not_count():
    parts = np.array([[1.0, np.nan, 4.0], [2.0, np.nan, np.nan], [3.0, 5.0, np.inf], [np.nan, 7.0, np.nan]])
    mean, se = batch_error(parts)
    assert mean[:2].tolist() == [2, 6] and se[:2] == pytest.approx([np.sqrt(1 / 3), 1])
    assert np.isnan(mean[2]) and np.isnan(se[2])


def test_proportion_error():
    share, se = proportion_error([0, 500], 1000)
    assert share.tolist() == [0, 0.5]
    assert se == pytest.approx([0.00099751, np.sqrt(0.25 / 1000)], rel=1e-3)
