"""Who is screened, who passes the gate, who is randomised to what, for many replicate trials at once.

Every replicate screens people in an order of its own. Errors and times of leaving belong to a place in that order, so
that worlds and sizes share them: trials of 40 are the first 40 randomised of trials of 60, and a world differs from
another only by what happens in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from causalgia.analysis.allocation import allocation_lists, positions
from causalgia.documents import Instrument, Protocol, streams
from causalgia.documents.units import factor
from causalgia.measurement.readings import Noise, VisitValue, from_scale, read, visit_value
from causalgia.population.worlds import World


@dataclass(frozen=True)
class Screening:
    """The order in which replicates screen a pool: `person` (replicate, place), and random numbers by place."""

    seed: int
    purpose: tuple[str | int, ...]
    person: np.ndarray
    drawn: dict[tuple[str | int, ...], np.ndarray] = field(default_factory=dict)

    def normal(self, *name: str | int) -> np.ndarray:
        """Standard normals (replicate, place), the same for every world that asks by this name."""
        return self._once(np.random.Generator.standard_normal, name)

    def uniform(self, *name: str | int) -> np.ndarray:
        """Uniforms (replicate, place), the same for every world that asks by this name."""
        return self._once(np.random.Generator.random, name)

    def _once(self, draw: Callable[..., np.ndarray], name: tuple[str | int, ...]) -> np.ndarray:
        """Numbers (replicate, place), drawn place by place, so that more places change none of the first."""
        if name not in self.drawn:
            self.drawn[name] = np.ascontiguousarray(draw(self.generator(*name), self.person.shape[::-1]).T)
        return self.drawn[name]

    def generator(self, *name: str | int) -> np.random.Generator:
        """The stream of one name."""
        return streams.generator(self.seed, *self.purpose, *name)


def screen_again(
    seed: int, purpose: tuple[str | int, ...], pool: np.ndarray, replicates: int, places: int
) -> Screening:
    """`places` people of `pool` for each replicate, drawn with replacement: a pool stands for an endless population."""
    drawn = streams.generator(seed, *purpose, "order").integers(len(pool), size=(places, replicates)).T
    return Screening(seed, purpose, pool[np.ascontiguousarray(drawn)])


def screen(seed: int, purpose: tuple[str | int, ...], pool: np.ndarray, replicates: int, places: int) -> Screening:
    """The first `places` of a random order of `pool` for each replicate (Fisher-Yates, place by place).

    More places prolong every order and change none of its beginning.
    """
    generator = streams.generator(seed, *purpose, "order")
    order = np.tile(pool, (replicates, 1))
    rows = np.arange(replicates)
    for k in range(min(places, len(pool) - 1)):
        swap = generator.integers(k, len(pool), size=replicates)
        order[rows, k], order[rows, swap] = order[rows, swap], order[rows, k]
    return Screening(seed, purpose, np.ascontiguousarray(order[:, :places]))


class Visit(NamedTuple):
    """A side, the week in which it is measured, and how many times."""

    side: str
    week: float
    replicates: int


@dataclass(frozen=True)
class Recruited:
    """Randomised subjects of every replicate, in order of randomisation; arrays are (replicate, slot).

    `arm` is the place in `protocol.order`: 0 is control.
    """

    place: np.ndarray
    person: np.ndarray
    screened: np.ndarray
    low: np.ndarray
    stratum: np.ndarray
    arm: np.ndarray

    @property
    def treated(self) -> np.ndarray:
        """Who is not in the control arm."""
        return self.arm > 0

    def at(self, by_place: np.ndarray) -> np.ndarray:
        """An array (replicate, place) at the randomised subjects' places."""
        first = np.arange(len(self.place))[:, None] * by_place.shape[1]
        return by_place.ravel().take(first + self.place)

    def outcome(self, potential: np.ndarray) -> np.ndarray:
        """The revealed one of the potential outcomes (regimen, person)."""
        return potential.ravel().take(self.arm * np.intp(potential.shape[1]) + self.person)


