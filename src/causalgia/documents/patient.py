"""The patient document: who it is, what was measured when and with what error, what was given and what went wrong."""

from __future__ import annotations

import csv
import re
from datetime import date as Date
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from causalgia.documents import reader
from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document, Page, Parameter, Unit
from causalgia.documents.schemas import Condition, Drug, Instrument
from causalgia.documents.units import converts, factor, quantity_of
from causalgia.documents.weighing import Therapies

# What a living adult or child can have.
BODY = {"age": (0.0, 120.0, "years"), "weight": (2.0, 400.0, "kg"), "albumin": (5.0, 70.0, "g/L")}
# Above these a unit is wrong, not a patient: in the instrument's unit; levels by the output that holds them.
MOST = {"blister-tnf": 2000.0, "site-tnf": 5000.0, "biopsy-tnf": 2000.0, "blister-il6": 50_000.0}
MOST_LEVEL = {"Cp": (1000.0, "mg/L"), "Cp_G": (100.0, "mg/L"), "Cp_M": (100.0, "mg/L"), "Cp_I": (200.0, "g/L")}
# Doses above these are a wrong unit, mg and mg/kg; the immunoglobulins are given in grams.
MOST_DOSE = {"mg": 5000.0, "mg/kg": 60.0}
MOST_DOSE_OF = {"immunoglobulin": {"mg": 250_000.0, "mg/kg": 3000.0}}
LONGEST = 80 * 365.25  # days with a disease
BELOW = re.compile(r"<\s*(\d+(?:\.\d+)?)")
TEXTS = {
    "patient",
    "condition",
    "sex",
    "duration",
    "date",
    "injured",
    "measure",
    "side",
    "value",
    "unit",
    "drug",
    "route",
}
NUMBERS = {"age", "weight", "albumin", "day", "lloq"}


def _finite(value: Any) -> Any:
    """A number that is one; text, of a value below a limit, passes. Says it once, where a union would say it twice."""
    if isinstance(value, float) and not isfinite(value):
        raise InputError("", f"{value:g}", "a finite number", "Correct it, or leave it out where it was not read.")
    return value


def _day(value: Any) -> Any:
    """Text as a date, as a table gives it."""
    if isinstance(value, str):
        try:
            return Date.fromisoformat(value)
        except ValueError:
            raise InputError("", repr(value), "a date such as 2025-05-15", "Correct it.") from None
    return value


def _dose(value: Any) -> Any:
    if not isinstance(value, str):
        raise InputError("", f"{value}", 'an amount with its unit, such as "5 mg/kg"', "Add the unit, in quotes.")
    return value


Reading = Annotated[float | str, BeforeValidator(_finite)]


def _bounded(name: str) -> AfterValidator:
    low, high, unit = BODY[name]

    def check(value: float) -> float:
        if not low <= value <= high:
            raise InputError("", f"{value:g}", f"{name} from {low:g} to {high:g} {unit}", "Correct it.")
        return value

    return AfterValidator(check)


class About(Page):
    """Who it is; what is left out is unknown, and then drawn from the population. Years, kg, g/L."""

    age: Annotated[float, _bounded("age")] | None = None
    sex: Literal["female", "male"] | None = None
    weight: Annotated[float, _bounded("weight")] | None = None
    albumin: Annotated[float, _bounded("albumin")] | None = None


class Dated(Page):
    """Something on a `date`, or on a `day` counted from the first visit."""

    date: Annotated[Date | None, BeforeValidator(_day)] = None
    day: float | None = None

    @model_validator(mode="after")
    def _one(self) -> Dated:
        if (self.date is None) == (self.day is None):
            found = "neither a date nor a day" if self.date is None else "both"
            raise InputError("date", found, "a date, or the day from the first visit", "Give one of them.")
        return self


class Score(Page):
    """A score with an error of its own (SD in its unit), where it is not what the instrument's page describes."""

    value: float
    error: Annotated[float, Field(gt=0)] | None = None


