"""Does the clinical endpoint improve because the marker falls? The answer, what would explain it away, and refusals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from causalgia.analysis.answer import Answer, Companion, Row, censored, numbers, versus
from causalgia.analysis.estimates import Array, Effect, Status
from causalgia.analysis.mediation import LEAST_PER_ARM, Mediation, mediate, path_shown, replicate_error
from causalgia.analysis.mediation_sensitivity import correlation_sensitivity, e_value
from causalgia.analysis.tables import Subjects
from causalgia.analysis.visit_error import visit_error
from causalgia.documents import Instrument, Protocol
from causalgia.documents.estimand import estimands
from causalgia.documents.protocol import Endpoint

Tables = dict[str, pl.DataFrame]
QUESTION = "Does it improve because the marker falls?"
METHOD = "joint likelihood of marker and endpoint, marker with its error and limit; product of paths"
CORRELATIONS = tuple(k / 10 for k in range(-5, 6))
SESSION_ONLY = (
    "The error of the marker is that of replicates of one session: day-to-day variation, which they cannot show, still "
    "makes the indirect effect too small and the direct one too large."
)


DOMINATED = (
    "Given arm, baseline and strata the marker's readings vary no more than their error: nothing is left to relate to "
    "the endpoint. More replicates, more visits or more subjects would tell."
)


class MarkerError(NamedTuple):
    """Error variance of a visit's log reading, its degrees of freedom, the share of a distance from the mean that
    persists to the next visit (NaN where one visit must do), and where it comes from.
    """

    variance: float
    df: float
    persistence: float
    source: str


def refusal(protocol: Protocol) -> str:
    """Why a trial of this design cannot say whether the effect runs through the marker; empty where it can."""
    reasons = [estimands(protocol)["mediated"].unanswerable]
    if protocol.endpoints.relieved.second is not None or protocol.endpoints.lowered.second is not None:
        reasons.append("A crossover's second period holds the first one's marker: the paths cannot be told apart.")
    if protocol.endpoints.relieved.responder is not None:
        reasons.append("The endpoint is a response, yes or no: natural effects are divided for means alone.")
    return " ".join(reason for reason in reasons if reason)


def earlier_visit(protocol: Protocol, endpoint: Endpoint) -> float | None:
    """The last visit before an endpoint's baseline, between which two nothing is given; None where there is none."""
    before = [week for week in protocol.schedule[endpoint.measure].at if week < endpoint.baseline]
    return max(before, default=None)


def marker_error(protocol: Protocol, tables: Tables, subjects: Subjects) -> MarkerError | None:
    """The marker's error from the two visits before treatment, else from replicates, else None."""
    endpoint = protocol.endpoints.lowered
    week = earlier_visit(protocol, endpoint)
    instrument = Instrument.load(endpoint.measure)
    if week is not None:
        first, second = (subjects.reading(tables, endpoint, at) for at in (week, endpoint.baseline))
        both = (first[:, 1] == 0) & (second[:, 1] == 0)
        found = visit_error(first[:, 0], second[:, 0], observed=both & np.isfinite(first[:, 0] + second[:, 0]))
        if np.isfinite(found.variance[0]):
            source = f"the two visits before treatment, weeks {week:g} and {endpoint.baseline:g}"
            return MarkerError(float(found.variance[0]), float(found.df[0]), float(found.persistence[0]), source)
    readings = _replicates(tables, instrument, endpoint.side)
    if not (np.isfinite(readings).sum(axis=1) > 1).any():
        return None
    variance, df = replicate_error(readings)
    count = np.isfinite(readings).sum(axis=1).max()
    return MarkerError(float(variance) / count, float(df), np.nan, "replicates of one session")


def _replicates(tables: Tables, instrument: Instrument, side: str) -> Array:
    """Log readings above their limit, (subject and visit, replicate), NaN where there are fewer."""
    rows = tables["adlb"].filter(
        (pl.col("PARAMCD") == instrument.paramcd)
        & (pl.col("SIDE") == side.upper())
        & (pl.col("BLQFL") != "Y")
        & pl.col("AVAL").is_not_null()
        & pl.col("AVISITN").is_not_null()
    )
    if "DTYPE" in rows.columns:
        rows = rows.filter(pl.col("DTYPE").fill_null("") == "")
    groups = rows.group_by("USUBJID", "AVISITN", maintain_order=True).agg(pl.col("AVAL").log())["AVAL"].to_list()
    readings = np.full((len(groups), max(map(len, groups), default=0)), np.nan)
    for row, values in zip(readings, groups, strict=True):
        row[: len(values)] = values
    return readings


