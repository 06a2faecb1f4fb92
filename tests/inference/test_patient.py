from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from causalgia.documents import Condition, Drug, InputError, Instrument
from causalgia.documents.arms import Arm
from causalgia.documents.parameters import Parameter
from causalgia.documents.patient import Patient, Series
from causalgia.documents.reader import LIBRARY
from causalgia.documents.weighing import Therapies, Weights
from causalgia.inference.patients import consider
from causalgia.inference.patients.after import after, measured_change
from causalgia.inference.patients.alike import alike, outside
from causalgia.inference.patients.before import Local, before, local, quantiles
from causalgia.inference.patients.people import People, systematic
from causalgia.inference.patients.seen import Seen, counted, latent, seen
from causalgia.inference.patients.series import pooled
from causalgia.inference.patients.weigh import published
from causalgia.measurement.readings import Noise, Readings, logpdf, read
from causalgia.population.patients import Population
from causalgia.population.posterior import Posterior

FULL = Therapies.load("standard")
FEW = ("infliximab-iv", "adalimumab-sc", "prednisolone-oral")  # kernels are compiled once a session: three are enough
PEOPLE = 20_000


def considered(patient, weights=None):
    return consider(patient, weights, therapies=FEW, people=PEOPLE)


@pytest.fixture(scope="module")
def raised():
    return considered(Patient.load("synthetic-raised"))


@pytest.fixture(scope="module")
def low():
    return considered(Patient.load("synthetic-low"))


@pytest.fixture(scope="module")
def treated():
    return considered(Patient.load("synthetic-treated"))


def of(table, name):
    return next(row for row in table["weigh"]["therapies"] if row["name"] == name)


def altered(name, **updates):
    return Patient.load(name).model_copy(update=updates)


# The observation model's density


def log_readings(*values, limit=2.0):
    y = np.log(np.asarray(values, float))
    return Readings(y, y <= np.log(limit) + 1e-12)


