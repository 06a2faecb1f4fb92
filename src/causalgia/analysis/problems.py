"""A table as it was read, and everything that is wrong with a trial's tables, told in one error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from causalgia.documents.errors import InputError

FIRST_ROW = 2  # the line of a CSV file that follows its header
MOST_LINES, MOST_ROWS = 50, 10
CORRECT = "Correct the value."


class Problem(NamedTuple):
    """One thing that is wrong: in which table or file, row and column; what was found and expected; what to do."""

    table: str
    row: int | None
    column: str
    found: str
    expected: str
    remedy: str = CORRECT

    @property
    def where(self) -> str:
        """Table, row and column in words."""
        return _where(self.table, [] if self.row is None else [self.row], self.column)


class TablesError(InputError):
    """Every problem of a trial's tables.

    `problems` has them one by one; the message has a line for each kind, at most 50; `where`, `found`, `expected` and
    `remedy` are the first problem's.
    """

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.where, first.found, first.expected, first.remedy)
        if len(self.problems) > 1:
            self.args = (_message(self.problems),)

    def __reduce__(self) -> tuple:
        return type(self), (self.problems,)


class Sheet(NamedTuple):
    """A table, where it is from, and each record's place there: the line of a CSV file, else the record's number."""

    where: str
    table: pl.DataFrame
    rows: np.ndarray

    @classmethod
    def of(cls, name: str, table: pl.DataFrame) -> Sheet:
        """A table in memory, with the rows that it has as a CSV file."""
        return cls(name, table, np.arange(len(table)) + FIRST_ROW)

    @classmethod
    def counted(cls, path: Path, table: pl.DataFrame) -> Sheet:
        """A table of a file whose records have numbers, from 1."""
        return cls(str(path), table, np.arange(len(table)) + 1)

    def problem(self, column: str, found: str, expected: str, remedy: str) -> Problem:
        """A problem of the whole table, or of a whole column."""
        return Problem(self.where, None, column, found, expected, remedy)

    def at(self, index: int, column: str, expected: str, remedy: str = CORRECT, found: str = "") -> Problem:
        """A problem in one record; what was found is the cell's value unless told."""
        return Problem(self.where, int(self.rows[index]), column, found or self.cell(index, column), expected, remedy)

    def cell(self, index: int, column: str) -> str:
        """A cell as a message shows it."""
        value = self.table[column][index]
        if value is None or (isinstance(value, str) and not value):
            return "nothing"
        return repr(value) if isinstance(value, str | int | float) else str(value)

    def has(self, *columns: str) -> bool:
        """Whether the table has all of these columns."""
        return set(columns) <= set(self.table.columns)

    def wrong(self, column: str, rule: pl.Expr, expected: str, remedy: str = CORRECT) -> Iterator[Problem]:
        """A problem in `column` for every record where `rule` holds; none where the table lacks a column of it."""
        if self.has(column, *rule.meta.root_names()):
            for index in self.indices(rule):
                yield self.at(index, column, expected, remedy)

    def indices(self, rule: pl.Expr) -> list[int]:
        """The records where a rule holds."""
        return self.table.select(rule.fill_null(False).arg_true().alias("ROW"))["ROW"].to_list()


def check_header(path: Path, names: list[str]) -> None:
    """Raises InputError where a file has no columns, or columns without names of their own."""
    if not names:
        raise InputError(str(path), "an empty file", "a table with a header", "Add the columns.")
    if len(names) == 1 and ";" in names[0]:
        raise InputError(str(path), "cells divided by semicolons", "commas", "Save it as comma-separated.")
    wrong = [name for i, name in enumerate(names) if not name or name in names[:i]]
    if wrong:
        found = f"{wrong[0]!r} twice" if wrong[0] else "a column without a name"
        raise InputError(str(path), found, "columns with names, each once", "Correct the header.")


def once_a_cell(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each cell: a value that is no number is not reported as missing too."""
    first: dict[tuple[str, int | None, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.table, problem.row, problem.column), problem)
    return list(first.values())


def _message(problems: tuple[Problem, ...]) -> str:
    lines: dict[tuple[str, str, str, str, str], list[int]] = {}
    for problem in problems:
        key = (problem.table, problem.column, problem.found, problem.expected, problem.remedy)
        lines.setdefault(key, []).extend([] if problem.row is None else [problem.row])
    told = [
        f"  {InputError(_where(table, rows, column), *rest)}"
        for (table, column, *rest), rows in islice(lines.items(), MOST_LINES)
    ]
    left = sum(max(len(rows), 1) for rows in islice(lines.values(), MOST_LINES, None))
    told += [f"  and {left} more."] if left else []
    return "\n".join([f"{len(problems)} problems in the tables:", *told])


def _where(table: str, rows: list[int], column: str) -> str:
    parts = [table]
    if rows:
        more = f" and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
        parts.append(f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:MOST_ROWS]))}{more}")
    return ", ".join(parts + ([f"column {column}"] if column else []))
