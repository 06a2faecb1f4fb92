"""Planning numbers against R, statsmodels and the plan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from causalgia.analysis.linear import ancova
from causalgia.analysis.power import (
    SCALES,
    ancova_power,
    ancova_size,
    anova_power,
    binomial_power,
    equivalence_power,
    exact_power,
    proportion_power,
    proportion_size,
    simon_two_stage,
    t_power,
    t_size,
)
from causalgia.analysis.proportions import ratio_interval, score_test
from causalgia.documents.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "alternative", "expected"),
    [  # R pwr by statsmodels test_power.py; trial_reference_values.csv, power_t_*
        ((0.05, 20), "greater", 0.0764888785042198),
        ((-0.2, 20), "less", 0.21707518167191),
        ((0.1, 20, 20), "two-sided", 0.06095912465411235),
        ((1, 30, 30), "greater", 0.985459690251624),
        ((0.1, 20, 30), "greater", 0.09623589080917805),
    ],
)
def test_t_power_published(arguments, alternative, expected):
    assert t_power(*arguments, alternative=alternative) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [  # R pwr by pingouin test_power.py; trial_reference_values.csv, n_t_*
        ({}, 63.76561),
        ({"alternative": "greater"}, 50.1508),
        ({"alternative": "greater", "paired": True}, 26.13753),
    ],
)
def test_t_size_published(options, expected):
    assert t_size(0.5, **options) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("difference", "sd", "correlation", "expected"),
    [(1.5, 2.0, 0.4, (25, 33)), (2.0, 2.5, 0.6, (18, 23)), (1.0, 2.5, 0.4, (84, 112))],
)
def test_planning_numbers_of_the_analysis_plan(difference, sd, correlation, expected):
    sizes = tuple(ancova_size(difference, sd, correlation, power=power) for power in (0.8, 0.9))
    assert sizes == tuple((n, n) for n in expected)


def test_ancova_size_published():
    # statpsych size.test.ancova2; trial_reference_values.csv, ancova_n_equal (exact), ancova_n_nonexperimental (±1)
    assert ancova_size(0.7, 1.37**0.5, 0, power=0.9) == (61, 61)
    assert ancova_size(0.7, 1.37**0.5, 0, power=0.9, imbalance=0.5)[0] == pytest.approx(65, abs=1)


def test_unequal_arms_reach_the_power_and_one_less_does_not():
    treated, control = ancova_size(1.0, 2.0, 0.5, ratio=2, covariates=3)
    assert treated == 2 * control
    reached, short = (ancova_power(1.0, 2.0, 0.5, 2 * n, n, covariates=3) for n in (control, control - 1))
    assert short < 0.8 <= reached


def test_power_is_what_simulated_trials_reach():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(10_000, 30))
    treated = rng.permuted(np.tile(np.arange(30) % 2, (10_000, 1)), axis=1)
    y = 0.6 * z + 0.8 * rng.normal(size=z.shape) + 0.9 * treated
    share = (ancova(y, treated, z[..., None]).p <= 0.05).mean()
    assert share == pytest.approx(ancova_power(0.9, 1.0, 0.6, 15, 15), abs=4 * np.sqrt(0.25 / 10_000))


def test_arrays_broadcast():
    assert t_power([0.2, 0.5], np.array([[10], [20], [30]]), 20).shape == (3, 2)


def test_no_effect_and_unknown_sides_are_refused():
    with pytest.raises(InputError, match="larger effect"):
        t_size(0.0)
    with pytest.raises(InputError, match="two-sided"):
        t_power(0.5, 20, alternative="both")


def test_power_anova_k4_n20():
    # R pwr by pingouin test_power.py; trial_reference_values.csv, power_anova_k4_n20: rel 1e-3
    found = optimize.brentq(lambda eta2: float(anova_power(eta2, 4, 20)) - 0.8, 0.01, 0.5)
    assert found == pytest.approx(0.1254838, rel=1e-3)


def test_anova_of_two_groups_is_the_t_test():
    d = np.array([0.2, 0.6, 1.1])
    f2 = d**2 / 4
    np.testing.assert_allclose(anova_power(f2 / (1 + f2), 2, 18), t_power(d, 18, 18), rtol=1e-9)


@pytest.mark.parametrize(
    ("p", "p0", "n", "alternative", "expected", "tolerance"),
    [
        # n is printed to 7 digits: half a unit of its last one moves the power by 2e-8 (1.5e-8 is found).
        pytest.param(0.5, 0.75, 76.70692, "two-sided", 0.9, 1e-8 + 2e-8, id="power_2prop_R"),
        pytest.param(0.75, 0.5, 62.33551, "greater", 0.9, 1e-8, id="power_2prop_R_onesided"),
        pytest.param(0.001, 0.015, 550, "two-sided", 0.74156, 1e-7, id="power_2prop_Stata"),
    ],
)
def test_proportion_power_published(p, p0, n, alternative, expected, tolerance):
    # R power.prop.test and Stata by statsmodels test_power_2indep; trial_reference_values.csv, by id
    assert proportion_power(p, p0, n, n, alternative=alternative) == pytest.approx(expected, abs=tolerance)


def test_farrington_manning_n_difference():
    # gsDesign nBinomial; trial_reference_values.csv, farrington_manning_n_difference_0.25 and _or_0.15: rel 1e-4
    found = proportion_size(0.25, 0.05, null=0.1, alpha=0.05, power=0.9, ratio=1 / 1.5)
    assert found == pytest.approx((173.2214, 259.8322), rel=1e-4)
    assert sum(proportion_size(0.15, 0.1, scale="odds ratio", power=0.8)) == pytest.approx(1355.84, rel=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_proportion_size_reaches_its_power_and_equality_is_one_null(scale):
    margin = {"difference": -0.15, "ratio": 0.7, "odds ratio": 0.5}[scale]
    n = proportion_size(0.6, 0.55, null=margin, scale=scale, power=0.85, alpha=0.02, ratio=2)
    assert n[0] == pytest.approx(2 * n[1])
    reached = proportion_power(0.6, 0.55, *n, null=margin, scale=scale, alpha=0.02, alternative="greater")
    assert reached == pytest.approx(0.85)
    against = proportion_power(0.55, 0.55, 40, 30, scale=scale, alpha=0.03, alternative="less")
    assert against == pytest.approx(0.03)


def test_proportion_power_is_what_the_score_test_reaches():
    rng, n = np.random.default_rng(2), 20_000
    _, p = score_test(rng.binomial(90, 0.5, n), 90, rng.binomial(70, 0.45, n), 70, null=-0.15, alternative="greater")
    expected = proportion_power(0.5, 0.45, 90, 70, null=-0.15, alternative="greater", alpha=0.025)
    assert (p <= 0.025).mean() == pytest.approx(expected, abs=0.015)  # the test is discrete, the formula is not


def test_power_against_a_ratio_is_what_its_interval_reaches():
    rng, n = np.random.default_rng(4), 5000
    lower, _ = ratio_interval(rng.binomial(150, 0.5, n), 150, rng.binomial(100, 0.55, n), 100, alpha=0.05)
    expected = proportion_power(0.5, 0.55, 150, 100, null=0.6, scale="ratio", alternative="greater", alpha=0.025)
    assert (lower > 0.6).mean() == pytest.approx(expected, abs=0.03)  # 4 standard errors


@pytest.mark.parametrize(
    ("n", "p", "expected"),
    [
        pytest.param(25, 0.2, 0.57932569, id="binom1_exact_power_n25_a0.025_p0.05_0.2"),
        pytest.param(28, 0.2, 0.6851126, id="binom1_exact_power_n28_a0.025_p0.05_0.2"),
        pytest.param(33, 0.2, 0.81787426, id="binom1_exact_power_n33_a0.025_p0.05_0.2"),
        pytest.param(33, 0.25, 0.94139159, id="binom1_exact_power_n33_a0.025_p0.05_0.25"),
    ],
)
def test_binomial_power_published(n, p, expected):
    # East 6.5 by gsDesign test-independent-test-nBinomial1Sample.R; trial_reference_values.csv, by id: abs 1e-7
    assert binomial_power(0.05, p, n, alpha=0.025) == pytest.approx(expected, abs=1e-7)


def test_binomial_power_turns_over_and_holds_its_level():
    p = np.array([0.05, 0.15])
    turned = binomial_power(0.3, p, 21, alpha=0.05, alternative="less")
    np.testing.assert_allclose(binomial_power(0.7, 1 - p, 21, alpha=0.05), turned)
    assert binomial_power(0.3, 0.3, 21, alpha=0.05) <= 0.05


def test_power_tost_prop_pass():
    # PASS manual by statsmodels test_power_binom_tost; trial_reference_values.csv, power_tost_prop_PASS: abs 5e-5
    power, events = equivalence_power(0.5, 0.7, np.arange(60, 70) / 100, 500)
    expected = [0.9965, 0.994, 0.9815, 0.9482, 0.8783, 0.7583, 0.5914, 0.4041, 0.2352, 0.1139]
    assert power == pytest.approx(expected, abs=5e-5)
    assert (events[0], events[-1]) == (269, 332)
    none, nothing = equivalence_power(0.45, 0.55, 0.5, 20)
    assert none == 0 and len(nothing) == 0


def test_exact_power_sums_the_rejected_tables():
    rates = np.array([0.2, 0.5, 0.8])
    treated, control = stats.binom.pmf(np.arange(10), 9, rates[:, None]), stats.binom.pmf(np.arange(8), 7, 0.2)
    p = np.array([[stats.fisher_exact([[a, 9 - a], [c, 7 - c]]).pvalue for c in range(8)] for a in range(10)])
    np.testing.assert_allclose(exact_power(rates, 0.2, 9, 7, test="fisher"), treated @ (p <= 0.05) @ control)
    for test in ("boschloo", "barnard"):
        one, two = (exact_power(rates, 0.2, 9, 7, test=test, alternative=side) for side in ("greater", "two-sided"))
        assert max(one[0], two[0]) <= 0.05
        assert (one[1:] > two[1:]).all()
    assert (exact_power(rates, 0.2, 9, 7) >= exact_power(rates, 0.2, 9, 7, test="fisher")).all()


def test_simon_two_stage_02_04():
    # clinfun ph2simon; trial_reference_values.csv, simon_two_stage_02_04: exact, EN 0.005, PET 5e-5
    found = simon_two_stage(0.2, 0.4, alpha=0.1, power=0.9)
    for kind, numbers, expected, early in (
        ("optimal", (3, 17, 10, 37), 26.02, 0.5489),
        ("minimax", (3, 19, 10, 36), 28.26, 0.4551),
    ):
        design = found[kind]
        assert (design.r1, design.n1, design.r, design.n) == numbers
        assert design.expected == pytest.approx(expected, abs=0.005)
        assert design.early == pytest.approx(early, abs=5e-5)


def test_simon_two_stage_02_035():
    # clinfun ph2simon, most 100; trial_reference_values.csv, simon_two_stage_02_035: exact
    found = simon_two_stage(0.2, 0.35, alpha=0.05, power=0.95, most=100)
    for kind, numbers, expected, early in (
        ("optimal", (11, 53, 26, 99), 69.88, 0.633),
        ("minimax", (15, 68, 25, 95), 75.44, 0.7244),
    ):
        design = found[kind]
        assert (design.r1, design.n1, design.r, design.n) == numbers
        assert design.expected == pytest.approx(expected, abs=0.005)
        assert design.early == pytest.approx(early, abs=5e-5)


def test_simon_designs_are_the_best_of_all_small_ones():
    p0, p, alpha, power = 0.1, 0.45, 0.1, 0.8

    def chance(rate, r1, n1, r, n):
        x = np.arange(r1 + 1, n1 + 1)
        return (stats.binom.pmf(x, n1, rate) * stats.binom.sf(r - x, n - n1, rate)).sum()

    feasible = {}
    for n in range(2, 15):
        for n1 in range(1, n):
            for r1 in range(n1):
                for r in range(r1, n):
                    if chance(p0, r1, n1, r, n) <= alpha and chance(p, r1, n1, r, n) >= power:
                        feasible[n1 + stats.binom.sf(r1, n1, p0) * (n - n1), n] = (r1, n1, r, n)
    found = simon_two_stage(p0, p, alpha=alpha, power=power, most=14)
    assert found["optimal"].expected == pytest.approx(min(feasible)[0])
    least = min(n for _, n in feasible)
    assert found["minimax"].n == least
    assert found["minimax"].expected == pytest.approx(min(e for e, n in feasible if n == least))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportion_power(0.5, 0.4, 10, 10, scale="hazard ratio"), "odds ratio"),
        (lambda: proportion_power(1.0, 0.4, 10, 10), "between 0 and 1"),
        (lambda: proportion_power(0.5, 0.4, 10, 10, alternative="both"), "two-sided"),
        (lambda: proportion_size(0.4, 0.4), "larger effect"),
        (lambda: proportion_size(0.4, 0.5, scale="ratio", null=0.0), "ratio above 0"),
        (lambda: exact_power(0.5, 0.4, 10, 10, test="fisher", alternative="less"), "fisher with two sides"),
        (lambda: binomial_power(0.1, 0.2, 10, alternative="two-sided"), "greater, less"),
        (lambda: equivalence_power(0.7, 0.5, 0.6, 10), "low < high"),
        (lambda: simon_two_stage(0.4, 0.2), "p_null < p"),
        (lambda: simon_two_stage(0.2, 0.25, most=30), "Allow more"),
    ],
)
def test_bad_plans_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