def test_density_of_exact_replicates_is_a_normal_with_a_shared_day():
    page = Instrument.load("blister-tnf")
    found = logpdf(page, np.log([20.0, 45.0]), log_readings(31.0, 40.0, 28.0))
    covariance = 0.3**2 * np.ones((3, 3)) + 0.2**2 * np.eye(3)
    for mu, value in zip(np.log([20.0, 45.0]), found, strict=True):
        expected = stats.multivariate_normal([mu] * 3, covariance).logpdf(np.log([31.0, 40.0, 28.0]))
        assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("latent", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("values", [(2.0, 2.0), (2.0, 2.6), (2.0,), (2.0, 2.0, 3.1, 4.0)])
def test_density_with_readings_below_the_limit_is_an_integral_over_the_day(values, latent):
    page, y = Instrument.load("blister-tnf"), log_readings(*values)
    mu = np.log(latent)

    def given(day):
        exact = stats.norm.pdf(y.value[~y.below], mu + day, 0.2).prod()
        return stats.norm.pdf(day, 0, 0.3) * exact * stats.norm.cdf((np.log(2) - mu - day) / 0.2) ** y.below.sum()

    expected = integrate.quad(given, -3, 3, points=np.linspace(-1.5, 1.5, 7), epsabs=0, epsrel=1e-11, limit=400)[0]
    assert np.exp(logpdf(page, np.array(mu), y)) == pytest.approx(expected, rel=1e-7)


def test_density_below_the_limit_is_how_often_read_says_so():
    page, n = Instrument.load("blister-tnf"), 40_000
    rng = np.random.default_rng(3)
    noise = Noise(rng.standard_normal(n), rng.standard_normal((2, n)))
    both = read(page, np.full(n, np.log(2.3)), noise).below.all(axis=0).mean()
    expected = float(np.exp(logpdf(page, np.array(np.log(2.3)), log_readings(2.0, 2.0))))
    assert both == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


@pytest.mark.parametrize("latent", [0.2, 7.4, 15.8])
def test_density_of_a_rounded_score_sums_to_one(latent):
    page = Instrument.load("css")
    steps = [Readings(np.array([float(k)]), np.array([False])) for k in range(17)]
    assert sum(np.exp(logpdf(page, np.array(latent), step)) for step in steps) == pytest.approx(1, abs=1e-12)


# Weights


def people_of(level, weight=None):
    """A Local of given levels, as if nothing else were known."""
    n = len(level)
    return Local(
        Instrument.load("blister-tnf"), None, None, level, None, np.full(n, 1 / n) if weight is None else weight
    )


@pytest.fixture(scope="module")
def unread():
    return alike(Patient.load("synthetic-raised"), [], 6000, 1).people


def test_people_are_as_long_ill_and_of_the_same_body(unread):
    for part in unread.worlds:
        assert (part["duration"] == 70).all() and (part["weight"] == 68).all() and (part["female"] == 1).all()
        assert part["recovery"].dims == ("subject",) and part["state"].std("subject").max() > 0
        assert len(set(part["id"].values.tolist())) == part.sizes["subject"]
    assert unread.weight.sum() == pytest.approx(1, rel=1e-12)
    weights = np.array(list(Posterior.load("crps").weights.values()))
    np.testing.assert_allclose(unread.shares, weights / weights.sum(), rtol=1e-3)


@pytest.mark.parametrize("prior", [False, True])
def test_people_are_those_whom_a_trial_enrols_weighted_by_the_likelihood(prior):
    """The slow twin: people of `Population.sample`, weighted by the same readings, without any proposal."""
    patient = Patient.load("synthetic-raised")
    sights = [s for s in seen(patient, 0.15) if s.instrument.name == "nrs" or s.key == ("blister-tnf", "affected")]
    found = alike(patient, sights, 8000, 1, prior=prior)
    population = Population.load("crps-acute", prior=prior)
    history = population.condition.history.model_copy(update={"entry": patient.entry})
    twin = replace(population, condition=population.condition.model_copy(update={"history": history}))
    sample, each = twin.sample(6000, seed=5), 6000
    share = sample["prior"].values / sample["prior"].values.sum()
    pool = People(twin, tuple(sample.isel(world=w) for w in range(3)), np.repeat(share / each, each), share, each)

    def outcomes(people):
        course = people.course(Arm(), [0.0, 84.0])
        tnf = latent(people.of("recovery"), Instrument.load("blister-tnf"), "affected", course)
        return np.column_stack([np.log(tnf), course["NRS"], course["dTemp"], course["Oed"], course["Motor"]]), course

    values, course = outcomes(pool)
    log = np.zeros(len(values))
    for sight in sights:
        now = {name: value[:, :1] for name, value in course.items()}
        log += sight.log_likelihood(latent(pool.of("recovery"), sight.instrument, sight.side, now)[:, 0])
    weight = pool.weight * np.exp(log - log.max())
    weight /= weight.sum()
    ours = outcomes(found.people)[0]

    def moments(x, w):
        mean = w @ x
        return mean, np.sqrt(w @ (x - mean) ** 2), np.sqrt(w**2 @ (x - mean) ** 2)

    (mean, sd, se), (twins, twins_sd, twins_se) = moments(ours, found.people.weight), moments(values, weight)
    assert found.people.ess > 600
    assert (np.abs(mean - twins) < 4 * np.hypot(se, twins_se)).all()
    np.testing.assert_allclose(sd, twins_sd, rtol=0.15)


def test_a_sum_score_is_not_counted_beside_its_components():
    sights = seen(Patient.load("synthetic-raised"), 0.15)
    assert {s.instrument.name for s in sights} - {s.instrument.name for s in counted(sights)} == {"iss", "css"}
    without_motor = [s for s in sights if s.instrument.name != "motor"]
    assert len(counted(without_motor)) == len(without_motor)


def test_nobody_who_meets_the_criteria_is_told(tmp_path):
    page = (LIBRARY / "conditions" / "crps-acute.toml").read_text()
    never = tmp_path / "never.toml"
    never.write_text(re.sub(r'(?m)^criteria = ".*"$', 'criteria = "NRS > 10"', page))
    patient = altered("synthetic-raised", condition=str(never))
    with pytest.raises(InputError, match="none of 1,998 virtual patients who meets them after so long"):
        alike(patient, [], 4000, 1)


def test_systematic_resampling_keeps_the_shares_and_makes_new_people(unread):
    weight = np.exp(np.random.default_rng(0).normal(size=len(unread.weight)))
    weight /= weight.sum()
    counts = np.bincount(systematic(weight, 500, 1), minlength=len(weight))
    assert (np.abs(counts - 500 * weight) < 1 + 1e-9).all()
    equal = replace(unread, weight=weight).resampled(500, 1)
    for part in equal.worlds:
        assert len(set(part["id"].values.tolist())) == part.sizes["subject"]


def test_quantiles_are_those_of_repeated_values():
    value, count = np.array([3.0, 1.0, 2.0]), np.array([50, 20, 30])
    found = quantiles(value, count / 100, (0.1, 0.35, 0.75))
    assert found == pytest.approx([1.0, 2.0, 3.0])


# Before


def test_one_more_blister_does_what_normal_theory_says(unread):
    rng = np.random.default_rng(5)
    level = np.exp(rng.normal(np.log(40), 0.5, 20_000))
    rows = before(people_of(level), unread, Weights.load("standard"), 1)["one_more"]
    assert [row["when"] for row in rows] == ["another day"]
    expected = (1 / 0.5**2 + 1 / (0.3**2 + 0.2**2)) ** -0.5
    assert rows[0]["sd_now"] == pytest.approx(0.5, rel=0.1)
    assert rows[0]["sd_after"] == pytest.approx(expected, rel=0.1)


def test_sides_are_compared_with_both_errors(raised):
    side = raised["before"]["contralateral"]
    difference = np.log([96, 78]).mean() - np.log([9.1, 12.0]).mean()
    se = np.sqrt(2 * (0.3**2 + 0.2**2 / 2))
    assert side["ratio"] == pytest.approx(np.exp(difference), rel=1e-9)
    assert side["high"] == pytest.approx(np.exp(difference + 1.6449 * se), rel=1e-4)
    assert side["probability"] == pytest.approx(stats.norm.cdf(difference / se), abs=1e-5)


def test_the_level_by_the_readings_alone_has_the_error_of_two_blisters(raised):
    found, se = raised["before"]["readings"], np.sqrt(0.3**2 + 0.2**2 / 2)
    assert found["median"] == pytest.approx(np.sqrt(96 * 78), rel=2e-3)
    assert np.log(found["high"] / found["low"]) == pytest.approx(2 * 1.6449 * se, rel=5e-3)


def test_raised_and_low_are_told_apart(raised, low):
    assert raised["before"]["gate"]["answer"] == "above" and raised["before"]["gate"]["probability"] > 0.9
    assert low["before"]["gate"]["answer"] == "below" and low["before"]["gate"]["probability"] < 0.05
    assert low["before"]["readings"]["high"] < 31
    assert raised["before"]["controls"]["percentile"] > 0.7 > low["before"]["controls"]["percentile"]


# Weigh


def test_a_patient_with_low_tnf_is_told_that_a_tnf_inhibitor_is_not_justified_and_how_sure_that_is(low):
    for name in ("infliximab-iv", "adalimumab-sc"):
        row = of(low, name)
        assert row["verdict"] == "not justified" and row["sure"] > 0.95
        assert row["reasons"][0]["against"] and row["reasons"][0]["text"].startswith("Local TNF is low")
        assert row["reasons"][0]["source"]
    assert low["summary"][0].startswith("A TNF inhibitor is not justified: local TNF is low")
    assert "over 99 %" in low["summary"][0]


def test_a_contraindication_outranks_any_benefit(raised):
    assert of(raised, "infliximab-iv")["net"]["mean"] > 0
    patient = altered("synthetic-raised", comorbidities=("active tuberculosis", "diabetes"))
    free = {f"harm.{key}": 0 for key in Weights.load("standard").harm} | {"plausible.other": 1, "benefit.nrs": 50}
    table = considered(patient, free)
    row = of(table, "infliximab-iv")
    assert row["net"]["mean"] > 20
    assert row["verdict"] == "contraindicated"
    assert row["reasons"][0]["text"].startswith("Contraindicated: active tuberculosis")
    assert table["weigh"]["therapies"][-1]["verdict"] == "contraindicated"
    assert table["weigh"]["choice"] == "prednisolone-oral"  # diabetes warns, it does not forbid
    assert any(reason["text"].startswith("Warning: diabetes") for reason in of(table, "prednisolone-oral")["reasons"])


def test_unmeasured_tnf_and_unasked_comorbidities_speak_against(raised):
    table = considered(Patient.load("huygen2004-2"))
    assert not table["before"]["measured"] and table["before"]["readings"] is None
    texts = [reason["text"] for reason in of(table, "infliximab-iv")["reasons"]]
    assert any(text.startswith("Local TNF has not been measured") for text in texts)
    assert any(text.startswith("Not recorded, to be ruled out first: active tuberculosis") for text in texts)
    asked = [reason["text"] for row in raised["weigh"]["therapies"] for reason in row["reasons"]]
    assert not any(text.startswith("Not recorded") for text in asked)
    assert {"local TNF", "pain", "comorbidities"} <= set(table["patient"]["unmeasured"])


def test_net_benefit_is_benefit_minus_expected_harm(raised):
    row, weights = of(raised, "infliximab-iv"), Weights.load("standard")
    infection = next(harm for harm in row["harms"] if harm["term"] == "serious infection")
    assert infection["excess"] == pytest.approx(0.0334 - 0.017)
    assert infection["cost"] == pytest.approx(infection["excess"] * weights.harm["serious infection"].typical)
    assert row["harm"] == pytest.approx(sum(harm["cost"] for harm in row["harms"]))
    assert row["net"]["mean"] == pytest.approx(row["benefit"] - row["harm"])
    assert all(reason["source"] for reason in row["reasons"])


def test_weights_change_the_verdict(raised):
    table = considered(Patient.load("synthetic-raised"), {"harm.malignancy": 2000})
    assert of(raised, "infliximab-iv")["verdict"] == "may be justified"
    assert of(table, "infliximab-iv")["verdict"] == "not justified"


def test_a_reading_has_a_wider_band_than_the_truth(raised):
    for row in raised["weigh"]["none"]["bands"]["nrs"]:
        assert row["low"] < row["median"] < row["high"]
        assert row["high_read"] - row["low_read"] > row["high"] - row["low"]


def test_who_lies_outside_the_population_gets_no_forecast():
    visit = Patient.load("synthetic-raised").visits[0]
    strange = visit.model_copy(update={"scores": {"nrs": 0.0, "temperature": 8.0, "volume": 40.0}})
    table = considered(altered("synthetic-raised", visits=(strange,)))
    assert table["people"]["strange"] < 0.005 and not table["people"]["inside"] and table["weigh"] is None
    assert table["summary"][0].startswith("No forecast: the patient lies outside the population")
    assert any("8 °C" in row["text"] for row in table["people"]["odd"])
    child = Patient.load("synthetic-raised").about.model_copy(update={"age": 7.0})
    table = considered(altered("synthetic-raised", about=child))
    assert table["weigh"] is None and "lies outside the population by age 7 (it has" in table["summary"][0]
    assert outside(Condition.load("crps-acute"), altered("synthetic-raised", about=child))


def test_ordinary_patients_are_like_many_people(raised, low, treated):
    for table in (raised, low, treated):
        people = table["people"]
        assert people["inside"] and people["ess"] > 200 and people["strange"] > 0.05
        assert people["simulated"] <= PEOPLE


def test_results_are_json_and_the_same_each_time(low):
    again = considered(Patient.load("synthetic-low"))
    assert json.dumps(low, allow_nan=False) == json.dumps(again, allow_nan=False)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="at least 300"):
        consider(Patient.load("synthetic-low"), people=10)
    with pytest.raises(InputError, match="found 'rest'; expected one of infliximab-iv"):
        consider(Patient.load("synthetic-low"), therapies=["rest"])
    with pytest.raises(InputError, match="unknown weight"):
        consider(Patient.load("synthetic-low"), {"harm.baldness": 1})


