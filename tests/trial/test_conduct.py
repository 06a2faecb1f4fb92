from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import causalgia as cg
from causalgia.analysis.censored import censored_regression
from causalgia.analysis.linear import ancova
from causalgia.analysis.tables import Subjects, read_tables, visit_values
from causalgia.cli.output import write_trial
from causalgia.documents import InputError, Instrument
from causalgia.measurement.readings import visit_value
from causalgia.trial.conduct import conduct, run
from causalgia.trial.recruit import Visit, visit_noise
from causalgia.trial.visits import latent, observe

SIZE = 60


@pytest.fixture(scope="module")
def trial(protocol, every_world):
    return run(protocol, every_world["absolute"], 12, SIZE)


@pytest.fixture(scope="module")
def tables(protocol, outcomes):
    return conduct(protocol, outcomes, seed=12, size=SIZE)


def test_who_was_screened_and_randomised(tables, protocol):
    adsl = tables["adsl"]
    randomised = adsl.filter(pl.col("ITTFL") == "Y")
    assert len(randomised) == SIZE
    assert adsl["USUBJID"].n_unique() == len(adsl)
    assert sorted(randomised["RANDNO"]) == list(range(1, SIZE + 1))
    assert adsl["ITTFL"][-1] == "Y", "screening stops when the trial is full"
    assert set(randomised["ARM"]) == set(protocol.arms)
    assert set(adsl.filter(pl.col("ITTFL") == "N")["ARM"]) == {"Screen Failure"}
    assert (randomised.sort("RANDNO")["GATEFL"] == "N").cum_sum().to_numpy().max() <= 0.25 * SIZE
    assert adsl.filter((pl.col("GATEFL") == "Y") & (pl.col("ITTFL") == "N")).is_empty()
    assert adsl["SCRNDAY"].is_sorted()


def test_a_reading_below_the_limit_has_no_value_and_every_other_has(tables):
    adlb = tables["adlb"]
    below = adlb["BLQFL"] == "Y"
    assert below.any(), "a drug that works pushes TNF below the limit"
    assert (adlb["AVAL"].is_null() == below).all()
    assert (
        adlb.filter(below)["AVALC"] == adlb.filter(below)["LLOQ"].map_elements(lambda x: f"<{x:g}", pl.String)
    ).all()
    assert (adlb.filter(~below)["AVAL"] >= adlb.filter(~below)["LLOQ"] - 5e-5).all()
    assert "DTYPE" not in adlb.columns, "nothing is imputed"
    assert tables["adqs"]["AVAL"].null_count() == 0


def test_who_leaves_is_not_seen_again(tables, protocol):
    gone = dict(zip(tables["adice"]["USUBJID"], tables["adice"]["ICEDY"], strict=True))
    assert 0 < len(gone) < SIZE / 2
    status = tables["adsl"].filter(pl.col("EOSSTT") == "DISCONTINUED")["USUBJID"]
    assert set(status) == set(gone)
    for name, day in (("adlb", "ADY"), ("adqs", "ADY"), ("adex", "EXSTDY"), ("adae", "AESTDY")):
        for row in tables[name].filter(pl.col("USUBJID").is_in(list(gone))).to_dicts():
            assert row[day] <= gone[row["USUBJID"]], (name, row)
    stayed = tables["adsl"].filter((pl.col("ITTFL") == "Y") & ~pl.col("USUBJID").is_in(list(gone)))["USUBJID"]
    visits = {"adlb": 2 * 2 * 2 * len(protocol.schedule["blister-tnf"].at), "adqs": None}
    counts = tables["adlb"].filter(pl.col("USUBJID").is_in(stayed.to_list())).group_by("USUBJID").len()["len"]
    assert set(counts) == {visits["adlb"]}


def test_dropout_has_the_stated_share(protocol, every_world):
    """10 % leave by the clinical endpoint; four standard errors over 300 subjects."""
    big = run(protocol, every_world["absolute"], 3, 300)
    share = protocol.conduct.dropout.typical
    seen = (big.left < protocol.endpoints.relieved.at).mean()
    assert seen == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 300))


def test_the_gates_sample_is_no_baseline(tables):
    adlb = tables["adlb"]
    assert set(adlb.filter(pl.col("ABLFL") == "Y")["AVISITN"]) == {0.0}
    assert set(adlb.filter(pl.col("SCRNFL") == "Y")["AVISITN"]) == {-2.0}
    failures = tables["adsl"].filter(pl.col("ITTFL") == "N")["USUBJID"].to_list()
    assert set(adlb.filter(pl.col("USUBJID").is_in(failures))["AVISITN"]) == {-2.0}


