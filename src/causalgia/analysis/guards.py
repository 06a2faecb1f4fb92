"""What would mislead a reader of a trial's answers, computed from its tables: gate, limits, both sides, the assay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from causalgia.analysis.censored import censored_mean
from causalgia.analysis.mediated import marker_error
from causalgia.analysis.tables import Subjects, visit_values
from causalgia.documents import Drug, Instrument, Protocol

Tables = dict[str, pl.DataFrame]
HEAVY = 0.3
"""Share of readings below the limit above which the likelihood leans on its normal tails."""


class Regression(NamedTuple):
    """Ratios of geometric means, baseline over gate, of those who passed: as read, and by regression alone."""

    n: int
    seen: float
    expected: float | None


def regression_to_the_mean(protocol: Protocol, tables: Tables, subjects: Subjects) -> Regression | None:
    """How much lower those who passed the gate read before any treatment, and how much of it chance alone predicts.

    expected = exp(−(1 − ρ)(m_passed − m)): ρ the persistence of a distance from the mean between the two visits, m the
    mean log reading of all screened, censored at the limit, m_passed that of those who passed. None without a gate.
    """
    gate = protocol.gate
    if gate is None:
        return None
    instrument, endpoint = Instrument.load(gate.measure), protocol.endpoints.lowered
    screened = visit_values(tables, instrument, gate.side, gate.at)
    again = visit_values(tables, instrument, gate.side, endpoint.baseline)
    passed = [name for name, low in zip(subjects.ids, subjects.low, strict=True) if not low]
    both = [name for name in passed if name in screened and name in again]
    if not both:
        return None
    first, second = (np.array([values[name][0] for name in both]) for values in (screened, again))
    everybody = np.array(list(screened.values()))
    limit = np.where(everybody[:, 1] > 0, everybody[:, 0], -np.inf)
    centre = censored_mean(everybody[:, 0], limit).mean.estimate[0]
    error = marker_error(protocol, tables, subjects)
    expected = None
    if error is not None and np.isfinite(error.persistence) and np.isfinite(centre):
        expected = float(np.exp(-(1 - error.persistence) * (first.mean() - centre)))
    return Regression(len(both), float(np.exp((second - first).mean())), expected)


def gate_guards(protocol: Protocol, tables: Tables, subjects: Subjects) -> list[str]:
    """That the gate's sample is no baseline, and what regression to the mean did to those it let through."""
    gate = protocol.gate
    if gate is None:
        return []
    baseline = protocol.endpoints.lowered.baseline
    texts = [
        f"The sample of week {gate.at:g} decided the gate and is not used again: baseline is week {baseline:g}, "
        "measured anew."
    ]
    found = regression_to_the_mean(protocol, tables, subjects)
    if found is None:
        return texts
    text = (
        f"Regression to the mean: the {found.n} who passed the gate read {_lower(found.seen)} at week {baseline:g}, "
        "before any treatment"
    )
    if found.expected is not None:
        text += f"; chance selection alone predicts {_lower(found.expected)}"
    return [*texts, f"{text}. A fall from the gate's value is no effect."]


def _lower(ratio: float) -> str:
    return f"{abs(1 - ratio):.0%} {'lower' if ratio <= 1 else 'higher'}"


def limit_guards(below: np.ndarray, seen: np.ndarray, treated: np.ndarray) -> list[str]:
    """That many readings are only known to lie below their limit."""
    shares = [float(below[seen & arm].mean()) if (seen & arm).any() else 0.0 for arm in (treated, ~treated)]
    overall = float(below[seen].mean()) if seen.any() else 0.0
    if max(overall, *shares) <= HEAVY:
        return []
    return [
        f"{shares[0]:.0%} of readings on treatment and {shares[1]:.0%} on control lie below the limit: the ratio leans "
        "on the tails of the normal law; the rank test beside it does not."
    ]


def assay_guards(protocol: Protocol) -> list[str]:
    """What the assay reads of target that a drug has bound."""
    instrument = Instrument.load(protocol.endpoints.lowered.measure)
    names = {course.drug for course in protocol.arms[protocol.treatment].courses}
    binders = [drug for drug in map(Drug.load, sorted(name for name in names if name)) if drug.binding]
    if not binders or instrument.reads is None:
        return []
    share = instrument.reads.typical
    said = " (assumed)" if instrument.reads.assumed else ""
    drugs = " and ".join(drug.name for drug in binders)
    what = "free TNF alone" if share == 0 else f"{share:.0%} of drug-bound TNF as TNF"
    meant = (
        "an assay that reads bound TNF too would show no fall, or a rise, where the drug works"
        if share == 0
        else "a reading that stays, or rises, does not say that the drug failed to bind"
    )
    return [f"{instrument.title} is taken to read {what}{said}, and {drugs} binds it: {meant}."]


def side_guards(protocol: Protocol) -> list[str]:
    """That a ratio of sides cannot see what is raised on both."""
    if "contralateral" not in protocol.schedule[protocol.endpoints.lowered.measure].sides:
        return []
    return [
        "A ratio of sides misses TNF that is raised on both: compare the levels with people without the condition, "
        "whom these tables do not hold."
    ]