class Fluid(Page):
    """Replicates of one sample: numbers, or "<2" below a limit of 2. Errors are SDs of the natural logarithm."""

    measure: str
    side: str
    values: tuple[Reading, ...]
    unit: Unit
    assay: str = ""
    lloq: Annotated[float, Field(gt=0)] | None = None
    day_error: Annotated[float, Field(gt=0)] | None = None
    replicate_error: Annotated[float, Field(gt=0)] | None = None

    @property
    def numbers(self) -> list[tuple[float, bool]]:
        """Each replicate and whether it is only an upper limit, in `unit`."""
        found = []
        for value in self.values:
            match = BELOW.fullmatch(value.strip()) if isinstance(value, str) else None
            if isinstance(value, str) and match is None:
                raise InputError("values", repr(value), 'numbers, or text such as "<2"', "Correct it.")
            found.append((float(match[1]), True) if match is not None else (float(value), False))
        return found

    @property
    def limit(self) -> float | None:
        """The lower limit in `unit` that the document gives, itself or by "<2"."""
        return self.lloq if self.lloq is not None else next((x for x, below in self.numbers if below), None)

    @model_validator(mode="after")
    def _consistent(self) -> Fluid:
        instrument = _named(Instrument, "measure", self.measure)
        if instrument.scale != "log":
            raise InputError("measure", repr(self.measure), "a sample of fluid or tissue", "Put it under scores.")
        if self.side not in instrument.signal:
            raise InputError("side", repr(self.side), f"one of {', '.join(instrument.signal)}", "Correct it.")
        _convert("unit", self.unit, instrument.unit)
        if not self.values:
            raise InputError("values", "none", "at least one replicate", "Add it, or remove the sample.")
        limit = self._limit_of(instrument)
        most = MOST.get(instrument.name, 1e5)
        for value, below in self.numbers:
            there = value * factor(self.unit, instrument.unit)
            if there > most:
                found = f"{value:g} {self.unit}" + (f", {there:,.0f} {instrument.unit}" if there != value else "")
                remedy = f"Correct the unit or the value; is {value:g} {instrument.unit} meant?"
                raise InputError("values", found, f"at most {most:,.0f} {instrument.unit}", remedy)
            if below and abs(value / limit - 1) > 1e-9:
                raise InputError("values", f'"<{value:g}"', f'"<{limit:g}", the limit of the assay', "Correct one.")
            if not below and value < limit:
                found = f"{value:g}, below the limit of {limit:g} {self.unit}"
                raise InputError("values", found, f'"<{limit:g}"', "Write a value below the limit as text with <.")
        return self

    def _limit_of(self, instrument: Instrument) -> float:
        """The limit in `unit`: the document's, else the instrument's; 0 where there is none."""
        if self.limit is not None or instrument.lloq is None:
            return self.limit or 0.0
        return instrument.lloq.typical * factor(instrument.lloq.unit, self.unit)


class Level(Page):
    """The serum concentration of a drug that was given. `error` is the SD of its natural logarithm."""

    drug: str
    value: Reading
    unit: Unit
    error: Annotated[float, Field(gt=0)] | None = None

    @property
    def number(self) -> tuple[float, bool]:
        """The value in `unit`, and whether it is only an upper limit."""
        match = BELOW.fullmatch(self.value.strip()) if isinstance(self.value, str) else None
        if isinstance(self.value, str) and match is None:
            raise InputError("value", repr(self.value), 'a number, or text such as "<0.5"', "Correct it.")
        return (float(match[1]), True) if match is not None else (float(self.value), False)

    @model_validator(mode="after")
    def _consistent(self) -> Level:
        drug = _named(Drug, "drug", self.drug)
        most, unit = MOST_LEVEL[drug.concentration]
        _convert("unit", self.unit, unit)
        value = self.number[0]
        there = value * factor(self.unit, unit)
        if not 0 < there <= most:
            found = f"{value:g} {self.unit}" + (f", {there:,.4g} {unit}" if there != value else "")
            raise InputError("value", found, f"above 0 and at most {most:g} {unit}", "Correct the unit or the value.")
        return self


