"""One trial, revealed from the potential outcomes of its pool."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import xarray as xr

from causalgia.documents import InputError, Instrument, Protocol, streams
from causalgia.documents.protocol import check_sizes
from causalgia.population.worlds import World, worlds
from causalgia.trial import tables
from causalgia.trial.harm import harm_rates
from causalgia.trial.recruit import Recruited, Screening, gate_passes, gate_reading, recruit, screen
from causalgia.trial.visits import latent, leaving_week

Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Trial:
    """One trial before it is written down; arrays have one replicate in front."""

    protocol: Protocol
    world: World
    seed: int
    screening: Screening
    passes: np.ndarray
    recruited: Recruited

    @cached_property
    def left(self) -> np.ndarray:
        """When each subject leaves, weeks after randomisation (slot,)."""
        return leaving_week(self.protocol, self.recruited, self.screening)[0]

    @cached_property
    def last_screened(self) -> int:
        """The place of the last person screened: the trial stops when it is full."""
        return int(self.recruited.place[0, -1])

    @cached_property
    def events(self) -> list[tables.Event]:
        """Adverse events: at most one of each term a subject, at the arm's rate, on a day after a dose."""
        found = []
        rates = harm_rates(self.protocol)
        for term in rates:
            draws = self.screening.uniform("adverse event", term.term)[0][self.recruited.place[0]]
            when = streams.generator(self.seed, "conduct", "onset", term.term)
            rate = np.array([term.rates[name] for name in self.protocol.order])[self.recruited.arm[0]]
            for slot in np.flatnonzero(draws < rate):
                first = term.days[int(when.integers(len(term.days)))]
                day = first if term.at_dose else first + int(when.integers(1, 28))
                if day / 7 <= self.left[slot]:
                    found.append(tables.Event(int(slot), term.term, int(day), term.serious))
        return sorted(found)


def conduct(
    protocol: Protocol, outcomes: xr.Dataset, *, seed: int, size: int | None = None, world: str | None = None
) -> Tables:
    """One simulated trial as ADaM-shaped tables: adsl, adlb, adqs, adae, adex, adice, and truth.

    `size` is the total randomised (by default the protocol's middle size); `world` one of `worlds(outcomes)`, by
    default the first structural one. Raises InputError for an unknown world, for a size that the allocation cannot
    have and where the pool cannot fill the trial.
    """
    every = worlds(outcomes, protocol.order, protocol.aware)
    name = world or next(iter(every))
    if name not in every:
        raise InputError("world", repr(name), f"one of {', '.join(every)}", "Correct it.")
    if size is not None:
        check_sizes(protocol, (size,), "size")
    trial = run(protocol, every[name], seed, default_size(protocol) if size is None else size)
    return {
        "adsl": tables.adsl(trial),
        "adlb": tables.measurements(trial, "log"),
        "adqs": tables.measurements(trial, "linear"),
        "adae": tables.adae(trial),
        "adex": tables.adex(trial),
        "adice": tables.adice(trial),
        "truth": tables.truth(trial),
    }


def default_size(protocol: Protocol) -> int:
    """The middle one of the protocol's sizes."""
    sizes = protocol.evaluation.sizes
    return sizes[len(sizes) // 2]


def run(protocol: Protocol, world: World, seed: int, size: int) -> Trial:
    """Screens the pool in one random order until `size` are randomised."""
    pool = np.flatnonzero(world.present)
    places = min(4 * size + 64, len(pool))
    while True:
        screening = screen(seed, ("conduct",), pool, 1, places)
        passes = np.ones(screening.person.shape, bool)
        if protocol.gate is not None:
            gate = protocol.gate
            latents = latent(world, Instrument.load(gate.measure), gate.side, gate.at)[0]
            passes = gate_passes(protocol, gate_reading(protocol, latents, screening))
        recruited = recruit(protocol, world, screening, passes, world.person("duration"), size)
        if recruited is not None:
            return Trial(protocol, world, seed, screening, passes, recruited)
        if places == len(pool):
            found = f"{size} randomised from {len(pool)} enrolled"
            raise InputError(
                f"{protocol.path}, size", found, "a size that the pool can fill", "Simulate more subjects."
            )
        places = min(2 * places, len(pool))  # more places prolong the same order
