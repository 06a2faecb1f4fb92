"""The files that tables come in and go out as: CSV, Parquet, CDISC Dataset-JSON 1.1 and SAS transport (version 5).

What is written is read again as it was, value for value, or is refused. Missing text and empty text are one thing, as
in CDISC. CSV carries no types: its cells come back as text, for `checks.typed` to read by the column's name.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from causalgia.analysis import dataset_json, sas_transport
from causalgia.analysis.problems import Problem, Sheet, TablesError, check_header
from causalgia.analysis.variables import DTYPES, VARIABLES
from causalgia.documents.errors import InputError

UNDATED = datetime(1970, 1, 1)  # stands in files whose time of creation nobody gave: the same data are the same bytes


class Format(NamedTuple):
    """A kind of file: its suffix, and how it is read (path → sheet) and written (path, table, time of creation)."""

    suffix: str
    read: Callable[[Path], Sheet]
    write: Callable[[Path, pl.DataFrame, datetime], None]


def read_table(path: Path) -> Sheet:
    """The table in a file whose suffix is one of `FORMATS`, with the place of each record in the file.

    Raises InputError for a file that cannot be read as its format; TablesError names rows and columns.
    """
    form = next((form for form in FORMATS.values() if form.suffix == path.suffix.lower()), None)
    if form is None:
        known = ", ".join(form.suffix for form in FORMATS.values())
        raise InputError(str(path), f"the suffix {path.suffix!r}", f"one of {known}", "Rename or convert the file.")
    try:
        return form.read(path)
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "a table", "Add the file.") from None
    except OSError as error:
        raise InputError(str(path), f"an unreadable file ({error})", "a table", "Mend the file.") from None


def write_table(folder: Path, name: str, table: pl.DataFrame, form: str, *, created: datetime | None = None) -> Path:
    """Writes a table as folder/name with the suffix of a format of `FORMATS`, and gives the path.

    `created` is the time of creation that Dataset-JSON and SAS transport record: without it 1970, so that the same data
    are the same bytes. Raises InputError for what the format cannot hold exactly.
    """
    if form not in FORMATS:
        raise InputError("format", repr(form), f"one of {', '.join(FORMATS)}", "Choose one.")
    path = folder / f"{name}{FORMATS[form].suffix}"
    FORMATS[form].write(path, _plain(path, table), created or UNDATED)
    return path


def _plain(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    """The table in the four types that every format has; a number that is not finite is refused."""
    problems, columns = [], []
    for series in table.iter_columns():
        kind = DTYPES[VARIABLES[series.name].kind] if series.name in VARIABLES else pl.String
        series = series.cast(kind) if series.dtype == pl.Null else series
        if series.dtype == pl.String:
            series = series.fill_null("")
        elif series.dtype.is_integer():
            series = series.cast(pl.Int64)
        elif series.dtype.is_float():
            series = series.cast(pl.Float64)
            if not series.drop_nulls().is_finite().all():
                problems.append(Problem(str(path), None, series.name, "a number that is not finite", "finite numbers"))
        elif series.dtype != pl.Date:
            problems.append(Problem(str(path), None, series.name, f"{series.dtype}", "text, numbers or dates"))
        columns.append(series)
    if problems:
        raise TablesError(problems)
    return pl.DataFrame(columns)


def _read_csv(path: Path) -> Sheet:
    records, rows = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            line = reader.line_num
            for record in reader:
                if record:
                    records.append(record)
                    rows.append(line + 1)
                line = reader.line_num
    except UnicodeDecodeError as error:
        raise InputError(
            str(path), f"bytes that are not UTF-8 ({error.reason})", "a CSV table", "Save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise InputError(
            f"{path}, row {reader.line_num}", f"no CSV ({error})", "a CSV table", "Mend the row."
        ) from None
    check_header(path, header)
    width = len(header)
    ragged = [
        Problem(str(path), row, "", f"{len(record)} cells", f"{width}, as in the header", "Mend the row.")
        for row, record in zip(rows, records, strict=True)
        if len(record) != width
    ]
    if ragged:
        raise TablesError(ragged)
    table = pl.DataFrame(records, schema=dict.fromkeys(header, pl.String), orient="row")
    return Sheet(str(path), table, np.array(rows, dtype=int))


def _write_csv(path: Path, table: pl.DataFrame, created: datetime) -> None:
    """Lines end with a line feed, and a cell with a carriage return is quoted, which Python's own writer leaves out."""
    rows = [table.columns, *table.iter_rows()]
    lines = (",".join(_csv_cell(cell) for cell in row) or '""' for row in rows)  # an empty line is no row
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")


def _csv_cell(value: object) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _read_parquet(path: Path) -> Sheet:
    try:
        return Sheet.counted(path, pl.read_parquet(path))
    except pl.exceptions.PolarsError as error:
        found = f"a file that is not Parquet ({str(error).splitlines()[0]})"
        raise InputError(str(path), found, "a Parquet table", "Mend the file.") from None


def _write_parquet(path: Path, table: pl.DataFrame, created: datetime) -> None:
    table.write_parquet(path)


FORMATS: dict[str, Format] = {
    "csv": Format(".csv", _read_csv, _write_csv),
    "parquet": Format(".parquet", _read_parquet, _write_parquet),
    "dataset-json": Format(".json", dataset_json.read, dataset_json.write),
    "xpt": Format(".xpt", sas_transport.read, sas_transport.write),
}
