"""A study as its file gives it: what it was, its arms and what it found, each number with how it was read and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, PositiveInt, model_validator

from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Page
from causalgia.evidence.words import COUNT, DESIGNS, LEVEL, RATIO, READ, SHARE, STATS, WORDS

ALL = "all"  # the arm that means every arm together
P_VALUE = re.compile(r"ns|significant|[<>]?(0?\.\d+|1(\.0+)?)")
REGISTRY = re.compile(r"(NTR\d+|ISRCTN\d+|NCT\d{8}|EudraCT \d{4}-\d{6}-\d{2}|BIOMD\d+|DDMODEL\d+)")


def _one_of(known: tuple[str, ...] | dict[str, str]) -> AfterValidator:
    def check(text: str) -> str:
        if text not in known:
            raise InputError("", repr(text), f"one of {', '.join(known)}", "Correct it.")
        return text

    return AfterValidator(check)


def _filled(text: str) -> str:
    if not text.strip():
        raise InputError("", "an empty text", "a text", "Write it, or remove the study until it is known.")
    return text


def _plain(text: str) -> str:
    if re.search(r"https?:|www\.", text):
        raise InputError("", repr(text), "no web address", "Give the DOI, PMID or registry number.")
    return text


def _matches(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise InputError("", repr(text), what, "Correct it.")
        return text

    return AfterValidator(check)


Text = Annotated[str, AfterValidator(_plain)]
Filled = Annotated[Text, AfterValidator(_filled)]
Slug = Annotated[str, _matches(r"[a-z0-9][a-z0-9-]*", "small letters, digits and hyphens")]
PValue = Annotated[str, BeforeValidator(str), _matches(P_VALUE.pattern, 'a p-value such as "0.014", "<0.05" or "ns"')]
Pair = tuple[float, float]


class Arm(Page):
    """A group of a study: its drug and how it is given, or a group alone, such as "healthy"."""

    name: Filled
    drug: Text = ""
    dose: Text = ""
    route: Text = ""
    schedule: Text = ""
    n: PositiveInt | None = None


class Outcome(Page):
    """One finding: a number with its unit, spread and size, or words where no number is published here.

    `arm` names a group of the study, or "all"; with `versus` the number compares two. A proportion has a percentage,
    events of n, or both. `interval` is a 95 % interval unless `level` says otherwise; `plus_minus` is a spread whose
    kind the source does not say. `primary` marks the one that pooling takes where a trial reports several.
    """

    id: Slug
    measure: Slug
    what: Filled
    arm: Filled
    versus: Text = ""
    time: Text = ""
    stat: Annotated[str, _one_of(STATS)]
    value: float | None = None
    events: int | None = None
    result: Text = ""
    unit: Text = ""
    interval: Pair | None = None
    level: float = 95.0
    quartiles: Pair | None = None
    range: Pair | None = None
    sd: float | None = None
    se: float | None = None
    plus_minus: float | None = None
    n: PositiveInt | None = None
    p: PValue | None = None
    primary: bool = False
    matrix: Text = ""
    side: Text = ""
    assay: Text = ""
    read: Annotated[str, _one_of(READ)]
    locator: Filled
    note: Text = ""

    @property
    def kind(self) -> str:
        """Where its value may lie: level, difference, ratio, share, count, free or words."""
        return STATS[self.stat]

    @property
    def percent(self) -> float | None:
        """The percentage of a proportion, computed from events where none is printed."""
        if self.value is not None or self.events is None or self.n is None:
            return self.value
        return 100 * self.events / self.n

    @property
    def null(self) -> bool:
        """Whether the source says that no difference was found."""
        return self.p == "ns" or (self.p or "").startswith(">")

    @model_validator(mode="after")
    def _consistent(self) -> Outcome:
        self._check_given()
        self._check_events()
        for key in ("interval", "quartiles", "range"):
            limits: Pair | None = getattr(self, key)
            if limits is None:
                continue
            if not limits[0] <= limits[1]:
                raise InputError(key, repr(list(limits)), "[low, high] with low at most high", "Correct it.")
            if key == "quartiles" and self.stat != "median":
                continue  # a mean may lie outside them
            if self.value is not None and not limits[0] <= self.value <= limits[1]:
                expected = f"limits around the value {self.value:g}"
                raise InputError(key, repr(list(limits)), expected, "Correct it; put a misprint of the source in note.")
        for key in ("sd", "se", "plus_minus"):
            spread = getattr(self, key)
            if spread is not None and spread <= 0:
                raise InputError(key, f"{spread:g}", "a number above 0", "Correct it.")
        if not 50 <= self.level < 100:
            raise InputError("level", f"{self.level:g}", "a percentage from 50 to below 100", "Correct it.")
        return self

    def _check_given(self) -> None:
        numbers = (self.value, self.events, self.range, self.interval)
        if self.kind == WORDS and (any(number is not None for number in numbers) or not self.result):
            raise InputError("stat", repr(self.stat), "words alone, in result", "Move the number to an outcome.")
        if self.kind != WORDS and all(number is None for number in numbers) and not self.result:
            raise InputError("value", "nothing", "a value, or words in result", "Add it.")
        if self.kind in (LEVEL, COUNT, SHARE) and self.value is not None and not self.unit:
            raise InputError("unit", "nothing", "the unit of the value", "Add it.")
        if self.kind == SHARE and self.unit not in ("", "percent"):
            raise InputError("unit", repr(self.unit), "'percent', the unit of a proportion", "Correct it.")
        if self.kind == RATIO:
            low = min(self.value or 1.0, *(self.interval or (1.0, 1.0)))
            if low <= 0:
                raise InputError("value", f"{low:g}", "a ratio above 0", "Correct it.")
        if self.stat == "correlation" and self.value is not None and not -1 <= self.value <= 1:
            raise InputError("value", f"{self.value:g}", "a correlation from -1 to 1", "Correct it.")

    def _check_events(self) -> None:
        if self.events is None:
            return
        if self.stat != "proportion":
            raise InputError("events", f"{self.events}", "events only of a proportion", "Remove it.")
        if self.n is None:
            raise InputError("n", "nothing", "of how many the events are", "Add it.")
        if not 0 <= self.events <= self.n:
            raise InputError("events", f"{self.events}", f"a count from 0 to n = {self.n}", "Correct it.")
        if self.value is not None and abs(self.value - 100 * self.events / self.n) > 1:
            expected = f"{100 * self.events / self.n:.1f}, which {self.events} of {self.n} is"
            raise InputError("value", f"{self.value:g}", expected, "Correct one of them.")


class Study(Page):
    """One study: its citation and identifiers, its kind and design, its people, arms and outcomes.

    `people` is how many were studied. `trial` is the name that several reports of one trial share; pooling takes one of
    them. `aliases` are other keys by which documents name it.
    """

    kind: Literal["study"]
    key: Annotated[str, _matches(r"[A-Za-z0-9][A-Za-z0-9_-]*", "a file name of letters, digits, _ and -")]
    citation: Filled
    doi: Annotated[str, _matches(r"10\.\d{4,9}/\S+", "a DOI such as 10.1111/papr.12078")] | None = None
    pmid: Annotated[str, _matches(r"\d{1,8}", "digits")] | None = None
    pmc: Annotated[str, _matches(r"PMC\d+", "a number such as PMC2778780")] | None = None
    registry: tuple[Annotated[Text, _matches(REGISTRY.pattern, "a registry number such as NCT00109772")], ...] = ()
    type: Annotated[str, _one_of(DESIGNS)]
    design: Filled
    conditions: tuple[Slug, ...]
    population: Text = ""
    people: PositiveInt | None = None
    trial: Text = ""
    aliases: tuple[str, ...] = ()
    access: Filled
    harms: Text = ""
    notes: Text = ""
    arms: tuple[Arm, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    path: Path
    digest: str
    own: bool = False

    @property
    def n(self) -> int | None:
        """People in the study: as its file says, else all arms together, else as many as its largest outcome has."""
        if self.people is not None:
            return self.people
        sizes = [arm.n for arm in self.arms if arm.drug]
        if sizes and all(sizes) and self.type != "crossover trial":
            return sum(size for size in sizes if size)
        return max((outcome.n for outcome in self.outcomes if outcome.n), default=None)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """DOI, PMID, PMC and registry numbers, as they are printed."""
        doi = (f"doi {self.doi}",) if self.doi else ()
        pmid = (f"PMID {self.pmid}",) if self.pmid else ()
        return (*doi, *pmid, *((self.pmc,) if self.pmc else ()), *self.registry)

    @property
    def drugs(self) -> tuple[str, ...]:
        """Keys of the drugs of its arms."""
        return tuple(dict.fromkeys(arm.drug for arm in self.arms if arm.drug))

    def arm(self, name: str) -> Arm | None:
        """The arm of that name."""
        return next((arm for arm in self.arms if arm.name == name), None)

    def outcome(self, name: str) -> Outcome | None:
        """The outcome of that id."""
        return next((outcome for outcome in self.outcomes if outcome.id == name), None)
