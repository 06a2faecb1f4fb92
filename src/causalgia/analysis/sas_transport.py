"""SAS transport files (version 5, XPT), through pyreadstat; and dates as SAS counts them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from types import ModuleType

import polars as pl

from causalgia.analysis.problems import Problem, Sheet, TablesError
from causalgia.analysis.variables import TITLES, VARIABLES
from causalgia.documents.errors import InputError

EPOCH = date(1960, 1, 1)
LONGEST_NAME, LONGEST_TEXT = 8, 200
STAMPS = (144, 160, 464, 480)  # where the four times of creation and change stand in a file of one member
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def sas_dates(table: pl.DataFrame) -> pl.DataFrame:
    """Dates that a file gives as SAS does, in days since 1960, as dates."""
    numbers = [
        name
        for name, dtype in table.schema.items()
        if name in VARIABLES and VARIABLES[name].kind == "date" and dtype.is_numeric()
    ]
    days = [pl.lit(EPOCH) + pl.duration(days=pl.col(name)) for name in numbers]
    return table.with_columns(day.cast(pl.Date).alias(name) for day, name in zip(days, numbers, strict=True))


def _sas() -> ModuleType:
    try:
        import pyreadstat
    except ImportError:
        remedy = "Install it: pip install 'causalgia[data]'."
        raise InputError("SAS transport", "no package pyreadstat", "the extra `data`", remedy) from None
    return pyreadstat


def read(path: Path) -> Sheet:
    """The first table of a SAS transport file; InputError for what is none."""
    sas = _sas()
    if not path.is_file():
        raise FileNotFoundError
    try:
        table, about = sas.read_xport(path, output_format="polars", encoding="UTF-8")
    except (sas.ReadstatError, sas.PyreadstatError) as error:
        found = f"a file that is not SAS transport ({error})"
        raise InputError(str(path), found, "a SAS transport table", "Mend the file.") from None
    kinds = {
        name: pl.String if kind == "string" else pl.Float64 for name, kind in about.readstat_variable_types.items()
    }
    null = [pl.col(name).cast(kinds[name]) for name, dtype in table.schema.items() if dtype == pl.Null]
    return Sheet.counted(path, sas_dates(table.with_columns(null).with_columns(pl.col(pl.String).fill_null(""))))


def write(path: Path, table: pl.DataFrame, created: datetime) -> None:
    """Writes a table of text, whole numbers, numbers and dates.

    Refuses what SAS transport would lose: it has eight bytes a number, no spaces after a text, 200 bytes a text.
    """
    sas = _sas()
    problems = [
        Problem(
            str(path), None, name, "a longer name", f"names of at most {LONGEST_NAME} letters and digits", "Rename it."
        )
        for name in table.columns
        if len(name) > LONGEST_NAME or not (name.isascii() and name.replace("_", "a").isalnum())
    ]
    long = [name for name in table.columns if _longest(table[name]) > LONGEST_TEXT]
    problems += [
        Problem(str(path), None, name, "a longer text", f"at most {LONGEST_TEXT} bytes", "Shorten it.") for name in long
    ]
    if problems:
        raise TablesError(problems)
    known = {name: VARIABLES[name].label for name in table.columns if name in VARIABLES}
    formats = {name: "DATE9." for name in table.columns if table[name].dtype == pl.Date}
    name, title = path.stem.upper(), TITLES.get(path.stem.lower(), "")
    sas.write_xport(
        table,
        str(path),
        file_label=title,
        column_labels=known,
        table_name=name,
        file_format_version=5,
        variable_format=formats,
    )
    _stamp(path, created)
    back = read(path).table
    for series in table.iter_columns():
        if len(back) != len(table) or not back[series.name].cast(series.dtype).equals(series, null_equal=True):
            path.unlink()
            expected = "values that SAS transport holds exactly"
            raise InputError(
                f"{path}, column {series.name}", "a value that it changes", expected, "Use another format."
            )


def _longest(series: pl.Series) -> int:
    return max((len(text.encode()) for text in series), default=0) if series.dtype == pl.String else 0


def _stamp(path: Path, created: datetime) -> None:
    """Puts the time of creation in place of the clock's."""
    stamp = f"{created.day:02d}{MONTHS[created.month - 1]}{created:%y:%H:%M:%S}".encode()
    content = bytearray(path.read_bytes())
    for place in STAMPS:
        content[place : place + len(stamp)] = stamp
    path.write_bytes(bytes(content))
