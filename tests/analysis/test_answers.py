"""The answers against direct calls of the methods behind them, and refusals with their reasons."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import causalgia as cg
from causalgia.analysis.answer import censored
from causalgia.analysis.guards import regression_to_the_mean
from causalgia.analysis.harmed import days_watched
from causalgia.analysis.imputation import analyse_completed, impute
from causalgia.analysis.linear import ancova
from causalgia.analysis.mediated import marker_error, refusal
from causalgia.analysis.mediation import mediate, replicate_error
from causalgia.analysis.mediation_sensitivity import correlation_sensitivity
from causalgia.analysis.mmrm_table import mmrm_table
from causalgia.analysis.ranks import rank_test
from causalgia.analysis.relieved import responds, values_of
from causalgia.analysis.safety import Stopping, exposure_rate
from causalgia.analysis.spared import effect_by_biomarker
from causalgia.analysis.tables import Subjects
from causalgia.analysis.visit_error import visit_error
from causalgia.documents import InputError, Instrument

SEED, SIZE = 2, 100
NUMBERS = ("estimate", "lower", "upper", "p")


@pytest.fixture(scope="module")
def trial(protocol, outcomes):
    return cg.conduct(protocol, outcomes, seed=SEED, size=SIZE)


@pytest.fixture(scope="module")
def answers(protocol, trial):
    return cg.analyse(protocol, trial)


@pytest.fixture(scope="module")
def subjects(protocol, trial):
    return Subjects.read(protocol, trial)


def companion(answer, name):
    (found,) = [row for row in answer.companions if row.name == name]
    return found


def assert_same(answer, effect, ratio=False):
    for name in NUMBERS:
        value = float(np.ravel(getattr(effect, name))[0])
        assert getattr(answer, name) == pytest.approx(np.exp(value) if ratio and name != "p" else value, rel=1e-9), name


def test_the_questions_in_their_order(answers):
    assert list(answers) == ["raised", "lowered", "relieved", "mediated", "spared", "harm"]


def test_ranks_stand_beside_the_censored_regression(answers, protocol, trial, subjects):
    y, _, seen = subjects.endpoint(protocol, trial, protocol.endpoints.lowered)
    test = rank_test(*censored(y), subjects.treated, observed=seen)
    row = answers["lowered"].companions[0]
    assert (row.estimate, row.p, row.n) == (test.estimate[0], test.p[0], seen.sum())


def test_the_mixed_model_is_that_of_the_table(answers, protocol, trial, subjects):
    """Weeks 1 to 12 as rows of a long table with text factors."""
    values = values_of(protocol, trial, subjects)
    rows = []
    for week in range(1, 13):
        y = subjects.reading(trial, protocol.endpoints.relieved, week)[:, 0]
        for i in np.flatnonzero(np.isfinite(values.baseline)):
            name, arm = subjects.ids[i], protocol.treatment if subjects.treated[i] else protocol.control
            factors = [str(value) for value in subjects.dummies[i]]
            rows.append((name, arm, week, y[i] if np.isfinite(y[i]) else None, values.baseline[i], *factors))
    names = ("USUBJID", "ARM", "AVISITN", "AVAL", "BASE", "LONG", "LOW")
    table = mmrm_table(
        pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None),
        treatment="infliximab",
        control="placebo",
        factors=("LONG", "LOW"),
    )
    last, row = table.row(-1, named=True), companion(answers["relieved"], "mixed model")
    for name in NUMBERS:
        assert getattr(row, name) == pytest.approx(last[name], rel=1e-6)
    assert last["structure"] in row.method and "linear Kenward-Roger" in row.method and "weeks 1 to 12" in row.method
    assert [visit["week"] for visit in answers["relieved"].series["visits"]] == list(range(1, 13))


def test_what_decides_is_declared(write, protocol, trial, answers):
    declared = f'[analysis]\ndecides = "mmrm"\nvisits = {list(range(1, 13))}\n\n[evaluation]'
    changed = write("protocols", "gated-infliximab", ("[evaluation]", declared))
    other = cg.analyse(cg.Protocol.load(changed), trial)["relieved"]
    plain = answers["relieved"]
    mixed = companion(plain, "mixed model")
    assert (other.estimate, other.p, other.method) == (mixed.estimate, mixed.p, mixed.method)
    beside = companion(other, "analysis of covariance")
    assert (beside.estimate, beside.p) == (plain.estimate, plain.p)


def test_the_mixed_model_cannot_decide_on_responders(write):
    changes = [
        ("[evaluation]", '[analysis]\ndecides = "mmrm"\nvisits = [4, 8, 12]\n\n[evaluation]'),
        ("at = 12, baseline = 0 }", 'at = 12, baseline = 0, responder = { fall = 30, unit = "percent" } }'),
    ]
    with pytest.raises(InputError, match=r"analysis\.decides"):
        cg.Protocol.load(write("protocols", "gated-infliximab", *changes))


def test_a_small_trial_has_no_mixed_model_of_twelve_visits(protocol, outcomes):
    found = cg.analyse(protocol, cg.conduct(protocol, outcomes, seed=SEED, size=16))["relieved"]
    row = companion(found, "mixed model")
    assert row.estimate is None and "12 visits" in row.reason
    assert found.exact_p is not None and "exact re-randomisation test decides" in found.method


def test_those_who_left_are_imputed_and_counted(answers, protocol, trial, subjects):
    answer = answers["relieved"]
    pain = trial["adqs"].filter((pl.col("PARAMCD") == "NRS24AVG") & (pl.col("AVISITN") == 12))
    assert answer.facts["missing"] == subjects.n - len(pain) > 0
    jump = companion(answer, "jump to reference")
    assert jump.n == subjects.n
    values = values_of(protocol, trial, subjects)
    weeks = range(1, 13)
    y = np.column_stack([subjects.reading(trial, protocol.endpoints.relieved, week)[:, 0] for week in weeks])
    generator = np.random.default_rng(1)
    drawn = impute(y, subjects.treated, values.covariates, method="jump", imputations=400, generator=generator)
    direct = analyse_completed(drawn)
    assert jump.estimate == pytest.approx(float(direct.estimate), abs=0.1 * float(direct.se)), "other random numbers"


def test_nobody_left_nothing_imputed(protocol, outcomes, write):
    stays = cg.Protocol.load(
        write(
            "protocols",
            "gated-infliximab",
            ("dropout = { value = 0.10, uncertainty = [0.03, 0.25]", "dropout = { value = 0.0"),
        )
    )
    found = cg.analyse(stays, cg.conduct(stays, outcomes, seed=1, size=24))["relieved"]
    assert [row.name for row in found.companions] == ["mixed model"]
    assert found.facts == {}


def test_the_responder_curve_falls_and_meets_the_details(answers):
    curve = answers["relieved"].series["responders"]
    for arm in ("infliximab", "placebo"):
        shares = [row["share"] for row in curve if row["arm"] == arm]
        assert shares == sorted(shares, reverse=True)
        (detail,) = [row for row in answers["relieved"].details if row["arm"] == arm and "30" in row["term"]]
        at = next(row["share"] for row in curve if row["arm"] == arm and row["percent"] == 30)
        assert at == detail["events"] / detail["n"]


def mediation_by_hand(protocol, trial, subjects):
    lowered, relieved = protocol.endpoints.lowered, protocol.endpoints.relieved
    y, covariates, seen = subjects.endpoint(protocol, trial, relieved)
    now, before = (subjects.reading(trial, lowered, week) for week in (6, 0))
    first = subjects.reading(trial, lowered, -2)
    both = (first[:, 1] == 0) & (before[:, 1] == 0)
    error = visit_error(first[:, 0], before[:, 0], observed=both & np.isfinite(first[:, 0] + before[:, 0]))
    seen = seen & np.isfinite(now[:, 0] + before[:, 0]) & (before[:, 1] == 0)
    value, limit = censored(now)
    return mediate(
        y[:, 0],
        value,
        subjects.treated,
        covariates,
        error=error.variance[0],
        error_df=error.df[0],
        baseline=before[:, 0],
        limit=limit,
        observed=seen,
    ), error


def test_mediation_is_the_direct_call(answers, protocol, trial, subjects):
    fit, error = mediation_by_hand(protocol, trial, subjects)
    answer = answers["mediated"]
    assert answer.known, answer.reason
    assert_same(answer, fit.indirect)
    for name, effect in (("total effect", fit.total), ("direct effect", fit.direct)):
        assert_same(companion(answer, name), effect)
    assert answer.facts["vanishing_correlation"] == fit.vanishing_correlation[0]
    assert answer.facts["error_sd"] == pytest.approx(np.sqrt(error.variance[0]))
    rows = answer.series["correlation"]
    grid = correlation_sensitivity(fit, [row["correlation"] for row in rows])
    np.testing.assert_allclose([row["estimate"] for row in rows], grid.estimate[0])
    assert rows[5]["correlation"] == 0 and rows[5]["estimate"] == pytest.approx(answer.estimate)


def test_mediation_never_says_more_than_consistent(answers):
    text = answers["mediated"].reading
    assert text.startswith(("Consistent with", "Neither evidence", "The part through"))
    assert "E-value" in text and "correlates their errors" in text


def test_mediation_by_replicates_says_what_they_miss(protocol, trial):
    """Without the visit before the gate's, only one session's replicates are left."""
    schedule = dict(protocol.schedule)
    row = schedule["blister-tnf"]
    schedule["blister-tnf"] = row.model_copy(update={"at": (0.0, 6.0, 12.0)})
    plain = protocol.model_copy(update={"schedule": schedule, "gate": None})
    error = marker_error(plain, trial, Subjects.read(protocol, trial))
    rows = trial["adlb"].filter(
        (pl.col("PARAMCD") == "TNFBL") & (pl.col("SIDE") == "AFFECTED") & (pl.col("BLQFL") == "N")
    )
    wide = rows.pivot("REPNO", index=["USUBJID", "AVISITN"], values="AVAL").select("1", "2").to_numpy().astype(float)
    variance, df = replicate_error(np.log(wide))
    assert error.variance == pytest.approx(float(variance) / 2) and error.df == df
    assert np.isnan(error.persistence) and "one session" in error.source


def test_no_replicates_no_mediation(protocol, trial):
    adlb = trial["adlb"].filter((pl.col("REPNO") == 1) & ((pl.col("AVISITN") >= 0) | (pl.col("PARAMCD") != "TNFBL")))
    answer = cg.analyse(protocol, {**trial, "adlb": adlb})["mediated"]
    assert not answer.known and "two readings of one visit" in answer.reason


REFUSED = {
    "dirckx-2013": "below 20 in each",
    "cohen-2009": "One replicate a visit",
    "goebel-2010": "crossover",
    "lipsky-attract": "a response, yes or no",
    "huygen-2004": "Nobody is a control",
}


@pytest.mark.parametrize("name", REFUSED)
def test_designs_that_cannot_tell(name, patients):
    plan = cg.Protocol.load(name)
    if name != "dirckx-2013":
        assert REFUSED[name] in refusal(plan)
        return
    plan = plan.with_options(2000)
    assert refusal(plan) == ""
    tables = cg.conduct(plan, cg.simulate(plan, patients), seed=1)
    assert REFUSED[name] in cg.analyse(plan, tables)["mediated"].reason


def test_the_effect_along_the_marker_is_the_direct_call(answers, protocol, trial, subjects):
    values = values_of(protocol, trial, subjects)
    before = subjects.reading(trial, protocol.endpoints.lowered, 0)
    error = marker_error(protocol, trial, subjects)
    seen = values.seen & np.isfinite(before[:, 0]) & (before[:, 1] == 0)
    direct = effect_by_biomarker(
        values.value,
        subjects.treated,
        before[:, 0],
        values.covariates,
        error=error.variance,
        error_df=error.df,
        observed=seen,
    )
    answer = answers["spared"]
    assert_same(answer.companions[0], direct.slope)
    rows = answer.series["gradient"]
    x = np.log([row["marker"] for row in rows])
    np.testing.assert_allclose([row["chance"] for row in rows], direct.chance_of_benefit(x, 1.5)[0], rtol=1e-9)
    unlikely = [row["marker"] for row in rows if row["chance"] < 0.2]
    if unlikely and len(unlikely) < len(rows):
        assert answer.facts["spare_below"] == pytest.approx(max(unlikely))


def test_a_gate_alone_cannot_say_whom_to_spare(write, outcomes):
    gate_only = cg.Protocol.load(
        write("protocols", "gated-infliximab", ("re:low_stratum = .*", ""), ('"duration", "gate"', '"duration"'))
    )
    found = cg.analyse(gate_only, cg.conduct(gate_only, outcomes, seed=1, size=24))["spared"]
    assert not found.known and "Nobody below the gate was randomised" in found.reason


def test_harm_for_the_time_watched(answers, protocol, trial, subjects):
    days = dict(zip(subjects.ids, days_watched(protocol, trial, subjects.ids), strict=True))
    left = dict(trial["adice"].select("USUBJID", "ICEDY").iter_rows())
    assert all(days[name] == left.get(name, 26 * 7) for name in subjects.ids) and left
    treated = {name for name, arm in zip(subjects.ids, subjects.treated, strict=True) if arm}
    years = sum(days[name] for name in treated) / 365.25
    row = next(row for row in answers["harm"].details if row["arm"] == "infliximab")
    assert row["years"] == pytest.approx(years)
    assert row["rate"] == pytest.approx(float(exposure_rate(row["occurrences"], years)[0]))


def test_events_before_treatment_and_the_stopping_rule(protocol, trial, subjects):
    treated = [name for name, arm in zip(subjects.ids, subjects.treated, strict=True) if arm]
    fewest = int(Stopping().boundary(len(treated)))
    for count, word in ((fewest, "STOP"), (fewest - 1, "go on")):
        names = [*treated[:count], *treated[:3]]
        flags = ["Y"] * count + ["N"] * 3
        events = pl.DataFrame({"USUBJID": names, "AETERM": "sepsis", "AESER": "Y", "TRTEMFL": flags})
        harm = cg.analyse(protocol, {**trial, "adae": events})["harm"]
        assert harm.facts["serious"] == count and harm.facts["boundary"] == fewest
        assert harm.reading.endswith(f"{word}.") and any("3 events" in text for text in harm.guards)
        assert sum(row["occurrences"] for row in harm.details) == count


def test_without_a_column_of_seriousness_the_rule_is_not_checked(protocol, trial):
    harm = cg.analyse(protocol, {**trial, "adae": trial["adae"].drop("AESER")})["harm"]
    assert harm.reading == "" and any("AESER" in text for text in harm.guards)


def test_guards_of_the_gate_and_the_assay(answers, protocol, trial, subjects):
    texts = " ".join(answers["lowered"].guards)
    assert "baseline is week 0" in texts and "Regression to the mean" in texts and "free TNF alone (assumed)" in texts
    found = regression_to_the_mean(protocol, trial, subjects)
    assert found.n == (~subjects.low).sum() and 0.5 < found.expected < 1


def test_heavy_censoring_is_said(protocol, trial):
    low = (pl.col("PARAMCD") == "TNFBL") & (pl.col("AVISITN") == 6) & (pl.col("AVAL") < 60)
    adlb = trial["adlb"].with_columns(
        AVAL=pl.when(low).then(None).otherwise(pl.col("AVAL")),
        LLOQ=pl.when(low).then(60.0).otherwise(pl.col("LLOQ")),
        BLQFL=pl.when(low).then(pl.lit("Y")).otherwise(pl.col("BLQFL")),
    )
    guards = cg.analyse(protocol, {**trial, "adlb": adlb})["lowered"].guards
    assert any("below the limit" in text for text in guards)
    known = trial["adlb"].with_columns(AVAL=pl.col("AVAL").fill_null(pl.col("LLOQ")), BLQFL=pl.lit("N"))
    assert not any(
        "below the limit" in text for text in cg.analyse(protocol, {**trial, "adlb": known})["lowered"].guards
    )


def test_ends_of_the_scale_are_said(protocol, trial):
    floor = (pl.col("PARAMCD") == "NRS24AVG") & (pl.col("AVISITN") == 12) & (pl.col("AVAL") < 4)
    adqs = trial["adqs"].with_columns(AVAL=pl.when(floor).then(0.0).otherwise(pl.col("AVAL")))
    assert any("end of the scale" in text for text in cg.analyse(protocol, {**trial, "adqs": adqs})["relieved"].guards)


def test_visit_error_is_unbiased_whoever_the_gate_lets_in():
    """s² = 0.09 from 40 000 people, all of them and those above a gate on the first reading: four standard errors."""
    rng = np.random.default_rng(3)
    truth = rng.normal(3, 0.8, 40_000)
    first, second = truth + rng.normal(0, 0.3, 40_000), truth - 0.1 + rng.normal(0, 0.3, 40_000)
    for seen in (np.ones(40_000, bool), first > 3.4):
        found = visit_error(first, second, observed=seen)
        assert found.variance[0] == pytest.approx(0.09, abs=4 * 0.09 * np.sqrt(2 / found.df[0]))
        assert found.persistence[0] == pytest.approx(0.64 / 0.73, abs=0.03)


def test_visit_error_by_size_and_refusal():
    rng = np.random.default_rng(4)
    first = rng.normal(size=(3, 30))
    second = first + rng.normal(size=(3, 30)) / 2
    nested = visit_error(first, second, sizes=(9, 20, 30))
    assert np.isnan(nested.variance[:, 0]).all()
    np.testing.assert_allclose(nested.variance[:, 1], visit_error(first[:, :20], second[:, :20]).variance[:, 0])


def test_responders_by_points_and_by_share(protocol, trial, subjects):
    from causalgia.documents.protocol import Responder

    values = values_of(protocol, trial, subjects)
    nrs = Instrument.load("nrs")
    fall = values.baseline - values.value
    np.testing.assert_array_equal(responds(nrs, Responder(fall=2, unit="score"), values), values.seen & (fall >= 2))
    half = responds(nrs, Responder(fall=50, unit="percent"), values)
    np.testing.assert_array_equal(half, values.seen & (fall >= 0.5 * values.baseline))


def test_the_total_of_the_mediation_is_that_of_its_subjects(answers, protocol, trial, subjects):
    fit, _ = mediation_by_hand(protocol, trial, subjects)
    assert answers["mediated"].estimate + companion(answers["mediated"], "direct effect").estimate == pytest.approx(
        float(fit.total.estimate[0])
    )
    values = values_of(protocol, trial, subjects)
    plain = ancova(values.value, subjects.treated, values.covariates, observed=values.seen)
    assert_same(answers["relieved"], plain)
