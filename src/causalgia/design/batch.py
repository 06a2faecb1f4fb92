"""One batch of replicate trials: recruit, reveal, analyse, and count, in every world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalgia.analysis.allocation import EXACT_BELOW, Observed, exact_test
from causalgia.analysis.censored import censored_regression
from causalgia.analysis.estimates import Effect, Status
from causalgia.analysis.spared import difference_of_effects
from causalgia.design.gate import gate_figures
from causalgia.design.plan import People, Plan, Potential, baseline_week, rule_of, wounds_per_subject
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.units import factor
from causalgia.measurement.readings import VisitValue, from_scale, read, visit_value
from causalgia.trial.recruit import (
    Recruited,
    Screening,
    gate_passes,
    gate_reading,
    recruit,
    screen,
    visit_noise,
)
from causalgia.trial.tables import DAYS_A_MONTH
from causalgia.trial.visits import leaving_week, observe

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


# Those that are shares of trials: their error is never shown below that of so many independent ones.
SHARES = ("relieved", "lowered", "claim", "coverage", "coverage_lowered", "failed_lowered", "spared")
# Reference draws of the exact test inside replicates: as valid as 999, with a coarser p.
EXACT_DRAWS = 399
# Where the likelihood search of censored values may stop inside replicates.
PRECISION = 1e-9


def batch_characteristics(plan: Plan, batch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """CHARACTERISTICS (world, size) and GATE figures (world,) of one batch's replicate trials.

    Worlds of the same people share the recruits, and worlds whose rules agree on an endpoint share its analysis.
    """
    screening, readings, recruits = _recruit(plan, batch)
    seen = {name: Seen.of(plan.protocol, screening, recruited) for name, recruited in recruits.items()}
    parts: dict[tuple[str, str, str], dict[str, np.ndarray]] = {}
    rows = []
    for world in plan.worlds:
        row = dict(seen[world.people].course)
        significant = []
        for key, analysis in ANALYSES.items():
            rule = rule_of(plan.protocol, world, key)
            at = (world.people, key, rule)
            if at not in parts:
                parts[at] = analysis(plan.protocol, plan.people[world.people].potential[key, rule], seen[world.people])
            row |= {name: value for name, value in parts[at].items() if name in CHARACTERISTICS}
            significant.append(parts[at]["better"])
        row["claim"] = np.logical_and(*significant).mean(axis=0)
        rows.append(row)
    gates = []
    if plan.protocol.gate is not None:
        figures = {
            name: _gate(plan.protocol, plan.people[name], screening, reading) for name, reading in readings.items()
        }
        gates = [figures[world.people] for world in plan.worlds]
    return _stack(rows), _stack(gates)


def _stack(rows: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]} if rows else {}


def _recruit(plan: Plan, batch: int) -> tuple[Screening, dict[str, VisitValue], dict[str, Recruited]]:
    """One order of screening, long enough to fill the largest size; the gate's readings; the recruits."""
    size, pool = plan.protocol.evaluation.sizes[-1], plan.pools[batch]
    places = min(len(pool), max(_places(plan, people, pool) for people in plan.people.values()))
    while True:
        screening = screen(plan.seed, ("evaluate", batch), pool, plan.replicates, places)
        readings: dict[str, VisitValue] = {}
        recruits: dict[str, Recruited] = {}
        for name, people in plan.people.items():
            passes = np.ones(screening.person.shape, bool)
            if people.gate is not None:
                readings[name] = gate_reading(plan.protocol, people.gate, screening)
                passes = gate_passes(plan.protocol, readings[name])
            recruited = recruit(plan.protocol, people.world, screening, passes, people.duration, size)
            if recruited is None:
                break
            recruits[name] = recruited
        else:
            return screening, readings, recruits
        if places == len(pool):
            found = f"{size} randomised, from batches of {len(pool)} enrolled subjects"
            remedy = "Ask for smaller sizes, or simulate more subjects."
            raise InputError(
                f"{plan.protocol.path}, key evaluation.sizes", found, "trials that every batch can fill", remedy
            )
        places = min(len(pool), 2 * places)


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


@dataclass(frozen=True)
class Seen:
    """What an analysis needs besides the endpoint: recruits, their errors, when they left, their factors, and the
    trial's course.
    """

    recruited: Recruited
    screening: Screening
    left: np.ndarray
    factors: list[np.ndarray]
    course: dict[str, np.ndarray]

    @classmethod
    def of(cls, protocol: Protocol, screening: Screening, recruited: Recruited) -> Seen:
        """One group of recruits."""
        sizes = np.array(protocol.evaluation.sizes)
        strata = {"duration": recruited.stratum & 1, "gate": recruited.low}
        screened = recruited.screened[:, sizes - 1].mean(axis=0)
        course = {
            "low": np.cumsum(recruited.low, axis=1)[:, sizes - 1].mean(axis=0) / sizes,
            "screened": screened,
            "months": _months(protocol, screened),
            "wounds": sizes * float(wounds_per_subject(protocol)),
        }
        factors = [strata[name].astype(np.float64) for name in protocol.allocation.strata]
        return cls(recruited, screening, leaving_week(protocol, recruited, screening), factors, course)

    def values(self, protocol: Protocol, potential: Potential) -> tuple[VisitValue, np.ndarray, np.ndarray]:
        """An endpoint (replicate, slot), its covariates (replicate, slot, p): baseline, then factors; and who stayed
        for it.
        """
        endpoint, instrument = potential.endpoint, potential.instrument
        count = protocol.schedule[endpoint.measure].replicates

        def at(latents: np.ndarray, week: float) -> VisitValue:
            visit = (endpoint.side, week, count)
            return visit_value(instrument, observe(instrument, latents, self.recruited, self.screening, visit))

        now, before = at(potential.at, endpoint.at), at(potential.baseline, endpoint.baseline)
        return now, np.stack([before.value, *self.factors], axis=-1), self.left >= endpoint.at


