from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import causalgia as cg
from causalgia.documents import Drug, InputError
from causalgia.engine import solve
from causalgia.population.dosing import drug_values
from causalgia.population.outcomes import OUTPUTS, simulate, treated
from causalgia.population.patients import Population


def two_compartments(p, dose, days, times, duration=2 / 24, onset=np.nan):
    """Serum concentration (time,) by SciPy, piece by piece between the ends of infusions."""

    def rate(t):
        return sum(dose / duration for day in days if day <= t < day + duration)

    def slope(t, x, given, p):
        ada = 0.0 if not t > onset else 1 - np.exp(-p["k_ada"] * (t - onset))
        central = x[0] / p["V1"]
        out = p["Q"] * (central - x[1] / p["V2"])
        return [given - p["CL"] * (1 + p["theta_ADA"] * ada) * central - out, out]

    ends = sorted({0.0, *days, *(day + duration for day in days), *times, *([onset] if onset > 0 else [])})
    state, found = np.zeros(2), {0.0: 0.0}
    for a, b in pairwise(ends):
        piece = solve_ivp(slope, (a, b), state, "DOP853", rtol=1e-11, atol=1e-12, args=(rate(a), p))
        state = piece.y[:, -1]
        found[b] = state[0] / p["V1"]
    return np.array([found[t] for t in times])


def test_serum_concentrations_are_those_of_two_compartments(protocol, patients, outcomes):
    """Against an independent solution, in people with and without antibodies."""
    one = patients.isel(world=0)
    values = drug_values(cg.Population.load("crps-acute", prior=True), Drug.load("infliximab"), "intravenous", one)
    weeks = outcomes["time"].values
    chosen = [*np.flatnonzero(values["Z"] > 0)[:3], *np.flatnonzero(values["Z"] == 0)[:3]]
    for s in chosen:
        p = {name: array[s] for name, array in values.items()}
        onset = p["t_ada"] if p["Z"] else np.nan
        days = [0.0, 14.0, 42.0]
        times = [float(week * 7) for week in weeks if week >= 0]
        expected = two_compartments(p, 5 * p["weight"], days, times, onset=onset)
        seen = outcomes["Cp"].sel(regimen="infliximab").values[0, s, weeks >= 0]
        np.testing.assert_allclose(seen[1:], expected[1:], rtol=1e-4)


def test_nothing_is_lost_where_nothing_is_cleared(write, population):
    """Mass balance: with CL = 0 the amounts in both compartments are all that was given."""
    no_clearance = ('CL = { value = 0.273, unit = "L/day", cv = 0.341,', 'CL = { value = 0, unit = "L/day",')
    no_correlation = ('"CL ~ V1" = { value = 0.123', '"Kss ~ V1" = { value = 0.0')
    drug = write("drugs", "infliximab", no_clearance, no_correlation)
    protocol = cg.Protocol.load(write("protocols", "ungated-infliximab", ('drug = "infliximab"', f'drug = "{drug}"')))
    patients = population.sample(40, seed=5)
    one = patients.isel(world=0)
    people = treated(population, one, protocol.arms["infliximab"])
    solution = solve(
        people.kernel,
        people.parameters,
        np.array([10.0, 20.0, 100.0]),
        outputs=("Ac", "Ap"),
        initial=people.initial,
        events=people.events,
        rtol=1e-7,
    )
    given = 5 * one["weight"].values[:, None] * np.array([1, 2, 3])
    np.testing.assert_allclose(solution.values.sum(axis=2), given, rtol=1e-6)


def test_forgetting_the_molar_mass_leaves_two_thirds_of_tnf(write, population, protocol):
    """The trap of units: 1000/M turns mg/L into nM. Without it (M = 1000) free TNF is hardly lowered."""
    forgot = write(
        "drugs", "infliximab", ("molar_mass = { value = 149.1", "molar_mass = { value = 1000"), file="forgot"
    )
    patients = population.sample(300, seed=6)
    left = {}
    for name in ("infliximab", str(forgot)):
        path = write("protocols", "ungated-infliximab", ('drug = "infliximab"', f'drug = "{name}"'))
        seen = simulate(cg.Protocol.load(path), patients).sel(time=4)
        ratio = (seen["TNF"].sel(regimen="infliximab") / seen["TNF"].sel(regimen="placebo")).values
        left[name] = np.median(ratio)
    assert 0.10 < left["infliximab"] < 0.35
    assert left[str(forgot)] > 2 * left["infliximab"]


