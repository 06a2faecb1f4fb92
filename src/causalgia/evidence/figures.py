"""Findings as words: a value with its unit, spread, size and p-value."""

from __future__ import annotations

from causalgia.evidence.schemas import Outcome
from causalgia.evidence.words import SHORT, Words

PARTS = ("value", "low", "high", "n", "events", "percent", "p", "unit", "time", "result", "what", "spread")
SAID = {"ns": "not significant", "significant": "significant"}


def number(value: float) -> str:
    """A number with the digits it was given, and a minus sign that stands out."""
    return f"{value:.10g}".replace("-", "−")


def between(limits: tuple[float, float]) -> str:
    """Two limits as "low to high"."""
    return f"{number(limits[0])} to {number(limits[1])}"


def figure(outcome: Outcome, words: Words, people: int | None = None) -> str:
    """What was found, without saying of what: "−1.55 NRS points (95 % CI −1.82 to −1.29), n 12, p <0.001".

    A size that is `people`, everybody in the study, is left out, and so is what the words of a result say themselves.
    """
    text = _found(outcome, words)
    tail = [f"n {outcome.n}"] if outcome.n and outcome.events is None and outcome.n != people else []
    if outcome.p and not (outcome.p in SAID and "significant" in text):
        tail.append(SAID.get(outcome.p, f"p {outcome.p}"))
    return ", ".join([text, *tail])


def part(outcome: Outcome, name: str, words: Words) -> str:
    """One part of an outcome, for a sentence; KeyError where the outcome has none."""
    limits = outcome.interval or outcome.quartiles or outcome.range
    found: dict[str, object] = {
        "value": None if outcome.value is None else number(outcome.value),
        "low": None if limits is None else number(limits[0]),
        "high": None if limits is None else number(limits[1]),
        "n": outcome.n,
        "events": outcome.events,
        "percent": None if outcome.percent is None else f"{number(round(outcome.percent, 1))} %",
        "p": outcome.p,
        "unit": words.units[outcome.unit].title if outcome.unit else None,
        "time": outcome.time or None,
        "result": outcome.result or None,
        "what": outcome.what,
        "spread": None if limits is None else between(limits),
    }
    if found.get(name) is None:
        raise KeyError(name)
    return str(found[name])


def _found(outcome: Outcome, words: Words) -> str:
    unit = words.units[outcome.unit].title if outcome.unit else ""
    spread = _spread(outcome)
    if outcome.kind == "words" or (outcome.result and outcome.value is None and outcome.range is None):
        return outcome.result
    if outcome.events is not None:
        return f"{outcome.events}/{outcome.n} ({number(round(outcome.percent or 0.0, 1))} %)"
    if outcome.value is None and outcome.range is not None:
        return f"{between(outcome.range)} {unit}".strip()
    value = number(outcome.value) if outcome.value is not None else ""
    name = SHORT.get(outcome.stat, "")
    text = " ".join(piece for piece in (name, value, unit) if piece)
    return f"{text} ({spread})" if spread else text


def _spread(outcome: Outcome) -> str:
    if outcome.interval is not None:
        return f"{outcome.level:g} % CI {between(outcome.interval)}"
    if outcome.quartiles is not None:
        return f"IQR {between(outcome.quartiles)}"
    if outcome.range is not None and outcome.value is not None:
        return f"range {between(outcome.range)}"
    for name, spread in (("SD", outcome.sd), ("SE", outcome.se), ("±", outcome.plus_minus)):
        if spread is not None:
            return f"{name} {number(spread)}"
    return ""
