"""Virtual patients who could be the patient: their random effects, weighted by everything that was read.

Adaptive multiple importance sampling (Cornuet 2012). First people of the population, then people near those whom the
readings make likely, stage after stage; each counts by what the population gives it over what all stages together gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.special import logsumexp, ndtr

from causalgia.documents import Condition, InputError, expressions, streams
from causalgia.documents.parameters import Parameter
from causalgia.documents.patient import Patient
from causalgia.documents.units import factor
from causalgia.engine import Events, solve
from causalgia.inference.patients.people import People, draws_of, fresh, weighted_ess
from causalgia.inference.patients.seen import Seen, counted, latent, scaled
from causalgia.measurement.readings import log_lloq
from causalgia.population.draw import draw
from causalgia.population.patients import ONSET, OUTSIDE, RTOL, Population

ENOUGH = 1000.0  # effective virtual patients above which more add nothing
STAGES = 8  # after the first, which takes as many people as these together
FITTED = 150.0  # effective people whom a proposal is fitted to, by flattening their weights
DEFENSIVE = 0.2  # share of a stage's people who have any of the posterior's draws alike
LEAST = 1e-7  # weight, beside the largest, below which a person is left out
STRANGERS = 400  # simulated patients with whom the patient is compared
# Random effects that act only once a drug or a placebo is given: always those of the population.
LATER = ("PEF", "PHA", "open_bias")


class Alike(NamedTuple):
    """People at the decision, and how strange the patient is in the population.

    `strange` is the share of simulated patients whose readings the population makes no likelier than the patient's,
    `odd` the readings, each alone, that hardly anybody shows.
    """

    people: People
    strange: float
    odd: list[tuple[Seen, float]]


class Lived(NamedTuple):
    """People of one world from the injury to the decision: rows are people, `readings` (reading, person) free of error.

    Readings are in the instrument's unit, `state` and `duration` (days) at the decision.
    """

    values: dict[str, np.ndarray]
    parameters: np.ndarray
    duration: np.ndarray
    state: np.ndarray
    meets: np.ndarray
    readings: np.ndarray


@dataclass(frozen=True)
class Proposal:
    """Draws with shares (draw,) and active random effects N(mean, root rootᵀ)."""

    share: np.ndarray
    mean: np.ndarray
    root: np.ndarray

    def log_ratio(self, number: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Log density over that of the population, (person,): log K q(k) + log N(z; m, S) − log N(z; 0, 1)."""
        here = np.linalg.solve(self.root, (z - self.mean).T)
        normal = 0.5 * ((z**2).sum(axis=1) - (here**2).sum(axis=0)) - np.log(np.diag(self.root)).sum()
        return normal + np.log(self.share * len(self.share))[number]


class Stage(NamedTuple):
    """People of one stage and world: number of the posterior's draw, random effects, log likelihood and their lives."""

    number: np.ndarray
    z: np.ndarray
    log_likelihood: np.ndarray
    lived: Lived


