"""The protocol document: population, gate, arms, allocation, schedule, endpoints, conduct, evaluation."""

from __future__ import annotations

import re
from math import factorial, prod
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from causalgia.documents import reader
from causalgia.documents.arms import Arm
from causalgia.documents.errors import InputError
from causalgia.documents.links import check_links
from causalgia.documents.parameters import Document, Page, Parameter, Unit
from causalgia.documents.units import converts, factor, quantity_of

# Arrangements of one block, which the exact test lists.
MOST_ARRANGEMENTS = 200_000
# The course of a single-arm trial that nobody is given.
WITHOUT = "without the drug"
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
        limit, unit = quantity_of("rule", match["limit"])
        if limit <= 0:
            raise InputError("rule", repr(self.rule), "a limit above 0", "Correct it.")
        return GateRule(int(match["count"]), limit, unit, match["sign"] == ">=")

    @model_validator(mode="after")
    def _consistent(self) -> Gate:
        if self.parsed.blisters < 1:
            raise InputError("rule", repr(self.rule), "at least 1 replicate", "Correct it.")
        return self


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
        if self.duration_cut is not None and not converts(self.duration_cut.unit, "day"):
            raise InputError("duration_cut.unit", repr(self.duration_cut.unit), "a unit of time", "Correct the unit.")
        if self.duration_cut is not None and not self.duration_cut.typical > 0:
            raise InputError("duration_cut.value", f"{self.duration_cut.typical:g}", "a value above 0", "Correct it.")
        times = self.blocks if self.method == "permuted blocks" else 1
        counts = [count * times for count in self.ratio.values()]
        if factorial(sum(counts)) // prod(factorial(count) for count in counts) > MOST_ARRANGEMENTS:
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


class Responder(Page):
    """Who counts as a responder: a fall from baseline of so much, in per cent of baseline or in the reading's unit."""

    fall: Annotated[float, Field(gt=0)]
    unit: Unit

    @property
    def relative(self) -> bool:
        """True when the fall is a share of baseline."""
        return converts(self.unit, "percent")


class Endpoint(Page):
    """A variable of the analysis: an instrument's reading on one side at one visit, against a baseline visit.

    With `responder` the variable is whether a subject responds; missing is no response. In a crossover `second` is the
    visit of the second period: the variable is half the difference, first period minus second.
    """

    measure: str
    side: str
    at: float
    baseline: float
    second: float | None = None
    responder: Responder | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Endpoint:
        if self.baseline > 0:
            raise InputError("baseline", f"{self.baseline:g}", "a visit before treatment, at most 0", "Correct it.")
        if self.at <= 0:
            raise InputError("at", f"{self.at:g}", "a visit after treatment, above 0", "Correct it.")
        if self.second is not None and self.second <= self.at:
            raise InputError("second", f"{self.second:g}", "a visit after the first period's", "Correct it.")
        if self.second is not None and self.responder is not None:
            raise InputError("responder", "responders of a crossover", "one of responder and second", "Remove one.")
        return self

    @property
    def visits(self) -> tuple[float, ...]:
        """Every visit that the variable reads."""
        return (self.baseline, self.at) if self.second is None else (self.baseline, self.at, self.second)


class Contrast(Page):
    """Whose effects are compared: low with high TNF, by the gate, or long with short duration, by a cut."""

    by: Literal["gate", "duration"]
    cut: Parameter | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Contrast:
        if (self.by == "duration") != (self.cut is not None):
            raise InputError(
                "cut", "nothing" if self.cut is None else "a cut", "a duration with by = duration", "Mend it."
            )
        if self.cut is not None and not converts(self.cut.unit, "day"):
            raise InputError("cut.unit", repr(self.cut.unit), "a unit of time", "Correct the unit.")
        return self

    @property
    def cut_days(self) -> float:
        """The duration that divides, in days; infinite where the gate does."""
        return float("inf") if self.cut is None else self.cut.typical * factor(self.cut.unit, "day")


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
    sizes: tuple[Annotated[int, Field(ge=1)], ...]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


Component = tuple[Annotated[float, Field(gt=0)], float, Annotated[float, Field(gt=0)]]


