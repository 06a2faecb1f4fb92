"""What a question of a trial gets for an answer: numbers, method, companions, and what guards against misreading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from causalgia.analysis.estimates import STATUS_TEXT, Effect, Status
from causalgia.analysis.proportions import clopper_pearson
from causalgia.documents import Protocol
from causalgia.documents.protocol import Endpoint

UNCONTROLLED = "without a control it holds natural recovery, regression to the mean and expectation too"
Row = dict[str, Any]


@dataclass(frozen=True)
class Companion:
    """Another analysis of the same question: a declared sensitivity or a part of the whole; None where none."""

    name: str
    method: str
    n: int
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Answer:
    """One question's answer. Numbers are None where there is none, and `reason` then says why.

    A ratio's `estimate`, `lower` and `upper` are on the ratio scale. `details` are counts by arm, `companions` other
    analyses, `series` what is drawn over visits or values, `facts` single numbers by name; `reading` says in words what
    the numbers allow, `guards` what would mislead.
    """

    question: str
    quantity: str
    method: str
    n: int
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    exact_p: float | None = None
    reason: str = ""
    reading: str = ""
    details: list[Row] = field(default_factory=list)
    companions: list[Companion] = field(default_factory=list)
    series: dict[str, list[Row]] = field(default_factory=dict)
    facts: dict[str, float | None] = field(default_factory=dict)
    guards: list[str] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """True when there is an estimate."""
        return self.estimate is not None


def numbers(effect: Effect, *, ratio: bool = False) -> dict[str, Any]:
    """Estimate, limits and p of one effect, or the reason why there is none; a ratio's come from its logarithm."""
    status = Status(int(np.ravel(effect.status)[0]))
    if status != Status.OK:
        return {"reason": STATUS_TEXT[status]}
    found = {key: float(np.ravel(getattr(effect, key))[0]) for key in ("estimate", "lower", "upper", "p")}
    return {key: float(np.exp(value)) if ratio and key != "p" else value for key, value in found.items()}


def proportion(label: Row, events: int, n: int, alpha: float) -> Row:
    """A share with its exact interval, under its label."""
    lower, upper = clopper_pearson(events, n, alpha=alpha)
    return {**label, "events": events, "n": n, "lower": float(lower), "upper": float(upper)}


def censored(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(value, below) pairs as the value and its limit: a censored value is its own limit."""
    value = values[:, 0]
    return value, np.where(values[:, 1] > 0, value, -np.inf)


def reported(protocol: Protocol) -> list[str]:
    """Arms in the order of reports: the primary one, control, the others."""
    control, treatment, *others = protocol.order
    return [name for name in (treatment, control, *others) if name in protocol.arms]


def versus(protocol: Protocol, endpoint: Endpoint) -> str:
    """What is compared, in words."""
    if protocol.single_arm:
        return f"after against before {protocol.treatment}"
    both = f"{protocol.treatment} against {protocol.control}"
    return both if endpoint.second is None else f"half the difference of periods, {both}"
