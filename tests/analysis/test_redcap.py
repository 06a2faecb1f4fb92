"""A REDCap project for each protocol, and a trial through an export of it."""

from __future__ import annotations

import re
import tomllib
from datetime import date, timedelta

import polars as pl
import pytest
import small_trial

from causalgia.analysis.checks import check_tables
from causalgia.analysis.problems import TablesError
from causalgia.analysis.redcap import (
    HEADINGS,
    REPEATED,
    THROUGHOUT,
    event,
    redcap_designations,
    redcap_dictionary,
    redcap_events,
    weeks,
)
from causalgia.analysis.redcap_export import from_redcap
from causalgia.analysis.redcap_mapping import RedcapMapping, redcap_mapping
from causalgia.documents import InputError, Protocol, reader

NAME, FORM, TYPE, CHOICES = HEADINGS[0], HEADINGS[1], HEADINGS[3], HEADINGS[5]
VALIDATION, LOW, HIGH, BRANCHING = HEADINGS[7], HEADINGS[8], HEADINGS[9], HEADINGS[11]
PROTOCOLS = reader.names("protocol")
START = date(2026, 3, 2)


@pytest.fixture
def mapping(protocol, tmp_path):
    path = tmp_path / "mapping.toml"
    path.write_text(redcap_mapping(protocol))
    return RedcapMapping.load(path)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_dictionary_is_one_that_redcap_takes(name):
    """Names, types, choices, limits and branching as REDCap's help on the data dictionary has them."""
    table = redcap_dictionary(Protocol.load(name))
    assert tuple(table.columns) == HEADINGS and len(HEADINGS) == 18
    names = table[NAME].to_list()
    assert names[0] == "record_id" and len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][a-z0-9_]{0,25}", field) and "__" not in field for field in names)
    forms = table[FORM].to_list()
    assert len([1 for i, form in enumerate(forms) if i == 0 or form != forms[i - 1]]) == len(set(forms)), "together"
    assert all(re.fullmatch("[a-z][a-z0-9_]*", form) for form in forms)
    assert set(table[TYPE]) <= {"text", "radio", "yesno"}
    assert set(table[VALIDATION]) <= {"", "integer", "number", "date_ymd"}
    for row in table.to_dicts():
        assert bool(row[CHOICES]) == (row[TYPE] == "radio")
        if row[CHOICES]:
            codes = [choice.split(", ", 1)[0] for choice in row[CHOICES].split(" | ")]
            assert len(set(codes)) == len(codes) and all(re.fullmatch(r"[A-Za-z0-9_]+", code) for code in codes)
        assert set(re.findall(r"\[(\w+)\]", row[BRANCHING])) <= set(names)
        assert not (row[LOW] and row[HIGH]) or float(row[LOW]) < float(row[HIGH])
        assert row["Field Label"] and (row[LOW] == "" or row[VALIDATION] in ("integer", "number"))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_events_forms_and_mapping_fit_the_dictionary(name, tmp_path):
    protocol = Protocol.load(name)
    table, events, used = redcap_dictionary(protocol), redcap_events(protocol), redcap_designations(protocol)
    assert events["unique_event_name"].is_unique().all()
    assert set(used["unique_event_name"]) == set(events["unique_event_name"])
    assert set(used["form"]) == set(table[FORM]) and set(REPEATED) < set(table[FORM])
    (tmp_path / "mapping.toml").write_text(redcap_mapping(protocol))
    mapping = RedcapMapping.load(tmp_path / "mapping.toml")
    assert set(mapping.fields) - {"redcap_event_name"} <= set(table[NAME])
    assert list(mapping.visits.values()) == weeks(protocol)
    assert set(mapping.visits) == set(events["unique_event_name"]) - {THROUGHOUT}
    assert set(mapping.subjects["ARM"].values.values()) == set(protocol.arms)
    read = {(r.paramcd, r.side, r.replicate) for r in mapping.readings}
    assert (
        len(read) == len(mapping.readings) == sum(len(row.sides) * row.replicates for row in protocol.schedule.values())
    )


def test_events_before_and_after_differ():
    """REDCap drops signs and points from unique names."""
    assert [event(week) for week in (-2, 0, 2, 0.5)] == [
        "week_2_before_arm_1",
        "week_0_arm_1",
        "week_2_arm_1",
        "week_05_arm_1",
    ]


