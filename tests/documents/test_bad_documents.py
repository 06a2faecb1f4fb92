# ruff: noqa: E501 - one case a line
"""One small mistake in a document, one clear message that names its file and key."""

from __future__ import annotations

import pytest

import causalgia as cg
from causalgia.documents.errors import InputError
from causalgia.population.dosing import check_drug

ARM = '[arms.infliximab]\ndrug = "infliximab"\nroute = "intravenous"\ndose = "5 mg/kg"\nat = [0, 2, 6]\n'
NRS_ROW = "nrs = { at = [-2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 20, 26], sides = ["
SIZES = r"re:sizes = \[.*\]"
LOWERED = 'lowered = { measure = "blister-tnf", side = "affected", at = 6, baseline = 0 }'
RELIEVED = 'relieved = { measure = "nrs", side = "patient", at = 12, baseline = 0 }'
RULE = 'rule = "geometric mean of 2 blisters > 31 pg/mL"'

# what is wrong: (text, its replacement, the key of the message, a part of what was found or expected)
PROTOCOLS = {
    "unknown key": ("[gate]\n", "[gate]\ncolour = 1\n", "gate.colour", "unknown key"),
    "unknown section": ("[evaluation]\n", "[extra]\na = 1\n[evaluation]\n", "extra", "unknown key"),
    "missing key": ('condition = "crps-acute"\n', "", "population.condition", "found nothing"),
    "wrong kind": ('kind = "protocol"', 'kind = "drug"', "kind", "'drug'"),
    "no kind": ('kind = "protocol"\n', "", "kind", "None"),
    "text for a number": ("subjects = 20000", 'subjects = "many"', "population.subjects", "'many'"),
    "too few subjects": ("subjects = 20000", "subjects = 10", "population.subjects", "at least 400"),
    "unknown condition": ('"crps-acute"', '"crps"', "population.condition", "crps-acute"),
    "unknown drug": ('drug = "infliximab"', 'drug = "inflximab"', "arms.infliximab.drug", "'inflximab'"),
    "unknown route": ('route = "intravenous"', 'route = "oral"', "arms.infliximab.route", "intravenous"),
    "no route": ('route = "intravenous"\n', "", "arms.infliximab.route", "found nothing"),
    "no dose": ('dose = "5 mg/kg"\n', "", "arms.infliximab.dose", "found nothing"),
    "no times": ("at = [0, 2, 6]\n", "", "arms.infliximab.at", "found nothing"),
    "route without drug": ("[arms.placebo]\n", '[arms.placebo]\nroute = "intravenous"\n', "arms.placebo.drug", "a drug"),
    "negative dose": ('"5 mg/kg"', '"-5 mg/kg"', "arms.infliximab.dose", "above 0"),
    "dose not a number": ('"5 mg/kg"', '"nan mg/kg"', "arms.infliximab.dose", "a number and a unit"),
    "dose without unit": ('"5 mg/kg"', '"5"', "arms.infliximab.dose", "a unit"),
    "dose of another kind": ('"5 mg/kg"', '"5 mg/L"', "arms.infliximab.dose", "mg or mg/kg"),
    "unknown dose unit": ('"5 mg/kg"', '"5 spoons"', "arms.infliximab.dose", "pint"),
    "dose before randomisation": ("at = [0, 2, 6]", "at = [-1, 2, 6]", "arms.infliximab.at", "from 0 on"),
    "doses out of order": ("at = [0, 2, 6]", "at = [0, 6, 2]", "arms.infliximab.at", "rise"),
    "dose after follow-up": ("at = [0, 2, 6]", "at = [0, 2, 60]", "arms.infliximab.at", "at most 26"),
    "times of no time unit": ('at = [0, 2, 6]\nunit = "week"', 'at = [0, 2, 6]\nunit = "kg"', "arms.infliximab.unit", "time"),
    "two treatments": ("[arms.placebo]\n", ARM.replace("arms.infliximab", "arms.placebo"), "arms", "one control arm"),
    "ratio of another arm": ("ratio = { infliximab = 1, placebo = 1 }", "ratio = { infliximab = 1, sham = 1 }", "allocation.ratio", "sham"),
    "ratio of 0": ("ratio = { infliximab = 1, placebo = 1 }", "ratio = { infliximab = 0, placebo = 1 }", "allocation.ratio.infliximab", "0"),
    "blocks too large to list": ("blocks = 2", "blocks = 30", "allocation.ratio", "arrangements"),
    "stratum twice": ('strata = ["duration", "gate"]', 'strata = ["gate", "gate"]', "allocation.strata", "once"),
    "unknown stratum": ('strata = ["duration", "gate"]', 'strata = ["sex"]', "allocation.strata", "'sex'"),
    "unknown method": ('"permuted blocks"', '"coin"', "allocation.method", "'coin'"),
    "cut of no time unit": ('value = 90, unit = "day"', 'value = 90, unit = "kg"', "allocation.duration_cut.unit", "time"),
    "fixed totals with strata": ('"permuted blocks"', '"fixed totals"', "allocation.strata", "no strata"),
    "unknown gate measure": ('measure = "blister-tnf"\nside = "affected"\nat = -2', 'measure = "blood"\nside = "affected"\nat = -2', "gate.measure", "'blood'"),
    "gate at no visit": ("at = -2\n", "at = -3\n", "gate.at", "-3"),
    "gate after baseline": ("at = -2\n", "at = 12\n", "gate.at", "before the baseline"),
    "gate at baseline": ("at = -2\n", "at = 0\n", "gate.at", "before the baseline"),
    "gate on the arithmetic mean": (RULE, 'rule = "mean of 2 blisters > 31 pg/mL"', "gate.rule", "geometric mean of N"),
    "gate below": (RULE, RULE.replace(">", "<"), "gate.rule", "geometric mean of N"),
    "gate without unit": (RULE, RULE.replace(" pg/mL", ""), "gate.rule", "geometric mean of N"),
    "gate of no blister": (RULE, RULE.replace("of 2", "of 0"), "gate.rule", "at least 1"),
    "gate of too many blisters": (RULE, RULE.replace("of 2", "of 3"), "gate.rule", "at most the 2"),
    "gate at 0": (RULE, RULE.replace("31", "0"), "gate.rule", "above 0"),
    "gate limit twice a point": (RULE, RULE.replace("31", "3.1.1"), "gate.rule", "a number and a unit"),
    "gate in another unit": (RULE, RULE.replace("pg/mL", "mg"), "gate.rule", "same kind"),
    "low stratum of all": ("share = 0.25", "share = 1.0", "gate.low_stratum.share", "1"),
    "endpoint not measured": (LOWERED, LOWERED.replace("blister-tnf", "biopsy-tnf"), "endpoints.lowered.measure", "one of the schedule"),
    "endpoint at no visit": (LOWERED, LOWERED.replace("at = 6", "at = 7"), "endpoints.lowered.at", "a visit of blister-tnf"),
    "endpoint of another side": (LOWERED, LOWERED.replace('"affected"', '"patient"'), "endpoints.lowered.side", "affected"),
    "endpoint at baseline": (RELIEVED, RELIEVED.replace("at = 12", "at = 0"), "endpoints.relieved.at", "above 0"),
    "baseline under treatment": (RELIEVED, RELIEVED.replace("baseline = 0", "baseline = 6"), "endpoints.relieved.baseline", "at most 0"),
    "lowered on a linear scale": (LOWERED, LOWERED.replace("blister-tnf", "iss").replace("affected", "patient"), "endpoints.lowered.measure", "log scale"),
    "relieved on a log scale": (RELIEVED, RELIEVED.replace("nrs", "blister-il6").replace("patient", "affected"), "endpoints.relieved.measure", "linear scale"),
    "relieved reads harm": (RELIEVED, RELIEVED.replace('"nrs"', '"eq-vas"'), "endpoints.relieved.measure", "adverse"),
    "relevant in another unit": ('relevant = { value = 1.5, unit = "score"', 'relevant = { value = 1.5, unit = "kg"', "endpoints.relevant.unit", "same kind"),
    "unknown instrument": (NRS_ROW, "pain = { at = [0], sides = ['patient'] }\n" + NRS_ROW, "schedule.pain", "'pain'"),
    "side that is not read": (NRS_ROW + '"patient"]', NRS_ROW + '"patient", "affected"]', "schedule.nrs.sides", "'affected'"),
    "no visits": ("iss = { at = [0, 6, 12, 26]", "iss = { at = []", "schedule.iss.at", "rise"),
    "visits twice": ("iss = { at = [0, 6, 12, 26]", "iss = { at = [0, 6, 6, 26]", "schedule.iss.at", "rise"),
    "no replicate": ("replicates = 2 }", "replicates = 0 }", "schedule.blister-tnf.replicates", "0"),
    "visit after follow-up": ("iss = { at = [0, 6, 12, 26]", "iss = { at = [0, 6, 12, 30]", "schedule.iss", "at most 26"),
    "visits in days": ('follow_up = 26\nunit = "week"', 'follow_up = 26\nunit = "day"', "unit", "week"),
    "follow-up without end": ("follow_up = 26", "follow_up = inf", "follow_up", "finite"),
    "no rate of screening": ("screened_per_month = { value = 4", "screened_per_month = { value = 0", "conduct.screened_per_month", "above 0"),
    "everybody leaves": ("dropout = { value = 0.10", "dropout = { value = 1.0", "conduct.dropout", "below 1"),
    "number that is none": ("dropout = { value = 0.10", "dropout = { value = nan", "conduct.dropout.value", "finite"),
    "too few replicates": ("replicates = 10000", "replicates = 3", "evaluation.replicates", "20"),
    "no size": (SIZES, "sizes = []", "evaluation.sizes", "rise"),
    "size of 0": (SIZES, "sizes = [0, 10]", "evaluation.sizes", "1"),
    "size of 1": (SIZES, "sizes = [1, 10]", "evaluation.sizes", "2"),
    "sizes that fall": (SIZES, "sizes = [20, 10]", "evaluation.sizes", "rise"),
    "a size twice": (SIZES, "sizes = [20, 20]", "evaluation.sizes", "once"),
    "alpha of 0": (SIZES, "sizes = [20]\nalpha = 0.0", "evaluation.alpha", "greater than 0"),
    "no source": ('source = "assumed: share of subjects lost by the clinical endpoint"', 'source = " "', "conduct.dropout.source", "study key"),
}  # fmt: skip