def test_every_therapy_has_a_route_of_its_drug_and_every_finding_is_published():
    for therapy in FULL.therapies:
        for course in therapy.arm.courses:
            assert course.route in Drug.load(course.drug).routes
            assert (course.milligrams(np.array([70.0])) > 0).all()
        assert all(Condition.load(condition) for condition in therapy.conditions)
        for finding in therapy.findings:
            assert published(finding.outcome)


# After


def of_log(day, *values):
    return Seen(day, Instrument.load("blister-tnf"), "affected", log_readings(*values), "")


def test_a_change_is_compared_with_its_error():
    row = measured_change(of_log(0, 80.0, 60.0), of_log(30, 20.0, 30.0))
    se = np.sqrt(2 * (0.3**2 + 0.2**2 / 2))
    change = 0.5 * np.log(20 * 30 / (80 * 60))
    assert row["change"] == pytest.approx(np.exp(change), rel=1e-12)
    assert row["detectable"] == pytest.approx(np.exp(1.959964 * se), rel=1e-9)
    assert row["real"] == pytest.approx(stats.norm.cdf(-change / se), rel=1e-12)
    assert row["beyond"] == (abs(change) > 1.959964 * se)


def test_a_value_below_the_limit_gives_no_lower_end():
    row = measured_change(of_log(0, 80.0, 60.0), of_log(30, 2.0, 2.0))
    assert row["low"] is None and row["real"] > 0.999
    assert measured_change(of_log(0, 2.0, 2.0), of_log(30, 2.0, 2.5))["real"] is None


