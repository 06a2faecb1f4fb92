"""The documents that a person writes, but for the protocol: parameters, drug, condition, instrument."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document, Formula, Page, Parameter, Unit
from causalgia.documents.units import converts, factor, quantity

Values = dict[str, Parameter]


class Parameters(Document):
    """Numbers of a model that all conditions share."""

    KIND = "parameters"
    model: str
    values: Values


def _not_negative(entry: Parameter) -> Parameter:
    if entry.typical < 0:
        raise InputError("value", f"{entry.typical:g}", "a number of at least 0", "Correct it.")
    return entry


def _positive(entry: Parameter) -> Parameter:
    if entry.typical <= 0:
        raise InputError("value", f"{entry.typical:g}", "a number above 0", "Correct it.")
    return entry


def _share(entry: Parameter) -> Parameter:
    if entry.probability is None:
        raise InputError("probability", "nothing", "a number from 0 to 1", "Add it in place of the value.")
    return entry


NotNegative = Annotated[Parameter, AfterValidator(_not_negative)]
Positive = Annotated[Parameter, AfterValidator(_positive)]
Share = Annotated[Parameter, AfterValidator(_share)]


class Route(Page):
    """How a dose enters: into which state of the model, or in what shares into several; how late, how long, how much.

    `values` are what this route alone sets: parameters of the model, or names that the shares use. A bioavailability
    may depend on `dose`, in mg.
    """

    into: str | dict[str, Formula]
    duration: NotNegative | None = None
    lag: NotNegative | None = None
    bioavailability: Parameter | None = None
    values: Values = {}

    @property
    def shares(self) -> dict[str, str]:
        """State: share of the dose, a formula."""
        return {self.into: "1"} if isinstance(self.into, str) else self.into


class DoseRate(Page):
    """How often an adverse event happens at a dose and above it."""

    dose: str
    drug: Share


class AdverseEvent(Page):
    """How often an adverse event happens in one course, on the drug and on placebo."""

    term: str
    drug: Share
    control: Share
    serious: bool = False
    at_dose: bool = False
    by_dose: list[DoseRate] = []

    def rate(self, dose: float, unit: str) -> Parameter:
        """The rate on the drug where one dose is `dose`: that of the highest listed dose that it reaches."""
        reached = self.drug
        for row in sorted(self.by_dose, key=lambda row: quantity(row.dose)[0]):
            least, least_unit = quantity(row.dose)
            if converts(unit, least_unit) and dose * factor(unit, least_unit) >= least:
                reached = row.drug
        return reached


class Alternative(Page):
    """Another published kinetic model of the same drug: what it gives otherwise."""

    title: str
    values: Values
    correlations: Values = {}


class Contraindication(Page):
    """A reason not to give the drug, from its label."""

    term: str
    level: Literal["contraindication", "warning"]
    source: str


class Drug(Document):
    """A drug: kinetics, binding, effects, antibodies against it, routes, harms."""

    KIND = "drug"
    name: str
    title: str
    class_: str = Field(alias="class")
    group: str
    concentration: str
    molar_mass: Positive | None = None
    pharmacokinetics: Values
    binding: Values = {}
    effects: Values = {}
    antibodies: Values = {}
    alternatives: dict[str, Alternative] = {}
    routes: dict[str, Route]
    adverse_events: list[AdverseEvent] = []
    contraindications: list[Contraindication] = []
    correlations: Values = {}

    @property
    def values(self) -> Values:
        """Every parameter that the drug gives, whatever its route."""
        mass = {} if self.molar_mass is None else {"M": self.molar_mass}
        return {**mass, **self.pharmacokinetics, **self.binding, **self.effects, **self.antibodies}

    def entries(self, route: str) -> Values:
        """What people given the drug by a route have of it: its values, the route's, its lag and bioavailability."""
        page = self.routes[route]
        extra = {"lag": page.lag, "bioavailability": page.bioavailability}
        drawn = {name: entry for name, entry in extra.items() if entry is not None and entry.formula is None}
        return {**self.values, **page.values, **drawn}

    def with_kinetics(self, name: str | None) -> Drug:
        """The drug with one of its alternative models; None keeps its own."""
        if name is None:
            return self
        if name not in self.alternatives:
            known = ", ".join(self.alternatives) or "none"
            raise InputError("kinetics", repr(name), f"an alternative of {self.name}: {known}", "Correct the name.")
        other = self.alternatives[name]
        parts = {key: dict(getattr(self, key)) for key in ("pharmacokinetics", "binding", "effects", "antibodies")}
        for symbol, entry in other.values.items():
            home = next((part for part in parts.values() if symbol in part), parts["pharmacokinetics"])
            home[symbol] = entry
        varying = {symbol for part in parts.values() for symbol, entry in part.items() if entry.varies}
        kept = {k: v for k, v in self.correlations.items() if {n.strip() for n in k.split("~")} <= varying}
        return self.model_copy(update={**parts, "correlations": other.correlations or kept})


