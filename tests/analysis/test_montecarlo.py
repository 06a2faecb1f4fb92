"""Monte Carlo errors."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.analysis.montecarlo import batch_error, proportion_error
from causalgia.documents.errors import InputError


def test_batch_error_of_independent_values_is_the_usual_one():
    x = np.random.default_rng(1).normal(3, 2, size=(40, 10_013))
    mean, se = batch_error(x, axis=1)
    np.testing.assert_allclose(mean, x.mean(axis=1), rtol=1e-12)
    # s² of 20 batches has a relative standard deviation of √(2/19); 40 rows are averaged
    assert (se**2).mean() * 10_013 == pytest.approx(4, abs=4 * 4 * np.sqrt(2 / 19 / 40))


def test_batch_error_sees_shared_randomness():
    shared = np.repeat(np.random.default_rng(2).normal(size=50), 200)
    _, se = batch_error(shared, batches=50)
    assert se == pytest.approx(shared[::200].std(ddof=1) / np.sqrt(50), rel=1e-9)


def test_too_few_batches_are_refused():
    for values, batches in ((np.zeros(100), 19), (np.zeros(19), 20)):
        with pytest.raises(InputError, match="batches"):
            batch_error(values, batches=batches)


def test_proportion_error():
    share, se = proportion_error([0, 500], 1000)
    assert share.tolist() == [0, 0.5]
    assert se == pytest.approx([0.00099751, np.sqrt(0.25 / 1000)], rel=1e-3)
