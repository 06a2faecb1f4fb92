"""One batch of replicate trials: recruit, reveal, analyse, and count, in every world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalgia.analysis.allocation import EXACT_BELOW, Observed, exact_test
from causalgia.analysis.censored import censored_regression
from causalgia.analysis.estimates import Effect, Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.spared import difference_of_effects
from causalgia.design.gate import gate_figures
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.protocol import Endpoint
from causalgia.documents.units import factor
from causalgia.measurement.readings import VisitValue, read, visit_value
from causalgia.population.worlds import World
from causalgia.trial.recruit import (
    Recruited,
    Screening,
    gate_value,
    recruit,
    screen,
    visit_noise,
)
from causalgia.trial.tables import DAYS_A_MONTH
from causalgia.trial.visits import latent, leaving_week, observe

# What is reported of a trial, with its meaning.
CHARACTERISTICS = {
    "relieved": "share of trials whose test on the clinical endpoint is significant",
    "lowered": "share of trials whose test on local TNF is significant",
    "claim": "share of trials that would claim mechanism: TNF and symptom both significantly better",
    "truth": "true mean difference in the clinical endpoint among those randomised",
    "bias": "mean estimate minus truth",
    "coverage": "share of intervals that hold the truth",
    "width": "mean width of the interval on the clinical endpoint",
    "truth_lowered": "true mean difference in log TNF among those randomised",
    "bias_lowered": "mean estimate minus truth, log TNF",
    "coverage_lowered": "share of intervals on log TNF that hold the truth",
    "failed_lowered": "share of trials in which log TNF could not be analysed",
    "spared": "share of trials in which the effect differs significantly between high and low TNF",
    "low": "share of those randomised who are below the gate",
    "screened": "people screened",
    "months": "calendar months from the first screened to the last visit of the last randomised",
    "wounds": "skin wounds (blisters and biopsies) in those randomised",
}


@dataclass(frozen=True)
class Potential:
    """Latent potential outcomes (regimen, person) of one endpoint at its visit and baseline."""

    endpoint: Endpoint
    instrument: Instrument
    at: np.ndarray
    baseline: np.ndarray


@dataclass(frozen=True)
class Reality:
    """A world with the potential outcomes that the trial reads."""

    world: World
    lowered: Potential
    relieved: Potential
    duration: np.ndarray


@dataclass(frozen=True)
class Plan:
    """All that batches share: the protocol, the worlds' potential outcomes, and each batch's people."""

    protocol: Protocol
    realities: list[Reality]
    seed: int
    replicates: int
    pools: list[np.ndarray]

    @classmethod
    def make(cls, protocol: Protocol, worlds: dict[str, World], seed: int, batches: int) -> Plan:
        """Looks up what every trial will read, once."""
        realities = [reality(protocol, world) for world in worlds.values()]
        pool = np.flatnonzero(np.logical_or.reduce([r.world.present for r in realities]))
        replicates = -(-protocol.evaluation.replicates // batches)
        # Every 20th person: worlds that enrol fewer of the injured reach further into the pool, and a last stretch would be theirs alone.
        return cls(protocol, realities, seed, replicates, [pool[batch::batches] for batch in range(batches)])


def reality(protocol: Protocol, world: World) -> Reality:
    """A world's potential outcomes at the endpoints' visits."""

    def potential(endpoint: Endpoint) -> Potential:
        instrument = Instrument.load(endpoint.measure)
        weeks = (endpoint.at, endpoint.baseline)
        return Potential(endpoint, instrument, *(latent(world, instrument, endpoint.side, week) for week in weeks))

    return Reality(
        world, potential(protocol.endpoints.lowered), potential(protocol.endpoints.relieved), world.person("duration")
    )


def batch_characteristics(plan: Plan, batch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """CHARACTERISTICS (world, size) and GATE figures (world,) of one batch's replicate trials."""
    size = plan.protocol.evaluation.sizes[-1]
    places = min(len(plan.pools[batch]), 2 * size + 64)
    while True:
        screening = screen(plan.seed, ("evaluate", batch), plan.pools[batch], plan.replicates, places)
        recruited = [_recruit(plan.protocol, reality, screening, size) for reality in plan.realities]
        if all(one is not None for one in recruited):
            break
        if places == len(plan.pools[batch]):
            raise _too_small(plan, size)
        places = min(len(plan.pools[batch]), 2 * places)
    rows = [
        _characteristics(plan.protocol, reality, screening, one)
        for reality, one in zip(plan.realities, recruited, strict=True)
        if one
    ]
    gates = (
        [_gate(plan.protocol, reality, screening) for reality in plan.realities]
        if plan.protocol.gate is not None
        else []
    )
    return _stack(rows), _stack(gates)