class AnalysisPrior(Page):
    """What the Bayesian twin of the clinical endpoint takes as known: normal components (weight, mean, sd), its unit.

    `effect` of the difference from control; `control` of control's mean at the mean of the covariates, robust: its last
    component is vague. `source` says where they come from.
    """

    effect: list[Component] = []
    control: list[Component] = []
    source: str

    @model_validator(mode="after")
    def _consistent(self) -> AnalysisPrior:
        if len(self.control) == 1:
            raise InputError("control", "one component", "informative components and a vague one", "Add a vague one.")
        if not self.effect and not self.control:
            raise InputError("effect", "no prior", "components of effect or control", "Add them, or leave prior out.")
        return self


class Analysis(Page):
    """Which analysis decides on the clinical endpoint, said beforehand; below 20 randomised the exact test does.

    `visits` are those of the mixed model, the endpoint's last: declared where it decides, else all from treatment on.
    `prior` is that of the Bayesian twin.
    """

    decides: Literal["ancova", "mmrm"] = "ancova"
    visits: tuple[float, ...] = ()
    prior: AnalysisPrior | None = None


class PublishedResult(Page):
    """What a publication reported for one outcome of this trial.

    Where the outcome is an endpoint of the protocol, `endpoint` and `significant` let the report say how probable the
    simulation made it; `estimate` and `interval` are on the scale of the endpoint's estimate for `arm` (by default the
    primary comparison), `shares` are responders and subjects by arm.
    """

    outcome: str
    result: str
    source: str
    endpoint: Literal["lowered", "relieved"] | None = None
    significant: bool | None = None
    arm: str | None = None
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    shares: dict[str, tuple[int, int]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> PublishedResult:
        if self.endpoint is None and (self.significant is not None or self.estimate is not None or self.shares):
            raise InputError("endpoint", "numbers without an endpoint", "the endpoint that they are of", "Add it.")
        if self.interval is not None and not self.interval[0] < self.interval[1]:
            raise InputError("interval", repr(list(self.interval)), "[low, high] with low < high", "Correct it.")
        return self


class Protocol(Document):
    """A trial, from question to evaluation. Visits and doses are times from randomisation, visits in weeks."""

    KIND = "protocol"
    name: str
    title: str
    question: str
    blinding: Literal["double-blind", "open"] = "double-blind"
    population: Cohort
    gate: Gate | None = None
    arms: dict[str, Arm]
    named_control: str | None = Field(default=None, alias="control")
    named_primary: str | None = Field(default=None, alias="primary")
    allocation: Allocation
    contrast: Contrast | None = None
    follow_up: float
    unit: Literal["week"] = "week"
    schedule: dict[str, Measurement]
    endpoints: Endpoints
    conduct: Conduct
    evaluation: Evaluation
    analysis: Analysis = Analysis()
    published: list[PublishedResult] = []
    assumptions: list[str] = []

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """The protocol with a library name, or at a path; what it names in other documents is checked too."""
        protocol = super().load(name)
        check_links(protocol)
        return protocol

    @property
    def single_arm(self) -> bool:
        """True when nobody is randomised: the analysis is of change from baseline."""
        return len(self.arms) == 1

    @property
    def control(self) -> str:
        """The arm that others are compared with; in a single-arm trial the course that nobody is given."""
        if self.single_arm:
            return WITHOUT
        return self.named_control or next(name for name, arm in self.arms.items() if not arm.courses)

    @property
    def treatment(self) -> str:
        """The arm of the primary comparison."""
        return self.named_primary or next(name for name in self.arms if name != self.control)

    @property
    def order(self) -> tuple[str, ...]:
        """Control, the arm of the primary comparison, the others: the courses that are simulated."""
        others = (name for name in self.arms if name not in (self.control, self.treatment))
        return self.control, self.treatment, *others

    @property
    def aware(self) -> tuple[bool, ...]:
        """Of each regimen of `order`, whether people know that they get a drug."""
        return tuple(
            self.blinding == "open" and (name == WITHOUT or bool(self.arms[name].courses)) for name in self.order
        )

    @property
    def compared(self) -> Contrast | None:
        """Whose effects are compared: as the protocol says, or low with high TNF where both are randomised."""
        if self.contrast is None and self.gate is not None and self.gate.low_stratum is not None:
            return Contrast(by="gate")
        return self.contrast

    def pair(self, treatment: str) -> Protocol:
        """One comparison with control as a trial of its own, of the sizes that its two arms have in this one."""
        if len(self.arms) <= 2:
            return self
        ratio = {name: self.allocation.ratio[name] for name in (treatment, self.control)}
        share = self.share(treatment)
        least = sum(ratio.values()) if self.allocation.method == "fixed totals" else 1
        sizes = tuple(least * max(round(size * share / least), 1) for size in self.evaluation.sizes)
        return self.model_copy(
            update={
                "arms": {name: self.arms[name] for name in ratio},
                "named_control": self.control,
                "named_primary": treatment,
                "allocation": self.allocation.model_copy(update={"ratio": ratio}),
                "evaluation": self.evaluation.model_copy(update={"sizes": sizes}),
            }
        )

    def share(self, treatment: str) -> float:
        """The share of all randomised who are in one comparison with control."""
        ratio = self.allocation.ratio
        return 1.0 if len(self.arms) <= 2 else (ratio[treatment] + ratio[self.control]) / sum(ratio.values())

    @property
    def model_visits(self) -> tuple[float, ...]:
        """The weeks of the mixed model of the clinical endpoint, its own last."""
        relieved = self.endpoints.relieved
        every = (week for week in self.schedule[relieved.measure].at if 0 < week <= relieved.at)
        return self.analysis.visits or tuple(every)

    @property
    def first_visit(self) -> float:
        """The earliest visit, at most 0: when a subject is screened."""
        return min(0.0, *(time for row in self.schedule.values() for time in row.at))

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        self._check_arms()
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
            for visit in endpoint.visits:
                self._scheduled(f"endpoints.{name}", endpoint, visit)
        if self.gate is not None and self.gate.at >= self.endpoints.lowered.baseline:
            raise InputError(
                "gate.at", f"{self.gate.at:g}", "a visit before the baseline", "Measure again after the gate."
            )
        late = [key for key, row in self.schedule.items() if max(row.at) > self.follow_up]
        if late:
            raise InputError(
                f"schedule.{late[0]}", "a visit after follow_up", f"at most {self.follow_up:g}", "Correct it."
            )
        for name, arm in self.arms.items():
            if arm.days and arm.days[-1] > self.follow_up * factor(self.unit, "day"):
                raise InputError(
                    f"arms.{name}.at", "a dose after follow_up", f"at most {self.follow_up:g}", "Correct it."
                )
        check_sizes(self, self.evaluation.sizes)
        relieved = self.endpoints.relieved
        if self.analysis.decides == "mmrm" and (self.single_arm or relieved.responder or relieved.second is not None):
            expected = "ancova, unless two arms differ in a mean at one visit"
            raise InputError("analysis.decides", "'mmrm'", expected, "Leave it out.")
        if self.analysis.visits or self.analysis.decides == "mmrm":
            self._check_visits(self.analysis.visits)
        return self

    def _check_visits(self, visits: tuple[float, ...]) -> None:
        relieved = self.endpoints.relieved
        known = [week for week in self.schedule[relieved.measure].at if 0 < week <= relieved.at]
        rising = list(visits) == sorted(set(visits))
        if not (visits and rising and set(visits) <= set(known) and visits[-1] == relieved.at):
            found = ", ".join(f"{week:g}" for week in visits) or "nothing"
            expected = f"some of the weeks {', '.join(f'{week:g}' for week in known)}, rising, the last {relieved.at:g}"
            raise InputError("analysis.visits", found, expected, "Declare the visits of the mixed model.")

    def _check_arms(self) -> None:
        if not any(arm.courses for arm in self.arms.values()):
            raise InputError("arms", ", ".join(self.arms) or "none", "an arm with a drug", "Add one.")
        free = [name for name, arm in self.arms.items() if not arm.courses]
        for key, name in (("control", self.named_control), ("primary", self.named_primary)):
            if name is not None and (name not in self.arms or self.single_arm):
                raise InputError(key, repr(name), f"one of several arms: {', '.join(self.arms)}", "Correct it.")
        if not self.single_arm and self.named_control is None and len(free) != 1:
            found = f"{len(free)} arms without a drug"
            raise InputError("arms", found, "one control arm, or the name of control", 'Add control = "...".')
        if self.treatment == self.control:
            raise InputError("primary", repr(self.treatment), "an arm other than control", "Correct it.")
        by = self.contrast.by if self.contrast is not None else None
        if by == "gate" and (self.gate is None or self.gate.low_stratum is None):
            raise InputError("contrast.by", "gate", "a gate with a low stratum", "Add it, or drop the contrast.")
        unknown = [row.arm for row in self.published if row.arm is not None and row.arm not in self.arms]
        if unknown:
            raise InputError("published.arm", repr(unknown[0]), f"one of {', '.join(self.arms)}", "Correct it.")

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
        table = self.model_dump(by_alias=True)
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
