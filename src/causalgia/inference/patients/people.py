"""Weighted virtual patients, and their courses with and without a drug."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from causalgia.documents import streams
from causalgia.documents.arms import Arm
from causalgia.documents.units import factor
from causalgia.engine import Events, solve
from causalgia.population.dosing import ANTIBODY_STATE
from causalgia.population.draw import draw
from causalgia.population.outcomes import treated
from causalgia.population.patients import RTOL, Population

# Model outputs that are followed, beside the concentration of a drug.
OUTPUTS = ("TNF", "bound", "IL6", "TNF_c", "bound_c", "IL6_c", "NRS", "dTemp", "Oed", "Motor", "I")
Course = dict[str, np.ndarray]


@dataclass(frozen=True)
class People:
    """Weighted virtual patients of all structural worlds, one after the other; `weight` (person,) sums to 1.

    `prior` (world,) are the worlds' weights before anything was read, `histories` how many courses were simulated.
    """

    population: Population
    worlds: tuple[xr.Dataset, ...]
    weight: np.ndarray
    prior: np.ndarray
    histories: int

    @property
    def ess(self) -> float:
        """Effective number of people."""
        return weighted_ess(self.weight)

    @property
    def label(self) -> str:
        """How far the parameters have been learned."""
        posterior = self.population.posterior
        if posterior is None:
            return "prior, uncalibrated"
        return "calibrated posterior" if posterior.checked else "calibrated posterior that failed its own check"

    @property
    def world(self) -> np.ndarray:
        """Index of each person's world, (person,)."""
        return np.repeat(np.arange(len(self.worlds)), [part.sizes["subject"] for part in self.worlds])

    @property
    def shares(self) -> np.ndarray:
        """The weight of each world."""
        return np.bincount(self.world, self.weight, minlength=len(self.worlds))

    def of(self, name: str) -> np.ndarray:
        """A covariate or parameter outside the model, (person,)."""
        return np.concatenate([part[name].values for part in self.worlds])

    def taken(self, rows: np.ndarray) -> People:
        """The people of some rows, sorted by row, as often as they are named, of equal weight."""
        rows, first, parts = np.sort(rows, kind="stable"), 0, []
        for part in self.worlds:
            size = part.sizes["subject"]
            parts.append(part.isel(subject=rows[(rows >= first) & (rows < first + size)] - first))
            first += size
        return replace(self, worlds=tuple(parts), weight=np.full(len(rows), 1 / len(rows)))

    def again(self, names: tuple[str, ...], times: int, seed: int) -> Course:
        """Further draws of parameters outside the model, (times * person,): one of everybody after another."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for part in self.worlds:
            world, ids = str(part["world"].values), np.tile(part["id"].values, times)
            known, typical = self.population.entries_of(world), self.population.typical.get(world, {})
            entries = {name: known[name] for name in names}
            centre = {name: typical[name][ids % len(typical[name])] for name in names if name in typical}
            drawn = draw(entries, seed, len(ids), {}, {}, centre) if len(ids) else {name: np.empty(0) for name in names}
            for name in names:
                unit = factor(entries[name].unit, "day") if name == "PHA" else 1.0
                found[name].append(unit * np.broadcast_to(drawn[name], len(ids)).reshape(times, -1))
        return {name: np.concatenate(parts, axis=1).reshape(-1) for name, parts in found.items()}

    def resampled(self, people: int, seed: int) -> People:
        """`people` of equal weight, by systematic resampling; each has random effects of its own to a drug.

        Somebody who stands for several gets several draws of what drugs do.
        """
        chosen = systematic(self.weight, people, seed)
        parts, first = [], 0
        for part in self.worlds:
            size = part.sizes["subject"]
            taken = part.isel(subject=chosen[(chosen >= first) & (chosen < first + size)] - first)
            count = draws_of(self.population, str(part["world"].values))
            parts.append(taken.assign(id=("subject", fresh(taken["id"].values % count, count))))
            first += size
        return replace(self, worlds=tuple(parts), weight=np.full(people, 1 / people))

    def course(self, arm: Arm, days: Sequence[float], extra: tuple[str, ...] = ()) -> Course:
        """Model outputs (person, time) under an arm, on `days` from now; `ada` says who has antibodies by then."""
        times = np.asarray(days, float)
        values: dict[str, list[np.ndarray]] = {name: [] for name in (*OUTPUTS, *extra, "ada")}
        for part in (part for part in self.worlds if part.sizes["subject"]):
            people = treated(self.population, part, arm)
            names = [name for name in (*OUTPUTS, *extra) if name in people.kernel.outputs]
            solution = solve(
                people.kernel,
                people.parameters,
                times,
                outputs=names,
                initial=people.initial,
                start=min(0.0, times[0]),
                events=people.events,
                rtol=RTOL,
            )
            shape = solution.values.shape[:2]
            for name in (*OUTPUTS, *extra):
                found = solution.values[:, :, names.index(name)] if name in names else np.zeros(shape)
                values[name].append(found)
            values["ada"].append(_immune(people.events, times, shape))
        return {name: np.concatenate(parts) for name, parts in values.items()}


def draws_of(population: Population, world: str) -> int:
    """How many draws of typical values the population has in a world."""
    columns = population.draws.get(world, {})
    return len(next(iter(columns.values()))) if columns else 1


def weighted_ess(weight: np.ndarray) -> float:
    """Effective number of weights, (Σw)² / Σw²."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0


def systematic(weight: np.ndarray, people: int, seed: int) -> np.ndarray:
    """Rows that systematic resampling takes, (people,), rising: one random start, then even steps of weight."""
    start = streams.uniforms(seed, "resampling", size=1)[0]
    places = (np.arange(people) + start) / people
    return np.minimum(np.searchsorted(np.cumsum(weight), places), len(weight) - 1)


def fresh(number: np.ndarray, count: int) -> np.ndarray:
    """Numbers of people, each once, with the remainder `number` modulo `count`: their draw of typical values."""
    order = np.argsort(number, kind="stable")
    _, starts, sizes = np.unique(number[order], return_index=True, return_counts=True)
    rank = np.empty(len(number), np.int64)
    rank[order] = np.arange(len(number)) - np.repeat(starts, sizes)
    return number + count * rank


def _immune(events: Events | None, days: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Whether antibodies against the binder act by each day, (person, time)."""
    columns = (
        []
        if events is None
        else [j for j, state in enumerate(np.asarray(events.state).tolist()) if state == ANTIBODY_STATE]
    )
    if events is None or not columns:
        return np.zeros(shape)
    onset = np.asarray(events.time)[:, columns].min(axis=1)
    return (onset[:, None] <= days).astype(float)
