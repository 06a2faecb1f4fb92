"""Trials of other shapes than two blinded arms: what they estimate, against truth worked out beside them."""

from __future__ import annotations

import numpy as np
import pytest

import causalgia as cg
from causalgia.design.evaluate import evaluate
from causalgia.documents import InputError
from causalgia.trial.harm import harm_rates

SUBJECTS = 600
STRUCTURAL = ("absolute", "relative", "recovery")


def simulated(name, *, sizes=None, replicates=400):
    protocol = cg.Protocol.load(name).with_options(SUBJECTS, replicates, sizes)
    patients = cg.Population.load(protocol.population.condition).sample(SUBJECTS, seed=4)
    return protocol, cg.simulate(protocol, patients)


def cell(characteristics, name, **where):
    here = characteristics.sel(**where).isel(size=-1)
    return float(here[name]), float(here[f"{name}_se"])


def test_every_arm_is_compared_with_control():
    protocol, outcomes = simulated("targan-1997")
    found = evaluate(protocol, outcomes, seed=2, workers=1)
    assert list(found["comparison"].values) == list(protocol.order[1:])
    assert found["size"].values[-1] == protocol.evaluation.sizes[-1]
    for arm in protocol.order[1:]:
        share, se = cell(found, "relieved", comparison=arm, world="null")
        assert share <= 0.05 + 4 * se
        share, se = cell(found, "coverage", comparison=arm, world="relative")
        assert share == pytest.approx(0.95, abs=4 * se + 0.01)  # Miettinen-Nurminen on discrete tables
        screened, _ = cell(found, "screened", comparison=arm, world="null")
        assert screened == pytest.approx(protocol.evaluation.sizes[-1], rel=0.05), "of all arms, none is gated out"


def test_a_pair_has_the_sizes_of_its_two_arms():
    protocol = cg.Protocol.load("lipsky-attract")
    pair = protocol.pair(protocol.order[2])
    assert set(pair.arms) == {protocol.control, protocol.order[2]}
    assert pair.evaluation.sizes[-1] == round(protocol.evaluation.sizes[-1] * protocol.share(protocol.order[2]))


def test_one_arm_credits_the_drug_with_all_that_happens():
    """In every world the change is the drug's effect plus the untreated course and what people expect."""
    protocol, outcomes = simulated("eisenberg-2013")
    found = evaluate(protocol, outcomes, seed=2, workers=1)
    endpoint = protocol.endpoints.relieved
    days = {week: int(np.flatnonzero(outcomes["time"].values == week)[0]) for week in (endpoint.baseline, endpoint.at)}
    for w, world in enumerate(STRUCTURAL):
        nrs = outcomes["NRS"].values[w]
        before, without = nrs[0, :, days[endpoint.baseline]], nrs[0, :, days[endpoint.at]]
        left = outcomes["expectation"].values[w, :, days[endpoint.at]]
        with_drug = nrs[1, :, days[endpoint.at]]
        truth, se = cell(found, "truth", world=world)
        assert truth == pytest.approx((with_drug - without).mean(), abs=4 * se)
        bias, se = cell(found, "bias", world=world)
        natural = (without - before).mean() + (with_drug * (left - 1)).mean()
        assert bias == pytest.approx(natural, abs=4 * se + 0.05)  # the scale ends at 0 and 10
        assert bias < -0.5, "a positive result without any control"
    truth, _ = cell(found, "truth", world="null")
    assert truth == 0


def test_crossover_compares_within_people():
    protocol, outcomes = simulated("goebel-2010")
    found = evaluate(protocol, outcomes, seed=2, workers=1)
    endpoint = protocol.endpoints.relieved
    first, second = (int(np.flatnonzero(outcomes["time"].values == week)[0]) for week in endpoint.visits[1:])
    for w, world in enumerate(STRUCTURAL):
        control, drug = outcomes["NRS"].values[w]
        half = ((drug[:, first] - drug[:, second]) - (control[:, first] - control[:, second])) / 2
        truth, se = cell(found, "truth", world=world)
        assert truth == pytest.approx(half.mean(), abs=4 * se + 1e-12)
        share, se = cell(found, "coverage", world=world)
        assert share == pytest.approx(0.95, abs=4 * se)


