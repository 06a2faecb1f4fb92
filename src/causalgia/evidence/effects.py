"""A study's finding as an effect with its standard error, drug against control; or why it has none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isclose, log, sqrt
from statistics import NormalDist

from causalgia.analysis.effect_sizes import effect_sizes
from causalgia.evidence.schemas import ALL, Outcome, Study
from causalgia.evidence.words import DIFFERENCE, RANDOMISED, RATIO, Words

ODDS = "odds ratio"
Z = NormalDist().inv_cdf(0.975)
LARGEST_P = 0.2
"""Above it the standard error |effect|/z hangs on the rounding of p and on which test gave it."""


@dataclass(frozen=True)
class Effect:
    """An effect of a drug against control: y with standard error se, on a linear scale or as a natural logarithm.

    `scale` names what can be pooled with it; `how` says where the standard error comes from.
    """

    study: Study
    outcome: Outcome
    arms: str
    scale: str
    y: float
    se: float
    n: int | None
    how: str
    published: tuple[float, float] | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The 95 % interval, as published where there is one."""
        return self.published or (self.y - Z * self.se, self.y + Z * self.se)

    @property
    def ratio(self) -> bool:
        """Whether y is a logarithm of a ratio."""
        return self.scale.endswith("ratio")


@dataclass(frozen=True)
class Left:
    """A study that is not pooled: why, what it found, and whether that was no difference."""

    study: Study
    outcome: Outcome
    reason: str
    null: bool


def effect(study: Study, drugs: tuple[str, ...], measure: str, words: Words) -> Effect | Left:
    """The effect of `drugs` on `measure` in a study that has findings of them, or why there is none to pool."""
    found = sorted(findings(study, drugs, measure), key=lambda outcome: not outcome.primary)
    shown = next((outcome for outcome in found if outcome.versus), found[0])
    if study.type == "review":
        return Left(study, shown, "a review: it counts trials that others count too", False)
    if study.type not in RANDOMISED:
        return Left(study, shown, f"not randomised ({study.type})", False)
    made = list(_effects(study, found, drugs, words))
    if made:
        return made[0]
    reason = _why_not(study, found, drugs, words)
    return Left(study, shown, reason, reason.startswith("null"))


def findings(study: Study, drugs: tuple[str, ...], measure: str) -> list[Outcome]:
    """What a study found on a measure, of arms with these drugs or of everybody."""
    arms = {arm.name for arm in study.arms if arm.drug in drugs} | {ALL}
    return [
        outcome for outcome in study.outcomes if outcome.measure == measure and {outcome.arm, outcome.versus} & arms
    ]


def is_control(study: Study, name: str, words: Words) -> bool:
    """Whether an arm of a study is a control."""
    arm = study.arm(name)
    return arm is not None and arm.drug in words.drugs and words.drugs[arm.drug].control


def _effects(study: Study, found: list[Outcome], drugs: tuple[str, ...], words: Words) -> Iterator[Effect]:
    """Published comparisons with control first, then those that two arms' numbers give."""
    treated = {arm.name for arm in study.arms if arm.drug in drugs}
    for outcome in found:
        if outcome.versus:
            turned = outcome.versus in treated
            control = outcome.arm if turned else outcome.versus
            if is_control(study, control, words) and (made := _published(study, outcome, turned, words)):
                yield made
    for outcome in found:
        if outcome.arm in treated and not outcome.versus:
            control_outcome = _partner(study, outcome, words)
            if control_outcome is not None and (made := _pair(study, outcome, control_outcome, treated, words)):
                yield made


def _published(study: Study, outcome: Outcome, turned: bool, words: Words) -> Effect | None:
    if outcome.value is None or outcome.kind not in (DIFFERENCE, RATIO):
        return None
    unit = words.units.get(outcome.unit)
    factor = unit.per if unit else 1.0
    log_scale = outcome.kind == RATIO
    y = log(outcome.value) if log_scale else outcome.value * factor
    z = NormalDist().inv_cdf(0.5 + outcome.level / 200)
    published: tuple[float, float] | None = None
    if outcome.interval is not None:
        low, high = (log(x) if log_scale else x * factor for x in outcome.interval)
        published = ((-high, -low) if turned else (low, high)) if outcome.level == 95 else None
        se, how = (high - low) / (2 * z), f"{outcome.level:g} % interval"
    elif outcome.se is not None and not log_scale:
        se, how = outcome.se * factor, "standard error"
    elif (from_p := _se_from_p(y, outcome.p)) is not None:
        se, how = from_p, f"p {outcome.p}"
    else:
        return None
    scale = outcome.stat if log_scale else (unit.scale if unit and unit.scale else outcome.unit)
    sign = -1 if turned else 1
    return Effect(study, outcome, f"{outcome.arm} vs {outcome.versus}", scale, sign * y, se, outcome.n, how, published)


def _se_from_p(y: float, p: str | None) -> float | None:
    """|y|/z of a two-sided p that is given exactly (Cochrane Handbook, 6.3.2 and 6.5.2.3)."""
    if p is None or p[0] not in "0." or not 0 < float(p) <= LARGEST_P or y == 0:
        return None
    return abs(y) / NormalDist().inv_cdf(1 - float(p) / 2)


