from __future__ import annotations

import numpy as np
import pytest

import causalgia as cg
from causalgia.documents import Drug, InputError
from causalgia.documents.streams import normals
from causalgia.population.dosing import drug_values
from causalgia.population.outcomes import simulate


def test_a_smaller_sample_is_the_beginning_of_a_larger(population):
    few, many = population.sample(100, seed=7), population.sample(400, seed=7)
    first = many.isel(subject=slice(100))
    for name in few.data_vars:
        if name not in ("injured", "failed"):
            np.testing.assert_array_equal(few[name].values, first[name].values, err_msg=str(name))
    assert (many["injured"].values > few["injured"].values).all()


def test_a_seed_is_reproduced_and_another_seed_is_other_people(population):
    one, again, other = (population.sample(64, seed=seed) for seed in (7, 7, 8))
    assert one.identical(again)
    assert not np.isin(one["weight"].values, other["weight"].values).any()


def test_a_person_is_the_same_in_every_world(patients):
    """Same number, same covariates and same parameters that no world changes."""
    ids, symbols = patients["id"].values, list(patients["symbol"].values)
    shared, at_0, at_1 = np.intersect1d(ids[0], ids[1], return_indices=True)
    assert len(shared) > 500
    for name in ("weight", "age", "albumin", "female", "PEF", "PHA", "duration"):
        np.testing.assert_array_equal(patients[name].values[0, at_0], patients[name].values[1, at_1])
    for symbol in ("tau", "wT", "kG", "D50", "vC"):
        j = symbols.index(symbol)
        np.testing.assert_array_equal(
            patients["parameter"].values[0, at_0, j], patients["parameter"].values[1, at_1, j]
        )


def test_people_are_enrolled_in_the_order_of_their_injury(patients):
    ids = patients["id"].values
    assert (np.diff(ids, axis=1) > 0).all()
    np.testing.assert_array_equal(patients["injured"].values, ids[:, -1] + 1)


def test_covariates_stay_in_their_ranges(patients, population):
    for name, entry in population.condition.covariates.items():
        values = patients[name].values
        if entry.range is not None:
            assert entry.range[0] <= values.min() and values.max() <= entry.range[1]
    assert set(np.unique(patients["female"].values)) == {0.0, 1.0}
    low, high = population.condition.history.entry.range
    assert low <= patients["duration"].values.min() and patients["duration"].values.max() <= high


def test_everybody_enrolled_meets_the_criteria(patients, population):
    """Recomputed from the states by hand: pain and two of three signs."""
    for w in range(patients.sizes["world"]):
        x = dict(zip(patients["compartment"].values, patients["state"].values[w].T, strict=True))
        p = dict(zip(patients["symbol"].values, patients["parameter"].values[w].T, strict=True))
        D = p["vP"] * x["P"] + p["vG"] * x["G"]
        signs = (np.abs(x["dTemp"]) >= 1).astype(int) + (x["Oed"] >= 4) + (x["Motor"] <= 0.65)
        assert (10 * D**2 / (p["D50"] ** 2 + D**2) >= 4 - 1e-9).all()
        assert (signs >= 2).all()


def test_correlated_random_effects(population):
    """CL and V1: 0.123; nothing else of the drug is tied to them. Bands of four standard errors."""
    people = 20_000
    drug = Drug.load("infliximab")
    covariates = population.draw("absolute", people, seed=3)
    from causalgia.population.draw import draw

    values = draw(drug.values, 3, people, covariates, drug.correlations)
    weight, albumin = covariates["weight"], covariates["albumin"]
    cl = np.log(values["CL"] / ((weight / 70) ** 0.666 * (albumin / 44) ** -0.826))
    v1 = np.log(values["V1"] / (weight / 70) ** 0.385)
    band = 4 / np.sqrt(people)
    rho = drug.correlations["CL ~ V1"].value
    assert np.corrcoef(cl, v1)[0, 1] == pytest.approx(rho, abs=band)
    assert np.corrcoef(cl, np.log(values["Kss"]))[0, 1] == pytest.approx(0, abs=band)
    assert cl.std() == pytest.approx(np.sqrt(np.log1p(0.341**2)), rel=band)
    assert np.exp(cl.mean()) == pytest.approx(0.273, rel=4 * 0.33 / np.sqrt(people))
    t0, il60 = (np.log(population.draw("relative", people, seed=3)[name]) for name in ("T0", "IL60"))
    ranks = [np.argsort(np.argsort(x)) for x in (t0, il60)]
    assert np.corrcoef(*ranks)[0, 1] == pytest.approx(6 / np.pi * np.arcsin(0.5 / 2), abs=band)


def test_a_parameter_draws_from_the_stream_of_its_name(population):
    values = population.draw("absolute", 50, seed=11)
    entry = population.entries["wT"]
    np.testing.assert_array_equal(values["wT"], entry.individual(normals(11, "random effect", "wT", size=50)))


def test_formulas_follow_the_person(population):
    values = population.draw("relative", 50, seed=2)
    np.testing.assert_allclose(values["T50"], 31 / 8 * values["T0"], rtol=1e-14)
    np.testing.assert_allclose(values["IL650"], 10 * values["IL60"], rtol=1e-14)


def test_drug_parameters_belong_to_the_person_not_to_the_protocol(population, patients):
    """The ungated trial and fewer subjects change nobody's clearance or response."""
    few = patients.isel(subject=slice(50))
    drug = Drug.load("infliximab")
    for w in range(3):
        every, some = (drug_values(population, drug, "intravenous", part.isel(world=w)) for part in (patients, few))
        for name in every:
            np.testing.assert_array_equal(every[name][:50], some[name])
    gated = simulate(cg.Protocol.load("gated-infliximab"), few)
    ungated = simulate(cg.Protocol.load("ungated-infliximab"), few)
    np.testing.assert_array_equal(gated["NRS"].values, ungated["NRS"].values)


@pytest.mark.parametrize("subjects", [0, -3])
def test_nobody_cannot_be_sampled(population, subjects):
    with pytest.raises(InputError, match="at least 1"):
        population.sample(subjects, seed=1)


def test_criteria_that_nobody_meets(write):
    path = write("conditions", "crps-acute", ("NRS >= 4", "NRS >= 11"))
    with pytest.raises(InputError, match=r"history\.criteria.*Relax"):
        cg.Population.load(path).sample(20, seed=1)


def test_time_units_of_a_condition_are_converted(write, population):
    changes = [
        (
            'entry = { value = 90, unit = "day", log_sd = 0.6, range = [28, 365]',
            'entry = { value = 12.857142857142858, unit = "week", log_sd = 0.6, range = [4, 52.142857142857146]',
        ),
        ('PHA = { value = 27.7, unit = "day"', 'PHA = { value = 664.8, unit = "hour"'),
    ]
    weeks = write("conditions", "crps-acute", *changes)
    text = weeks.read_text().replace("uncertainty = [60, 120]", "uncertainty = [8, 17]")
    weeks.write_text(text)
    one, two = population.sample(30, seed=4), cg.Population.load(weeks, prior=True).sample(30, seed=4)
    np.testing.assert_array_equal(one["id"].values, two["id"].values)
    np.testing.assert_allclose(one["duration"].values, two["duration"].values, rtol=1e-12)
    np.testing.assert_allclose(one["PHA"].values, two["PHA"].values, rtol=1e-12)
