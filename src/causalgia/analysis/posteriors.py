"""The Bayesian twins of a final analysis, beside its answers: posteriors of the effects by the No-U-Turn sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from causalgia.analysis.answer import Answer, Companion, censored
from causalgia.analysis.estimates import Array
from causalgia.analysis.mediated import DOMINATED, marker_error
from causalgia.analysis.mixtures import Mixture, conflict, mixture
from causalgia.analysis.nuts import Sampled, Sampling, sample_effect, sample_mediation
from causalgia.analysis.relieved import Values, values_of
from causalgia.analysis.tables import Subjects
from causalgia.documents import Instrument, Protocol
from causalgia.documents.protocol import AnalysisPrior

Tables = dict[str, pl.DataFrame]
NAME = "posterior"
VAGUE = "effect ~ N(0, (2.5 σ)²), the rest flat"
MEDIATION = "coefficients ~ N(0, 2.5²) in standard deviations, residuals half-normal"
CONFLICT = 0.05
"""Prior predictive tail probability of the control arm below which the answer warns."""


def with_posteriors(
    protocol: Protocol,
    tables: Tables,
    answers: Mapping[str, Answer],
    *,
    seed: int = 0,
    sampling: Sampling | None = None,
) -> dict[str, Answer]:
    """The answers of `analyse` with a companion "posterior" where a twin exists: lowered, relieved and mediated.

    The prior of relieved is the protocol's `analysis.prior`, else effect ~ N(0, (2.5 σ)²). A posterior whose chains
    have not converged has no numbers but the reason. `facts` gains `posterior_better`, the probability of a better
    outcome than under control, and for relieved `posterior_relevant`, that of one better by the relevant difference.
    Raises InputError without the extra `bayes`.
    """
    found = dict(answers)
    for name in protocol.order[1:]:
        pair = protocol.pair(name)
        end = "" if name == protocol.treatment else f" {name}"
        subjects = Subjects.read(pair, tables)
        options: dict[str, Any] = {"seed": seed, "sampling": sampling}
        for key, twin in (("lowered", _lowered), ("relieved", _relieved), ("mediated", _mediated)):
            answer = answers.get(key + end)
            if answer is not None and (answer.known or answer.reason == DOMINATED):
                found[key + end] = twin(pair, tables, subjects, answer, options)
    return found


def _lowered(
    protocol: Protocol, tables: Tables, subjects: Subjects, answer: Answer, options: Mapping[str, Any]
) -> Answer:
    """The twin of the censored regression, as a ratio of geometric means."""
    if protocol.single_arm:
        return _without(answer, "Nobody is a control: there is no effect to have a posterior.")
    endpoint = protocol.endpoints.lowered
    y, covariates, seen = subjects.endpoint(protocol, tables, endpoint)
    value, limit = censored(y)
    drawn = sample_effect(value, subjects.treated, covariates, limit=limit, observed=seen, **options)
    better = _sign(Instrument.load(endpoint.measure).better)
    facts = {"posterior_better": drawn.beyond("effect", 0.0, better)}
    return _with(answer, drawn, "effect", protocol, VAGUE, facts, ratio=True)


def _relieved(
    protocol: Protocol, tables: Tables, subjects: Subjects, answer: Answer, options: Mapping[str, Any]
) -> Answer:
    """The twin of the analysis of covariance, with the prior that the protocol declares."""
    endpoint, declared = protocol.endpoints.relieved, protocol.analysis.prior
    if protocol.single_arm:
        return _without(answer, "Nobody is a control: there is no effect to have a posterior.")
    if endpoint.responder is not None:
        return _without(answer, "The endpoint is a response: see causalgia.analysis.mixtures, which is exact.")
    values, instrument = values_of(protocol, tables, subjects), Instrument.load(endpoint.measure)
    prior, control, text = _declared(declared)
    drawn = sample_effect(
        values.value,
        subjects.treated,
        values.covariates,
        prior=prior,
        control=control,
        observed=values.seen,
        **options,
    )
    better, relevant = _sign(instrument.better), protocol.endpoints.relevant.typical
    facts = {
        "posterior_better": drawn.beyond("effect", 0.0, better),
        "posterior_relevant": drawn.beyond("effect", relevant, better),
    }
    guards = [] if control is None else _conflicts(control, values, subjects.treated)
    return _with(replace(answer, guards=[*answer.guards, *guards]), drawn, "effect", protocol, text, facts)


def _mediated(
    protocol: Protocol, tables: Tables, subjects: Subjects, answer: Answer, options: Mapping[str, Any]
) -> Answer:
    """The twin of the joint likelihood of marker and endpoint: the posterior of the indirect effect."""
    endpoint, outcome = protocol.endpoints.lowered, protocol.endpoints.relieved
    y, covariates, seen = subjects.endpoint(protocol, tables, outcome)
    now, before = (subjects.reading(tables, endpoint, week) for week in (endpoint.at, endpoint.baseline))
    seen = seen & np.isfinite(now[:, 0]) & np.isfinite(before[:, 0]) & (before[:, 1] == 0)
    error, (value, limit) = marker_error(protocol, tables, subjects), censored(now)
    if error is None:
        return answer
    drawn = sample_mediation(
        y[:, 0],
        value,
        subjects.treated,
        covariates,
        baseline=before[:, 0],
        error=error.variance,
        error_df=error.df,
        limit=limit,
        observed=seen,
        **options,
    )
    better = _sign(Instrument.load(outcome.measure).better)
    facts = {"posterior_better": drawn.beyond("indirect", 0.0, better)}
    return _with(answer, drawn, "indirect", protocol, MEDIATION, facts)


def _declared(prior: AnalysisPrior | None) -> tuple[Mixture | None, Mixture | None, str]:
    """Priors of the effect and of the control mean, and both in words."""
    if prior is None:
        return None, None, VAGUE
    effect, control = (mixture("normal", *rows) if rows else None for rows in (prior.effect, prior.control))
    texts = [
        f"{name} ~ {_words(part)}" for name, part in (("effect", effect), ("control", control)) if part is not None
    ]
    if effect is None:
        texts.insert(0, "effect ~ N(0, (2.5 σ)²)")
    return effect, control, f"{', '.join(texts)}, the rest flat"


def _words(prior: Mixture) -> str:
    rows = zip(prior.weight, prior.a, prior.b, strict=True)
    parts = [f"{'' if weight == 1 else f'{weight:.2g} '}N({mean:g}, {sd:g}²)" for weight, mean, sd in rows]
    return " + ".join(parts).replace("-", "−")


def _conflicts(prior: Mixture, values: Values, treated: np.ndarray) -> list[str]:
    """A warning where the control arm's mean contradicts its prior."""
    control: Array = values.value[values.seen & ~treated]
    mean, error = float(control.mean()), float(control.std(ddof=1) / np.sqrt(len(control)))
    found = conflict(prior, mean, error)
    if found.p >= CONFLICT:
        return []
    return [
        f"The control arm's mean, {mean:.2f}, contradicts its prior (p = {found.p:.3f}): the vague part's weight "
        f"goes from {found.vague_before:.0%} to {found.vague_after:.0%}. Report the effect without the prior too."
    ]


