"""The mixed model against published SAS results, R (tests/reference/mmrm_r.R), closed forms, and its own size."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from causalgia.analysis import mmrm_design
from causalgia.analysis.covariances import STRUCTURES, elements, unpack
from causalgia.analysis.estimates import STATUS_TEXT, Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.mmrm import AFTER_FALLBACK, FALLBACK, mmrm, mmrm_by_visit, mmrm_f_test
from causalgia.analysis.mmrm_inference import INFERENCES
from causalgia.analysis.mmrm_likelihood import Patterns, likelihood
from causalgia.analysis.mmrm_table import mmrm_table
from causalgia.documents.errors import InputError

REFERENCE = Path(__file__).parents[1] / "reference"
R = json.loads((REFERENCE / "mmrm_r.json").read_text())
NUMBERS = ("estimate", "se", "df", "p", "lower", "upper")


# --- the FEV data of the R package mmrm (openpharma/mmrm, Apache-2.0) ---------------------------------------------


def fev() -> dict[str, np.ndarray]:
    with (REFERENCE / "mmrm_fev.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    ids = list(dict.fromkeys(row["USUBJID"] for row in rows))
    y = np.full((len(ids), 4), np.nan)
    for row in rows:
        if row["FEV1"]:
            y[ids.index(row["USUBJID"]), int(row["AVISIT"][-1]) - 1] = float(row["FEV1"])
    first = {row["USUBJID"]: row for row in reversed(rows)}
    has = {
        name: np.array([first[i][column].startswith(value) for i in ids], dtype=float)
        for name, column, value in (
            ("TRT", "ARMCD", "TRT"),
            ("Black", "RACE", "Black"),
            ("White", "RACE", "White"),
            ("Female", "SEX", "Female"),
        )
    }
    return {"y": y, **has}


FEV = fev()
TERMS = ["Intercept", "TRT", "VIS2", "VIS3", "VIS4", "VIS2:TRT", "VIS3:TRT", "VIS4:TRT", "Black", "White", "Female"]
R_NAMES = {"Intercept": "(Intercept)", "Black": "RACEBlack", "White": "RACEWhite", "Female": "SEXFemale"} | {
    "TRT": "ARMCDTRT",
    **{f"VIS{k}": f"AVISITVIS{k}" for k in (2, 3, 4)},
    **{f"VIS{k}:TRT": f"ARMCDTRT:AVISITVIS{k}" for k in (2, 3, 4)},
}


def fev_design(terms: list[str]) -> np.ndarray:
    known = {"Intercept": np.ones((200, 4)), **{name: FEV[name][:, None] * np.ones(4) for name in FEV if name != "y"}}
    known |= {f"VIS{k}": np.eye(4)[k - 1] * np.ones((200, 1)) for k in (2, 3, 4)}
    columns = [np.prod([known[part] for part in term.split(":")], axis=0) for term in terms]
    return np.stack(columns, axis=-1)


def fev_fit(terms: list[str] = TERMS, contrast: np.ndarray | None = None, **options):
    return mmrm(FEV["y"], fev_design(terms), contrast=np.eye(len(terms)) if contrast is None else contrast, **options)


def row(**weights: float) -> np.ndarray:
    names = {name.replace(":", "_"): i for i, name in enumerate(TERMS)}
    out = np.zeros(len(TERMS))
    for name, weight in weights.items():
        out[names[name]] = weight
    return out


# SAS PROC MIXED, openpharma/mmrm at ec290b2695, design/SAS/sas_log_reml.txt
def test_reml_objective_and_criteria_are_those_of_sas():
    minus2 = -2 * float(fev_fit(structure="unstructured").log_likelihood)
    assert minus2 == pytest.approx(3386.44987722, abs=1e-3)
    assert minus2 + 2 * 10 == pytest.approx(3406.4, abs=0.06)
    assert minus2 + np.log(200) * 10 == pytest.approx(3439.4, abs=0.06)


def test_fixed_effects_are_those_of_sas():
    fit = fev_fit(structure="unstructured", inference="satterthwaite")
    beta = [30.7774, 3.7745, 4.8396, 10.3422, 15.0537, -0.04231, -0.6939, 0.624, 1.5305, 5.6436, 0.3262]
    assert fit.estimate == pytest.approx(beta, abs=2.5e-4)
    assert fit.coefficients == pytest.approx(fit.estimate)
    assert fit.se[[0, 1, 7]] == pytest.approx([0.8865, 1.0741, 1.851], abs=2e-4)
    assert fit.df[[1, 7]] == pytest.approx([146, 130], abs=0.6)


def test_least_squares_means_are_those_of_sas():
    common = {"Intercept": 1.0, "Black": 1 / 3, "White": 1 / 3, "Female": 0.5}
    at = [{}, *({f"VIS{k}": 1.0} for k in (2, 3, 4))]
    treated = [{"TRT": 1.0}, *({f"VIS{k}": 1.0, "TRT": 1.0, f"VIS{k}_TRT": 1.0} for k in (2, 3, 4))]
    L = np.array([row(**common, **extra) for extra in (*at, *treated)])
    fit = fev_fit(contrast=L, structure="unstructured", inference="satterthwaite")
    mean = [33.3318, 38.1715, 43.674, 48.3855, 37.1063, 41.9037, 46.7546, 52.7841]
    assert fit.estimate == pytest.approx(mean, abs=1.5e-4)
    assert fit.se == pytest.approx([0.7554, 0.6117, 0.4617, 1.1886, 0.7626, 0.6023, 0.5086, 1.1877], abs=1e-4)
    assert fit.df == pytest.approx([148, 147, 130, 134, 143, 144, 130, 133], abs=0.6)


QUARTERS = row(TRT=1, VIS2_TRT=0.25, VIS3_TRT=0.25, VIS4_TRT=0.25)
TYPE3 = {
    "ARMCD": ([QUARTERS], 1, 169, 31.67),
    "AVISIT": ([row(**{f"VIS{k}": 1, f"VIS{k}_TRT": 0.5}) for k in (2, 3, 4)], 3, 148, 142.11),
    "AVISIT*ARMCD": ([row(**{f"VIS{k}_TRT": 1}) for k in (2, 3, 4)], 3, 148, 0.26),
    "RACE": ([row(Black=1), row(White=1)], 2, 166, 36.92),
    "SEX": ([row(Female=1)], 1, 166, 0.38),
}


@pytest.mark.parametrize("effect", TYPE3)
def test_type_3_tests_are_those_of_sas(effect):
    L, df, denominator, F = TYPE3[effect]
    test = mmrm_f_test(FEV["y"], fev_design(TERMS), contrasts=L)
    assert (test.df, Status(int(test.status))) == (df, Status.OK)
    assert float(test.statistic) == pytest.approx(F, abs=0.01)
    assert float(test.denominator_df) == pytest.approx(denominator, abs=0.6)
    assert float(test.p) == pytest.approx(stats.f.sf(F, df, denominator), abs=5e-3)


def test_maximum_likelihood_intervals_are_those_of_sas():
    # tests/testthat/test-mmrm-methods.R: rel 1e-4 there is the mean difference over the mean of the numbers
    fit = fev_fit(["Intercept", "TRT", "Female"], structure="unstructured", method="ml", inference="satterthwaite")
    expected = np.array([[40.0071, 42.1609], [2.5714, 5.0838], [-1.3968, 1.1204]])
    found = np.stack([fit.lower, fit.upper], axis=1)
    assert np.abs(found - expected).sum() < 1e-4 * np.abs(expected).sum()
    assert found == pytest.approx(expected, abs=1e-3)


# SAS DDFM=KENWARDROGER(FIRSTORDER) and EMPIRICAL, with the tolerances of openpharma/mmrm at ec290b2695:
# tests/testthat/test-kenwardroger.R and test-empirical.R. Standard error, df, tolerances of both, variance of CR0.
SAS = {
    "ar1": (0.96058142305176, 188.46934887972, 1e-4, 1e-4, 0.68196697308307),
    "heterogeneous-ar1": (0.75924807546934, 188.225339095373, 1e-3, 1e-4, 0.46203608554929),
    "compound-symmetry": (0.7964696053595, 177.038485931223, 1e-4, 1e-4, 0.6297163326325),
    "toeplitz": (0.72537324518435, 180.062730071701, 1e-3, 1e-3, 0.46360435395588),
    "unstructured": (0.66124382270307, 160.73326640376, 1e-3, 1e-3, 0.40908637028234),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_kenward_roger_and_sandwich_are_those_of_sas(structure):
    se, df, tolerance, df_tolerance, variance = SAS[structure]
    terms, L = ["Intercept", "TRT"], np.array([0.0, 1.0])
    fit = fev_fit(terms, L, structure=structure)
    assert (float(fit.se), str(fit.inference)) == (pytest.approx(se, rel=tolerance), "kenward-roger-linear")
    assert float(fit.df) == pytest.approx(df, rel=df_tolerance)
    sandwich = fev_fit(terms, L, structure=structure, inference="sandwich")
    assert float(sandwich.se) ** 2 == pytest.approx(variance, rel=2e-4)


# R's sleep data; https://github.com/openpharma/mmrm/issues/510: second derivatives of a Cholesky factor gave 0.3386
SLEEP = [[0.7, 1.9], [-1.6, 0.8], [-0.2, 1.1], [-1.2, 0.1], [-0.1, -0.1]]
SLEEP += [[3.4, 4.4], [3.7, 5.5], [0.8, 1.6], [0.0, 4.6], [2.0, 3.4]]


@pytest.mark.parametrize("inference", ["kenward-roger-linear", "satterthwaite"])
def test_two_visits_are_the_paired_t_test(inference):
    x = np.broadcast_to([[1.0, 0.0], [1.0, 1.0]], (10, 2, 2))
    fit = mmrm(SLEEP, x, contrast=[0, 1], structure="unstructured", inference=inference)
    assert float(fit.se) == pytest.approx(0.3890, abs=5e-5)
    paired = stats.ttest_rel(*np.transpose(SLEEP)[::-1])
    assert [float(fit.estimate), float(fit.df), float(fit.p)] == pytest.approx([1.58, 9, paired.pvalue], rel=1e-9)


@pytest.mark.parametrize("reference", R["fits"], ids=lambda fit: f"{fit['structure']} {fit['method']}")
def test_agrees_with_nlme_and_club_sandwich(reference):
    options = {"structure": reference["structure"], "method": reference["method"].lower()}
    values = lambda numbers: np.array([numbers[R_NAMES[term]] for term in TERMS])  # noqa: E731
    fit = fev_fit(**options, inference="satterthwaite")
    # nlme's search stops early and multiplies the variance of a maximum likelihood fit by N / (N - p)
    factor = 1.0 if reference["method"] == "REML" else np.sqrt(537 / (537 - 11))
    assert np.abs((fit.estimate - values(reference["beta"])) / fit.se).max() < 1e-4
    assert fit.se * factor == pytest.approx(values(reference["se"]), rel=5e-5)
    assert float(fit.log_likelihood) == pytest.approx(reference["log_likelihood"], abs=1e-6)
    for kind, inference in (("CR0", "sandwich"), ("CR2", "sandwich-bias-reduced")):
        if kind in reference:
            fit = fev_fit(**options, inference=inference)
            assert fit.se == pytest.approx(values(reference[kind]["se"]), rel=1e-6)
            assert fit.df == pytest.approx(values(reference[kind]["df"]), rel=1e-5)


# --- closed forms -------------------------------------------------------------------------------------------------


def trials(seed: int, replicates: int, n: int, T: int = 4, missing: float = 0.1):
    """Trials with drop-out: y (R, n, T), arm, baseline (R, n), one factor (R, n, 1); no effect of the arm."""
    rng = np.random.default_rng(seed)
    sd = 1 + 0.2 * np.arange(T)
    lag = np.abs(np.subtract.outer(np.arange(T), np.arange(T)))
    root = np.linalg.cholesky(np.outer(sd, sd) * 0.7**lag)
    arm = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    baseline = 6 + rng.normal(size=(replicates, n))
    factor = (rng.random((replicates, n, 1)) < 0.5).astype(float)
    y = 0.8 * baseline[..., None] + factor + rng.normal(size=(replicates, n, T)) @ root.T - np.arange(T)
    leaves = (rng.random((replicates, n, T)) < missing / max(T - 1, 1)) & (np.arange(T) > 0)
    y[np.maximum.accumulate(leaves, axis=2)] = np.nan
    return y, arm, baseline, factor


def numbers(fit, *index) -> np.ndarray:
    return np.array([getattr(fit, name)[index] for name in NUMBERS])


@pytest.mark.parametrize("inference", ["kenward-roger-linear", "satterthwaite"])
def test_one_visit_is_analysis_of_covariance(inference):
    y, arm, baseline, factor = trials(1, 5, 20, T=1, missing=0)
    fit = mmrm_by_visit(y, arm, baseline, factor, inference=inference)
    plain = ancova(y[..., 0], arm, np.concatenate([baseline[..., None], factor], axis=2))
    np.testing.assert_allclose(numbers(fit), numbers(plain, ..., 0), rtol=1e-8)


def test_complete_data_without_covariates_are_the_t_test_of_the_visit():
    y, arm, _, _ = trials(2, 4, 24, missing=0)
    fit = mmrm_by_visit(y, arm, visit=[0, 3], structure="unstructured")
    for r in range(4):
        for k, visit in enumerate((0, 3)):
            test = stats.ttest_ind(y[r, arm[r] == 1, visit], y[r, arm[r] == 0, visit])
            assert (fit.p[r, k], fit.df[r, k]) == (pytest.approx(test.pvalue, rel=1e-8), pytest.approx(22))


def test_a_visit_of_nothing_new_changes_nothing():
    y, arm, baseline, factor = trials(3, 3, 30)
    plain = mmrm_by_visit(y, arm, baseline, factor)
    more = [np.concatenate([a, a[:, :1]], axis=1) for a in (arm, baseline, factor)]
    unseen = np.concatenate([y, np.full((3, 1, 4), np.nan)], axis=1)
    np.testing.assert_allclose(numbers(mmrm_by_visit(unseen, *more)), numbers(plain), rtol=1e-8)


# --- properties ---------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.integers(16, 30), st.integers(2, 4))
def test_a_batch_equals_the_single_trial_bit_for_bit(seed, n, T):
    y, arm, baseline, factor = trials(seed, 6, n, T, 0.3)
    batch = mmrm_by_visit(y, arm, baseline, factor)
    for r in (0, 5):
        single = mmrm_by_visit(y[r], arm[r], baseline[r], factor[r])
        assert batch.structure[r] == single.structure
        np.testing.assert_array_equal(numbers(batch, r), numbers(single))
        np.testing.assert_array_equal(batch.covariance[r], single.covariance)


def test_chunks_and_leading_axes_change_nothing(monkeypatch):
    arrays = trials(17, 6, 24, T=3)
    whole = mmrm_by_visit(*arrays, visit=[0, 2])
    monkeypatch.setattr(mmrm_design, "CHUNK", 4)
    parts = mmrm_by_visit(*arrays, visit=[0, 2])
    np.testing.assert_array_equal(numbers(parts), numbers(whole))
    wide = mmrm_by_visit(*(a.reshape(2, 3, *a.shape[1:]) for a in arrays), visit=[0, 2])
    assert wide.estimate.shape == (2, 3, 2) and wide.structure.shape == (2, 3) and wide.covariance.shape == (2, 3, 3, 3)
    np.testing.assert_array_equal(numbers(wide).reshape(6, 6, 2), numbers(whole))
    y, arm, baseline, factor = arrays
    first = (np.arange(24) < np.array([[12], [24]]))[..., None] & ~np.isnan(y)[:, None]  # nested trial sizes
    nested = mmrm_by_visit(y[:, None], arm[:, None], baseline[:, None], factor[:, None], observed=first)
    assert nested.estimate.shape == (6, 2)
    np.testing.assert_allclose(nested.estimate[:, 1], whole.estimate[:, 1], rtol=1e-9)
    half = mmrm_by_visit(y[:, :12], arm[:, :12], baseline[:, :12], factor[:, :12])
    np.testing.assert_allclose(numbers(nested, ..., 0), numbers(half), rtol=1e-6)


@pytest.mark.parametrize("inference", INFERENCES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_units_and_the_order_of_subjects_do_not_matter(structure, inference):
    y, arm, baseline, factor = trials(4, 3, 26)
    options = {"structure": structure, "inference": inference}
    a = mmrm_by_visit(y, arm, baseline, factor, **options)
    order = np.random.default_rng(5).permutation(26)
    b = mmrm_by_visit(
        1e5 - 2.5e3 * y[:, order], arm[:, order], 1e4 + 7 * baseline[:, order], -factor[:, order], **options
    )
    assert (a.status == Status.OK).all()
    np.testing.assert_allclose(b.estimate, -2.5e3 * a.estimate, rtol=1e-6)
    np.testing.assert_allclose([b.df, b.p], [a.df, a.p], rtol=1e-6)
    np.testing.assert_allclose(b.covariance, 2.5e3**2 * a.covariance, rtol=1e-5)


def test_unstructured_does_not_know_the_order_of_visits():
    y, arm, baseline, factor = trials(6, 3, 30)
    a = mmrm_by_visit(y, arm, baseline, factor, visit=3)
    b = mmrm_by_visit(y[..., ::-1], arm, baseline, factor, visit=0)
    np.testing.assert_allclose(numbers(b), numbers(a), rtol=1e-7)


def test_dependent_columns_change_nothing_but_an_undetermined_contrast_has_no_estimate():
    y, arm, baseline, factor = trials(7, 2, 30)
    plain = mmrm_by_visit(y, arm, baseline, factor)
    redundant = np.concatenate([factor, 1 - factor, 0 * factor, 3 * baseline[..., None] - factor], axis=2)
    np.testing.assert_allclose(numbers(mmrm_by_visit(y, arm, baseline, redundant)), numbers(plain), rtol=1e-7)
    told = mmrm_by_visit(y, arm, baseline, arm[..., None])
    assert (told.status == Status.SINGULAR).all()
    assert np.isnan(told.estimate).all()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("T", [1, 2, 4])
def test_derivatives_of_a_structure_are_those_of_differences(structure, T):
    layout = STRUCTURES[structure].layout(T)
    rng = np.random.default_rng(8)
    d = layout.d
    theta = np.concatenate([rng.normal(size=layout.scales), rng.uniform(0.1, 0.5, d - layout.scales)])[None]
    g = rng.normal(size=(1, T * (T + 1) // 2))
    value, J = layout.sigma(theta)
    t, s = elements(T)
    assert value[0, t == s] == pytest.approx(np.exp(2 * theta[0, : layout.scales]) * np.ones(T))
    steps = 1e-6 * np.eye(d)
    differences = [(layout.sigma(theta + h)[0] - layout.sigma(theta - h)[0])[0] / 2e-6 for h in steps]
    assert pytest.approx(np.array(differences), abs=1e-7) == J[0].T
    slopes = [(g @ (layout.sigma(theta + h)[1] - layout.sigma(theta - h)[1])[0])[0] / 2e-6 for h in steps]
    assert layout.curvature(theta, g)[0] == pytest.approx(np.array(slopes), abs=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_derivatives_of_the_likelihood_are_those_of_differences(reml):
    rng = np.random.default_rng(9)
    seen = rng.random((2, 12, 3)) < 0.8
    Z = rng.normal(size=(2, 12, 3, 4)) * seen[..., None]
    patterns, _ = Patterns.of(Z, seen)
    sigma = np.array([[1.0, 0.4, 0.2, 1.5, 0.5, 2.0], [2.0, -0.4, 0.2, 1.0, 0.3, 1.0]])
    point = likelihood(patterns, sigma, reml)
    dense = []
    for r in range(2):
        V = [unpack(sigma[r], 3)[np.ix_(v, v)] for v in seen[r]]
        X, y = ([rows[v] for rows, v in zip(part, seen[r], strict=True)] for part in (Z[r, ..., :3], Z[r, ..., 3]))
        A = sum(a.T @ np.linalg.inv(b) @ a for a, b in zip(X, V, strict=True))
        beta = np.linalg.solve(A, sum(a.T @ np.linalg.inv(b) @ c for a, b, c in zip(X, V, y, strict=True)))
        fits = [(c - a @ beta) @ np.linalg.inv(b) @ (c - a @ beta) for a, b, c in zip(X, V, y, strict=True)]
        dense.append(sum(np.linalg.slogdet(b)[1] for b in V) + sum(fits) + reml * np.linalg.slogdet(A)[1])
    assert point.minus2 == pytest.approx(dense, rel=1e-12)
    for u in range(6):
        h = 1e-5 * np.eye(6)[u]
        up, down = likelihood(patterns, sigma + h, reml), likelihood(patterns, sigma - h, reml)
        assert point.slope[:, u] == pytest.approx((up.minus2 - down.minus2) / 2e-5, rel=1e-6, abs=1e-7)
        assert 2 * point.observed[:, u] == pytest.approx((up.slope - down.slope) / 2e-5, rel=1e-6, abs=1e-7)


def test_one_contrast_squared_is_its_f_test():
    y, arm, baseline, factor = trials(10, 4, 30)
    fit = mmrm_by_visit(y, arm, baseline, factor, structure="toeplitz", inference="satterthwaite")
    x = np.stack(
        np.broadcast_arrays(*np.eye(4), baseline[..., None], factor, *(arm[..., None] * v for v in np.eye(4))), axis=-1
    )
    test = mmrm_f_test(y, x, contrasts=np.eye(x.shape[-1])[-1:], structure="toeplitz")
    np.testing.assert_allclose(test.statistic, (fit.estimate / fit.se) ** 2, rtol=1e-7)
    np.testing.assert_allclose([test.denominator_df, test.p], [fit.df, fit.p], rtol=1e-7)
    twice = mmrm_f_test(y, x, contrasts=np.eye(x.shape[-1])[[-1, -1]], structure="toeplitz")
    assert (twice.status == Status.SINGULAR).all() and np.isnan(twice.p).all()


# --- failures and falling back ------------------------------------------------------------------------------------


def test_falls_back_in_the_declared_order_and_says_so():
    y, arm, baseline, factor = trials(11, 4, 40, T=3, missing=0)
    y[1, ::2, 2] = y[1, 1::2, 0] = np.nan  # nobody has visits 1 and 3: only a decay can tell their correlation
    fit = mmrm_by_visit(y, arm, baseline, factor)
    assert fit.structure.tolist() == ["unstructured", "heterogeneous-ar1", "unstructured", "unstructured"]
    assert (fit.status == Status.OK).all() and (fit.inference == "kenward-roger-linear").all()
    alone = mmrm_by_visit(y, arm, baseline, factor, structure="heterogeneous-ar1")
    np.testing.assert_array_equal(numbers(fit, 1), numbers(alone, 1))
    last = mmrm_by_visit(y, arm, baseline, factor, structure=(FALLBACK[0], FALLBACK[-1]))
    assert last.inference.tolist() == ["kenward-roger-linear", AFTER_FALLBACK, *["kenward-roger-linear"] * 2]
    sandwich = mmrm_by_visit(y, arm, baseline, factor, structure=FALLBACK[-1], inference=AFTER_FALLBACK)
    np.testing.assert_array_equal(numbers(last, 1), numbers(sandwich, 1))
    np.testing.assert_array_equal(numbers(last, 0), numbers(fit, 0))


def test_a_failure_is_a_status_and_leaves_the_rest_of_the_batch_alone():
    y, arm, baseline, factor = trials(12, 7, 20, missing=0)
    good = mmrm_by_visit(y, arm, baseline, factor)
    y[1, 3, 2] = np.inf
    y[2] = 4.0
    y[3, 2:], arm[3, :2] = np.nan, [0, 1]
    factor[4] = arm[4, :, None]
    y[5, arm[5] == 1, 3] = np.nan
    y[6, :, 1:] = y[6, :, :1]  # every visit repeats the first: the covariance is singular
    fit = mmrm_by_visit(y, arm, baseline, factor)
    expected = ["OK", "NOT_FINITE", "NO_VARIATION", "TOO_FEW", "SINGULAR", "NO_ARM", "NOT_CONVERGED"]
    assert [Status(code).name for code in fit.status] == expected
    np.testing.assert_array_equal(numbers(fit, 0), numbers(good, 0))
    assert np.isnan(numbers(fit, slice(1, None))).all()
    assert fit.structure[[1, 2, 3, 6]].tolist() == [""] * 4


def test_when_no_replicate_can_be_fitted_there_is_still_an_answer():
    same = np.repeat(np.random.default_rng(13).normal(size=(2, 12, 1)), 3, axis=2)
    fit = mmrm_by_visit(same, np.arange(12) % 2)
    assert (fit.status == Status.NOT_CONVERGED).all() and (fit.structure == "").all()
    x = np.ones((12, 3, 1))
    assert (mmrm_f_test(same, x, contrasts=[1.0]).status == Status.NOT_CONVERGED).all()
    assert (mmrm_f_test(0 * same, x, contrasts=[1.0]).status == Status.NO_VARIATION).all()


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 5), st.floats(0, 0.9))
def test_tiny_trials_end_in_a_status_and_never_in_an_exception(seed, n, T, missing):
    y, arm, baseline, factor = trials(seed, 4, n, T, missing)
    y[np.random.default_rng(seed).random(y.shape) < missing / 2] = np.nan
    fit = mmrm_by_visit(y, arm, baseline, factor, visit=range(T))
    ok = fit.status == Status.OK
    found = numbers(fit)
    assert np.isfinite(found[:, ok]).all() and np.isnan(found[:, ~ok]).all()
    assert ((fit.se[ok] > 0) & (fit.df[ok] > 0) & (fit.p[ok] <= 1)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"structure": "banded"}, "one of unstructured"),
        ({"structure": ()}, "structure"),
        ({"method": "bayes"}, "reml"),
        ({"inference": "exact"}, "kenward-roger-linear"),
        ({"method": "ml"}, "satterthwaite"),
        ({"visit": 4}, "0 to 3"),
        ({"visit": []}, "visit"),
        ({"treated": np.arange(8)}, "Recode"),
        ({"treated": np.zeros(5)}, "agree"),
        ({"factors": np.zeros(8)}, "values"),
        ({"y": np.zeros(8)}, "subject, visit"),
        ({"y": np.zeros((8, 21))}, "fewer visits"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    arguments = {"y": np.zeros((8, 4)), "treated": np.arange(8) % 2} | changes
    with pytest.raises(InputError, match=message):
        mmrm_by_visit(arguments.pop("y"), arguments.pop("treated"), **arguments)


def test_contrasts_and_designs_of_the_wrong_shape_are_refused():
    y, x = np.zeros((6, 2)), np.zeros((6, 2, 3))
    with pytest.raises(InputError, match="contrast"):
        mmrm(y, x, contrast=[1, 0])
    with pytest.raises(InputError, match="x"):
        mmrm(y, x[0], contrast=[1, 0, 0])
    with pytest.raises(InputError, match="agree"):
        mmrm(y, x[:4], contrast=[1, 0, 0])


# --- one data set as a table --------------------------------------------------------------------------------------


def long_table() -> tuple[pl.DataFrame, tuple]:
    y, arm, baseline, factor = (a[0] for a in trials(14, 1, 30))
    rows = [
        {
            "USUBJID": f"S{i:02}",
            "ARM": ("placebo", "drug")[arm[i]],
            "AVISITN": (2.0, 6.0, 12.0, 24.0)[k],
            "AVAL": None if np.isnan(y[i, k]) else y[i, k],
            "BASE": baseline[i],
            "DURATION": ("acute", "chronic")[int(factor[i, 0])],
        }
        for i in range(30)
        for k in range(4)
    ]
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=1), (y, arm, baseline, factor)


def test_a_table_gives_the_effects_of_the_arrays_by_visit():
    table, arrays = long_table()
    out = mmrm_table(table, treatment="drug", control="placebo", factors=["DURATION"])
    fit = mmrm_by_visit(*arrays, visit=range(4))
    assert out["AVISITN"].to_list() == [2, 6, 12, 24]
    for name in NUMBERS:
        np.testing.assert_allclose(out[name], getattr(fit, name), rtol=1e-8)
    assert out["n_treatment"].to_list() == np.isfinite(arrays[0][arrays[1] == 1]).sum(axis=0).tolist()
    assert set(out["structure"]) == {"unstructured"} and set(out["inference"]) == {"kenward-roger-linear"}
    lost = table.with_columns(
        AVAL=pl.when((pl.col("ARM") == "drug") & (pl.col("AVISITN") == 24)).then(None).otherwise(pl.col("AVAL"))
    )
    reasons = mmrm_table(lost, treatment="drug", control="placebo")["reason"].to_list()
    assert reasons == ["", "", "", STATUS_TEXT[Status.NO_ARM]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("BASE"), "column BASE"),
        (lambda t: t.with_columns(ARM=pl.lit("other")), "only 'drug'"),
        (lambda t: pl.concat([t, t[:1]]), "twice"),
        (lambda t: t.with_columns(BASE=pl.col("AVISITN")), "differ"),
        (lambda t: t.with_columns(BASE=pl.lit(None, pl.Float64)), "nothing"),
        (lambda t: t[:0], "no rows"),
    ],
)
def test_tables_that_cannot_be_read_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        mmrm_table(change(long_table()[0]), treatment="drug", control="placebo")


# --- operating characteristics ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inference", "seed"), [("kenward-roger-linear", 15), ("satterthwaite", 18)])
def test_size_is_five_percent_and_the_interval_covers_at_forty_subjects(inference, seed):
    replicates, effect = 1500, 0.7
    y, arm, baseline, factor = trials(seed, replicates, 40)
    assert np.isnan(y[..., -1]).mean() == pytest.approx(0.1, abs=0.01)
    half = np.repeat([0.0, effect], replicates // 2)  # the first half without an effect
    fit = mmrm_by_visit(y + half[:, None, None] * arm[..., None], arm, baseline, factor, inference=inference)
    assert (fit.status == Status.OK).all()
    none, some = np.split(np.arange(replicates), 2)
    band = 4 * np.sqrt(0.05 * 0.95 / len(none))
    assert (fit.p[none] <= 0.05).mean() == pytest.approx(0.05, abs=band)
    covered = (fit.lower[some] <= effect) & (effect <= fit.upper[some])
    assert covered.mean() == pytest.approx(0.95, abs=band)
    assert (fit.estimate - half).mean() == pytest.approx(0, abs=4 * (fit.estimate - half).std() / np.sqrt(replicates))


def test_the_sandwich_keeps_its_size_where_the_structure_is_wrong():
    y, arm, baseline, factor = trials(16, 1000, 40)
    options = {"structure": "compound-symmetry"}
    reduced = mmrm_by_visit(y, arm, baseline, factor, inference="sandwich-bias-reduced", **options)
    band = 4 * np.sqrt(0.05 * 0.95 / 1000)
    assert (reduced.p <= 0.05).mean() == pytest.approx(0.05, abs=band)
    model = mmrm_by_visit(y, arm, baseline, factor, **options)
    assert (model.p <= 0.05).mean() > 0.05 + band
