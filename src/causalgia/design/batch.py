"""One batch of replicate trials: recruit, reveal, analyse, and count, in every world."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from causalgia.analysis.allocation import EXACT_BELOW, Observed, exact_test
from causalgia.analysis.censored import censored_paired, censored_regression
from causalgia.analysis.change import mean_change, responder_difference
from causalgia.analysis.estimates import Effect, Status
from causalgia.analysis.mmrm import FALLBACK
from causalgia.analysis.relieved import Values, fit_visits, responds
from causalgia.analysis.spared import difference_of_effects
from causalgia.design.claims import Case, mediation_claims
from causalgia.design.gate import GATE, gate_figures
from causalgia.design.plan import People, Plan, Potential, baseline_week, rule_of
from causalgia.design.reveal import Readout, Seen
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.units import factor
from causalgia.measurement.readings import VisitValue, from_scale, read, visit_value
from causalgia.trial.recruit import (
    Recruited,
    Screening,
    Visit,
    gate_passes,
    gate_reading,
    recruit,
    screen_again,
    visit_noise,
)

# What is reported of a trial, with its meaning.
CHARACTERISTICS = {
    "relieved": "share of trials whose test on the clinical endpoint is significant",
    "lowered": "share of trials that find local TNF significantly lowered",
    "claim": "share of trials that would claim mechanism: TNF and symptom both significantly better",
    "mediated": "share of trials with a significant indirect effect through TNF, of those with 20 analysed in each arm",
    "mediated_failed": "share of those trials in which the assay's error left no indirect effect to estimate",
    "mediated_truth": "true mean natural indirect effect among those randomised, where it is known",
    "mediated_bias": "median estimate of it minus truth",
    "truth": "true mean difference in the clinical endpoint among those randomised",
    "bias": "mean estimate minus truth",
    "coverage": "share of intervals that hold the truth",
    "width": "mean width of the interval on the clinical endpoint",
    "spread": "standard deviation of the estimate between trials",
    "failed": "share of trials in which the clinical endpoint could not be analysed",
    "fallback": "share of trials whose mixed model, where it decides, fell back to a simpler covariance",
    "truth_lowered": "true mean difference in log TNF among those randomised",
    "bias_lowered": "mean estimate minus truth, log TNF",
    "coverage_lowered": "share of intervals on log TNF that hold the truth",
    "spread_lowered": "standard deviation of the estimate between trials, log TNF",
    "failed_lowered": "share of trials in which log TNF could not be analysed",
    "spared": "share of trials in which the effect differs significantly between the groups compared",
    "contrast": "mean estimate of that difference, low minus high TNF or long minus short duration",
    "contrast_truth": "true mean of that difference among those randomised",
    "contrast_width": "mean width of its interval",
    "low": "share of those randomised who are below the gate",
    "screened": "people screened",
    "months": "calendar months from the first screened to the last visit of the last randomised",
    "wounds": "skin wounds (blisters and biopsies) in those randomised",
}


# Those that are shares of trials: their error is never shown below that of so many independent ones.
SHARES = (
    "relieved",
    "lowered",
    "claim",
    "mediated",
    "mediated_failed",
    "coverage",
    "failed",
    "fallback",
    "coverage_lowered",
    "failed_lowered",
    "spared",
)
# Reference draws of the exact test inside replicates: as valid as 999, with a coarser p.
EXACT_DRAWS = 399
# Where the likelihood search of censored values may stop inside replicates.
PRECISION = 1e-9
# A gate that lets fewer than one in so many through is refused.
MOST_SCREENED = 1000


def batch_characteristics(plan: Plan, batch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """CHARACTERISTICS (world, size) and GATE figures (world,) of one batch's replicate trials.

    Worlds of the same people share the recruits, and worlds whose rules agree on an endpoint share its analysis.
    """
    screening, gated, recruits = _recruit(plan, batch)
    seen = {
        name: Seen.of(plan.protocol, screening, recruited, plan.people[name].duration)
        for name, recruited in recruits.items()
    }
    parts: dict[tuple[str, str, str], dict[str, np.ndarray]] = {}
    cases: dict[tuple[str, ...], Case] = {}
    rows, places = [], []
    for world in plan.worlds:
        here, potential = seen[world.people], plan.people[world.people].potential
        rules = [rule_of(plan.protocol, world, key) for key in ANALYSES]
        for (key, analysis), rule in zip(ANALYSES.items(), rules, strict=True):
            if (world.people, key, rule) not in parts:
                parts[world.people, key, rule] = analysis(plan.protocol, potential[key, rule], here)
        lowered, relieved = (parts[world.people, key, rule] for key, rule in zip(ANALYSES, rules, strict=True))
        claim = (lowered["better"] & relieved["better"]).mean(axis=0)
        rows.append({**here.course, **lowered, **relieved, "claim": claim})
        places.append((world.people, *rules))
        if places[-1] not in cases:
            first, second = (potential[key, rule] for key, rule in zip(ANALYSES, rules, strict=True))
            cases[places[-1]] = Case(first, second, world.rule.symptoms, here)
    claims = dict(zip(cases, mediation_claims(plan.protocol, list(cases.values())), strict=True))
    whole = [row | claims[place] for row, place in zip(rows, places, strict=True)]
    figures = {name: _gate(plan.protocol, plan.people[name], screening, one) for name, one in gated.items()}
    return _stack(whole, CHARACTERISTICS), _stack([figures[world.people] for world in plan.worlds if figures], GATE)


def _stack(rows: list[dict], names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in names} if rows else {}


class Gated(NamedTuple):
    """The gate's reading on the instrument's scale, and who passes it, (replicate, place)."""

    reading: VisitValue
    passes: np.ndarray


def _recruit(plan: Plan, batch: int) -> tuple[Screening, dict[str, Gated], dict[str, Recruited]]:
    """One order of screening, long enough to fill the largest size; what the gate does; the recruits."""
    size, pool = plan.protocol.evaluation.sizes[-1], plan.pools[batch]
    places = max(_places(plan, people, pool) for people in plan.people.values())
    while True:
        screening = screen_again(plan.seed, ("evaluate", batch), pool, plan.replicates, places)
        gated: dict[str, Gated] = {}
        recruits: dict[str, Recruited] = {}
        for name, people in plan.people.items():
            passes = np.ones(screening.person.shape, bool)
            if people.gate is not None:
                reading = gate_reading(plan.protocol, people.gate, screening)
                passes = gate_passes(plan.protocol, reading)
                gated[name] = Gated(reading, passes)
            recruited = recruit(plan.protocol, people.world, screening, passes, people.duration, size)
            if recruited is None:
                break
            recruits[name] = recruited
        else:
            return screening, gated, recruits
        if places > MOST_SCREENED * size:
            found = f"{size} randomised of {places} screened in none of the replicates of world {name}"
            raise InputError(f"{plan.protocol.path}, key gate", found, "a gate that somebody passes", "Relax it.")
        places = 2 * places


def _places(plan: Plan, people: People, pool: np.ndarray) -> int:
    """How many must be screened for the largest size, nearly always: mean and five standard deviations of the wait."""
    size, gate = plan.protocol.evaluation.sizes[-1], plan.protocol.gate
    share = people.world.present[pool].mean()
    if gate is not None and people.gate is not None:
        instrument = Instrument.load(gate.measure)
        high = gate.parsed.passes(
            from_scale(instrument, people.gate[pool]) * factor(instrument.unit, gate.parsed.unit)
        ).mean()
        low = gate.low_stratum.share if gate.low_stratum is not None else 0.0
        share = high + min(share - high, high * low / (1 - low))
    share = max(share, 1e-3)
    return int(size / share + 5 * np.sqrt(size * (1 - share)) / share) + 8


def _lowered(protocol: Protocol, potential: Potential, seen: Seen) -> dict[str, np.ndarray]:
    """The mechanism endpoint over the replicates, by size."""
    alpha, sizes = protocol.evaluation.alpha, protocol.evaluation.sizes
    readout = seen.values(protocol, potential)
    y, before = readout.now, readout.before
    limit = np.where(y.below, y.value, -np.inf)
    options: dict[str, Any] = {"observed": readout.stayed, "sizes": sizes, "alpha": alpha}
    effect: Effect
    if protocol.single_arm:
        effect = censored_paired(y.value, limit, before.value, np.where(before.below, before.value, -np.inf), **options)
    else:
        treated = seen.recruited.treated
        effect = censored_regression(y.value, limit, treated, readout.covariates, precision=PRECISION, **options)
    truth = _truth(potential.effect, seen.recruited, sizes)
    better = (effect.p < alpha) & (effect.estimate < 0)
    return {
        "lowered": better.mean(axis=0),
        "truth_lowered": truth,
        "bias_lowered": _mean_known(effect.estimate) - truth,
        "coverage_lowered": _covered(effect, truth),
        "spread_lowered": _spread(effect.estimate),
        "failed_lowered": (effect.status != Status.OK).mean(axis=0),
        "better": better,
    }


def _relieved(protocol: Protocol, potential: Potential, seen: Seen) -> dict[str, np.ndarray]:
    """The clinical endpoint over the replicates, by size, and how it differs between the groups compared."""
    alpha, sizes = protocol.evaluation.alpha, protocol.evaluation.sizes
    readout = seen.values(protocol, potential)
    responder = potential.endpoint.responder
    effects = potential.effect[seen.recruited.person]
    if responder is not None:
        both = (readout, *(seen.of_arm(arm).values(protocol, potential) for arm in (0, 1)))
        response, control, treated = (
            responds(potential.instrument, responder, part.endpoint).astype(np.float64) for part in both
        )
        effects = treated - control
        everybody = np.ones_like(readout.stayed)
        readout = Readout(VisitValue(response, readout.now.below), *readout[1:3], everybody)
    effect, contrast = _effects(protocol, readout, seen, responder is not None)
    fell = np.full(effect.p.shape, np.nan)
    if protocol.analysis.decides == "mmrm":
        effect, fell = _mixed(protocol, potential, readout, seen, effect)
    significant = _decides(protocol, seen, Observed(readout.now.value, readout.covariates, readout.stayed), effect)
    truth = _mean_of_first(effects, sizes)
    direction = 1 if potential.instrument.better == "higher" or responder is not None else -1
    table = {
        "relieved": significant.mean(axis=0),
        "truth": truth,
        "bias": _mean_known(effect.estimate) - truth,
        "coverage": _covered(effect, truth),
        "width": _mean_known(effect.upper - effect.lower),
        "spread": _spread(effect.estimate),
        "failed": (effect.status != Status.OK).mean(axis=0),
        "fallback": _mean_known(fell),
        "better": significant & (direction * effect.estimate > 0),
    }
    return table | _contrast(contrast, effects, seen.group, sizes, alpha)


def _effects(protocol: Protocol, readout: Readout, seen: Seen, responders: bool) -> tuple[Effect, Effect | None]:
    """The effect in everybody, and its difference between the groups compared where there are groups."""
    alpha, sizes, arm = protocol.evaluation.alpha, protocol.evaluation.sizes, seen.recruited.treated
    value, observed = readout.now.value, readout.stayed
    if responders:
        effect = responder_difference(value > 0, arm, sizes=sizes, alpha=alpha)
        if seen.group is None:
            return effect, None
    elif protocol.single_arm:
        return mean_change(value - readout.before.value, observed=observed, sizes=sizes, alpha=alpha), None
    group = np.zeros(arm.shape, bool) if seen.group is None else seen.group
    every, contrast = difference_of_effects(
        value, arm, readout.covariates, group, observed=observed, sizes=sizes, alpha=alpha
    )
    return (effect if responders else every), (None if seen.group is None else contrast)


def _mixed(
    protocol: Protocol, potential: Potential, readout: Readout, seen: Seen, small: Effect
) -> tuple[Effect, np.ndarray]:
    """The effect by the mixed model, and where it fell back from its first covariance, (replicate, size).

    Below 20 randomised `small` stays, and the exact test decides. NaN where no model was fitted.
    """
    course = [(week, seen.at(protocol, potential, latents, week)) for week, latents in potential.course]
    course.append((potential.endpoint.at, readout.now))
    y = np.stack([np.where(seen.left >= week, one.value, np.nan) for week, one in course], axis=-1)
    parts = {name: getattr(small, name).copy() for name in Effect.__dataclass_fields__}
    fell = np.full(small.p.shape, np.nan)
    for j, size in enumerate(protocol.evaluation.sizes):
        if size < EXACT_BELOW:
            continue
        values = Values(*(column[:, :size] for column in readout.endpoint))
        fit = fit_visits(y[:, :size], seen.recruited.treated[:, :size], values, alpha=protocol.evaluation.alpha)
        for name, column in parts.items():
            column[:, j] = getattr(fit, name)
        fell[:, j] = np.where(fit.structure == "", np.nan, fit.structure != FALLBACK[0])
    return Effect(**parts), fell


def _contrast(
    contrast: Effect | None, effects: np.ndarray, group: np.ndarray | None, sizes: tuple[int, ...], alpha: float
) -> dict[str, np.ndarray]:
    """How the effect differs between the groups compared, NaN where none are."""
    if contrast is None or group is None:
        return dict.fromkeys(("spared", "contrast", "contrast_truth", "contrast_width"), np.full(len(sizes), np.nan))
    at = np.array(sizes) - 1

    def mean(mask: np.ndarray) -> np.ndarray:
        count = np.cumsum(mask, axis=1)[:, at].sum(axis=0)
        total = np.cumsum(np.where(mask, effects, 0), axis=1)[:, at].sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    known = np.isfinite(contrast.p).any(axis=0)
    return {
        "spared": np.where(known, (contrast.p < alpha).mean(axis=0), np.nan),
        "contrast": _mean_known(contrast.estimate),
        "contrast_truth": mean(group) - mean(~group),
        "contrast_width": _mean_known(contrast.upper - contrast.lower),
    }


ANALYSES = {"lowered": _lowered, "relieved": _relieved}


def _decides(protocol: Protocol, seen: Seen, endpoint: Observed, effect: Effect) -> np.ndarray:
    """Which trials are significant on the clinical endpoint (replicate, size); below 20 by the exact test."""
    alpha, recruited = protocol.evaluation.alpha, seen.recruited
    significant = effect.p < alpha
    if protocol.single_arm:
        return significant
    for j, size in enumerate(protocol.evaluation.sizes):
        if size >= EXACT_BELOW:
            break
        generator = seen.screening.generator("reference")
        result = exact_test(
            protocol, endpoint, recruited.treated, recruited.stratum, generator, size, draws=EXACT_DRAWS
        )
        significant[:, j] = result.p[:, 0] < alpha
    return significant


def _gate(protocol: Protocol, people: People, screening: Screening, gated: Gated) -> dict[str, float]:
    """GATE figures of one batch."""
    assert protocol.gate is not None and people.raised is not None and people.again is not None
    gate, instrument = protocol.gate, Instrument.load(protocol.gate.measure)
    count = protocol.schedule[gate.measure].replicates
    noise = visit_noise(screening, instrument, Visit(gate.side, baseline_week(protocol), count))
    again = visit_value(instrument, read(instrument, people.again[screening.person], noise)).value
    here = people.world.present[screening.person]
    return gate_figures(here, gated.passes, people.raised, screening.person, again - gated.reading.value)


def _truth(effect: np.ndarray, recruited: Recruited, sizes: tuple[int, ...]) -> np.ndarray:
    """Mean of what the drug does to each of all randomised, by size; `effect` (person,)."""
    return _mean_of_first(effect[recruited.person], sizes)


def _mean_of_first(values: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Mean over replicates of the first so many slots, by size."""
    return np.cumsum(values, axis=1)[:, np.array(sizes) - 1].mean(axis=0) / np.array(sizes)


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation over the replicates that have a value."""
    return np.sqrt(np.maximum(_mean_known(values**2) - _mean_known(values) ** 2, 0))


def _mean_known(values: np.ndarray) -> np.ndarray:
    """Mean over the replicates that have a value, NaN where none has."""
    known = np.isfinite(values)
    return np.where(
        known.any(axis=0), np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )


def _covered(effect: Effect, truth: np.ndarray) -> np.ndarray:
    """Share of intervals that hold the truth, among trials that have an interval."""
    known = np.isfinite(effect.lower)
    inside = (effect.lower <= truth) & (truth <= effect.upper)
    return np.where(known.any(axis=0), inside.sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
