"""Text tables of the evidence that fit a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from math import exp
from typing import TYPE_CHECKING

from causalgia.evidence.base import Evidence
from causalgia.evidence.claims import Claim, reason
from causalgia.evidence.figures import figure, number
from causalgia.evidence.schemas import ALL, Arm, Outcome, Study

if TYPE_CHECKING:
    from causalgia.evidence.compare import Comparison

WIDTH = 80
LABEL = 12
# Outcomes that the lines of design and arms already tell.
TOLD = ("size", "population")


def table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Rows in columns two spaces apart; a cell that is too long is cut, and the last column takes what is left."""
    last = WIDTH - sum(widths) - 2 * len(widths)
    return [
        "  ".join(f"{cut(cell, width):<{width}}" for cell, width in zip(row, (*widths, last), strict=True)).rstrip()
        for row in rows
    ]


def cut(text: str, width: int) -> str:
    """Text of at most `width` characters; a cut is marked."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def listing(studies: Iterable[Study]) -> list[str]:
    """One line a study: key, people, outcomes, kind, conditions and drugs."""
    head = ("study", "n", "found", "design", "conditions: drugs")
    rows = [
        (
            study.key + ("*" if study.own else ""),
            f"{study.n:,}" if study.n else "-",
            str(len(study.outcomes)),
            study.type,
            ", ".join(study.conditions) + (f": {', '.join(study.drugs)}" if study.drugs else ""),
        )
        for study in studies
    ]
    return table([head, *rows], (max(len(row[0]) for row in (head, *rows)), 9, 5, 16))


def claim_lines(claims: Iterable[Claim]) -> list[str]:
    """One line a claim: number, document, verdict, text."""
    rows = [(str(claim.number), claim.document, claim.verdict, claim.text) for claim in claims]
    return table([("#", "", "verdict", "claim"), *rows], (2, 1, 12))


def claim_page(claim: Claim, evidence: Evidence, document: str) -> list[str]:
    """One claim in full."""
    verdict = claim.verdict + (f", {claim.qualifier}" if claim.qualifier else "")
    lines = [
        *field("Claim", f"{claim.number} of document {claim.document} ({document})"),
        *field("It says", claim.text),
        *field("Verdict", verdict),
        *field("Because", reason(claim, evidence)),
    ]
    for k, link in enumerate(claim.decides):
        lines += field("Decided by" if k == 0 else "", link)
    return lines


def field(label: str, text: str) -> list[str]:
    """A label and its text, wrapped beside it."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"{label:<{LABEL}}", subsequent_indent=" " * LABEL, break_on_hyphens=False
    )


