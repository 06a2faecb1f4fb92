"""Tables that a person has edited: every mistake is named by table, row and column, and nothing is guessed."""

from __future__ import annotations

import polars as pl
import pytest

import causalgia as cg
from causalgia.analysis.tables import read_tables
from causalgia.cli.output import write_trial
from causalgia.documents import InputError


@pytest.fixture(scope="module")
def written(protocol, outcomes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("edited") / "trial"
    write_trial(folder, cg.conduct(protocol, outcomes, seed=2, size=16))
    return folder


@pytest.fixture
def edit(written, tmp_path):
    """Copies the trial with one table changed, as text."""

    def make(name, change):
        folder = tmp_path / "trial"
        folder.mkdir()
        for path in written.iterdir():
            table = pl.read_csv(path, infer_schema=False)
            (change(table) if path.stem == name else table).write_csv(folder / path.name)
        return folder

    return make


def at(column, value, where):
    """Sets one cell: the first row where `where` holds."""

    def change(table):
        row = int(table.with_row_index("ROW").filter(where)["ROW"][0])
        cells = table[column].to_list()
        cells[row] = value
        return table.with_columns(pl.Series(column, cells, pl.String))

    return change


RANDOMISED = pl.col("ITTFL") == "Y"
TNF = (pl.col("PARAMCD") == "TNFBL") & (pl.col("AVISITN") == "6.0") & (pl.col("BLQFL") == "N")
LOW = (pl.col("PARAMCD") == "TNFBL") & (pl.col("BLQFL") == "Y")
PAIN = pl.col("PARAMCD") == "NRS24AVG"
ANY = pl.lit(True)

# name of the mistake: (table, change, column, part of what was found or expected)
MISTAKES = {
    "missing column": ("adlb", lambda t: t.drop("AVAL"), "AVAL", "Add the column"),
    "text in a number": ("adlb", at("AVAL", "high", TNF), "AVAL", "'high'"),
    "decimal comma": ("adqs", at("AVAL", "6,5", PAIN), "AVAL", "'6,5'"),
    "infinity": ("adqs", at("AVAL", "inf", PAIN), "AVAL", "'inf'"),
    "not a number": ("adlb", at("LLOQ", "nan", TNF), "LLOQ", "'nan'"),
    "below written as text": ("adlb", at("AVAL", "<2", TNF), "AVAL", "'<2'"),
    "half a day": ("adsl", at("DURDAYS", "90.5", RANDOMISED), "DURDAYS", "whole number"),
    "unknown arm": ("adsl", at("ARM", "sugar", RANDOMISED), "ARM", "'sugar'"),
    "no arm": ("adsl", at("ARM", None, RANDOMISED), "ARM", "nothing"),
    "subject twice": ("adsl", lambda t: pl.concat([t, t.filter(RANDOMISED).head(1)]), "USUBJID", "each subject once"),
    "no subject": ("adsl", at("USUBJID", None, RANDOMISED), "USUBJID", "nothing"),
    "no order": ("adsl", at("RANDNO", None, RANDOMISED), "RANDNO", "order of randomisation"),
    "order twice": ("adsl", at("RANDNO", "7", pl.col("RANDNO") == "3"), "RANDNO", "once"),
    "no duration": ("adsl", at("DURDAYS", None, RANDOMISED), "DURDAYS", "days since the injury"),
    "gate not Y or N": ("adsl", at("GATEFL", "yes", RANDOMISED), "GATEFL", "'yes'"),
    "flag not Y or N": ("adsl", at("ITTFL", "1", RANDOMISED), "ITTFL", "'1'"),
    "nobody randomised": ("adsl", lambda t: t.with_columns(ITTFL=pl.lit("N")), "ITTFL", "nobody with Y"),
    "empty subjects": ("adsl", lambda t: t.clear(), "ITTFL", "nobody with Y"),
    "a concentration of 0": ("adlb", at("AVAL", "0", TNF), "AVAL", "above 0"),
    "a negative concentration": ("adlb", at("AVAL", "-3.5", TNF), "AVAL", "above 0"),
    "below a limit that is not given": ("adlb", at("LLOQ", None, LOW), "LLOQ", "a limit above 0"),
    "below, in other words": ("adlb", at("BLQFL", "BLQ", LOW), "BLQFL", "'BLQ'"),
    "a stranger's blister": ("adlb", at("USUBJID", "nobody", TNF), "USUBJID", "'nobody'"),
    "a stranger's pain": ("adqs", at("USUBJID", "nobody", PAIN), "USUBJID", "'nobody'"),
    "pain of 65": ("adqs", at("AVAL", "65", PAIN), "AVAL", "from 0 to 10"),
    "pain below 0": ("adqs", at("AVAL", "-1", PAIN), "AVAL", "from 0 to 10"),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named(case, edit, protocol):
    name, change, column, part = case
    folder = edit(name, change)
    with pytest.raises(InputError) as caught:
        cg.analyse(protocol, read_tables(folder))
    assert name in caught.value.where
    assert f"column {column}" in caught.value.where
    assert part in str(caught.value)
    changed = pl.read_csv(folder / f"{name}.csv", infer_schema=False)
    if "row" in caught.value.where:
        row = int(caught.value.where.split("row ")[1].split(",")[0])
        line = (folder / f"{name}.csv").read_text().splitlines()[row - 1]
        cell = changed[column][row - 2]
        assert cell is None or cell in line, "the row is the line of the file"


def test_the_row_is_the_line_of_the_file(edit, protocol):
    folder = edit("adlb", at("AVAL", "wrong", TNF))
    lines = (folder / "adlb.csv").read_text().splitlines()
    expected = next(i for i, line in enumerate(lines, start=1) if "wrong" in line)
    with pytest.raises(InputError, match=rf"adlb\.csv, row {expected}, column AVAL"):
        read_tables(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1,2,3,4\n"])
def test_a_file_that_is_no_table(edit, content):
    folder = edit("adlb", lambda t: t)
    (folder / "adlb.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"adlb\.csv"):
        read_tables(folder)


def test_a_missing_file(edit):
    folder = edit("adlb", lambda t: t)
    (folder / "adqs.csv").unlink()
    with pytest.raises(InputError, match=r"adqs\.csv.*no such file"):
        read_tables(folder)


def test_frames_are_checked_as_files_are(protocol, outcomes):
    tables = cg.conduct(protocol, outcomes, seed=2, size=16)
    with pytest.raises(InputError, match="adlb, column BLQFL"):
        cg.analyse(protocol, {**tables, "adlb": tables["adlb"].drop("BLQFL")})
    with pytest.raises(InputError, match="adae"):
        cg.analyse(protocol, {name: table for name, table in tables.items() if name != "adae"})


def test_no_measurements_are_reasons_not_errors(edit, protocol):
    """Empty tables of the right shape: no answer, and why."""
    folder = edit("adlb", lambda t: t.clear())
    answers = cg.analyse(protocol, read_tables(folder))
    assert not answers["raised"].known and "measured" in answers["raised"].reason
    assert not answers["lowered"].known and answers["lowered"].reason
    assert answers["relieved"].known
    assert answers["lowered"].n == 0


def test_missing_values_are_left_out_not_filled(edit, protocol, written):
    whole = cg.analyse(protocol, read_tables(written))["relieved"]
    endpoint = PAIN & (pl.col("AVISITN") == "12.0")
    fewer = cg.analyse(protocol, read_tables(edit("adqs", at("AVAL", None, endpoint))))["relieved"]
    assert fewer.n == whole.n - 1
    responders = {(row["term"], row["arm"]): row["n"] for row in fewer.details}
    assert sum(n for (term, _), n in responders.items() if "30" in term) == 16, "missing is no response"


def test_order_of_rows_and_columns_does_not_matter(edit, protocol, written):
    for name in ("adsl", "adlb"):
        folder = edit(name, lambda t: t.reverse().select(reversed(t.columns)))
        seen, expected = cg.analyse(protocol, read_tables(folder)), cg.analyse(protocol, read_tables(written))
        assert seen["relieved"].estimate == pytest.approx(expected["relieved"].estimate, rel=1e-9)
        assert seen["lowered"].estimate == pytest.approx(expected["lowered"].estimate, rel=1e-6)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