class Visit(Dated):
    """What was read on one day: scores by instrument, fluids, drug levels, and antibodies by drug (found or not)."""

    scores: dict[str, Annotated[float | Score, BeforeValidator(_finite)]] = {}
    fluids: tuple[Fluid, ...] = ()
    levels: tuple[Level, ...] = ()
    antibodies: dict[str, bool] = {}

    @model_validator(mode="after")
    def _scores(self) -> Visit:
        samples = [(fluid.measure, fluid.side) for fluid in self.fluids]
        for k, sample in enumerate(samples):
            if sample in samples[:k]:
                remedy = "Put the replicates into one list of values."
                raise InputError(f"fluids.{k}", f"{sample[0]}, {sample[1]}, a second time", "one sample a side", remedy)
        for name in self.antibodies:
            _named(Drug, f"antibodies.{name}", name)
        for name, score in self.scores.items():
            instrument = _named(Instrument, f"scores.{name}", name)
            if instrument.scale != "linear" or set(instrument.signal) != {"patient"}:
                raise InputError(f"scores.{name}", "a sample of fluid or tissue", "a score", "Put it under fluids.")
            value = score.value if isinstance(score, Score) else score
            low, high = instrument.range or (-1e6, 1e6)
            if not low <= value <= high:
                expected = f"{instrument.title} from {low:g} to {high:g} {instrument.unit}"
                raise InputError(f"scores.{name}", f"{value:g}", expected, "Correct it.")
        return self


class Given(Dated):
    """One dose that was given."""

    drug: str
    route: str
    dose: Annotated[str, BeforeValidator(_dose)]

    @model_validator(mode="after")
    def _consistent(self) -> Given:
        drug = _named(Drug, "drug", self.drug)
        if self.route not in drug.routes:
            raise InputError(
                "route", repr(self.route), f"a route of {drug.name}: {', '.join(drug.routes)}", "Correct it."
            )
        amount, unit = quantity_of("dose", self.dose)
        if amount <= 0 or not (converts(unit, "mg") or converts(unit, "mg/kg")):
            raise InputError("dose", repr(self.dose), "a dose above 0 in mg or mg/kg", "Correct it.")
        target = "mg" if converts(unit, "mg") else "mg/kg"
        most = MOST_DOSE_OF.get(drug.name, MOST_DOSE)[target]
        if amount * factor(unit, target) > most:
            expected = f"at most {most:,.0f} {target} of {drug.name}"
            raise InputError("dose", repr(self.dose), expected, "Correct the unit or the amount.")
        return self


class Adverse(Dated):
    """An adverse event."""

    term: str
    serious: bool = False


