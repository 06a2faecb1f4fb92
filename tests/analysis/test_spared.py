"""Who should be spared: the effect over the true biomarker, by simulation with known truth and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causalgia.analysis.estimates import Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.spared import difference_of_effects, effect_by_biomarker
from causalgia.documents.errors import InputError

ERROR = 0.36
X = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def trials(seed: int, replicates: int, n: int, slope: float) -> tuple[np.ndarray, ...]:
    """y, arm, reading, covariate: effect(x) = −0.5 + slope · (x − 3), where x is N(3, 1) given the covariate."""
    rng = np.random.default_rng(seed)
    arm = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    c, x, e, u = rng.normal(size=(4, replicates, n))
    x = 3 + 0.4 * c + x
    y = 6 - 0.5 * arm + 0.3 * x + slope * arm * (x - 3) + 0.2 * c + 1.5 * e
    return y, arm, x + np.sqrt(ERROR) * u, c[..., None]


def covered(effect, truth):
    return np.mean((effect.lower <= truth) & (truth <= effect.upper), axis=0)


@pytest.mark.parametrize("slope", [0.0, -0.8])
def test_slope_and_line_are_unbiased_and_cover(slope):
    n = 4000
    y, arm, w, c = trials(1, n, 80, slope)
    fit = effect_by_biomarker(y, arm, w, c, error=ERROR)
    error = fit.slope.estimate.std() / np.sqrt(n)
    assert fit.slope.estimate.mean() == pytest.approx(slope, abs=4 * error + 0.01)
    assert covered(fit.slope, slope) == pytest.approx([0.953], abs=0.014)
    assert covered(fit.at(X), -0.5 + slope * (X - 3))[0] == pytest.approx([0.951] * 5, abs=0.016)
    if slope == 0:
        assert np.mean(fit.slope.p < 0.05) == pytest.approx(0.048, abs=0.014)
    naive = effect_by_biomarker(y, arm, w, c, error=0.0)
    assert naive.slope.estimate.mean() == pytest.approx(slope / (1 + ERROR), abs=4 * error + 0.01)
    assert fit.reliability.mean() == pytest.approx(1 / (1 + ERROR), abs=0.015)


def test_without_error_it_is_least_squares():
    y, arm, w, c = trials(2, 1, 50, -0.5)
    fit = effect_by_biomarker(y[0], arm[0], w[0], c[0], error=0.0)
    centred = w[0] - w[0].mean()
    D = np.column_stack([np.ones(50), c[0], w[0], arm[0] * centred, arm[0]])
    beta, rss, *_ = np.linalg.lstsq(D, y[0], rcond=None)
    V = np.linalg.inv(D.T @ D) * rss[0] / 45
    assert fit.slope.estimate[0] == pytest.approx(beta[3], rel=1e-9)
    assert fit.slope.se[0] == pytest.approx(np.sqrt(V[3, 3]), rel=1e-9)
    assert fit.slope.p[0] == pytest.approx(2 * stats.t.sf(abs(beta[3]) / np.sqrt(V[3, 3]), 45), rel=1e-9)
    assert fit.at_centre.estimate[0] == pytest.approx(beta[4], rel=1e-9)
    assert fit.at_centre.se[0] == pytest.approx(np.sqrt(V[4, 4]), rel=1e-9)
    assert fit.covariance[0] == pytest.approx(V[3, 4], rel=1e-7, abs=1e-12)
    x = 4.2
    direct = beta[4] + (x - fit.centre[0]) * beta[3]
    assert fit.at([x]).estimate[0, 0] == pytest.approx(direct, rel=1e-9)


def test_calibration_by_hand():
    y, arm, w, c = trials(3, 1, 60, -0.5)
    fit = effect_by_biomarker(y[0], arm[0], w[0], c[0], error=ERROR)
    Z = np.column_stack([np.ones(60), c[0]])
    fitted = Z @ np.linalg.lstsq(Z, w[0], rcond=None)[0]
    share = 1 - ERROR / (np.sum((w[0] - fitted) ** 2) / 58)
    x = fitted + share * (w[0] - fitted)
    D = np.column_stack([Z, x, arm[0] * x, arm[0]])
    beta, *_ = np.linalg.lstsq(D, y[0], rcond=None)
    assert fit.reliability[0] == pytest.approx(share, rel=1e-9)
    assert fit.slope.estimate[0] == pytest.approx(beta[3], rel=1e-8)
    assert fit.at([0.0]).estimate[0, 0] == pytest.approx(beta[4], rel=1e-7)


def test_the_chance_of_benefit_is_that_of_draws_from_the_posterior():
    y, arm, w, c = trials(4, 3, 400, -0.4)
    fit = effect_by_biomarker(y, arm, w, c, error=ERROR)
    rng = np.random.default_rng(5)
    for r in range(3):
        b = [fit.at_centre.estimate[r, 0], fit.slope.estimate[r, 0]]
        off = fit.covariance[r, 0]
        V = [[fit.at_centre.se[r, 0] ** 2, off], [off, fit.slope.se[r, 0] ** 2]]
        draws = rng.multivariate_normal(b, V, size=200_000)
        for monotone in (False, True):
            kept = draws[draws[:, 1] <= 0] if monotone else draws
            gain = -(kept[:, :1] + kept[:, 1:] * (X - fit.centre[r, 0]))
            found = fit.chance_of_benefit(X, 0.8, monotone=monotone)[r, 0]
            assert found == pytest.approx((gain > 0.8).mean(axis=0), abs=0.008)
            np.testing.assert_array_equal(fit.spare(X, 0.8, monotone=monotone)[r, 0], found < 0.2)


def test_the_chance_of_benefit_turns_with_the_direction():
    y, arm, w, c = trials(6, 5, 60, -0.4)
    less = effect_by_biomarker(y, arm, w, c, error=ERROR).chance_of_benefit(X, 0.5)
    more = effect_by_biomarker(-y, arm, w, c, error=ERROR).chance_of_benefit(X, 0.5, better=1)
    np.testing.assert_allclose(less, more, rtol=1e-7, atol=1e-12)


def test_those_spared_truly_gain_little_and_those_who_gain_are_treated():
    y, arm, w, c = trials(7, 2000, 160, -0.8)
    spared = effect_by_biomarker(y, arm, w, c, error=ERROR).spare(X, 0.5).mean(axis=0)[0]
    # gains −1.1, −0.3, 0.5, 1.3, 2.1 against 0.5: the middle one lies on the threshold
    assert spared[0] > 0.95 and spared[1] > 0.85 and spared[3] < 0.02 and spared[4] < 0.01
    assert 0.1 < spared[2] < 0.3


def test_a_batch_equals_the_single_trial_and_sizes_are_prefixes():
    y, arm, w, c = trials(8, 4, 60, -0.3)
    batch = effect_by_biomarker(y, arm, w, c, error=ERROR, sizes=[30, 60])
    single = effect_by_biomarker(y[3], arm[3], w[3], c[3], error=ERROR)
    prefix = effect_by_biomarker(y[3, :30], arm[3, :30], w[3, :30], c[3, :30], error=ERROR)
    assert batch.slope.p[3, 1] == single.slope.p[0]
    assert batch.slope.p[3, 0] == pytest.approx(prefix.slope.p[0], rel=1e-9)
    assert batch.at(X).estimate.shape == (4, 2, 5) == batch.chance_of_benefit(X, 1.0).shape


def test_statuses_and_bad_input():
    y, arm, w, c = trials(9, 4, 40, 0.0)
    error = np.full(w.shape, ERROR)
    error[1] = 9.0
    arm[2] = 1
    y[3, 0] = np.nan
    fit = effect_by_biomarker(y, arm, w, c, error=error)
    assert [Status(s).name for s in fit.slope.status[:, 0]] == ["OK", "ERROR_DOMINATES", "NO_ARM", "NOT_FINITE"]
    for value in (fit.slope.p, fit.slope.lower, fit.at_centre.estimate, fit.reliability):
        assert np.isnan(value[1:]).all() and np.isfinite(value[0]).all()
    assert not fit.spare(X, 0.5)[1:].any()
    with pytest.raises(InputError, match="error"):
        effect_by_biomarker(y, arm, w, c, error=-1.0)
    with pytest.raises(InputError, match="better"):
        fit.chance_of_benefit(X, 0.5, better=0)


def test_difference_of_effects_is_that_of_two_analyses():
    y, arm, w, c = trials(10, 3, 60, -0.5)
    low = w < 3
    seen = np.ones(y.shape, bool)
    every, difference = difference_of_effects(y, arm, c, low, observed=seen)
    parts = [ancova(y, arm, c, observed=member) for member in (low, ~low)]
    np.testing.assert_allclose(every.estimate, ancova(y, arm, c).estimate, rtol=1e-10)
    np.testing.assert_allclose(difference.estimate, parts[0].estimate - parts[1].estimate, rtol=1e-9)
    np.testing.assert_allclose(difference.se, np.hypot(parts[0].se, parts[1].se), rtol=1e-9)
