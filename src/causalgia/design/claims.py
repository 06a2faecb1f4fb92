"""How often replicate trials would claim that relief runs through the marker, and how far from the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from causalgia.analysis.estimates import Status
from causalgia.analysis.mediated import refusal
from causalgia.analysis.mediation import LEAST_PER_ARM, mediate, path_shown
from causalgia.analysis.visit_error import visit_error
from causalgia.design.plan import Potential
from causalgia.design.reveal import Seen
from causalgia.documents import Drug, Protocol

# Replicates of a batch whose paths are fitted: the share of 20 times 40 trials has an error of 1.8 % at most.
REPLICATES = 40
NAMES = ("mediated", "mediated_failed", "mediated_truth", "mediated_bias")
ENOUGH = 0.5


class Case(NamedTuple):
    """What worlds that agree on both endpoints have in common: potential outcomes, the symptoms' rule, recruits."""

    lowered: Potential
    relieved: Potential
    rule: str
    seen: Seen


class _Paths(NamedTuple):
    """What the paths of replicate trials are fitted to: arrays (replicate, slot), covariates (replicate, slot, p),
    `variance` and `df` of the marker's error (replicate, size), and each subject's true indirect effect.
    """

    outcome: np.ndarray
    marker: np.ndarray
    treated: np.ndarray
    covariates: np.ndarray
    before: np.ndarray
    limit: np.ndarray
    usable: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    effects: np.ndarray


def mediation_claims(protocol: Protocol, cases: list[Case]) -> list[dict[str, np.ndarray]]:
    """`NAMES` by size for each case, over the first `REPLICATES` of the batch.

    NaN where the design is refused, and at sizes at which most trials cannot analyse 20 in each arm. The natural
    indirect effect is known where the treated would show what control shows were their marker that of control: for
    drugs that bind the marker and do nothing else it is the whole effect, and none where relief goes another way or
    does not come (`rule` of the symptoms "shift" or "control").
    """
    sizes = protocol.evaluation.sizes
    tables = [{name: np.full(len(sizes), np.nan) for name in NAMES} for _ in cases]
    large = [j for j, size in enumerate(sizes) if size >= 2 * LEAST_PER_ARM]
    if refusal(protocol) or not large:
        return tables
    parts = [_paths(protocol, case) for case in cases]
    paths = _Paths(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    ends = np.cumsum([len(part.outcome) for part in parts])
    for j in large:
        found = _fit(protocol, paths, j)
        for table, *case in zip(tables, *(np.split(column, ends[:-1]) for column in found), strict=True):
            for name, value in zip(NAMES, _claims(*case), strict=True):
                table[name][j] = value
    return tables


def _paths(protocol: Protocol, case: Case) -> _Paths:
    seen = case.seen.first(REPLICATES)
    marker, outcome = seen.values(protocol, case.lowered), seen.values(protocol, case.relieved)
    variance, df = _error(protocol, case.lowered, seen)
    return _Paths(
        outcome.now.value,
        marker.now.value,
        seen.recruited.treated,
        outcome.covariates,
        marker.before.value,
        np.where(marker.now.below, marker.now.value, -np.inf),
        marker.stayed & outcome.stayed & ~marker.before.below,
        variance,
        df,
        _indirect(protocol, case.relieved, case.rule)[seen.recruited.person],
    )


def _fit(protocol: Protocol, paths: _Paths, j: int) -> tuple[np.ndarray, ...]:
    """At size j (replicate,): status of the indirect effect, whether a path is claimed, estimate and truth."""
    part = (slice(None), slice(0, protocol.evaluation.sizes[j]))
    variance, df = paths.variance[:, j : j + 1], paths.df[:, j : j + 1]
    known = np.isfinite(variance)
    alpha = protocol.evaluation.alpha
    fit = mediate(
        paths.outcome[part],
        paths.marker[part],
        paths.treated[part],
        paths.covariates[part],
        error=np.where(known, variance, 0.0),
        error_df=np.where(known, df, np.inf),
        baseline=paths.before[part],
        limit=paths.limit[part],
        observed=paths.usable[part] & known,
        alpha=alpha,
        limits=False,
    )
    claimed = path_shown(fit.indirect, fit.total, alpha)[:, 0]
    return fit.indirect.status[:, 0], claimed, fit.indirect.estimate[:, 0], paths.effects[part].mean(axis=1)


def _claims(status: np.ndarray, claimed: np.ndarray, estimate: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """`NAMES` of the replicates of one case and size."""
    tried = ~np.isin(status, (Status.ARM_TOO_SMALL, Status.NO_ARM, Status.TOO_FEW))
    if tried.mean() < ENOUGH:
        return (np.nan,) * len(NAMES)
    known, mean = np.isfinite(estimate), truth.mean()
    bias = np.median(estimate[known]) - mean if known.any() else np.nan
    return claimed[tried].mean(), (~known[tried]).mean(), mean, bias


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
