from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import causalgia as cg
from causalgia.design.batch import CHARACTERISTICS
from causalgia.design.evaluate import check_room, evaluate
from causalgia.design.gate import GATE, Raised, gate_figures
from causalgia.design.plan import wounds_per_subject
from causalgia.documents import InputError, Instrument
from causalgia.trial.visits import latent

STRUCTURAL = ["absolute", "relative", "recovery"]


@pytest.fixture(scope="module")
def characteristics(protocol, outcomes):
    return evaluate(protocol.with_options(None, 2000, (16, 40)), outcomes, seed=5, workers=2)


def cell(characteristics, name, world, size):
    here = characteristics.sel(world=world, size=size)
    return float(here[name]), float(here[f"{name}_se"])


def test_null_rejects_at_alpha_and_covers(characteristics):
    """At 40 the analysis of covariance decides: 5 % and 95 % within four Monte Carlo errors."""
    share, se = cell(characteristics, "relieved", "null", 40)
    assert share == pytest.approx(0.05, abs=4 * se)
    for world in ("null", "no mediation"):
        for size in (16, 40):
            share, se = cell(characteristics, "coverage", world, size)
            assert share == pytest.approx(0.95, abs=4 * se)


@pytest.mark.parametrize("world", ["null", "no mediation"])
def test_exact_test_never_exceeds_alpha(characteristics, world):
    share, se = cell(characteristics, "relieved", world, 16)
    assert share <= 0.05 + 4 * se
    assert share > 0.02, "nor is it idle"


def test_null_lowers_nothing(characteristics):
    for size in (16, 40):
        share, se = cell(characteristics, "lowered", "null", size)
        assert share <= 0.05 + 4 * se
        assert cell(characteristics, "truth_lowered", "null", size) == (0, 0)
        bias, se = cell(characteristics, "bias_lowered", "null", size)
        assert abs(bias) < 4 * se


@pytest.mark.parametrize("world", [*STRUCTURAL, "null", "no mediation"])
@pytest.mark.parametrize("size", [16, 40])
def test_estimates_of_relief_are_unbiased(characteristics, world, size):
    """Readings are clipped at 0 and 10 points, which costs little: 0.05 points beside four standard errors."""
    bias, se = cell(characteristics, "bias", world, size)
    assert abs(bias) < 4 * se + 0.05


@pytest.mark.parametrize("world", STRUCTURAL)
def test_intervals_cover_the_truth(characteristics, world):
    """The effect differs between people, so the interval of the mean is a little wide: never below 95 %."""
    share, se = cell(characteristics, "coverage", world, 40)
    assert 0.95 - 4 * se <= share <= 0.99


def test_truth_is_the_worlds(characteristics, every_world, protocol):
    """No relief without mediation, one effect for everybody under bypass, the drug's elsewhere."""
    for size in (16, 40):
        for world in ("null", "no mediation"):
            assert cell(characteristics, "truth", world, size) == (0, 0)
        effect = np.diff(every_world["bypass"].output("NRS", 12), axis=0)[0]
        truth, se = cell(characteristics, "truth", "bypass", size)
        assert truth == pytest.approx(np.nanmean(effect), abs=1e-9)
        assert se < 1e-9
    for world in STRUCTURAL:
        everybody = np.nanmean(np.diff(every_world[world].output("NRS", 12), axis=0))
        truth, se = cell(characteristics, "truth", world, 40)
        assert everybody - 0.5 < truth < 0
        assert truth < everybody + 4 * se, "the gate chooses those who gain more, or the same"


def test_a_claim_needs_both_endpoints(characteristics):
    claim = characteristics["claim"].values
    assert (claim <= np.minimum(characteristics["lowered"], characteristics["relieved"]).values + 1e-12).all()
    share, se = cell(characteristics, "claim", "no mediation", 40)
    assert share <= 0.05 + 4 * se


def test_low_stratum_is_capped(characteristics):
    assert (characteristics["low"].values <= 0.25).all()
    assert (characteristics["low"].values > 0.15).all()


def test_cost_follows_from_screening(characteristics, protocol):
    screened = characteristics["screened"]
    assert (screened.values > characteristics["size"].values).all()
    months = screened / 4 + 28 * 7 / (365.25 / 12)
    np.testing.assert_allclose(characteristics["months"].values, months.values, rtol=1e-12)
    assert wounds_per_subject(protocol) == 16
    np.testing.assert_array_equal(characteristics["wounds"].values[0], [16 * 16, 40 * 16])


def test_every_number_has_an_error(characteristics):
    for name in (*CHARACTERISTICS, *GATE):
        values, errors = characteristics[name].values, characteristics[f"{name}_se"].values
        assert (np.isfinite(errors) == np.isfinite(values)).all(), name
        assert (errors[np.isfinite(errors)] >= 0).all()


@pytest.fixture(scope="module")
def few(protocol):
    return protocol.with_options(None, 60, (8, 20, 40))


@pytest.fixture(scope="module")
def counted(few, outcomes):
    done = []
    return evaluate(few, outcomes, seed=9, workers=1, progress=done.append), done


def test_workers_change_nothing(counted, few, outcomes):
    assert counted[0].identical(evaluate(few, outcomes, seed=9, workers=2))


def test_another_seed_is_another_experiment(counted, few, outcomes):
    other = evaluate(few, outcomes, seed=10, workers=2)
    assert not np.isclose(counted[0]["bias"].values, other["bias"].values, rtol=1e-6).any()