class History(Page):
    """From the injury to enrolment: how long the site settles before, when people come, and who meets the criteria."""

    settle: NotNegative
    entry: Positive
    criteria: Formula
    criteria_source: str


class World(Page):
    """One structural alternative: what it says, its prior weight and the parameters that differ in it."""

    title: str
    weight: PositiveFloat = 1.0
    values: Values = {}


class Published(Page):
    """A published summary that virtual patients are compared with."""

    measure: str
    side: str
    median: float
    quartiles: tuple[float, float]
    unit: Unit
    n: int
    source: str


class Condition(Document):
    """A disease: covariates and parameters of its patients, their history to enrolment, and the structural worlds."""

    KIND = "condition"
    name: str
    title: str
    base: str | None = None
    model: str
    posterior: str | None = None
    covariates: Values
    values: Values
    correlations: Values = {}
    history: History
    worlds: dict[str, World]
    published: list[Published] = []


class Instrument(Document):
    """What a clinic reads: a formula of model outputs for each side, seen with error.

    On a log scale the errors are SDs of the natural logarithm; on a linear scale they are in `unit`. `reads` says how
    much of drug-bound target the assay counts (0 free, 1 total). Readings below `lloq` are reported as below it;
    `range` clips and `step` rounds.
    """

    KIND = "instrument"
    name: str
    paramcd: str
    title: str
    unit: Unit
    specimen: str = ""
    scale: Literal["log", "linear"]
    signal: dict[str, Formula]
    bound: dict[str, Formula] = {}
    reads: Parameter | None = None
    day_error: NotNegative
    replicate_error: NotNegative | None = None
    lloq: Positive | None = None
    range: tuple[float, float] | None = None
    step: PositiveFloat | None = None
    recovery: bool = False
    better: Literal["lower", "higher"] = "lower"
    wounds: int = 0

    @model_validator(mode="after")
    def _consistent(self) -> Instrument:
        if set(self.bound) - set(self.signal):
            raise InputError(
                "bound", str(sorted(self.bound)), f"sides of signal: {sorted(self.signal)}", "Correct the side."
            )
        if bool(self.bound) != (self.reads is not None):
            raise InputError("reads", "one of bound and reads without the other", "both or neither", "Add the other.")
        if self.lloq is not None and self.scale != "log":
            raise InputError("lloq", "a limit on a linear scale", "a limit only where scale is log", "Remove it.")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise InputError("range", repr(list(self.range)), "[low, high] with low < high", "Correct it.")
        lengths = {"day_error": self.day_error, "replicate_error": self.replicate_error, "lloq": self.lloq}
        for key, entry in lengths.items():
            if entry is not None and entry.value is None:
                raise InputError(key, "no value", "a value", "Add it.")
            if entry is not None and (key == "lloq" or self.scale == "linear"):
                try:
                    factor(entry.unit, self.unit)
                except InputError as error:
                    raise InputError(f"{key}.unit", error.found, error.expected, error.remedy) from None
        return self
