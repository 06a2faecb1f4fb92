"""Numbers and short phrases of the sentences about one patient."""

from __future__ import annotations

from collections.abc import Iterable


def num(value: float, digits: int = 2) -> str:
    """A number to so many significant digits, never in scientific notation, with a true minus."""
    if value == 0:
        return "0"
    text = f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - int(text.split("e")[1]))
    rounded = float(text)
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def points(value: float) -> str:
    """A number of points, to one decimal, with a true minus and no minus before nothing."""
    text = f"{value:.1f}"
    return "0" if not float(text) else text.replace("-", "−")


def named(title: str) -> str:
    """A therapy's title within a sentence: "Infliximab, infusion" is infliximab (infusion)."""
    drug, comma, route = title.partition(", ")
    return drug[:1].lower() + drug[1:] + (f" ({route})" if comma else "")


def chance(probability: float) -> str:
    """A probability as people say it: whole per cent, never 0 or 100."""
    if probability < 0.005:
        return "under 1 %"
    if probability > 0.995:
        return "over 99 %"
    return f"{100 * probability:.0f} %"


def between(low: float, high: float, digits: int = 2) -> str:
    """Two limits in words."""
    return f"{num(low, digits)} to {num(high, digits)}"


def listed(items: Iterable[str]) -> str:
    """Items in a sentence: a, b and c."""
    items = list(items)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def capital(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]
