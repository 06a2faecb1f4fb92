"""What an arm of a trial receives: courses of drugs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
from pydantic import model_validator

from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Page, Unit
from causalgia.documents.units import converts, factor, quantity_of


class Course(Page):
    """One drug by one route: a dose at each time of `at`, or from its last time on `every` so often `until` then.

    `dose` is one for all times, or one a time; `kinetics` names one of the drug's alternative models.
    """

    drug: str | None = None
    route: str | None = None
    dose: str | tuple[str, ...] | None = None
    at: tuple[float, ...] = ()
    every: float | None = None
    until: float | None = None
    unit: Unit = "week"
    kinetics: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Course:
        if self.drug is None:
            if self.route or self.dose or self.at:
                raise InputError(
                    "drug", "nothing beside a route, dose or times", "a drug", "Add the drug, or empty the arm."
                )
            return self
        missing = [key for key in ("route", "dose", "at") if not getattr(self, key)]
        if missing:
            raise InputError(missing[0], "nothing", "a value, since the arm has a drug", "Add it.")
        if not converts(self.unit, "day"):
            raise InputError("unit", repr(self.unit), "a unit of time", "Correct the unit.")
        if list(self.at) != sorted(set(self.at)) or self.at[0] < 0:
            raise InputError("at", str(list(self.at)), "times from 0 on that rise", "Put them in order, each once.")
        if (self.every is None) != (self.until is None):
            raise InputError("every", "one of every and until without the other", "both or neither", "Add the other.")
        if self.every is not None and not (self.every > 0 and (self.until or 0) > self.at[-1]):
            raise InputError("until", f"{self.until:g}", "a time after the last of at, every so often", "Correct it.")
        for amount, unit in self._amounts:
            if amount <= 0:
                raise InputError("dose", repr(self.dose), "a dose above 0", "Correct it.")
            if not (converts(unit, "mg") or converts(unit, "mg/kg")):
                raise InputError("dose", repr(self.dose), "a dose in mg or mg/kg", "Correct the unit.")
        if isinstance(self.dose, tuple) and len(self.dose) != len(self.times):
            found = f"{len(self.dose)} doses at {len(self.times)} times"
            raise InputError("dose", found, "one dose, or one a time", "Correct the doses or the times.")
        return self

    @property
    def _amounts(self) -> list[tuple[float, str]]:
        doses = (self.dose,) if isinstance(self.dose, str) else self.dose or ()
        return [quantity_of("dose", dose) for dose in doses]

    @property
    def times(self) -> tuple[float, ...]:
        """Dose times in `unit`."""
        if self.every is None or self.until is None:
            return self.at
        count = int((self.until - self.at[-1]) / self.every + 1e-9)
        return (*self.at, *(self.at[-1] + k * self.every for k in range(1, count + 1)))

    @property
    def days(self) -> tuple[float, ...]:
        """Dose times in days from randomisation."""
        return tuple(time * factor(self.unit, "day") for time in self.times)

    def milligrams(self, weight: np.ndarray) -> np.ndarray:
        """Doses in mg for people of a weight in kg, (person, time)."""
        columns = []
        for number, unit in self._amounts:
            if converts(unit, "mg"):
                columns.append(np.full(len(weight), number * factor(unit, "mg")))
            else:
                columns.append(number * factor(unit, "mg/kg") * weight)
        return np.broadcast_to(np.column_stack(columns), (len(weight), len(self.times)))

    def text(self, title: Callable[[str], str] = str) -> str:
        """The course in words; `title` names the drug."""
        doses = [self.dose] if isinstance(self.dose, str) else list(self.dose or ())
        runs = [(part, len(list(same))) for part, same in groupby(doses)]
        dose = " then ".join(part if len(runs) == 1 else f"{part} ×{count}" for part, count in runs)
        one, several = self.unit.removesuffix("s"), f"{self.unit.removesuffix('s')}s"
        given = ", ".join(f"{t:g}" for t in self.at)
        when = f"{one if len(self.at) == 1 else several} {given}"
        if len(self.at) > 6:
            when = f"{len(self.at)} times from {one} {self.at[0]:g} to {self.at[-1]:g}"
        if self.every is not None:
            when += f", then every {one if self.every == 1 else f'{self.every:g} {several}'} until {one} {self.until:g}"
        return f"{title(self.drug or '')} {(self.route or '').replace('_', ' ')}, {dose} at {when}"


class Arm(Course):
    """What an arm receives: one course, several in `combine`, or, in an arm without a drug, nothing."""

    combine: tuple[Course, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Arm:
        if self.combine and self.drug is not None:
            raise InputError("combine", "courses beside a drug", "one or the other", "Move the drug into combine.")
        if any(course.drug is None for course in self.combine):
            raise InputError("combine", "a course without a drug", "a drug in every course", "Add it.")
        return self

    @property
    def courses(self) -> tuple[Course, ...]:
        """All courses; none in an arm without a drug."""
        alone = Course.model_construct(**{key: getattr(self, key) for key in Course.model_fields})
        return self.combine or ((alone,) if self.drug is not None else ())

    @property
    def days(self) -> tuple[float, ...]:
        """Times in days at which anything is given, each once."""
        return tuple(sorted({day for course in self.courses for day in course.days}))

    def text(self, title: Callable[[str], str] = str) -> str:
        """The arm in words; `title` names a drug."""
        return " and ".join(course.text(title) for course in self.courses) or "no drug"