def gate_reading(protocol: Protocol, latents: np.ndarray, screening: Screening) -> VisitValue:
    """The gate's reading (replicate, place), the mean of the rule's replicates, on the instrument's scale.

    `latents` (person,) are what it would read without error.
    """
    assert protocol.gate is not None
    gate, instrument = protocol.gate, Instrument.load(protocol.gate.measure)
    noise = visit_noise(screening, instrument, Visit(gate.side, gate.at, gate.parsed.blisters))
    return visit_value(instrument, read(instrument, latents[screening.person], noise))


def gate_passes(protocol: Protocol, reading: VisitValue) -> np.ndarray:
    """Who passes the gate."""
    assert protocol.gate is not None
    instrument, rule = Instrument.load(protocol.gate.measure), protocol.gate.parsed
    return rule.passes(from_scale(instrument, reading.value) * factor(instrument.unit, rule.unit))


def visit_noise(
    screening: Screening, instrument: Instrument, visit: Visit, recruited: Recruited | None = None
) -> Noise:
    """The errors of one visit by place, or by slot of those `recruited`: the day's, and one a replicate where the
    instrument's replicates differ.
    """

    def drawn(*name: str | int) -> np.ndarray:
        values = screening.normal(instrument.name, visit.side, f"{visit.week:g}", *name)
        return values if recruited is None else recruited.at(values)

    day = drawn("day")
    if instrument.replicate_error is None:
        return Noise(day, np.zeros((visit.replicates, *day.shape)))
    return Noise(day, np.stack([drawn("replicate", k) for k in range(visit.replicates)]))


def recruit(
    protocol: Protocol, world: World, screening: Screening, passes: np.ndarray, durations: np.ndarray, size: int
) -> Recruited | None:
    """The first `size` randomised of every replicate, or None where a replicate's order runs out.

    `passes` (replicate, place) says who passes the gate, `durations` (person,) days since the injury. Low subjects are
    taken while they are at most their share of all randomised: after h high ones the cap is floor(h s / (1 - s)), and
    the number taken is the reflected count min(l, l + min over earlier places of (cap - l)).
    """
    present = world.present[screening.person]
    high = present & passes
    taken_high = np.cumsum(high, axis=1, dtype=np.int32)
    low = present & ~passes
    stratum_low = protocol.gate.low_stratum if protocol.gate is not None else None
    if stratum_low is None:
        taken = taken_high
    else:
        share = stratum_low.share
        cap = np.floor(taken_high * (share / (1 - share)) + 1e-9).astype(np.int32)
        offered = np.cumsum(low, axis=1, dtype=np.int32)
        taken = taken_high + offered + np.minimum(0, np.minimum.accumulate(cap - offered, axis=1))
    if (taken[:, -1] < size).any():
        return None
    accepted = np.diff(taken, axis=1, prepend=0) > 0
    place = np.nonzero(accepted & (taken <= size))[1].reshape(len(taken), size)
    rows = np.arange(len(place))[:, None]
    person = screening.person[rows, place]
    screened = np.cumsum(present, axis=1, dtype=np.int32)[rows, place]
    slot_low = low[rows, place]
    stratum = _stratum(protocol, durations[person], slot_low)
    arm = _allocate(protocol, screening, stratum, size)
    return Recruited(place, person, screened, slot_low, stratum, arm)


def _stratum(protocol: Protocol, duration: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Number of each subject's stratum: whole days above the cut count 1, low TNF counts 2."""
    stratum = np.zeros(duration.shape, np.int8)
    if "duration" in protocol.allocation.strata:
        stratum += (np.floor(duration) > protocol.allocation.cut_days).astype(np.int8)
    if "gate" in protocol.allocation.strata:
        stratum += 2 * low.astype(np.int8)
    return stratum


def _allocate(protocol: Protocol, screening: Screening, stratum: np.ndarray, size: int) -> np.ndarray:
    lists = allocation_lists(protocol, screening.generator("allocation"), len(stratum), size)
    return lists[np.arange(len(stratum))[:, None], stratum, positions(stratum)]
