"""The re-randomisation test: exact by enumeration, and its interval the inversion of the test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from causalgia.analysis.estimates import Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.rerandomise import enumerate_allocations, rerandomisation_test
from causalgia.documents.errors import InputError


def blocks_of_four(blocks: int) -> np.ndarray:
    """Every allocation by permuted blocks of four."""
    one = enumerate_allocations(4, 2)
    every = one
    for _ in range(blocks - 1):
        every = np.concatenate([np.tile(every, (6, 1)), np.repeat(one, len(every), axis=0)], axis=1)
    return every


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["normal", "ties", "outlier"]), st.booleans(), st.booleans())
def test_it_rejects_at_most_alpha_over_all_allocations(seed, kind, adjusted, missing):
    rng = np.random.default_rng(seed)
    every = blocks_of_four(3)
    y = {
        "normal": rng.normal(size=12),
        "ties": rng.integers(0, 3, 12).astype(float),
        "outlier": np.append(rng.normal(size=11), 1e4),
    }[kind]
    z = rng.normal(size=(12, 2)) if adjusted else None
    seen = rng.random(12) < 0.7 if missing else np.ones(12, dtype=bool)
    test = rerandomisation_test(y, every, z, every, observed=seen, enumerated=True)
    p = np.where(test.status == Status.OK, test.p, 1.0)[:, 0]
    for alpha in (0.01, 0.05, 0.1, 0.5):
        assert (p <= alpha + 1e-12).mean() <= alpha + 1e-12


def test_it_agrees_with_scipy_permutation_test():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.8, 1, 5), rng.normal(0, 1, 5)
    expected = stats.permutation_test(
        (a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True, n_resamples=np.inf
    )
    test = rerandomisation_test(
        np.concatenate([a, b]), [1] * 5 + [0] * 5, None, enumerate_allocations(10, 5), enumerated=True
    )
    assert test.p[0] == pytest.approx(expected.pvalue, abs=1e-12)


def test_a_drawn_reference_set_counts_the_actual_allocation():
    y, treated = np.arange(8.0), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    drawn = enumerate_allocations(8, 4)[:19]
    statistic = (2 * drawn - 1) @ (y - y.mean()) / 4
    extreme = (np.abs(statistic) >= 4 - 1e-9).sum()
    assert rerandomisation_test(y, treated, None, drawn).p[0] == (1 + extreme) / 20


def test_the_estimate_is_that_of_ancova_and_a_batch_equals_the_single_trial():
    rng = np.random.default_rng(2)
    y, z = rng.normal(size=(4, 12)), rng.normal(size=(4, 12, 2))
    every = blocks_of_four(3)
    treated = every[rng.integers(len(every), size=4)]
    test = rerandomisation_test(y, treated, z, every[:99], sizes=[8, 12])
    np.testing.assert_allclose(test.estimate, ancova(y, treated, z, sizes=[8, 12]).estimate, rtol=1e-9)
    own = rerandomisation_test(y, treated, z, np.broadcast_to(every[:99], (4, 99, 12)), sizes=[8, 12])
    single = rerandomisation_test(y[3], treated[3], z[3], every[:99], sizes=[8, 12])
    np.testing.assert_array_equal(own.p, test.p)
    np.testing.assert_array_equal(single.p, test.p[3])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_interval_is_what_the_test_does_not_reject(seed, adjusted, enumerated):
    rng = np.random.default_rng(seed)
    every = blocks_of_four(3)
    treated = every[rng.integers(len(every))].astype(float)
    y, z = rng.normal(size=12) + treated, rng.normal(size=(12, 1)) if adjusted else None
    options = {"enumerated": enumerated, "alpha": 0.1}
    test = rerandomisation_test(y, treated, z, every, interval=True, **options)
    lower, upper = test.lower[0], test.upper[0]
    assume(np.isfinite([lower, upper]).all())  # where the reference set is too small to exclude any shift
    shifts = np.linspace(lower - 1, upper + 1, 301)
    shifts = shifts[(np.abs(shifts - lower) > 1e-6) & (np.abs(shifts - upper) > 1e-6)]
    p = rerandomisation_test(y - shifts[:, None] * treated, treated, z, every, **options).p[:, 0]
    assert (p[(shifts < lower) | (shifts > upper)] <= 0.1).all()
    inside = np.array([lower + 1e-6, upper - 1e-6])
    assert (rerandomisation_test(y - inside[:, None] * treated, treated, z, every, **options).p > 0.1).all()


def test_too_small_a_reference_set_excludes_nothing():
    test = rerandomisation_test([1.0, 2, 8, 9], [0, 0, 1, 1], None, enumerate_allocations(4, 2), interval=True)
    assert (test.lower[0], test.upper[0]) == (-np.inf, np.inf)
    assert test.p[0] == 3 / 7


def test_an_allocation_that_empties_an_arm_counts_as_extreme():
    seen = np.array([True, True, True, False, False, False])
    every = enumerate_allocations(6, 3)
    treated = np.array([1, 0, 0, 0, 1, 1])
    test = rerandomisation_test([9.0, 1, 2, 0, 0, 0], treated, None, every, observed=seen, enumerated=True)
    # treated among the seen: none (1 way), all (1), {0} or its complement (3 + 3) of 20
    assert test.p[0] == pytest.approx(8 / 20)


def test_what_cannot_be_tested_has_a_status_and_what_cannot_be_read_is_refused():
    every = enumerate_allocations(4, 2)
    y = [[1.0, 2, 3, 4], [1.0, 2, 3, np.nan]]
    test = rerandomisation_test(y, [[0, 0, 0, 0], [0, 1, 0, 1]], None, every)
    assert test.status[:, 0].tolist() == [Status.NO_ARM, Status.NOT_FINITE]
    with pytest.raises(InputError, match="allocations"):
        rerandomisation_test(y, [0, 1, 0, 1], None, every[:, :3])
    with pytest.raises(InputError, match="Draw a reference set"):
        enumerate_allocations(40, 20)


def test_size_with_drawn_allocations_and_a_skewed_endpoint():
    rng = np.random.default_rng(3)
    R, n = 4000, 16
    order = lambda m: rng.permuted(np.tile(np.arange(4) % 2, (m, n // 4, 1)), axis=-1).reshape(m, n)  # noqa: E731
    y = np.exp(1.5 * rng.normal(size=(R, n)))
    p = rerandomisation_test(y, order(R), None, order(199)).p
    assert (p <= 0.05).mean() <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / R)
