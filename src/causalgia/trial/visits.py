"""What the clinic reads of randomised subjects at a visit, and who has left by then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalgia.documents import Instrument, Protocol
from causalgia.measurement import readings
from causalgia.measurement.readings import Noise, Readings
from causalgia.population.worlds import World
from causalgia.trial.recruit import Recruited, Screening


def latent(
    world: World,
    instrument: Instrument,
    side: str,
    week: float,
    extra: Mapping[str, np.ndarray] | None = None,
    *,
    expectation: bool = True,
) -> np.ndarray:
    """Potential outcomes (regimen, person) of a reading without error, on the instrument's scale.

    A person's recovery belongs to the reading, and so does what people expect of a drug they know of.
    """
    value = true_signal(world, instrument, side, week, extra, expectation=expectation)
    return readings.to_scale(instrument, value * world.person("recovery") if instrument.recovery else value)


def true_signal(
    world: World,
    instrument: Instrument,
    side: str,
    week: float,
    extra: Mapping[str, np.ndarray] | None = None,
    *,
    expectation: bool = True,
) -> np.ndarray:
    """Potential outcomes (regimen, person) at the site itself, in the instrument's unit: were everything recovered."""
    extra = extra or {}
    outputs = {
        name: world.output(name, week, expectation=expectation)
        for name in readings.names(instrument, side) - extra.keys()
    }
    return readings.signal(instrument, side, {**outputs, **extra})


def observe(instrument: Instrument, potential: np.ndarray, recruited: Recruited, noise: Noise) -> Readings:
    """Readings (reading, replicate, slot) at one visit with its errors by slot; `potential` (regimen, person)."""
    return readings.read(instrument, recruited.outcome(potential), noise)


def leaving_week(protocol: Protocol, recruited: Recruited, screening: Screening) -> np.ndarray:
    """When each subject leaves, weeks after randomisation (replicate, slot).

    A constant hazard loses the stated share by the clinical endpoint.
    """
    share = protocol.conduct.dropout.typical
    if share == 0:
        return np.full(recruited.place.shape, np.inf)
    hazard = -np.log1p(-share) / protocol.endpoints.relieved.at
    return -np.log(recruited.at(screening.uniform("leaving"))) / hazard
