"""The cells of an event table as text, each with its place in the file, and the numbers in them."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalgia.documents.errors import InputError

if TYPE_CHECKING:
    import polars as pl

STANDARD = ("ID", "TIME", "EVID", "AMT", "RATE", "II", "ADDL", "SS", "CMT", "DV", "MDV")
MISSING = ("", ".", "NA")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Rows:
    """Data rows in the order of the file: cells by column, "" where missing; row i stands on `lines[i]` of the file.

    Columns of the convention have their upper-case names, others the names that the file gives.
    """

    where: str
    unit: str
    lines: Sequence[int]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, for messages."""
        return f"{self.where}, {self.unit} {self.lines[row]}, column {column}"

    def text(self, column: str) -> list[str]:
        """The cells of a column; all missing if there is no such column."""
        return self.columns.get(column) or [""] * len(self)

    def numbers(self, column: str) -> list[float]:
        """The numbers of a column, each the double nearest to its decimal; NaN where missing.

        Errors: `InputError` for a cell that is not a finite decimal number.
        """
        return [self._number(row, column, cell) if cell else math.nan for row, cell in enumerate(self.text(column))]

    def _number(self, row: int, column: str, cell: str) -> float:
        value = float(cell) if NUMBER.fullmatch(cell) else math.inf
        if not math.isfinite(value):
            raise InputError(self.place(row, column), repr(cell), "a number, or . for missing", "Correct the cell.")
        return value


def read_rows(source: Path | str | pl.DataFrame) -> Rows:
    """The rows of a CSV file, or of a data frame.

    Cells are separated by commas, semicolons or tabs; the first line that is no comment names the columns. A line that
    begins with # or C is a comment; blank lines are passed over; `.`, NA and nothing are missing.
    Errors: `InputError` for an unreadable file, a row with too few or too many cells, a column named twice, no rows,
    and a line that begins with C in a table whose IDs are not numbers: nobody can tell whether it is a comment.
    """
    if isinstance(source, (str, Path)):
        return _read_file(Path(source))
    columns = {name: [_cell(value) for value in source[name].to_list()] for name in source.columns}
    return _rows("event table", "row", range(1, source.height + 1), list(columns), list(columns.values()))


def _cell(value: object) -> str:
    """A value of a data frame as the shortest text that gives it back."""
    if value is None or value != value:
        return ""
    return str(value)


def _rows(where: str, unit: str, lines: Sequence[int], header: list[str], cells: list[list[str]]) -> Rows:
    names = [name.upper() if name.upper() in STANDARD else name for name in map(str.strip, header)]
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise InputError(where, f"two columns {twice[0]}", "every column once", "Drop or rename one of them.")
    if not lines:
        expected = "a row for each dose and observation; lines that begin with # or C are comments"
        raise InputError(where, "no rows", expected, "Add rows below the header.")
    cleaned = ([text if (text := cell.strip()) not in MISSING else "" for cell in column] for column in cells)
    return Rows(where, unit, lines, dict(zip(names, cleaned, strict=True)))


def _read_file(path: Path) -> Rows:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"no readable file ({error})", "an event table (CSV)", "Check the path.") from error
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip() and not line.startswith("#")]
    top = next((i for i, (_, line) in enumerate(lines) if not line.startswith("C") or _is_header(line)), None)
    if top is None:
        raise InputError(str(path), "no header", "a line that names the columns", "Begin with ID,TIME,EVID,AMT,CMT.")
    first = lines[top][1]
    header = _split(path, lines[top : top + 1], _delimiter(first))[0][1]
    body = lines[top + 1 :]
    rows = _split(path, [line for line in body if not line[1].startswith("C")], _delimiter(first))
    rows = [row for row in rows if any(cell.strip() for cell in row[1])]
    for n, cells in rows:
        if len(cells) != len(header):
            expected = f"{len(header)}, as in the header"
            raise InputError(f"{path}, line {n}", f"{len(cells)} cells", expected, "Write . for a missing cell.")
    columns = [[cells[i] for _, cells in rows] for i in range(len(header))]
    table = _rows(str(path), "line", [n for n, _ in rows], header, columns)
    if not all(NUMBER.fullmatch(cell) for cell in table.text("ID")):
        _check_comments(path, body, _delimiter(first), len(header))
    return table


def _delimiter(header: str) -> str:
    return next((d for d in ",;\t" if d in header), ",")


def _is_header(line: str) -> bool:
    """Whether a line that begins with C, as CMT does, names the columns."""
    names = {name.strip(' "\r').upper() for name in line.split(_delimiter(line))}
    return bool(names & {"ID", "TIME"})


def _split(path: Path, lines: list[tuple[int, str]], delimiter: str) -> list[tuple[int, list[str]]]:
    """The cells of each line, with its number."""
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    try:
        return [(lines[reader.line_num - 1][0], cells) for cells in reader]
    except csv.Error as error:
        n = lines[reader.line_num - 1][0]
        raise InputError(f"{path}, line {n}", str(error), "cells as CSV writes them", "Correct the quotes.") from error


def _check_comments(path: Path, body: list[tuple[int, str]], delimiter: str, width: int) -> None:
    """Refuses what may be the row of a subject C001, left out as a comment in silence."""
    for n, line in body:
        if line.startswith("C") and line.count(delimiter) == width - 1 and line[1] != delimiter:
            expected = "no comment that looks like a row: C begins a comment, and the IDs here are not numbers"
            raise InputError(f"{path}, line {n}", repr(line.strip()), expected, "Quote the ID, or comment by #.")
