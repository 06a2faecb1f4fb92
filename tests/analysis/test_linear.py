"""ANCOVA against statsmodels, its nesting, its statuses and its size."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from causalgia.analysis.estimates import STATUS_TEXT, Status
from causalgia.analysis.linear import ancova
from causalgia.documents.errors import InputError


def trials(seed: int, replicates: int, n: int, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = 50 + 3 * rng.normal(size=(replicates, n, p))
    treated = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    y = 7 + 0.4 * z.sum(axis=-1) - 0.6 * treated + rng.normal(size=(replicates, n))
    return y, treated, z


def statsmodels_answer(y: np.ndarray, treated: np.ndarray, z: np.ndarray) -> list[float]:
    fit = sm.OLS(y, np.column_stack([np.ones(len(y)), z, treated])).fit()
    return [fit.params[-1], fit.bse[-1], fit.df_resid, fit.pvalues[-1], *fit.conf_int()[-1]]


def numbers(effect, *index) -> list[float]:
    return [getattr(effect, name)[index] for name in ("estimate", "se", "df", "p", "lower", "upper")]


def test_agrees_with_statsmodels_at_every_size_with_missing_values():
    y, treated, z = trials(1, 6, 40, 3)
    seen = np.random.default_rng(2).random(y.shape) < 0.8
    holes = np.where(seen, y, np.nan)
    effect = ancova(holes, treated, z, observed=seen, sizes=[15, 40])
    for r in range(6):
        for s, size in enumerate((15, 40)):
            rows = np.flatnonzero(seen[r, :size])
            expected = statsmodels_answer(y[r, rows], treated[r, rows], z[r, rows])
            assert numbers(effect, r, s) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 30), st.integers(0, 3))
def test_a_batch_equals_the_single_trial_bit_for_bit_and_a_prefix_the_shorter_trial(seed, size, p):
    y, treated, z = trials(seed, 5, 30, p)
    batch = ancova(y, treated, z, sizes=[30, size])
    for r in (0, 4):
        single = ancova(y[r], treated[r], z[r], sizes=[30, size])
        np.testing.assert_array_equal(numbers(batch, r, 1), numbers(single, 1))
        shorter = ancova(y[r, :size], treated[r, :size], z[r, :size])
        np.testing.assert_allclose(numbers(batch, r, 1), numbers(shorter, 0), rtol=1e-9, atol=1e-12)


def test_dependent_columns_are_dropped_and_do_not_count():
    y, treated, z = trials(3, 2, 20, 2)
    plain = ancova(y, treated, z)
    empty_stratum, copy = np.zeros((2, 20, 1)), 2 * z[..., :1] - z[..., 1:]
    redundant = ancova(y, treated, np.concatenate([empty_stratum, z, copy, 1 + empty_stratum], axis=-1))
    assert (redundant.df == 20 - 4).all()
    np.testing.assert_allclose(redundant.p, plain.p, rtol=1e-9)


def test_shift_and_scale_of_the_endpoint_carry_through():
    y, treated, z = trials(4, 3, 24, 1)
    a, b = ancova(y, treated, z), ancova(1e4 - 2.5 * y, treated, z)
    np.testing.assert_allclose(b.estimate, -2.5 * a.estimate, rtol=1e-9)
    np.testing.assert_allclose(b.p, a.p, rtol=1e-9)


def test_a_failure_is_a_status_and_leaves_the_rest_of_the_batch_alone():
    y, treated, z = trials(5, 6, 12, 1)
    good = ancova(y, treated, z)
    treated[1] = 1
    z[2, :, 0] = treated[2]
    y[3] = 4.0
    y[4, 2] = np.inf
    seen = np.ones(y.shape, dtype=bool)
    seen[5, 3:] = False
    treated[5, :3] = [0, 1, 1]
    effect = ancova(y, treated, z, observed=seen)
    expected = ("OK", "NO_ARM", "SINGULAR", "NO_VARIATION", "NOT_FINITE", "TOO_FEW")
    assert [Status(s).name for s in effect.status[:, 0]] == list(expected)
    assert effect.p[0, 0] == good.p[0, 0]
    assert np.isnan(np.array([numbers(effect, r, 0) for r in range(1, 6)])).all()


def test_every_status_has_its_text():
    assert set(STATUS_TEXT) == set(Status)


@pytest.mark.parametrize("sizes", [[0], [5], []])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(InputError, match="sizes"):
        ancova([1.0, 2, 3, 4], [0, 1, 0, 1], sizes=sizes)


def test_shapes_that_disagree_are_refused():
    with pytest.raises(InputError, match="shapes"):
        ancova(np.zeros((3, 4)), np.zeros((2, 4)))
    with pytest.raises(InputError, match="covariates"):
        ancova(np.zeros(4), np.zeros(4), np.zeros(4))


def test_arms_other_than_0_and_1_are_refused_unless_not_observed():
    with pytest.raises(InputError, match="Recode"):
        ancova([1.0, 2, 3, 4], [1, 2, 1, 2])
    seen = ancova([1.0, 2, 3, 5, 4], [0, 1, 0, 1, 9], observed=[True, True, True, True, False])
    assert seen.estimate[0] == pytest.approx(1.5)


def test_size_is_five_percent_and_the_interval_covers():
    y, treated, z = trials(6, 10_000, 24, 2)
    effect = ancova(y, treated, z, sizes=[12, 24])
    band = 4 * np.sqrt(0.05 * 0.95 / 10_000)
    missed = ((effect.lower > -0.6) | (effect.upper < -0.6)).mean(axis=0)
    null = ancova(y + 0.6 * treated, treated, z, sizes=[12, 24])
    assert missed == pytest.approx([0.05, 0.05], abs=band)
    assert (null.p <= 0.05).mean(axis=0) == pytest.approx([0.05, 0.05], abs=band)


def test_a_covariate_that_is_constant_in_a_smaller_size_is_dropped_there():
    """Its squares about the mean of all are rounding, which once passed for variation and cost a degree of freedom."""
    rng = np.random.default_rng(5)
    y, arm = rng.normal(size=(200, 30)), np.tile(np.arange(30) % 2, (200, 1))
    late = np.zeros((200, 30, 1))
    late[:, 10:, 0] = rng.random((200, 20)) < 0.37
    covariates = np.concatenate([rng.normal(size=(200, 30, 1)), late], axis=2)
    nested, alone = ancova(y, arm, covariates, sizes=(10, 30)), ancova(y[:, :10], arm[:, :10], covariates[:, :10])
    assert (nested.df[:, 0] == 7).all() and (alone.df == 7).all()
    np.testing.assert_allclose(nested.se[:, :1], alone.se, rtol=1e-9)