CONDITIONS = {
    "unknown parameter": ("[values]\n", '[values]\nT00 = { value = 1, source = "x" }\n', "values.T00", "unknown parameter"),
    "two values": ("D50 = { value = 1.05,", "D50 = { value = 1.05, probability = 0.5,", "values.D50", "exactly one"),
    "no value": ("D50 = { value = 1.05,", "D50 = {", "values.D50", "value"),
    "two spreads": ("D50 = { value = 1.05,", "D50 = { value = 1.05, cv = 0.2,", "values.D50", "one of cv"),
    "negative spread": ("value = 1.05, log_sd = 0.26", "value = 1.05, log_sd = -0.26", "values.D50.log_sd", "above 0"),
    "value that has no logarithm": ("value = 1.05, log_sd", "value = -1.05, log_sd", "values.D50.value", "above 0"),
    "value outside its range": ("value = 72, unit", "value = 720, unit", "covariates.weight.value", "range"),
    "range that falls": ("range = [40, 150]", "range = [150, 40]", "covariates.weight.range", "low < high"),
    "probability above 1": ("probability = 0.8", "probability = 1.8", "covariates.female.probability", "0 to 1"),
    "wrong unit": ('kG = { value = 0.009, unit = "1/day"', 'kG = { value = 0.009, unit = "mg"', "values.kG.unit", "same kind"),
    "unknown unit": ('kG = { value = 0.009, unit = "1/day"', 'kG = { value = 0.009, unit = "1/dya"', "values.kG.unit", "pint"),
    "unit with a number": ('kG = { value = 0.009, unit = "1/day"', 'kG = { value = 0.009, unit = "2/day"', "values.kG.unit", "pint"),
    "degrees with an offset": ('value = 3.2, unit = "delta_degC"', 'value = 3.2, unit = "degC"', "values.vW.unit", "offset"),
    "weight in pounds": ('value = 72, unit = "kg"', 'value = 72, unit = "pound"', "covariates.weight.unit", "'kg'"),
    "covariate missing": ("age = {", "years = {", "covariates", "no age"),
    "parameter of the course missing": ("PHA = {", "kF = {", "values", "no PHA"),
    "placebo time of no time": ('PHA = { value = 27.7, unit = "day"', 'PHA = { value = 27.7, unit = "kg"', "values.PHA.unit", "same kind"),
    "formula of a later name": ('formula = "31/8 * T0"', 'formula = "31/8 * nobody"', "worlds.relative.values.T50", "'nobody'"),
    "formula with a spread": ('formula = "31/8 * T0",', 'formula = "31/8 * T0", log_sd = 0.2,', "worlds.relative.values.T50", "beside a value"),
    "formula with a range": ('formula = "31/8 * T0",', 'formula = "31/8 * T0", range = [1, 2],', "worlds.relative.values.T50.range", "formula alone"),
    "formula that runs code": ('formula = "31/8 * T0"', 'formula = "__import__(\'os\').getpid()"', "worlds.relative.values.T50.formula", "a formula of"),
    "criteria of an unknown sign": ("NRS >= 4", "PAIN >= 4", "history.criteria", "'PAIN'"),
    "criteria that are no formula": ("NRS >= 4 and", "NRS >= 4 &&", "history.criteria", "a formula such as"),
    "settle of no time": ('settle = { value = 400, unit = "day"', 'settle = { value = 400, unit = "kg"', "history.settle.unit", "same kind"),
    "correlation of nobody": ('"T0 ~ IL60"', '"T0 ~ IL61"', "correlations.T0 ~ IL61", "two varying parameters"),
    "correlation above 1": ('"T0 ~ IL60" = { value = 0.5', '"T0 ~ IL60" = { value = 1.5', "correlations.T0 ~ IL60", "between -1 and 1"),
    "unknown model": ('model = "inflamed_site"', 'model = "outflamed_site"', "outflamed_site", "inflamed_site"),
}  # fmt: skip

