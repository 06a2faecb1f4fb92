"""Event tables as pharmacometricians write them: one row a dose or observation, ID TIME EVID AMT RATE II ADDL SS CMT.

What a table says in a way that two programs might read differently is refused, never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from causalgia.documents.errors import InputError
from causalgia.engine.event_rows import Rows, read_rows
from causalgia.engine.events import Events, Floats, Integers

if TYPE_CHECKING:
    import polars as pl

OBSERVATION, DOSE, OTHER = 0, 1, 2
LATER = "not supported yet"
WHOLE = re.compile(r"(0|-?[1-9]\d{0,17})(\.0*)?")
Scales = Mapping[str, ArrayLike] | None


class Dose(NamedTuple):
    """One dose row of subject number `subject`: times as exact fractions, `seen_from` as in `Events`."""

    subject: int
    state: int
    amount: float
    rate: float
    time: Fraction
    interval: Fraction
    additional: int
    seen_from: int


@dataclass(frozen=True)
class EventTable:
    """Subjects in the order of the table, their observations and their doses.

    `start` (subject,) is the time of a subject's first row of any kind; `times` (subject, time) those of its
    observations in the order of the rows, then NaN; `observations` (observation,) the places of these rows among the
    data rows. Times and amounts have the model's units.
    """

    states: tuple[str, ...]
    ids: tuple[str, ...]
    start: Floats
    times: Floats
    observations: Integers
    doses: tuple[Dose, ...]
    rows: Rows
    subject: Integers

    def events(self, *, bioavailability: Scales = None, lag: Scales = None) -> Events:
        """Every dose up to the subject's last observation, additional doses written out, for `solve`.

        Dose k of a row arrives at TIME + lag + k·II, computed from the decimals and rounded once. `bioavailability`
        and `lag` give compartments, by name or number, a number or (subject,): F·AMT enters; with a RATE it does so for
        F·AMT/RATE. At one time a dose is seen by the observations written below its row.
        Errors: `InputError` for an unknown compartment, a shape, or a value that is negative or not finite.
        """
        F, lags = self._by_state("bioavailability", bioavailability, 1.0), self._by_state("lag", lag, 0.0)
        given = [
            (dose, time, float(F[dose.state, dose.subject]) * dose.amount)
            for dose in self.doses
            if F[dose.state, dose.subject] * dose.amount > 0
            for time in _arrivals(dose, float(lags[dose.state, dose.subject]), self._last(dose.subject))
        ]
        subject = np.array([dose.subject for dose, _, _ in given], dtype=np.int64)
        counts = np.bincount(subject, minlength=len(self.ids))
        column = np.arange(len(given)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (len(self.ids), int(counts.max(initial=0)))

        def table(values: list[float], empty: float) -> Floats:
            array = np.full(shape, empty)
            array[subject, column] = values
            return array

        return Events(
            time=table([time for _, time, _ in given], np.nan),
            state=table([dose.state for dose, _, _ in given], 0).astype(np.int64),
            amount=table([amount for _, _, amount in given], 0.0),
            rate=table([dose.rate for dose, _, _ in given], 0.0),
            seen_from=table([dose.seen_from for dose, _, _ in given], np.inf),
        )

    def covariate(self, name: str) -> Floats:
        """A column that is constant within each subject, (subject,); missing cells take the subject's value.

        Errors: `InputError` for a column that lacks, is empty for a subject, or changes within one.
        """
        if name not in self.rows.columns:
            found = f"columns {', '.join(self.rows.columns)}"
            raise InputError(self.rows.where, found, f"a column {name}", "Add the column.")
        values = np.full(len(self.ids), np.nan)
        for row, (subject, value) in enumerate(zip(self.subject, self.rows.numbers(name), strict=True)):
            if values[subject] != value and not math.isnan(value):
                if not math.isnan(values[subject]):
                    found = f"{value:g} after {values[subject]:g} in subject {self.ids[subject]}"
                    expected = f"one value a subject: covariates that change with time are {LATER}"
                    raise InputError(self.rows.place(row, name), found, expected, "Give a constant covariate.")
                values[subject] = value
        empty = np.flatnonzero(np.isnan(values))
        if len(empty):
            found = f"no value in subject {self.ids[empty[0]]}"
            raise InputError(f"{self.rows.where}, column {name}", found, "a value for every subject", "Add it.")
        return values

    def frame(self, values: Floats, outputs: Sequence[str]) -> pl.DataFrame:
        """Values (subject, time, output) as a table: ID, TIME and the outputs, a row an observation, in file order."""
        import polars as pl

        seen = ~np.isnan(self.times)
        numbers = [int(name.partition(".")[0]) for name in self.ids if WHOLE.fullmatch(name)]
        ids = numbers if len(set(numbers)) == len(self.ids) else self.ids
        who = np.repeat(np.arange(len(self.ids)), seen.sum(axis=1))
        columns = {name: values[seen][:, i] for i, name in enumerate(outputs)}
        return pl.DataFrame({"ID": pl.Series(ids).gather(who), "TIME": self.times[seen], **columns})

    def _last(self, subject: int) -> float:
        """The subject's last observation, −inf without one."""
        return float(np.fmax.reduce(self.times[subject], initial=-np.inf))

    def _by_state(self, what: str, given: Scales, default: float) -> Floats:
        """What the caller gives for some compartments, (state, subject)."""
        values = np.full((len(self.states), len(self.ids)), default)
        for name, value in (given or {}).items():
            state = _state(str(name), self.states, what)
            array = np.asarray(value, dtype=np.float64)
            if array.shape not in ((), (1,), (len(self.ids),)):
                expected = f"one number, or shape ({len(self.ids)},)"
                raise InputError(f"{what}, {name}", f"shape {array.shape}", expected, "Give one a subject.")
            if not (np.isfinite(array) & (array >= 0)).all():
                found = "a value that is negative or not finite"
                raise InputError(f"{what}, {name}", found, "0 or more", "Correct it.")
            values[state] = array
        return values


