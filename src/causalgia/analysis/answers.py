"""The questions of a trial, answered from its tables: raised, lowered, relieved, spared, and harm.

Reads ADaM-shaped tables and cannot tell a simulated trial from a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from causalgia.analysis.allocation import EXACT_BELOW, Observed, exact_test
from causalgia.analysis.censored import censored_paired, censored_regression
from causalgia.analysis.checks import check_tables
from causalgia.analysis.estimates import STATUS_TEXT, Effect, Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.proportions import clopper_pearson
from causalgia.analysis.spared import difference_of_effects
from causalgia.analysis.tables import Subjects, visit_values
from causalgia.documents import Instrument, Protocol, streams

Tables = dict[str, pl.DataFrame]
RESPONSE = (0.3, 0.5)


@dataclass(frozen=True)
class Answer:
    """One question's answer. Numbers are None where there is none, and `reason` then says why.

    A ratio's `estimate`, `lower` and `upper` are on the ratio scale.
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
    details: list[dict[str, object]] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """True when there is an estimate."""
        return self.estimate is not None


def analyse(protocol: Protocol, tables: Tables) -> dict[str, Answer]:
    """The protocol's questions answered from its tables adsl, adlb, adqs and adae.

    Raises InputError, with table, row and column, for what cannot be read as meant.
    """
    check_tables(protocol, tables)
    subjects = Subjects.read(protocol, tables)
    return {
        "raised": _raised(protocol, tables, subjects),
        "lowered": _lowered(protocol, tables, subjects),
        "relieved": _relieved(protocol, tables, subjects),
        "spared": _spared(protocol, tables, subjects),
        "harm": _harm(protocol, tables, subjects),
    }


