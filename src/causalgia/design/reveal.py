"""What the analyses of replicate trials see: readings, covariates, who stayed, and the trial's course."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np

from causalgia.analysis.relieved import Values
from causalgia.design.plan import Potential, wounds_per_subject
from causalgia.documents import Protocol
from causalgia.documents.units import factor
from causalgia.measurement.readings import Noise, Readings, VisitValue, visit_value
from causalgia.trial.recruit import Recruited, Screening, Visit, visit_noise
from causalgia.trial.tables import DAYS_A_MONTH
from causalgia.trial.visits import leaving_week, observe


class Readout(NamedTuple):
    """An endpoint and its baseline (replicate, slot), covariates (replicate, slot, p): baseline, then factors; and who
    stayed for it.
    """

    now: VisitValue
    before: VisitValue
    covariates: np.ndarray
    stayed: np.ndarray

    @property
    def endpoint(self) -> Values:
        """The same as an analysis of one trial takes it."""
        return Values(self.now.value, self.before.value, self.covariates, self.stayed)


@dataclass(frozen=True)
class Seen:
    """What an analysis needs besides the endpoint: recruits, their errors, when they left, their factors, the group
    whose effect is compared with the others', and the trial's course. `noises` keeps the errors by slot of the visits
    that were read.
    """

    recruited: Recruited
    screening: Screening
    left: np.ndarray
    factors: list[np.ndarray]
    group: np.ndarray | None
    course: dict[str, np.ndarray]
    noises: dict[tuple[str, Visit], Noise] = field(default_factory=dict)

    @classmethod
    def of(cls, protocol: Protocol, screening: Screening, recruited: Recruited, duration: np.ndarray) -> Seen:
        """One set of recruits; `duration` (person,) days since the injury."""
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
        compared, group = protocol.compared, None
        if compared is not None:
            long = np.floor(duration[recruited.person]) > compared.cut_days
            group = recruited.low if compared.by == "gate" else long
        return cls(recruited, screening, leaving_week(protocol, recruited, screening), factors, group, course)

    def first(self, count: int) -> Seen:
        """The first replicates alone, without a group or a course."""
        rows = slice(0, count)
        recruited = Recruited(*(getattr(self.recruited, one.name)[rows] for one in fields(self.recruited)))
        return Seen(recruited, self.screening, self.left[rows], [part[rows] for part in self.factors], None, {})

    def of_arm(self, arm: int) -> Seen:
        """The same people with the same errors, all of them in one arm."""
        everybody = replace(self.recruited, arm=np.full_like(self.recruited.arm, arm))
        return replace(self, recruited=everybody)

    def values(self, protocol: Protocol, potential: Potential) -> Readout:
        """An endpoint's readings."""
        endpoint = potential.endpoint
        before = self.at(protocol, potential, potential.baseline, endpoint.baseline)
        now = self.at(protocol, potential, potential.visits[0], endpoint.at)
        if endpoint.second is not None:
            second = self.at(protocol, potential, potential.visits[1], endpoint.second)
            now = VisitValue((now.value - second.value) / 2, now.below)
        covariates = np.stack([before.value, *self.factors], axis=-1)
        return Readout(now, before, covariates, self.left >= endpoint.visits[-1])

    def at(self, protocol: Protocol, potential: Potential, latents: np.ndarray, week: float) -> VisitValue:
        """One visit's value, the mean of its replicates, (replicate, slot)."""
        return visit_value(potential.instrument, self.readings(protocol, potential, latents, week))

    def readings(self, protocol: Protocol, potential: Potential, latents: np.ndarray, week: float) -> Readings:
        """One visit's readings (reading, replicate, slot); `latents` (regimen, person)."""
        endpoint, instrument = potential.endpoint, potential.instrument
        visit = Visit(endpoint.side, week, protocol.schedule[endpoint.measure].replicates)
        key = (instrument.name, visit)
        if key not in self.noises:
            self.noises[key] = visit_noise(self.screening, instrument, visit, self.recruited)
        return observe(instrument, latents, self.recruited, self.noises[key])


def _months(protocol: Protocol, screened: np.ndarray) -> np.ndarray:
    rate = protocol.conduct.screened_per_month.value or np.nan
    run = (protocol.follow_up - protocol.first_visit) * factor(protocol.unit, "day") / DAYS_A_MONTH
    return screened / rate + run
