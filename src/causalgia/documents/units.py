"""Units: pint reads them once, when a document is read; inside, numbers are in the unit their key declares."""

from __future__ import annotations

from functools import cache
from math import isfinite, nan
from typing import TYPE_CHECKING

from causalgia.documents.errors import InputError

if TYPE_CHECKING:
    from pint import UnitRegistry

# Units that pint lacks. A score is a count of points on a clinical scale and converts to nothing else.
EXTRA = ("IU = [international_unit]", "score = [score]")


@cache
def registry() -> UnitRegistry:
    """The one unit registry, made on first use (pint costs a quarter of a second to import)."""
    import pint

    units: UnitRegistry = pint.UnitRegistry()
    for line in EXTRA:
        units.define(line)
    return units


@cache
def factor(unit: str, target: str) -> float:
    """The number that turns a value in `unit` into `target`.

    Raises InputError for an unknown unit or another dimension. Temperatures are differences (delta_degC).
    """
    source, goal = _parse(unit), _parse(target)
    if source.dimensionality != goal.dimensionality:
        raise InputError("", repr(unit), f"a unit of the same kind as {target!r}", "Correct the unit.")
    return float(registry().Quantity(1.0, source).to(goal).magnitude)


def check_unit(unit: str) -> str:
    """`unit` itself when pint can read it."""
    _parse(unit)
    return unit


def model_unit(name: str) -> str:
    """A unit name of a model page as pint writes it: mg_per_L is mg/L, per_day is 1/day, per_nM_per_day is 1/nM/day."""
    if name == "dimensionless":
        return "1"
    if name.startswith("per_"):
        name = "1_" + name
    return name.replace("_per_", "/")


def quantity(text: str) -> tuple[float, str]:
    """A number and its unit from text such as "5 mg/kg" or "31 pg/mL"."""
    number, _, unit = text.strip().partition(" ")
    try:
        value = float(number)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise InputError("", repr(text), 'a number and a unit, such as "5 mg/kg"', "Correct it.")
    if not unit:
        raise InputError("", repr(text), "a unit after the number", 'Write it as in "5 mg/kg".')
    return value, check_unit(unit.strip())


def converts(unit: str, target: str) -> bool:
    """Whether a unit is of the same kind as another."""
    try:
        factor(unit, target)
    except InputError:
        return False
    return True


def quantity_of(key: str, text: str) -> tuple[float, str]:
    """`quantity` of a document's key, which an error then names."""
    try:
        return quantity(text)
    except InputError as error:
        raise InputError(key, error.found, error.expected, error.remedy) from None


@cache
def _parse(unit: str):
    """The unit that `unit` names; a number in it, which would be lost, is refused, and so is a scale with an offset."""
    wrong = InputError("", repr(unit), "a unit that pint knows", "Correct the unit.")
    try:
        parsed = registry().Quantity(1.0, "dimensionless") if unit == "1" else registry().Quantity(unit)
    except Exception:  # pint raises errors of many kinds, its tokenizer's among them, for text that is no unit
        raise wrong from None
    if parsed.magnitude != 1 or not unit.strip():
        raise wrong
    if registry().Quantity(0.0, parsed.units).to_base_units().magnitude != 0:
        raise InputError("", repr(unit), "a unit without an offset, such as delta_degC", "Give differences.")
    return parsed.units