def test_the_dictionary_of_the_gated_trial(protocol):
    rows = {row[NAME]: row for row in redcap_dictionary(protocol).to_dicts()}
    assert rows["arm"][CHOICES] == "1, infliximab | 2, placebo"
    value = rows["tnfbl_con_2"]
    assert (value[FORM], value[VALIDATION], value[LOW]) == ("blister_tnf", "number", "0")
    assert value[BRANCHING] == "[tnfbl_con_2_blq] <> '1'" and "pg/mL" in value["Field Note"]
    assert (rows["iss"][VALIDATION], rows["iss"][LOW], rows["iss"][HIGH]) == ("integer", "5", "50")
    assert rows["gate_passed"]["Field Label"] == "Gate passed: geometric mean of 2 blisters > 31 pg/mL"


def day(number):
    """A day from randomisation as a date: day 1 is the day itself and there is no day 0."""
    return (START + timedelta(days=number - (number > 0))).isoformat()


def exported(protocol, tables):
    """The rows that REDCap would export of a small trial: one a subject and event, repeats apart."""
    rows: dict[tuple, dict] = {}

    def cells(subject, where, form="", number=""):
        key = {"record_id": subject, "redcap_event_name": where}
        repeat = {"redcap_repeat_instrument": form, "redcap_repeat_instance": number}
        return rows.setdefault((subject, where, form, number), key | repeat)

    for row in tables["adsl"].to_dicts():
        injury = START - timedelta(days=14 + row["DURDAYS"])
        consent = (START - timedelta(days=14)).isoformat()
        first = cells(row["USUBJID"], event(-2))
        first |= {"siteid": row["SITEID"], "age": row["AGE"], "sex": row["SEX"], "consent_date": consent}
        first |= {"injury_date": injury.isoformat(), "gate_passed": int(row["GATEFL"] == "Y")}
        if row["ITTFL"] == "Y":
            arm = 1 + list(protocol.arms).index(row["ARM"])
            given = {"randomised": 1, "randomisation_no": row["RANDNO"], "arm": arm, "randomisation_date": day(1)}
            cells(row["USUBJID"], event(0)).update(given)
    for row in tables["adlb"].to_dicts():
        field = f"tnfbl_{row['SIDE'][:3].lower()}_{row['REPNO']}"
        below = {f"{field}_blq": 1} if row["BLQFL"] == "Y" else {f"{field}_blq": 0, field: row["AVAL"]}
        cells(row["USUBJID"], event(row["AVISITN"])).update(below | {"tnfbl_lloq": 2, "tnfbl_plate": "P1"})
        cells(row["USUBJID"], event(row["AVISITN"]))["tnfbl_date"] = day(row["ADY"])
    for row in tables["adqs"].to_dicts():
        pain = {"nrs24avg": row["AVAL"], "nrs24avg_date": day(row["ADY"])}
        cells(row["USUBJID"], event(row["AVISITN"])).update(pain)
    for i, row in enumerate(tables["adae"].to_dicts()):
        told = {"ae_term": row["AETERM"], "ae_start": day(row["AESTDY"]), "ae_serious": 0}
        cells(row["USUBJID"], THROUGHOUT, "adverse_event", i + 1).update(told)
    for i, row in enumerate(tables["adex"].to_dicts()):
        dose = {"dose_treatment": row["EXTRT"], "dose_date": day(row["EXSTDY"])}
        cells(row["USUBJID"], THROUGHOUT, "dosing", i + 1).update(dose)
    for i, row in enumerate(tables["adice"].to_dicts()):
        cells(row["USUBJID"], THROUGHOUT, "intercurrent_event", i + 1).update(
            ice_kind="rescue_analgesic", ice_date=day(row["ICEDY"])
        )
    return list(rows.values())


def write_export(path, protocol, rows):
    names = ["record_id", "redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"]
    names += redcap_dictionary(protocol)[NAME].to_list()[1:]
    table = {name: [str(row.get(name, "")) for row in rows] for name in names}
    pl.DataFrame(table).write_csv(path)
    return path


def test_a_trial_through_redcap(protocol, mapping, tmp_path):
    """Every table comes back as it was, in the columns that the project has; days come from dates."""
    tables = small_trial.tables()
    path = write_export(tmp_path / "export.csv", protocol, exported(protocol, tables))
    nobody = pl.when(pl.col("USUBJID") == "S-05").then(None).otherwise("ADY")  # who is not randomised has no day 1
    tables["adlb"] = tables["adlb"].with_columns(ADY=nobody)
    read = from_redcap(path, mapping, protocol)
    check_tables(protocol, read)
    assert set(read) == set(tables)
    keys = {
        "adsl": ["USUBJID"],
        "adlb": ["USUBJID", "AVISITN", "SIDE", "REPNO"],
        "adqs": ["USUBJID", "AVISITN"],
        "adae": ["USUBJID"],
        "adex": ["USUBJID", "EXSTDY"],
        "adice": ["USUBJID"],
    }
    for name, table in tables.items():
        shared = [column for column in table.columns if column not in ("STUDYID", "AVALC")]
        expected = table.select(shared).with_columns(pl.col(pl.Int32).cast(pl.Int64)).sort(keys[name])
        assert read[name].select(shared).sort(keys[name]).equals(expected, null_equal=True), name
    assert set(read["adsl"]["STUDYID"]) == {protocol.name}
    below = read["adlb"].filter(pl.col("BLQFL") == "Y")
    assert below.select("AVAL", "AVALC", "LLOQ").unique().rows() == [(None, "<2", 2.0)], "never half the limit"
    assert set(read["adlb"]["PLATE"]) == {"P1"}


