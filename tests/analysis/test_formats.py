"""Tables through every format and back, value for value; what a format cannot hold is refused."""

from __future__ import annotations

import json
import re
from datetime import date, datetime

import polars as pl
import pytest
import small_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from causalgia.analysis.formats import FORMATS, read_table, write_table
from causalgia.analysis.problems import Sheet, TablesError
from causalgia.analysis.tables import read_tables, write_tables
from causalgia.analysis.variables import DTYPES, KEYS, REQUIRED, TITLES, VARIABLES
from causalgia.documents import InputError

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)
# Text as cells have it: SAS keeps no space at its end, and reading strips it on both sides.
CELL = TEXT.map(str.strip)
INTEGER = st.integers(-(2**62), 2**62)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
DATE = st.dates(date(1800, 1, 1), date(2199, 12, 31))
KIND = {"text": CELL, "integer": INTEGER, "number": NUMBER, "date": DATE}


def frames(integers=INTEGER, numbers=NUMBER, cell=CELL):
    """Tables of known columns of every kind, with missing values, readings below the limit among them."""
    kinds = {"text": cell, "integer": integers, "number": numbers, "date": DATE}
    names = ("USUBJID", "AVAL", "AVALC", "LLOQ", "BLQFL", "ADY", "RANDNO", "ADT", "RANDDT")

    def value(kind):
        return kinds[kind] if kind == "text" else st.none() | kinds[kind]

    row = st.tuples(*(value(VARIABLES[name].kind) for name in names))
    schema = {name: DTYPES[VARIABLES[name].kind] for name in names}
    return st.lists(row, max_size=6).map(lambda rows: pl.DataFrame(rows, schema=schema, orient="row"))


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


def through(there, form, table):
    from causalgia.analysis.checks import typed

    sheet, problems = typed(read_table(write_table(there, "adlb", table, form)))
    assert problems == []
    return sheet.table


@pytest.mark.parametrize("form", ["csv", "parquet", "dataset-json"])
@given(table=frames())
@settings(max_examples=60)
def test_what_is_written_is_read(there, form, table):
    """Text, whole numbers to 2⁶², every finite float, dates and what is missing."""
    assert through(there, form, table).equals(table, null_equal=True)
    assert through(there, form, table).schema == table.schema


# Magnitudes that SAS transport, whose exponents are powers of 16 to ±64, has room for.
SAS_NUMBER = st.floats(1e-70, 1e70) | st.floats(-1e70, -1e-70) | st.just(0.0)


@given(table=frames(st.integers(-(2**53), 2**53), SAS_NUMBER, st.sampled_from(("a", "é", "x y", "µg/mL"))))
@settings(max_examples=60)
def test_sas_transport_too(there, table):
    read = through(there, "xpt", table)
    assert read.equals(table, null_equal=True)
    assert read.schema == table.schema


@pytest.mark.parametrize("text", ["a\rb", "a\r\nb", '"', '""a', ",", "\n", "µ", "NA", "null"])
def test_cells_that_csv_finds_hard(there, text):
    table = pl.DataFrame({"AVALC": ["", text, ""]})
    assert read_table(write_table(there, "adlb", table, "csv")).table.equals(table)


@pytest.mark.parametrize("form", ["parquet", "dataset-json"])
def test_columns_without_a_name_of_ours_keep_their_types(there, form):
    table = pl.DataFrame({"MINE": [1, None], "OTHER": [0.5, 2.0], "TEXTS": ["7", ""], "WHEN": [date(2026, 1, 2), None]})
    assert read_table(write_table(there, "adsl", table, form)).table.equals(table)


@pytest.mark.parametrize("form", FORMATS)
def test_a_trial_through_files(protocol, tmp_path, form):
    """Every table as it was, in columns, types and values, checked against the protocol; the truth stays behind."""
    tables = small_trial.tables()
    write_tables(tmp_path / "trial", tables | {"truth": tables["adsl"]}, form)
    read = read_tables(tmp_path / "trial", protocol)
    assert set(read) == set(tables)
    for name, table in tables.items():
        expected = table.with_columns(pl.col(pl.Int32).cast(pl.Int64))
        assert read[name].equals(expected, null_equal=True), name
    assert not list((tmp_path / "trial").glob("truth*"))


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_data_are_the_same_bytes(tmp_path, form):
    paths = []
    for folder in ("one", "two"):
        paths.append(write_tables(tmp_path / folder, small_trial.tables(), form))
    assert [path.read_bytes() for path in paths[0]] == [path.read_bytes() for path in paths[1]]


def test_the_time_of_creation_is_what_is_given(tmp_path):
    when = datetime(2026, 3, 2, 14, 5, 9)
    table = small_trial.tables()["adae"]
    text = write_table(tmp_path, "adae", table, "dataset-json", created=when).read_text()
    assert json.loads(text)["datasetJSONCreationDateTime"] == "2026-03-02T14:05:09"
    import pyreadstat

    _, about = pyreadstat.read_xport(str(write_table(tmp_path, "adae", table, "xpt", created=when)), metadataonly=True)
    assert about.creation_time == about.modification_time == when
    assert (about.table_name, about.file_label) == ("ADAE", TITLES["adae"])
    assert about.column_names_to_labels["AETERM"] == "Reported Term for the Adverse Event"


