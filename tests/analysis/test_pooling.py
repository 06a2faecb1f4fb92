"""Random effects against metafor (tests/reference/README.md), published examples and brute force."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from causalgia.analysis.effect_sizes import effect_sizes
from causalgia.analysis.heterogeneity import METHODS
from causalgia.analysis.metaregression import meta_regression
from causalgia.analysis.pooling import permutation_p, pool, prediction_interval
from causalgia.analysis.small_studies import egger, largest_against_rest
from causalgia.documents.errors import InputError

REFERENCE = Path(__file__).parents[1] / "reference"
METAFOR = json.loads((REFERENCE / "metafor.json").read_text())
BCG = np.genfromtxt(REFERENCE / "bcg.csv", delimiter=",", names=True)
RAUDENBUSH = np.genfromtxt(REFERENCE / "raudenbush1985.csv", delimiter=",", names=True)
SHARED = ("se", "lower", "upper", "p", "tau2", "tau2_lower", "tau2_upper", "i2", "h2", "q", "q_p")


def bcg(kind: str):
    return effect_sizes(kind, (BCG["tpos"], BCG["tpos"] + BCG["tneg"]), (BCG["cpos"], BCG["cpos"] + BCG["cneg"]))


@pytest.mark.parametrize("name", METAFOR["pooled"])
def test_pool_agrees_with_metafor(name):
    data = METAFOR["pooled"][name]
    for fit in data["fits"]:
        options = {"hartung_knapp": fit["test"] != "z", "at_least_wald": fit["test"] == "adhoc"}
        found = pool(data["y"], data["v"], method=fit["method"], **options)
        label = f"{name} {fit['method']} {fit['test']}"
        assert found.estimate == pytest.approx(fit["beta"], rel=1e-7), label
        for field in SHARED:
            assert getattr(found, field) == pytest.approx(fit[field], rel=2e-7, abs=1e-12), f"{label} {field}"
        if found.k > 2:
            assert prediction_interval(found) == pytest.approx(fit["prediction"], rel=1e-7), label
            assert (found.prediction_lower, found.prediction_upper) == prediction_interval(found)


def test_equal_effects_agree_with_metafor():
    found, expected = pool(*bcg("log-risk-ratio"), method="EE", hartung_knapp=False), METAFOR["equal_effects"]
    for field in ("estimate", "se", "i2", "h2", "q"):
        assert getattr(found, field) == pytest.approx(expected[field], rel=1e-9), field


@pytest.mark.parametrize("name", METAFOR["regression"])
def test_meta_regression_agrees_with_metafor(name):
    X = BCG["ablat"] if name == "latitude" else np.column_stack([BCG["ablat"], BCG["year"]])
    y, v = bcg("log-risk-ratio")
    for fit in METAFOR["regression"][name]:
        found = meta_regression(y, v, X, method=fit["method"], hartung_knapp=fit["test"] != "z")
        assert found.coefficients == pytest.approx(fit["beta"], rel=1e-6)
        for field in (*SHARED, "qm", "qm_p", "r2"):
            assert getattr(found, field) == pytest.approx(fit[field], rel=1e-6), f"{name} {fit['method']} {field}"


def stopped_early(y: np.ndarray, v: np.ndarray, X: np.ndarray | None = None, ml: bool = False) -> float:
    """τ² where metafor stops by default: Fisher scoring from Hedges' estimate until a step is below 1e-5.

    Published numbers with it differ from the maximum (which metafor.json holds, at 1e-12) in the fourth place.
    """
    design = np.column_stack([np.ones(len(y)), np.empty((len(y), 0)) if X is None else X])
    tau2, step = meta_regression(y, v, design[:, 1:], method="HE").tau2, 1.0
    while abs(step) > 1e-5:
        W = np.diag(1 / (v + tau2))
        P = W - W @ design @ np.linalg.solve(design.T @ W @ design, design.T @ W)
        M = W if ml else P
        step = (y @ P @ P @ y - np.trace(M)) / np.trace(M @ M)
        tau2 = max(tau2 + step, 0.0)
    return tau2


def test_published_bcg_examples():
    # trial_reference_values.csv: meta_bcg_dl_rr, meta_bcg_ml_or_KH, meta_bcg_metareg, meta_bcg_predict
    found = pool(*bcg("log-risk-ratio"), method="DL", hartung_knapp=False)
    values = [found.estimate, found.lower, found.upper, found.tau2, 100 * found.i2]
    assert values == pytest.approx([-0.7141, -1.0644, -0.3638, 0.3088, 92.1173], abs=5e-5)
    scaled = pool(*bcg("log-odds-ratio"), method="ML")
    wald = pool(*bcg("log-odds-ratio"), method="ML", hartung_knapp=False)
    ratios = np.exp([scaled.estimate, scaled.lower, scaled.upper, wald.lower, wald.upper])
    assert [*ratios, scaled.tau2] == pytest.approx([0.4762, 0.3175, 0.7141, 0.3360, 0.6749, 0.3025], abs=5e-5)
    X = np.column_stack([BCG["ablat"], BCG["year"]])
    y, v = bcg("log-risk-ratio")
    fit = meta_regression(y, v, X, method=stopped_early(y, v, X), hartung_knapp=False)
    values = [*fit.coefficients, *fit.se, fit.tau2, fit.qm, fit.q]
    assert values == pytest.approx(
        [-3.5455, -0.0280, 0.0019, 29.0959, 0.0102, 0.0147, 0.1108, 12.2043, 28.3251], abs=5e-5
    )
    found = pool(*bcg("log-risk-ratio"), hartung_knapp=False)
    limits = [found.prediction_lower, found.prediction_upper]
    assert limits == pytest.approx([-1.87, 0.44], abs=5e-3)
    values = np.exp([found.estimate, found.lower, found.upper, *limits])
    assert values == pytest.approx([0.49, 0.34, 0.70, 0.15, 1.55], abs=5e-3)


def test_published_teacher_expectancy():
    # trial_reference_values.csv: meta_raudenbush_table16_3, meta_raudenbush_KH; Raudenbush (2009), table 16.3
    y, v = RAUDENBUSH["yi"], RAUDENBUSH["vi"]
    methods = ("EE", "ML", "REML", "DL", "HE")
    wald = [pool(y, v, method=method, hartung_knapp=False) for method in methods]
    reached: list[str | float] = ["EE", stopped_early(y, v, ml=True), stopped_early(y, v), "DL", "HE"]
    scaled = [pool(y, v, method=method) for method in reached]
    for found, field, expected in [
        (wald, "tau2", [0, 0.0126, 0.0188, 0.0259, 0.0804]),
        (wald, "estimate", [0.0604, 0.0777, 0.0837, 0.0893, 0.1143]),
        (wald, "se", [0.0365, 0.0475, 0.0516, 0.0558, 0.0792]),
        (wald, "lower", [-0.0111, -0.0153, -0.0175, -0.0200, -0.0409]),
        (wald, "upper", [0.1318, 0.1708, 0.1849, 0.1987, 0.2696]),
        (scaled, "se", [0.0515, 0.0593, 0.0616, 0.0636, 0.0711]),
        (scaled, "lower", [-0.0477, -0.0468, -0.0457, -0.0442, -0.0351]),
        (scaled, "upper", [0.1685, 0.2023, 0.2131, 0.2229, 0.2637]),
    ]:
        assert [getattr(fit, field) for fit in found] == pytest.approx(expected, abs=5e-5), field
    t = [fit.estimate / fit.se for fit in scaled]
    assert t == pytest.approx([1.1733, 1.3110, 1.3593, 1.4050, 1.6078], abs=5e-5)


def test_published_paule_mandel():
    # trial_reference_values.csv, meta_kacker_PM (metafor by statsmodels results_meta.py)
    y = [61.0, 61.4, 62.21, 62.3, 62.34, 62.6, 62.7, 62.84, 65.9]
    v = [0.2025, 1.21, 0.09, 0.2025, 0.3844, 0.5625, 0.0676, 0.0225, 1.8225]
    found = pool(y, v, method="PM", hartung_knapp=False)
    values = [found.estimate, found.se, found.tau2, found.q, found.q_p, 100 * found.i2]
    expected = [62.4076199113286, 0.338030602684471, 0.705395309224248, 24.801897741835]
    assert values == pytest.approx([*expected, 0.00167935146372742, 83.7218626490482], abs=1e-8)


def test_published_days_in_hospital():
    # trial_reference_values.csv, meta_normand_md: mean differences with the pooled sd
    data = np.genfromtxt(REFERENCE / "normand1999.csv", delimiter=",", names=True)
    n1, n0 = data["n1i"], data["n2i"]
    pooled = ((n1 - 1) * data["sd1i"] ** 2 + (n0 - 1) * data["sd2i"] ** 2) / (n1 + n0 - 2)
    y, v = data["m1i"] - data["m2i"], pooled * (1 / n1 + 1 / n0)
    for method, expected in [
        ("EE", [-3.4939, -5.0265, -1.9613, 0]),
        ("DL", [-14.0972, -24.4454, -3.7490, 218.7216]),
        ("REML", [-15.1217, -32.6716, 2.4282, 685.1965]),
    ]:
        found = pool(y, v, method=method, hartung_knapp=False)
        values = [found.estimate, found.lower, found.upper, found.tau2]
        assert values == pytest.approx(expected, abs=5e-4), method


def test_published_empirical_bayes():
    # trial_reference_values.csv, meta_berkey_EB: Paule-Mandel is the empirical Bayes estimator; Berkey (1995), p. 408
    y, _ = bcg("log-risk-ratio")
    treated, control = BCG["tneg"] + BCG["tpos"], BCG["cneg"] + BCG["cpos"]
    v = np.sum(BCG["tneg"] / BCG["tpos"]) / (13 * treated) + np.sum(BCG["cneg"] / BCG["cpos"]) / (13 * control)
    found = pool(y, v, method="PM", hartung_knapp=False)
    assert [found.estimate, found.se, found.tau2] == pytest.approx([-0.5429, 0.1842, 0.2682], abs=5e-5)
    fit = meta_regression(y, v, BCG["ablat"] - 33.46, method="PM", hartung_knapp=False)
    values = [*fit.coefficients, *fit.se, fit.tau2]
    assert values == pytest.approx([-0.6303, -0.0268, 0.1591, 0.0110, 0.1572], abs=5e-5)


def test_permutation_agrees_with_metafor_and_the_published_value():
    found = permutation_p(*bcg("log-risk-ratio"), hartung_knapp=False)
    assert found.p == METAFOR["permutation"]["bcg"]
    assert found.p == pytest.approx(0.0015, abs=5e-5)  # trial_reference_values.csv, meta_bcg_permutation_exact
    assert found.arrangements == 8192
    four = METAFOR["pooled"]["four"]
    assert permutation_p(four["y"], four["v"]).p == METAFOR["permutation"]["four"]
    assert permutation_p([*four["y"], -0.4, -1.1], [*four["v"], 0.2, 0.3]).p == METAFOR["permutation"]["six"]


def test_permutation_is_every_sign_change():
    y, v = np.array([-1.0, -0.6, 0.2, -0.9, -0.3]), np.array([0.3, 0.1, 0.2, 0.25, 0.05])
    fits = [pool(y * np.array(s), v, method="DL") for s in product([1, -1], repeat=5)]
    statistics = np.abs([fit.estimate / fit.se for fit in fits])
    found = permutation_p(y, v, method="DL")
    assert found.p == np.mean(statistics >= statistics[0] - 1e-12)
    assert found.smallest == 1 / 16


def test_permutation_keeps_its_level_where_the_normal_test_does_not():
    rng = np.random.default_rng(7)
    v = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4])
    sets = 400
    normal = exact = 0
    for _ in range(sets):
        y = rng.laplace(0, 0.6, 6) + rng.normal(0, np.sqrt(v))
        normal += pool(y, v, method="DL", hartung_knapp=False).p <= 0.05
        exact += permutation_p(y, v, method="DL").p <= 0.05
    assert exact / sets <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / sets)
    assert normal / sets > 0.05 + 4 * np.sqrt(0.05 * 0.95 / sets)


def reml_loss(tau2: float, y: np.ndarray, v: np.ndarray, ml: bool) -> float:
    """The negative (restricted) likelihood from the multivariate normal, by contrasts instead of weights."""
    S = np.diag(v + tau2)
    k = len(y)
    if ml:
        W = np.linalg.inv(S)
        mean = np.full(k, W.sum(axis=0) @ y / W.sum())
        return -stats.multivariate_normal(mean, S).logpdf(y)
    K = np.linalg.svd(np.ones((1, k)))[2][1:]
    return -stats.multivariate_normal(np.zeros(k - 1), K @ S @ K.T).logpdf(K @ y)


STUDIES = st.integers(2, 9).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=k, max_size=k, unique=True),
        st.lists(st.floats(0.01, 4), min_size=k, max_size=k),
    )
)


@settings(max_examples=40, deadline=None)
@given(STUDIES, st.booleans())
def test_likelihood_methods_reach_the_global_maximum(data, ml):
    y, v = np.array(data[0]), np.array(data[1])
    tau2 = pool(y, v, method="ML" if ml else "REML", hartung_knapp=False).tau2
    grid = np.concatenate([[0], np.geomspace(1e-4, 200, 60)])
    losses = [reml_loss(t, y, v, ml) for t in grid]
    best = int(np.argmin(losses))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, 60)])
    refined = optimize.minimize_scalar(reml_loss, args=(y, v, ml), bounds=bounds, method="bounded")
    assert reml_loss(tau2, y, v, ml) <= min(refined.fun, losses[best]) + 1e-9


@settings(max_examples=40, deadline=None)
@given(STUDIES, st.sampled_from(list(METHODS)), st.floats(0.01, 100), st.floats(-10, 10))
def test_unit_and_origin_do_not_matter(data, method, scale, shift):
    y, v = np.array(data[0]), np.array(data[1])
    one = pool(y, v, method=method, at_least_wald=True)
    other = pool(y * scale + shift, v * scale**2, method=method, at_least_wald=True)
    size = scale * (1 + np.abs(y).max()) + abs(shift)
    assert other.estimate == pytest.approx(one.estimate * scale + shift, abs=1e-6 * size)
    assert other.se == pytest.approx(one.se * scale, rel=1e-5)
    assert other.tau2 == pytest.approx(one.tau2 * scale**2, rel=1e-5, abs=1e-8 * scale**2)
    assert other.q == pytest.approx(one.q, rel=1e-6, abs=1e-9)


def test_hartung_knapp_covers_where_wald_does_not():
    rng = np.random.default_rng(3)
    v, sets = np.array([0.04, 0.1, 0.2, 0.5]), 600
    truth, hits = 0.7, np.zeros(2)
    for _ in range(sets):
        y = rng.normal(truth, np.sqrt(v + 0.3))
        for i, scaled in enumerate([True, False]):
            fit = pool(y, v, method="DL", hartung_knapp=scaled)
            hits[i] += fit.lower <= truth <= fit.upper
    band = 4 * np.sqrt(0.95 * 0.05 / sets)
    assert abs(hits[0] / sets - 0.95) < band
    assert hits[1] / sets < 0.95 - band


def test_q_profile_ends_where_q_meets_its_quantiles():
    y, v = bcg("log-risk-ratio")
    found = pool(y, v, alpha=0.1)
    for tau2, quantile in [(found.tau2_lower, 0.95), (found.tau2_upper, 0.05)]:
        w = 1 / (v + tau2)
        q = np.sum(w * (y - w @ y / w.sum()) ** 2)
        assert q == pytest.approx(stats.chi2.ppf(quantile, 12), rel=1e-9)


def test_reml_with_very_unequal_variances():
    y, v = np.array([0.0, 4.0, 2.0, 2.0, 2.0, 2.0]), np.array([1.0, 1.0, 1e-6, 2e-6, 3e-6, 1e-6])
    found = pool(y, v, hartung_knapp=False).tau2
    grid = np.concatenate([[0], np.geomspace(1e-10, 100, 400)])
    assert reml_loss(found, y, v, False) <= min(reml_loss(t, y, v, False) for t in grid) + 1e-9


@pytest.mark.parametrize(
    ("y", "v", "options", "message"),
    [
        ([1.0], [0.1], {}, "found 1; expected at least 2 studies"),
        ([1.0, 2.0], [0.1, 0.0], {}, "above 0"),
        ([1.0, np.nan], [0.1, 0.1], {}, "finite"),
        ([1.0, 2.0], [0.1], {}, "one shape"),
        ([1.0, 2.0], [0.1, 0.1], {"method": "SJ"}, "REML"),
        ([1.0, 1.0], [0.1, 0.1], {}, "agree exactly"),
    ],
)
def test_what_cannot_be_pooled_is_refused(y, v, options, message):
    with pytest.raises(InputError, match=message):
        pool(y, v, **options)


def test_a_known_heterogeneity_takes_the_place_of_an_estimate():
    y, v = bcg("log-risk-ratio")
    estimated = pool(y, v)
    known = pool(y, v, method=estimated.tau2)
    assert (known.estimate, known.lower, known.upper) == (estimated.estimate, estimated.lower, estimated.upper)
    assert known.method == f"known tau2 {estimated.tau2:g}, Hartung-Knapp"
    with pytest.raises(InputError, match="0 or more"):
        pool(y, v, method=-0.1)


def test_two_studies_have_no_prediction_interval():
    found = pool([0.1, 0.5], [0.1, 0.2])
    assert np.isnan(found.prediction_lower) and np.isnan(found.prediction_upper)
    with pytest.raises(InputError, match="found 2; expected at least 3 studies"):
        prediction_interval(found)


def test_bad_regressions_and_permutations_are_refused():
    y, v = [1.0, 2.0, 3.0], [0.1, 0.2, 0.3]
    with pytest.raises(InputError, match="more than 3 studies"):
        meta_regression(y, v, [[1, 2], [3, 5], [4, 4]])
    with pytest.raises(InputError, match="independent columns"):
        meta_regression(y, v, [2, 2, 2])
    with pytest.raises(InputError, match="a row for each study"):
        meta_regression(y, v, [2, 2])
    with pytest.raises(InputError, match="found 15; expected 2 to 14 studies"):
        permutation_p(np.arange(15.0), np.ones(15))


def test_two_studies_are_compared_by_their_sampling_errors():
    # The shape of IVIG in CRPS: a small positive trial, then a larger one without effect.
    found = largest_against_rest([-1.55, -0.10], [0.0182, 0.0100], size=[12, 111])
    assert (found.largest, found.k, found.estimate) == (1, 1, -1.55)
    assert found.difference == pytest.approx(-1.45)
    z = -1.45 / np.sqrt(0.0282)
    assert found.p == pytest.approx(2 * stats.norm.cdf(z))
    assert found.upper == pytest.approx(-1.45 + stats.norm.ppf(0.975) * np.sqrt(0.0282))


def test_three_studies_are_compared_with_the_heterogeneity_of_the_smaller():
    y, v = np.array([-2.0, -0.4, 0.1]), np.array([0.3, 0.2, 0.02])
    found = largest_against_rest(y, v, method="PM")
    rest = pool(y[:2], v[:2], method="PM", at_least_wald=True)
    assert (found.largest, found.df) == (2, 1)
    assert found.tau2 == pytest.approx(rest.tau2)
    assert found.difference == pytest.approx(rest.estimate - 0.1)
    # Paule-Mandel makes Σ w e² its degrees of freedom, so the Hartung-Knapp factor is 1.
    assert found.difference_se == pytest.approx(np.sqrt(rest.se**2 + v[2] + rest.tau2))


def test_comparisons_that_cannot_be_made_are_refused():
    with pytest.raises(InputError, match="found 1; expected at least 2"):
        largest_against_rest([1.0], [0.1])
    with pytest.raises(InputError, match="one largest study"):
        largest_against_rest([1.0, 2.0], [0.1, 0.2], size=[9, 9])
    with pytest.raises(InputError, match="found 9; expected at least 10"):
        egger(np.arange(9.0), np.arange(1, 10.0))


def test_egger_agrees_with_metafor():
    found = egger(RAUDENBUSH["yi"], RAUDENBUSH["vi"])
    assert found.coefficients == pytest.approx(METAFOR["egger"]["b"], rel=1e-6)
    assert found.coefficients[1] / found.se[1] == pytest.approx(METAFOR["egger"]["z"], rel=1e-6)
    assert found.p[1] == pytest.approx(METAFOR["egger"]["p"], rel=1e-5)
