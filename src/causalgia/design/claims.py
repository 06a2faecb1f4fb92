"""How often replicate trials would claim that relief runs through the marker, and how far from the truth."""

from __future__ import annotations

import numpy as np

from causalgia.analysis.estimates import Status
from causalgia.analysis.mediated import refusal
from causalgia.analysis.mediation import LEAST_PER_ARM, mediate
from causalgia.analysis.visit_error import visit_error
from causalgia.design.plan import Potential
from causalgia.design.reveal import Seen
from causalgia.documents import Drug, Protocol

# Replicates of a batch whose paths are fitted: a claim is a share, and its error is the smaller for no more than this.
REPLICATES = 60
NAMES = ("mediated", "mediated_failed", "mediated_truth", "mediated_bias")
ENOUGH = 0.5


def mediation_claims(
    protocol: Protocol, lowered: Potential, relieved: Potential, rule: str, seen: Seen
) -> dict[str, np.ndarray]:
    """`NAMES` by size, over the first `REPLICATES` of the batch.

    NaN where the design is refused, and at sizes at which most trials cannot analyse 20 in each arm. The natural
    indirect effect is known where the treated would show what control shows were their marker that of control: for
    drugs that bind the marker and do nothing else it is the whole effect, and none where relief goes another way or
    does not come (`rule` of the symptoms "shift" or "control").
    """
    sizes = protocol.evaluation.sizes
    table = {name: np.full(len(sizes), np.nan) for name in NAMES}
    if refusal(protocol):
        return table
    seen = seen.first(REPLICATES)
    marker, outcome = seen.values(protocol, lowered), seen.values(protocol, relieved)
    limit = np.where(marker.now.below, marker.now.value, -np.inf)
    usable = marker.stayed & outcome.stayed & ~marker.before.below
    effects = _indirect(protocol, relieved, rule)[seen.recruited.person]
    variance, df = _error(protocol, lowered, seen)
    for j, size in enumerate(sizes):
        if size < 2 * LEAST_PER_ARM:
            continue
        part, found = (slice(None), slice(0, size)), np.isfinite(variance[:, j : j + 1])
        fit = mediate(
            outcome.now.value[part],
            marker.now.value[part],
            seen.recruited.treated[part],
            outcome.covariates[part],
            error=np.where(found, variance[:, j : j + 1], 0.0),
            error_df=np.where(found, df[:, j : j + 1], np.inf),
            baseline=marker.before.value[part],
            limit=limit[part],
            observed=usable[part] & found,
            alpha=protocol.evaluation.alpha,
            limits=False,
        ).indirect
        status, p, estimate = fit.status[:, 0], fit.p[:, 0], fit.estimate[:, 0]
        tried = ~np.isin(status, (Status.ARM_TOO_SMALL, Status.NO_ARM, Status.TOO_FEW))
        if tried.mean() < ENOUGH:
            continue
        known = np.isfinite(estimate)
        table["mediated"][j] = (p[tried] < protocol.evaluation.alpha).mean()
        table["mediated_failed"][j] = (~known[tried]).mean()
        table["mediated_truth"][j] = effects[:, :size].mean()
        if known.any():
            table["mediated_bias"][j] = np.median(estimate[known]) - table["mediated_truth"][j]
    return table


def _error(protocol: Protocol, lowered: Potential, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """The marker's error variance and its degrees of freedom (replicate, size), as an analysis would find them."""
    sizes, endpoint = protocol.evaluation.sizes, lowered.endpoint
    if lowered.earlier is not None:
        week, latent = lowered.earlier
        first = seen.at(protocol, lowered, np.stack([latent, latent]), week)
        second = seen.at(protocol, lowered, lowered.baseline, endpoint.baseline)
        found = visit_error(first.value, second.value, observed=~first.below & ~second.below, sizes=sizes)
        return found.variance, found.df
    readings = seen.readings(protocol, lowered, lowered.baseline, endpoint.baseline)
    known, replicates = ~readings.below.any(axis=0), len(readings.value)
    at = np.array(sizes) - 1
    count = np.cumsum(known, axis=1)[:, at]
    spread = np.cumsum(np.where(known, readings.value.var(axis=0, ddof=1), 0.0), axis=1)[:, at]
    return np.where(count > 0, spread / np.maximum(count, 1), np.nan) / replicates, count * (replicates - 1.0)


def _indirect(protocol: Protocol, relieved: Potential, rule: str) -> np.ndarray:
    """Each person's natural indirect effect, (person,); NaN where it is not known."""
    if rule == "shift":
        return np.zeros_like(relieved.effect)
    names = {course.drug for arm in protocol.arms.values() for course in arm.courses if course.drug}
    pure = not any(Drug.load(name).effects for name in sorted(names))
    return relieved.effect if pure or rule == "control" else np.full_like(relieved.effect, np.nan)
