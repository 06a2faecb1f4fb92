"""One number of a document: its value, unit, spread between people and source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from causalgia.documents import expressions, reader
from causalgia.documents.errors import InputError
from causalgia.documents.units import check_unit

Unit = Annotated[str, AfterValidator(check_unit)]


def _formula(text: str) -> str:
    expressions.parse(text)
    return text


Formula = Annotated[str, AfterValidator(_formula)]


class Page(BaseModel):
    """Base of every schema: frozen; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class Document(Page):
    """Base of every document: its kind, the path it was read from and the hash of its bytes."""

    KIND: ClassVar[str]
    kind: str
    path: Path
    digest: str

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """The document with a library name, or at a path; InputError names file and key of what is wrong."""
        return reader.load(cls, cls.KIND, name)


class Parameter(Page):
    """A parameter as a document gives it.

    Exactly one of `value`, `probability` (a 0/1 draw) or `formula` (of other parameters and covariates); at most one of
    `cv` (log-normal, log SD = sqrt(log(1 + cv²))), `log_sd` (one number, or [below, above] for a two-piece log-normal
    whose median is `value`), `logit_sd` and `sd`. `covariates` multiplies the typical value; `range` truncates the
    random effect, and without one bounds the value; `uncertainty` is the range of typical values that science leaves
    open.
    """

    value: float | None = None
    probability: float | None = None
    formula: Formula | None = None
    unit: Unit = "1"
    cv: float | None = None
    log_sd: float | tuple[float, float] | None = None
    logit_sd: float | None = None
    sd: float | None = None
    covariates: Formula | None = None
    range: tuple[float, float] | None = None
    uncertainty: tuple[float, float] | None = None
    source: str
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Parameter:
        given = [key for key in ("value", "probability", "formula") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise InputError("", found, "exactly one of value, probability, formula", "Keep one.")
        spread = [key for key in ("cv", "log_sd", "logit_sd", "sd") if getattr(self, key) is not None]
        if len(spread) > 1 or (spread and self.value is None):
            raise InputError("", " and ".join(spread), "one of cv, log_sd, logit_sd, sd beside a value", "Keep one.")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise InputError("probability", repr(self.probability), "a number from 0 to 1", "Correct it.")
        if any(s is not None and np.any(np.less_equal(s, 0)) for s in (self.cv, self.log_sd, self.logit_sd, self.sd)):
            raise InputError(spread[0], "a spread of 0 or less", "a number above 0", "Correct or remove it.")
        unused = [key for key in ("covariates", "range") if getattr(self, key) is not None and self.formula is not None]
        if unused:
            raise InputError(unused[0], f"{unused[0]} beside a formula", "a formula alone", "Put it into the formula.")
        self._check_bounds()
        if not self.source.strip():
            raise InputError("source", "an empty text", 'a study key and locator, or "assumed: reason"', "Add it.")
        return self

    def _check_bounds(self) -> None:
        for key in ("range", "uncertainty"):
            limits = getattr(self, key)
            if limits is not None and not limits[0] < limits[1]:
                raise InputError(key, repr(list(limits)), "[low, high] with low < high", "Correct it.")
        if self.value is None:
            return
        if self.range is not None and not self.range[0] <= self.value <= self.range[1]:
            raise InputError("value", f"{self.value:g}", f"a number in its range {list(self.range)}", "Correct it.")
        if (self.cv is not None or self.log_sd is not None) and self.value <= 0:
            raise InputError("value", f"{self.value:g}", "a number above 0, since its logarithm varies", "Correct it.")
        if self.logit_sd is not None and not 0 < self.value < 1:
            raise InputError(
                "value", f"{self.value:g}", "a number between 0 and 1, since its logit varies", "Correct it."
            )

    @property
    def typical(self) -> float:
        """The typical value, or the probability; 0 for a formula, which has none of its own."""
        return self.value if self.value is not None else self.probability or 0.0

    @property
    def assumed(self) -> bool:
        """True when the number is not from data."""
        return self.source.startswith("assumed")

    @property
    def varies(self) -> bool:
        """True when the parameter differs between people by a random effect."""
        return any(s is not None for s in (self.cv, self.log_sd, self.logit_sd, self.sd, self.probability))

    @property
    def begins(self) -> bool:
        """True when it is not 0 in everybody."""
        return self.formula is not None or self.typical != 0 or self.varies

    def individual(self, z: np.ndarray, typical: float | np.ndarray | None = None) -> np.ndarray:
        """The parameter of people whose random effects are the standard normals `z` (subject,), covariates apart.

        `typical`, one number or one a person, stands in place of the value or the probability; the spread is kept.
        """
        from scipy.special import ndtr, ndtri

        centre = self.typical if typical is None else typical
        if self.probability is not None:
            return (ndtr(z) < centre).astype(np.float64)
        if self.range is not None and self.varies:
            low, high = (ndtr(self._effect(bound, centre)) for bound in self.range)
            z = ndtri(low + ndtr(z) * (high - low))
        return self._transform(z, centre)

    def _transform(self, z: np.ndarray, centre: float | np.ndarray) -> np.ndarray:
        if self.cv is not None:
            return centre * np.exp(np.sqrt(np.log1p(self.cv**2)) * z)
        if self.log_sd is not None:
            below, above = self.log_sd if isinstance(self.log_sd, tuple) else (self.log_sd, self.log_sd)
            return centre * np.exp(np.where(z < 0, below, above) * z)
        if self.logit_sd is not None:
            return 1 / (1 + np.exp(-(np.log(centre / (1 - centre)) + self.logit_sd * z)))
        return centre + (self.sd or 0.0) * z

    def _effect(self, x: float, centre: float | np.ndarray) -> Any:
        """The random effect z at which the parameter equals x (the inverse of `_transform`)."""
        if self.cv is not None:
            return _log_ratio(x, centre) / np.sqrt(np.log1p(self.cv**2))
        if self.log_sd is not None:
            below, above = self.log_sd if isinstance(self.log_sd, tuple) else (self.log_sd, self.log_sd)
            ratio = _log_ratio(x, centre)
            return ratio / np.where(ratio < 0, below, above)
        if self.logit_sd is not None:
            return (_logit(x) - np.log(centre / (1 - centre))) / self.logit_sd
        assert self.sd is not None
        return (x - centre) / self.sd


def _log_ratio(x: float, centre: float | np.ndarray) -> Any:
    return np.log(x / centre) if x > 0 else -np.inf


def _logit(p: float) -> float:
    return -np.inf if p <= 0 else np.inf if p >= 1 else float(np.log(p / (1 - p)))