def test_open_arms_gain_from_expectation_in_the_null_world_too():
    protocol, outcomes = simulated("karppinen-2003", replicates=2000)
    world = cg.worlds(outcomes, protocol.order, protocol.aware)["null"]
    control, drug = world.output("NRS", 12.0)
    here = world.present
    assert (drug[here] < control[here]).all()
    blind = world.output("NRS", 12.0, expectation=False)
    np.testing.assert_array_equal(blind[0][here], blind[1][here])
    found = evaluate(protocol, outcomes, seed=2, workers=1)
    assert cell(found, "truth", world="null")[0] >= 0
    assert cell(found, "truth", world="no mediation")[0] == pytest.approx(
        cell(found, "truth", world="null")[0], abs=0.02
    )


def test_contrast_by_duration():
    protocol, outcomes = simulated("acute-vs-chronic", sizes=(160,), replicates=600)
    found = evaluate(protocol, outcomes, seed=2, workers=1)
    week = int(np.flatnonzero(outcomes["time"].values == protocol.endpoints.relieved.at)[0])
    for w, world in enumerate(STRUCTURAL):
        effect = np.diff(outcomes["NRS"].values[w, :, :, week], axis=0)[0]
        long = np.floor(outcomes["duration"].values[w]) > protocol.contrast.cut_days
        expected = effect[long].mean() - effect[~long].mean()
        truth, se = cell(found, "contrast_truth", world=world)
        assert truth == pytest.approx(expected, abs=4 * se)
        estimate, se = cell(found, "contrast", world=world)
        assert estimate == pytest.approx(truth, abs=4 * se)


def test_two_drugs_harm_by_both():
    protocol = cg.Protocol.load("steroid-with-thalidomide")
    free, single, both = (
        next(n for n, a in protocol.arms.items() if len({c.drug for c in a.courses}) == k) for k in (0, 1, 2)
    )
    for event in harm_rates(protocol):
        assert event.rates[free] == pytest.approx(event.control.typical)
        alone = [entry.typical for entry in event.drugs.values()]
        spared = 1 - event.control.typical
        expected = 1 - spared * np.prod([(1 - rate) / spared for rate in alone])
        assert event.rates[both] == pytest.approx(min(max(expected, 0), 1))
        if len(alone) == 1 and event.rates[single] != event.rates[free]:
            assert event.rates[single] == pytest.approx(alone[0])


def test_harm_follows_the_dose(write):
    low = cg.Protocol.load("ungated-infliximab")
    high = cg.Protocol.load(write("protocols", "ungated-infliximab", ('"5 mg/kg"', '"10 mg/kg"')))
    rates = [{e.term: e.rates["infliximab"] for e in harm_rates(p)}["serious infection"] for p in (low, high)]
    assert rates[1] > rates[0]


def test_two_drugs_of_a_kind_are_refused(write):
    text = (
        '[arms.infliximab]\ndrug = "infliximab"\nroute = "intravenous"\ndose = "5 mg/kg"\nat = [0, 2, 6]\nunit = "week"'
    )
    two = "\n".join(
        f'[[arms.infliximab.combine]]\ndrug = "{drug}"\nroute = "{route}"\ndose = "40 mg"\nat = [0]'
        for drug, route in (("infliximab", "intravenous"), ("adalimumab", "subcutaneous"))
    )
    protocol = cg.Protocol.load(write("protocols", "ungated-infliximab", (text, two)))
    patients = cg.Population.load("crps-acute").sample(40, seed=1)
    with pytest.raises(InputError, match="one drug of a kind"):
        cg.simulate(protocol, patients)
