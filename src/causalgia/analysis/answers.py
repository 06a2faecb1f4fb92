"""The questions of a trial, answered from its tables: raised, lowered, relieved, spared, and harm.

Reads ADaM-shaped tables and cannot tell a simulated trial from a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from causalgia.analysis.allocation import EXACT_BELOW, Observed, exact_test
from causalgia.analysis.censored import censored_paired, censored_regression
from causalgia.analysis.change import mean_change, responder_difference
from causalgia.analysis.checks import check_tables
from causalgia.analysis.estimates import STATUS_TEXT, Effect, Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.proportions import clopper_pearson
from causalgia.analysis.spared import difference_of_effects
from causalgia.analysis.tables import Subjects, visit_values
from causalgia.documents import Instrument, Protocol, streams
from causalgia.documents.protocol import Endpoint, Responder
from causalgia.documents.units import factor

Tables = dict[str, pl.DataFrame]
RESPONSE = (0.3, 0.5)
UNCONTROLLED = "without a control it holds natural recovery, regression to the mean and expectation too"
LOW_MINUS_HIGH = "low TNF minus effect with high TNF"


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

    With several arms the questions are those of the primary comparison; "lowered ARM" and "relieved ARM" follow for the
    others. Raises InputError, with table, row and column, for what cannot be read as meant.
    """
    check_tables(protocol, tables)
    pair = protocol.pair(protocol.treatment)
    subjects = Subjects.read(pair, tables)
    answers = {
        "raised": _raised(pair, tables, subjects),
        "lowered": _lowered(pair, tables, subjects),
        "relieved": _relieved(pair, tables, subjects),
        "spared": _spared(pair, tables, subjects),
    }
    for name in protocol.order[2:]:
        other = protocol.pair(name)
        subjects = Subjects.read(other, tables)
        answers[f"lowered {name}"] = _lowered(other, tables, subjects)
        answers[f"relieved {name}"] = _relieved(other, tables, subjects)
    return answers | {"harm": _harm(protocol, tables, Subjects.read(protocol, tables))}


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
    endpoint, alpha = protocol.endpoints.lowered, protocol.evaluation.alpha
    texts = (
        f"Does {protocol.treatment} lower it?",
        f"ratio of geometric means, {_versus(protocol, endpoint)}, week {endpoint.at:g}",
    )
    y, covariates, seen = subjects.endpoint(protocol, tables, endpoint)
    value, limit = _censored(y)
    if protocol.single_arm:
        before, limit_before = _censored(subjects.reading(tables, endpoint, endpoint.baseline))
        method = f"bivariate normal likelihood of the logs, censored at each value's own limit; {UNCONTROLLED}"
        effect: Effect = censored_paired(value, limit, before, limit_before, observed=seen, alpha=alpha)
        return _ratio(texts, method, int(seen.sum()), effect)
    method = "censored normal regression of log TNF on arm, baseline and stratification factors"
    effect = censored_regression(value, limit, subjects.treated, covariates, observed=seen, alpha=alpha)
    return _ratio(texts, method, int(seen.sum()), effect)


