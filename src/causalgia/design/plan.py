"""What all batches of replicate trials share: the worlds, their people, and what trials will read of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalgia.analysis.mediated import earlier_visit
from causalgia.design.gate import Raised
from causalgia.documents import Instrument, Protocol
from causalgia.documents.protocol import Endpoint
from causalgia.measurement.readings import names
from causalgia.population.worlds import World
from causalgia.trial.visits import latent


@dataclass(frozen=True)
class Potential:
    """Latent potential outcomes (regimen, person) of one endpoint at its visits and baseline, in worlds of one rule.

    `visits` is the endpoint's visit, and in a crossover that of the second period. `effect` (person,) is what the drug
    does, without what people expect of it; in a crossover half the difference of periods. `earlier` is the week of the
    visit before the baseline with its untreated values (person,), where the schedule has one. `course` are the other
    visits of a mixed model that decides, by week.
    """

    endpoint: Endpoint
    instrument: Instrument
    visits: tuple[np.ndarray, ...]
    baseline: np.ndarray
    effect: np.ndarray
    earlier: tuple[float, np.ndarray] | None = None
    course: tuple[tuple[float, np.ndarray], ...] = ()


@dataclass(frozen=True)
class People:
    """Who lives in one or more worlds, with what trials read of them: `potential` by endpoint and rule.

    `gate` and `again` (person,) are what the gate would read of them without error, at its visit and at baseline.
    """

    world: World
    gate: np.ndarray | None
    raised: Raised | None
    again: np.ndarray | None
    duration: np.ndarray
    potential: dict[tuple[str, str], Potential]


@dataclass(frozen=True)
class Plan:
    """All that batches share: the protocol, the worlds, their people's potential outcomes, and each batch's pool."""

    protocol: Protocol
    worlds: list[World]
    people: dict[str, People]
    seed: int
    replicates: int
    pools: list[np.ndarray]

    @classmethod
    def make(cls, protocol: Protocol, worlds: dict[str, World], seed: int, batches: int) -> Plan:
        """Looks up what every trial will read, once."""
        people: dict[str, People] = {}
        for world in worlds.values():
            if world.people not in people:
                people[world.people] = _people(protocol, world)
            found = people[world.people]
            for key in ("lowered", "relieved"):
                rule = rule_of(protocol, world, key)
                if (key, rule) not in found.potential:
                    found.potential[key, rule] = _potential(protocol, world, getattr(protocol.endpoints, key))
        pool = np.flatnonzero(np.logical_or.reduce([world.present for world in worlds.values()]))
        replicates = -(-protocol.evaluation.replicates // batches)
        pools = _cut(pool, next(iter(worlds.values())).numbers[pool], batches)
        return cls(protocol, list(worlds.values()), people, seed, replicates, pools)


def _cut(pool: np.ndarray, numbers: np.ndarray, batches: int) -> list[np.ndarray]:
    """The pool by person's number modulo `batches`: the people of a batch share one draw of the posterior.

    By position where a batch would be empty, as in pools of a few people.
    """
    pools = [pool[numbers % batches == batch] for batch in range(batches)]
    return pools if all(len(part) for part in pools) else [pool[batch::batches] for batch in range(batches)]


def rule_of(protocol: Protocol, world: World, key: str) -> str:
    """The world's rule for an endpoint."""
    endpoint: Endpoint = getattr(protocol.endpoints, key)
    return world.rule_of(names(Instrument.load(endpoint.measure), endpoint.side))


def _potential(protocol: Protocol, world: World, endpoint: Endpoint) -> Potential:
    instrument = Instrument.load(endpoint.measure)
    baseline, *visits = (latent(world, instrument, endpoint.side, week) for week in endpoint.visits)
    _, *blind = (latent(world, instrument, endpoint.side, week, expectation=False) for week in endpoint.visits)
    effect = blind[0][1] - blind[0][0]
    if endpoint.second is not None:
        effect = (effect - (blind[1][1] - blind[1][0])) / 2
    week = earlier_visit(protocol, endpoint)
    earlier = None if week is None else (week, latent(world, instrument, endpoint.side, week)[0])
    mixed = protocol.analysis.decides == "mmrm" and endpoint == protocol.endpoints.relieved
    weeks = protocol.model_visits[:-1] if mixed else ()
    course = tuple((week, latent(world, instrument, endpoint.side, week)) for week in weeks)
    return Potential(endpoint, instrument, tuple(visits), baseline, effect, earlier, course)


def _people(protocol: Protocol, world: World) -> People:
    gate = protocol.gate
    if gate is None:
        return People(world, None, None, None, world.person("duration"), {})
    instrument = Instrument.load(gate.measure)
    first, again = (latent(world, instrument, gate.side, week)[0] for week in (gate.at, baseline_week(protocol)))
    return People(world, first, Raised.of(protocol, world), again, world.person("duration"), {})


def baseline_week(protocol: Protocol) -> float:
    """The visit at which the biomarker is measured again after the gate."""
    return protocol.endpoints.lowered.baseline


def wounds_per_subject(protocol: Protocol) -> int:
    """Skin wounds of one subject who stays to the end."""
    rows = protocol.schedule.items()
    return sum(Instrument.load(name).wounds * len(row.at) * len(row.sides) * row.replicates for name, row in rows)