DRUGS = {
    "unknown parameter": ("[binding]\n", '[binding]\nKd = { value = 1, unit = "nM", source = "x" }\n', "Kd", "unknown parameter"),
    "missing parameter": ("V2 = {", "kint = {", "", "no value for V2"),
    "wrong unit": ('CL = { value = 0.273, unit = "L/day"', 'CL = { value = 0.273, unit = "L"', "pharmacokinetics.CL.unit", "same kind"),
    "binding in mass": ('Kss = { value = 0.49, unit = "nM"', 'Kss = { value = 0.49, unit = "mg/L"', "binding.Kss.unit", "same kind"),
    "unknown covariate": ("(albumin/44)^-0.826", "(albumen/44)^-0.826", "pharmacokinetics.CL", "'albumen'"),
    "lambda": ('covariates = "(weight/70)^0.385"', 'covariates = "(lambda: 1)()"', "pharmacokinetics.V1.covariates", "a formula of"),
    "route into no state": ('into = "Ac"', 'into = "Depot"', "routes.intravenous.into", "'Depot'"),
    "infusion of no time": ('value = 2, unit = "hour"', 'value = 2, unit = "mg"', "routes.intravenous.duration.unit", "same kind"),
    "negative infusion": ('value = 2, unit = "hour"', 'value = -2, unit = "hour"', "routes.intravenous.duration.value", "at least 0"),
    "antibodies without onset": ("t_ada = {", "theta_ADA2 = {", "theta_ADA2", "unknown parameter"),
    "harm without probability": ("drug = { probability = 0.20,", "drug = { value = 0.20,", "adverse_events.0.drug.probability", "0 to 1"),
    "molar mass of 0": ("value = 149.1", "value = 0", "molar_mass.value", "above 0"),
    "molar mass in mg": ('unit = "kg/mol"', 'unit = "mg"', "molar_mass.unit", "same kind"),
}  # fmt: skip