def test_truth_stands_apart(tables):
    truth = tables["truth"]
    assert len(truth) == SIZE
    for name, table in tables.items():
        if name != "truth":
            assert not {"WORLD", "recovery"} & set(table.columns)
            assert not [column for column in table.columns if "CONTROL" in column or "TREATED" in column]
    assert (truth["LOWERED_TREATED"] < truth["LOWERED_CONTROL"]).all()
    shuffled = truth.join(tables["adsl"].filter(pl.col("ITTFL") == "Y"), on="USUBJID", how="inner")
    assert len(shuffled) == SIZE


def test_files_hold_no_truth(tables, tmp_path):
    write_trial(tmp_path / "trial", tables)
    assert sorted(p.name for p in (tmp_path / "trial").iterdir()) == [
        f"{name}.csv" for name in ("adae", "adex", "adice", "adlb", "adqs", "adsl")
    ]


def test_the_same_answers_from_files_as_from_memory(tables, tmp_path, protocol):
    write_trial(tmp_path / "trial", tables)
    assert cg.analyse(protocol, read_tables(tmp_path / "trial")) == cg.analyse(protocol, tables)


@pytest.mark.parametrize("size", [8, 16])
def test_small_trials_too_answer_the_same_from_files(protocol, outcomes, tmp_path, size):
    tables = conduct(protocol, outcomes, seed=4, size=size)
    write_trial(tmp_path / "trial", tables)
    assert cg.analyse(protocol, read_tables(tmp_path / "trial")) == cg.analyse(protocol, tables)


def test_a_larger_trial_holds_the_smaller(protocol, outcomes):
    """Tables of 20 are rows of the tables of 40 with the same seed."""
    few, many = (conduct(protocol, outcomes, seed=6, size=size) for size in (20, 40))
    for name in ("adlb", "adqs", "adex", "truth"):
        own = few["adsl"].filter(pl.col("ITTFL") == "Y")["USUBJID"].to_list()
        rows = many[name].filter(pl.col("USUBJID").is_in(own))
        assert rows.equals(few[name].filter(pl.col("USUBJID").is_in(own))), name


def test_seeds(protocol, outcomes):
    one, again, other = (conduct(protocol, outcomes, seed=seed, size=16) for seed in (1, 1, 2))
    assert all(one[name].equals(again[name]) for name in one)
    assert not one["adsl"].equals(other["adsl"])


def test_arrays_and_tables_read_the_same(protocol, trial, tables):
    """The replicate arrays of `evaluate` and the long tables are two ways to one answer (tables have four decimals)."""
    subjects = Subjects.read(protocol, tables)
    recruited, screening = trial.recruited, trial.screening
    np.testing.assert_array_equal(subjects.treated, recruited.treated[0])
    np.testing.assert_array_equal(subjects.stratum, recruited.stratum[0])
    np.testing.assert_array_equal(subjects.low, recruited.low[0])
    seen = {}
    for key in ("lowered", "relieved"):
        endpoint = getattr(protocol.endpoints, key)
        instrument, count = Instrument.load(endpoint.measure), protocol.schedule[endpoint.measure].replicates
        now, before = (
            visit_value(
                instrument,
                observe(
                    instrument,
                    latent(trial.world, instrument, endpoint.side, week),
                    recruited,
                    visit_noise(screening, instrument, Visit(endpoint.side, week, count), recruited),
                ),
            )
            for week in (endpoint.at, endpoint.baseline)
        )
        stayed = trial.left >= endpoint.at
        y, covariates, observed = subjects.endpoint(protocol, tables, endpoint)
        np.testing.assert_array_equal(observed, stayed)
        np.testing.assert_allclose(y[stayed, 0], now.value[0, stayed], atol=1e-4)
        np.testing.assert_array_equal(y[stayed, 1] > 0, now.below[0, stayed])
        np.testing.assert_allclose(covariates[observed, 0], before.value[0, observed], atol=1e-4)
        factors = np.stack([before.value[0], recruited.stratum[0] & 1, recruited.low[0]], axis=-1)
        seen[key] = (now.value[0], now.below[0], factors, stayed)
    answers = cg.analyse(protocol, tables)
    value, below, factors, stayed = seen["lowered"]
    effect = censored_regression(value, np.where(below, value, -np.inf), recruited.treated[0], factors, observed=stayed)
    assert answers["lowered"].estimate == pytest.approx(np.exp(effect.estimate[0]), rel=1e-3)
    value, _, factors, stayed = seen["relieved"]
    effect = ancova(value, recruited.treated[0], factors, observed=stayed)
    assert answers["relieved"].estimate == pytest.approx(effect.estimate[0], abs=1e-3)
    assert answers["relieved"].p == pytest.approx(effect.p[0], rel=1e-2)