def test_dataset_json_as_cdisc_has_it(tmp_path):
    """Keys, patterns and types of the JSON schema of version 1.1 (dataset.schema.json of CDISC), and the exact text."""
    table = pl.DataFrame(
        {
            "STUDYID": ["G", "G"],
            "USUBJID": ["S-01", "S-02"],
            "RANDNO": [1, None],
            "WEIGHTBL": [70.0, 81.25],
            "RANDDT": [date(2026, 3, 2), None],
        }
    )
    text = write_table(tmp_path, "adsl", table, "dataset-json").read_text()
    document = json.loads(text)
    required = {
        "datasetJSONCreationDateTime",
        "datasetJSONVersion",
        "itemGroupOID",
        "records",
        "name",
        "label",
        "columns",
    }
    assert required <= set(document) <= required | {"rows", "studyOID", "sourceSystem"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", document["datasetJSONCreationDateTime"])
    assert (document["datasetJSONVersion"], document["itemGroupOID"], document["records"]) == ("1.1.0", "IG.ADSL", 2)
    assert (document["name"], document["label"], document["studyOID"]) == ("ADSL", "Subject-Level Analysis", "G")
    assert set(document["sourceSystem"]) == {"name", "version"}
    assert document["columns"][1:] == [
        {
            "itemOID": "IT.ADSL.USUBJID",
            "name": "USUBJID",
            "label": "Unique Subject Identifier",
            "dataType": "string",
            "length": 4,
            "keySequence": 1,
        },
        {"itemOID": "IT.ADSL.RANDNO", "name": "RANDNO", "label": "Order of Randomisation", "dataType": "integer"},
        {"itemOID": "IT.ADSL.WEIGHTBL", "name": "WEIGHTBL", "label": "Weight at Baseline (kg)", "dataType": "float"},
        {
            "itemOID": "IT.ADSL.RANDDT",
            "name": "RANDDT",
            "label": "Date of Randomisation",
            "dataType": "date",
            "targetDataType": "integer",
            "displayFormat": "E8601DA.",
        },
    ]
    assert text.endswith(
        ' "rows": [\n  ["G", "S-01", 1, 70.0, "2026-03-02"],\n  ["G", "S-02", null, 81.25, null]\n ]\n}\n'
    )
    assert json.loads(write_table(tmp_path, "adsl", table.clear(), "dataset-json").read_text())["rows"] == []


def dataset(**changes):
    """A Dataset-JSON document as other software writes it."""
    columns = [("USUBJID", "string"), ("AGE", "integer"), ("WEIGHTBL", "decimal"), ("TRTSDT", "integer")]
    document = {
        "datasetJSONCreationDateTime": "2026-03-02T14:05:09",
        "datasetJSONVersion": "1.1.0",
        "itemGroupOID": "IG.ADSL",
        "records": 2,
        "name": "ADSL",
        "label": "x",
        "columns": [{"itemOID": f"IT.{n}", "name": n, "label": n, "dataType": kind} for n, kind in columns],
        "rows": [["S-01", 44, "70.25", 19725], ["S-02", None, None, None]],
    }
    return document | changes


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_dataset_json_of_other_software(tmp_path):
    """Decimals as text; dates as SAS counts them: 19725 is 2014-01-02, as in CDISC's pilot study (adsl, TRTSDT)."""
    table = read_table(written(tmp_path / "adsl.json", dataset())).table
    assert table.rows() == [("S-01", 44, 70.25, date(2014, 1, 2)), ("S-02", None, None, None)]


def test_cells_of_another_type_are_all_named(tmp_path):
    rows = [["S-01", 44.5, "x", 1], [7, True, 70, "2014"]]
    with pytest.raises(TablesError) as caught:
        read_table(written(tmp_path / "adsl.json", dataset(rows=rows)))
    assert [(p.row, p.column, p.found) for p in caught.value.problems] == [
        (2, "USUBJID", "7"),
        (1, "AGE", "44.5"),
        (2, "AGE", "True"),
        (1, "WEIGHTBL", "'x'"),
        (2, "TRTSDT", "'2014'"),
    ]


# What stands in a file, and part of what is said of it.
NO_TABLES = {
    "adsl.json": {
        "no JSON": ("{", "not JSON"),
        "a number that JSON lacks": ('{"datasetJSONVersion": NaN}', "NaN is no JSON"),
        "version 1.0": ({"clinicalData": {}}, "Dataset-JSON 1.0"),
        "another JSON": (["a"], "None"),
        "half of it": (dataset(records=3), "not whole"),
        "no columns": (dataset(columns=[], rows=[], records=0), "empty"),
        "columns of no kind": (dataset(columns="x"), "key columns"),
        "an unknown type": (dataset(columns=[{"name": "A", "dataType": "text"}]), "key columns"),
        "rows of other lengths": (dataset(rows=[["S-01"], []]), "1 values"),
        "a column twice": (dataset(columns=[{"name": "A", "dataType": "string"}] * 4), "'A' twice"),
    },
    "adsl.csv": {
        "nothing": ("", "empty file"),
        "semicolons": ("USUBJID;AGE\nS-01;44\n", "semicolons"),
        "an open quote": ('USUBJID,AGE\n"S-01,44\n', "no CSV"),
        "a column twice": ("AGE,AGE\n1,2\n", "'AGE' twice"),
        "a column without a name": ("AGE,\n1,2\n", "without a name"),
    },
    "adsl.parquet": {"no Parquet": ("PAR1", "not Parquet")},
    "adsl.xpt": {"no SAS transport": ("HEADER", "not SAS transport")},
    "adsl.xlsx": {"another format": ("x", "one of .csv, .parquet, .json, .xpt")},
}


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in NO_TABLES.items() for case in cases])
def test_files_that_are_no_tables(tmp_path, name, case):
    content, part = NO_TABLES[name][case]
    with pytest.raises(InputError, match=re.escape(part)) as caught:
        read_table(written(tmp_path / name, content))
    assert name in caught.value.where


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".xpt"])
def test_files_that_are_not_there(tmp_path, suffix):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / f"adsl{suffix}")