def test_which_side_is_higher_is_not_told_by_a_side_below_its_limit(low):
    side = low["before"]["contralateral"]
    assert side["ratio"] is None and side["probability"] is None and side["probability_fold"] is not None


def test_a_fall_under_the_drug_speaks_against_the_null(treated):
    found = {row["name"]: row for row in treated["after"]["hypotheses"]}
    assert sum(row["posterior"] for row in found.values()) == pytest.approx(1, rel=1e-9)
    assert found["null"]["posterior"] < 0.1 < found["null"]["prior"]
    assert treated["after"]["tnf"]["caused"] > 0.9
    same = Patient.load("synthetic-treated")
    last = same.visits[-1].model_copy(
        update={"fluids": same.visits[0].fluids, "scores": {"nrs": 6.8}, "levels": (), "antibodies": {}}
    )
    table = considered(same.model_copy(update={"visits": (same.visits[0], last)}))
    unchanged = {row["name"]: row["posterior"] for row in table["after"]["hypotheses"]}
    assert unchanged["null"] > found["null"]["prior"]
    assert table["after"]["tnf"]["caused"] < treated["after"]["tnf"]["caused"]
    assert not table["after"]["tnf"]["beyond"]


def test_parts_of_a_change_add_up(treated):
    pain, tnf = treated["after"]["pain"], treated["after"]["tnf"]
    assert sum(part["value"] for part in pain["parts"]) == pytest.approx(pain["change"], abs=1e-9)
    assert np.prod([part["value"] for part in tnf["parts"]]) == pytest.approx(tnf["change"], rel=1e-9)