class Patient(Document):
    """One patient. `duration` is the time from the injury to the first visit, where dates do not say it.

    `comorbidities` left out were not asked; an empty list says that none was found. `source` says where the data are
    from, and `synthetic` that nobody has them. Times in days from the first visit.
    """

    KIND = "patient"
    name: str
    title: str
    source: str
    synthetic: bool = False
    condition: str
    injured: Date | None = None
    duration: Parameter | None = None
    about: About = About()
    comorbidities: tuple[str, ...] | None = None
    current: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    visits: tuple[Visit, ...]
    doses: tuple[Given, ...] = ()
    adverse_events: tuple[Adverse, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """The patient of the library with that name, or at a path; entries are counted from 1 in messages."""
        try:
            return super().load(name)
        except InputError as error:
            raise _counted(error) from None

    def day(self, entry: Dated) -> float:
        """When something was, in days from the first visit."""
        if entry.day is not None:
            return entry.day
        first = self.visits[0].date
        assert entry.date is not None and first is not None
        return float((entry.date - first).days)

    @property
    def days(self) -> tuple[float, ...]:
        """Days of the visits."""
        return tuple(self.day(visit) for visit in self.visits)

    @property
    def decision(self) -> float:
        """The day of the last visit before a dose: when a therapy was, or is to be, chosen."""
        first = min((self.day(dose) for dose in self.doses), default=float("inf"))
        return max(day for day in self.days if day <= first)

    @property
    def entry(self) -> Parameter | None:
        """The time from the injury to the first visit; None where it is not known."""
        if self.injured is None:
            return self.duration
        first = self.visits[0].date
        assert first is not None
        return Parameter(value=float((first - self.injured).days), unit="day", source="dates of the document")

    @model_validator(mode="after")
    def _consistent(self) -> Patient:
        _named(Condition, "condition", self.condition)
        if not self.visits:
            raise InputError("visits", "none", "at least one visit", "Add it.")
        self._check_dates()
        days = self.days
        for k in range(1, len(days)):
            if days[k] == days[k - 1]:
                remedy = "Put what was read that day under one visit, or correct the date."
                raise InputError(f"visits.{k}", f"{self._when(self.visits[k])}, a second time", "a visit a day", remedy)
            if days[k] < days[k - 1]:
                found = f"{self._when(self.visits[k])}, not after {self._when(self.visits[k - 1])}"
                raise InputError(f"visits.{k}", found, "visits in the order of time", "Correct the date, or the order.")
        if self.visits[0].date is None and days[0] != 0:
            raise InputError("visits.0.day", f"{days[0]:g}", "0 at the first visit", "Count days from it.")
        for k, dose in enumerate(self.doses):
            if self.day(dose) < 0:
                remedy = "List what was given earlier under current or notes."
                raise InputError(f"doses.{k}", self._when(dose), "a dose on or after the first visit", remedy)
        self._check_known()
        return self

    def _check_dates(self) -> None:
        """Dates, or days, throughout; the injury lies before the first visit and within a lifetime."""
        lists = {"visits": self.visits, "doses": self.doses, "adverse_events": self.adverse_events}
        dated = self.visits[0].date is not None
        for key, entries in lists.items():
            for k, entry in enumerate(entries):
                if (entry.date is not None) != dated:
                    kind = "a date" if dated else "a day from the first visit"
                    raise InputError(
                        f"{key}.{k}", "another kind of time", f"{kind}, as at the first visit", "Correct it."
                    )
        if self.injured is not None and self.duration is not None:
            raise InputError("duration", "a duration beside the date of injury", "one of them", "Remove one.")
        if self.injured is not None and not dated:
            raise InputError("injured", "a date beside days", "dates of visits, or a duration", "Correct it.")
        if self.duration is not None and not converts(self.duration.unit, "day"):
            raise InputError("duration.unit", repr(self.duration.unit), "a unit of time", "Correct it.")
        duration = self.entry
        if duration is not None:
            days = duration.typical * factor(duration.unit, "day")
            key = "duration" if self.injured is None else "injured"
            if not 0 < days <= LONGEST:
                found = f"{days:g} days before the first visit"
                raise InputError(key, found, f"more than 0 and at most {LONGEST:,.0f} days", "Correct the dates.")

    def _check_known(self) -> None:
        """Comorbidities are words that the therapies know, and levels are of drugs that were given."""
        known = Therapies.load("standard").comorbidities
        for k, name in enumerate(self.comorbidities or ()):
            if name not in known:
                near = get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:6]
                raise InputError(
                    f"comorbidities.{k}", repr(name), f"a known word, such as {', '.join(near)}", "Correct it."
                )
        therapies = [therapy.name for therapy in Therapies.load("standard").therapies]
        for k, name in enumerate(self.planned):
            if name not in therapies:
                expected = f"a therapy: {', '.join(get_close_matches(name, therapies, cutoff=0.4) or therapies)}"
                raise InputError(f"planned.{k}", repr(name), expected, "Correct it.")
        first = {dose.drug: self.day(dose) for dose in sorted(self.doses, key=self.day, reverse=True)}
        for k, visit in enumerate(self.visits):
            for name in (*(level.drug for level in visit.levels), *visit.antibodies):
                if name not in first:
                    expected, remedy = "levels and antibodies of drugs in doses", "Add the doses."
                    raise InputError(f"visits.{k}", f"{name}, which was not given", expected, remedy)
            for level in visit.levels:
                if self.day(visit) <= first[level.drug]:
                    found = f"a level of {level.drug} on {self._when(visit)}, not after its first dose"
                    raise InputError(f"visits.{k}.levels", found, "a later day", "Correct the date, or remove it.")

    def _when(self, entry: Dated) -> str:
        return str(entry.date) if entry.date is not None else f"day {entry.day:g}"


