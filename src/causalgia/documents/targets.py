"""What virtual patients are calibrated to: published summaries, and the parameters that may move."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document, Formula, Page

# How a published number is compared: on which scale its error is normal.
SCALES = ("log", "logit", "fisher", "linear")


class Target(Page):
    """One published number and the statistic of virtual patients that answers it.

    `statistic` is a word of the simulator; what else it needs stands beside it. The published number is a `value` with
    its standard error `se` on its scale; or `events` of `n`; or quartiles by `value` and `n`; or `bounds`, an interval
    that it lies in, known with the error `se` or that of a correlation in `n`. Days count from entry, or from the
    injury where the statistic is of all the injured.
    """

    name: str
    condition: str
    statistic: Literal["quantile", "correlation", "ratio", "mean", "meets", "rest", "response", "change"]
    measure: str | None = None
    side: str | None = None
    probability: float | None = Field(default=None, gt=0, lt=1)
    formula: Formula | None = None
    days: float = 0.0
    protocol: str | None = None
    arm: str | None = None
    latest_entry: PositiveFloat | None = None
    of: Literal["enrolled", "injured"] = "enrolled"
    value: float | None = None
    events: float | None = None
    n: PositiveInt | None = None
    se: PositiveFloat | None = None
    bounds: tuple[float, float] | None = None
    scale: Literal["log", "logit", "fisher", "linear"]
    unit: str = "1"
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        given = [key for key in ("value", "events", "bounds") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise InputError("", found, "exactly one of value, events, bounds", "Keep one.")
        if self.events is not None and (self.n is None or not 0 <= self.events <= self.n):
            raise InputError("events", f"{self.events:g} of {self.n}", "a number from 0 to n", "Correct it.")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise InputError("bounds", repr(list(self.bounds)), "[low, high] with low < high", "Correct it.")
        if self.se is None and self.n is None:
            raise InputError("se", "neither se nor n", "how exact the published number is", "Add one.")
        if self.se is None and self.events is None and self.statistic not in ("quantile", "correlation"):
            raise InputError("se", "no se", "a standard error on the scale", "Add it.")
        self._check_scale()
        self._check_statistic()
        return self

    def _check_scale(self) -> None:
        numbers = [x for x in (self.value, *(self.bounds or ())) if x is not None]
        limits = {"log": (0.0, float("inf")), "logit": (0.0, 1.0), "fisher": (-1.0, 1.0)}
        if self.scale in limits:
            low, high = limits[self.scale]
            inside = all(low <= x <= high for x in numbers) if self.bounds else all(low < x < high for x in numbers)
            if not inside:
                raise InputError(
                    "value", ", ".join(f"{x:g}" for x in numbers), f"between {low:g} and {high:g}", "Correct it."
                )
        if self.events is not None and self.scale != "logit":
            raise InputError("scale", repr(self.scale), "logit, the scale of a share", "Correct it.")

    def _check_statistic(self) -> None:
        needed = {
            "quantile": ("measure", "side", "probability"),
            "correlation": ("measure", "side", "formula"),
            "ratio": ("formula",),
            "mean": ("formula",),
            "meets": ("formula",),
            "rest": ("formula",),
            "response": ("protocol", "arm"),
            "change": ("protocol", "arm"),
        }[self.statistic]
        for key in needed:
            if getattr(self, key) is None:
                raise InputError(key, "nothing", f"what a {self.statistic} needs: {', '.join(needed)}", "Add it.")


class Targets(Document):
    """The targets, the parameters that are calibrated by the document that gives them, and what was left for a test."""

    KIND = "targets"
    name: str
    title: str
    parameters: dict[str, list[str]]
    unfitted: list[str]
    targets: list[Target]

    @model_validator(mode="after")
    def _whole(self) -> Targets:
        if not self.targets:
            raise InputError("targets", "none", "at least one target", "Add it.")
        names = [target.name for target in self.targets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError("targets", f"two targets {twice[0]!r}", "a name of its own for each", "Rename one.")
        for target in self.targets:
            study = target.source.split(",")[0].strip()
            if study in self.unfitted:
                raise InputError(f"targets.{target.name}", study, "a study that is not held back", "Remove it.")
        self._check_quantiles()
        return self

    def _check_quantiles(self) -> None:
        """Raises InputError where quantiles of one reading do not rise with their probability."""
        groups: dict[tuple[str | None, ...], list[Target]] = {}
        for target in self.targets:
            if target.statistic == "quantile" and target.value is not None:
                groups.setdefault((target.condition, target.measure, target.side, target.source), []).append(target)
        for group in groups.values():
            rows = sorted(group, key=lambda target: target.probability or 0)
            for low, high in pairwise(rows):
                if (low.value or 0) >= (high.value or 0):
                    found = f"{high.value:g} at {high.probability:g} and {low.value:g} at {low.probability:g}"
                    raise InputError(f"targets.{high.name}", found, "quantiles that rise", "Correct them.")
