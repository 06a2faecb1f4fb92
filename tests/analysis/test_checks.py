"""Everything that is wrong with a trial's tables, at once and at its place; and nothing that is right."""

from __future__ import annotations

import pickle
from datetime import date, time
from itertools import combinations

import polars as pl
import pytest
import small_trial
from hypothesis import given
from hypothesis import strategies as st

from causalgia.analysis.checks import check_tables, typed
from causalgia.analysis.days import _breaking
from causalgia.analysis.problems import FIRST_ROW, MOST_LINES, Sheet, TablesError
from causalgia.analysis.tables import read_tables, write_tables
from causalgia.documents import InputError


def problems(protocol, tables):
    with pytest.raises(TablesError) as caught:
        check_tables(protocol, tables)
    return caught.value.problems


def put(table, row, **cells):
    """The table with other cells in one row, counted as a CSV file does."""
    index = pl.int_range(pl.len()) == row - FIRST_ROW
    return table.with_columns(
        pl.when(index).then(pl.lit(value, dtype=table.schema[name])).otherwise(name).alias(name)
        for name, value in cells.items()
    )


def row_of(table, **cells):
    """The first row, as in a CSV file, with these cells."""
    found = table.select(pl.all_horizontal(pl.col(name) == value for name, value in cells.items()).arg_true().first())
    return int(found.item()) + FIRST_ROW


def test_a_trial_without_a_mistake(protocol):
    check_tables(protocol, small_trial.tables())


