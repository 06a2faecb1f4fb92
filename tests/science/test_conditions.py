"""Conditions resemble what they are named after: health before the onset, who is enrolled, and how it goes untreated.

Bands are those of the publications where there are any (95 % intervals of the counts), else what the condition aims at.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import causalgia as cg
from causalgia.documents import Instrument, streams
from causalgia.documents.reader import names
from causalgia.engine import solve
from causalgia.measurement import readings

WORLDS = ("absolute", "relative", "recovery")
PEOPLE = 300
DAY, MONTH, YEAR = 1.0, 28.0, 365.25

# Share of the ill who are enrolled, and the median NRS of the enrolled at entry.
ENTRY = {
    "crps-acute": ((0.30, 0.55), (5.5, 7.5)),
    "crps-chronic": ((0.06, 0.20), (5.0, 7.0)),
    "crps-any": ((0.10, 0.25), (5.5, 7.0)),
    "crps-warm": ((0.15, 0.40), (5.5, 7.5)),
    "crps-cold": ((0.04, 0.15), (5.0, 6.5)),
    "crps-low-tnf": ((0.04, 0.20), (5.0, 7.0)),
    "crps-stroke": ((0.35, 0.80), (6.0, 7.5)),
    "sciatica": ((0.30, 0.60), (6.0, 7.5)),
    "post-stroke-pain": ((0.08, 0.25), (5.5, 7.5)),
    "rheumatoid-arthritis": ((0.80, 1.0), (6.0, 7.5)),
    "crohn": ((0.50, 0.85), (4.5, 6.0)),
}


@cache
def cohort(name):
    population = cg.Population.load(name, prior=True)
    return population, population.sample(PEOPLE, seed=4)


@cache
def untreated(name, *days):
    """Model outputs {world: {name: (subject, day)}} without a drug; NRS carries the placebo response."""
    population, patients = cohort(name)
    times = np.array([0.0, *days])
    found = {}
    for world in WORLDS:
        people = patients.sel(world=world)
        solution = solve(
            population.kernel,
            population.of_kernel(population.kernel, people["parameter"].values, {}),
            times,
            initial=people["state"].values,
            start=0.0,
        )
        assert (solution.status == 0).all()
        found[world] = {output: solution.values[:, :, j] for j, output in enumerate(population.kernel.outputs)}
        rise = 1 - np.exp(-np.log(2) * times / people["PHA"].values[:, None])
        found[world]["latent"] = found[world]["NRS"]
        found[world]["NRS"] = found[world]["NRS"] * (1 - people["PEF"].values[:, None] * rise)
    return found


def read(measure, outputs):
    """Readings with error (subject, day)."""
    instrument = Instrument.load(measure)
    side = next(iter(instrument.signal))
    latent = readings.to_scale(instrument, readings.signal(instrument, side, outputs))
    z = [streams.normals(9, measure, k, size=latent.size).reshape(latent.shape) for k in ("day", "replicate")]
    return readings.from_scale(instrument, readings.read(instrument, latent, readings.Noise(z[0], z[1][None])).value[0])


def test_every_condition_of_the_library_has_bands():
    assert set(names("condition")) == set(ENTRY)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [n for n in ENTRY if not n.startswith("crps-") or n == "crps-acute"])
def test_without_onset_everybody_rests_in_health(name, world):
    population, _ = cohort(name)
    values = population.draw(world, PEOPLE, seed=8)
    entries = {**population.entries, **population.condition.worlds[world].values}
    parameters = population.of_kernel(population.kernel, population.matrix(values, entries, PEOPLE), {})
    rest = solve(population.kernel, parameters, np.array([0.0]), outputs=("NRS", "I"), start=-400.0)
    assert (rest.status == 0).all()
    pain, drive = rest.values[:, 0, 0], rest.values[:, 0, 1]
    assert (pain < 1).mean() >= 0.95
    assert pain.max() < 3
    assert (drive < 0.2).all()


@pytest.mark.parametrize("name", ENTRY)
def test_enrolled_share_and_pain_at_entry(name):
    _, patients = cohort(name)
    share, pain = ENTRY[name]
    assert (patients["failed"] == 0).all()
    for world in WORLDS:
        enrolled = PEOPLE / float(patients["injured"].sel(world=world))
        assert share[0] <= enrolled <= share[1], (world, enrolled)
        seen = np.median(untreated(name, MONTH, 84.0, YEAR)[world]["NRS"][:, 0])
        assert pain[0] <= seen <= pain[1], (world, seen)


def test_one_natural_history_from_the_injury():
    """The same person, met early, late or with signs of a kind: every parameter of the page is the same."""
    acute, patients = cohort("crps-acute")
    known = {i: row for i, row in zip(patients["id"].values[1], patients["parameter"].values[1], strict=True)}
    for name in ("crps-chronic", "crps-any", "crps-warm", "crps-cold", "crps-low-tnf"):
        population, others = cohort(name)
        assert population.symbols == acute.symbols
        shared = [k for k, i in enumerate(others["id"].values[1]) if i in known]
        assert len(shared) > 10
        for k in shared:
            np.testing.assert_array_equal(others["parameter"].values[1, k], known[others["id"].values[1, k]])


@pytest.mark.parametrize("world", WORLDS)
def test_durations_are_those_of_the_name(world):
    months = {
        n: cohort(n)[1]["duration"].sel(world=world).values / 30.4 for n in ("crps-acute", "crps-chronic", "crps-any")
    }
    assert months["crps-acute"].max() <= 12 and np.median(months["crps-acute"]) < 4
    assert months["crps-chronic"].min() >= 6 and 18 < np.median(months["crps-chronic"]) < 48
    assert 0.4 < (months["crps-any"] < 12).mean() < 0.6


@pytest.mark.parametrize("world", WORLDS)
def test_chronic_pain_lasts_without_tnf(world):
    acute, chronic = (untreated(n, MONTH, 84.0, YEAR)[world] for n in ("crps-acute", "crps-chronic"))
    fall = [np.mean(o["latent"][:, 0] - o["latent"][:, 3]) for o in (acute, chronic)]
    assert fall[1] < 0.5 * fall[0]
    ratio = [np.median(o["TNF"][:, 0] / o["TNF_c"][:, 0]) for o in (acute, chronic)]
    assert ratio[0] > 3 and ratio[1] < 2


@pytest.mark.parametrize("world", WORLDS)
def test_warm_cold_and_low_tnf_are_as_named(world):
    warm, cold, low, acute = (
        untreated(n, MONTH, 84.0, YEAR)[world] for n in ("crps-warm", "crps-cold", "crps-low-tnf", "crps-acute")
    )
    assert warm["dTemp"][:, 0].min() >= 1 and cold["dTemp"][:, 0].max() <= -1
    assert np.median(warm["TNF"][:, 0] / warm["TNF_c"][:, 0]) > 2 * np.median(cold["TNF"][:, 0] / cold["TNF_c"][:, 0])
    _, patients = cohort("crps-low-tnf")
    assert (patients["recovery"].sel(world=world).values * low["TNF"][:, 0] <= 15.5 * (1 + 1e-9)).all()
    if world != "recovery":  # there a low reading is the assay's doing more than the person's
        assert np.median(low["TNF"][:, 0]) < 0.85 * np.median(acute["TNF"][:, 0])


@pytest.mark.parametrize("world", WORLDS)
def test_shoulder_hand_syndrome_stays_for_a_month(world):
    """kalita2006: on piroxicam 9.8 points of 14 fall by 0.47 in a month, and a sixth improve by two points."""
    score = read("shs-score", untreated("crps-stroke", MONTH, 84.0, YEAR)[world])
    assert 9.5 < score[:, 0].mean() < 12
    assert abs(np.mean(score[:, 0] - score[:, 1])) < 1
    assert 0.05 < np.mean(score[:, 0] - score[:, 1] >= 2) < 0.35


@pytest.mark.parametrize("world", WORLDS)
def test_sciatica_recovers_by_itself(world):
    """karppinen2003: 16 % (8-27) of the saline-treated are painless (a fall of more than 75 %) at 2 weeks, 46 % (33-59)
    at 3 months; cohen2012: 3.59 at 1 month; weber1993: about 30 % complain after a year. Somewhat slower here.
    """
    pain = read("leg-pain", untreated("sciatica", 14.0, MONTH, 84.0, YEAR)[world])
    painless = (pain < 0.25 * pain[:, :1]).mean(axis=0)
    assert 0.05 < painless[1] < 0.27
    assert 0.25 < painless[3] < 0.59
    assert 30 < pain[:, 2].mean() < 50
    assert 0.10 < (pain[:, 4] >= 30).mean() < 0.40


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", ["rheumatoid-arthritis", "crohn", "post-stroke-pain"])
def test_lasting_diseases_stay(name, world):
    pain = untreated(name, MONTH, 84.0, YEAR)[world]["latent"]
    assert np.abs(pain[:, 3] - pain[:, 0]).mean() < 0.3


@pytest.mark.parametrize("world", WORLDS)
def test_pain_after_a_stroke_is_central(world):
    """Nearly all of the pain drive is G, and TNF of the limb is that of the other side."""
    _, patients = cohort("post-stroke-pain")
    outputs = untreated("post-stroke-pain", MONTH, 84.0, YEAR)[world]
    vG = patients["parameter"].sel(world=world, symbol="vG").values
    assert np.median(vG * outputs["G"][:, 0] / outputs["D"][:, 0]) > 0.85
    assert np.median(outputs["TNF"][:, 0] / outputs["TNF_c"][:, 0]) < 1.2


@pytest.mark.parametrize("world", WORLDS)
def test_placebo_response_in_arthritis_and_crohn(world):
    """ACR20 of 17 to 31 % on placebo (lipsky2000_ATTRACT, maini1999_ATTRACT, abe2006, kim2013); 4 of 24 by CDAI."""
    core = read("acr", untreated("rheumatoid-arthritis", MONTH, 84.0, YEAR)[world])
    assert 0.12 < (core[:, 3] <= 0.8 * core[:, 0]).mean() < 0.31
    index = read("cdai", untreated("crohn", MONTH, 84.0, YEAR)[world])
    assert 250 < index[:, 0].mean() < 350
    assert 0.05 < (index[:, 1] <= index[:, 0] - 70).mean() < 0.30


@pytest.fixture(scope="module", params=["targan-1997", "lipsky-attract"])
def treated(request):
    protocol = cg.Protocol.load(request.param)
    return protocol, cg.simulate(protocol, cohort(protocol.population.condition)[1])


def test_infliximab_works_where_tnf_is_the_disease(treated):
    """targan1997: 54 of 83 (54-75 %) respond at week 4, 22 of 27 at 5 mg/kg; maini1999_ATTRACT: ACR20 of 50 to 58 %."""
    protocol, outcomes = treated
    endpoint = protocol.endpoints.relieved
    low, high = {"targan-1997": (0.54, 0.85), "lipsky-attract": (0.35, 0.75)}[protocol.name]
    for world in WORLDS:
        for arm in protocol.order[1:]:
            seen = outcomes.sel(world=world, regimen=arm)
            pair = {n: seen[n].sel(time=[endpoint.baseline, endpoint.at]).values for n in ("NRS", "I")}
            reading = read(endpoint.measure, pair)
            fall = reading[:, 0] - reading[:, 1]
            needed = endpoint.responder.fall * (reading[:, 0] / 100 if endpoint.responder.relative else 1)
            assert low < (fall >= needed).mean() < high, (world, arm)
