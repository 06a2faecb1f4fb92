"""CDISC Dataset-JSON 1.1: one JSON document a table, with its columns described and its rows as arrays.

Keys and types are those of CDISC's dataset.schema.json, version 1.1.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from causalgia.analysis.problems import Problem, Sheet, TablesError, check_header
from causalgia.analysis.sas_transport import sas_dates
from causalgia.analysis.variables import KEYS, TITLES, VARIABLES
from causalgia.documents.errors import InputError

VERSION = "1.1.0"
# Types of a column as those of a table; text that only looks like something else stays text.
TYPES: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("string", "URI", "time", "datetime"), pl.String),
    **dict.fromkeys(("float", "double", "decimal"), pl.Float64),
    "integer": pl.Int64,
    "boolean": pl.Boolean,
    "date": pl.Date,
}


def read(path: Path) -> Sheet:
    """The table of a Dataset-JSON 1.1 file; InputError or TablesError for what is not as its columns say."""
    document = _dataset(path)
    columns, rows = document["columns"], document["rows"]
    check_header(path, [column["name"] for column in columns])
    ragged = [
        Problem(str(path), i, "", f"{len(row)} values", f"{len(columns)}, one a column", "Mend the row.")
        for i, row in enumerate(rows, start=1)
        if len(row) != len(columns)
    ]
    if ragged:
        raise TablesError(ragged)
    problems: list[Problem] = []
    series = [_series(path, column, [row[i] for row in rows], problems) for i, column in enumerate(columns)]
    if problems:
        raise TablesError(problems)
    return Sheet.counted(path, sas_dates(pl.DataFrame(series)))


def _dataset(path: Path) -> dict[str, Any]:
    """The document of a Dataset-JSON file, its frame checked."""
    expected = f"a Dataset-JSON {VERSION} file"
    try:
        document = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except ValueError as error:
        raise InputError(str(path), f"a file that is not JSON ({error})", expected, "Mend the file.") from None
    version = document.get("datasetJSONVersion") if isinstance(document, dict) else None
    if not (isinstance(version, str) and version.startswith("1.1")):
        found = "Dataset-JSON 1.0" if isinstance(document, dict) and "clinicalData" in document else repr(version)
        raise InputError(f"{path}, key datasetJSONVersion", found, f"{VERSION!r}", "Convert the file.")
    document.setdefault("rows", [])
    shapes = {"columns": dict, "rows": list}
    for key, kind in shapes.items():
        if not (isinstance(document.get(key), list) and all(isinstance(entry, kind) for entry in document[key])):
            raise InputError(f"{path}, key {key}", "nothing of the kind", expected, "Mend the file.")
    for column in document["columns"]:
        if not isinstance(column.get("name"), str) or column.get("dataType") not in TYPES:
            raise InputError(f"{path}, key columns", repr(column), f"name and dataType ({', '.join(TYPES)})")
    if document.get("records") != len(document["rows"]):
        found = f"{document.get('records')} beside {len(document['rows'])} rows"
        raise InputError(f"{path}, key records", found, "the number of rows", "Write the file again: it is not whole.")
    return document


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _series(path: Path, column: dict[str, Any], values: list[Any], problems: list[Problem]) -> pl.Series:
    name, said = column["name"], column["dataType"]
    kind, read = TYPES[said], []
    for row, value in enumerate(values, start=1):
        try:
            read.append(_value(kind, value))
        except (TypeError, ValueError):
            problems.append(Problem(str(path), row, name, repr(value), f"a value of type {said}, or null"))
            read.append(None)
    series = pl.Series(name, read, kind)
    return series.fill_null("") if kind == pl.String else series


def _value(kind: type[pl.DataType], value: Any) -> Any:
    """A value of a row in its column's type; raises TypeError or ValueError where it is of another."""
    if value is None or (value == "" and kind != pl.String):
        return None
    if isinstance(value, bool) != (kind == pl.Boolean) or (isinstance(value, str) != (kind in (pl.String, pl.Date))):
        if kind == pl.Float64 and isinstance(value, str):  # decimal numbers are written as text
            return float(value)
        raise TypeError
    if kind == pl.Date:
        return date.fromisoformat(value)
    if kind == pl.Int64 and (int(value) != value or not -(2**63) <= value < 2**63):
        raise ValueError
    return int(value) if kind == pl.Int64 else float(value) if kind == pl.Float64 else value


def write(path: Path, table: pl.DataFrame, created: datetime) -> None:
    """Writes a table of text, whole numbers, numbers and dates; rows stand one a line, to be compared."""
    from causalgia import __version__

    name = path.stem.upper()
    study = table["STUDYID"][0] if "STUDYID" in table.columns and len(table) else ""
    document = {
        "datasetJSONCreationDateTime": created.isoformat(timespec="seconds"),
        "datasetJSONVersion": VERSION,
        "sourceSystem": {"name": "Causalgia", "version": __version__},
        **({"studyOID": study} if study else {}),
        "itemGroupOID": f"IG.{name}",
        "records": len(table),
        "name": name,
        "label": TITLES.get(path.stem.lower(), name),
        "columns": [_column(name, series) for series in table.iter_columns()],
    }
    head = json.dumps(document, ensure_ascii=False, indent=1)[:-2]
    rows = (json.dumps(_row(row), ensure_ascii=False, allow_nan=False) for row in table.iter_rows())
    body = ",\n  ".join(rows)
    path.write_text(f'{head},\n "rows": [{f"{chr(10)}  {body}{chr(10)} " if body else ""}]\n}}\n', encoding="utf-8")


def _column(name: str, series: pl.Series) -> dict[str, Any]:
    label = VARIABLES[series.name].label if series.name in VARIABLES else series.name
    column: dict[str, Any] = {"itemOID": f"IT.{name}.{series.name}", "name": series.name, "label": label}
    if series.dtype == pl.String:
        length = series.str.len_chars().max()
        column |= {"dataType": "string", "length": max(1, int(str(length or 0)))}
    elif series.dtype == pl.Date:
        column |= {"dataType": "date", "targetDataType": "integer", "displayFormat": "E8601DA."}
    else:
        column |= {"dataType": "integer" if series.dtype == pl.Int64 else "float"}
    keys = KEYS.get(name.lower(), ())
    return column | ({"keySequence": keys.index(series.name) + 1} if series.name in keys else {})


def _row(row: tuple) -> list[Any]:
    return [value.isoformat() if isinstance(value, date) else value for value in row]