def test_one_more_dose_raises_the_level(treated):
    stop, more = treated["after"]["next"]
    assert more["level"][1]["median"] > stop["level"][1]["median"] + 20
    assert len(stop["bands"]["nrs"]) == 7


# Kinetics against an independent computation


def grid_posterior(drug, weight, albumin, doses, days, observed, sd):
    """Posterior of CL and V1 on a grid of random effects, with a solver of its own: two compartments, infusions."""
    entries = drug.pharmacokinetics
    Q, V2 = 1.72 * (weight / 70) ** 1.26, 2.94 * (weight / 70) ** 1.08
    sds = [np.sqrt(np.log1p(entries[name].cv ** 2)) for name in ("CL", "V1")]
    centre = [0.273 * (weight / 70) ** 0.666 * (albumin / 44) ** -0.826, 3.06 * (weight / 70) ** 0.385]
    rho = 0.123
    grid = np.linspace(-3, 3, 41)
    first, second = np.meshgrid(grid, grid, indexing="ij")
    CL = centre[0] * np.exp(sds[0] * first)
    V1 = centre[1] * np.exp(sds[1] * (rho * first + np.sqrt(1 - rho**2) * second))
    rate = 5 * weight * 12.0

    def slope(t, x):
        Ac, Ap = x.reshape(2, *CL.shape)
        given = sum(rate * (day <= t < day + 1 / 12) for day in doses)
        C = Ac / V1
        return np.concatenate([(given - CL * C - Q * (C - Ap / V2)).ravel(), (Q * (C - Ap / V2)).ravel()])

    edges = sorted({0.0, *doses, *(day + 1 / 12 for day in doses), *days})
    x, log = np.zeros(2 * CL.size), -0.5 * (first**2 + second**2)
    for a, b in pairwise(edges):
        x = integrate.solve_ivp(lambda t, y, a=a, b=b: slope((a + b) / 2, y), (a, b), x, "LSODA", rtol=1e-8).y[:, -1]
        if b in days:
            C = x[: CL.size].reshape(CL.shape) / V1
            log = log - 0.5 * ((np.log(observed[days.index(b)]) - np.log(C)) / sd) ** 2
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    k = np.unravel_index(weights.argmax(), weights.shape)
    marginal = weights.sum(axis=1)
    median = np.interp(0.5, np.cumsum(marginal) - marginal / 2, np.log(CL[:, 0]))
    mean = (weights * np.log(CL)).sum()
    return median, np.sqrt((weights * (np.log(CL) - mean) ** 2).sum()), CL[k], V1[k]