def refused(path, key, part, load):
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert key in caught.value.where
    assert part in message
    assert "\n" not in message
    return caught.value


@pytest.mark.parametrize("case", PROTOCOLS.values(), ids=PROTOCOLS.keys())
def test_protocol(case, write):
    old, new, key, part = case
    path = write("protocols", "gated-infliximab", (old, new))
    error = refused(path, key, part, cg.Protocol.load)
    assert error.where.startswith(f"{path}, key {key}")


@pytest.mark.parametrize("case", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_condition(case, write, population):
    old, new, key, part = case
    path = write("conditions", "crps-acute", (old, new))
    if key == "outflamed_site":
        with pytest.raises(InputError, match="outflamed_site"):
            cg.Population.load(path)
        return
    refused(path, key, part, cg.Population.load)


@pytest.mark.parametrize("case", DRUGS.values(), ids=DRUGS.keys())
def test_drug(case, write, population):
    old, new, key, part = case
    refused(
        write("drugs", "infliximab", (old, new)), key, part, lambda path: check_drug(population, cg.Drug.load(path))
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "part"),
    [
        ('scale = "log"', 'scale = "linear"', "lloq", "linear"),
        ('affected = "TNF"', 'affected = "TNF.real"', "signal.affected", "a formula of"),
        ("reads = {", "readz = {", "readz", "unknown key"),
        ('bound = { affected = "bound", contralateral = "bound_c" }\n', "", "reads", "both or neither"),
        ("day_error = { value = 0.3,", "day_error = { value = -0.3,", "day_error", "at least 0"),
        ('lloq = { value = 2, unit = "pg/mL"', 'lloq = { value = 2, unit = "mg"', "lloq.unit", "same kind"),
        ('lloq = { value = 2, unit = "pg/mL"', 'lloq = { value = 0, unit = "pg/mL"', "lloq", "above 0"),
    ],
)
def test_instrument(old, new, key, part, write):
    refused(write("instruments", "blister-tnf", (old, new)), key, part, cg.Instrument.load)


