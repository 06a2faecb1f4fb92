"""Studies, claims and comparisons as plain dictionaries, for JSON, the report and the app."""

from __future__ import annotations

from dataclasses import asdict
from math import exp, isfinite
from typing import TYPE_CHECKING, Any

from causalgia.evidence.base import Evidence
from causalgia.evidence.claims import Claim, reason
from causalgia.evidence.figures import figure
from causalgia.evidence.schemas import Study

if TYPE_CHECKING:
    from causalgia.evidence.compare import Comparison

Json = dict[str, Any]


def study_table(study: Study, outcomes: bool = True) -> Json:
    """A study as its file gives it, with its key, size and drugs; without its path."""
    hidden = {"path", "kind"} | (set() if outcomes else {"outcomes"})
    table = study.model_dump(mode="json", exclude=hidden, exclude_none=True)
    return {"n": study.n, "drugs": list(study.drugs), **table}


def claim_table(claim: Claim, evidence: Evidence) -> Json:
    """A claim with its reason's figures filled in."""
    return {**claim.model_dump(mode="json"), "reason": reason(claim, evidence)}


def comparison_table(comparison: Comparison, evidence: Evidence) -> Json:
    """The effects on their own scale (ratios not as logarithms), what is left, and the pooled effect or why none."""

    def shown(value: float) -> float | None:
        return None if not isfinite(value) else exp(value) if comparison.ratio else value

    pooled = None
    if comparison.pooled is not None:
        pooled = {
            key: None if isinstance(x, float) and not isfinite(x) else x for key, x in asdict(comparison.pooled).items()
        }
        for key in ("estimate", "lower", "upper", "prediction_lower", "prediction_upper"):
            pooled[key] = shown(getattr(comparison.pooled, key))
    effects = [
        {
            "study": item.study.key,
            "outcome": item.outcome.id,
            "arms": item.arms,
            "time": item.outcome.time,
            "estimate": shown(item.y),
            "lower": shown(item.ends[0]),
            "upper": shown(item.ends[1]),
            "y": item.y,
            "se": item.se,
            "n": item.n,
            "from": item.how,
        }
        for item in comparison.effects
    ]
    left = [
        {
            "study": item.study.key,
            "outcome": item.outcome.id,
            "n": item.study.n,
            "null": item.null,
            "reason": item.reason,
            "found": figure(item.outcome, evidence.words),
        }
        for item in comparison.left
    ]
    return {
        "drug": comparison.drug,
        "condition": comparison.condition,
        "measure": comparison.measure,
        "scale": comparison.scale,
        "effects": effects,
        "not_pooled": left,
        "pooled": pooled,
        "refusal": comparison.refusal,
        "caution": comparison.caution,
    }
