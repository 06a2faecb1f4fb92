"""Numbers as a reader wants them: few digits, a true minus, a dash where there is none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
NOTHING = "–"
NAMES = ("Crohn", "Oswestry")
UNITS = {"score": "points", "percent": "percentage points", "delta_degC": "°C"}


@dataclass(frozen=True)
class Scale:
    """How an endpoint's differences are written: times `factor`, with so many decimals, in `unit`."""

    factor: float
    unit: str
    decimals: int


def number(value: Any, digits: int = 3) -> str:
    """A number to so many significant digits, never in scientific notation; a dash for None; other values as text."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if value == 0 or isinstance(value, int):
        return f"{value:,.0f}".replace("-", "−")
    size = f"{abs(value):.{digits - 1}e}"
    decimals = max(0, digits - 1 - int(size.split("e")[1]))
    text = f"{value:,.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def fixed(value: float | None, decimals: int = 2) -> str:
    """A number to so many decimals; a dash for None."""
    if value is None:
        return NOTHING
    text = f"{value:,.{decimals}f}"
    return (text.lstrip("-") if not float(text.replace(",", "")) else text).replace("-", "−")


def percent(value: float | None, decimals: int = 0) -> str:
    """A share in per cent; a dash for None."""
    return NOTHING if value is None else f"{fixed(100 * value, decimals)} %"


def between(values: Iterable[float | None], write: Any = number, unit: str = "") -> str:
    """The range of some values in words, one value where both ends read alike; a dash where there is none."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return NOTHING
    low, high = write(known[0]), write(known[-1])
    unit = f" {unit}" if unit else ""
    if low == high:
        return f"{low}{unit}"
    if low.endswith(" %") and high.endswith(" %"):
        low = low.removesuffix(" %")
    return f"{low} to {high}{unit}"


def listed(items: Iterable[str]) -> str:
    """Items in a sentence: a, b and c."""
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def p_value(p: float | None) -> str:
    """A p value; a dash for None."""
    return NOTHING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def scale_of(endpoint: Json) -> Scale:
    """The scale of an endpoint: shares in percentage points, scores in points, others as they are."""
    if endpoint["unit"] == "share":
        return Scale(100, "percentage points", 1)
    unit = str(endpoint["unit"])
    return Scale(1, UNITS.get(unit, unit), 2)


def short_title(endpoint: Json) -> str:
    """An endpoint in a few words, to stand inside a sentence: pain; the share with a fall of at least 30 %."""
    title = lower_first(endpoint["measure"].split(",")[0])
    return f"the share with a fall of at least {endpoint['fall']} in {title}" if endpoint["fall"] else title


def lower_first(text: str) -> str:
    """The text to stand inside a sentence: its first letter small, unless it is a name or an abbreviation."""
    name = text.startswith(NAMES) or text[1:2].isupper() or text[2:3].isupper()
    return text if name else text[:1].lower() + text[1:]
