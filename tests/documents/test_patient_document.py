from __future__ import annotations

import re

import pytest

from causalgia.documents import Drug, InputError, reader
from causalgia.documents.patient import Patient, Series, load
from causalgia.documents.reader import LIBRARY
from causalgia.documents.weighing import Therapies, Weights

PATIENTS = sorted(path for path in (LIBRARY / "patients").iterdir() if path.suffix in (".toml", ".csv"))


@pytest.mark.parametrize("path", PATIENTS, ids=lambda path: path.name)
def test_every_example_is_a_patient_or_a_series(path):
    assert load(path).name == path.stem


def test_times_are_days_from_the_first_visit():
    patient = Patient.load("synthetic-treated")
    assert patient.days == (0, 16, 58)
    assert [patient.day(dose) for dose in patient.doses] == [2, 16, 44]
    assert patient.decision == 0
    assert patient.entry.typical == 70


# What was changed in synthetic-treated, where the message must point, what it must say
BAD = {
    "age": (("age = 52", "age = 200"), "key about.age", "found 200; expected age from 0 to 120 years"),
    "order": (("2025-05-15", "2025-03-01"), "key visits.3", "2025-03-01, not after 2025-04-03"),
    "first": (("2025-04-03\nscores", "2025-03-17\nscores"), "key visits.2", "2025-03-17, not after 2025-03-18"),
    "unflagged": (("values = [17, 21]", "values = [1.7, 21]"), "visits.3.fluids.1.values", '1.7, below the limit of 2'),
    "ng/mL": (
        ('values = [96, 78]\nunit = "pg/mL"\nlloq = 2', 'values = [96, 78]\nunit = "ng/mL"'),
        "visits.1.fluids.1.values",
        r"found 96 ng/mL, 96,000 pg/mL; expected at most 2,000 pg/mL\. .* is 96 pg/mL meant\?",
    ),
    "injured": (("injured = 2025-01-07", "injured = 2025-04-01"), "key injured", "-14 days before the first visit"),
    "dose before": (("date = 2025-03-20", "date = 2025-03-02"), "key doses.1", "on or after the first visit"),
    "two times": (("date = 2025-03-20", "date = 2025-03-20\nday = 3"), "key doses.1.date", "found both"),
    "mixed": (("date = 2025-03-20", "day = 2"), "key doses.1", "a date, as at the first visit"),
    "comorbidity": (("comorbidities = []", 'comorbidities = ["tuberculosi"]'), "comorbidities.1", "tuberculosis"),
    "side": (('side = "affected"', 'side = "left"'), "fluids.1.side", "one of affected, contralateral"),
    "score": (("nrs = 6.8", "nrs = 68"), "visits.1.scores.nrs", "from 0 to 10"),
    "instrument": (("nrs = 6.8", "vas = 6.8"), "visits.1.scores.vas", "one of acr"),
    "route": (('route = "intravenous"', 'route = "oral"'), "doses.1.route", "intravenous, regional_block"),
    "not given": (('drug = "infliximab", value = 31', 'drug = "adalimumab", value = 31'), "visits.2", "not given"),
    "level": (("value = 31", "value = 31000"), "levels.1.value", "at most 1000 mg/L"),
    "condition": (('condition = "crps-acute"', 'condition = "crp"'), "key condition", "crps-acute"),
    "two visits": (("date = 2025-05-15", "date = 2025-04-03"), "key visits.3", "2025-04-03, a second time"),
    "no date": (("[[visits]]\ndate = 2025-04-03\n", "[[visits]]\n"), "visits.2.date", "neither a date nor a day"),
    "date": (("date = 2025-05-15", 'date = "15.5.2025"'), "visits.3.date", "a date such as 2025-05-15"),
    "drug": (('drug = "infliximab"\nroute', 'drug = "inflixima"\nroute'), "doses.1.drug", "one of adalimumab"),
    "dose": (('dose = "5 mg/kg"', 'dose = "5"'), "doses.1.dose", "a unit after the number"),
    "dose in quotes": (('dose = "5 mg/kg"', "dose = 5"), "doses.1.dose", 'such as "5 mg/kg"'),
    "most": (('dose = "5 mg/kg"', 'dose = "5 g/kg"'), "doses.1.dose", "at most 60 mg/kg of infliximab"),
    "nan": (("nrs = 3.9", "nrs = nan"), "key visits.3.scores.nrs", r"found nan; expected a finite number\. [^(]*$"),
    "two samples": (
        ('side = "contralateral"\nvalues = [3.6', 'side = "affected"\nvalues = [3.6'),
        "visits.3.fluids.2",
        "one list of values",
    ),
    "early level": (
        ("motor = 48 }", 'motor = 48 }\nlevels = [{ drug = "infliximab", value = 3, unit = "mg/L" }]'),
        "visits.1.levels",
        "on 2025-03-18, not after its first dose",
    ),
    "planned": (("comorbidities = []", 'planned = ["infliximab"]'), "key planned.1", "a therapy: infliximab-iv"),
    "unknown key": (("albumin = 42", "height = 170"), "key about.height", "an unknown key"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_documents_get_one_message(write, name):
    change, where, what = BAD[name]
    path = write("patients", "synthetic-treated", change)
    with pytest.raises(InputError) as caught:
        Patient.load(path)
    assert str(path) in caught.value.where
    assert where in caught.value.where
    assert re.search(what, str(caught.value))


def test_a_value_below_another_limit_than_the_assays_is_refused(write):
    path = write("patients", "synthetic-low", ('"<2", 2.6', '"<3", 2.6'))
    with pytest.raises(InputError, match='"<3"; expected "<2", the limit of the assay'):
        Patient.load(path)


SERIES = """patient,condition,age,sex,duration,day,measure,side,value,unit,lloq,drug,route
a,crps-acute,50,female,61 day,0,nrs,,7,,,,
a,,,,,0,blister-tnf,affected,40,pg/mL,2,,
a,,,,,0,blister-tnf,affected,<2,pg/mL,2,,
a,,,,,1,dose,,5,mg/kg,,infliximab,intravenous
a,,,,,30,nrs,,5,,,,
a,,,,,30,level,,12,mg/L,,infliximab,
b,crps-acute,,,,0,nrs,,6,,,,
"""


def test_a_series_groups_rows_by_patient_visit_and_sample(tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(SERIES)
    first, second = Series.load(path).patients
    assert first.days == (0, 30) and second.days == (0,)
    assert first.visits[0].fluids[0].values == (40.0, "<2")
    assert first.doses[0].dose == "5 mg/kg" and first.visits[1].levels[0].value == 12
    assert first.entry.typical == 61 and second.entry is None
    assert second.about.age is None


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("nrs,,7,", "nrs,,seven,", "row 2, column value", "a number"),
        ("a,crps-acute,50", "a,crps-acute,200", "patient a, key about.age", "0 to 120"),
        ("a,,,,,30,nrs", "a,,,,,-3,nrs", "patient a, key visits.2", "day -3"),
        ("patient,condition", "who,condition", "few.csv", "found the columns who, condition"),
        ("lloq", "limit", "column limit", "an unknown column"),
        ("b,crps-acute", "a,crps-chronic", "row 8, column condition", "one value a patient"),
        ("a,,,,,30,nrs,,5", "a,,,,,0,nrs,,5", "row 6, column measure", "a second nrs of the patient on that day"),
        ("a,,,,,30,nrs,,5,,,,", "a,,,,,30,nrs,,5,,,,,", "row 6", "more cells than columns"),
        (SERIES, "", "few.csv", "an empty file"),
        (SERIES, SERIES.splitlines()[0], "few.csv", "no rows"),
        ("5,mg/kg", "5,", "patient a, key doses.1.dose", "a unit after the number"),
    ],
)
def test_bad_rows_are_named(tmp_path, old, new, where, what):
    path = tmp_path / "few.csv"
    path.write_text(SERIES.replace(old, new))
    with pytest.raises(InputError) as caught:
        Series.load(path)
    assert where in caught.value.where and what in str(caught.value)


def test_a_table_of_a_spreadsheet_is_read_and_other_encodings_are_named(tmp_path):
    path = tmp_path / "few.csv"
    path.write_bytes(b"\xef\xbb\xbf" + SERIES.encode())
    assert [patient.name for patient in Series.load(path).patients] == ["a", "b"]
    path.write_bytes(SERIES.replace("b,", "Müller,").encode("latin-1"))
    with pytest.raises(InputError, match=r"not UTF-8 \(byte \d+\); expected a table in UTF-8\. Save it as UTF-8"):
        Series.load(path)


def test_every_contraindication_can_be_met_and_every_word_meets_one_that_is():
    page = Therapies.load("standard")
    terms = {row.term for name in reader.names("drug") for row in Drug.load(name).contraindications}
    met = {term for words in page.comorbidities.values() for term in words} | {row.term for row in page.by_route}
    assert met == terms


def test_weights_can_be_changed_by_key_alone():
    weights = Weights.load("standard")
    changed = weights.changed({"harm.malignancy": 20, "benefit.motor": 0, "week": 6})
    assert changed.harm["malignancy"].typical == 20 and changed.benefit["motor"].typical == 0
    assert changed.week.typical == 6 and changed.week.source == "changed by the user"
    assert changed.harm["sepsis"] == weights.harm["sepsis"]
    with pytest.raises(InputError, match=r"an unknown weight; expected one of week, relief"):
        weights.changed({"harm.baldness": 1})
    with pytest.raises(InputError, match="at least 0"):
        weights.changed({"week": -1})
    with pytest.raises(InputError, match="a probability"):
        weights.changed({"plausible.other": 2})