def _relieved(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    endpoint, alpha = protocol.endpoints.relieved, protocol.evaluation.alpha
    y, covariates, seen = subjects.endpoint(protocol, tables, endpoint)
    instrument, value, baseline = Instrument.load(endpoint.measure), y[:, 0], covariates[:, 0]
    n, kind = int(seen.sum()), "difference"
    if endpoint.responder is not None:
        response = _responds(instrument, endpoint.responder, value, baseline, seen)
        effect = responder_difference(response, subjects.treated, alpha=alpha)
        method = "score test and interval of the difference of shares; missing is no response"
        fall = endpoint.responder
        n, kind = subjects.n, f"share with a fall of at least {fall.fall:g} {fall.unit}, difference"
        value, seen = response.astype(float), np.ones(subjects.n, bool)
    elif protocol.single_arm:
        effect = mean_change(value - baseline, observed=seen, alpha=alpha)
        method, kind = f"t test of the change from baseline; {UNCONTROLLED}", "change"
    else:
        effect = ancova(value, subjects.treated, covariates, observed=seen, alpha=alpha)
        method = "analysis of covariance adjusted for baseline and stratification factors"
    exact = None
    if subjects.n < EXACT_BELOW and not protocol.single_arm:
        observed = Observed(value[None], covariates[None], seen[None])
        generator = streams.generator(0, "analyse", "reference")
        test = exact_test(protocol, observed, subjects.treated[None], subjects.stratum[None], generator, subjects.n)
        exact = float(np.ravel(test.p)[0])
        method += f"; below {EXACT_BELOW} randomised the exact re-randomisation test decides"
    quantity = f"{instrument.title}: {kind}, {_versus(protocol, endpoint)}, week {endpoint.at:g}"
    details = _responders(protocol, subjects, y[:, 0], baseline, np.isfinite(y[:, 0]) & np.isfinite(baseline))
    return Answer(
        "Does the clinical endpoint improve?", quantity, method, n, exact_p=exact, details=details, **_numbers(effect)
    )


def _responds(
    instrument: Instrument, responder: Responder, value: np.ndarray, baseline: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    gain = (baseline - value) * (1 if instrument.better == "lower" else -1)
    least = responder.fall * factor(responder.unit, "1" if responder.relative else instrument.unit)
    with np.errstate(invalid="ignore"):
        return seen & (gain >= (least * np.abs(baseline) if responder.relative else least))


def _spared(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    compared = protocol.compared
    groups = "long minus effect with short duration" if compared and compared.by == "duration" else LOW_MINUS_HIGH
    texts = ("Who should be spared?", f"effect with {groups}, clinical endpoint")
    method = "difference of two analyses of covariance, Welch's degrees of freedom"
    if compared is None or protocol.single_arm:
        reason = "Nobody below a gate was randomised as such, so the trial cannot say whom to spare."
        return Answer(*texts, method, 0, reason=reason)
    group = subjects.low if compared.by == "gate" else subjects.duration > compared.cut_days
    y, covariates, seen = subjects.endpoint(protocol, tables, protocol.endpoints.relieved)
    value, responder = y[:, 0], protocol.endpoints.relieved.responder
    if responder is not None:
        instrument = Instrument.load(protocol.endpoints.relieved.measure)
        value = _responds(instrument, responder, value, covariates[:, 0], seen).astype(float)
    _, effect = difference_of_effects(
        value, subjects.treated, covariates, group, observed=seen, alpha=protocol.evaluation.alpha
    )
    return Answer(*texts, method, int((seen & group).sum()), **_numbers(effect))


def _harm(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """Subjects with each adverse event, with exact intervals, by arm."""
    events = tables["adae"]
    arms = dict(tables["adsl"].select("USUBJID", "ARM").iter_rows())
    details: list[dict[str, object]] = []
    for term in sorted(events["AETERM"].unique().to_list()):
        affected = set(events.filter(pl.col("AETERM") == term)["USUBJID"].to_list())
        for arm in reported(protocol):
            members = {name for name in subjects.ids if arms[name] == arm}
            details.append(_proportion({"term": term, "arm": arm}, len(affected & members), len(members), protocol))
    text = "subjects with an event, by arm"
    return Answer("What harm was seen?", text, "Clopper-Pearson intervals", subjects.n, details=details)


def reported(protocol: Protocol) -> list[str]:
    """Arms in the order of reports: the primary one, control, the others."""
    control, treatment, *others = protocol.order
    return [name for name in (treatment, control, *others) if name in protocol.arms]


def _responders(
    protocol: Protocol, subjects: Subjects, y: np.ndarray, baseline: np.ndarray, seen: np.ndarray
) -> list[dict[str, object]]:
    """Shares with at least 30 % and 50 % improvement; a missing value is no response."""
    details = []
    better = -1 if Instrument.load(protocol.endpoints.relieved.measure).better == "lower" else 1
    for share in RESPONSE:
        with np.errstate(invalid="ignore"):
            response = seen & (better * (y - baseline) >= share * np.abs(baseline))
        for arm in reported(protocol):
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


def _versus(protocol: Protocol, endpoint: Endpoint) -> str:
    if protocol.single_arm:
        return f"after against before {protocol.treatment}"
    both = f"{protocol.treatment} against {protocol.control}"
    return both if endpoint.second is None else f"half the difference of periods, {both}"
