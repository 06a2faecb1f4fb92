"""From a REDCap export, one row a subject and event, to the tables of the analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from causalgia.analysis.checks import find_problems, raise_problems, typed
from causalgia.analysis.formats import read_table
from causalgia.analysis.problems import Problem, Sheet
from causalgia.analysis.redcap_mapping import Column, ReadingFields, Records, RedcapMapping
from causalgia.analysis.variables import REQUIRED
from causalgia.documents import Protocol

Tables = dict[str, pl.DataFrame]
DATE = "a date such as 2026-03-14, or nothing where it is missing"


class _Line(NamedTuple):
    """A row of the export, or a subject's rows as one: cells without spaces around them, and each one's row."""

    subject: str
    cells: dict[str, str]
    rows: dict[str, int]


class _Record(NamedTuple):
    """A row of a table to be: its row of the export, its texts by column, and the fields that columns come from."""

    row: int
    texts: dict[str, str]
    origins: dict[str, tuple[int, str]]


def from_redcap(export: Path, mapping: RedcapMapping, protocol: Protocol | None = None) -> Tables:
    """The tables adsl, adlb, adqs, adae and those of other repeating forms from an export in raw (coded) values.

    A field of a subject may stand in any of its rows that is no repeat. A value that is neither given nor below the
    limit makes no row. With `protocol` the tables are checked as `analyse` does. Raises TablesError with every problem,
    by row of the export and field.
    """
    sheet = read_table(export)
    needed = f"the fields of {mapping.path.name}"
    raise_problems(
        [sheet.problem(name, "nothing", needed, "Export it.") for name in mapping.fields if not sheet.has(name)]
    )
    return _Export(sheet, mapping).tables(protocol)


class _Export:
    """One conversion: the rows of an export, and the problems met on the way."""

    def __init__(self, sheet: Sheet, mapping: RedcapMapping):
        self.sheet, self.mapping = sheet, mapping
        self.problems: list[Problem] = []
        self.lines = []
        for row, cells in zip(sheet.rows.tolist(), sheet.table.iter_rows(named=True), strict=True):
            texts = {name: str("" if cell is None else cell).strip() for name, cell in cells.items()}
            self.lines.append(_Line(texts[mapping.subject], texts, dict.fromkeys(texts, row)))
        self.single = [line for line in self.lines if not line.cells.get(mapping.repeat)]
        self.starts: dict[str, date | None] = {}

    def tables(self, protocol: Protocol | None) -> Tables:
        """The tables, or TablesError."""
        found: dict[str, list[_Record]] = {"adsl": list(self._subjects()), "adlb": [], "adqs": [], "adae": []}
        for reading in self.mapping.readings:
            found[reading.table] += self._readings(reading)
        for records in self.mapping.records:
            found.setdefault(records.table, []).extend(self._records(records))
        sheets = {name: self._sheet(name, records) for name, records in found.items()}
        if protocol is not None:
            self.problems += find_problems(protocol, sheets)
        raise_problems(self.problems)
        return {name: sheet.table for name, sheet in sheets.items()}

    def _sheet(self, name: str, records: list[_Record]) -> Sheet:
        """Records as a typed table; what is wrong is told by row and field of the export."""
        required = REQUIRED.get(name, ("USUBJID",))
        names = dict.fromkeys([*required, *(key for record in records for key in record.texts)])
        columns = [pl.Series(key, [record.texts.get(key, "") for record in records], pl.String) for key in names]
        numbered = Sheet(self.sheet.where, pl.DataFrame(columns), np.arange(len(records)))
        sheet, problems = typed(numbered)
        for problem in problems:
            record = records[problem.row or 0]
            row, field = record.origins.get(problem.column, (record.row, problem.column))
            self.problems.append(problem._replace(row=row, column=field))
        rows = np.array([record.row for record in records], dtype=int)
        return Sheet(f"{self.sheet.where}, as {name}", sheet.table, rows)

    def _subjects(self) -> Iterator[_Record]:
        by_subject: dict[str, list[_Line]] = {}
        for line in self.single:
            by_subject.setdefault(line.subject, []).append(line)
        start = self.mapping.subjects.get("RANDDT")
        for subject, lines in by_subject.items():
            merged = self._merged(lines)
            if start is not None:
                self.starts[subject] = self._date(merged, start.fields[0])
            record = self._record(merged, self.mapping.subjects)
            yield record._replace(texts={"STUDYID": self.mapping.name, **record.texts})

    def _merged(self, lines: list[_Line]) -> _Line:
        """A subject's rows as one; a field of adsl that has two values is a problem."""
        cells, rows = dict(lines[0].cells), dict(lines[0].rows)
        for name in sorted({name for column in self.mapping.subjects.values() for name in column.fields}):
            for line in lines[1:]:
                value = line.cells[name]
                if value and not cells[name]:
                    cells[name], rows[name] = value, line.rows[name]
                elif value and value != cells[name]:
                    expected = f"{cells[name]!r}, as in row {rows[name]} of the same subject"
                    self._wrong(line, name, expected, "Correct one of the rows.")
        return _Line(lines[0].subject, cells, rows)

    def _record(self, line: _Line, columns: dict[str, Column]) -> _Record:
        texts = {"USUBJID": line.subject} | {name: self._value(line, column) for name, column in columns.items()}
        origins = {name: (line.rows[column.fields[0]], column.fields[0]) for name, column in columns.items()}
        return _Record(line.rows[self.mapping.subject], texts, origins)

    def _value(self, line: _Line, column: Column) -> str:
        if column.day is not None:
            return self._day(line, self._date(line, column.day))
        if column.days is not None:
            first, last = (self._date(line, name) for name in column.days)
            return "" if first is None or last is None else str((last - first).days)
        (name,) = column.fields
        code = line.cells[name]
        if not code or not column.values:
            return code or column.otherwise
        if code not in column.values:
            self._wrong(line, name, f"one of {', '.join(column.values)}", "Correct the code, or add it to the mapping.")
        return column.values.get(code, "")

    def _date(self, line: _Line, name: str) -> date | None:
        text = line.cells[name]
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self._wrong(line, name, DATE, "Export raw values: dates are year-month-day there.")
            return None

    def _day(self, line: _Line, when: date | None) -> str:
        """The day from randomisation, which is day 1; there is no day 0."""
        start = self.starts.get(line.subject)
        if when is None or start is None:
            return ""
        days = (when - start).days
        return str(days + (days >= 0))

    def _readings(self, reading: ReadingFields) -> Iterator[_Record]:
        for line in self.single:
            below = self._below(line, reading)
            if not line.cells[reading.value] and below != "Y":
                continue
            event = line.cells[self.mapping.event]
            if event in self.mapping.visits:
                yield self._reading(line, reading, below, self.mapping.visits[event])
            else:
                self._wrong(line, self.mapping.event, "an event of the mapping's visits", "Add it to the mapping.")

    def _below(self, line: _Line, reading: ReadingFields) -> str:
        code = line.cells[reading.below] if reading.below is not None else ""
        if reading.below is not None and code not in ("", "0", "1"):
            self._wrong(line, reading.below, "1 (below the limit), 0 or nothing", "Correct the code.")
        return "Y" if code == "1" else "N"

    def _reading(self, line: _Line, reading: ReadingFields, below: str, week: float) -> _Record:
        def cell(name: str | None) -> str:
            return line.cells[name] if name is not None else ""

        when = self._date(line, reading.date) if reading.date is not None else None
        value, limit = cell(reading.value), cell(reading.limit)
        texts = {
            "USUBJID": line.subject,
            "PARAMCD": reading.paramcd,
            "AVAL": value,
            "AVALC": value or f"<{limit}",
            "AVALU": reading.unit,
            "AVISIT": f"Week {week:g}",
            "AVISITN": str(week),
            "ADT": "" if when is None else when.isoformat(),
            "ADY": self._day(line, when),
            "SIDE": reading.side,
            "REPNO": str(reading.replicate),
        }
        if reading.table == "adlb":
            texts |= {"LLOQ": limit, "BLQFL": below, "LBSPEC": reading.specimen, "PLATE": cell(reading.plate)}
        named = {"AVAL": reading.value, "LLOQ": reading.limit, "ADT": reading.date}
        row = line.rows[reading.value]
        return _Record(row, texts, {key: (row, name) for key, name in named.items() if name is not None})

    def _records(self, records: Records) -> Iterable[_Record]:
        fields = [name for column in records.columns.values() for name in column.fields]
        for line in self.lines:
            repeated = line.cells.get(self.mapping.repeat, records.form) == records.form
            if repeated and any(line.cells[name] for name in fields):
                yield self._record(line, records.columns)

    def _wrong(self, line: _Line, name: str, expected: str, remedy: str) -> None:
        found = repr(line.cells[name]) if line.cells[name] else "nothing"
        self.problems.append(Problem(self.sheet.where, line.rows[name], name, found, expected, remedy))