def test_outcomes_are_whole(outcomes):
    assert (outcomes["status"].values == 0).all()
    for name in OUTPUTS:
        assert np.isfinite(outcomes[name].values).all(), name
    assert (outcomes["NRS"].values >= 0).all() and (outcomes["NRS"].values <= 10).all()
    assert (outcomes["TNF"].values > 0).all()
    assert (outcomes["Cp"].sel(regimen="placebo").values == 0).all()
    bound = outcomes["bound"].sel(regimen="placebo").values
    assert (
        np.abs(bound) < 1e-12 * outcomes["TNF"].sel(regimen="placebo").values
    ).all()  # rounding of the root, no more


def test_arms_are_the_same_until_the_first_dose(outcomes):
    before = outcomes.sel(time=slice(None, 0))
    for name in OUTPUTS:
        drug, control = (before[name].sel(regimen=arm).values for arm in ("infliximab", "placebo"))
        # Their kernels differ in what stays zero, so they step alike only within the solver's tolerance.
        np.testing.assert_allclose(drug, control, rtol=1e-4, atol=1e-5)


def test_placebo_response_is_the_stated_curve(protocol, patients, outcomes):
    """NRS = model NRS (1 - PEF (1 - 2^(-t/PHA))): half of it after PHA days, none before randomisation."""
    from causalgia.population.outcomes import placebo

    curve = placebo(patients, np.array([-2.0, 0.0, 4.0]))
    np.testing.assert_array_equal(curve[..., :2], 1.0)
    pef, pha = patients["PEF"].values, patients["PHA"].values
    np.testing.assert_allclose(curve[..., 2], 1 - pef * (1 - 0.5 ** (28 / pha)), rtol=1e-12)


@pytest.mark.parametrize(
    ("dose", "expected"),
    [("5 mg/kg", 350.0), ("350 mg", 350.0), ("0.35 g", 350.0), ("5 mg/kilogram", 350.0), ("5000 ug/kg", 350.0)],
)
def test_doses_in_any_unit(write, dose, expected):
    arm = cg.Protocol.load(write("protocols", "gated-infliximab", ('"5 mg/kg"', f'"{dose}"'))).arms["infliximab"]
    np.testing.assert_allclose(arm.milligrams(np.array([70.0])), [[expected] * 3], rtol=1e-12)


def test_dose_times_in_days_are_dose_times_in_weeks(write, population):
    patients = population.sample(20, seed=8)
    days = write("protocols", "gated-infliximab", ('at = [0, 2, 6]\nunit = "week"', 'at = [0, 14, 42]\nunit = "day"'))
    one, two = (simulate(cg.Protocol.load(p), patients) for p in ("gated-infliximab", days))
    np.testing.assert_array_equal(one["TNF"].values, two["TNF"].values)


def test_visits_between_weeks_are_simulated(write, population):
    path = write("protocols", "gated-infliximab", ("iss = { at = [0, 6, 12, 26]", "iss = { at = [0, 2.5, 12, 26]"))
    protocol = cg.Protocol.load(path).with_options(subjects=400, sizes=(8,))
    outcomes = simulate(protocol, population.sample(100, seed=9))
    assert 2.5 in outcomes["time"].values
    trial = cg.conduct(protocol, outcomes, seed=1, size=8)
    assert 2.5 in trial["adqs"]["AVISITN"].to_list()


def test_a_subject_that_fails_is_counted_and_left_out(protocol, outcomes):
    broken = outcomes.copy(deep=True)
    broken["status"].values[0, 1, 5] = 3
    broken["NRS"].values[0, 1, 5] = np.nan
    world = cg.worlds(broken, protocol.order)["absolute"]
    assert world.present.sum() == outcomes.sizes["subject"] - 1
    person = np.flatnonzero(np.unique(outcomes["id"].values) == outcomes["id"].values[0, 5])[0]
    assert not world.present[person]


def test_loading_a_population_gives_its_documents():
    population = Population.load("crps-acute", prior=True)
    assert population.condition.name == "crps-acute"
    assert set(population.condition.worlds) == {"absolute", "relative", "recovery"}


@pytest.mark.parametrize("route", ["intravenous", "regional_block"])
def test_a_drug_is_checked_by_the_routes_by_which_it_is_given(write, route):
    """The block enters a state that the model lacks: an error for those who get it, and for nobody else."""
    drug = write("drugs", "infliximab", ('Aloc = "retained"', 'Nowhere = "retained"'))
    changes = [('drug = "infliximab"', f'drug = "{drug}"'), ('route = "intravenous"', f'route = "{route}"')]
    protocol = cg.Protocol.load(write("protocols", "ungated-infliximab", *changes))
    patients = cg.Population.load("crps-acute").sample(20, seed=1)
    if route == "intravenous":
        assert cg.simulate(protocol, patients).sizes["subject"] == 20
        return
    with pytest.raises(InputError, match=r"routes\.regional_block\.into"):
        cg.simulate(protocol, patients)
