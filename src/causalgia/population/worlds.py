"""The worlds of every decision: the structural ones as simulated, and three controls on their weighted mixture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from causalgia.documents import streams

SYMPTOMS = ("NRS", "dTemp", "Oed", "Motor")
MIXTURE = "mixture"


class Rule(NamedTuple):
    """What the treated show: "drug" as simulated, "control" what they would show on control, "shift" that plus the
    drug's mean effect.
    """

    biomarkers: str
    symptoms: str


# name: (what holds in it, its rule). Every control is built on the mixture, by copying rows: no parameter is touched.
CONTROLS = {
    "null": ("the drug does nothing", Rule("control", "control")),
    "no mediation": ("the drug lowers TNF, and symptoms do not follow", Rule("drug", "control")),
    "bypass": ("the drug relieves everybody alike, whatever their TNF", Rule("drug", "shift")),
}


@dataclass(frozen=True)
class World:
    """One world over the pool: person p of the pool is row `row[p]` of structural world `source[p]`, or absent (row
    -1).

    `people` names who lives in it: worlds of the same people differ by their rule alone. `aware` says of each regimen
    whether people know that it is a drug, which relieves pain in any world.
    """

    name: str
    title: str
    people: str
    rule: Rule
    outcomes: xr.Dataset
    order: tuple[str, ...]
    aware: tuple[bool, ...]
    source: np.ndarray
    row: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Who is enrolled in this world, (person,)."""
        return self.row >= 0

    @property
    def numbers(self) -> np.ndarray:
        """The number of each person of the pool, in the order of injury, (person,)."""
        return np.unique(self.outcomes["id"].values)

    @property
    def structural(self) -> bool:
        """True for the alternatives of the biology, False for the controls."""
        return self.people != MIXTURE

    def rule_of(self, names: Collection[str]) -> str:
        """The rule for a reading of these model outputs: a symptom's when it reads any symptom."""
        return self.rule.symptoms if set(names) & set(SYMPTOMS) else self.rule.biomarkers

    def person(self, name: str) -> np.ndarray:
        """A covariate or individual parameter of each person, (person,); NaN where absent."""
        return self._mask(self.outcomes[name].values[self.source, self.row])

    def output(self, name: str, week: float, *, expectation: bool = True) -> np.ndarray:
        """A model output at a week, (regimen, person), in the order of `order`: control first; NaN where absent.

        Without `expectation` it is what the regimen does, not what people who know of it report.
        """
        at = int(np.flatnonzero(self.outcomes["time"].values == week)[0])
        values = self._revealed(name, self.source, self.row, at)
        if name != "NRS" or not expectation or not any(self.aware):
            return values
        left = self._mask(self.outcomes["expectation"].values[self.source, self.row, at])
        return np.where(np.array(self.aware)[:, None], values * left, values)

    def course(self, name: str) -> np.ndarray:
        """A model output of those enrolled in this world at all times, (regimen, person, time)."""
        here = np.flatnonzero(self.present)
        return self._revealed(name, self.source[here], self.row[here], slice(None))

    def _revealed(self, name: str, source: np.ndarray, row: np.ndarray, at: int | slice) -> np.ndarray:
        values = self.outcomes[name].values
        known = list(self.outcomes["regimen"].values)
        rule = self.rule_of((name,))
        result: list[np.ndarray] = []
        for regimen in self.order:
            rows = values[source, known.index(regimen), row, at]
            if isinstance(at, int):
                rows = self._mask(rows)
            if result and rule == "control":
                rows = result[0]
            elif result and rule == "shift":
                rows = result[0] + np.nanmean(rows - result[0], axis=0)
            result.append(rows)
        return np.stack(result)

    def _mask(self, values: np.ndarray) -> np.ndarray:
        return np.where(self.present, values, np.nan)


def worlds(outcomes: xr.Dataset, order: tuple[str, ...], aware: tuple[bool, ...] | None = None) -> dict[str, World]:
    """All six worlds over one pool: everybody who is enrolled in any structural world, in the order of injury.

    `order` names the regimens that are compared, control first; `aware` those that people know to be a drug.
    """
    known = aware or (False,) * len(order)
    ids = outcomes["id"].values
    failed = (outcomes["status"].values != 0).any(axis=1)
    pool = np.unique(ids)
    rows = np.full((len(ids), len(pool)), -1)
    for w, world_ids in enumerate(ids):
        kept = ~failed[w]
        rows[w, np.searchsorted(pool, world_ids[kept])] = np.flatnonzero(kept)
    result = {}
    simulated = Rule("drug", "drug")
    for w, name in enumerate(outcomes["world"].values.tolist()):
        title, source = str(outcomes["title"].values[w]), np.full(len(pool), w)
        result[name] = World(name, title, name, simulated, outcomes, order, known, source, rows[w])
    source = _mixture(outcomes, pool)
    row = rows[source, np.arange(len(pool))]
    for name, (title, rule) in CONTROLS.items():
        result[name] = World(name, title, MIXTURE, rule, outcomes, order, known, source, row)
    return result


def _mixture(outcomes: xr.Dataset, pool: np.ndarray) -> np.ndarray:
    """The structural world of each person, drawn once by prior weight from a stream of the person's number."""
    weights = np.cumsum(outcomes["prior"].values / outcomes["prior"].values.sum())
    draws = streams.uniforms(int(outcomes.attrs["seed"]), "mixture", size=int(pool[-1]) + 1)[pool]
    return np.searchsorted(weights[:-1], draws)
