"""Who should be spared? The effect in groups, and along the true marker at baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from causalgia.analysis.answer import Answer, Companion, Row, numbers
from causalgia.analysis.estimates import Status
from causalgia.analysis.mediated import SESSION_ONLY, marker_error
from causalgia.analysis.relieved import Values, responds, values_of
from causalgia.analysis.spared import UNLIKELY, Gradient, difference_of_effects, effect_by_biomarker
from causalgia.analysis.tables import Subjects
from causalgia.documents import Instrument, Protocol
from causalgia.documents.units import factor

Tables = dict[str, pl.DataFrame]
QUESTION = "Who should be spared?"
METHOD = "difference of two analyses of covariance, Welch's degrees of freedom"
LOW_MINUS_HIGH = "low TNF minus effect with high TNF"
POINTS = 41
Found = dict[str, Any]


def spared(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """How the effect differs between the groups compared, and below which marker a relevant gain is unlikely."""
    compared = protocol.compared
    groups = "long minus effect with short duration" if compared and compared.by == "duration" else LOW_MINUS_HIGH
    quantity = f"effect with {groups}, clinical endpoint"
    if compared is None or protocol.single_arm:
        return Answer(QUESTION, quantity, METHOD, 0, reason=_refusal(protocol))
    group = subjects.low if compared.by == "gate" else subjects.duration > compared.cut_days
    values = values_of(protocol, tables, subjects)
    responder = protocol.endpoints.relieved.responder
    value, instrument = values.value, Instrument.load(protocol.endpoints.relieved.measure)
    if responder is not None:
        value = responds(instrument, responder, values).astype(float)
    _, effect = difference_of_effects(
        value, subjects.treated, values.covariates, group, observed=values.seen, alpha=protocol.evaluation.alpha
    )
    more: Found = {}
    if compared.by == "gate" and responder is None and protocol.endpoints.relieved.second is None:
        more = _along(protocol, tables, subjects, values, instrument)
    return Answer(QUESTION, quantity, METHOD, int((values.seen & group).sum()), **numbers(effect), **more)


def _refusal(protocol: Protocol) -> str:
    if protocol.single_arm:
        return "Nobody is a control, so nobody's effect is known, let alone how it differs."
    if protocol.gate is not None:
        return (
            "Nobody below the gate was randomised: the effect there is not identified, whatever was found above it. "
            "A low stratum of a quarter would tell."
        )
    return "Nobody below a gate was randomised as such, so the trial cannot say whom to spare."


def _along(protocol: Protocol, tables: Tables, subjects: Subjects, values: Values, instrument: Instrument) -> Found:
    """The effect along the true log marker at baseline: its slope, its curve, and whom to spare."""
    endpoint, alpha = protocol.endpoints.lowered, protocol.evaluation.alpha
    before = subjects.reading(tables, endpoint, endpoint.baseline)
    seen = values.seen & np.isfinite(before[:, 0]) & (before[:, 1] == 0)
    error = marker_error(protocol, tables, subjects)
    method = "regression calibration of the reading, common slope by arm"
    name, n = "slope of the effect on log marker", int(seen.sum())
    if error is None:
        reason = "No subject has two readings of one visit: the marker's error is not known."
        return {"companions": [Companion(name, method, n, reason=reason)]}
    gradient = effect_by_biomarker(
        values.value,
        subjects.treated,
        before[:, 0],
        values.covariates,
        error=error.variance,
        error_df=error.df,
        observed=seen,
        alpha=alpha,
    )
    companions = [Companion(name, f"{method}; error from {error.source}", n, **numbers(gradient.slope))]
    guards = [] if np.isfinite(error.persistence) else [SESSION_ONLY]
    if gradient.slope.status[0] != Status.OK:
        return {"companions": companions, "guards": guards}
    low, high = np.quantile(before[seen, 0], [0.05, 0.95]).tolist()
    x = np.linspace(low, high, POINTS)
    return {"companions": companions, "guards": guards} | _region(protocol, gradient, x, instrument)


def _region(protocol: Protocol, gradient: Gradient, x: np.ndarray, instrument: Instrument) -> Found:
    """The curve over the middle 90 % of those enrolled, and the marker below which a relevant gain is unlikely."""
    relevant, better = protocol.endpoints.relevant, -1 if instrument.better == "lower" else 1
    least = relevant.typical * factor(relevant.unit, instrument.unit)
    effect, chance = gradient.at(x), gradient.chance_of_benefit(x, least, better=better)[0]
    marker = Instrument.load(protocol.endpoints.lowered.measure)
    parts = zip(x, effect.estimate[0], effect.lower[0], effect.upper[0], chance, strict=True)
    names = ("marker", "estimate", "lower", "upper", "chance")
    rows: list[Row] = [{"marker": float(np.exp(row[0]))} | _named(names[1:], row[1:]) for row in parts]
    unlikely = chance < UNLIKELY
    low, high = (_level(end) for end in (x[0], x[-1]))
    where, limit = f"{low} to {high} {marker.unit}, where 90 % of the readings lay", None
    gain = f"a gain of more than {least:g}"
    if unlikely.all():
        text = f"{gain} has a chance below {UNLIKELY:g} everywhere from {where}: spare them all."
    elif not unlikely.any():
        text = f"{gain} has a chance of {UNLIKELY:g} or more everywhere from {where}: nobody is to be spared for it."
    else:
        limit = float(np.exp(x[unlikely][-1]))
        text = f"{gain} has a chance below {UNLIKELY:g} up to a true marker of {_level(np.log(limit))} {marker.unit}"
        text += f" ({where})."
    text = text[0].upper() + text[1:] + " This assumes that the gain does not fall as the marker rises."
    return {"reading": text, "series": {"gradient": rows}, "facts": {"spare_below": limit, "relevant": least}}


def _named(names: tuple[str, ...], values: tuple[float, ...]) -> Row:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _level(log: float) -> str:
    """A marker to three digits, never in scientific notation."""
    value = float(np.exp(log))
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
