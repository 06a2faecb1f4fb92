"""The traps that a model of CRPS falls into, each in every structural world: a point of the model's specification."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

import causalgia as cg
from causalgia.documents import Instrument, expressions, streams
from causalgia.engine import Events, solve
from causalgia.measurement import readings
from causalgia.population.outcomes import simulate
from causalgia.population.patients import ONSET

WORLDS = ("absolute", "relative", "recovery")
PEOPLE = 2000
FIVE_YEARS = 5 * 365.25
SIGNS = ("NRS", "TNF", "TNF_c", "IL6", "IL6_c", "dTemp", "Oed", "Motor")


@pytest.fixture(scope="module", params=WORLDS)
def course(request, population):
    """One world's people without an injury (rest) and with one (ill), at 90, 180, 365 days and five years."""
    world = request.param
    values = population.draw(world, PEOPLE, seed=21)
    entries = {**population.entries, **population.condition.worlds[world].values}
    parameters = population.of_kernel(population.kernel, population.matrix(values, entries, PEOPLE), {})
    causes = np.column_stack([values[ONSET[state]] for state in population.onset])
    injury = Events(time=np.zeros((PEOPLE, 1)), state=population.onset, amount=causes)
    days = np.array([90.0, 180.0, 365.25, FIVE_YEARS])
    rest, ill = (
        solve(population.kernel, parameters, days, outputs=SIGNS, start=-400.0, events=events)
        for events in (None, injury)
    )
    assert (rest.status == 0).all() and (ill.status == 0).all()
    return world, values, *({name: s.values[:, :, j] for j, name in enumerate(SIGNS)} for s in (rest, ill))


def test_without_injury_people_rest_in_health(course):
    _, _, rest, _ = course
    assert ((rest["NRS"] < 1).mean(axis=0) >= 0.95).all()
    assert ((np.abs(rest["dTemp"]) < 1).mean(axis=0) >= 0.95).all()
    assert ((rest["Oed"] < 4).mean(axis=0) >= 0.95).all()
    assert ((rest["Motor"] > 0.9).mean(axis=0) >= 0.95).all()


def test_without_injury_the_site_reads_as_its_mirror(course):
    _, _, rest, _ = course
    assert (np.median(rest["TNF"] / rest["TNF_c"], axis=0) < 1.05).all()
    assert (np.percentile(rest["TNF"] / rest["TNF_c"], 95, axis=0) < 1.25).all()
    assert (np.median(rest["IL6"] / rest["IL6_c"], axis=0) < 1.15).all()


def test_without_injury_nobody_is_chronic(course):
    _, _, rest, _ = course
    assert rest["NRS"].max() < 3


def test_injury_leaves_a_share_with_lasting_pain(course):
    """Aim before calibration: 15 to 35 % at five years; most others have recovered, and mostly within a year."""
    _, _, _, ill = course
    pain = (ill["NRS"] >= 3).mean(axis=0)
    assert 0.15 < pain[-1] < 0.35
    assert pain[0] > pain[1] > pain[2] > pain[3]
    assert pain[0] - pain[2] > 0.5 * (pain[0] - pain[3])


def test_criteria_are_lost_over_time(course, population):
    """Fewer than half of the injured meet the criteria after three months, few after five years."""
    _, values, _, ill = course
    meets = [
        expressions.evaluate(
            population.condition.history.criteria, {**values, **{name: array[:, k] for name, array in ill.items()}}
        ).mean()
        for k in range(4)
    ]
    assert 0.25 < meets[0] < 0.6
    assert meets[0] > meets[1] > meets[2] > meets[3] > 0.02


def test_tnf_leaves_the_chronic_while_their_pain_stays(course):
    _, _, _, ill = course
    chronic = ill["NRS"][:, -1] >= 3
    ratio = ill["TNF"] / ill["TNF_c"]
    early, late = np.median(ratio[chronic, 0]), np.median(ratio[chronic, -1])
    assert early > 2 and late < 1.6
    assert np.median(ill["NRS"][chronic, -1]) > 4


