"""Virtual patients like one patient: as long ill, of the same body, each with the weight that the readings give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from causalgia.documents import Condition, expressions, streams
from causalgia.documents.arms import Arm
from causalgia.documents.parameters import Parameter
from causalgia.documents.patient import Patient
from causalgia.documents.units import factor
from causalgia.engine import Events, solve
from causalgia.population.dosing import ANTIBODY_STATE
from causalgia.population.draw import draw
from causalgia.population.outcomes import treated
from causalgia.population.patients import RTOL, Population

# Model outputs that are followed, beside the concentration of a drug.
OUTPUTS = ("TNF", "bound", "IL6", "TNF_c", "bound_c", "IL6_c", "NRS", "dTemp", "Oed", "Motor", "I")
# Draws of the assay's recovery a person, each a person of its own to the readings.
RECOVERIES = 8
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
        """Effective number of people, (Σw)² / Σw²; a person who stands there with several recoveries is one."""
        edges, total = np.cumsum([0, *(part.sizes["subject"] for part in self.worlds)]), 0.0
        for part, a, b in zip(self.worlds, edges[:-1], edges[1:], strict=True):
            _, person = np.unique(part["id"].values, return_inverse=True)
            total += float((np.bincount(person, self.weight[a:b]) ** 2).sum())
        return 1 / total

    @property
    def label(self) -> str:
        """How far the parameters have been learned."""
        return "prior, uncalibrated" if self.population.posterior is None else "calibrated posterior"

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

    def reweighted(self, log_likelihood: np.ndarray) -> People:
        """The same people after something was read; unchanged where nobody could have shown it."""
        total = np.log(np.maximum(self.weight, 1e-300)) + np.where(np.isnan(log_likelihood), -np.inf, log_likelihood)
        if not np.isfinite(total).any():
            return self
        weight = np.exp(total - total.max())
        return replace(self, weight=weight / weight.sum())

    def resampled(self, people: int, seed: int) -> People:
        """`people` of equal weight, by systematic resampling; each has random effects of its own to a drug.

        Somebody who stands for several gets several draws of what drugs do.
        """
        chosen = systematic(self.weight, people, seed)
        parts, first = [], 0
        for part in self.worlds:
            size = part.sizes["subject"]
            taken = part.isel(subject=chosen[(chosen >= first) & (chosen < first + size)] - first)
            world = str(part["world"].values)
            parts.append(taken.assign(id=("subject", _fresh(taken["id"].values, self.population.draws.get(world, {})))))
            first += size
        return replace(self, worlds=tuple(parts), weight=np.full(people, 1 / people))

    def kept(self, least: float = 1e-8) -> People:
        """Without those whose weight is nothing beside the largest."""
        keep = self.weight > least * self.weight.max()
        edges = np.cumsum([0, *(part.sizes["subject"] for part in self.worlds)])
        parts = tuple(
            part.isel(subject=np.flatnonzero(keep[a:b]))
            for part, a, b in zip(self.worlds, edges[:-1], edges[1:], strict=True)
        )
        return replace(self, worlds=parts, weight=self.weight[keep] / self.weight[keep].sum())

    def course(self, arm: Arm, days: Sequence[float], extra: tuple[str, ...] = ()) -> Course:
        """Model outputs (person, time) under an arm, on `days` from now; `ada` says who has antibodies by then."""
        return self._run(arm, np.asarray(days, float), extra)[0]

    def later(self, days: float) -> People:
        """The same people so many days later, without a drug."""
        if days == 0:
            return self
        finals = self._run(Arm(), np.array([0.0, days]), ())[1]
        names = [str(name) for name in self.worlds[0]["compartment"].values]
        parts = []
        for part, (kernel, final) in zip(self.worlds, finals, strict=True):
            state = part["state"].values.copy()
            for j, name in enumerate(kernel):
                state[:, names.index(name)] = final[:, j]
            parts.append(part.assign(state=(("subject", "compartment"), state), duration=part["duration"] + days))
        return replace(self, worlds=tuple(parts))

    def _run(
        self, arm: Arm, days: np.ndarray, extra: tuple[str, ...]
    ) -> tuple[Course, list[tuple[tuple[str, ...], np.ndarray]]]:
        values: dict[str, list[np.ndarray]] = {name: [] for name in (*OUTPUTS, *extra, "ada")}
        finals: list[tuple[tuple[str, ...], np.ndarray]] = []
        for part in self.worlds:
            if not part.sizes["subject"]:
                finals.append(((), np.empty((0, 0))))
                continue
            people = treated(self.population, part, arm)
            names = [name for name in (*OUTPUTS, *extra) if name in people.kernel.outputs]
            solution = solve(
                people.kernel,
                people.parameters,
                days,
                outputs=names,
                initial=people.initial,
                start=min(0.0, days[0]),
                events=people.events,
                rtol=RTOL,
            )
            shape = solution.values.shape[:2]
            for name in (*OUTPUTS, *extra):
                found = solution.values[:, :, names.index(name)] if name in names else np.zeros(shape)
                values[name].append(found)
            values["ada"].append(_immune(people.events, days, shape))
            finals.append((people.kernel.states, solution.final))
        return {name: np.concatenate(parts) for name, parts in values.items()}, finals


def systematic(weight: np.ndarray, people: int, seed: int) -> np.ndarray:
    """Rows that systematic resampling takes, (people,), rising: one random start, then even steps of weight."""
    start = streams.uniforms(seed, "resampling", size=1)[0]
    places = (np.arange(people) + start) / people
    return np.minimum(np.searchsorted(np.cumsum(weight), places), len(weight) - 1)


def _fresh(ids: np.ndarray, draws: Mapping[str, np.ndarray]) -> np.ndarray:
    """New numbers of people, each once; typical values, which go by the number modulo their count, stay."""
    count = len(next(iter(draws.values()))) if draws else 1
    residue = ids % count
    order = np.argsort(residue, kind="stable")
    _, starts, sizes = np.unique(residue[order], return_index=True, return_counts=True)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids)) - np.repeat(starts, sizes)
    return residue + count * rank


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


def people_like(patient: Patient, people: int, seed: int) -> People:
    """Virtual patients at the patient's first visit, `people` in all worlds together, of equal weight within a world.

    They are injured, live their course for as long as the patient's disease has lasted and are kept if they meet the
    criteria of the condition there. What is known of the patient's body is theirs; the rest is drawn.
    """
    population = Population.load(patient.condition)
    alike = replace(population, condition=_conditioned(population.condition, patient))
    each = max(people // len(alike.condition.worlds), 1)
    sample = alike.sample(each, seed=seed)
    parts = tuple(_recovered(alike, sample.isel(world=w), seed) for w in range(sample.sizes["world"]))
    prior = sample["prior"].values / sample["prior"].values.sum()
    sizes = [part.sizes["subject"] for part in parts]
    return People(alike, parts, np.repeat(prior / sizes, sizes), prior, each * len(parts))


def _recovered(population: Population, part: xr.Dataset, seed: int) -> xr.Dataset:
    """People of one world, each as often as `RECOVERIES` with another recovery of the assay, where that varies.

    Recovery acts on readings alone, independent of all else, so more draws of it cost no simulation and spread the
    weight over more people. Not where the criteria of the condition ask for it.
    """
    world = str(part["world"].values)
    entry = population.entries_of(world)["recovery"]
    if not entry.varies or "recovery" in expressions.symbols(population.condition.history.criteria):
        return part
    taken = part.isel(subject=np.tile(np.arange(part.sizes["subject"]), RECOVERIES))
    people, typical = taken.sizes["subject"], population.typical.get(world, {})
    if "recovery" in typical:
        typical = {"recovery": typical["recovery"][taken["id"].values % len(typical["recovery"])]}
    drawn = draw({"recovery": entry}, seed, people, {}, {}, typical)["recovery"]
    return taken.assign(recovery=("subject", drawn))


def _conditioned(condition: Condition, patient: Patient) -> Condition:
    """The condition with the patient's body and duration in place of their distributions."""
    about, covariates = patient.about, dict(condition.covariates)
    for name, unit in (("age", "year"), ("weight", "kg"), ("albumin", "g/L")):
        value = getattr(about, name)
        if value is not None and name in covariates:
            covariates[name] = Parameter(value=value, unit=unit, source="the patient")
    if about.sex is not None:
        covariates["female"] = Parameter(probability=float(about.sex == "female"), source="the patient")
    updates: dict[str, object] = {"covariates": covariates}
    if patient.entry is not None:
        updates["history"] = condition.history.model_copy(update={"entry": patient.entry})
    return condition.model_copy(update=updates)


def outside(condition: Condition, patient: Patient) -> list[str]:
    """What of the patient's body the condition does not cover, in words."""
    found = []
    for name in ("age", "weight", "albumin"):
        value, entry = getattr(patient.about, name), condition.covariates.get(name)
        limits = entry.range if entry is not None else None
        if value is not None and limits is not None and not limits[0] <= value <= limits[1]:
            unit = entry.unit if entry is not None else ""
            found.append(f"{name} {value:g} {unit}: the population has {limits[0]:g} to {limits[1]:g}")
    return found