def _stack(rows: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _too_small(plan: Plan, size: int) -> InputError:
    found = f"{size} randomised, from batches of {len(plan.pools[0])} enrolled subjects"
    remedy = "Ask for smaller sizes, or simulate more subjects."
    return InputError(f"{plan.protocol.path}, key evaluation.sizes", found, "trials that every batch can fill", remedy)


def _recruit(protocol: Protocol, reality: Reality, screening: Screening, size: int) -> Recruited | None:
    if protocol.gate is None:
        passes = np.ones(screening.person.shape, bool)
    else:
        instrument = Instrument.load(protocol.gate.measure)
        potential = latent(reality.world, instrument, protocol.gate.side, protocol.gate.at)[0]
        passes = protocol.gate.parsed.passes(gate_value(protocol, instrument, potential, screening))
    return recruit(protocol, reality.world, screening, passes, reality.duration, size)


def _characteristics(
    protocol: Protocol, reality: Reality, screening: Screening, recruited: Recruited
) -> dict[str, np.ndarray]:
    """Means over the replicates of one world, by size."""
    alpha, sizes = protocol.evaluation.alpha, list(protocol.evaluation.sizes)
    left = leaving_week(protocol, recruited, screening)
    strata = _dummies(protocol, recruited)
    tnf, tnf_base = _values(protocol, reality.lowered, recruited, screening)
    pain, pain_base = _values(protocol, reality.relieved, recruited, screening)
    y, arm = pain.value, recruited.treated
    covariates = np.stack([pain_base.value, *strata], axis=-1)
    seen = left >= reality.relieved.endpoint.at
    relief = ancova(y, arm, covariates, observed=seen, sizes=sizes, alpha=alpha)
    engaged = censored_regression(
        tnf.value,
        np.where(tnf.below, tnf.value, -np.inf),
        arm,
        np.stack([tnf_base.value, *strata], axis=-1),
        observed=left >= reality.lowered.endpoint.at,
        sizes=sizes,
        alpha=alpha,
    )
    significant = _decides(protocol, recruited, screening, Observed(y, covariates, seen), relief)
    spared = difference_of_effects(y, arm, covariates, recruited.low, observed=seen, sizes=sizes, alpha=alpha)
    truth = _truth(reality.relieved.at, recruited, sizes)
    truth_lowered = _truth(np.log(reality.lowered.at), recruited, sizes)
    better = _sign(reality.relieved.instrument)
    last = np.array(sizes) - 1
    n = np.array(sizes, float)
    return {
        "relieved": significant.mean(axis=0),
        "lowered": (engaged.p < alpha).mean(axis=0),
        "claim": (significant & (better * relief.estimate > 0) & (engaged.p < alpha) & (engaged.estimate < 0)).mean(
            axis=0
        ),
        "truth": truth,
        "bias": np.nanmean(relief.estimate, axis=0) - truth,
        "coverage": _covered(relief, truth),
        "width": np.nanmean(relief.upper - relief.lower, axis=0),
        "truth_lowered": truth_lowered,
        "bias_lowered": np.nanmean(engaged.estimate, axis=0) - truth_lowered,
        "coverage_lowered": _covered(engaged, truth_lowered),
        "failed_lowered": (engaged.status != Status.OK).mean(axis=0),
        "spared": (spared.p < alpha).mean(axis=0),
        "low": np.cumsum(recruited.low, axis=1)[:, last].mean(axis=0) / n,
        "screened": recruited.screened[:, last].mean(axis=0),
        "months": _months(protocol, recruited.screened[:, last]).mean(axis=0),
        "wounds": n * wounds_per_subject(protocol),
    }


def _gate(protocol: Protocol, reality: Reality, screening: Screening) -> dict[str, float]:
    potential, endpoint = reality.lowered, reality.lowered.endpoint
    noise = visit_noise(
        screening, endpoint.measure, endpoint.side, endpoint.baseline, protocol.schedule[endpoint.measure].replicates
    )
    again = visit_value(
        potential.instrument, read(potential.instrument, potential.baseline[0][screening.person], noise)
    )
    return gate_figures(protocol, reality.world, screening, again.value)


def _values(
    protocol: Protocol, potential: Potential, recruited: Recruited, screening: Screening
) -> tuple[VisitValue, VisitValue]:
    """An endpoint's visit values at its visit and at baseline, (replicate, slot)."""
    endpoint, instrument = potential.endpoint, potential.instrument
    count = protocol.schedule[endpoint.measure].replicates

    def at(latents: np.ndarray, week: float) -> VisitValue:
        seen = observe(instrument, latents, recruited, screening, (endpoint.side, week, count))
        return visit_value(instrument, seen)

    return at(potential.at, endpoint.at), at(potential.baseline, endpoint.baseline)


def _dummies(protocol: Protocol, recruited: Recruited) -> list[np.ndarray]:
    """One 0/1 covariate (replicate, slot) a stratification factor, in the order of the protocol."""
    factors = {"duration": recruited.stratum & 1, "gate": recruited.low}
    return [factors[name].astype(np.float64) for name in protocol.allocation.strata]


def _decides(
    protocol: Protocol,
    recruited: Recruited,
    screening: Screening,
    endpoint: Observed,
    relief: Effect,
) -> np.ndarray:
    """Which trials are significant on the clinical endpoint (replicate, size): below a total of 20 by the exact test."""
    alpha, sizes = protocol.evaluation.alpha, protocol.evaluation.sizes
    significant = relief.p < alpha
    for j, size in enumerate(sizes):
        if size >= EXACT_BELOW:
            break
        result = exact_test(
            protocol, endpoint, recruited.treated, recruited.stratum, screening.generator("reference"), size
        )
        significant[:, j] = result.p[:, 0] < alpha
    return significant


def _truth(potential: np.ndarray, recruited: Recruited, sizes: list[int]) -> np.ndarray:
    """Mean of treated minus control potential outcome over all randomised, by size."""
    effect = (potential[1] - potential[0])[recruited.person]
    return np.cumsum(effect, axis=1)[:, np.array(sizes) - 1].mean(axis=0) / np.array(sizes)


def _covered(effect: Effect, truth: np.ndarray) -> np.ndarray:
    """Share of intervals that hold the truth, among trials that have an interval."""
    known = np.isfinite(effect.lower)
    inside = (effect.lower <= truth) & (truth <= effect.upper)
    return np.where(known.any(axis=0), inside.sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _sign(instrument: Instrument) -> int:
    return -1 if instrument.better == "lower" else 1


def _months(protocol: Protocol, screened: np.ndarray) -> np.ndarray:
    rate = protocol.conduct.screened_per_month.value or np.nan
    run = (protocol.follow_up - protocol.first_visit) * factor(protocol.unit, "day") / DAYS_A_MONTH
    return screened / rate + run


def wounds_per_subject(protocol: Protocol) -> int:
    """Skin wounds of one subject who stays to the end."""
    rows = protocol.schedule.items()
    return sum(Instrument.load(name).wounds * len(row.at) * len(row.sides) * row.replicates for name, row in rows)
