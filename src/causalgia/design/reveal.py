"""What the analyses of replicate trials see: readings, covariates, who stayed, and the trial's course."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from causalgia.design.plan import Potential, wounds_per_subject
from causalgia.documents import Protocol
from causalgia.documents.units import factor
from causalgia.measurement.readings import Readings, VisitValue, visit_value
from causalgia.trial.recruit import Recruited, Screening
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


@dataclass(frozen=True)
class Seen:
    """What an analysis needs besides the endpoint: recruits, their errors, when they left, their factors, the group
    whose effect is compared with the others', and the trial's course.
    """

    recruited: Recruited
    screening: Screening
    left: np.ndarray
    factors: list[np.ndarray]
    group: np.ndarray | None
    course: dict[str, np.ndarray]

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
        recruited = Recruited(*(getattr(self.recruited, field.name)[rows] for field in fields(self.recruited)))
        return Seen(recruited, self.screening, self.left[rows], [part[rows] for part in self.factors], None, {})

    def values(self, protocol: Protocol, potential: Potential, recruited: Recruited | None = None) -> Readout:
        """An endpoint's readings, of these recruits or of the same people in other arms."""
        endpoint = potential.endpoint

        def at(latents: np.ndarray, week: float) -> VisitValue:
            return self.at(protocol, potential, latents, week, recruited)

        before, now = at(potential.baseline, endpoint.baseline), at(potential.visits[0], endpoint.at)
        if endpoint.second is not None:
            second = at(potential.visits[1], endpoint.second)
            now = VisitValue((now.value - second.value) / 2, now.below)
        covariates = np.stack([before.value, *self.factors], axis=-1)
        return Readout(now, before, covariates, self.left >= endpoint.visits[-1])

    def at(
        self,
        protocol: Protocol,
        potential: Potential,
        latents: np.ndarray,
        week: float,
        recruited: Recruited | None = None,
    ) -> VisitValue:
        """One visit's value, the mean of its replicates, (replicate, slot)."""
        return visit_value(potential.instrument, self.readings(protocol, potential, latents, week, recruited))

    def readings(
        self,
        protocol: Protocol,
        potential: Potential,
        latents: np.ndarray,
        week: float,
        recruited: Recruited | None = None,
    ) -> Readings:
        """One visit's readings (reading, replicate, slot); `latents` (regimen, person)."""
        endpoint = potential.endpoint
        visit = (endpoint.side, week, protocol.schedule[endpoint.measure].replicates)
        return observe(potential.instrument, latents, recruited or self.recruited, self.screening, visit)


def _months(protocol: Protocol, screened: np.ndarray) -> np.ndarray:
    rate = protocol.conduct.screened_per_month.value or np.nan
    run = (protocol.follow_up - protocol.first_visit) * factor(protocol.unit, "day") / DAYS_A_MONTH
    return screened / rate + run
