"""The page "How well does it predict?": trials that were not fitted, and what the calibration says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from causalgia.documents.targets import Targets
from causalgia.inference.calibration.scoring import Score
from causalgia.population.posterior import Posterior

NAME, FIGURE = "how-well.md", "how-well.svg"


def page(
    scores: Sequence[Score],
    before: Sequence[Score],
    posterior: Posterior,
    facts: Mapping[str, Any],
    changed: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> str:
    """Markdown: the scores with the posterior and with the prior, its hash, how well it was made, what it changed.

    `facts` is the posterior's page; `changed` is power by protocol, by "prior" or "posterior", by world.
    """
    parts = [
        "# How well does it predict?",
        "This page is made by `causalgia score`; nothing in its table was chosen by hand.",
        _how(posterior, facts),
        "## Trials that were not fitted",
        _rules(),
        _table(scores, before),
        f"![Log scores of each result]({FIGURE})",
        _summary(scores, before),
        "## What the calibration changed",
        _changes(changed),
    ]
    return "\n\n".join(parts) + "\n"


NARROW = (
    "**The posterior did not pass this check: in synthetic data its draws lie too close together, so it is too narrow "
    "and its weights and intervals are too sure.** Read it as a better centre than the prior's, not as a measure of "
    "doubt."
)


# What was seen before this posterior: the scores were known when it was made, and are not the reason for it.
BEFORE = (
    "An earlier posterior (hash 6745bf2a…) came from a sampler whose draws lay too close together. It failed the check "
    "on synthetic data, was replaced for that reason, and had scored −6.28 in all on the trials below. Targets, priors "
    "and model are the same."
)


def _how(posterior: Posterior, facts: Mapping[str, Any]) -> str:
    shares = ", ".join(f"{world} {weight:.0%}" for world, weight in posterior.weights.items())
    effective = ", ".join(f"{world} {size:.0f}" for world, size in facts["effective"].items())
    known = facts.get("uniform_ranks_p", {})
    ranks = ", ".join(f"{world} {p:.2f}" for world, p in known.items()) or "not computed for this posterior"
    held = ", ".join(Targets.load("targets").unfitted)
    covered = ", ".join(f"{float(level):.0%} intervals {share:.1%}" for level, share in facts["coverage"].items())
    texts = (
        f"The typical values behind it were calibrated to {posterior.targets} published summaries "
        "(`library/calibration/targets.toml`), and never to the trials below "
        f"({held}): the program refuses them as sources of a target. The posterior has the hash",
        f"`{posterior.digest}`",
        "recorded in `library/posterior/crps.toml` before the trials were scored; a file of another hash is refused. "
        f"Posterior weights of the worlds: {shares}.",
        f"In synthetic data with known parameters the ranks of the truth are uniform with p {ranks}; {covered} of the "
        f"truths.{'' if posterior.checked else f' {NARROW}'} The draws are those on an emulator of the simulator, "
        "whose error they count as doubt; weighted to the simulator's own posterior, they "
        f"would be worth {effective} of {facts['simulated']['final']}.",
        BEFORE,
    )
    return "\n\n".join(texts)


def _rules() -> str:
    return (
        "*Predicted* is the probability of what was found, or the mean estimate with its 95 % interval for a trial of "
        "that size. The *score* is the logarithm of the probability (or density) of the published result, above that "
        "of a drug that does nothing in the same people: above 0 the model predicts better than no effect, below 0 "
        "worse. A vague prediction has a wide interval and gains nothing."
    )


def _table(scores: Sequence[Score], before: Sequence[Score]) -> str:
    lines = [
        "| trial | published | predicted | if the drug did nothing | width | score | score with the prior |",
        "|---|---|---|---|---|---|---|",
    ]
    for score, old in zip(scores, before, strict=True):
        lines.append("| " + " | ".join((
            score.result.protocol,
            _found(score),
            _predicted(score), _nothing(score),
            f"{score.interval[1] - score.interval[0]:.2f}" if score.interval else "",
            f"{score.gain:+.2f}", f"{old.gain:+.2f}",
        )) + " |")  # fmt: skip
    return "\n".join(lines)


def _found(score: Score) -> str:
    text = f"{score.result.found} ({score.result.source})"
    return f"{text}; assumed: {score.result.assumed}" if score.result.assumed else text


def _predicted(score: Score) -> str:
    if score.result.kind == "classes":
        return f"{np.exp(score.log_predicted):.3f}; {score.predicted:.0%} robust"
    if score.interval is None:
        return f"{score.predicted:.2f}"
    return f"{score.predicted:.2f} ({score.interval[0]:.2f} to {score.interval[1]:.2f})"


def _nothing(score: Score) -> str:
    if score.null_interval is None:
        return f"{np.exp(score.log_null):.3f}" if score.result.kind == "classes" else f"{np.exp(score.log_null):.2f}"
    return f"0 ({score.null_interval[0]:.2f} to {score.null_interval[1]:.2f})"


def _summary(scores: Sequence[Score], before: Sequence[Score]) -> str:
    total, old = sum(score.gain for score in scores), sum(score.gain for score in before)
    worse = [f"{score.result.protocol} ({score.result.found})" for score in scores if score.gain < 0]
    verdict = "better" if total > 0 else "worse"
    text = (
        f"In all, the calibrated worlds predict these results {verdict} than a drug without effect: the scores add up "
        f"to {total:+.2f} (with the prior {old:+.2f}). "
    )
    if worse:
        text += f"They do worse than no effect in {len(worse)} of {len(scores)}: {'; '.join(worse)}."
    return text + " Results of one trial are not independent, so the sum is a summary and no test."


def _changes(changed: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    lines = []
    for protocol, found in changed.items():
        prior, posterior = (
            ", ".join(f"{world} {share:.0%}" for world, share in found[key].items()) for key in ("prior", "posterior")
        )
        lines.append(
            f"Power of `{protocol}` on its clinical endpoint, at its largest size: with the prior {prior}; calibrated "
            f"{posterior}. With the posterior every batch of trials has typical values of its own, so these are "
            "averages over what is still uncertain."
        )
    return "\n\n".join(lines)
