"""Group-sequential designs against gsDesign, rpact, lrstat, East, Jennison and Turnbull, and their own rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from causalgia.analysis.sequential import (
    SHAPES,
    SPENDING,
    Futility,
    Rule,
    conditional_power,
    exit_probabilities,
    group_sequential,
    inverse_normal,
    monitor,
    predictive_power,
    second_stage,
    stagewise,
)
from causalgia.documents.errors import InputError

OF, POCOCK = Rule("obrien-fleming"), Rule("pocock")
LDOF, LDP = Rule("lan-demets-obrien-fleming"), Rule("lan-demets-pocock")
RULES = [OF, POCOCK, Rule("wang-tsiatis", 0.25), LDOF, LDP, Rule("hwang-shih-decani", -4.0), Rule("power", 2.0)]


def looks(K: int) -> np.ndarray:
    return np.arange(1, K + 1) / K


def test_gsd_obf_k3_1sided025():
    # rpact getDesignInverseNormal; trial_reference_values.csv, gsd_OBF_k3_1sided025: z ± 5e-4, p ± 5e-7
    design = group_sequential(looks(3), OF)
    assert design.upper == pytest.approx([3.471, 2.454, 2.004], abs=5e-4)
    assert special.ndtr(-design.upper) == pytest.approx([0.0002592, 0.0070554, 0.0225331], abs=5e-7)
    assert np.cumsum(design.exits(0).upper) == pytest.approx([0.0002592, 0.0071601, 0.025], abs=5e-7)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param(LDOF, [3.710, 2.511, 1.993], id="gsd_LDOF_k3"),
        pytest.param(LDOF, [4.333, 2.963, 2.359, 2.014], id="gsd_LDOF_k4"),
        pytest.param(LDOF, [4.877, 3.357, 2.680, 2.290, 2.031], id="gsd_LDOF_k5"),
        pytest.param(LDP, [2.157, 2.201], id="gsd_LDPocock_k2"),
        pytest.param(LDP, [2.368, 2.368, 2.358, 2.350], id="gsd_LDPocock_k4"),
    ],
)
def test_lan_demets_published(rule, expected):
    # published Lan-DeMets tables; trial_reference_values.csv, by id: ± 6e-4
    assert group_sequential(looks(len(expected)), rule).upper == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(("K", "expected"), [(2, 0.042), (4, 0.063), (10, 0.097), (20, 0.124)])
def test_gsd_repeated_unadjusted_type1(K, expected):
    # gsDesign test.Deming.gsProb; trial_reference_values.csv, gsd_repeated_unadjusted_type1: ± 5e-4
    exits = exit_probabilities(np.arange(1, K + 1), 1.959964, -1.959964)
    assert exits.upper.sum() == pytest.approx(expected, abs=5e-4)
    np.testing.assert_allclose(exits.upper, exits.lower, rtol=1e-10)


@pytest.mark.parametrize(
    ("rule", "K", "power", "largest", "effects", "expected"),
    [
        pytest.param(OF, 5, 0.8, 102.8, [0], [102.1], id="gsd_OF_k5_inflation"),
        pytest.param(POCOCK, 4, 0.8, 120.2, [0, 0.5, 1, 1.5], [117.5, 108.8, 80.5, 52.2], id="gsd_Pocock_k4_inflation"),
        (OF, 20, 0.9, 104.5, [0], [103.4]),
        (POCOCK, 15, 0.9, 130.5, [0, 0.5, 1, 1.5], [126.4, 111.2, 66.4, 35.4]),
        (Rule("power", 1.0), 3, 0.8, 111.7, [0, 0.5, 1, 1.5], [109.9, 103.4, 81.2, 56.5]),
        (Rule("power", 2.0), 10, 0.8, 108.1, [0, 0.5, 1, 1.5], [106.6, 99.7, 76.2, 51.0]),
        (Rule("power", 3.0), 2, 0.8, 101.0, [0, 0.5, 1, 1.5], [100.7, 98.9, 89.5, 70.7]),
    ],
)
def test_two_sided_sizes_published(rule, K, power, largest, effects, expected):
    # gsDesign test-outputs.R, values of Jennison and Turnbull (2000)
    # trial_reference_values.csv, by id: per cent of the fixed design ± 0.05
    design = group_sequential(looks(K), rule, power=power, sides=2)
    assert 100 * design.inflation == pytest.approx(largest, abs=0.05)
    assert 100 * design.expected_size(effects) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("K", "delta", "power", "inflation", "last"),
    [
        pytest.param(9, 0.1, 0.9, 1.048, 2.113, id="gsd_WangTsiatis"),
        (6, 0.25, 0.8, 1.077, 2.154),
        (7, 0.4, 0.8, 1.159, 2.313),
    ],
)
def test_wang_tsiatis_published(K, delta, power, inflation, last):
    # gsDesign test-outputs.R, values of Jennison and Turnbull (2000)
    # trial_reference_values.csv, gsd_WangTsiatis: ± 5e-4
    design = group_sequential(looks(K), Rule("wang-tsiatis", delta), power=power, sides=2)
    assert (design.inflation, design.upper[-1]) == pytest.approx((inflation, last), abs=5e-4)


@pytest.mark.parametrize(
    ("K", "rho", "power", "largest", "expected"),
    [  # one side at 0.05, both errors spent as t^rho, binding
        (5, 2, 0.95, 110.1, [63.4, 80.3, 63.4]),
        (10, 3, 0.95, 106.9, [63.1, 79.5, 63.1]),
        (3, 2, 0.9, 107.2, [68.1, 83.9, 73.8]),
        (4, 3, 0.9, 104.0, [69.2, 84.2, 74.2]),
        (2, 2, 0.8, 104.3, [74.5, 87.8, 84.6]),
        (15, 3, 0.8, 106.9, [62.2, 77.3, 73.0]),
    ],
)
def test_binding_futility_published(K, rho, power, largest, expected):
    # gsDesign test-outputs.R, values of Jennison and Turnbull (2000): test.JT.Power.type3, per cent of the fixed design
    rule = Rule("power", rho)
    design = group_sequential(looks(K), rule, Futility(rule, binding=True), alpha=0.05, power=power)
    assert 100 * design.inflation == pytest.approx(largest, abs=0.05)
    assert 100 * design.expected_size([0, 0.5, 1]) == pytest.approx(expected, abs=0.05)


def test_gsd_exit_prob_obf():
    # lrstat exitprob; trial_reference_values.csv, gsd_exit_prob_OBF: ± 1e-6
    I = np.array([12.5, 25, 37.5])
    exits = exit_probabilities(I, [3.471, 2.454, 2.004], mean=-np.log(0.6) * np.sqrt(I))
    assert exits.upper == pytest.approx([0.0479605, 0.4927446, 0.3327286], abs=1e-6)
    assert exits.expected == pytest.approx(I @ exits.upper + I[-1] * (1 - exits.upper.sum()), abs=1e-12)


def test_gsd_exit_prob_futility_varying_theta():
    # lrstat exitprob; trial_reference_values.csv, gsd_exit_prob_futility_varying_theta: ± 1e-6
    I, theta = np.array([81, 121, 160.0]), np.array([0.141, 0.204, 0.289])
    exits = exit_probabilities(I, [2.963, 2.359, 2.014], [-0.264, 0.599, 2.014], mean=theta * np.sqrt(I))
    assert exits.upper == pytest.approx([0.04513264, 0.40913028, 0.44590828], abs=1e-6)
    assert exits.lower == pytest.approx([0.06263793, 0.02066973, 0.01652114], abs=1e-6)


def test_cond_power_gscp():
    # East 6.5 by gsDesign test-independent-test-gsCP.R; trial_reference_values.csv, cond_power_gsCP: ± 1e-6
    design = group_sequential(looks(3), Rule("hwang-shih-decani", -4.0), sides=2)
    drift = 0.05733214 * np.sqrt(800 * design.inflation)
    assert conditional_power(design, 1, 0.943317, drift) == pytest.approx(0.3306859, abs=1e-6)


def test_every_rule_is_tested():
    assert {rule.name for rule in RULES} == {*SHAPES, *SPENDING}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("sides", [1, 2])
def test_every_rule_keeps_its_level_and_its_power(rule, sides):
    for t in (looks(1), [0.3, 1.0], [0.2, 0.55, 0.6, 1.0]):
        design = group_sequential(t, rule, alpha=0.02, power=0.85, sides=sides)
        assert design.exits(0).upper.sum() == pytest.approx(0.02, abs=1e-10)
        assert design.exits(1).upper.sum() == pytest.approx(0.85, abs=1e-10)
        assert design.inflation >= 1
        if rule.name in SPENDING:
            np.testing.assert_allclose(np.cumsum(design.exits(0).upper), rule.spent(np.array(t), 0.02), atol=1e-11)
        assert (design.lower == (-design.upper if sides == 2 else -np.inf)).all()


@pytest.mark.parametrize("efficacy", [LDOF, LDP, POCOCK], ids=lambda rule: rule.name)
@pytest.mark.parametrize("binding", [False, True])
def test_futility_spends_the_other_error(efficacy, binding):
    if binding and efficacy is POCOCK:
        with pytest.raises(InputError, match="binding futility"):
            group_sequential(looks(3), efficacy, Futility(LDP, binding=True))
        return
    t, rule = np.array([0.3, 0.7, 1.0]), Rule("hwang-shih-decani", -2.0)
    design = group_sequential(t, efficacy, Futility(rule, binding))
    planned = design.exits(1)
    assert np.cumsum(planned.lower) == pytest.approx(rule.spent(t, 0.1), abs=1e-9)
    assert planned.upper.sum() == pytest.approx(0.9, abs=1e-9)
    assert design.lower[-1] == design.upper[-1]
    ignored = exit_probabilities(t, design.upper).upper.sum()
    if binding:
        assert design.exits(0).upper.sum() == pytest.approx(0.025, abs=1e-10)
        assert ignored > 0.0251
    else:
        assert ignored == pytest.approx(0.025, abs=1e-10)
        assert design.exits(0).upper.sum() < 0.0249
        np.testing.assert_array_equal(design.upper, group_sequential(t, efficacy).upper)


def test_spending_nothing_early_gives_no_early_bound():
    design = group_sequential([0.001, 0.5, 1.0], LDOF)
    assert design.upper[0] == np.inf
    assert design.upper[1:] == pytest.approx(group_sequential([0.5, 1.0], LDOF).upper, abs=1e-10)


@given(st.lists(st.floats(0.02, 1.0), min_size=1, max_size=5), st.floats(-4, 6), st.data())
def test_many_drifts_at_once_are_those_one_by_one(steps, drift, data):
    I = np.cumsum(steps)
    upper = np.array(data.draw(st.lists(st.floats(0.5, 4), min_size=len(I), max_size=len(I))))
    lower = upper - data.draw(st.floats(0.1, 6))
    theta = np.array([drift, 0.0, -drift / 2])[:, None]
    together = exit_probabilities(I, upper, lower, mean=theta * np.sqrt(I))
    assert together.upper.shape == (3, len(I))
    total = together.upper.sum(axis=1) + together.lower.sum(axis=1)
    assert (total <= 1 + 1e-11).all()
    for r in range(3):
        alone = exit_probabilities(I, upper, lower, mean=theta[r] * np.sqrt(I))
        np.testing.assert_allclose(together.upper[r], alone.upper, atol=1e-11)
        np.testing.assert_allclose(together.lower[r], alone.lower, atol=1e-11)
    mirrored = exit_probabilities(I, -lower, -upper, mean=-theta * np.sqrt(I))
    np.testing.assert_allclose(mirrored.lower, together.upper, atol=1e-11)


def test_bounds_that_never_stop_leave_the_last_look_normal():
    I, mean = np.array([0.1, 0.15, 0.9, 1.0]), np.array([0.3, 0.2, 1.0, 2.5])
    exits = exit_probabilities(I, [np.inf, np.inf, np.inf, 1.2], mean=mean)
    np.testing.assert_allclose(exits.upper, [0, 0, 0, special.ndtr(2.5 - 1.2)], atol=1e-13)
    assert exits.expected == pytest.approx(1.0)


def trials(design, effect, replicates, seed):
    """z (replicate, look) of trials under a multiple of the planned effect."""
    step = np.diff(design.information, prepend=0.0)
    rng = np.random.default_rng(seed)
    score = np.cumsum(design.drift * effect * step + np.sqrt(step) * rng.normal(size=(replicates, len(step))), axis=1)
    return score / np.sqrt(design.information)


DESIGNS = {
    "one side": group_sequential([0.4, 0.7, 1.0], LDOF),
    "two sides": group_sequential([0.4, 0.7, 1.0], POCOCK, sides=2),
    "non-binding": group_sequential([0.4, 0.7, 1.0], LDOF, Futility(LDP)),
    "binding": group_sequential([0.4, 0.7, 1.0], LDP, Futility(LDP, binding=True)),
}


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("effect", [0.0, 0.7])
def test_monitored_trials_end_as_often_as_calculated(name, effect):
    design, n = DESIGNS[name], 20_000
    ended = monitor(design, trials(design, effect, n, seed=3))
    exits = design.exits(effect)
    reject = exits.upper + (exits.lower if design.sides == 2 else 0)
    for k in range(3):
        band = 4 * np.sqrt(reject[k] * (1 - reject[k]) / n) + 1e-9
        assert np.mean(ended.rejected & (ended.look == k + 1)) == pytest.approx(reject[k], abs=band)
    assert ended.futile.mean() == pytest.approx((design.sides == 1) * exits.lower[:2].sum(), abs=4 * 0.5 / np.sqrt(n))
    assert design.information[ended.look - 1].mean() == pytest.approx(exits.expected, abs=4 * 0.3 / np.sqrt(n))


@pytest.mark.parametrize("name", DESIGNS)
def test_stagewise_p_decides_as_the_bounds_and_is_uniform(name):
    design, n = DESIGNS[name], 20_000
    ended = monitor(design, trials(design, 0.0, n, seed=4))
    level = design.alpha * design.sides
    assert ((ended.p <= level) == ended.rejected).all()
    if name != "non-binding":  # where futility stops make it conservative
        assert stats.kstest(ended.p, "uniform").pvalue > 1e-4
    inside = design.upper - 0.05
    at_bound = monitor(design, np.diag(design.upper) + np.tri(3, k=-1) * inside)
    spent = np.cumsum(exit_probabilities(design.information, design.upper, _counted(design)).upper)
    assert at_bound.p == pytest.approx(design.sides * spent, abs=1e-10)


@pytest.mark.parametrize("name", ["non-binding", "binding"])
def test_futility_p_is_counted_from_below(name):
    design = DESIGNS[name]
    inside = design.lower + 0.05
    at_bound = monitor(design, np.diag(design.lower) + np.tri(3, k=-1) * inside)
    assert at_bound.futile.tolist() == [True, True, False]
    expected = 1 - np.cumsum(design.exits(0).lower)
    np.testing.assert_allclose(at_bound.p[:2], expected[:2], atol=1e-11)


def _counted(design):
    return design.lower if design.sides == 2 or design.binding else None


def test_looks_not_taken_and_shapes():
    design = DESIGNS["one side"]
    z = np.array([[np.nan, 5.0, 0.0], [5.0, np.nan, np.nan], [0.0, 0.0, np.nan]])
    ended = monitor(design, z)
    assert ended.look.tolist() == [2, 1, 3]
    assert ended.rejected.tolist() == [True, True, False]
    assert np.isnan(ended.p).tolist() == [False, False, True]
    assert monitor(design, z.reshape(3, 1, 3)).p.shape == (3, 1)


def test_trials_without_a_statistic_stay_without_an_answer():
    design, two = DESIGNS["binding"], group_sequential([0.5, 1.0], POCOCK)
    z = np.array([[1.0, np.nan], [0.3, 2.0]])
    for found in (conditional_power(design, 1, z), predictive_power(design, 1, z), second_stage(two, z)):
        assert np.isnan(found).tolist() == [[False, True], [False, False]]
    assert conditional_power(design, 1, z)[1, 1] == pytest.approx(float(conditional_power(design, 1, 2.0)), abs=1e-12)
    assert np.isnan(conditional_power(design, 1, np.full(2, np.nan))).all()
    assert conditional_power(design, 1, np.empty((0, 3))).shape == (0, 3)


def test_power_of_one_look_to_come_has_closed_forms():
    design, z = group_sequential([0.4, 1.0], OF), np.linspace(-2, 3, 11)
    t, u = 0.4, design.upper[-1]
    c = (u - np.sqrt(t) * z) / np.sqrt(1 - t)
    np.testing.assert_allclose(conditional_power(design, 1, z, 3.0), special.ndtr(3 * np.sqrt(1 - t) - c), rtol=1e-12)
    trend = special.ndtr((z / np.sqrt(t) * np.sqrt(1 - t)) - c)
    np.testing.assert_allclose(conditional_power(design, 1, z), trend, rtol=1e-12)
    # Spiegelhalter et al. (1986), flat prior: Φ((z − u√t)/√(1 − t))
    np.testing.assert_allclose(predictive_power(design, 1, z), special.ndtr((z - u * np.sqrt(t)) / np.sqrt(1 - t)))


@pytest.mark.parametrize("prior", [(0.0, np.inf), (2.0, 1.5)])
@pytest.mark.parametrize("name", DESIGNS)
def test_predictive_power_is_conditional_power_averaged_over_the_posterior(name, prior):
    design, z = DESIGNS[name], 1.1
    t0, precision = design.information[0], prior[1] ** -2.0
    mean, sd = (z * np.sqrt(t0) + prior[0] * precision) / (t0 + precision), (t0 + precision) ** -0.5
    theta = mean + sd * np.linspace(-8, 8, 2001)
    weight = stats.norm.pdf(theta, mean, sd) * (theta[1] - theta[0])
    averaged = weight @ conditional_power(design, 1, np.full(2001, z), theta)
    assert predictive_power(design, 1, z, prior) == pytest.approx(averaged, abs=1e-9)


def test_certain_prior_and_distant_drifts():
    design = DESIGNS["one side"]
    sure = predictive_power(design, 1, [0.5, 1.5], (2.0, 1e-7))
    np.testing.assert_allclose(sure, conditional_power(design, 1, [0.5, 1.5], 2.0), atol=1e-7)
    far = conditional_power(design, 1, np.array([-30.0, 30.0]))
    np.testing.assert_allclose(far, [0, 1], atol=1e-12)
    with pytest.raises(InputError, match="separately"):
        exit_probabilities(looks(3), [9.0, 9.0, 2.0], mean=[[0.0, 0.0, 0.0], [300.0, 300.0, 300.0]])


def test_stages_and_looks_are_each_others_inverse():
    design = DESIGNS["one side"]
    z = trials(design, 0.5, 50, seed=5)
    stage = stagewise(z, design.information)
    weights = np.sqrt(np.diff(design.information, prepend=0.0))
    np.testing.assert_allclose(inverse_normal(stage, weights), z, rtol=1e-12)


def test_reestimated_second_stage_keeps_the_level_and_gives_the_power():
    design = group_sequential([0.5, 1.0], LDOF)
    z = np.array([0.8, 1.2, 1.8])
    factor = second_stage(design, z, design.drift, power=0.85, least=0.1, most=50.0)
    c = (design.upper[1] - np.sqrt(0.5) * z) / np.sqrt(0.5)
    reached = special.ndtr(design.drift * np.sqrt(0.5 * factor) - c)
    np.testing.assert_allclose(reached, 0.85, rtol=1e-12)
    rng, n = np.random.default_rng(6), 40_000
    first = rng.normal(size=n)
    grown = second_stage(design, first, least=0.5, most=3.0)
    assert set(np.unique(grown[(first >= design.upper[0])])) == {0.0}
    assert (grown[first <= 0] == 3.0).all()
    # Under no effect a stage is standard normal whatever its size: only the fixed weights keep the level.
    second = rng.normal(size=n)
    combined = inverse_normal(np.stack([first, second], axis=1), np.sqrt([0.5, 0.5]))
    assert monitor(design, combined).rejected.mean() == pytest.approx(0.025, abs=4 * np.sqrt(0.025 / n))
    size = np.where(grown > 0, grown, 1.0)
    naive = (first + second * np.sqrt(size)) / np.sqrt(1 + size)
    assert monitor(design, np.stack([first, naive], axis=1)).rejected.mean() > 0.0285


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rule("haybittle"), "lan-demets-pocock"),
        (lambda: Rule("wang-tsiatis"), "finite number"),
        (lambda: Rule("pocock", 0.5), "no parameter"),
        (lambda: Rule("power", -1.0), "above 0"),
        (lambda: group_sequential([0.5, 0.9], OF), "rise to 1"),
        (lambda: group_sequential([0.5, 0.5, 1], OF), "rise to 1"),
        (lambda: group_sequential(looks(2), OF, alpha=0.6, power=0.5), "alpha < power"),
        (lambda: group_sequential(looks(2), OF, sides=3), "1 or 2"),
        (lambda: group_sequential(looks(2), OF, Futility(LDOF), sides=2), "half the level"),
        (lambda: group_sequential(looks(2), LDOF, Futility(OF)), "power"),
        (lambda: exit_probabilities([1, 2], [1, 1], [2, 0]), "no higher"),
        (lambda: exit_probabilities([2, 1], [1, 1]), "rise"),
        (lambda: monitor(DESIGNS["one side"], [0.0, 1.0]), "one column a look"),
        (lambda: conditional_power(DESIGNS["one side"], 3, 1.0), "a look must follow"),
        (lambda: predictive_power(DESIGNS["one side"], 1, 1.0, (0.0, 0.0)), "above 0"),
        (lambda: inverse_normal([1.0, 1.0], [1.0, 0.0]), "positive weight"),
        (lambda: second_stage(DESIGNS["one side"], 1.0), "two looks"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