def test_text_that_is_not_unicode(tmp_path):
    (tmp_path / "adsl.csv").write_bytes("USUBJID\nMüller\n".encode("latin-1"))
    with pytest.raises(InputError, match="Save it as UTF-8"):
        read_table(tmp_path / "adsl.csv")


def test_a_mark_at_the_beginning_of_a_csv_file_is_no_part_of_it(tmp_path):
    (tmp_path / "adsl.csv").write_bytes("\ufeffUSUBJID\nS-01\n".encode())
    assert read_table(tmp_path / "adsl.csv").table.columns == ["USUBJID"]


REFUSED = {
    "infinite": ("csv", {"AVAL": [float("inf")]}, "not finite"),
    "lists": ("parquet", {"AVAL": [[1.0]]}, "text, numbers or dates"),
    "a long name": ("xpt", {"VERYLONGNAME": [1.0]}, "at most 8"),
    "a name with a space": ("xpt", {"A B": [1.0]}, "at most 8"),
    "a long text": ("xpt", {"AVALC": ["x" * 201]}, "at most 200 bytes"),
    "a space after a text": ("xpt", {"AVALC": ["x "]}, "holds exactly"),
    "a number beyond SAS's": ("xpt", {"AVAL": [1e200]}, "holds exactly"),
    "a great whole number": ("xpt", {"RANDNO": [2**53 + 1]}, "holds exactly"),
    "a last row of empty text": ("xpt", {"AVALC": ["x", ""]}, "holds exactly"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_a_format_would_change_is_refused(tmp_path, case):
    form, columns, part = case
    with pytest.raises(InputError, match=part):
        write_table(tmp_path, "adlb", pl.DataFrame(columns), form)
    assert not list(tmp_path.iterdir())


def test_an_unknown_format(tmp_path):
    with pytest.raises(InputError, match="one of csv, parquet, dataset-json, xpt"):
        write_table(tmp_path, "adlb", pl.DataFrame(), "excel")


def test_sas_transport_of_other_software(tmp_path):
    """Names of centres that SAS holds as numbers, dates with SAS's format or without one, a column without values."""
    import pyreadstat

    table = pl.DataFrame(
        {"USUBJID": ["S-01"], "SITEID": [12.0], "RANDDT": [19725.0], "TRTSDT": [date(2014, 1, 2)], "AVAL": [None]}
    )
    table = table.with_columns(pl.col("AVAL").cast(pl.Float64))
    pyreadstat.write_xport(
        table, str(tmp_path / "ADSL.XPT"), file_format_version=8, variable_format={"TRTSDT": "DATE9."}
    )
    from causalgia.analysis.checks import typed

    sheet, problems = typed(read_table(tmp_path / "ADSL.XPT"))
    assert problems == []
    assert sheet.table.rows() == [("S-01", "12", date(2014, 1, 2), date(2014, 1, 2), None)]


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyreadstat", None)
    with pytest.raises(InputError, match=r"causalgia\[data\]"):
        write_table(tmp_path, "adsl", small_trial.tables()["adsl"], "xpt")


def test_variables_fit_every_format():
    """Names and labels as SAS transport wants them; keys and required columns are known variables."""
    for name, variable in VARIABLES.items():
        assert re.fullmatch("[A-Z][A-Z0-9]{0,7}", name)
        assert 0 < len(variable.label) <= 40, name
    assert {name for names in (*KEYS.values(), *REQUIRED.values()) for name in names} <= set(VARIABLES)
    assert set(KEYS) | set(REQUIRED) <= set(TITLES)
    assert len({form.suffix for form in FORMATS.values()}) == len(FORMATS)


def test_sheets_of_memory_count_as_csv_does():
    sheet = Sheet.of("adsl", small_trial.tables()["adsl"])
    assert sheet.rows.tolist() == [2, 3, 4, 5, 6]