def _arrivals(dose: Dose, lag: float, last: float) -> Iterator[float]:
    """TIME + lag + k·II for k = 0, 1, … up to `last`: whole numbers over one denominator, so each rounds once."""
    begin = dose.time + Fraction(repr(lag))
    denominator = math.lcm(begin.denominator, dose.interval.denominator)
    first = begin.numerator * (denominator // begin.denominator)
    step = dose.interval.numerator * (denominator // dose.interval.denominator)
    for k in range(dose.additional + 1):
        time = (first + k * step) / denominator
        if time > last:
            return
        yield time


def read_event_table(source: Path | str | pl.DataFrame, states: Sequence[str]) -> EventTable:
    """The event table in a CSV file or data frame, for a model with these states (`kernel.states`).

    EVID 0 observes, 1 doses, 2 does neither; without EVID, AMT > 0 is a dose, MDV 1 else an EVID 2, the rest observes.
    RATE > 0 infuses; ADDL further doses follow every II; CMT is the name of a state or its number from 1, and may lack
    where there is one state. The rows of a subject stand together, in order of time, and start from the model's
    initial states at the first of them. DV and further columns are not read.
    Errors: `InputError` with file, line and column for everything else.
    """
    rows = read_rows(source)
    for column in ("ID", "TIME"):
        if column not in rows.columns:
            found = f"columns {', '.join(rows.columns)}"
            raise InputError(rows.where, found, f"a column {column}", "Add the column, or name it in the header.")
    ids, subject = _subjects(rows)
    times = _ordered_times(rows, subject)
    kinds = np.array(_kinds(rows))
    _check_others(rows, kinds.tolist())
    observed = np.flatnonzero(kinds == OBSERVATION)
    counts = np.bincount(subject[observed], minlength=len(ids))
    before = np.cumsum(kinds == OBSERVATION) - np.repeat(np.cumsum(counts) - counts, np.bincount(subject))
    padded = np.full((len(ids), int(counts.max(initial=0))), np.nan)
    padded[subject[observed], before[observed] - 1] = times[observed]
    start = times[np.flatnonzero(np.diff(subject, prepend=-1))]
    doses = _doses(rows, np.flatnonzero(kinds == DOSE).tolist(), subject, before, tuple(states))
    return EventTable(tuple(states), ids, start, padded, observed, tuple(doses), rows, subject)


def _subjects(rows: Rows) -> tuple[tuple[str, ...], Integers]:
    """IDs in the order of the table, and the number of each row's subject."""
    numbers: dict[str, int] = {}
    subject = np.zeros(len(rows), dtype=np.int64)
    before = ""
    for row, name in enumerate(rows.text("ID")):
        if not name:
            raise InputError(rows.place(row, "ID"), "nothing", "a subject", "Fill in the ID.")
        if name != before and name in numbers:
            found = f"subject {name} again, after others"
            raise InputError(rows.place(row, "ID"), found, "the rows of a subject together", "Sort by ID and TIME.")
        before = name
        subject[row] = numbers.setdefault(name, len(numbers))
    return tuple(numbers), subject


def _ordered_times(rows: Rows, subject: Integers) -> Floats:
    times = np.array(rows.numbers("TIME"))
    empty = np.flatnonzero(np.isnan(times))
    if len(empty):
        raise InputError(rows.place(int(empty[0]), "TIME"), "nothing", "a time", "Fill in the TIME.")
    back = np.flatnonzero((np.diff(times) < 0) & (np.diff(subject) == 0))
    if len(back):
        row = int(back[0]) + 1
        found = f"{times[row]:g} after {times[row - 1]:g} in one subject"
        raise InputError(rows.place(row, "TIME"), found, "times that do not go back", "Sort by ID and TIME.")
    return times


def _kinds(rows: Rows) -> list[int]:
    """What each row is: OBSERVATION, DOSE or OTHER."""
    amounts = rows.numbers("AMT")
    for row, amount in enumerate(amounts):
        if amount < 0:
            raise InputError(rows.place(row, "AMT"), f"{amount:g}", "an amount of 0 or more", "Correct the dose.")
    if "EVID" not in rows.columns:
        hidden = rows.numbers("MDV")
        return [DOSE if a > 0 else OTHER if m == 1 else OBSERVATION for a, m in zip(amounts, hidden, strict=True)]
    kinds = []
    for row, evid in enumerate(rows.numbers("EVID")):
        kind = 0.0 if math.isnan(evid) else evid
        if kind in (3, 4):
            raise InputError(rows.place(row, "EVID"), f"{kind:g}", f"0, 1 or 2: a reset is {LATER}", "Remove the row.")
        if kind not in (OBSERVATION, DOSE, OTHER):
            raise InputError(rows.place(row, "EVID"), f"{kind:g}", "0, 1 or 2", "Correct the kind of the event.")
        kinds.append(int(kind))
    return kinds


def _check_others(rows: Rows, kinds: Sequence[int]) -> None:
    """Refuses what would be lost: dosing on a row that is no dose, and a compartment switched off."""
    for column in ("AMT", "RATE", "II", "ADDL", "SS"):
        for row, value in enumerate(rows.numbers(column)):
            if kinds[row] != DOSE and not (math.isnan(value) or value == 0):
                found, expected = f"{value:g} on a row that is no dose", "0 or . there; a dose has an AMT and EVID 1"
                raise InputError(rows.place(row, column), found, expected, "Say whether this is a dose.")
    for row, cell in enumerate(rows.text("CMT")):
        if cell.startswith("-"):
            expected = f"a compartment: switching one off is {LATER}"
            raise InputError(rows.place(row, "CMT"), cell, expected, "Correct the compartment.")


def _doses(
    rows: Rows, places: list[int], subject: Integers, before: Integers, states: tuple[str, ...]
) -> Iterator[Dose]:
    numbers = {column: rows.numbers(column) for column in ("AMT", "RATE", "II", "ADDL", "SS")}
    text = {column: rows.text(column) for column in ("TIME", "II", "CMT")}
    for row in places:
        cells = {column: 0.0 if math.isnan(cells[row]) else cells[row] for column, cells in numbers.items()}
        if math.isnan(numbers["AMT"][row]):
            raise InputError(rows.place(row, "AMT"), "nothing", "the amount of the dose", "Fill in the AMT.")
        _check_dose(rows, row, cells)
        yield Dose(
            subject=int(subject[row]),
            state=_state(text["CMT"][row], states, rows.place(row, "CMT")),
            amount=cells["AMT"],
            rate=cells["RATE"],
            time=_fraction(text["TIME"][row]),
            interval=_fraction(text["II"][row]),
            additional=int(cells["ADDL"]),
            seen_from=int(before[row]),
        )


def _check_dose(rows: Rows, row: int, cells: Mapping[str, float]) -> None:
    amount, rate, interval, additional = (cells[c] for c in ("AMT", "RATE", "II", "ADDL"))
    modelled = f"a RATE of 0 or more: a modelled rate or duration is {LATER}"
    rules = (
        ("SS", cells["SS"] == 0, f"0: steady state is {LATER}"),
        ("RATE", rate not in (-1, -2), modelled),
        ("RATE", rate >= 0, "a RATE of 0 or more"),
        ("RATE", rate == 0 or amount > 0, "no RATE without an AMT"),
        ("II", interval >= 0, "an interval of 0 or more"),
        ("ADDL", additional >= 0 and additional == int(additional), "a whole number of 0 or more"),
        ("II", additional == 0 or interval > 0, "an interval above 0, because ADDL asks for further doses"),
    )
    for column, good, expected in rules:
        if not good:
            raise InputError(rows.place(row, column), f"{cells[column]:g}", expected, "Correct the dose.")


def _fraction(cell: str) -> Fraction:
    """The number in a cell, exactly; what is too small for a double is 0."""
    return Fraction(cell) if cell and float(cell) else Fraction(0)


def _state(cell: str, states: Sequence[str], where: str) -> int:
    """The place of the state that a cell names or numbers from 1."""
    if cell in states:
        return states.index(cell)
    number = cell.rstrip("0").rstrip(".") if "." in cell else cell
    if number in ("", "0") and len(states) == 1:
        return 0
    if number.isdecimal() and 1 <= int(number) <= len(states):
        return int(number) - 1
    expected = f"one of {', '.join(states)}, or a number from 1 to {len(states)}"
    raise InputError(where, repr(cell) if cell else "no compartment", expected, "Name the state that the dose enters.")