def test_below_the_limit_a_visit_is_an_upper_limit_in_tables_too(protocol, tables):
    instrument = Instrument.load("blister-tnf")
    values = visit_values(tables, instrument, "affected", 6.0)
    rows = tables["adlb"].filter(
        (pl.col("PARAMCD") == "TNFBL") & (pl.col("AVISITN") == 6) & (pl.col("SIDE") == "AFFECTED")
    )
    for subject, (value, below) in values.items():
        own = rows.filter(pl.col("USUBJID") == subject)
        assert (below > 0) == (own["BLQFL"] == "Y").any()
        expected = np.log(np.where(own["BLQFL"] == "Y", own["LLOQ"], own["AVAL"].fill_null(1))).mean()
        assert value == pytest.approx(expected, rel=1e-12)


def test_harm_follows_the_drugs_rates(protocol, outcomes):
    """Over 12 trials of 60: infusion reactions 20 and 10 %, less what leaving prevents; four standard errors."""
    counts = {"infliximab": [0, 0], "placebo": [0, 0]}
    for seed in range(12):
        tables = conduct(protocol, outcomes, seed=seed, size=60)
        reacted = set(tables["adae"].filter(pl.col("AETERM") == "infusion reaction")["USUBJID"])
        for row in tables["adsl"].filter(pl.col("ITTFL") == "Y").to_dicts():
            counts[row["ARM"]][0] += row["USUBJID"] in reacted
            counts[row["ARM"]][1] += 1
    for arm, rate in (("infliximab", 0.20), ("placebo", 0.10)):
        events, n = counts[arm]
        assert events / n == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / n) + 0.03 * rate)


def test_an_adverse_event_lowers_how_well_a_subject_feels(write, protocol, every_world):
    """EQ-VAS reads 10 points less within two weeks of an event, and may be scheduled before treatment too."""
    path = write(
        "protocols", "gated-infliximab", ("eq-vas = { at = [0, 6, 12, 26]", "eq-vas = { at = [-2, 0, 1, 6, 12, 26]")
    )
    trial = run(cg.Protocol.load(path), every_world["absolute"], 12, SIZE)
    from causalgia.trial import tables as rows

    adqs = rows.measurements(trial, "linear").filter(pl.col("PARAMCD") == "EQVAS")
    assert set(adqs["AVISITN"]) == {-2, 0, 1, 6, 12, 26}
    hit = [event for event in trial.events if event.day == 0 and trial.left[event.slot] >= 1]
    assert hit
    effect = rows._adverse_effect(trial, Instrument.load("eq-vas"), "patient", 1.0)
    assert all(effect[event.slot] == -10 for event in hit)
    assert not rows._adverse_effect(trial, Instrument.load("eq-vas"), "patient", -2.0).any()


@pytest.mark.parametrize(
    ("size", "part"), [(0, "at least 2"), (1, "at least 2"), (-3, "at least 2"), (100_000, "pool can fill")]
)
def test_impossible_sizes(protocol, outcomes, size, part):
    with pytest.raises(InputError, match=part):
        conduct(protocol, outcomes, seed=1, size=size)


def test_unknown_world(protocol, outcomes):
    with pytest.raises(InputError, match="one of absolute, relative, recovery, null"):
        conduct(protocol, outcomes, seed=1, world="flat")


def test_in_the_null_world_arms_are_drawn_from_the_same_people(protocol, outcomes):
    truth = conduct(protocol, outcomes, seed=1, size=16, world="null")["truth"]
    assert (truth["LOWERED_TREATED"] == truth["LOWERED_CONTROL"]).all()
    assert (truth["RELIEVED_TREATED"] == truth["RELIEVED_CONTROL"]).all()
