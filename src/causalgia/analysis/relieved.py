"""Does the clinical endpoint improve? The analysis that decides, and those that stand beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from causalgia.analysis.allocation import EXACT_BELOW, Observed, exact_test
from causalgia.analysis.answer import (
    UNCONTROLLED,
    Answer,
    Companion,
    Row,
    numbers,
    proportion,
    reported,
    versus,
)
from causalgia.analysis.change import mean_change, responder_difference
from causalgia.analysis.estimates import Array, Effect
from causalgia.analysis.imputation import analyse_completed, impute, tipping_point
from causalgia.analysis.linear import ancova
from causalgia.analysis.mmrm import MmrmFit, mmrm_by_visit
from causalgia.analysis.tables import Subjects
from causalgia.documents import InputError, Instrument, Protocol, streams
from causalgia.documents.protocol import Responder
from causalgia.documents.units import factor

Tables = dict[str, pl.DataFrame]
RESPONSE = (0.3, 0.5)
CURVE = tuple(range(0, 101, 5))
IMPUTATIONS = 100
QUESTION = "Does the clinical endpoint improve?"
ANCOVA = "analysis of covariance adjusted for baseline and stratification factors"
ENDS = 0.1
"""A share of readings at an end of the scale above which the normal error is doubtful."""


class Values(NamedTuple):
    """The clinical endpoint of those randomised: value, baseline (..., n), covariates (..., n, p), who has both."""

    value: Array
    baseline: Array
    covariates: Array
    seen: np.ndarray


def values_of(protocol: Protocol, tables: Tables, subjects: Subjects) -> Values:
    """The clinical endpoint as its readings say it."""
    y, covariates, seen = subjects.endpoint(protocol, tables, protocol.endpoints.relieved)
    return Values(y[:, 0], covariates[:, 0], covariates, seen)


def relieved(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """The effect on the clinical endpoint by the analysis that the protocol declares, with its companions."""
    endpoint, alpha = protocol.endpoints.relieved, protocol.evaluation.alpha
    instrument, values = Instrument.load(endpoint.measure), values_of(protocol, tables, subjects)
    n, kind, tested = int(values.seen.sum()), "difference", values
    companions: list[Companion] = []
    series: dict[str, list[Row]] = {}
    facts: dict[str, float | None] = {}
    if endpoint.responder is not None:
        response = responds(instrument, endpoint.responder, values)
        effect: Effect = responder_difference(response, subjects.treated, alpha=alpha)
        method = "score test and interval of the difference of shares; missing is no response"
        n, kind = subjects.n, f"share with a fall of at least {endpoint.responder.fall:g} {endpoint.responder.unit}"
        kind += ", difference"
        tested = values._replace(value=response.astype(float), seen=np.ones(subjects.n, bool))
    elif protocol.single_arm:
        effect = mean_change(values.value - values.baseline, observed=values.seen, alpha=alpha)
        method, kind = f"t test of the change from baseline; {UNCONTROLLED}", "change"
    else:
        effect = ancova(values.value, subjects.treated, values.covariates, observed=values.seen, alpha=alpha)
        method = ANCOVA
    found = numbers(effect)
    if endpoint.responder is None and endpoint.second is None and not protocol.single_arm:
        visits = Visits.of(protocol, tables, subjects, values)
        found, method, companion = visits.beside(effect, n)
        series["visits"] = visits.rows
        further, facts = visits.sensitivity(instrument)
        companions = [companion, *further]
    answer = Answer(
        QUESTION,
        f"{instrument.title}: {kind}, {versus(protocol, endpoint)}, week {endpoint.at:g}",
        method,
        n,
        details=_responders(protocol, subjects, values, instrument),
        companions=companions,
        series=series | {"responders": _curve(protocol, subjects, values, instrument)},
        facts=facts,
        guards=_guards(instrument, values),
        **found,
    )
    return _with_exact(answer, protocol, tested, subjects)


def _with_exact(answer: Answer, protocol: Protocol, values: Values, subjects: Subjects) -> Answer:
    """The answer with the exact test where the trial is small enough for it to decide."""
    if subjects.n >= EXACT_BELOW or protocol.single_arm:
        return answer
    observed = Observed(values.value[None], values.covariates[None], values.seen[None])
    generator = streams.generator(0, "analyse", "reference")
    test = exact_test(protocol, observed, subjects.treated[None], subjects.stratum[None], generator, subjects.n)
    method = f"{answer.method}; below {EXACT_BELOW} randomised the exact re-randomisation test decides"
    return Answer(**{**vars(answer), "method": method, "exact_p": float(np.ravel(test.p)[0])})


def responds(instrument: Instrument, responder: Responder, values: Values) -> np.ndarray:
    """Who responds (..., n): missing is no response."""
    if responder.relative:
        return _better(instrument, values, responder.fall * factor(responder.unit, "1"))
    with np.errstate(invalid="ignore"):
        return values.seen & (_gain(instrument, values) >= responder.fall * factor(responder.unit, instrument.unit))


def _better(instrument: Instrument, values: Values, share: float) -> np.ndarray:
    """Who is better by at least a share of baseline (..., n): missing is not."""
    with np.errstate(invalid="ignore"):
        return values.seen & (_gain(instrument, values) >= share * np.abs(values.baseline))


def _gain(instrument: Instrument, values: Values) -> Array:
    return (values.baseline - values.value) * (1 if instrument.better == "lower" else -1)


def _responders(protocol: Protocol, subjects: Subjects, values: Values, instrument: Instrument) -> list[Row]:
    """Shares with at least 30 % and 50 % improvement."""
    rows = []
    for share in RESPONSE:
        response = _better(instrument, values, share)
        for arm in reported(protocol):
            in_arm = subjects.treated == (arm == protocol.treatment)
            label: Row = {"term": f"at least {share:.0%} better", "arm": arm}
            rows.append(proportion(label, int(response[in_arm].sum()), int(in_arm.sum()), protocol.evaluation.alpha))
    return rows


def _curve(protocol: Protocol, subjects: Subjects, values: Values, instrument: Instrument) -> list[Row]:
    """The cumulative responder curve: share of each arm that is better by at least so many per cent of baseline."""
    rows = []
    for percent in CURVE:
        response = _better(instrument, values, percent / 100)
        for arm in reported(protocol):
            in_arm = subjects.treated == (arm == protocol.treatment)
            rows.append({"percent": percent, "arm": arm, "share": float(response[in_arm].mean())})
    return rows


def _guards(instrument: Instrument, values: Values) -> list[str]:
    if instrument.range is None or not values.seen.any():
        return []
    ends = np.isin(values.value[values.seen], instrument.range)
    if ends.mean() <= ENDS:
        return []
    low, high = instrument.range
    return [
        f"{int(ends.sum())} of {len(ends)} readings lie at an end of the scale ({low:g} or {high:g}): errors are not "
        "normal there; look at the exact test and the responders."
    ]


def fit_visits(y: Array, treated: Array, values: Values, visit: int | range = -1, alpha: float = 0.05) -> MmrmFit:
    """The mixed model of the endpoint's course y (..., n, T) on arm, baseline and factors, NaN where it is missing.

    Not fitted where the subjects with a baseline cannot carry the covariance of the visits (`least_subjects`).
    """
    known, factors = np.isfinite(values.baseline), values.covariates[..., 1:]
    enough = known.sum(axis=-1) >= least_subjects(y.shape[-1], values)
    seen = np.isfinite(y) & (known & enough[..., None])[..., None]
    return mmrm_by_visit(
        y,
        treated,
        values.baseline,
        factors if factors.shape[-1] else None,
        visit=visit,
        observed=seen,
        alpha=alpha,
    )


def least_subjects(visits: int, values: Values) -> int:
    """The subjects with a baseline that a mixed model of so many visits needs."""
    return visits + values.covariates.shape[-1] + 3


class Visits(NamedTuple):
    """The endpoint at the mixed model's visits, its own last: y (n, T), weeks, and the model's rows by visit."""

    protocol: Protocol
    subjects: Subjects
    values: Values
    y: Array
    weeks: tuple[float, ...]
    rows: list[Row]

    @classmethod
    def of(cls, protocol: Protocol, tables: Tables, subjects: Subjects, values: Values) -> Visits:
        """Reads the visits and fits the mixed model."""
        endpoint, weeks = protocol.endpoints.relieved, protocol.model_visits
        y = np.column_stack([subjects.reading(tables, endpoint, week)[:, 0] for week in weeks])
        visits = cls(protocol, subjects, values, y, weeks, [])
        return visits._replace(rows=visits._fit())

    def _fit(self) -> list[Row]:
        """The mixed model's effect at every visit, one row where it is not fitted."""
        values, alpha = self.values, self.protocol.evaluation.alpha
        known = np.isfinite(values.baseline)
        n, T = int(known.sum()), len(self.weeks)
        seen = np.isfinite(self.y) & known[:, None]
        if n < least_subjects(T, values):
            reason = f"{n} subjects with a baseline cannot carry the covariance of {T} visits"
            return [{"week": self.weeks[-1], "n": int(seen[:, -1].sum()), "reason": reason}]
        fit = fit_visits(self.y, self.subjects.treated, values, range(T), alpha)
        model = {"structure": str(fit.structure), "inference": str(fit.inference)}
        rows = []
        for t, week in enumerate(self.weeks):
            one = Effect(*(getattr(fit, name)[t] for name in Effect.__dataclass_fields__))
            rows.append({"week": week, "n": int(seen[:, t].sum()), **numbers(one), **model})
        return rows

    def beside(self, effect: Effect, n: int) -> tuple[Row, str, Companion]:
        """What decides, its numbers and method, and the other analysis as its companion."""
        last = self.rows[-1]
        mixed: Row = {key: last[key] for key in ("estimate", "lower", "upper", "p", "reason") if key in last}
        method = mixed_model_method(self.weeks, last)
        if self.protocol.analysis.decides == "ancova" or self.subjects.n < EXACT_BELOW:
            return numbers(effect), ANCOVA, Companion("mixed model", method, last["n"], **mixed)
        return mixed, method, Companion("analysis of covariance", ANCOVA, n, **numbers(effect))

    def sensitivity(self, instrument: Instrument) -> tuple[list[Companion], dict[str, float | None]]:
        """What those who left could have changed: jump to reference, and how much worse it would take."""
        known = np.isfinite(self.values.baseline)
        gone = int((known & ~np.isfinite(self.y[:, -1])).sum())
        if not gone:
            return [], {}
        alpha, worse = self.protocol.evaluation.alpha, 1 if instrument.better == "lower" else -1
        y, arm, covariates = self.y[known], self.subjects.treated[known], self.values.covariates[known]
        name = "jump to reference"
        method = f"{IMPUTATIONS} imputations: after leaving, the course of {self.protocol.control}; Rubin's rules"
        generator = streams.generator(0, "analyse", "imputation")
        try:
            drawn = {
                way: impute(y, arm, covariates, method=way, imputations=IMPUTATIONS, generator=generator)
                for way in ("jump", "mar")
            }
        except InputError as error:
            reason = f"{error.found}; {error.expected} are needed to impute {gone} missing"
            return [Companion(name, method, len(y), reason=reason)], {"missing": gone}
        jump = analyse_completed(drawn["jump"], alpha=alpha)
        low, high = instrument.range or (0.0, 10 * float(np.nanstd(y)))
        delta = float(tipping_point(drawn["mar"], worse=worse, most=high - low, alpha=alpha))
        found = Companion(name, method, len(y), **numbers(jump))
        return [found], {"missing": gone, "tipping_point": delta if np.isfinite(delta) else None}


def mixed_model_method(weeks: tuple[float, ...], row: Row) -> str:
    """The mixed model that was fitted, in words."""
    span = f"week {weeks[0]:g}" if len(weeks) == 1 else f"weeks {weeks[0]:g} to {weeks[-1]:g}"
    text = f"mixed model for repeated measures over {span}"
    if "structure" not in row or not row["structure"]:
        return text
    inference = {
        "kenward-roger-linear": "linear Kenward-Roger",
        "sandwich-bias-reduced": "bias-reduced sandwich, Satterthwaite",
    }.get(row["inference"], row["inference"])
    return f"{text}, {row['structure']} covariance, {inference}"