def test_sizes_are_nested(counted, few, outcomes):
    """Asked alone, a size gives what it gives among larger ones, but for the rounding of sums."""
    alone = evaluate(few.with_options(None, None, (20,)), outcomes, seed=9, workers=2)
    for name in CHARACTERISTICS:
        np.testing.assert_allclose(alone[name].values[:, 0], counted[0][name].values[:, 1], rtol=1e-10, err_msg=name)


def test_progress_counts_every_trial(counted):
    assert sum(counted[1]) == 60 * 3 * 6


def test_a_size_that_the_pool_cannot_fill(protocol):
    with pytest.raises(InputError, match="at most 2000"):
        check_room(protocol.with_options(None, None, (2001,)))
    check_room(protocol.with_options(None, None, (2000,)))


def test_a_gate_that_nobody_passes_is_refused(write, outcomes):
    gated = cg.Protocol.load(write("protocols", "gated-infliximab", ("> 31 pg/mL", "> 1000000000 pg/mL")))
    with pytest.raises(InputError, match="a gate that somebody passes"):
        evaluate(gated.with_options(None, 20, (16,)), outcomes, seed=1, workers=1)


def gate_by_hand(protocol, world):
    """Figures of a gate by integration over the error: reading = latent + normal error of known SD, for each person."""
    gate, instrument = protocol.gate, Instrument.load(protocol.gate.measure)
    sd = np.hypot(instrument.day_error.value, instrument.replicate_error.value / np.sqrt(2))
    present = world.present
    first, again = (latent(world, instrument, gate.side, week)[0][present] for week in (gate.at, 0.0))
    truth = world.output("TNF", gate.at)[0][present] > gate.parsed.limit
    decline = np.log(world.output("TNF", 0)[0] / world.output("TNF", gate.at)[0])[present]
    away = (np.log(gate.parsed.limit) - first) / sd
    passes = norm.sf(away)
    return {
        "passes": passes.mean(),
        "sensitivity": passes[truth].mean(),
        "specificity": 1 - passes[~truth].mean(),
        "ppv": passes[truth].sum() / passes.sum(),
        "npv": (1 - passes)[~truth].sum() / (1 - passes).sum(),
        "regression": np.exp(((again - first) * passes - sd * norm.pdf(away)).sum() / passes.sum()),
        "decline": np.exp((decline * passes).sum() / passes.sum()),
    }


@pytest.mark.parametrize("world", [*STRUCTURAL, "null"])
def test_gate_figures_are_those_of_integration(characteristics, every_world, protocol, world):
    """Assay's limit apart, which censors few of those who pass: 0.005 beside four standard errors."""
    expected = gate_by_hand(protocol, every_world[world])
    for name, value in expected.items():
        seen, se = (float(characteristics[key].sel(world=world)) for key in (name, f"{name}_se"))
        assert seen == pytest.approx(value, abs=4 * se + 0.005), name


def test_regression_to_the_mean_of_a_log_normal():
    """E[again - reading | reading > c] = -s²/v φ(a)/(1 - Φ(a)), v² = t² + s², a = (c - m)/v: no true change at all."""
    rng = np.random.default_rng(8)
    n, m, t, s, c = 400_000, np.log(25), 0.8, 0.33, np.log(31)
    true = rng.normal(m, t, n)
    reading, again = true + rng.normal(0, s, n), true + rng.normal(0, s, n)
    passes, here = reading > c, np.ones(n, bool)
    raised = Raised(true > c, np.zeros(n))
    seen = gate_figures(here[None], passes[None], raised, np.arange(n)[None], (again - reading)[None])
    v = np.hypot(t, s)
    a = (c - m) / v
    expected = -(s**2) / v * norm.pdf(a) / norm.sf(a)
    band = 4 * np.sqrt(2) * s / np.sqrt(passes.sum())
    assert np.log(seen["regression"]) == pytest.approx(expected, abs=band)
    assert seen["decline"] == 1
    assert expected < -0.1, "an apparent fall without any effect"


def test_gate_figures_by_counting():
    passes = np.array([[True, True, False, False, True]])
    above = np.array([True, False, True, False, True])
    here = np.array([[True, True, True, True, False]])
    rise = np.log([[0.5, 0.5, 9.0, 9.0, 9.0]])
    seen = gate_figures(here, passes, Raised(above, np.log([0.8] * 5)), np.arange(5)[None], rise)
    assert seen == pytest.approx(
        {
            "passes": 0.5,
            "sensitivity": 0.5,
            "specificity": 0.5,
            "ppv": 0.5,
            "npv": 0.5,
            "regression": 0.5,
            "decline": 0.8,
        }
    )


def test_a_gate_that_nobody_passes_has_no_predictive_value():
    nobody = np.zeros((1, 4), bool)
    seen = gate_figures(
        ~nobody, nobody, Raised(np.array([True] * 4), np.zeros(4)), np.arange(4)[None], np.zeros((1, 4))
    )
    assert np.isnan(seen["ppv"]) and np.isnan(seen["regression"]) and np.isnan(seen["specificity"])
    assert seen["sensitivity"] == 0


def test_fixed_totals_are_evaluated_with_the_exact_test(outcomes):
    """Dirckx 2013: 13 randomised, all 1716 allocations; the null rejects at most at 5 %."""
    protocol = cg.Protocol.load("dirckx-2013").with_options(2000, 240, (13,))
    simulated = cg.simulate(protocol, cg.Population.load("crps-acute").sample(2000, seed=1))
    seen = evaluate(protocol, simulated, seed=2, workers=2)
    share, se = cell(seen, "relieved", "null", 13)
    assert share <= 0.05 + 4 * se
    assert not [name for name in GATE if name in seen]
    assert np.isnan(seen["spared"].values).all(), "nobody is below a gate"
    assert np.isnan(seen["mediated"].values).all(), "6 and 7 are too few"