def test_everything_wrong_in_an_export_is_named_by_its_row_and_field(protocol, mapping, tmp_path):
    rows = exported(protocol, small_trial.tables())
    wrong = [
        (0, "siteid", None),
        (0, "consent_date", "02/16/2026"),
        (1, "arm", "3"),
        (1, "tnfbl_aff_1", "low"),
        (1, "tnfbl_aff_2_blq", "2"),
        (1, "tnfbl_lloq", "0"),
        (2, "redcap_event_name", "week_99_arm_1"),
    ]
    places = {}
    subjects = [i for i, row in enumerate(rows) if row["record_id"] == "S-01" and not row["redcap_repeat_instrument"]]
    for i, field, value in wrong:
        if value is not None:
            rows[subjects[i]][field] = value
            places[field] = subjects[i] + 2
    path = write_export(tmp_path / "export.csv", protocol, rows)
    with pytest.raises(TablesError) as caught:
        from_redcap(path, mapping, protocol)
    found = {(p.row, p.column) for p in caught.value.problems}
    assert {(row, field) for field, row in places.items() if field != "tnfbl_lloq"} <= found
    assert {p.column for p in caught.value.problems if p.table.endswith("as adlb")} == {"LLOQ"}
    assert {p.column for p in caught.value.problems if p.table.endswith("as adsl")} <= {"ARM", "DURDAYS"}
    texts = str(caught.value)
    assert "dates are year-month-day there" in texts and "one of 1, 2" in texts and "an event of the mapping" in texts


def test_two_values_of_one_subject(protocol, mapping, tmp_path):
    rows = exported(protocol, small_trial.tables())
    rows[1]["age"] = 99
    assert rows[1]["record_id"] == rows[0]["record_id"]
    with pytest.raises(TablesError) as caught:
        from_redcap(write_export(tmp_path / "export.csv", protocol, rows), mapping)
    (problem,) = caught.value.problems
    assert (problem.row, problem.column, problem.expected) == (3, "age", "'44', as in row 2 of the same subject")


def test_fields_that_were_not_exported_are_all_named(protocol, mapping, tmp_path):
    path = write_export(tmp_path / "export.csv", protocol, exported(protocol, small_trial.tables()))
    pl.read_csv(path, infer_schema=False).drop("arm", "tnfbl_lloq").write_csv(path)
    with pytest.raises(TablesError) as caught:
        from_redcap(path, mapping)
    assert [problem.column for problem in caught.value.problems] == ["arm", "tnfbl_lloq"]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('ARM = { field = "arm"', 'AMR = { field = "arm"', "'AMR'"),
        ('AGE = { field = "age" }', 'AGE = { field = "age", day = "consent_date" }', "field and day"),
        ('AGE = { field = "age" }', "AGE = { otherwise = 4 }", "subjects.AGE"),
        ('RANDDT = { field = "randomisation_date" }', 'RANDDT = { day = "arm" }', "subjects.RANDDT"),
        ('table = "adlb"', 'table = "lab"', "readings.0.table"),
        ('kind = "redcap"', 'kind = "protocol"', "key kind"),
        ("[visits]", "[visit]", "key visit"),
    ],
)
def test_mistakes_in_a_mapping(protocol, tmp_path, old, new, part):
    text = redcap_mapping(protocol)
    assert old in text
    path = tmp_path / "mapping.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        RedcapMapping.load(path)
    assert part in str(caught.value) and str(path) in caught.value.where


def test_a_mapping_that_is_no_document():
    with pytest.raises(InputError, match=r"no path ending in \.toml"):
        RedcapMapping.load("gated-infliximab")


def test_the_mapping_says_where_every_column_comes_from(protocol):
    table = tomllib.loads(redcap_mapping(protocol))
    assert table["subjects"]["DURDAYS"] == {"days": ["injury_date", "consent_date"]}
    assert table["readings"][0]["below"] == "tnfbl_aff_1_blq"
    assert {record["table"] for record in table["records"]} == {"adae", "adex", "adice"}
