"""Multiple imputation against conditional means by maximum likelihood, and simulation with known truth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from causalgia.analysis.imputation import METHODS, analyse_completed, impute, rubin, tipping_point
from causalgia.analysis.linear import ancova
from causalgia.documents.errors import InputError

GAP = "3618"  # the one patient with a visit missing between two that were seen


def antidepressant(without: str | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HAMD-17 changes (n, 4), arm and baseline of the antidepressant trial."""
    with open(Path(__file__).parent.parent / "reference" / "antidepressant.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["PATIENT"] != without]
    patients, visits = (sorted({row[key] for row in rows}) for key in ("PATIENT", "VISIT"))
    y = np.full((len(patients), len(visits)), np.nan)
    arm, base = np.zeros((2, len(patients)))
    for row in rows:
        i = patients.index(row["PATIENT"])
        arm[i], base[i] = row["THERAPY"] == "DRUG", float(row["BASVAL"])
        if row["CHANGE"]:
            y[i, visits.index(row["VISIT"])] = float(row["CHANGE"])
    return y, arm, base


def trials(seed: int, replicates: int, n: int, slope: float = -0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complete and observed outcomes over four visits, and the arm; dropout depends on the visit before."""
    rng = np.random.default_rng(seed)
    covariance = 4 * 0.6 ** np.abs(np.subtract.outer(range(4), range(4)))
    arm = np.tile(np.arange(n) % 2, (replicates, 1))
    whole = rng.multivariate_normal(np.zeros(4), covariance, size=(replicates, n))
    whole += slope * arm[..., None] * np.arange(4)
    y, stays = whole.copy(), np.ones((replicates, n), bool)
    for t in range(1, 4):
        stays &= rng.random((replicates, n)) > 1 / (1 + np.exp(2.5 - 0.4 * whole[..., t - 1]))
        y[..., t] = np.where(stays, whole[..., t], np.nan)
    return whole, y, arm


def conditional_means(y, arm, base, method):
    """ANCOVA of the last visit, what is missing at its conditional mean: maximum likelihood, explicit covariance."""
    n, T = y.shape
    X = np.column_stack([np.ones(n), arm, base])
    B, L, D = np.zeros((3, T)), np.eye(T), np.zeros(T)
    for t in range(T):
        seen = ~np.isnan(y[:, t])
        Z = np.column_stack([X, y[:, :t]])[seen]
        beta, *_ = np.linalg.lstsq(Z, y[seen, t], rcond=None)
        B[:, t], L[t, :t] = beta[:3], -beta[3:]
        D[t] = np.mean((y[seen, t] - Z @ beta) ** 2)
    inverse = np.linalg.inv(L)
    covariance = inverse @ np.diag(D) @ inverse.T
    own, reference = (Z @ B @ inverse.T for Z in (X, X * [1, 0, 1]))
    filled = y.copy()
    for i in range(n):
        gone = np.isnan(y[i])
        d = T - gone.sum()
        if not gone.any():
            continue
        mean = {
            "mar": own[i],
            "jump": np.where(gone, reference[i], own[i]),
            "increments": np.where(gone, own[i, d - 1] + reference[i] - reference[i, d - 1], own[i]),
            "copy": reference[i],
        }[method]
        weights = covariance[np.ix_(gone, ~gone)] @ np.linalg.inv(covariance[np.ix_(~gone, ~gone)])
        filled[i, gone] = mean[gone] + weights @ (y[i, ~gone] - mean[~gone])
    return np.linalg.lstsq(X, filled[:, -1], rcond=None)[0][1]


@pytest.mark.parametrize("method", METHODS)
def test_it_averages_to_conditional_means_on_the_antidepressant_trial(method):
    y, arm, base = antidepressant(without=GAP)
    completed = impute(y, arm, base[:, None], method=method, imputations=600, generator=np.random.default_rng(1))
    pooled = analyse_completed(completed)
    # Monte Carlo error √(B/m), and 0.02 for the posterior mean against maximum likelihood at n = 130 to 171
    between = pooled.missing_share * pooled.se**2
    expected = conditional_means(y, arm, base, method)
    assert float(pooled.estimate) == pytest.approx(expected, abs=0.02 + 4 * float(np.sqrt(between / 600)))
    assert 0.05 < float(pooled.missing_share) < 0.3


def test_the_methods_order_as_they_should_on_the_antidepressant_trial():
    """The drug improves (negative): less the more of its effect the method takes from those who left."""
    y, arm, base = antidepressant()
    assert (len(y), np.isnan(y).sum()) == (172, 80)
    found = {}
    for method in METHODS:
        completed = impute(y, arm, base[:, None], method=method, imputations=60, generator=np.random.default_rng(2))
        found[method] = float(analyse_completed(completed).estimate)
    assert found["mar"] < found["increments"] < found["jump"] < 0
    assert found["mar"] < found["copy"] < found["jump"]


def test_what_was_seen_stays():
    _, y, arm = trials(3, 4, 40)
    y[:, 5, 1] = np.nan
    for method in METHODS:
        completed = impute(y, arm, method=method, imputations=3, generator=np.random.default_rng(1))
        kept = np.broadcast_to(~completed.missing[:, None], completed.values.shape)
        np.testing.assert_array_equal(completed.values[kept], np.broadcast_to(y[:, None], completed.values.shape)[kept])
        assert np.isfinite(completed.values).all()


def test_complete_data_are_analysed_as_they_are():
    whole, _, arm = trials(4, 5, 40)
    pooled = analyse_completed(impute(whole, arm, method="jump", imputations=3, generator=np.random.default_rng(1)))
    direct = ancova(whole[..., -1], arm)
    np.testing.assert_allclose(pooled.estimate, direct.estimate[:, 0], rtol=1e-12)
    np.testing.assert_allclose(pooled.se, direct.se[:, 0], rtol=1e-12)
    assert (pooled.missing_share < 1e-20).all()


def test_missing_at_random_is_unbiased_and_covers():
    R = 1000
    whole, y, arm = trials(5, R, 60)
    pooled = analyse_completed(impute(y, arm, imputations=15, generator=np.random.default_rng(6)))
    spread = pooled.estimate.std()
    assert pooled.estimate.mean() == pytest.approx(-1.5, abs=4 * spread / np.sqrt(R))
    assert np.mean((pooled.lower < -1.5) & (pooled.upper > -1.5)) == pytest.approx(0.95, abs=0.03)
    assert pooled.se.mean() == pytest.approx(spread, rel=0.1)
    assert pooled.missing_share.mean() > 0.05
    complete = ancova(whole[..., -1], arm).se.mean()
    assert pooled.se.mean() > complete


def test_reference_based_methods_keep_the_size_under_no_effect():
    R = 600
    _, y, arm = trials(7, R, 60, slope=0.0)
    for method in ("jump", "increments", "copy"):
        pooled = analyse_completed(impute(y, arm, method=method, imputations=10, generator=np.random.default_rng(8)))
        assert pooled.estimate.mean() == pytest.approx(0, abs=4 * pooled.estimate.std() / np.sqrt(R))
        assert np.mean(pooled.p < 0.05) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / R)


def test_jump_to_reference_removes_the_effect_of_those_who_left():
    """Everyone leaves after the first visit but a fifth; with an arm effect of 2 later, about a fifth is left of it."""
    rng = np.random.default_rng(9)
    R, n = 300, 200
    arm = np.tile(np.arange(n) % 2, (R, 1))
    y = rng.normal(size=(R, n, 2))
    y[..., 1] += 2.0 * arm
    leaves = (np.arange(n) // 2) % 5 > 0
    y[:, leaves & (np.arange(n) % 2 == 1), 1] = np.nan
    expected = {"mar": 2.0, "jump": 0.4, "increments": 0.4, "copy": 0.4}
    for method, truth in expected.items():
        pooled = analyse_completed(impute(y, arm, method=method, imputations=10, generator=np.random.default_rng(1)))
        assert pooled.estimate.mean() == pytest.approx(truth, abs=4 * pooled.estimate.std() / np.sqrt(R))


def test_a_gap_is_filled_at_random():
    """A gap that depends on nothing changes nothing in the mean of its visit, in either arm."""
    whole, _, arm = trials(10, 30, 400)
    y = whole.copy()
    rng = np.random.default_rng(11)
    gap = rng.random(y.shape[:2]) < 0.3
    y[..., 2] = np.where(gap, np.nan, y[..., 2])
    completed = impute(y, arm, method="jump", imputations=5, generator=np.random.default_rng(12))
    assert not completed.after.any()
    error = (completed.values[..., 2] - whole[:, None, :, 2])[np.broadcast_to(gap[:, None], completed.values.shape[:3])]
    residual = np.sqrt(2 / np.linalg.inv(4 * 0.6 ** np.abs(np.subtract.outer(range(4), range(4))))[2, 2])
    assert error.mean() == pytest.approx(0, abs=8 * residual / np.sqrt(gap.sum()))
    assert error.std() == pytest.approx(residual, rel=0.05)


def test_rubin_with_barnard_and_rubin_degrees_of_freedom():
    """By hand: W = 1, B = 0.25, m = 5: T = 1.3, λ = 3/13, ν_m = 4/λ² = 75.11, ν_obs = 21/23 · 20 · 10/13 = 14.05."""
    half = np.sqrt(0.25 * 4 / 2)
    pooled = rubin([1 - half, 1.0, 1.0, 1.0, 1 + half], np.ones(5), 20.0)
    assert [float(pooled.estimate), float(pooled.se)] == pytest.approx([1.0, np.sqrt(1.3)])
    assert float(pooled.missing_share) == pytest.approx(3 / 13)
    assert float(pooled.df) == pytest.approx(1 / (1 / 75.1111111 + 1 / (21 / 23 * 20 * 10 / 13)))
    assert float(rubin([1.0, 2.0], [1.0, 1.0], np.inf).df) == pytest.approx(1 / (0.75 / 1.75) ** 2)


def test_the_tipping_point_tips():
    y, arm, base = antidepressant()
    completed = impute(y, arm, base[:, None], imputations=50, generator=np.random.default_rng(1))
    tip = tipping_point(completed, most=20.0)
    before, after = (float(analyse_completed(completed, delta=tip + step).p) for step in (-0.01, 0.0))
    assert before < 0.05 <= after
    # shifting the fifth of the treated who left by delta moves the estimate by that fifth
    shares = completed.after[0, arm > 0, -1].mean()
    moved = analyse_completed(completed, delta=1.0).estimate - analyse_completed(completed).estimate
    assert float(moved) == pytest.approx(shares, rel=0.05)
    assert float(tipping_point(completed, most=0.1)) == np.inf
    assert float(tipping_point(completed, worse=-1, most=20.0)) == 0.0


def test_batch_axes_are_kept():
    _, y, arm = trials(13, 6, 40)
    completed = impute(y.reshape(2, 3, 40, 4), arm.reshape(2, 3, 40), generator=np.random.default_rng(1))
    assert analyse_completed(completed).p.shape == (2, 3)
    assert tipping_point(completed, most=5.0, tolerance=0.01).shape == (2, 3)


def test_bad_input_is_refused():
    _, y, arm = trials(14, 1, 20)
    generator = np.random.default_rng(1)
    with pytest.raises(InputError, match="mar, jump"):
        impute(y, arm, method="locf", generator=generator)
    with pytest.raises(InputError, match="two at least"):
        impute(y, arm, imputations=1, generator=generator)
    with pytest.raises(InputError, match="covariates"):
        impute(y, arm, np.full((1, 20, 1), np.nan), generator=generator)
    y[..., 3] = np.nan
    with pytest.raises(InputError, match="visit 4"):
        impute(y, arm, generator=generator)
    with pytest.raises(InputError, match="Recode"):
        impute(y, arm + 1, generator=generator)
