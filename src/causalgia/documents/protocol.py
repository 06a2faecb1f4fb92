"""The protocol document: population, gate, arms, allocation, schedule, endpoints, conduct, evaluation."""

from __future__ import annotations

import re
from math import comb
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from causalgia.documents import reader
from causalgia.documents.errors import InputError
from causalgia.documents.links import check_links
from causalgia.documents.parameters import Document, Page, Parameter, Unit
from causalgia.documents.units import factor, quantity

# Arrangements of one block, which the exact test lists.
MOST_ARRANGEMENTS = 200_000
RULE = re.compile(r"geometric mean of (?P<count>\d+) (?P<what>[\w ]+?) (?P<sign>>=|>) (?P<limit>[\d.]+ \S+)")


def _at_least(low: float):
    def check(value: float) -> float:
        if value < low:
            raise InputError("", repr(value), f"a number of at least {low:g}", "Correct it.")
        return value

    return AfterValidator(check)


class Cohort(Page):
    """Who is simulated: a condition and how many subjects are enrolled before the gate."""

    condition: str
    subjects: Annotated[int, _at_least(400)]


class LowStratum(Page):
    """Subjects below the gate who are randomised all the same, up to a share of all randomised."""

    share: Annotated[float, Field(ge=0, lt=1)]


class GateRule(NamedTuple):
    """A gate rule as numbers: how many replicates, the limit and its unit, whether the limit itself passes."""

    blisters: int
    limit: float
    unit: str
    inclusive: bool

    def passes(self, value):
        """Whether readings, in the rule's unit, pass (array)."""
        return value >= self.limit if self.inclusive else value > self.limit


class Gate(Page):
    """A rule on a measured biomarker that decides who is randomised; its sample is never reused as baseline."""

    measure: str
    side: str
    at: float
    rule: str
    low_stratum: LowStratum | None = None

    @property
    def parsed(self) -> GateRule:
        """The rule's count, limit and unit; InputError where it does not fit the grammar."""
        match = RULE.fullmatch(self.rule)
        if match is None:
            expected = '"geometric mean of N blisters > LIMIT UNIT"'
            raise InputError("rule", repr(self.rule), expected, "Correct it.")
        limit, unit = _quantity("rule", match["limit"])
        if limit <= 0:
            raise InputError("rule", repr(self.rule), "a limit above 0", "Correct it.")
        return GateRule(int(match["count"]), limit, unit, match["sign"] == ">=")

    @model_validator(mode="after")
    def _consistent(self) -> Gate:
        if self.parsed.blisters < 1:
            raise InputError("rule", repr(self.rule), "at least 1 replicate", "Correct it.")
        return self


class Arm(Page):
    """What an arm receives; an arm without a drug is control."""

    drug: str | None = None
    route: str | None = None
    dose: str | None = None
    at: tuple[float, ...] = ()
    unit: Unit = "week"

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        if self.drug is None:
            if self.route or self.dose or self.at:
                raise InputError(
                    "drug", "nothing beside a route, dose or times", "a drug", "Add the drug, or empty the arm."
                )
            return self
        missing = [key for key in ("route", "dose", "at") if not getattr(self, key)]
        if missing:
            raise InputError(missing[0], "nothing", "a value, since the arm has a drug", "Add it.")
        amount, unit = self.amount
        if amount <= 0:
            raise InputError("dose", repr(self.dose), "a dose above 0", "Correct it.")
        if not (_converts(unit, "mg") or _converts(unit, "mg/kg")):
            raise InputError("dose", repr(self.dose), "a dose in mg or mg/kg", "Correct the unit.")
        if not _converts(self.unit, "day"):
            raise InputError("unit", repr(self.unit), "a unit of time", "Correct the unit.")
        if list(self.at) != sorted(set(self.at)) or self.at[0] < 0:
            raise InputError("at", str(list(self.at)), "times from 0 on that rise", "Put them in order, each once.")
        return self

    @property
    def amount(self) -> tuple[float, str]:
        """The dose as a number and its unit."""
        assert self.dose is not None
        return _quantity("dose", self.dose)

    def milligrams(self, weight: np.ndarray) -> np.ndarray:
        """One dose in mg for people of a weight in kg (person,)."""
        number, unit = self.amount
        if _converts(unit, "mg"):
            return np.full(len(weight), number * factor(unit, "mg"))
        return number * factor(unit, "mg/kg") * weight

    @property
    def days(self) -> tuple[float, ...]:
        """Dose times in days from randomisation."""
        return tuple(time * factor(self.unit, "day") for time in self.at)