class Series(NamedTuple):
    """A few patients of one file."""

    name: str
    patients: tuple[Patient, ...]
    path: Path

    @classmethod
    def load(cls, path: str | Path) -> Series:
        """A series from a CSV file, a row a reading or dose; InputError names row and column, or patient and key.

        Columns: patient, condition, age, sex, weight, albumin, duration ("61 day") or injured, day or date, measure,
        side, value, unit, lloq, drug, route. What is said of a patient stands in any of their rows; measure is an
        instrument, "dose" or "level".
        """
        path = Path(path)
        rows = _rows(path)
        tables: dict[str, dict[str, Any]] = {}
        for number, row in enumerate(rows, start=2):
            _add(tables, {key: (text or "").strip() for key, text in row.items()}, f"{path}, row {number}")
        return cls(path.stem, tuple(_patient(table, path) for table in tables.values()), path)


def load(name: str | Path) -> Patient | Series:
    """A series from a .csv file, else a patient."""
    return Series.load(name) if str(name).endswith(".csv") else Patient.load(name)


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table with the columns of a series; a byte order mark, as spreadsheets write one, is left out."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            columns, rows = list(reader.fieldnames or ()), list(reader)
    except UnicodeDecodeError as error:
        found = f"text that is not UTF-8 (byte {error.start + 1})"
        raise InputError(str(path), found, "a table in UTF-8", "Save it as UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise InputError(str(path), f"an unreadable file ({error})", "a table (.csv)", "Check the path.") from None
    if "patient" not in columns:
        found = f"the columns {', '.join(columns)[:80]}" if columns else "an empty file"
        expected = "columns with commas between them, patient among them, and a row a reading"
        raise InputError(str(path), found, expected, "Add the patient's name to each row.")
    if not rows:
        raise InputError(str(path), "no rows", "a row a reading", "Add them.")
    unknown = sorted(name for name in columns if name not in TEXTS | NUMBERS)
    if unknown:
        expected = f"one of {', '.join(sorted(TEXTS | NUMBERS))}"
        raise InputError(f"{path}, column {unknown[0]}", "an unknown column", expected, "Remove or rename it.")
    for number, row in enumerate(rows, start=2):
        if "" in row or None in row.values():
            found = "more cells than columns" if "" in row else "fewer cells than columns"
            raise InputError(f"{path}, row {number}", found, f"{len(columns)} cells", "Correct the commas.")
    return rows


def _add(tables: dict[str, dict[str, Any]], row: dict[str, str], where: str) -> None:
    """Puts one row of a series into the table of its patient."""
    if not row["patient"]:
        raise InputError(f"{where}, column patient", "nothing", "the patient's name", "Add it.")
    start = {"kind": "patient", "name": row["patient"], "title": row["patient"], "about": {}, "visits": [], "doses": []}
    table = tables.setdefault(row["patient"], start)
    for name in ("condition", "injured"):
        if row.get(name):
            _say(table, name, row[name], where)
    for name in ("age", "weight", "albumin"):
        if row.get(name):
            _say(table["about"], name, _number(row, name, where), where)
    if row.get("sex"):
        _say(table["about"], "sex", row["sex"], where)
    if row.get("duration"):
        value, unit = quantity_of(f"{where}, column duration", row["duration"])
        _say(table, "duration", {"value": value, "unit": unit, "source": "the series"}, where)
    if not row.get("measure"):
        return
    when = {"date": row["date"]} if row.get("date") else {"day": _number(row, "day", where)}
    if row["measure"] == "dose":
        dose = f"{row.get('value', '')} {row.get('unit', '')}"
        table["doses"].append({**when, "drug": row.get("drug", ""), "route": row.get("route", ""), "dose": dose})
        return
    visits = table["visits"]
    visit = next((v for v in visits if {k: v[k] for k in when if k in v} == when), None)
    if visit is None:
        visit = {**when, "scores": {}, "fluids": [], "levels": []}
        visits.append(visit)
    _add_reading(visit, row, where)


def _say(table: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Puts what is said of a patient into the table, once or always alike."""
    if table.setdefault(name, value) != value:
        found = "another value than in a row before, of the same patient"
        raise InputError(f"{where}, column {name}", found, "one value a patient", "Correct it, or name two patients.")


def _add_reading(visit: dict[str, Any], row: dict[str, str], where: str) -> None:
    value: float | str = row["value"] if row.get("value", "").startswith("<") else _number(row, "value", where)
    if row["measure"] == "level":
        visit["levels"].append({"drug": row.get("drug", ""), "value": value, "unit": row.get("unit", "")})
    elif row.get("side"):
        limit = {"lloq": _number(row, "lloq", where)} if row.get("lloq") else {}
        sample = {"measure": row["measure"], "side": row["side"], "unit": row.get("unit", ""), **limit}
        same = next((f for f in visit["fluids"] if {k: v for k, v in f.items() if k != "values"} == sample), None)
        if same is None:
            visit["fluids"].append({**sample, "values": [value]})
        else:
            same["values"].append(value)
    elif row["measure"] in visit["scores"]:
        found = f"a second {row['measure']} of the patient on that day"
        raise InputError(f"{where}, column measure", found, "one reading a day", "Correct the day, or leave one out.")
    else:
        visit["scores"][row["measure"]] = value


def _number(row: dict[str, str], name: str, where: str) -> float:
    try:
        return float(row.get(name, ""))
    except ValueError:
        found = repr(row.get(name, "")) if row.get(name) else "nothing"
        raise InputError(f"{where}, column {name}", found, "a number", "Correct it.") from None


def _patient(table: dict[str, Any], path: Path) -> Patient:
    source = {"source": f"series {path.name}", "path": path, "digest": ""}
    try:
        return reader.validate(Patient, {**table, **source}, path)
    except InputError as error:
        told = _counted(error)
        where = told.where.replace(f"{path}, ", f"{path}, patient {table['name']}, ", 1)
        raise InputError(where, told.found, told.expected, told.remedy) from None


def _counted(error: InputError) -> InputError:
    """The same error with the entries of lists counted from 1."""
    file, mark, key = error.where.partition(", key ")
    key = re.sub(r"(?<=\.)\d+(?=\.|$)", lambda match: str(int(match[0]) + 1), key)
    return InputError(file + mark + key, error.found, error.expected, error.remedy)


def _named(schema: type[Any], key: str, name: str) -> Any:
    try:
        return schema.load(name)
    except InputError as error:
        raise InputError(key, repr(name), error.expected, "Correct the name.") from None


def _convert(key: str, unit: str, target: str) -> None:
    if not converts(unit, target):
        raise InputError(key, repr(unit), f"a unit of the same kind as {target!r}", "Correct the unit.")
