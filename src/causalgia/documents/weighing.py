"""What one patient's therapies are weighed with: the therapies, and how much each benefit and harm counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, model_validator

from causalgia.documents.arms import Arm
from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document, Page, Parameter

ALONE = ("week", "relief", "worthwhile", "gate", "fold", "level_error", "serious", "other")
TABLES = ("benefit", "harm", "hypotheses", "plausible")


class Finding(Page):
    """A published finding ("study:outcome") that speaks for a therapy, or against it."""

    outcome: str
    against: bool


class Therapy(Page):
    """A drug by a route in its usual doses, the conditions it is weighed in and the trials that speak to it."""

    name: str
    title: str
    arm: Arm
    conditions: tuple[str, ...]
    source: str
    findings: tuple[Finding, ...] = ()


class RouteWarning(Page):
    """A contraindication or warning of a drug that holds by some routes alone."""

    term: str
    routes: tuple[str, ...]


class Therapies(Document):
    """Therapies by class and route, and what each comorbidity means: the terms of drugs' contraindications it meets."""

    KIND = "therapies"
    name: str
    therapies: list[Therapy]
    comorbidities: dict[str, tuple[str, ...]]
    by_route: list[RouteWarning] = []

    def only(self, names: Sequence[str]) -> Therapies:
        """The same page with the therapies of some names alone; InputError for a name that none has."""
        known = {therapy.name: therapy for therapy in self.therapies}
        for name in names:
            if name not in known:
                raise InputError("therapies", repr(name), f"one of {', '.join(known)}", "Correct the name.")
        return self.model_copy(update={"therapies": [known[name] for name in dict.fromkeys(names)]})


class Antibodies(Page):
    """How often a test for antibodies is positive, in people who have them and in others."""

    sensitivity: Parameter
    false_positive: Parameter


class Weights(Document):
    """Judgements, every one to be changed: benefits and harms in points of pain, the gate, what counts as relief.

    `benefit` is worth per unit of the instrument it names; `harm` per event by its term, else `serious` or `other`.
    `hypotheses` are how plausible each is before the patient's course is seen; `plausible` by therapy, else `other`, is
    the probability that pain and signs follow it as simulated. Below `worthwhile` a net benefit justifies nothing.
    """

    KIND = "weights"
    name: str
    week: Parameter
    relief: Parameter
    gate: Parameter
    fold: Parameter
    level_error: Parameter
    worthwhile: Parameter
    benefit: dict[str, Parameter]
    harm: dict[str, Parameter]
    serious: Parameter
    other: Parameter
    hypotheses: dict[str, Parameter] = Field(min_length=4)
    plausible: dict[str, Parameter]
    antibodies: Antibodies

    @model_validator(mode="after")
    def _consistent(self) -> Weights:
        for key, entry in self.entries.items():
            if entry.value is None or entry.value < 0:
                raise InputError(key, "no value of at least 0", "a number of at least 0", "Correct it.")
        if set(self.hypotheses) != {"drug", "no mediation", "bypass", "null"}:
            raise InputError(
                "hypotheses", str(sorted(self.hypotheses)), "drug, no mediation, bypass, null", "Correct it."
            )
        if "other" not in self.plausible:
            raise InputError("plausible", "no other", "a value for therapies that it does not name", "Add it.")
        for key, entry in self.plausible.items():
            if entry.typical > 1:
                raise InputError(f"plausible.{key}", f"{entry.typical:g}", "a probability", "Correct it.")
        if not sum(entry.typical for entry in self.hypotheses.values()) > 0:
            raise InputError("hypotheses", "no plausibility at all", "a sum above 0", "Correct it.")
        return self

    @property
    def entries(self) -> dict[str, Parameter]:
        """Every number by the key under which it can be changed."""
        alone = {key: getattr(self, key) for key in ALONE}
        tables = {part: getattr(self, part) for part in TABLES}
        return alone | {f"{part}.{key}": entry for part, table in tables.items() for key, entry in table.items()}

    def changed(self, values: Mapping[str, float]) -> Weights:
        """The same with other values by key; InputError for a key that is none, or a value that is not possible."""
        tables = {part: dict(getattr(self, part)) for part in TABLES}
        alone: dict[str, Parameter] = {}
        for key, value in values.items():
            entry = self.entries.get(key)
            if entry is None:
                expected = f"one of {', '.join(self.entries)}"
                raise InputError(f"weight {key!r}", "an unknown weight", expected, "Correct it.")
            if not value >= 0:
                raise InputError(f"weight {key!r}", f"{value:g}", "a number of at least 0", "Correct it.")
            if key.startswith("plausible.") and value > 1:
                raise InputError(f"weight {key!r}", f"{value:g}", "a probability", "Correct it.")
            changed = entry.model_copy(update={"value": float(value), "source": "changed by the user"})
            part, _, name = key.partition(".")
            if name:
                tables[part][name] = changed
            else:
                alone[part] = changed
        if not sum(entry.typical for entry in tables["hypotheses"].values()) > 0:
            raise InputError("weight 'hypotheses'", "no plausibility at all", "a sum above 0", "Correct one.")
        return self.model_copy(update={**tables, **alone})