def _sign(better: str) -> int:
    return -1 if better == "lower" else 1


def _without(answer: Answer, reason: str) -> Answer:
    return replace(
        answer, companions=[*answer.companions, Companion(NAME, "No-U-Turn sampler", answer.n, reason=reason)]
    )


def _with(
    answer: Answer,
    drawn: Sampled,
    name: str,
    protocol: Protocol,
    prior: str,
    facts: dict[str, float],
    *,
    ratio: bool = False,
) -> Answer:
    """The answer with the posterior of one quantity, or why there is none."""
    method = f"No-U-Turn sampler; {prior}; {drawn.diagnostics}"
    if drawn.problem:
        return replace(answer, companions=[*answer.companions, Companion(NAME, method, answer.n, reason=drawn.problem)])
    found = drawn.summary(name, protocol.evaluation.alpha)
    numbers: dict[str, Any] = {
        key: float(np.exp(found[source])) if ratio else found[source]
        for key, source in (("estimate", "mean"), ("lower", "lower"), ("upper", "upper"))
    }
    chances = [f"P(better) {_chance(facts['posterior_better'])}"]
    if "posterior_relevant" in facts:
        chances.append(f"P(better by {protocol.endpoints.relevant.typical:g}) {_chance(facts['posterior_relevant'])}")
    companion = Companion(NAME, f"{', '.join(chances)}; {method}", answer.n, **numbers)
    return replace(answer, companions=[*answer.companions, companion], facts={**answer.facts, **facts})


def _chance(p: float) -> str:
    return "> 0.999" if p > 0.999 else "< 0.001" if p < 0.001 else f"{p:.3f}"