class Allocation(Page):
    """How subjects are allocated: permuted blocks within strata, or one list with fixed totals."""

    method: Literal["permuted blocks", "fixed totals"]
    ratio: dict[str, Annotated[int, Field(ge=1)]]
    strata: tuple[Literal["duration", "gate"], ...] = ()
    duration_cut: Parameter | None = None
    blocks: Annotated[int, Field(ge=1)] = 2

    @property
    def cut_days(self) -> float:
        """The duration that divides the strata, in days; infinite where none is given."""
        cut = self.duration_cut
        return float("inf") if cut is None else cut.typical * factor(cut.unit, "day")

    @model_validator(mode="after")
    def _consistent(self) -> Allocation:
        if len(set(self.strata)) != len(self.strata):
            raise InputError("strata", str(list(self.strata)), "each factor once", "Remove the second.")
        if "duration" in self.strata and self.duration_cut is None:
            raise InputError("duration_cut", "nothing", "a duration that divides the strata", "Add it.")
        if self.method == "fixed totals" and self.strata:
            raise InputError("strata", str(list(self.strata)), "no strata with fixed totals", "Use permuted blocks.")
        if self.duration_cut is not None and not _converts(self.duration_cut.unit, "day"):
            raise InputError("duration_cut.unit", repr(self.duration_cut.unit), "a unit of time", "Correct the unit.")
        if self.duration_cut is not None and not self.duration_cut.typical > 0:
            raise InputError("duration_cut.value", f"{self.duration_cut.typical:g}", "a value above 0", "Correct it.")
        times = self.blocks if self.method == "permuted blocks" else 1
        counts = [count * times for count in self.ratio.values()]
        if comb(sum(counts), min(counts)) > MOST_ARRANGEMENTS:
            found = f"blocks of {' and '.join(map(str, counts))}"
            raise InputError(
                "ratio", found, f"blocks of at most {MOST_ARRANGEMENTS} arrangements", "Use smaller blocks."
            )
        return self


class Measurement(Page):
    """When an instrument is read: visits (in the schedule's unit), sides, replicates at each."""

    at: tuple[float, ...]
    sides: tuple[str, ...]
    replicates: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _consistent(self) -> Measurement:
        if not self.at or list(self.at) != sorted(set(self.at)):
            raise InputError("at", str(list(self.at)), "times that rise", "Put them in order, each once.")
        if not self.sides or len(set(self.sides)) != len(self.sides):
            raise InputError("sides", str(list(self.sides)), "one or more sides, each once", "Correct them.")
        return self


class Endpoint(Page):
    """A variable of the analysis: an instrument's reading on one side at one visit, against a baseline visit."""

    measure: str
    side: str
    at: float
    baseline: float

    @model_validator(mode="after")
    def _consistent(self) -> Endpoint:
        if self.baseline > 0:
            raise InputError("baseline", f"{self.baseline:g}", "a visit before treatment, at most 0", "Correct it.")
        if self.at <= 0:
            raise InputError("at", f"{self.at:g}", "a visit after treatment, above 0", "Correct it.")
        return self


class Endpoints(Page):
    """The two endpoints that carry the questions, and the change in pain that matters."""

    lowered: Endpoint
    relieved: Endpoint
    relevant: Parameter


class Conduct(Page):
    """What happens to a trial besides treatment: how fast people are screened, how many leave."""

    screened_per_month: Parameter
    dropout: Parameter

    @model_validator(mode="after")
    def _consistent(self) -> Conduct:
        if not self.screened_per_month.typical > 0:
            raise InputError(
                "screened_per_month", f"{self.screened_per_month.typical:g}", "a rate above 0", "Correct it."
            )
        if not 0 <= self.dropout.typical < 1:
            raise InputError("dropout", f"{self.dropout.typical:g}", "a share from 0 to below 1", "Correct it.")
        return self


class Evaluation(Page):
    """Replicate trials: how many, and the totals randomised that are compared."""

    replicates: Annotated[int, Field(ge=20)]
    sizes: tuple[Annotated[int, Field(ge=2)], ...]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


class PublishedResult(Page):
    """What a publication reported for one outcome of this trial.

    Where the outcome is an endpoint of the protocol, `endpoint` and `significant` let the report say how probable the
    simulation made it.
    """

    outcome: str
    result: str
    source: str
    endpoint: Literal["lowered", "relieved"] | None = None
    significant: bool | None = None


