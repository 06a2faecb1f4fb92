"""What is wrong with a trial's tables, named by table, row (the line of the CSV file) and column."""

from __future__ import annotations

import numpy as np
import polars as pl

from causalgia.documents import InputError, Instrument, Protocol

Tables = dict[str, pl.DataFrame]
FIRST_ROW = 2  # the line of a CSV file that follows its header

# Columns that the analysis reads, and their types.
COLUMNS: dict[str, dict[str, type[pl.DataType]]] = {
    "adsl": {
        "USUBJID": pl.String,
        "ARM": pl.String,
        "ITTFL": pl.String,
        "RANDNO": pl.Int64,
        "DURDAYS": pl.Int64,
        "GATEFL": pl.String,
    },
    "adlb": {
        "USUBJID": pl.String,
        "PARAMCD": pl.String,
        "AVAL": pl.Float64,
        "AVISITN": pl.Float64,
        "SIDE": pl.String,
        "LLOQ": pl.Float64,
        "BLQFL": pl.String,
    },
    "adqs": {"USUBJID": pl.String, "PARAMCD": pl.String, "AVAL": pl.Float64, "AVISITN": pl.Float64, "SIDE": pl.String},
    "adae": {"USUBJID": pl.String, "AETERM": pl.String},
}


def check_tables(protocol: Protocol, tables: Tables) -> None:
    """Raises InputError at the first row that the analysis could not read as meant."""
    for name, columns in COLUMNS.items():
        if name not in tables:
            raise InputError(name, "no such table", f"the tables {', '.join(COLUMNS)}", "Add it.")
        for column in columns:
            if column not in tables[name].columns:
                raise InputError(f"{name}, column {column}", "nothing", f"the columns {', '.join(columns)}", "Add it.")
    _check_subjects(protocol, tables["adsl"])
    for name in ("adlb", "adqs", "adae"):
        known = pl.col("USUBJID").is_in(tables["adsl"]["USUBJID"].to_list())
        _refuse(name, tables[name], "USUBJID", ~known, "a subject of adsl")
    for name in protocol.schedule:
        instrument = Instrument.load(name)
        if instrument.scale == "log":
            _check_concentrations(tables["adlb"], instrument)
        elif instrument.range is not None:
            low, high = instrument.range
            wrong = (pl.col("PARAMCD") == instrument.paramcd) & ~pl.col("AVAL").is_between(low, high)
            _refuse("adqs", tables["adqs"], "AVAL", wrong, f"{instrument.paramcd} from {low:g} to {high:g}")


def _check_subjects(protocol: Protocol, adsl: pl.DataFrame) -> None:
    _refuse("adsl", adsl, "USUBJID", pl.col("USUBJID") == "", "a subject's number")
    _refuse("adsl", adsl, "USUBJID", ~pl.col("USUBJID").is_first_distinct(), "each subject once")
    _refuse("adsl", adsl, "ITTFL", ~pl.col("ITTFL").is_in(["Y", "N"]), "Y or N")
    randomised = pl.col("ITTFL") == "Y"
    if not (adsl["ITTFL"] == "Y").any():
        raise InputError("adsl, column ITTFL", "nobody with Y", "the randomised subjects", "Mark them.")
    arms = list(protocol.arms)
    _refuse("adsl", adsl, "ARM", randomised & ~pl.col("ARM").is_in(arms), f"one of {', '.join(arms)}")
    _refuse("adsl", adsl, "RANDNO", randomised & pl.col("RANDNO").is_null(), "the order of randomisation")
    again = randomised & ~pl.when(randomised).then(pl.col("RANDNO")).is_first_distinct()
    _refuse("adsl", adsl, "RANDNO", again, "each number once")
    if "duration" in protocol.allocation.strata:
        _refuse("adsl", adsl, "DURDAYS", randomised & pl.col("DURDAYS").is_null(), "days since the injury")
    if protocol.gate is not None:
        _refuse("adsl", adsl, "GATEFL", randomised & ~pl.col("GATEFL").is_in(["Y", "N"]), "Y or N")


def _check_concentrations(adlb: pl.DataFrame, instrument: Instrument) -> None:
    here, below = pl.col("PARAMCD") == instrument.paramcd, pl.col("BLQFL") == "Y"
    _refuse("adlb", adlb, "BLQFL", here & ~pl.col("BLQFL").is_in(["Y", "N"]), "Y or N")
    _refuse("adlb", adlb, "LLOQ", here & below & ~(pl.col("LLOQ") > 0).fill_null(False), "a limit above 0")
    expected = "a concentration above 0, or BLQFL = Y where it is below the limit"
    _refuse("adlb", adlb, "AVAL", here & ~below & (pl.col("AVAL") <= 0), expected)


def _refuse(name: str, table: pl.DataFrame, column: str, wrong: pl.Expr, expected: str) -> None:
    rows = np.flatnonzero(table.select(wrong.fill_null(False).alias("WRONG"))["WRONG"].to_numpy())
    if len(rows):
        row = int(rows[0])
        value = table[column][row]
        found = "nothing" if value is None or value == "" else repr(value)
        raise InputError(f"{name}, row {row + FIRST_ROW}, column {column}", found, expected, "Correct the value.")