def alike(patient: Patient, sights: Sequence[Seen], people: int, seed: int, *, prior: bool = False) -> Alike:
    """Virtual patients at the patient's last visit before a dose, weighted by the readings up to it.

    They are injured, live their course for as long as the patient's disease has lasted and count if they meet the
    criteria of the condition at the first visit. What is known of the patient's body is theirs; the rest is drawn. At
    most `people` are simulated. With `prior` the condition's posterior is left out.
    """
    past = [sight for sight in counted(sights) if sight.day <= patient.decision and not sight.is_level]
    population = Population.load(patient.condition, prior=prior)
    population = replace(population, condition=_conditioned(population.condition, patient))
    worlds = [World(population, name, patient.decision, tuple(past), seed) for name in population.condition.worlds]
    prior_weight = np.array([_prior(population, world.name) for world in worlds])
    prior_weight /= prior_weight.sum()
    each = max(people // 2 // len(worlds), 1)
    for world in worlds:
        world.first(each)
    weight = _weights(worlds, prior_weight)
    for k in range(STAGES):
        if not past or weighted_ess(np.concatenate(weight)) >= ENOUGH:
            break
        shares = np.array([w.sum() for w in weight])
        for world, share, mine in zip(worlds, 0.5 / len(worlds) + 0.5 * shares, weight, strict=True):
            world.again(int(share * people / 2 / STAGES), mine, k)
        weight = _weights(worlds, prior_weight)
    strange, odd = _strange(worlds, prior_weight, seed)
    least = LEAST * max(w.max() for w in weight)
    weight = [np.where(w > least, w, 0.0) for w in weight]
    simulated = sum(len(stage.number) for world in worlds for stage in world.stages)
    parts = tuple(world.dataset(w) for world, w in zip(worlds, weight, strict=True))
    kept = np.concatenate([w[w > 0] for w in weight])
    found = People(population, parts, kept / kept.sum(), prior_weight, simulated)
    return Alike(found, strange, odd)


class World:
    """The people of one structural world, stage after stage."""

    def __init__(self, population: Population, name: str, decision: float, past: tuple[Seen, ...], seed: int) -> None:
        self.population, self.name, self.past, self.seed = population, name, past, seed
        self.days = sorted({0.0, decision, *(sight.day for sight in past)})
        self.stages: list[Stage] = []
        self.proposals: list[Proposal] = []

    @cached_property
    def entries(self) -> dict[str, Parameter]:
        """Every parameter, and the time from injury to the first visit."""
        return {**self.population.entries_of(self.name), "entry": self.population.condition.history.entry}

    @cached_property
    def varying(self) -> list[str]:
        """Random effects, those that act before any drug first."""
        names = [name for name, entry in self.entries.items() if entry.varies]
        return sorted(names, key=lambda name: name in LATER)

    @property
    def active(self) -> int:
        """How many random effects act before any drug."""
        return sum(name not in LATER for name in self.varying)

    @cached_property
    def draws(self) -> int:
        """How many draws of typical values the population has."""
        return draws_of(self.population, self.name)

    def first(self, people: int) -> None:
        """People of the population."""
        rng = streams.generator(self.seed, "alike", self.name, 0)
        number = np.arange(people) % self.draws
        self._add(number, rng.standard_normal((people, len(self.varying))))

    def again(self, people: int, weight: np.ndarray, stage: int) -> None:
        """People near those of much weight."""
        if people < 1 or not weight.any():
            return
        proposal = self._fit(weight)
        rng = streams.generator(self.seed, "alike", self.name, stage + 1)
        z = rng.standard_normal((people, len(self.varying)))
        z[:, : self.active] = proposal.mean + z[:, : self.active] @ proposal.root.T
        self.proposals.append(proposal)
        self._add(rng.choice(self.draws, people, p=proposal.share), z)

    def joined(self, name: str) -> np.ndarray:
        """`number`, `z` or `log_likelihood` of the people of all stages."""
        return np.concatenate([getattr(stage, name) for stage in self.stages])

    def log_density(self) -> np.ndarray:
        """Log of Σ_t n_t q_t / π over all stages, (person,), the first of which is the population π itself."""
        number, z = self.joined("number"), self.joined("z")[:, : self.active]
        sizes = [len(stage.number) for stage in self.stages]
        logs = [np.zeros(len(number)), *(proposal.log_ratio(number, z) for proposal in self.proposals)]
        return np.asarray(logsumexp(np.array(logs) + np.log(sizes)[:, None], axis=0))

    def _fit(self, weight: np.ndarray) -> Proposal:
        """Moments of the people under flattened weights, drawn towards the population's as the fewer they are."""
        weight = _flattened(weight, FITTED)
        ess = weighted_ess(weight)
        number, z = self.joined("number"), self.joined("z")[:, : self.active]
        counts = np.bincount(number, weight, minlength=self.draws)
        mean = weight @ z
        spread = (weight[:, None] * (z - mean)).T @ (z - mean)
        spread = (ess * spread + self.active * np.eye(self.active)) / (ess + self.active)
        share = DEFENSIVE / self.draws + (1 - DEFENSIVE) * counts
        return Proposal(share, mean, np.linalg.cholesky(spread))

    def _add(self, number: np.ndarray, z: np.ndarray) -> None:
        first = sum(len(stage.number) for stage in self.stages)
        lived = self._live(number, z, first)
        log = np.zeros(len(number))
        for sight, value in zip(self.past, lived.readings, strict=True):
            log = log + sight.log_likelihood(value)
        log = np.where(np.isnan(log), -np.inf, log)
        self.stages.append(Stage(number, z, log, lived))

    def _values(self, number: np.ndarray, z: np.ndarray, first: int) -> dict[str, np.ndarray]:
        """Covariates and individual parameters, in the documents' units; covariates of the people from `first` on."""
        condition, typical = self.population.condition, self.population.typical.get(self.name, {})
        people = len(number)
        drawn = draw(condition.covariates, self.seed, first + people, {}, {})
        found = {name: value[first:] for name, value in drawn.items()}
        effect = dict(zip(self.varying, (z @ _factor(condition.correlations, self.varying).T).T, strict=True))
        for name, entry in self.entries.items():
            if entry.formula is not None:
                value = np.asarray(expressions.evaluate(entry.formula, found), float)
            else:
                centre = typical[name][number] if name in typical else None
                value = entry.individual(effect.get(name, np.zeros(people)), centre)
                if entry.covariates is not None:
                    value = value * expressions.evaluate(entry.covariates, found)
            found[name] = np.broadcast_to(value, (people,))
        return found

    def _live(self, number: np.ndarray, z: np.ndarray, first: int) -> Lived:
        """From rest through the injury to the decision."""
        population, history = self.population, self.population.condition.history
        values = self._values(number, z, first)
        entry = values.pop("entry") * factor(history.entry.unit, "day")
        parameters = population.matrix(values, self.entries, len(number))
        causes = np.column_stack([values[ONSET[state]] for state in population.onset])
        solution = solve(
            population.kernel,
            population.of_kernel(population.kernel, parameters, {}),
            entry[:, None] + np.array(self.days),
            start=-history.settle.typical * factor(history.settle.unit, "day"),
            events=Events(time=np.zeros(causes.shape), state=population.onset, amount=causes),
            rtol=RTOL,
        )
        course = {name: solution.values[:, :, j] for j, name in enumerate(population.kernel.outputs)}
        now = {name: value[:, 0] for name, value in course.items()}
        meets = np.asarray(expressions.evaluate(history.criteria, {**now, **values, "duration": entry}), bool)
        found = np.empty((len(self.past), len(number)))
        for j, sight in enumerate(self.past):
            here = {name: value[:, [self.days.index(sight.day)]] for name, value in course.items()}
            found[j] = latent(values["recovery"], sight.instrument, sight.side, here)[:, 0]
        values["PHA"] = values["PHA"] * factor(self.entries["PHA"].unit, "day")
        meets = meets & (solution.status == 0)
        return Lived(values, parameters, entry + self.days[-1], solution.final, meets, found)

    def dataset(self, weight: np.ndarray) -> xr.Dataset:
        """Those who have weight, as `Population.sample` gives people; each with a number of its own."""
        rows = np.flatnonzero(weight > 0)
        number = self.joined("number")[rows]

        def taken(arrays: list[np.ndarray]) -> np.ndarray:
            return np.concatenate(arrays)[rows]

        lives = [stage.lived for stage in self.stages]
        names = (*self.population.condition.covariates, *OUTSIDE)
        data: dict[str, Any] = {name: ("subject", taken([life.values[name] for life in lives])) for name in names}
        data |= {
            "id": ("subject", fresh(number, self.draws)),
            "duration": ("subject", taken([life.duration for life in lives])),
            "parameter": (("subject", "symbol"), taken([life.parameters for life in lives])),
            "state": (("subject", "compartment"), taken([life.state for life in lives])),
        }
        population = self.population
        coords = {"world": self.name, "symbol": list(population.symbols)}
        coords |= {"compartment": list(population.kernel.states)}
        return xr.Dataset(data, coords=coords, attrs={"seed": self.seed})


def outside(condition: Condition, patient: Patient) -> list[str]:
    """What of the patient's body the condition does not cover, in words."""
    found = []
    for name in ("age", "weight", "albumin"):
        value, entry = getattr(patient.about, name), condition.covariates.get(name)
        limits = entry.range if entry is not None else None
        if value is not None and limits is not None and not limits[0] <= value <= limits[1]:
            unit = {"year": "years"}.get(entry.unit, entry.unit) if entry is not None else ""
            found.append(f"{name} {value:g} (it has {limits[0]:g} to {limits[1]:g} {unit})")
    return found


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


def _prior(population: Population, world: str) -> float:
    weights = population.posterior.weights if population.posterior is not None else {}
    return weights.get(world, population.condition.worlds[world].weight)


def _weights(worlds: list[World], prior: np.ndarray) -> list[np.ndarray]:
    """Weights of the people of each world, together 1; the population's where nobody could have shown the readings.

    Person i of world w: prior_w / P(meets | w) · L_i / Σ_t n_t q_t(i)/π(i), and 0 for who does not meet the criteria.
    """
    found, plain = [], []
    for world, share in zip(worlds, prior, strict=True):
        meets = np.concatenate([stage.lived.meets for stage in world.stages])
        enrolled = world.stages[0].lived.meets.mean()
        scale = np.where(meets, share / max(enrolled, 1e-300), 0.0) * np.exp(-world.log_density())
        plain.append(scale)
        found.append(world.joined("log_likelihood"))
    if not any(scale.any() for scale in plain):
        condition, people = worlds[0].population.condition, sum(len(scale) for scale in plain)
        where = f"{condition.path}, key history.criteria"
        found_text = f"none of {people:,} virtual patients who meets them after so long"
        raise InputError(where, found_text, "some who do", "Choose another condition, or correct the duration.")
    most = max(log[scale > 0].max(initial=-np.inf) for log, scale in zip(found, plain, strict=True))
    if np.isfinite(most):
        plain = [scale * np.exp(np.minimum(log - most, 0.0)) for log, scale in zip(found, plain, strict=True)]
    total = sum(scale.sum() for scale in plain)
    return [scale / total for scale in plain]


def _flattened(weight: np.ndarray, least: float) -> np.ndarray:
    """Weights to a power in (0, 1], as near 1 as leaves `least` effective people; they sum to 1."""
    weight = weight / weight.max()
    low, high = 0.0, 1.0
    if weighted_ess(weight) < least:
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if weighted_ess(weight**middle) >= least else (low, middle)
        weight = np.where(weight > 0, weight**low, 0.0)
    return weight / weight.sum()


def _factor(correlations: Mapping[str, Parameter], names: Sequence[str]) -> np.ndarray:
    """The Cholesky factor of the random effects' correlations."""
    matrix = np.eye(len(names))
    for text, entry in correlations.items():
        a, b = (names.index(part.strip()) for part in text.split("~"))
        matrix[a, b] = matrix[b, a] = entry.typical
    return np.linalg.cholesky(matrix)


def _strange(worlds: list[World], prior: np.ndarray, seed: int) -> tuple[float, list[tuple[Seen, float]]]:
    """How many simulated patients are as strange as this one, and the readings that are rare by themselves.

    A patient's strangeness is the population's density at the means of the readings, taken with each one's error about
    the people of the first stage; a simulated patient is compared with the others. Ranks need no better density.
    """
    past = worlds[0].past
    if not past:
        return 1.0, []
    first = [world.stages[0].lived for world in worlds]
    share = np.concatenate(
        [np.full(lived.meets.sum(), w / max(lived.meets.sum(), 1)) for lived, w in zip(first, prior, strict=True)]
    )
    share /= share.sum()
    latents = np.concatenate([lived.readings[:, lived.meets] for lived in first], axis=1)
    error = np.array([sight.error for sight in past])[:, None]
    here = np.array([scaled(s.instrument, row) for s, row in zip(past, latents, strict=True)])
    ends = np.array([_ends(sight) for sight in past])[:, :, None]
    rng = streams.generator(seed, "strangers")
    chosen = rng.choice(len(share), STRANGERS, p=share)
    read = np.clip(here[:, chosen] + error * rng.standard_normal((len(past), STRANGERS)), ends[:, 0], ends[:, 1])
    every = np.column_stack([read, [sight.mean for sight in past]]) / error
    people = np.clip(here, ends[:, 0], ends[:, 1]) / error
    distance = (every**2).sum(axis=0)[:, None] + (people**2).sum(axis=0) - 2 * every.T @ people
    distance[np.arange(STRANGERS), chosen] = np.inf
    density = logsumexp(np.log(share) - distance / 2, axis=1)
    strange = (1 + (density[:-1] <= density[-1]).sum()) / (1 + STRANGERS)
    return float(strange), [(sight, _rare(sight, row, share)) for sight, row in zip(past, here, strict=True)]


def _ends(sight: Seen) -> tuple[float, float]:
    """Between what the instrument reads, on its scale."""
    if sight.instrument.scale == "log":
        return log_lloq(sight.instrument), np.inf
    return sight.instrument.range or (-np.inf, np.inf)


def _rare(sight: Seen, value: np.ndarray, weight: np.ndarray) -> float:
    """Two-sided probability of a reading as far out."""
    below = float(weight @ ndtr((sight.mean - value) / max(sight.error, 1e-9)))
    return 2 * min(below, 1 - below) if not sight.below else min(1.0, 2 * below)
