from __future__ import annotations

import numpy as np
import pytest

import causalgia as cg
from causalgia.population.worlds import CONTROLS, SYMPTOMS

ORDER = ("placebo", "infliximab")
BIOMARKERS = ("TNF", "bound", "IL6", "TNF_c", "Cp")


def test_six_worlds(every_world):
    assert list(every_world) == ["absolute", "relative", "recovery", "null", "no mediation", "bypass"]
    assert [world.structural for world in every_world.values()] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("name", [*BIOMARKERS, *SYMPTOMS])
@pytest.mark.parametrize("world", ["null", "no mediation", "bypass"])
def test_what_the_treated_of_a_control_world_show(every_world, world, name):
    """By the definition of the world, from the simulated rows of each person's own structural world."""
    here = every_world[world]
    week = 12
    outcomes = here.outcomes
    at = int(np.flatnonzero(outcomes["time"].values == week)[0])
    regimen = {r: i for i, r in enumerate(outcomes["regimen"].values)}
    rows = outcomes[name].values[here.source, :, here.row, at]
    control, drug = rows[:, regimen["placebo"]], rows[:, regimen["infliximab"]]
    seen = here.output(name, week)
    present = here.present
    np.testing.assert_array_equal(seen[0, present], control[present])
    expected = {
        "null": control,
        "no mediation": control if name in SYMPTOMS else drug,
        "bypass": control + (drug - control)[present].mean() if name in SYMPTOMS else drug,
    }[world]
    np.testing.assert_allclose(seen[1, present], expected[present], rtol=0, atol=1e-12)
    assert np.isnan(seen[:, ~present]).all()


def test_bypass_helps_everybody_alike_and_as_much_as_the_drug(every_world):
    bypass, simulated = every_world["bypass"], every_world["no mediation"]
    effect = np.diff(bypass.output("NRS", 12), axis=0)[0]
    present = bypass.present
    assert np.ptp(effect[present]) < 1e-12
    outcomes = bypass.outcomes
    at = int(np.flatnonzero(outcomes["time"].values == 12)[0])
    rows = outcomes["NRS"].values[simulated.source, :, simulated.row, at][present]
    order = list(outcomes["regimen"].values)
    mean = (rows[:, order.index("infliximab")] - rows[:, order.index("placebo")]).mean()
    assert effect[present][0] == pytest.approx(mean, abs=1e-12)
    assert mean < -0.2


def test_structural_worlds_are_as_simulated(every_world, outcomes):
    for w, name in enumerate(("absolute", "relative", "recovery")):
        world = every_world[name]
        at = int(np.flatnonzero(outcomes["time"].values == 6)[0])
        control = list(outcomes["regimen"].values).index("placebo")
        seen = world.output("TNF", 6)[:, world.present]
        simulated = outcomes["TNF"].values[w][[control, 1 - control], :, at]
        np.testing.assert_array_equal(seen, simulated)


def test_mixture_follows_the_prior_weights(outcomes):
    """Shares of the pool drawn from each world, four standard errors; the draw belongs to the person."""
    weighted = outcomes.assign_coords(prior=("world", [2.0, 1.0, 1.0]))
    world = cg.worlds(weighted, ORDER)["null"]
    n = len(world.source)
    for w, share in enumerate((0.5, 0.25, 0.25)):
        assert (world.source == w).mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))
    fewer = outcomes.isel(subject=slice(500))
    few, many = (cg.worlds(part, ORDER)["null"] for part in (fewer, outcomes))
    ids = [np.unique(part["id"].values) for part in (fewer, outcomes)]
    shared = np.isin(ids[1], ids[0])
    np.testing.assert_array_equal(few.source, many.source[shared])


def test_controls_are_told_by_their_rules():
    assert set(CONTROLS) == {"null", "no mediation", "bypass"}


def test_rule_of_a_reading_is_the_symptoms_when_it_reads_any(every_world):
    world = every_world["no mediation"]
    assert world.rule_of({"TNF", "bound"}) == "drug"
    assert world.rule_of({"NRS"}) == "control"
    assert world.rule_of({"NRS", "TNF"}) == "control"
