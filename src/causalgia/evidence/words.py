"""The words that studies are written in: kinds of design, of number and of reading, and the tables of words.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from causalgia.documents import reader
from causalgia.documents.errors import InputError

FOLDER = reader.LIBRARY / "evidence"

# What a study is; only randomised ones are pooled.
RANDOMISED = ("randomised trial", "crossover trial")
DESIGNS = (
    *RANDOMISED, "controlled trial", "case series", "cohort", "cross-section", "review", "label", "population model",
    "laboratory study", "protocol", "text",
)  # fmt: skip

# How a number was read, from best to worst.
READ = ("table", "abstract", "registry", "label", "protocol", "compendium", "sponsor", "secondary")

# Kinds of number: where its value may lie.
LEVEL, DIFFERENCE, RATIO, SHARE, COUNT, FREE, WORDS = "level", "difference", "ratio", "share", "count", "free", "words"
STATS = {
    "mean": LEVEL,
    "median": LEVEL,
    "value": LEVEL,
    "typical value": LEVEL,
    "range": LEVEL,
    "upper bound": LEVEL,
    "threshold": LEVEL,
    "rate": LEVEL,
    "mean change": DIFFERENCE,
    "mean difference": DIFFERENCE,
    "risk difference": DIFFERENCE,
    "odds ratio": RATIO,
    "risk ratio": RATIO,
    "hazard ratio": RATIO,
    "incidence rate ratio": RATIO,
    "ratio": RATIO,
    "number needed to harm": RATIO,
    "proportion": SHARE,
    "count": COUNT,
    "correlation": FREE,
    "standardised mean difference": FREE,
    "chi-squared": FREE,
    "comparison": WORDS,
    "direction": WORDS,
}
SHORT = {
    "odds ratio": "OR", "risk ratio": "RR", "hazard ratio": "HR", "incidence rate ratio": "IRR", "correlation": "r",
    "mean difference": "difference", "standardised mean difference": "SMD", "mean change": "change",
    "number needed to harm": "NNH", "chi-squared": "chi2",
}  # fmt: skip


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DrugWord(_Table):
    """A drug: its title, class, and the other names that people type; a control is what others are compared with."""

    title: str
    group: str = ""
    names: tuple[str, ...] = ()
    control: bool = False


class UnitWord(_Table):
    """A unit: how it is printed and between what limits a level in it can lie; `scale` and `per` convert differences.

    Units of one scale convert: a difference d in this unit is d * per in that scale's unit.
    """

    title: str
    low: float | None = None
    high: float | None = None
    scale: str = ""
    per: float = 1.0


class MeasureWord(_Table):
    """What is measured: its title, the units it may come in (none: any), and whether more of it is better."""

    title: str
    units: tuple[str, ...] = ()
    better: str = "lower"


class WordFile(_Table):
    """The layout of words.toml."""

    kind: str
    conditions: dict[str, str] = {}
    drugs: dict[str, DrugWord] = {}
    units: dict[str, UnitWord] = {}
    measures: dict[str, MeasureWord] = {}


@dataclass(frozen=True)
class Words:
    """Conditions, drugs, units and measures that a study may name."""

    conditions: dict[str, str]
    drugs: dict[str, DrugWord]
    units: dict[str, UnitWord]
    measures: dict[str, MeasureWord]

    def drug(self, name: str) -> tuple[str, ...]:
        """Keys of the drugs that `name` means: a key, another name, or a class; InputError where it means none."""
        wanted = name.strip().lower()
        for key, word in self.drugs.items():
            if wanted in (key, word.title.lower(), *word.names):
                return (key,)
        members = tuple(key for key, word in self.drugs.items() if word.group == wanted)
        if members:
            return members
        groups = sorted({word.group for word in self.drugs.values() if word.group})
        raise _unknown("--drug", name, [*sorted(self.drugs), *groups])

    def condition(self, name: str) -> str:
        """The condition that `name` means; InputError where there is none."""
        wanted = name.strip().lower()
        for key, title in self.conditions.items():
            if wanted in (key, title.lower()):
                return key
        raise _unknown("--condition", name, sorted(self.conditions))

    def measure(self, name: str) -> str:
        """The measure that `name` means; InputError where there is none."""
        wanted = name.strip().lower()
        for key, word in self.measures.items():
            if wanted in (key, word.title.lower()):
                return key
        raise _unknown("--outcome", name, sorted(self.measures))


def _unknown(where: str, name: str, known: list[str]) -> InputError:
    return InputError(where, repr(name), f"one of {', '.join(known)}", "Correct it.")


@cache
def words(folders: tuple[Path, ...] = (FOLDER,)) -> Words:
    """The words of every folder that has a words.toml; a later folder adds to an earlier one and may replace its words.

    Raises InputError with file and key.
    """
    conditions: dict[str, str] = {}
    drugs: dict[str, DrugWord] = {}
    units: dict[str, UnitWord] = {}
    measures: dict[str, MeasureWord] = {}
    for folder in folders:
        path = folder / "words.toml"
        if not path.is_file():
            continue
        file = reader.validate(WordFile, _table(path), path)
        conditions |= file.conditions
        drugs |= file.drugs
        units |= file.units
        measures |= file.measures
    return Words(conditions, drugs, units, measures)


def _table(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"invalid TOML ({error})", "a TOML document", "Mend the line named.") from None
