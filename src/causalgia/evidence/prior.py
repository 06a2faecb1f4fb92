"""What control arms did before: a robust meta-analytic-predictive prior for the response of the next one."""

from __future__ import annotations

from dataclasses import dataclass

from causalgia.analysis.map_prior import MapPrior, map_rates
from causalgia.analysis.mixtures import Conflict, Mixture, conflict, effective_sample_size, robustify
from causalgia.documents import InputError
from causalgia.evidence.base import Evidence
from causalgia.evidence.effects import counts, is_control
from causalgia.evidence.schemas import Study
from causalgia.evidence.words import RANDOMISED

FEWEST = 3
VAGUE = 0.2
# Above this divergence the mixture does not follow the exact prior.
POOR_FIT = 0.02


@dataclass(frozen=True)
class Arm:
    """A control arm of a randomised trial: events of n on a measure at a time."""

    study: Study
    name: str
    time: str
    events: int
    n: int


@dataclass(frozen=True)
class ControlPrior:
    """The robust prior of a control response, the arms behind it, and how many subjects it is worth.

    `subjects` is that of the informative part alone.
    """

    arms: list[Arm]
    found: MapPrior
    robust: Mixture
    subjects: float

    def conflict(self, events: int, n: int) -> Conflict:
        """Whether a new control arm contradicts the prior."""
        return conflict(self.robust, events, n)


def control_arms(evidence: Evidence, condition: str, measure: str) -> list[Arm]:
    """The control arms with numbers on a measure: one a randomised trial, its first time.

    A trial counts once, whatever the reports. Raises InputError for an unknown condition.
    """
    arms: dict[str, Arm] = {}
    for study in evidence.select(None, condition):
        if study.type not in RANDOMISED:
            continue
        for outcome in study.outcomes:
            if outcome.measure != measure or outcome.stat != "proportion" or outcome.versus:
                continue
            found = counts(outcome)
            if found is not None and is_control(study, outcome.arm, evidence.words):
                arms.setdefault(study.trial or study.key, Arm(study, outcome.arm, outcome.time, *found))
    return list(arms.values())


def control_prior(evidence: Evidence, condition: str, measure: str, *, vague: float = VAGUE) -> ControlPrior:
    """The robust prior of the control response on a measure.

    Raises InputError, with the count, where fewer than three control arms have numbers.
    """
    arms = control_arms(evidence, condition, measure)
    if len(arms) < FEWEST:
        named = ", ".join(f"{arm.study.key} {arm.events}/{arm.n}" for arm in arms) or "none"
        raise InputError(
            f"--condition {condition} --outcome {measure}",
            f"{len(arms)} control arms with numbers ({named})",
            f"at least {FEWEST}, or how much arms differ cannot be seen",
            "Plan without borrowing.",
        )
    found = map_rates([arm.events for arm in arms], [arm.n for arm in arms])
    return ControlPrior(arms, found, robustify(found.mixture, vague), effective_sample_size(found.mixture))


def prior_lines(prior: ControlPrior, vague: float) -> list[str]:
    """The prior in words: its arms, its mixture, its worth, and how well the mixture fits."""
    lines = [f"{arm.study.key}, {arm.name}, {arm.time}: {arm.events} of {arm.n}" for arm in prior.arms]
    low, high = prior.robust.quantile(0.025), prior.robust.quantile(0.975)
    mixture = prior.found.mixture
    parts = " + ".join(
        f"{w:.2f} Beta({a:.1f}, {b:.1f})" for w, a, b in zip(mixture.weight, mixture.a, mixture.b, strict=True)
    )
    lines += [
        f"Prior of the next control arm: {parts}",
        f"Worth {prior.subjects:.0f} subjects (expected local information ratio); with a vague part of {vague:.0%} its "
        f"mean is {prior.robust.mean:.1%}, 95 % interval {low:.1%} to {high:.1%}.",
    ]
    if prior.found.divergence > POOR_FIT:
        lines.append(f"The arms differ so much that the mixture fits poorly (divergence {prior.found.divergence:.2f}).")
    return lines