@pytest.fixture(scope="module")
def maintained(population):
    """Infliximab at weeks 0, 2 and 6 in 600 patients; the next dose would be due at week 14, so week 10 is midway."""
    patients = population.sample(600, seed=31)
    return simulate(cg.Protocol.load("ungated-infliximab"), patients)


def both(outcomes, name, world, week):
    seen = outcomes[name].sel(world=world, time=week)
    return seen.sel(regimen="infliximab").values, seen.sel(regimen="placebo").values


@pytest.mark.parametrize("world", WORLDS)
def test_free_tnf_is_suppressed_to_a_fifth_midway_between_doses(maintained, world):
    """About 23 % of what it would be; without 1000/M it would be near 68 % (tests/population/test_outcomes.py)."""
    drug, control = both(maintained, "TNF", world, 10)
    assert 0.15 < np.median(drug / control) < 0.35
    assert (drug < control).all()


@pytest.mark.parametrize("world", WORLDS)
def test_total_tnf_rises_under_the_drug(maintained, world):
    """Drug-bound TNF is still TNF to many assays: total is then far above what it would be untreated."""
    free = both(maintained, "TNF", world, 6)
    bound = both(maintained, "bound", world, 6)
    total = [a + b for a, b in zip(free, bound, strict=True)]
    assert (total[0] > 2 * total[1]).all()


@pytest.mark.parametrize("world", WORLDS)
def test_an_assay_of_total_tnf_sees_a_rise_where_free_tnf_falls(maintained, world):
    instrument = Instrument.load("biopsy-tnf")
    names = readings.names(instrument, "affected")
    week = maintained.sel(world=world, time=6)
    drug, control = (
        readings.signal(instrument, "affected", {n: week[n].sel(regimen=arm).values for n in names})
        for arm in ("infliximab", "placebo")
    )
    assert (drug > control).all()


def measured(outcomes, world, measure, side, seed=5):
    """Single readings at screening, with error, of untreated patients."""
    instrument = Instrument.load(measure)
    week = outcomes.sel(world=world, time=-2, regimen="placebo")
    latent = readings.signal(instrument, side, {n: week[n].values for n in readings.names(instrument, side)})
    latent = readings.to_scale(instrument, latent * week["recovery"].values)
    z = [streams.normals(seed, measure, side, k, size=len(latent)) for k in ("day", "replicate")]
    return readings.from_scale(instrument, readings.read(instrument, latent, readings.Noise(z[0], z[1][None])).value[0])


@pytest.mark.parametrize("world", WORLDS)
def test_measured_tnf_does_not_follow_pain(outcomes, world):
    """Published: no correlation in 66 patients, so |rho| at most 0.24. True TNF may follow it more closely."""
    pain = outcomes["NRS"].sel(world=world, time=-2, regimen="placebo").values
    tnf = outcomes["TNF"].sel(world=world, time=-2, regimen="placebo").values
    assert abs(spearmanr(measured(outcomes, world, "blister-tnf", "affected"), pain)[0]) < 0.24
    assert abs(spearmanr(tnf, pain)[0]) < (0.24 if world == "relative" else 0.4)


@pytest.mark.parametrize("world", WORLDS)
def test_blister_fluid_resembles_the_published_medians(outcomes, population, world):
    """Within half as much again of huygen2004_mast's medians, quartiles within a factor of two, both sides."""
    for row in population.condition.published:
        seen = np.percentile(measured(outcomes, world, row.measure, row.side), (25, 50, 75))
        published = np.array([row.quartiles[0], row.median, row.quartiles[1]])
        assert (np.abs(np.log(seen / published)) < np.log([2, 1.5, 2])).all(), (row.measure, row.side, seen)


@pytest.mark.parametrize("world", WORLDS)
def test_tnf_falls_without_any_drug(outcomes, world):
    """So a single-arm trial responds without an effect."""
    tnf = outcomes["TNF"].sel(world=world, regimen="placebo")
    assert np.median(tnf.sel(time=12).values / tnf.sel(time=0).values) < 0.95