def _partner(study: Study, outcome: Outcome, words: Words) -> Outcome | None:
    """The same finding in the control arm."""
    return next(
        (
            other
            for other in study.outcomes
            if (other.what, other.time, other.stat, other.unit)
            == (outcome.what, outcome.time, outcome.stat, outcome.unit)
            and not other.versus
            and is_control(study, other.arm, words)
        ),
        None,
    )


def _pair(study: Study, outcome: Outcome, control: Outcome, treated: set[str], words: Words) -> Effect | None:
    if outcome.stat == "proportion":
        return _odds(study, outcome, control, treated)
    if outcome.stat in ("mean", "mean change"):
        return _means(study, outcome, control, words)
    return None


def counts(outcome: Outcome) -> tuple[int, int] | None:
    """Events and size; events from a percentage where one whole number alone gives it."""
    if outcome.n is None:
        return None
    if outcome.events is not None:
        return outcome.events, outcome.n
    if outcome.value is None:
        return None
    events = round(outcome.value * outcome.n / 100)
    digits = len(f"{outcome.value:.10g}".partition(".")[2])
    again = 100 * events / outcome.n
    return (events, outcome.n) if abs(again - outcome.value) <= 0.5 * 10**-digits + 1e-9 else None


def _odds(study: Study, outcome: Outcome, control: Outcome, treated: set[str]) -> Effect | None:
    """The log odds ratio: doses of one trial together against their one control, or the two percentages and their p."""
    doses = [
        other
        for other in study.outcomes
        if (other.what, other.time, other.stat) == (outcome.what, outcome.time, outcome.stat)
        and other.arm in treated
        and not other.versus
    ]
    arms = f"{' + '.join(dose.arm for dose in doses)} vs {control.arm}"
    cells, right = [counts(dose) for dose in doses], counts(control)
    if right is not None and all(cells):
        left = [cell for cell in cells if cell]
        a, n1 = sum(cell[0] for cell in left), sum(cell[1] for cell in left)
        y, v = effect_sizes("log-odds-ratio", (a, n1), right)
        se = sqrt(float(v))
        return Effect(study, outcome, arms, ODDS, float(y), se, n1 + right[1], f"{a}/{n1} vs {right[0]}/{right[1]}")
    shares = [dose.percent for dose in (outcome, control)]
    if len(doses) > 1 or any(share is None or not 0 < share < 100 for share in shares):
        return None
    one, two = (share / 100 for share in shares if share is not None)
    log_ratio = log(one / (1 - one)) - log(two / (1 - two))
    from_p = _se_from_p(log_ratio, outcome.p)
    if from_p is None:
        return None
    how = f"{100 * one:g} % vs {100 * two:g} %, p {outcome.p}"
    return Effect(study, outcome, arms, ODDS, log_ratio, from_p, study.n, how)


def _means(study: Study, outcome: Outcome, control: Outcome, words: Words) -> Effect | None:
    one, two = _score(outcome), _score(control)
    if one is None or two is None:
        return None
    unit = words.units[outcome.unit]
    y, v = effect_sizes("mean-difference", one, two)
    arms, scale = f"{outcome.arm} vs {control.arm}", unit.scale or outcome.unit
    n = int(one[2] + two[2])
    return Effect(study, outcome, arms, scale, float(y) * unit.per, sqrt(float(v)) * unit.per, n, "means and SDs")


def _score(outcome: Outcome) -> tuple[float, float, int] | None:
    """Mean, SD and size of an arm, where all are known."""
    if outcome.value is None or outcome.n is None or (outcome.sd is None and outcome.se is None):
        return None
    sd = outcome.sd if outcome.sd is not None else (outcome.se or 0.0) * sqrt(outcome.n)
    return outcome.value, sd, outcome.n


def _why_not(study: Study, found: list[Outcome], drugs: tuple[str, ...], words: Words) -> str:
    """The first thing that keeps a randomised study from having an effect here."""
    treated = {arm.name for arm in study.arms if arm.drug in drugs}
    if not any(is_control(study, arm.name, words) for arm in study.arms):
        others = [arm.name for arm in study.arms if arm.name not in treated]
        return f"no placebo or untreated arm{f', only {others[0]}' if others else ''}"
    if any(outcome.null for outcome in found):
        return "null, no number published here"
    pairs = [(outcome, _partner(study, outcome, words)) for outcome in found if outcome.arm in treated]
    shares = [pair for pair in pairs if pair[1] is not None and pair[0].stat == "proportion"]
    if shares:
        one, two = shares[0]
        assert two is not None
        if one.value is not None and two.value is not None and isclose(one.value, two.value):
            return f"null, {one.value:g} % in both arms, but no sizes of the arms here"
        if one.n and two.n:
            return "percentages that no whole numbers of patients give"
        return "percentages without the sizes of both arms or an exact small p"
    if any(pair[1] is not None and pair[0].stat == "count" for pair in pairs):
        return "counts without the sizes of the arms"
    if any(pair[1] is not None for pair in pairs):
        return "means without a standard deviation, or without the sizes of the arms"
    if all(outcome.kind == "words" for outcome in found):
        return "words only, no number published here"
    return "no difference from control with its error"