def test_kinetics_given_levels_are_those_of_a_grid_and_another_solver():
    patient = Patient.load("synthetic-treated")
    visits = [patient.visits[0]]
    for day, level in ((5.0, 52.0), (9.0, 30.0)):  # before antibodies can act
        text = {"drug": "infliximab", "value": level, "unit": "mg/L", "error": 0.15}
        page = type(patient.visits[1]).model_validate({"day": day, "levels": [text]})
        visits.append(page)
    visits[0] = visits[0].model_copy(update={"date": None, "day": 0.0, "fluids": ()})
    dose = patient.doses[0].model_copy(update={"date": None, "day": 0.0})
    patient = patient.model_copy(
        update={"visits": tuple(visits), "doses": (dose,), "injured": None, "adverse_events": ()}
        | {"duration": Parameter(value=70, unit="day", source="test")}
    )
    weights = Weights.load("standard")
    sights = seen(patient, 0.15)
    people = alike(patient, sights, 4000, 1, prior=True).people
    now = local(people, sights, 0.0)
    level = after(patient, people, sights, now.instrument, weights, 1)["level"]
    median, sd, CL, V1 = grid_posterior(Drug.load("infliximab"), 68.0, 42.0, [0.0], [5.0, 9.0], [52.0, 30.0], 0.15)
    row = level["posterior"][0]
    assert row["symbol"] == "CL"
    mcse = sd / np.sqrt(level["ess"]) * 1.2533
    assert np.log(row["median"]) == pytest.approx(median, abs=4 * mcse + 0.005)
    assert np.log(row["high"] / row["low"]) == pytest.approx(2 * 1.6449 * sd, rel=0.15)
    assert level["map"]["CL"] == pytest.approx(CL, rel=0.03)  # the grid's step is 5 % in CL
    assert level["map"]["V1"] == pytest.approx(V1, rel=0.03)


# Series and coverage


def test_a_series_is_pooled_and_shrunk_towards_its_mean():
    series = Series.load(LIBRARY / "patients" / "crps7-pet.csv")
    table = pooled([(patient, seen(patient, 0.15)) for patient in series.patients])
    assert table["tnf"] is None and table["n"] == 7
    pain = table["pain"]
    assert pain["mean"] == pytest.approx(-4.5 / 7)
    last = pain["patients"][-1]
    assert last["change"] == -4.5 < last["shrunk"] < pain["mean"]
    shift = [row["shrunk"] - pain["mean"] for row in pain["patients"]]
    observed = [row["change"] - pain["mean"] for row in pain["patients"]]
    tau2 = pain["between"] ** 2
    np.testing.assert_allclose(shift, np.array(observed) * tau2 / (tau2 + 2 * 0.7**2), atol=1e-12)
    assert any("nobody was given one" in text for text in table["cannot"])


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "patient_coverage.py"
    spec = importlib.util.spec_from_file_location("patient_coverage", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("prior", [False, True])
def test_bands_hold_the_truth_as_often_as_they_say(benchmark, prior):
    """A small version of the benchmark, with and without the day's error."""
    found = benchmark.coverage(24, 6000, (70.0,), prior=prior)
    kept = ((found.pop("ess") >= 100) & (found.pop("strange") >= 0.005)).sum()
    assert kept > 20 and len(found) == 20
    for kind in ("true", "reading"):
        held = np.array([values for name, values in found.items() if name.endswith(kind)]).mean(axis=0)
        assert held.mean() == pytest.approx(0.9, abs=4 * held.std() / np.sqrt(kept))


@pytest.mark.parametrize("prior", [False, True])
def test_bands_of_clearance_and_of_a_later_level_hold_as_often_as_they_say(benchmark, prior):
    for held in benchmark.kinetics(300, 6000, prior=prior).values():
        assert held.mean() == pytest.approx(0.9, abs=4 * np.sqrt(0.9 * 0.1 / len(held)))