def page(study: Study, evidence: Evidence, full: bool = False) -> list[str]:
    """What a study was and what it found; `full` adds how each was read, and the notes."""
    size = f", n {study.n:,}" if study.n else ""
    lines = wrapped(f"{study.key}: {study.type}, {', '.join(study.conditions)}{size}; read in {study.access}")
    lines += wrapped("; ".join((study.citation, *([", ".join(study.identifiers)] if study.identifiers else []))))
    for label, text in (("Design", study.design), ("People", study.population)):
        if text:
            lines += wrapped(f"{label}: {text}")
    if arms := [_arm(arm, evidence, full) for arm in study.arms if arm.drug or full]:
        lines += wrapped(f"Arms: {'; '.join(arms)}")
    for outcome in study.outcomes:
        if full or outcome.measure not in TOLD:
            lines += wrapped(f"- {_finding(outcome, study, evidence, full)}", "  ")
    if study.harms:
        lines += wrapped(f"Harms: {study.harms}")
    if full and study.notes:
        lines += wrapped(f"Notes: {study.notes}")
    return lines


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """Text in lines of at most the width, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _arm(arm: Arm, evidence: Evidence, full: bool) -> str:
    control = arm.drug in evidence.words.drugs and evidence.words.drugs[arm.drug].control
    parts = () if control and not full else (arm.dose, arm.route, arm.schedule)
    given = " ".join(part for part in parts if part and part != arm.name)
    name = f"{arm.name}, {given}" if given else arm.name
    return f"{name} (n {arm.n})" if arm.n else name


def _finding(outcome: Outcome, study: Study, evidence: Evidence, full: bool) -> str:
    side = f", {outcome.side}" if outcome.side and outcome.side not in outcome.what else ""
    time = f", {outcome.time}" if outcome.time else ""
    text = f"{outcome.what}{side}{time}: {figure(outcome, evidence.words, study.n)}"
    given = [arm.name for arm in study.arms if arm.drug]
    if (
        outcome.arm != ALL
        and not (outcome.versus and {outcome.arm, outcome.versus} == set(given))
        and len(study.arms) > 1
    ):
        text += f" [{outcome.arm}{f' vs {outcome.versus}' if outcome.versus else ''}]"
    if full:
        note = f"; {outcome.note}" if outcome.note else ""
        text += f" ({outcome.read}: {outcome.locator}{note}) {outcome.id}"
    return text


def comparison_title(comparison: Comparison, evidence: Evidence) -> str:
    """What is compared: drug, measure and condition."""
    words = evidence.words
    keys = words.drug(comparison.drug)
    drug = words.drugs[keys[0]].title if len(keys) == 1 else comparison.drug
    place = words.conditions[words.condition(comparison.condition)] if comparison.condition else "any condition"
    return f"{drug} against control: {words.measures[comparison.measure].title}, {place}"


def axis_name(comparison: Comparison) -> str:
    """The scale of the effects."""
    if not comparison.scale:
        return ""
    return comparison.scale if comparison.ratio else f"difference, {comparison.scale}"


def comparison_lines(comparison: Comparison, evidence: Evidence) -> list[str]:
    """Each trial's effect, the studies that are not pooled and why, and the pooled effect or why there is none."""
    lines = wrapped(comparison_title(comparison, evidence))
    if comparison.effects:
        better = evidence.words.measures[comparison.measure].better
        lines += wrapped(f"{axis_name(comparison)}; {better} is better for the drug")
        head = ("trial", "effect (95 % CI)", "n", "from")
        rows = []
        for item in comparison.effects:
            effect = shown(item.y, item.ends, comparison.ratio)
            rows.append((item.study.key, effect, str(item.n or "-"), item.how))
        lines += table([head, *rows], (19, 22, 4))
        times = dict.fromkeys(item.outcome.time or "a time not given" for item in comparison.effects)
        if len(times) > 1:
            lines += wrapped(f"Measured at different times: {', '.join(times)}.")
    if comparison.left:
        lines.append("Not pooled:")
        for left in comparison.left:
            found = figure(left.outcome, evidence.words, left.study.n)
            size = f", n {left.study.n:,}" if left.study.n else ""
            lines += wrapped(f"- {left.study.key}{size}: {left.reason} ({left.outcome.what}: {found})", "  ")
    return lines + _pooled_lines(comparison)


def _pooled_lines(comparison: Comparison) -> list[str]:
    pooled = comparison.pooled
    if pooled is None:
        return wrapped(f"No pooled effect: {comparison.refusal}.")
    effect = shown(pooled.estimate, (pooled.lower, pooled.upper), comparison.ratio)
    lines = wrapped(f"Pooled, k {pooled.k}: {effect} ({pooled.method}); tau {pooled.tau2**0.5:.2g}, I2 {pooled.i2:.0%}")
    if comparison.caution:
        return lines + wrapped(f"{comparison.caution[0].upper()}{comparison.caution[1:]}.")
    ends = shown(None, (pooled.prediction_lower, pooled.prediction_upper), comparison.ratio)
    return lines + wrapped(f"Prediction interval, the true effect of a further trial: {ends}")


def shown(value: float | None, ends: tuple[float, float], ratio: bool) -> str:
    """An effect and its interval to three figures; logarithms of ratios as ratios."""
    texts = [number(float(f"{exp(x) if ratio else x:.3g}")) for x in ends]
    interval = f"({texts[0]} to {texts[1]})"
    return interval if value is None else f"{number(float(f'{exp(value) if ratio else value:.3g}'))} {interval}"
