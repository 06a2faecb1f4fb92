"""Typical values → the statistics that published summaries are compared with, from people of every condition."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.special import ndtr
from scipy.stats import spearmanr

from causalgia.documents import Drug, Instrument, Protocol, expressions, streams
from causalgia.documents.targets import Target, Targets
from causalgia.documents.units import factor
from causalgia.engine import Events, solve
from causalgia.measurement.readings import Noise, from_scale, read, signal, to_scale, visit_value
from causalgia.population.dosing import drug_of
from causalgia.population.outcomes import expectation, placebo, treated
from causalgia.population.patients import ONSET, RTOL, Population, model_page

# People who fall ill, of whom those who meet the criteria are enrolled; by condition, for a size of 1.
PEOPLE = {
    "crps-acute": 900,
    "crps-chronic": 1800,
    "crps-stroke": 320,
    "rheumatoid-arthritis": 160,
    "crohn": 260,
    "sciatica": 420,
}
OTHERS = 500
# A statistic of fewer people is none.
FEWEST = 25
# How long people without an injury are settled before they are looked at.
SETTLE_DAYS = 400.0
# People looked at whether they meet criteria or not.
UNSELECTED = 400


# What acts on treated people alone, by the end of its name.
ONLY_TREATED = ("PEF", "open_bias")


@dataclass(frozen=True)
class Simulator:
    """All targets in one world. The same people, errors and entry times stand behind every set of typical values."""

    targets: tuple[Target, ...]
    world: str
    size: float = 1.0
    seed: int = 1
    populations: Mapping[str, Population] = field(default_factory=dict)

    @classmethod
    def of(cls, targets: Targets, world: str, *, size: float = 1.0, seed: int = 1) -> Simulator:
        """The simulator of a set of targets."""
        conditions = dict.fromkeys(target.condition for target in targets.targets)
        populations = {name: Population.load(name, prior=True) for name in conditions}
        return cls(tuple(targets.targets), world, size, seed, populations)

    def statistics(self, values: Mapping[str, float]) -> np.ndarray:
        """Every target's statistic (target,) on its scale at typical values by "scope.name"; NaN where too few people
        are enrolled.
        """
        draws = {self.world: {name: np.atleast_1d(np.asarray(value, float)) for name, value in values.items()}}
        found = np.full(len(self.targets), np.nan)
        for condition, rows in self._groups.items():
            cohort = Cohort(self, self.populations[condition].with_draws(draws))
            for k in rows:
                found[k] = cohort.statistic(self.targets[k])
        return found

    def readings(self, values: Mapping[str, float], condition: str, keys: list[tuple[str, str]]) -> np.ndarray:
        """Readings at entry (person, key) of the enrolled of one condition, by (measure, side)."""
        draws = {self.world: {name: np.atleast_1d(np.asarray(value, float)) for name, value in values.items()}}
        cohort = Cohort(self, self.populations[condition].with_draws(draws))
        return np.stack([cohort.reading(*key) for key in keys], axis=1)

    def key(self) -> str:
        """A digest of all that the statistics depend on, besides the typical values: this code, the model's page, the
        documents' numbers.
        """
        parts: list[object] = [Path(__file__).read_bytes(), self.targets, self.world, self.size, self.seed]
        for name, population in self.populations.items():
            condition = population.condition
            parts += [name, model_page(condition.model).read_bytes(), population.entries_of(self.world)]
            parts += [condition.covariates, condition.correlations, condition.history]
        for name in dict.fromkeys(target.protocol for target in self.targets if target.protocol):
            protocol = Protocol.load(name)
            parts += [protocol.arms, protocol.endpoints, protocol.blinding]
            parts += [drug.values for drug in _drugs(protocol)] + [drug.routes for drug in _drugs(protocol)]
            parts.append(Instrument.load(protocol.endpoints.relieved.measure).model_dump(exclude={"path", "digest"}))
        for name in dict.fromkeys(target.measure for target in self.targets if target.measure):
            parts.append(Instrument.load(name).model_dump(exclude={"path", "digest"}))
        return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()

    def axes(self, names: list[str]) -> list[np.ndarray]:
        """Which of the parameters, by "scope.name", can matter to each target: their numbers (target: index)."""
        numbers = {name: np.array([j]) for j, name in enumerate(names)}
        result = []
        for target in self.targets:
            population = self.populations[target.condition].with_draws({self.world: numbers})
            found = set(map(int, np.concatenate([*population.typical[self.world].values(), np.empty(0)])))
            if target.protocol is not None:
                for drug in _drugs(Protocol.load(target.protocol)):
                    found |= {int(j[0]) for j in population.typical_of_drug(self.world, drug).values()}
            else:
                found -= {j for j, name in enumerate(names) if name.endswith(ONLY_TREATED)}
            result.append(np.array(sorted(found)))
        return result

    @cached_property
    def _groups(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for k, target in enumerate(self.targets):
            groups.setdefault(target.condition, []).append(k)
        return groups


@dataclass(frozen=True)
class Cohort:
    """People of one condition with given typical values, and what happens to them."""

    simulator: Simulator
    population: Population

    @property
    def injured(self) -> int:
        """How many fall ill."""
        return int(self.simulator.size * PEOPLE.get(self.population.condition.name, OTHERS))

    @cached_property
    def people(self) -> xr.Dataset:
        """Those enrolled."""
        return self.population.follow(self.simulator.world, self.injured, seed=self.simulator.seed)

    @cached_property
    def course(self) -> dict[float, dict[str, np.ndarray]]:
        """Model outputs (person,) without a drug, by days after entry."""
        targets = [t for t in self.simulator.targets if t.condition == self.population.condition.name]
        days = sorted({0.0, *(t.days for t in targets if t.protocol is None)})
        kernel, parameters = self.population.kernel, self.people["parameter"].values
        solution = solve(
            kernel,
            self.population.of_kernel(kernel, parameters, {}),
            np.array(days),
            initial=self.people["state"].values,
            start=0.0,
            rtol=RTOL,
        )
        return {
            day: {name: solution.values[:, i, j] for j, name in enumerate(kernel.outputs)} for i, day in enumerate(days)
        }

    def statistic(self, target: Target) -> float:
        """A target's statistic on its scale."""
        selected = target.statistic != "rest" and target.of == "enrolled"
        if selected and self.people.sizes["subject"] < FEWEST:
            return np.nan
        value, people = getattr(self, f"_{target.statistic}")(target)
        return _scaled(value, target.scale, people)

    def reading(self, measure: str, side: str, days: float = 0.0) -> np.ndarray:
        """What an instrument reads once, with error, (person,)."""
        instrument = Instrument.load(measure)
        value = signal(instrument, side, self.course[days])
        if instrument.recovery:
            value = value * self.people["recovery"].values
        ids = self.people["id"].values
        z = [streams.normals(self.simulator.seed, "calibration", measure, side, kind, size=self.injured)[ids]
             for kind in ("day", "replicate")]  # fmt: skip
        seen = read(instrument, to_scale(instrument, value), Noise(z[0], z[1][None]))
        return from_scale(instrument, visit_value(instrument, seen).value)

    def _quantile(self, target: Target) -> tuple[float, int]:
        values = self.reading(target.measure or "", target.side or "")
        return float(np.quantile(values, target.probability or 0.5)), len(values)

    def _correlation(self, target: Target) -> tuple[float, int]:
        values = self.reading(target.measure or "", target.side or "")
        other = expressions.evaluate(target.formula or "", self.course[0.0])
        return float(spearmanr(values, other)[0]), len(values)

    def _ratio(self, target: Target) -> tuple[float, int]:
        values = np.asarray(expressions.evaluate(target.formula or "", self.course[target.days]))
        return float(np.median(values)), len(values)

    def _mean(self, target: Target) -> tuple[float, int]:
        values = np.asarray(expressions.evaluate(target.formula or "", self.course[target.days]))
        return float(values.mean()), len(values)

    def _meets(self, target: Target) -> tuple[float, int]:
        """Share of those who came early enough, or of all the injured, that meets a criterion at a day."""
        if target.of == "injured":
            meets = self._holds(target.formula or "", target.days, ill=True)
            return float(meets.mean()), len(meets)
        early = self.people["duration"].values <= (target.latest_entry or np.inf)
        meets = np.asarray(expressions.evaluate(target.formula or "", self.course[target.days]), bool)
        return (float(meets[early].mean()), int(early.sum())) if early.sum() >= FEWEST else (np.nan, 0)

    def _rest(self, target: Target) -> tuple[float, int]:
        """Share of people without an injury of whom a formula holds."""
        meets = self._holds(target.formula or "", 0.0, ill=False)
        return float(meets.mean()), len(meets)

    def _holds(self, formula: str, day: float, *, ill: bool) -> np.ndarray:
        """Of whom a formula holds at a day, (person,), enrolled or not, with an injury at day 0 or without."""
        population, world, people = self.population, self.simulator.world, UNSELECTED
        values = population.draw(world, people, self.simulator.seed)
        matrix = population.matrix(values, population.entries_of(world), people)
        causes = np.column_stack([values[ONSET[state]] for state in population.onset])
        solution = solve(
            population.kernel,
            population.of_kernel(population.kernel, matrix, {}),
            np.array([day]),
            start=-SETTLE_DAYS,
            events=Events(time=np.zeros((people, 1)), state=population.onset, amount=causes) if ill else None,
            rtol=RTOL,
        )
        outputs = {name: solution.values[:, 0, j] for j, name in enumerate(population.kernel.outputs)}
        return np.asarray(expressions.evaluate(formula, outputs), bool)

    def _response(self, target: Target) -> tuple[float, int]:
        """Share that responds: each person's probability, given the error of both readings."""
        protocol = Protocol.load(target.protocol or "")
        endpoint, responder = protocol.endpoints.relieved, protocol.endpoints.relieved.responder
        assert responder is not None
        instrument = Instrument.load(endpoint.measure)
        outputs = self._arm(protocol, target.arm or "", self._day(protocol, target))
        before, now = (signal(instrument, endpoint.side, each) for each in outputs)
        error = (instrument.day_error.value or 0.0) * factor(instrument.day_error.unit, instrument.unit)
        if responder.relative:
            left = 1 - responder.fall * factor(responder.unit, "1")
            gain, spread = left * before - now, error * np.hypot(left, 1)
        else:
            gain, spread = before - now - responder.fall * factor(responder.unit, instrument.unit), error * np.sqrt(2)
        return float(ndtr(gain / spread).mean()), len(gain)

    def _change(self, target: Target) -> tuple[float, int]:
        """Mean difference in pain between an arm and the control arm."""
        protocol = Protocol.load(target.protocol or "")
        day = self._day(protocol, target)
        drug, control = (self._arm(protocol, arm, day)[1]["NRS"] for arm in (target.arm or "", protocol.control))
        return float((drug - control).mean()), len(drug)

    def _day(self, protocol: Protocol, target: Target) -> float:
        return target.days or protocol.endpoints.relieved.at * factor(protocol.unit, "day")

    def _arm(self, protocol: Protocol, name: str, day: float) -> list[dict[str, np.ndarray]]:
        """Model outputs (person,) at entry and at a day under an arm, with the response to placebo."""
        arm = protocol.arms[name]
        people = treated(self.population, self.people, arm)
        times = np.array([0.0, day])
        solution = solve(
            people.kernel, people.parameters, times, initial=people.initial, start=0.0, events=people.events, rtol=RTOL
        )
        outputs = {name: solution.values[:, :, j] for j, name in enumerate(people.kernel.outputs)}
        left = placebo(self.people, times / 7)
        if protocol.blinding == "open" and arm.courses:
            left = left * expectation(self.people, times / 7)
        outputs["NRS"] = outputs["NRS"] * left
        return [{name: array[:, k] for name, array in outputs.items()} for k in (0, 1)]


def _drugs(protocol: Protocol) -> list[Drug]:
    return [drug_of(course) for arm in protocol.arms.values() for course in arm.courses]


def _scaled(value: float, scale: str, people: int) -> float:
    """A statistic on its scale; shares of 0 and 1 are half a person away from it."""
    if scale == "log":
        return float(np.log(max(value, 1e-9)))
    if scale == "logit":
        p = np.clip(value, 0.5 / max(people, 1), 1 - 0.5 / max(people, 1))
        return float(np.log(p / (1 - p)))
    return float(np.arctanh(value)) if scale == "fisher" else value