def _raised(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """Affected against contralateral TNF in everybody measured at the first visit, before any gate."""
    endpoint = protocol.endpoints.lowered
    row = protocol.schedule[endpoint.measure]
    texts = ("Is local TNF raised in the affected limb?", "ratio of geometric means, affected / contralateral")
    method = "bivariate normal likelihood of the logs, censored at each value's own limit"
    if "contralateral" not in row.sides:
        return Answer(*texts, method, 0, reason="The protocol does not measure the contralateral side.")
    week = min(row.at)
    both = [
        visit_values(tables, Instrument.load(endpoint.measure), side, week) for side in (endpoint.side, "contralateral")
    ]
    ids = sorted(both[0].keys() & both[1].keys())
    if not ids:
        return Answer(*texts, method, 0, reason="Nobody was measured on both sides at the first visit.")
    pairs = [[values[name] for name in ids] for values in both]
    (a, limit_a), (b, limit_b) = (_censored(np.array(values).reshape(-1, 2)) for values in pairs)
    return _ratio(texts, method, len(ids), censored_paired(a, limit_a, b, limit_b, alpha=protocol.evaluation.alpha))


def _lowered(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    endpoint = protocol.endpoints.lowered
    y, covariates, seen = subjects.endpoint(protocol, tables, endpoint)
    value, limit = _censored(y)
    effect = censored_regression(
        value, limit, subjects.treated, covariates, observed=seen, alpha=protocol.evaluation.alpha
    )
    texts = (
        f"Does {protocol.treatment} lower it?",
        f"ratio of geometric means, {_versus(protocol)}, week {endpoint.at:g}",
    )
    method = "censored normal regression of log TNF on arm, baseline and stratification factors"
    return _ratio(texts, method, int(seen.sum()), effect)


def _relieved(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    endpoint = protocol.endpoints.relieved
    y, covariates, seen = subjects.endpoint(protocol, tables, endpoint)
    effect = ancova(y[:, 0], subjects.treated, covariates, observed=seen, alpha=protocol.evaluation.alpha)
    exact = None
    if subjects.n < EXACT_BELOW:
        observed = Observed(y[None, :, 0], covariates[None], seen[None])
        generator = streams.generator(0, "analyse", "reference")
        test = exact_test(protocol, observed, subjects.treated[None], subjects.stratum[None], generator, subjects.n)
        exact = float(np.ravel(test.p)[0])
    method = "analysis of covariance adjusted for baseline and stratification factors"
    if exact is not None:
        method += f"; below {EXACT_BELOW} randomised the exact re-randomisation test decides"
    quantity = f"{Instrument.load(endpoint.measure).title}: difference, {_versus(protocol)}, week {endpoint.at:g}"
    details = _responders(protocol, subjects, y[:, 0], covariates[:, 0], seen)
    return Answer(
        "Does the clinical endpoint improve?",
        quantity,
        method,
        int(seen.sum()),
        exact_p=exact,
        details=details,
        **_numbers(effect),
    )


def _spared(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    texts = ("Who should be spared?", "effect with low TNF minus effect with high TNF, clinical endpoint")
    method = "difference of two analyses of covariance, Welch's degrees of freedom"
    if protocol.gate is None or protocol.gate.low_stratum is None:
        reason = "Nobody below a gate was randomised as such, so the trial cannot say whom to spare."
        return Answer(*texts, method, 0, reason=reason)
    y, covariates, seen = subjects.endpoint(protocol, tables, protocol.endpoints.relieved)
    _, effect = difference_of_effects(
        y[:, 0], subjects.treated, covariates, subjects.low, observed=seen, alpha=protocol.evaluation.alpha
    )
    return Answer(*texts, method, int((seen & subjects.low).sum()), **_numbers(effect))


def _harm(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """Subjects with each adverse event, with exact intervals, by arm."""
    events = tables["adae"]
    details: list[dict[str, object]] = []
    for term in sorted(events["AETERM"].unique().to_list()):
        affected = set(events.filter(pl.col("AETERM") == term)["USUBJID"].to_list())
        for arm in (protocol.treatment, protocol.control):
            members = subjects.members(arm == protocol.treatment)
            details.append(_proportion({"term": term, "arm": arm}, len(affected & members), len(members), protocol))
    text = "subjects with an event, by arm"
    return Answer("What harm was seen?", text, "Clopper-Pearson intervals", subjects.n, details=details)


def _responders(
    protocol: Protocol, subjects: Subjects, y: np.ndarray, baseline: np.ndarray, seen: np.ndarray
) -> list[dict[str, object]]:
    """Shares with at least 30 % and 50 % improvement; a missing value is no response."""
    details = []
    better = -1 if Instrument.load(protocol.endpoints.relieved.measure).better == "lower" else 1
    for share in RESPONSE:
        with np.errstate(invalid="ignore"):
            response = seen & (better * (y - baseline) >= share * np.abs(baseline))
        for arm in (protocol.treatment, protocol.control):
            in_arm = subjects.treated == (arm == protocol.treatment)
            label: dict[str, object] = {"term": f"at least {share:.0%} better", "arm": arm}
            details.append(_proportion(label, int(response[in_arm].sum()), int(in_arm.sum()), protocol))
    return details


def _proportion(label: dict[str, object], events: int, n: int, protocol: Protocol) -> dict[str, object]:
    lower, upper = clopper_pearson(events, n, alpha=protocol.evaluation.alpha)
    return {**label, "events": events, "n": n, "lower": float(lower), "upper": float(upper)}


def _censored(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(value, below) pairs as the value and its limit: a censored value is its own limit."""
    value = values[:, 0]
    return value, np.where(values[:, 1] > 0, value, -np.inf)


def _ratio(texts: tuple[str, str], method: str, n: int, effect: Effect) -> Answer:
    numbers = _numbers(effect)
    for key in ("estimate", "lower", "upper"):
        if numbers.get(key) is not None:
            numbers[key] = float(np.exp(numbers[key]))
    return Answer(*texts, method, n, **numbers)


def _numbers(effect: Effect) -> dict:
    status = Status(int(np.ravel(effect.status)[0]))
    if status != Status.OK:
        return {"reason": STATUS_TEXT[status]}
    return {key: float(np.ravel(getattr(effect, key))[0]) for key in ("estimate", "lower", "upper", "p")}


def _versus(protocol: Protocol) -> str:
    return f"{protocol.treatment} against {protocol.control}"