def _lowered(protocol: Protocol, potential: Potential, seen: Seen) -> dict[str, np.ndarray]:
    """The mechanism endpoint over the replicates, by size."""
    alpha, sizes = protocol.evaluation.alpha, protocol.evaluation.sizes
    y, covariates, stayed = seen.values(protocol, potential)
    limit = np.where(y.below, y.value, -np.inf)
    effect = censored_regression(
        y.value,
        limit,
        seen.recruited.treated,
        covariates,
        observed=stayed,
        sizes=sizes,
        alpha=alpha,
        precision=PRECISION,
    )
    truth = _truth(potential.at, seen.recruited, sizes)
    significant = effect.p < alpha
    return {
        "lowered": significant.mean(axis=0),
        "truth_lowered": truth,
        "bias_lowered": _mean_known(effect.estimate) - truth,
        "coverage_lowered": _covered(effect, truth),
        "failed_lowered": (effect.status != Status.OK).mean(axis=0),
        "better": significant & (effect.estimate < 0),
    }


def _relieved(protocol: Protocol, potential: Potential, seen: Seen) -> dict[str, np.ndarray]:
    """The clinical endpoint over the replicates, by size, and how it differs between high and low TNF."""
    alpha, sizes = protocol.evaluation.alpha, protocol.evaluation.sizes
    y, covariates, stayed = seen.values(protocol, potential)
    arm, low = seen.recruited.treated, seen.recruited.low
    effect, spared = difference_of_effects(y.value, arm, covariates, low, observed=stayed, sizes=sizes, alpha=alpha)
    significant = _decides(protocol, seen, Observed(y.value, covariates, stayed), effect)
    truth = _truth(potential.at, seen.recruited, sizes)
    direction = -1 if potential.instrument.better == "lower" else 1
    return {
        "relieved": significant.mean(axis=0),
        "truth": truth,
        "bias": _mean_known(effect.estimate) - truth,
        "coverage": _covered(effect, truth),
        "width": _mean_known(effect.upper - effect.lower),
        "spared": np.where(np.isfinite(spared.p).any(axis=0), (spared.p < alpha).mean(axis=0), np.nan),
        "better": significant & (direction * effect.estimate > 0),
    }


ANALYSES = {"lowered": _lowered, "relieved": _relieved}


def _decides(protocol: Protocol, seen: Seen, endpoint: Observed, effect: Effect) -> np.ndarray:
    """Which trials are significant on the clinical endpoint (replicate, size); below 20 by the exact test."""
    alpha, recruited = protocol.evaluation.alpha, seen.recruited
    significant = effect.p < alpha
    for j, size in enumerate(protocol.evaluation.sizes):
        if size >= EXACT_BELOW:
            break
        generator = seen.screening.generator("reference")
        result = exact_test(
            protocol, endpoint, recruited.treated, recruited.stratum, generator, size, draws=EXACT_DRAWS
        )
        significant[:, j] = result.p[:, 0] < alpha
    return significant


def _gate(protocol: Protocol, people: People, screening: Screening, reading: VisitValue) -> dict[str, float]:
    """GATE figures of one batch; `reading` is the gate's, on the instrument's scale."""
    assert protocol.gate is not None and people.raised is not None and people.again is not None
    gate, instrument = protocol.gate, Instrument.load(protocol.gate.measure)
    count = protocol.schedule[gate.measure].replicates
    noise = visit_noise(screening, instrument, gate.side, baseline_week(protocol), count)
    again = visit_value(instrument, read(instrument, people.again[screening.person], noise)).value
    here, passes = people.world.present[screening.person], gate_passes(protocol, reading)
    return gate_figures(here, passes, people.raised, screening.person, again - reading.value)


def _truth(potential: np.ndarray, recruited: Recruited, sizes: tuple[int, ...]) -> np.ndarray:
    """Mean of treated minus control potential outcome over all randomised, by size."""
    effect = (potential[1] - potential[0])[recruited.person]
    return np.cumsum(effect, axis=1)[:, np.array(sizes) - 1].mean(axis=0) / np.array(sizes)


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


def _months(protocol: Protocol, screened: np.ndarray) -> np.ndarray:
    rate = protocol.conduct.screened_per_month.value or np.nan
    run = (protocol.follow_up - protocol.first_visit) * factor(protocol.unit, "day") / DAYS_A_MONTH
    return screened / rate + run