def mediated(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """Natural direct and indirect effect through the true marker, or the reason why they are not told apart."""
    endpoint, outcome, alpha = protocol.endpoints.lowered, protocol.endpoints.relieved, protocol.evaluation.alpha
    what, title = Instrument.load(endpoint.measure).title, Instrument.load(outcome.measure).title
    quantity = f"{title}, week {outcome.at:g}: the part through {what} of week {endpoint.at:g}"
    quantity += f", {versus(protocol, outcome)}"
    reason = refusal(protocol)
    if reason:
        return Answer(QUESTION, quantity, METHOD, 0, reason=reason)
    y, covariates, seen = subjects.endpoint(protocol, tables, outcome)
    now, before = (subjects.reading(tables, endpoint, week) for week in (endpoint.at, endpoint.baseline))
    seen = seen & np.isfinite(now[:, 0]) & np.isfinite(before[:, 0]) & (before[:, 1] == 0)
    n, treated = int(seen.sum()), int((seen & subjects.treated).sum())
    if min(treated, n - treated) < LEAST_PER_ARM:
        reason = (
            f"{treated} and {n - treated} subjects can be analysed in the two arms: below {LEAST_PER_ARM} in each the "
            "paths cannot be told apart. Enrol more."
        )
        return Answer(QUESTION, quantity, METHOD, n, reason=reason)
    error = marker_error(protocol, tables, subjects)
    if error is None:
        return Answer(
            QUESTION, quantity, METHOD, n, reason="No subject has two readings of one visit: the error is not known."
        )
    value, limit = censored(now)
    fit = mediate(
        y[:, 0],
        value,
        subjects.treated,
        covariates,
        error=error.variance,
        error_df=error.df,
        baseline=before[:, 0],
        limit=limit,
        observed=seen,
        alpha=alpha,
    )
    return _answer(protocol, quantity, fit, error, y[seen, 0], alpha)


def _answer(
    protocol: Protocol, quantity: str, fit: Mediation, error: MarkerError, outcome: Array, alpha: float
) -> Answer:
    found, n = numbers(fit.indirect), len(outcome)
    companions = [
        Companion("total effect", "analysis of covariance of the same subjects", n, **numbers(fit.total)),
        Companion("direct effect", "total minus indirect", n, **numbers(fit.direct)),
        Companion("treatment on the true log marker", "first path", n, **numbers(fit.to_mediator)),
        Companion("true log marker on the endpoint", "second path, at given arm and baseline", n, **numbers(fit.slope)),
    ]
    guards = [] if np.isfinite(error.persistence) else [SESSION_ONLY]
    method = f"{METHOD}; error variance {error.variance:.3f} ({error.df:.0f} df) from {error.source}"
    if fit.indirect.status[0] == Status.ERROR_DOMINATES:
        found["reason"] = DOMINATED
    if "reason" in found:
        return Answer(QUESTION, quantity, method, n, guards=guards, **found)
    e, e_limit = e_value(found["estimate"], float(np.std(outcome, ddof=1)), float(fit.indirect.se[0]))
    facts: dict[str, float | None] = {
        "reliability": float(fit.reliability[0]),
        "vanishing_correlation": float(fit.vanishing_correlation[0]),
        "e_value": float(e),
        "e_value_limit": float(e_limit),
        "error_sd": float(np.sqrt(error.variance)),
    }
    grid = correlation_sensitivity(fit, CORRELATIONS, alpha=alpha)
    rows: list[Row] = [
        {"correlation": rho, **numbers(Effect(*(part[0, i] for part in vars(grid).values())))}
        for i, rho in enumerate(CORRELATIONS)
    ]
    reading = _reading(protocol, fit, facts, alpha)
    more: Row = {"companions": companions, "series": {"correlation": rows}, "facts": facts, "guards": guards}
    return Answer(QUESTION, quantity, method, n, reading=reading, **found, **more)


def _reading(protocol: Protocol, fit: Mediation, facts: dict[str, float | None], alpha: float) -> str:
    """What the indirect effect allows to say: never more than that it is consistent with a path."""
    better = Instrument.load(protocol.endpoints.relieved.measure).better
    rho = f"{facts['vanishing_correlation']:.2f}".replace("-", "−")
    fragile = (
        f"An unmeasured cause of both that correlates their errors by {rho} would leave nothing of it (E-value "
        f"{facts['e_value']:.1f}, of the limit {facts['e_value_limit']:.1f})."
    )
    if fit.indirect.p[0] >= alpha:
        return f"Neither evidence for a path through the marker nor against one. {fragile}"
    if (fit.indirect.estimate[0] < 0) != (better == "lower"):
        return f"The part through the marker makes the endpoint worse: not consistent with relief through it. {fragile}"
    if not path_shown(fit.indirect, fit.total, alpha)[0]:
        return f"No relief is shown in these subjects that could run through the marker. {fragile}"
    return f"Consistent with relief through the marker, which a trial that randomises treatment cannot show. {fragile}"
