"""Comparable outcomes of one drug in one condition: each trial's effect, and the pooled one where it has a meaning."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from causalgia.analysis.pooling import Pooled, pool
from causalgia.documents.errors import InputError
from causalgia.evidence.base import Evidence
from causalgia.evidence.effects import Effect, Left, effect, findings
from causalgia.evidence.words import RANDOMISED

FEWEST, FEWEST_PREDICTED = 2, 3
ABOUT = ("size", "population", "treatment", "course", "parameter", "pharmacokinetics")
"""Measures that tell of the study or the drug, not of an effect."""


@dataclass(frozen=True)
class Comparison:
    """What trials say of a drug, a condition and a measure.

    `effects` are on one `scale` (ratios as natural logarithms), one a trial; `left` are studies without one, and why.
    `pooled` is None where `refusal` says why; `caution` says what a pooled effect does not have.
    """

    drug: str
    condition: str
    measure: str
    scale: str
    effects: tuple[Effect, ...]
    left: tuple[Left, ...]
    pooled: Pooled | None
    refusal: str
    caution: str

    @property
    def ratio(self) -> bool:
        """Whether the effects are logarithms of ratios."""
        return self.scale.endswith("ratio")


def compare(
    evidence: Evidence, drug: str, condition: str | None = None, measure: str | None = None, *, method: str = "REML"
) -> Comparison:
    """The effects of a drug (or class) on a measure, pooled with random effects and Hartung-Knapp from two trials on.

    Without a measure, the first of `measures`. A trial counts once, whatever the reports; its doses
    stand together against their control. The Hartung-Knapp interval is never let be narrower than the normal one.
    Raises InputError for unknown words and where no study reports the measure.
    """
    if measure is None:
        measure = next(iter(measures(evidence, drug, condition)), None)
    if measure is None:
        where = f"--drug {drug}" + (f" --condition {condition}" if condition else "")
        raise InputError(
            where, "no study", "a drug and a condition that evidence list shows together", "Choose others."
        )
    key = evidence.words.measure(measure)
    drugs = evidence.words.drug(drug)
    if all(evidence.words.drugs[name].control for name in drugs):
        raise InputError("--drug", repr(drug), "a treatment: controls are what it is compared with", "Choose another.")
    studies = [study for study in evidence.select(drug, condition, key) if findings(study, drugs, key)]
    if not studies:
        known = sorted({outcome.measure for study in evidence.select(drug, condition) for outcome in study.outcomes})
        where = f"--drug {drug}" + (f" --condition {condition}" if condition else "") + f" --outcome {measure}"
        raise InputError(where, "no study", f"an outcome that these studies report: {', '.join(known)}", "Choose one.")
    found = [effect(study, drugs, key, evidence.words) for study in studies]
    effects, left = _once([item for item in found if isinstance(item, Effect)])
    effects, other = _one_scale(effects)
    left = [*(item for item in found if isinstance(item, Left)), *left, *other]
    scale = effects[0].scale if effects else ""
    pooled, refusal, caution = _pooled(effects, condition, method)
    return Comparison(
        drug, condition or "", key, scale, tuple(effects), tuple(_by_weight(left)), pooled, refusal, caution
    )


def measures(evidence: Evidence, drug: str, condition: str | None = None) -> list[str]:
    """What studies of a drug measured, those first that most trials have an effect on, then most randomised people."""
    drugs = evidence.words.drug(drug)
    effects: Counter[str] = Counter()
    people: Counter[str] = Counter()
    for study in evidence.select(drug, condition):
        for measure in dict.fromkeys(outcome.measure for outcome in study.outcomes if outcome.measure not in ABOUT):
            if findings(study, drugs, measure):
                effects[measure] += isinstance(effect(study, drugs, measure, evidence.words), Effect)
                people[measure] += (study.n or 0) if study.type in RANDOMISED else 0
    return sorted(effects, key=lambda measure: (-effects[measure], -people[measure]))


def _once(effects: list[Effect]) -> tuple[list[Effect], list[Left]]:
    """One report a trial, the largest; the rest are left, with the reason."""
    best: dict[str, Effect] = {}
    for item in effects:
        name = item.study.trial or item.study.key
        if name not in best or (item.n or 0) > (best[name].n or 0):
            best[name] = item
    kept = set(map(id, best.values()))
    left = [
        Left(item.study, item.outcome, f"the same trial as {best[item.study.trial].study.key}", False)
        for item in effects
        if id(item) not in kept
    ]
    return [item for item in effects if id(item) in kept], left


def _one_scale(effects: list[Effect]) -> tuple[list[Effect], list[Left]]:
    """Effects on the scale that most have; the others cannot be pooled with them."""
    if not effects:
        return [], []
    scale = Counter(item.scale for item in effects).most_common(1)[0][0]
    left = [
        Left(item.study, item.outcome, f"on another scale ({item.scale})", False)
        for item in effects
        if item.scale != scale
    ]
    return [item for item in effects if item.scale == scale], left


def _pooled(effects: list[Effect], condition: str | None, method: str) -> tuple[Pooled | None, str, str]:
    k = len(effects)
    if k == 0:
        return None, "no trial has an effect with its error here: there is nothing to pool", ""
    if k < FEWEST:
        reason = (
            "one trial (k = 1): its own interval is all there is; how much trials differ cannot be seen in one, "
            "so neither a pooled effect nor a prediction interval is given"
        )
        return None, reason, ""
    places = sorted({place for item in effects for place in item.study.conditions})
    shared = set.intersection(*(set(item.study.conditions) for item in effects))
    if condition is None and not shared:
        return None, f"the trials are of different conditions ({', '.join(places)}): give --condition", ""
    y, v = [item.y for item in effects], [item.se**2 for item in effects]
    pooled = pool(y, v, method=method, at_least_wald=True)
    caution = "" if k >= FEWEST_PREDICTED else "no prediction interval: it needs three trials"
    return pooled, "", caution


def _by_weight(left: list[Left]) -> list[Left]:
    """Null trials first, then randomised ones, larger before smaller."""
    return sorted(left, key=lambda item: (not item.null, "randomised" in item.reason, -(item.study.n or 0)))