def test_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.toml", "none.toml", "no such file", cg.Protocol.load)


def test_unknown_name_lists_the_library():
    with pytest.raises(InputError, match=r"dirckx-2013, .*gated-infliximab"):
        cg.Protocol.load("gated")


@pytest.mark.parametrize("content", [b"kind = \n", b"kind = 'protocol'\nkind = 'protocol'\n", b"\xff\xfe", b"[a\n"])
def test_text_that_is_no_toml(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    refused(path, "bad.toml", "invalid TOML", cg.Protocol.load)


def test_fixed_totals_want_whole_lists():
    with pytest.raises(InputError, match="multiples of 13"):
        cg.Protocol.load("dirckx-2013").with_options(sizes=(14,))


def test_documents_are_frozen(protocol):
    with pytest.raises(ValueError, match="frozen"):
        protocol.follow_up = 3
    with pytest.raises(ValueError, match="frozen"):
        protocol.arms["infliximab"].dose = "9 mg/kg"


def test_a_changed_file_is_read_again(write):
    path = write("protocols", "gated-infliximab")
    first = cg.Protocol.load(path)
    path.write_text(path.read_text().replace("follow_up = 26", "follow_up = 27"))
    again = cg.Protocol.load(path)
    assert (first.follow_up, again.follow_up) == (26, 27)
    assert first.digest != again.digest