class Protocol(Document):
    """A trial, from question to evaluation. Visits and doses are times from randomisation, visits in weeks."""

    KIND = "protocol"
    name: str
    title: str
    question: str
    population: Cohort
    gate: Gate | None = None
    arms: dict[str, Arm]
    allocation: Allocation
    follow_up: float
    unit: Literal["week"] = "week"
    schedule: dict[str, Measurement]
    endpoints: Endpoints
    conduct: Conduct
    evaluation: Evaluation
    published: list[PublishedResult] = []
    assumptions: list[str] = []

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """The protocol with a library name, or at a path; what it names in other documents is checked too."""
        protocol = super().load(name)
        check_links(protocol)
        return protocol

    @property
    def control(self) -> str:
        """Name of the arm without a drug."""
        return next(name for name, arm in self.arms.items() if arm.drug is None)

    @property
    def treatment(self) -> str:
        """Name of the arm with the drug."""
        return next(name for name, arm in self.arms.items() if arm.drug is not None)

    @property
    def first_visit(self) -> float:
        """The earliest visit, at most 0: when a subject is screened."""
        return min(0.0, *(time for row in self.schedule.values() for time in row.at))

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        drugs = [arm.drug for arm in self.arms.values()]
        if len(drugs) != 2 or drugs.count(None) != 1:
            raise InputError(
                "arms", ", ".join(self.arms), "one arm with a drug and one control arm", "Correct the arms."
            )
        if set(self.allocation.ratio) != set(self.arms):
            found = ", ".join(self.allocation.ratio)
            raise InputError("allocation.ratio", found, f"the arms {', '.join(self.arms)}", "Name every arm once.")
        if "gate" in self.allocation.strata and self.gate is None:
            raise InputError("allocation.strata", "gate", "a gate in the protocol", "Add the gate or drop the stratum.")
        if self.gate is not None:
            self._scheduled("gate", self.gate, self.gate.at)
            row = self.schedule[self.gate.measure]
            if self.gate.parsed.blisters > row.replicates:
                found = f"{self.gate.parsed.blisters} replicates"
                raise InputError("gate.rule", found, f"at most the {row.replicates} scheduled", "Correct one of them.")
        for name in ("lowered", "relieved"):
            endpoint: Endpoint = getattr(self.endpoints, name)
            self._scheduled(f"endpoints.{name}", endpoint, endpoint.at)
            self._scheduled(f"endpoints.{name}", endpoint, endpoint.baseline)
        if self.gate is not None and self.gate.at >= self.endpoints.lowered.baseline:
            raise InputError(
                "gate.at", f"{self.gate.at:g}", "a visit before the baseline", "Measure again after the gate."
            )
        late = [key for key, row in self.schedule.items() if max(row.at) > self.follow_up]
        if late:
            raise InputError(
                f"schedule.{late[0]}", "a visit after follow_up", f"at most {self.follow_up:g}", "Correct it."
            )
        doses = [(name, arm) for name, arm in self.arms.items() if arm.at]
        if doses[0][1].days[-1] > self.follow_up * factor(self.unit, "day"):
            raise InputError(
                f"arms.{doses[0][0]}.at", "a dose after follow_up", f"at most {self.follow_up:g}", "Correct it."
            )
        check_sizes(self, self.evaluation.sizes)
        return self

    def _scheduled(self, key: str, what: Gate | Endpoint, time: float) -> None:
        row = self.schedule.get(what.measure)
        if row is None:
            known = ", ".join(self.schedule)
            raise InputError(f"{key}.measure", repr(what.measure), f"one of the schedule: {known}", "Correct it.")
        if what.side not in row.sides:
            raise InputError(f"{key}.side", repr(what.side), f"one of {', '.join(row.sides)}", "Correct it.")
        if time not in row.at:
            visits = ", ".join(f"{t:g}" for t in row.at)
            raise InputError(f"{key}.at", f"{time:g}", f"a visit of {what.measure}: {visits}", "Correct it.")

    def with_options(
        self, subjects: int | None = None, replicates: int | None = None, sizes: tuple[int, ...] | None = None
    ) -> Protocol:
        """The protocol with other numbers of subjects, replicates or sizes, checked as if read."""
        table = self.model_dump()
        if subjects is not None:
            table["population"]["subjects"] = subjects
        if replicates is not None:
            table["evaluation"]["replicates"] = replicates
        if sizes is not None:
            table["evaluation"]["sizes"] = sizes
        return reader.validate(Protocol, table, self.path)


def check_sizes(protocol: Protocol, sizes: tuple[int, ...], where: str = "evaluation.sizes") -> None:
    """Raises InputError unless sizes rise and hold a subject per arm, and whole lists where totals are fixed."""
    if list(sizes) != sorted(set(sizes)) or not sizes:
        raise InputError(where, str(list(sizes)), "totals that rise, each once", "Put them in order.")
    smallest = sum(protocol.allocation.ratio.values())
    if sizes[0] < smallest:
        raise InputError(where, str(sizes[0]), f"at least {smallest} randomised", "Ask for a larger trial.")
    if protocol.allocation.method == "fixed totals" and any(size % smallest for size in sizes):
        expected = f"multiples of {smallest}, the sum of the ratio"
        raise InputError(where, ", ".join(map(str, sizes)), expected, "Correct the sizes or the ratio.")


def _converts(unit: str, target: str) -> bool:
    try:
        factor(unit, target)
    except InputError:
        return False
    return True


def _quantity(key: str, text: str) -> tuple[float, str]:
    try:
        return quantity(text)
    except InputError as error:
        raise InputError(key, error.found, error.expected, error.remedy) from None