# table, cells that find the row, cells that are changed, column that is named, part of the message
WRONG = {
    "no arm": ("adsl", {"USUBJID": "S-01"}, {"ARM": ""}, "ARM", "one of infliximab, placebo"),
    "unknown arm": ("adsl", {"USUBJID": "S-01"}, {"ARM": "sugar"}, "ARM", "'sugar'"),
    "arm missing as null": ("adsl", {"USUBJID": "S-01"}, {"ARM": None}, "ARM", "found nothing"),
    "flag": ("adsl", {"USUBJID": "S-01"}, {"GATEFL": "yes"}, "GATEFL", "Y or N"),
    "no flag": ("adsl", {"USUBJID": "S-05"}, {"ITTFL": None}, "ITTFL", "Y or N"),
    "order twice": ("adsl", {"USUBJID": "S-02"}, {"RANDNO": 1}, "RANDNO", "each number once"),
    "before the injury": ("adsl", {"USUBJID": "S-05"}, {"DURDAYS": -3}, "DURDAYS", "at least 0"),
    "stranger": ("adae", {"USUBJID": "S-01"}, {"USUBJID": "S-99"}, "USUBJID", "a subject of adsl"),
    "stranger's dose": ("adex", {"USUBJID": "S-01"}, {"USUBJID": "S-99"}, "USUBJID", "a subject of adsl"),
    "unknown visit": ("adlb", {"AVISITN": 6.0}, {"AVISITN": 7.0}, "AVISITN", "week -2, 0, 6, 12"),
    "no visit": ("adqs", {"AVISITN": 6.0}, {"AVISITN": None}, "AVISITN", "AVISIT = Unscheduled"),
    "unknown side": ("adlb", {"AVISITN": 6.0}, {"SIDE": "Affected"}, "SIDE", "one of AFFECTED, CONTRALATERAL"),
    "a code in other letters": ("adlb", {"AVISITN": 6.0}, {"PARAMCD": "TnfBl"}, "PARAMCD", "TNFBL"),
    "no code": ("adqs", {"AVISITN": 6.0}, {"PARAMCD": ""}, "PARAMCD", "a parameter's code"),
    "below without a flag": ("adlb", {"USUBJID": "S-01"}, {"AVAL": 1.9}, "AVAL", "at least LLOQ where BLQFL is N"),
    "a flag with a value": ("adlb", {"BLQFL": "Y"}, {"AVAL": 1.0}, "AVAL", "nothing where BLQFL is Y"),
    "below in text alone": ("adlb", {"BLQFL": "Y"}, {"BLQFL": "N"}, "BLQFL", "Y, since AVALC is below a limit"),
    "below what": ("adlb", {"BLQFL": "Y"}, {"LLOQ": None}, "LLOQ", "a limit above 0"),
    "no limit at all": ("adlb", {"USUBJID": "S-01"}, {"LLOQ": 0.0}, "LLOQ", "a limit above 0, or nothing"),
    "zero": ("adlb", {"USUBJID": "S-01"}, {"AVAL": 0.0}, "AVAL", "a concentration above 0"),
    "infinite": ("adqs", {"USUBJID": "S-01"}, {"AVAL": float("inf")}, "AVAL", "a number, or nothing"),
    "not a number": ("adqs", {"USUBJID": "S-01"}, {"AVAL": float("nan")}, "AVAL", "a number, or nothing"),
    "beyond the scale": ("adqs", {"USUBJID": "S-01"}, {"AVAL": 65.0}, "AVAL", "from 0 to 10"),
    "wrong unit": ("adlb", {"USUBJID": "S-01"}, {"AVALU": "ng/mL"}, "AVALU", "Multiply AVAL and LLOQ by 1000"),
    "another kind of unit": ("adlb", {"USUBJID": "S-01"}, {"AVALU": "mmol"}, "AVALU", "'pg/mL'"),
    "no unit": ("adlb", {"USUBJID": "S-01"}, {"AVALU": ""}, "AVALU", "found nothing"),
    "visit too late": ("adlb", {"AVISITN": -2.0}, {"ADY": 5}, "ADY", "before randomisation"),
    "visit too early": ("adlb", {"AVISITN": 6.0}, {"ADY": -5}, "ADY", "after randomisation"),
    "day 0": ("adae", {"USUBJID": "S-01"}, {"AESTDY": 0}, "AESTDY", "there is no 0"),
    "event before randomisation": ("adae", {"USUBJID": "S-01"}, {"AESTDY": -4}, "AESTDY", "a day from 1 on"),
    "dose before randomisation": ("adex", {"EXSTDY": 15}, {"EXSTDY": -15}, "EXSTDY", "a day from 1 on"),
    "rescue before randomisation": ("adice", {"ICEDY": 20}, {"ICEDY": -20}, "ICEDY", "a day from 1 on"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_one_mistake_is_one_problem(case, protocol):
    """Table, row and column are those of the mistake, and nothing else is told."""
    name, where, cells, column, part = case
    tables = small_trial.tables()
    row = row_of(tables[name], **where)
    tables[name] = put(tables[name], row, **cells)
    found = problems(protocol, tables)
    assert [(problem.table, problem.row, problem.column) for problem in found] == [(name, row, column)]
    assert str(TablesError(found)).startswith(f"{name}, row {row}, column {column}: found ")
    assert part in str(TablesError(found))


def test_a_subject_without_a_number_leaves_readings_without_a_subject(protocol):
    tables = small_trial.tables()
    tables["adsl"] = put(tables["adsl"], 6, USUBJID="")
    first, *others = problems(protocol, tables)
    assert (first.where, first.expected) == ("adsl, row 6, column USUBJID", "a subject's number")
    own = tables["adlb"].select((pl.col("USUBJID") == "S-05").arg_true())["USUBJID"] + FIRST_ROW
    assert [problem.row for problem in others] == own.to_list()
    assert {(problem.table, problem.found) for problem in others} == {("adlb", "'S-05'")}


def test_rows_that_stand_twice(protocol):
    tables = small_trial.tables()
    tables = {
        name: pl.concat([table, table.slice(1, 1)]) if name in ("adsl", "adlb", "adqs") else table
        for name, table in tables.items()
    }
    found = {(p.table, p.row, p.column, p.found) for p in problems(protocol, tables)}
    twice = {(name, len(tables[name]) + 1, "USUBJID") for name in ("adsl", "adlb", "adqs")}
    assert {problem[:3] for problem in found} == twice | {("adsl", len(tables["adsl"]) + 1, "RANDNO")}
    assert "'S-01', already in row 3" in {problem[3] for problem in found}


def test_keys_of_events_and_doses_count_where_they_are_given(protocol):
    tables = small_trial.tables()
    tables["adae"] = pl.concat([tables["adae"], tables["adae"]])
    check_tables(protocol, tables)
    tables["adae"] = tables["adae"].with_columns(AESEQ=pl.Series([1, 1, 1, None]))
    (problem,) = problems(protocol, tables)
    assert (problem.where, problem.expected) == ("adae, row 4, column USUBJID", "one row for each USUBJID, AESEQ")


def test_without_replicate_numbers_there_are_as_many_rows_as_replicates(protocol):
    tables = small_trial.tables()
    tables["adlb"] = tables["adlb"].drop("REPNO")
    check_tables(protocol, tables)
    tables["adlb"] = pl.concat([tables["adlb"], tables["adlb"].head(1)])
    (problem,) = problems(protocol, tables)
    assert problem.row == len(tables["adlb"]) + 1 and "at most 2 rows" in problem.expected


def test_a_value_rounded_to_its_limit_is_not_below_it(protocol):
    tables = small_trial.tables()
    tables["adlb"] = put(tables["adlb"], 2, AVAL=0.3333, LLOQ=1 / 3)
    check_tables(protocol, tables)
    tables["adlb"] = put(tables["adlb"], 2, AVAL=0.3332, LLOQ=1 / 3)
    assert problems(protocol, tables)[0].column == "AVAL"


@pytest.mark.parametrize("unit", ["pg/mL", "ng/L", "pg/ml"])
def test_names_of_the_same_unit(protocol, unit):
    tables = small_trial.tables()
    tables["adlb"] = put(tables["adlb"], 3, AVALU=unit)
    check_tables(protocol, tables)


def test_units_of_what_the_protocol_does_not_measure_are_one(protocol):
    tables = small_trial.tables()
    other = tables["adlb"].head(3).with_columns(PARAMCD=pl.lit("ALT"), AVALU=pl.Series(["U/L", "U/L", "ukat/L"]))
    start = len(tables["adlb"]) + FIRST_ROW
    tables["adlb"] = pl.concat([tables["adlb"], other])
    (problem,) = problems(protocol, tables)
    assert (problem.row, problem.found, problem.column) == (start + 2, "'ukat/L'", "AVALU")
    assert "'U/L', as in the first row of ALT" in problem.expected


def test_unscheduled_visits_and_missing_units_are_no_mistakes(protocol):
    tables = small_trial.tables()
    visit = pl.when(pl.col("AVISITN") == 6).then(pl.lit("Unscheduled 1")).otherwise(pl.lit("Week"))
    number = pl.when(pl.col("AVISITN") == 6).then(None).otherwise("AVISITN")
    tables["adqs"] = tables["adqs"].with_columns(AVISIT=visit, AVISITN=number, AVALU=pl.lit(""))
    tables["adlb"] = tables["adlb"].drop("AVALU", "ADY", "AVALC")
    check_tables(protocol, tables)


def test_days_of_visits_out_of_order(protocol):
    """One wrong day is one problem, not one for every later visit."""
    tables = small_trial.tables()
    rows = [row_of(tables["adqs"], USUBJID="S-01", AVISITN=6.0), row_of(tables["adqs"], USUBJID="S-02", AVISITN=0.0)]
    tables["adqs"] = put(put(tables["adqs"], rows[0], ADY=4300), rows[1], ADY=60)
    found = problems(protocol, tables)
    assert [(p.table, p.row, p.column) for p in found] == [("adqs", row, "ADY") for row in rows]
    assert found[0].expected == "a day in the order of the visits (AVISITN = 6)"


@given(st.lists(st.integers(0, 6), max_size=8))
def test_as_few_days_as_can_be_break_the_order(days):
    """Against every part of the list."""
    wrong = _breaking(days)
    kept = [day for i, day in enumerate(days) if i not in wrong]
    assert kept == sorted(kept)
    longest = max(size for size in range(len(days) + 1) if any(list(c) == sorted(c) for c in combinations(days, size)))
    assert len(kept) == longest


def test_dates(protocol):
    """Milestones in order, days that agree with their dates from randomisation or first dose, doses after it."""
    tables = small_trial.tables()
    start = pl.lit(date(2026, 3, 2))
    tables["adsl"] = tables["adsl"].with_columns(RFICDT=start - pl.duration(days=20), RANDDT=start, TRTSDT=start)
    tables["adae"] = tables["adae"].with_columns(ASTDT=pl.Series([date(2026, 3, 3), date(2026, 3, 31)]))
    first = tables["adqs"]["ADY"].cast(pl.Int64)
    tables["adqs"] = tables["adqs"].with_columns((start + pl.duration(days=first - 1)).alias("ADT"))
    check_tables(protocol, tables)
    tables["adsl"] = put(tables["adsl"], 3, RFICDT=date(2026, 4, 1))
    tables["adae"] = put(tables["adae"], 3, ASTDT=date(2026, 3, 30)).with_columns(AEENDY=pl.Series([1, None]))
    tables["adqs"] = put(tables["adqs"], 4, ADT=date(2026, 3, 1))
    tables["adex"] = tables["adex"].with_columns(ASTDT=pl.Series([date(2026, 3, 1), *[None] * 11]))
    found = {(p.where, p.expected) for p in problems(protocol, tables)}
    assert found == {
        ("adsl, row 3, column RANDDT", "a date on or after RFICDT"),
        ("adsl, row 3, column TRTSDT", "a date on or after RFICDT"),
        ("adqs, row 4, column ADY", "the day of ADT (2026-03-01) from RANDDT or TRTSDT"),
        ("adae, row 3, column AESTDY", "the day of ASTDT (2026-03-30) from RANDDT or TRTSDT"),
        ("adae, row 2, column AEENDY", "a day on or after AESTDY"),
        ("adex, row 2, column EXSTDY", "the day of ASTDT (2026-03-01) from RANDDT or TRTSDT"),
        ("adex, row 2, column ASTDT", "a date on or after RANDDT (2026-03-02)"),
    }


def test_an_event_before_treatment_that_says_so(protocol):
    tables = small_trial.tables()
    tables["adae"] = put(tables["adae"].with_columns(TRTEMFL=pl.lit("Y")), 2, AESTDY=-3, TRTEMFL="N")
    check_tables(protocol, tables)


def test_frames_of_the_wrong_type_or_shape(protocol):
    tables = small_trial.tables()
    tables["adqs"] = tables["adqs"].with_columns(pl.col("AVAL").cast(pl.String))
    tables["adlb"] = tables["adlb"].drop("LLOQ", "SIDE")
    del tables["adae"]
    found = [(problem.where, problem.found) for problem in problems(protocol, tables)]
    assert found == [
        ("adae", "no such table"),
        ("adqs, column AVAL", "a column of String"),
        ("adlb, column SIDE", "nothing"),
        ("adlb, column LLOQ", "nothing"),
    ]


@pytest.mark.parametrize("cells", [[[1.0]], [b"x"], [{"a": 1}], [True], [time(8)]], ids=repr)
@pytest.mark.parametrize("column", ["AVAL", "REPNO", "SIDE", "ADT"])
def test_columns_of_no_use(protocol, column, cells):
    """Lists, bytes, records, truth values and times are told, whatever column they stand in."""
    tables = small_trial.tables()
    odd = pl.Series(column, cells * len(tables["adqs"]))
    tables["adqs"] = tables["adqs"].with_columns(odd)
    assert {(problem.table, problem.column) for problem in problems(protocol, tables)} >= {("adqs", column)}


def test_nobody_randomised_and_nobody_at_all(protocol):
    tables = small_trial.tables()
    for change in (lambda t: t.with_columns(ITTFL=pl.lit("N")), lambda t: t.clear()):
        first = problems(protocol, tables | {"adsl": change(tables["adsl"])})[0]
        assert (first.where, first.found) == ("adsl, column ITTFL", "nobody with Y")


def test_an_arm_without_anybody(protocol):
    tables = small_trial.tables()
    tables["adsl"] = tables["adsl"].with_columns(pl.col("ARM").replace("placebo", "infliximab"))
    (found,) = problems(protocol, tables)
    assert (found.row, found.column, found.found) == (None, "ARM", "nobody randomised to placebo")


def test_numbers_where_text_is_meant_are_text():
    values = [2.0, 4.337, None, float("nan"), 12.5]
    sheet, found = typed(Sheet.of("adqs", pl.DataFrame({"AVALC": values})))
    assert sheet.table["AVALC"].to_list() == ["2", "4.337", "", "", "12.5"]
    assert [problem.row for problem in found] == [FIRST_ROW + 3]


def test_tables_without_rows_are_no_mistake(protocol):
    tables = small_trial.tables()
    check_tables(protocol, {name: table if name == "adsl" else table.clear() for name, table in tables.items()})


def all_wrong():
    """A trial with one mistake in a row of its own, ten times and more."""
    tables = small_trial.tables()
    tables["adsl"] = put(tables["adsl"], 2, ARM="sugar")
    for row, cells in enumerate(({"AVAL": 1.9}, {"SIDE": "LEFT"}, {"AVALU": "mmol"}, {"AVAL": -1.0}), start=2):
        tables["adlb"] = put(tables["adlb"], row, **cells)
    for row in (2, 3, 4):
        tables["adqs"] = put(tables["adqs"], row, AVAL=65.0)
    return tables


def test_everything_is_told_at_once(protocol):
    found = problems(protocol, all_wrong())
    places = {(p.table, p.row, p.column) for p in found}
    assert places == {
        ("adsl", 2, "ARM"),
        ("adlb", 2, "AVAL"),
        ("adlb", 3, "SIDE"),
        ("adlb", 4, "AVALU"),
        ("adlb", 5, "AVAL"),
        *(("adqs", row, "AVAL") for row in (2, 3, 4)),
    }
    lines = str(TablesError(found)).splitlines()
    assert lines[0] == "8 problems in the tables:"
    assert (
        lines[1] == "  adsl, row 2, column ARM: found 'sugar'; expected one of infliximab, placebo. Correct the value."
    )
    assert "  adqs, rows 2, 3, 4, column AVAL: found 65.0; expected NRS24AVG from 0 to 10. Correct the value." in lines
    assert len(lines) == 1 + 6, "the same mistake in three rows is one line"


def test_a_long_list_is_cut_and_counted(protocol):
    tables = small_trial.tables()
    many = pl.concat([tables["adae"]] * 40).with_columns(USUBJID=pl.format("X-{}", pl.int_range(pl.len())))
    error = TablesError(problems(protocol, tables | {"adae": many}))
    lines = str(error).splitlines()
    assert (len(error.problems), len(lines), lines[-1]) == (80, MOST_LINES + 2, "  and 30 more.")
    same = many.with_columns(USUBJID=pl.lit("X"))
    last = str(TablesError(problems(protocol, tables | {"adae": same}))).splitlines()[-1]
    assert "rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 70 more, column USUBJID" in last


def test_the_error_travels_between_processes(protocol):
    error = TablesError(problems(protocol, all_wrong()))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.problems, copy.where) == (str(error), error.problems, error.where)


@pytest.mark.parametrize(("form", "first"), [("csv", 2), ("parquet", 1), ("dataset-json", 1)])
def test_rows_are_those_of_the_file(protocol, tmp_path, form, first):
    """The line of a CSV file, the number of the record elsewhere; with the protocol, what it forbids too."""
    write_tables(tmp_path, all_wrong(), form)
    read_tables(tmp_path)
    with pytest.raises(TablesError) as caught:
        read_tables(tmp_path, protocol)
    assert {p.row for p in caught.value.problems if p.table.endswith(f"adqs{_suffix(form)}")} == {
        first,
        first + 1,
        first + 2,
    }


def _suffix(form):
    return {"csv": ".csv", "parquet": ".parquet", "dataset-json": ".json"}[form]


def test_lines_of_a_file_with_empty_lines_and_cells_of_two_lines(protocol, tmp_path):
    write_tables(tmp_path, small_trial.tables())
    path = tmp_path / "adae.csv"
    path.write_text('USUBJID,AETERM,AESTDY\n\nS-01,"head\nache",2\nS-99,infection,soon\n')
    with pytest.raises(TablesError) as caught:
        read_tables(tmp_path, protocol)
    assert [(p.row, p.column, p.found) for p in caught.value.problems] == [
        (5, "AESTDY", "'soon'"),
        (5, "USUBJID", "'S-99'"),
    ]


def test_files_that_are_not_there_or_twice_or_no_tables_are_all_named(protocol, tmp_path):
    write_tables(tmp_path, small_trial.tables())
    (tmp_path / "adqs.csv").unlink()
    (tmp_path / "ADSL.parquet").write_bytes(b"no")
    (tmp_path / "adlb.csv").write_bytes(b"USUBJID,AVAL\nS-01\nS-02,3,4\n")
    (tmp_path / "adae.csv").write_text("usubjid,AETERM\nS-01,headache\n")
    with pytest.raises(TablesError) as caught:
        read_tables(tmp_path, protocol)
    found = [(p.where.removeprefix(f"{tmp_path}/"), p.found) for p in caught.value.problems]
    assert found == [
        ("adsl", "ADSL.parquet and adsl.csv"),
        ("adlb.csv, row 2", "1 cells"),
        ("adlb.csv, row 3", "3 cells"),
        ("adqs.csv", "no such file"),
        ("adae.csv, column USUBJID", "'usubjid'"),
    ]
    with pytest.raises(InputError, match="no such directory"):
        read_tables(tmp_path / "nowhere")
