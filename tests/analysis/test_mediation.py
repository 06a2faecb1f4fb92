"""Mediation against published examples, the total effect's ANCOVA, and simulation with known truth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from causalgia.analysis.censored import censored_regression
from causalgia.analysis.estimates import Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.mediation import mediate, replicate_error
from causalgia.analysis.mediation_response import mediate_response
from causalgia.analysis.mediation_sensitivity import bootstrap_limits, correlation_sensitivity, e_value
from causalgia.documents.errors import InputError

REFERENCE = Path(__file__).parent.parent / "reference"
A, B, DIRECT, ERROR = -0.8, 0.7, -0.3, 0.36


def columns(name: str, *names: str) -> list[np.ndarray]:
    with open(REFERENCE / f"{name}.csv") as file:
        rows = list(csv.DictReader(file))
    return [np.array([float(row[key]) for row in rows]) for key in names]


def trials(seed: int, replicates: int, n: int, a=A, b=B, correlation=0.0, baseline=0.6, reversal=0.0):
    """y, reading, arm, covariate (…, 1), baseline reading; errors of both readings have variance ERROR."""
    rng = np.random.default_rng(seed)
    arm = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    c, e_m, own = rng.normal(size=(3, replicates, n))
    x = 0.3 * c + rng.normal(size=(replicates, n))
    e_y = correlation * e_m + np.sqrt(1 - correlation**2) * own
    m = a * arm + baseline * x + 0.2 * c + 0.85 * e_m
    y = 5 + DIRECT * arm + (b + reversal * arm) * m + 0.5 * baseline * x + 0.4 * c + 1.5 * e_y
    w, w0 = (value + np.sqrt(ERROR) * rng.normal(size=m.shape) for value in (m, x))
    return y, w, arm, c[..., None], w0


def band(share: float, n: int) -> float:
    return 4 * np.sqrt(share * (1 - share) / n)


def covers(effect, truth):
    return (effect.lower <= truth) & (truth <= effect.upper)


def jobs():
    treat, seek, depress, *covariates = columns("jobs", "treat", "job_seek", "depress2", "econ_hard", "sex", "age")
    return depress, seek, treat, np.column_stack(covariates)


def test_published_jobs_example():
    """trial_reference_values.csv, mediation_jobs_continuous: R mediation, jobs data, n = 899."""
    fit = mediate(*jobs(), error=0.0)
    assert fit.indirect.estimate[0] == pytest.approx(-0.01574465, abs=1e-7)
    assert fit.direct.estimate[0] == pytest.approx(-0.0402647, abs=1e-7)
    assert fit.total.estimate[0] == pytest.approx(-0.05600935, abs=1e-7)
    assert fit.indirect.estimate[0] / fit.total.estimate[0] == pytest.approx(0.2811075, abs=1e-6)
    # printed with two digits, from 1000 bootstrap samples
    assert [fit.indirect.lower[0], fit.indirect.upper[0]] == pytest.approx([-0.04, 0.01], abs=0.006)
    assert fit.indirect.p[0] == pytest.approx(0.21, abs=0.03)


def test_published_jobs_total_effect():
    """trial_reference_values.csv, mediation_jobs_total_model."""
    depress, seek, treat, covariates = jobs()
    total = mediate(depress, seek, treat, covariates, error=0.0).total
    assert [total.estimate[0], total.se[0]] == pytest.approx([-0.0560093, 0.0451637], abs=1e-6)
    assert total.p[0] == pytest.approx(0.2152, abs=5e-5)
    assert total.estimate[0] / total.se[0] == pytest.approx(-1.24, abs=5e-3)
    assert total.df[0] == 894


def test_published_framing_example():
    """trial_reference_values.csv, mediation_framing_parametric and _boot: 100 draws, tolerance 0.02."""
    treat, age, income, emotion, message = columns("framing", "treat", "age", "income", "emo", "cong_mesg")
    with open(REFERENCE / "framing.csv") as file:
        rows = list(csv.DictReader(file))
    schools = sorted({row["educ"] for row in rows})[1:]
    factors = [[row["gender"] == "male", *(row["educ"] == school for school in schools)] for row in rows]
    covariates = np.column_stack([age, income, np.array(factors, dtype=float)])
    fit = mediate_response(message, emotion, treat, covariates, error=0.0)
    for published in ((0.075938, 0.021798, 0.097736), (0.08539, 0.017222, 0.102612)):
        found = [effect.estimate[0] for effect in (fit.indirect, fit.direct, fit.total)]
        assert found == pytest.approx(published, abs=0.02)
    assert fit.indirect_control.estimate[0] == pytest.approx(0.075529, abs=0.02)
    assert fit.indirect_treated.estimate[0] == pytest.approx(0.076348, abs=0.02)


def test_paths_are_the_analyses_of_covariance():
    y, w, arm, c, w0 = trials(1, 40, 60)
    with_baseline = np.concatenate([c, w0[..., None]], axis=2)
    fit = mediate(y, w, arm, c, error=ERROR, baseline=w0, sizes=[44, 60], least=5)
    for path, endpoint in ((fit.total, y), (fit.to_mediator, w)):
        direct = ancova(endpoint, arm, with_baseline, sizes=[44, 60])
        for name in ("estimate", "se", "p", "lower", "upper"):
            np.testing.assert_allclose(getattr(path, name), getattr(direct, name), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.total.estimate, fit.direct.estimate + fit.indirect.estimate, rtol=1e-12)
    np.testing.assert_allclose(fit.indirect.estimate, fit.to_mediator.estimate * fit.slope.estimate, rtol=1e-12)


def test_without_error_the_slope_is_that_of_least_squares():
    y, w, arm, c, w0 = trials(2, 3, 50)
    fit = mediate(y, w, arm, c, error=0.0, baseline=w0)
    for r in range(3):
        X = np.column_stack([np.ones(50), arm[r], c[r], w0[r], w[r]])
        beta, rss, *_ = np.linalg.lstsq(X, y[r], rcond=None)
        # its naive direct effect adjusts for W₀ within the arms; with total and a by ANCOVA it is the same number
        assert fit.slope.estimate[r, 0] == pytest.approx(beta[4], abs=0.03)
        assert fit.direct.estimate[r, 0] == pytest.approx(beta[1], abs=0.05)
    plain = mediate(y, w, arm, c, error=0.0)
    X = np.column_stack([np.ones(50), arm[0], c[0], w[0]])
    beta, rss, *_ = np.linalg.lstsq(X, y[0], rcond=None)
    assert plain.slope.estimate[0, 0] == pytest.approx(beta[3], rel=1e-9)
    t = beta[3] / np.sqrt(rss[0] / 46 * np.linalg.inv(X.T @ X)[3, 3])
    # the test is that of the partial correlation, with n − 3 in place of n − 4 degrees of freedom
    assert abs(t) == pytest.approx(np.sqrt(46 / 47) * stats.t.isf(plain.slope.p[0, 0] / 2, 47), rel=1e-9)


def test_a_limit_below_all_values_changes_nothing_and_censoring_is_near_the_tobit():
    y, w, arm, c, w0 = trials(3, 60, 60)
    free = mediate(y, w, arm, c, error=ERROR, baseline=w0)
    y_low = np.where(np.arange(60) == 0, w.min(axis=1, keepdims=True) - 1e-9, -np.inf)
    far = mediate(y, w, arm, c, error=ERROR, baseline=w0, limit=y_low)
    np.testing.assert_array_equal(free.indirect.estimate, far.indirect.estimate)
    one = w.copy()
    one[:, 0] = -99.0  # a single value far below its limit, so close to the others that it hardly matters where
    limit = -1.2
    censored = mediate(y, w, arm, c, error=ERROR, baseline=w0, limit=limit)
    tobit = censored_regression(w, limit, arm, np.concatenate([c, w0[..., None]], axis=2))
    gap = censored.to_mediator.estimate - tobit.estimate
    assert np.abs(gap).max() < 0.5 * np.median(tobit.se)  # it also uses the outcome
    assert censored.to_mediator.se.mean() == pytest.approx(tobit.se.mean(), rel=0.02)


def test_a_value_below_the_limit_is_not_read():
    y, w, arm, c, w0 = trials(4, 2, 60)
    for hidden in (np.where(w > -1, w, np.nan), np.where(w > -1, w, -50.0)):
        one = mediate(y, w, arm, c, error=ERROR, baseline=w0, limit=-1.0)
        other = mediate(y, hidden, arm, c, error=ERROR, baseline=w0, limit=-1.0)
        np.testing.assert_array_equal(one.indirect.p, other.indirect.p)


def test_a_batch_equals_the_single_trial_and_sizes_are_prefixes():
    y, w, arm, c, w0 = trials(5, 6, 60)
    shaped = [x.reshape(2, 3, *x.shape[1:]) for x in (y, w, arm, c, w0)]
    batch = mediate(*shaped[:4], error=ERROR, baseline=shaped[4], limit=-1.0, sizes=[44, 60], least=5)
    single = mediate(y[5], w[5], arm[5], c[5], error=ERROR, baseline=w0[5], limit=-1.0)
    prefix = mediate(
        y[5, :44], w[5, :44], arm[5, :44], c[5, :44], error=ERROR, baseline=w0[5, :44], limit=-1.0, least=5
    )
    for name in ("direct", "indirect", "slope"):
        assert getattr(batch, name).estimate[1, 2, 1] == pytest.approx(getattr(single, name).estimate[0], rel=1e-9)
        assert getattr(batch, name).p[1, 2, 0] == pytest.approx(getattr(prefix, name).p[0], rel=1e-9)
        assert getattr(batch, name).upper[1, 2, 0] == pytest.approx(getattr(prefix, name).upper[0], rel=1e-9)
    grid = correlation_sensitivity(batch, [-0.2, 0.0, 0.2])
    np.testing.assert_allclose(grid.estimate[..., 1], batch.indirect.estimate, rtol=1e-12)
    limits = bootstrap_limits(batch, np.random.default_rng(1), draws=200)["indirect"]
    assert limits[0].shape == (2, 3, 2) and np.all(limits[0] < limits[1])


@given(st.floats(0.1, 50), st.floats(-100, 100), st.floats(0.1, 20))
def test_units_do_not_matter(scale, shift, other):
    y, w, arm, c, w0 = trials(6, 1, 50)
    one = mediate(y, w, arm, c, error=ERROR, baseline=w0, limit=-1.0)
    two = mediate(
        other * y + shift,
        scale * w + shift,
        arm,
        7 + 3 * c,
        error=scale**2 * ERROR,
        baseline=scale * w0 - shift,
        limit=shift - scale,
    )
    assert two.indirect.estimate[0, 0] == pytest.approx(other * one.indirect.estimate[0, 0], rel=1e-5)
    assert two.indirect.p[0, 0] == pytest.approx(one.indirect.p[0, 0], rel=1e-4)


def test_estimates_are_unbiased_and_intervals_cover():
    n = 4000
    for limit in (-np.inf, -1.2):
        y, w, arm, c, w0 = trials(7, n, 100)
        fit = mediate(y, w, arm, c, error=ERROR, baseline=w0, limit=limit)
        assert (fit.indirect.status == Status.OK).mean() > 0.999
        truths = {"total": DIRECT + A * B, "direct": DIRECT, "indirect": A * B, "to_mediator": A, "slope": B}
        for name, truth in truths.items():
            effect = getattr(fit, name)
            spread = np.nanstd(effect.estimate)
            # consistent; what is left of the bias is 1/n and below a tenth of the standard deviation
            assert abs(np.nanmean(effect.estimate) - truth) < 0.1 * spread + 4 * spread / np.sqrt(n)
            assert np.nanmean(covers(effect, truth)) == pytest.approx(0.955, abs=0.012 + band(0.05, n))


def test_the_naive_indirect_effect_shrinks_to_its_reliability_and_the_rest_shows_up_as_direct():
    y, w, arm, c, _ = trials(8, 4000, 100, baseline=0.0)
    naive, corrected = (mediate(y, w, arm, c, error=error) for error in (0.0, ERROR))
    reliability = 0.85**2 / (0.85**2 + ERROR)
    assert reliability == pytest.approx(2 / 3, abs=0.01)
    error = 4 * naive.indirect.estimate.std() / np.sqrt(4000)
    assert naive.indirect.estimate.mean() == pytest.approx(reliability * A * B, abs=error)
    assert naive.direct.estimate.mean() == pytest.approx(DIRECT + (1 - reliability) * A * B, abs=2 * error)
    assert corrected.reliability.mean() == pytest.approx(reliability, abs=0.01)
    assert covers(naive.indirect, A * B).mean() < 0.85
    assert covers(corrected.indirect, A * B).mean() > 0.94


def test_no_path_is_claimed_at_most_at_the_nominal_level():
    n = 4000
    for a, b in ((0.0, 0.7), (-0.8, 0.0), (0.0, 0.0)):
        y, w, arm, c, w0 = trials(9, n, 60, a=a, b=b)
        for limit in (-np.inf, -1.2):
            fit = mediate(y, w, arm, c, error=ERROR, baseline=w0, limit=limit)
            assert np.nanmean(fit.indirect.p < 0.05) < 0.05 + band(0.05, n)
        if b == 0:
            assert np.nanmean(fit.slope.p < 0.05) == pytest.approx(0.05, abs=0.01 + band(0.05, n))


def test_a_baseline_with_error_confounds_unless_corrected():
    """Baseline TNF drives later TNF and pain; adjusting for its reading alone leaves a path that does not exist."""
    y, w, arm, c, w0 = trials(10, 4000, 200, b=0.0, baseline=1.2)
    naive = mediate(y, w, arm, c, error=0.0, baseline=w0)
    corrected = mediate(y, w, arm, c, error=ERROR, baseline=w0)
    assert (naive.slope.p < 0.05).mean() > 0.08
    assert (corrected.slope.p < 0.05).mean() == pytest.approx(0.05, abs=band(0.05, 4000))


def test_false_mechanism_claims_grow_with_n_under_residual_correlation():
    """STATISTICS.md §5: 0.15 at 26 subjects and 0.52 at 100, residual correlation 0.25, reliability 2/3."""
    claims = {}
    for n in (26, 100):
        y, w, arm, c, _ = trials(11, 4000, n, a=-2.0, b=0.0, correlation=0.25, baseline=0.0)
        claims[n] = np.nanmean(mediate(y, w, arm, c, error=ERROR, least=5).indirect.p < 0.05)
    assert claims[26] == pytest.approx(0.16, abs=0.02 + band(0.16, 4000))
    assert claims[100] == pytest.approx(0.52, abs=0.01 + band(0.52, 4000))


def test_the_sensitivity_analysis_finds_the_truth_at_the_true_correlation():
    rho = 0.3
    y, w, arm, c, w0 = trials(12, 4000, 200, correlation=rho)
    fit = mediate(y, w, arm, c, error=ERROR, baseline=w0)
    grid = correlation_sensitivity(fit, [0.0, rho])
    spread = grid.estimate.std(axis=0)[0]
    assert grid.estimate[:, 0, 1].mean() == pytest.approx(A * B, abs=0.1 * spread[1])
    assert grid.estimate[:, 0, 0].mean() < A * B - spread[0] / 4
    assert covers(grid, A * B)[:, 0, 1].mean() == pytest.approx(0.95, abs=0.02)
    one = mediate(y[0], w[0], arm[0], c[0], error=ERROR, baseline=w0[0])
    at_zero = correlation_sensitivity(one, one.vanishing_correlation)
    assert at_zero.estimate[0, 0] == pytest.approx(0, abs=1e-12)


def test_slopes_by_arm_with_an_interaction():
    y, w, arm, c, w0 = trials(13, 3000, 200, reversal=-0.5)
    fit = mediate(y, w, arm, c, error=ERROR, baseline=w0, interaction=True)
    truths = {"slope": B - 0.5, "slope_control": B, "interaction": -0.5, "indirect": A * (B - 0.5)}
    for name, truth in truths.items():
        effect = getattr(fit, name)
        assert np.nanmedian(effect.estimate) == pytest.approx(truth, abs=0.03)
        assert np.nanmean(covers(effect, truth)) == pytest.approx(0.955, abs=0.025)
    np.testing.assert_allclose(fit.direct.estimate + fit.indirect.estimate, fit.total.estimate, rtol=1e-12)
    with pytest.raises(InputError, match="interaction"):
        correlation_sensitivity(fit, [0.1])


def test_bootstrap_limits_cover_and_keep_the_skewness():
    y, w, arm, c, w0 = trials(14, 300, 60)
    fit = mediate(y, w, arm, c, error=ERROR, baseline=w0, error_df=20)
    limits = bootstrap_limits(fit, np.random.default_rng(2), draws=500)
    lower, upper = limits["indirect"]
    ok = fit.indirect.status == Status.OK
    assert np.mean((lower <= A * B) & (upper >= A * B), where=ok) == pytest.approx(0.95, abs=band(0.05, 300))
    lower, upper = limits["slope"]
    assert np.nanmedian(upper - fit.slope.estimate) > 1.2 * np.nanmedian(fit.slope.estimate - lower)


def test_an_estimated_error_variance_widens_the_interval():
    y, w, arm, c, w0 = trials(15, 50, 60)
    known, estimated = (mediate(y, w, arm, c, error=ERROR, baseline=w0, error_df=df) for df in (np.inf, 10))
    assert np.nanmean(estimated.slope.se / known.slope.se) > 1.02
    np.testing.assert_array_equal(known.slope.estimate, estimated.slope.estimate)


def test_replicate_error():
    rng = np.random.default_rng(16)
    readings = rng.normal(size=(500, 40, 1)) + 0.6 * rng.normal(size=(500, 40, 3))
    readings[:, ::4, 2] = np.nan
    variance, df = replicate_error(readings)
    assert df.tolist() == [70.0] * 500
    assert variance.mean() == pytest.approx(0.36, abs=4 * 0.36 * np.sqrt(2 / 70 / 500))
    with pytest.raises(InputError, match="Measure"):
        replicate_error([[1.0, np.nan], [2.0, np.nan]])


def test_published_e_value():
    """VanderWeele and Ding (2017), Ann. Intern. Med. 167, 268: RR 3.9, interval from 1.8, E-values 7.2 and 3.0."""
    se = (np.log(3.9) - np.log(1.8)) / 1.78
    for sign in (1, -1):
        point, limit = e_value(sign * np.log(3.9) / 0.91, 1.0, se)
        assert [float(point), float(limit)] == pytest.approx([7.26, 3.0], abs=5e-3)
    assert float(e_value(0.1, 1.0, 1.0)[1]) == 1.0


def test_statuses():
    y, w, arm, c, w0 = (x.copy() for x in trials(17, 8, 60))
    limit = np.full(w.shape, -np.inf)
    seen = np.ones(w.shape, bool)
    error = np.full(w.shape, 0.1)
    seen[1, arm[1] == 1] = np.cumsum(arm[1])[arm[1] == 1] <= 19
    y[2, 3] = np.inf
    limit[3] = 99.0
    limit[4] = np.where(arm[4], 99.0, -np.inf)
    error[5] = 50.0
    c[6, :, 0] = arm[6]
    y[7] = 2.0
    fit = mediate(y, w, arm, c, error=error, baseline=w0, baseline_error=0.1, limit=limit, observed=seen)
    expected = "OK ARM_TOO_SMALL NOT_FINITE ALL_CENSORED ARM_CENSORED ERROR_DOMINATES SINGULAR NO_VARIATION"
    assert [Status(s).name for s in fit.indirect.status[:, 0]] == expected.split()
    for effect in (fit.total, fit.direct, fit.indirect, fit.to_mediator, fit.slope):
        assert np.isnan(np.stack([effect.estimate, effect.p, effect.lower])[:, 1:]).all()
    assert np.isnan(fit.reliability[1:]).all() and np.isnan(fit.vanishing_correlation[1:]).all()


def test_bad_input_is_refused():
    y, w, arm, *_ = (x[0] for x in trials(18, 1, 50))
    with pytest.raises(InputError, match="error"):
        mediate(y, w, arm, error=-1.0)
    with pytest.raises(InputError, match="error"):
        mediate(y, w, arm, error=np.nan)
    with pytest.raises(InputError, match="correlations"):
        correlation_sensitivity(mediate(y, w, arm, error=0.1), [1.0])
    with pytest.raises(InputError, match="response"):
        mediate_response(y, w, arm, error=0.1)


def test_responses_with_error_in_the_mediator():
    rng = np.random.default_rng(19)
    replicates, n = 1500, 160
    arm = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    c, m, e, u = rng.normal(size=(4, replicates, n))
    m = -0.8 * arm + 0.4 * c + m
    y = 0.3 + 0.4 * arm - 0.7 * m + 0.3 * c + e > 0
    at = np.random.default_rng(20).normal(size=200_000)
    truth = {
        (t, s): special.ndtr((0.3 + 0.4 * t + 0.3 * at - 0.7 * (-0.8 * s + 0.4 * at)) / np.sqrt(1.49)).mean()
        for t in (0, 1)
        for s in (0, 1)
    }
    fit = mediate_response(y, m + 0.6 * u, arm, c[..., None], error=0.36)
    ok = fit.total.status == Status.OK
    assert ok.mean() > 0.99
    for effect, expected in (
        (fit.total, truth[1, 1] - truth[0, 0]),
        (fit.indirect_control, truth[0, 1] - truth[0, 0]),
        (fit.indirect_treated, truth[1, 1] - truth[1, 0]),
    ):
        assert np.nanmean(effect.estimate) == pytest.approx(expected, abs=0.006)
        assert np.mean(covers(effect, expected), where=ok) == pytest.approx(0.94, abs=0.03)
    few = mediate_response(np.ones((2, 60)), m[:2, :60], arm[:2, :60], error=0.1)
    assert {Status(s).name for s in few.total.status[:, 0]} <= {"NO_VARIATION", "ARM_TOO_SMALL"}


@pytest.mark.parametrize(
    ("indirect", "total", "shown"),
    [((-1, 0.01), (-1, 0.01), True), ((-1, 0.01), (-1, 0.2), False), ((-1, 0.2), (-1, 0.01), False),
     ((-1, 0.01), (1, 0.01), False), ((-1, 0.01), (-1, np.nan), False)],
)  # fmt: skip
def test_a_path_is_shown_only_with_relief_to_the_same_side(indirect, total, shown):
    from causalgia.analysis.estimates import Effect
    from causalgia.analysis.mediation import path_shown

    effects = [
        Effect(**{name: np.array([{"estimate": e, "p": p}.get(name, 0.0)]) for name in Effect.__dataclass_fields__})
        for e, p in (indirect, total)
    ]
    assert path_shown(*effects, 0.05).tolist() == [shown]
