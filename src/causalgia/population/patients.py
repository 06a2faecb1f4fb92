"""Virtual patients: people are injured, live their natural history, and are enrolled if they meet the criteria."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import xarray as xr

from causalgia import __version__
from causalgia.documents import Condition, Drug, InputError, Parameters, expressions
from causalgia.documents.parameters import Parameter
from causalgia.documents.reader import LIBRARY
from causalgia.documents.units import factor, model_unit
from causalgia.engine import Events, Kernel, load_kernel, solve
from causalgia.population.draw import Typical, check_entries, draw
from causalgia.population.posterior import Posterior

Progress = Callable[[int], None]

# Relative tolerance of every simulation: pain is then within 0.002 points of the exact solution, see the tests.
RTOL = 1e-4
# Individual parameters that act outside the model: the assay, the response to placebo and to knowing the treatment.
OUTSIDE = ("recovery", "PEF", "PHA", "open_bias")
# What enters which state at day 0: the injury, and an autoimmune drive.
ONSET = {"S": "S_injury", "A": "S_auto"}
# Covariates that dosing and tables need, in the unit that formulas and doses read.
COVARIATES = {"weight": "kg", "age": "year", "female": "1"}


def model_page(model: str) -> Path:
    """Where a model's page is."""
    return LIBRARY / "models" / f"{model}.ant"


def increments(progress: Progress | None) -> Progress | None:
    """A callback that is told how many are done in all, from one that is told how many more."""
    if progress is None:
        return None
    last = 0

    def tell(done: int) -> None:
        nonlocal last
        progress(done - last)
        last = done

    return tell


def check_names(where: str, values: Mapping[str, Parameter], known: Collection[str]) -> None:
    """Raises InputError for a parameter that nothing reads."""
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise InputError(
            f"{where}.{unknown[0]}", "an unknown parameter", f"one of {', '.join(sorted(known))}", "Correct it."
        )


def check_unit(where: str, unit: str, target: str, *, same: bool = False) -> None:
    """Raises InputError, at `where`, for a unit of another kind, or any other unit if it must be the `same`."""
    try:
        ratio = factor(unit, target)
    except InputError as error:
        raise InputError(where, error.found, error.expected, error.remedy) from None
    if same and ratio != 1:
        raise InputError(where, repr(unit), repr(target), "Convert the numbers.")


@dataclass(frozen=True)
class Population:
    """A condition's people: its documents, and the kernel of their history, without drugs.

    `draws` holds typical values that stand in place of the documents', by world and "scope.name", each (draw,):
    person p has number p modulo how many draws there are.
    """

    condition: Condition
    shared: Parameters
    kernel: Kernel
    onset: tuple[str, ...]
    posterior: Posterior | None = None
    draws: Mapping[str, Typical] = field(default_factory=dict)
    typical: Mapping[str, Typical] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str | Path, *, prior: bool = False) -> Population:
        """The population of a condition, from the library or a path.

        Where the condition names a posterior, people's typical values are draws of it, and worlds have its weights;
        not so with `prior`.
        """
        condition = Condition.load(name)
        shared = Parameters.load(condition.model)
        given = [shared.values, condition.values, *(page.values for page in condition.worlds.values())]
        onset = tuple(s for s, cause in ONSET.items() if any(v[cause].begins for v in given if cause in v))
        kernel = load_kernel(model_page(condition.model), entered=onset)
        keys = ["values", "values", *(f"worlds.{world}" for world in condition.worlds)]
        for document, key, values in zip([shared, *[condition] * (len(keys) - 1)], keys, given, strict=True):
            check_names(f"{document.path}, key {key}", values, (*kernel.all_parameters, *OUTSIDE, *ONSET.values()))
        population = cls(condition, shared, kernel, onset)
        population._check()
        if prior or condition.posterior is None:
            return population
        posterior = Posterior.load(condition.posterior)
        missing = sorted(condition.worlds.keys() - posterior.weights.keys())
        if missing:
            found, expected = f"no world {missing[0]!r} in it", f"worlds {', '.join(posterior.weights)}"
            raise InputError(f"{condition.path}, key posterior", found, expected, "Remove the key.")
        draws = {world: posterior.simulated(world) for world in condition.worlds}
        return replace(population.with_draws(draws), posterior=posterior)

    def with_draws(self, draws: Mapping[str, Typical]) -> Population:
        """The same people with other typical values: by world, {"scope.name": (draw,)}.

        Those of a condition reach the conditions based on it, but for what these give anew; those of a model reach what
        no condition gives; those of a drug wait until it is given. The nearest scope counts.
        """
        typical: dict[str, dict[str, np.ndarray]] = {}
        for world, columns in draws.items():
            mine, found = self.entries_of(world), {}
            for scope, known in self._scopes(world):
                for name, entry in known.items():
                    if f"{scope}.{name}" in columns and mine.get(name) == entry:
                        found[name] = columns[f"{scope}.{name}"]
            typical[world] = found
        return replace(self, draws=draws, typical=typical)

    def _scopes(self, world: str) -> list[tuple[str, Mapping[str, Parameter]]]:
        """Whose typical values reach this condition, the farthest first, with what each of them gives."""
        chain: list[tuple[str, Mapping[str, Parameter]]] = [(self.condition.name, self.entries_of(world))]
        base = self.condition.base
        while base is not None:
            condition = Condition.load(base)
            page = condition.worlds[world].values if world in condition.worlds else {}
            chain.append((condition.name, {**self.shared.values, **condition.values, **page}))
            base = condition.base
        return [(self.condition.model, self.shared.values), *reversed(chain)]

    def typical_of_drug(self, world: str, drug: Drug) -> Typical:
        """Typical values of a drug that stand in place of its document's; another kinetic model keeps its own."""
        columns = self.draws.get(world, {})
        own = Drug.load(drug.path).values
        return {
            name: columns[f"{drug.name}.{name}"]
            for name, entry in drug.values.items()
            if f"{drug.name}.{name}" in columns and own[name] == entry
        }

    def _check(self) -> None:
        """Raises InputError where formulas, units or criteria do not fit each other or the model."""
        condition = self.condition
        for key, given, needed in (
            ("values", self.entries, (*OUTSIDE, *ONSET.values())),
            ("covariates", condition.covariates, COVARIATES),
        ):
            missing = sorted(set(needed) - given.keys())
            if missing:
                expected = f"a value for {', '.join(needed)}"
                raise InputError(f"{condition.path}, key {key}", f"no {missing[0]}", expected, "Add it.")
        for name, unit in COVARIATES.items():
            check_unit(
                f"{condition.path}, key covariates.{name}.unit", condition.covariates[name].unit, unit, same=True
            )
        check_entries(condition.covariates, (), {}, lambda name: f"{condition.path}, key covariates.{name}")
        for world, page in condition.worlds.items():
            self._check_world({**self.entries, **page.values}, partial(self.where, world))
        known = {*self.entries, *condition.covariates}
        entry = {"entry": condition.history.entry}
        check_entries(entry, known, {}, lambda name: f"{condition.path}, key history.{name}")
        for name in ("settle", "entry"):
            check_unit(f"{condition.path}, key history.{name}.unit", getattr(condition.history, name).unit, "day")
        unknown = sorted(expressions.symbols(condition.history.criteria) - {*self.kernel.outputs, *known, "duration"})
        if unknown:
            expected = "outputs of the model, parameters, covariates and duration"
            raise InputError(
                f"{condition.path}, key history.criteria", f"the name {unknown[0]!r}", expected, "Correct it."
            )

    def _check_world(self, entries: Mapping[str, Parameter], where: Callable[[str], str]) -> None:
        check_entries(entries, self.condition.covariates, self.condition.correlations, where)
        check_unit(f"{where('PHA')}.unit", entries["PHA"].unit, "day")
        for name, entry in entries.items():
            if name in self.kernel.units:
                check_unit(f"{where(name)}.unit", entry.unit, model_unit(self.kernel.units[name]))

    def where(self, world: str, name: str) -> str:
        """File and key that give a parameter, or a correlation, in a world."""
        if name in self.condition.correlations:
            return f"{self.condition.path}, key correlations.{name}"
        if name in self.condition.worlds[world].values:
            return f"{self.condition.path}, key worlds.{world}.values.{name}"
        document = self.condition if name in self.condition.values else self.shared
        return f"{document.path}, key values.{name}"

    @cached_property
    def entries(self) -> dict[str, Parameter]:
        """Parameters of every world, before a world's own values."""
        return {**self.shared.values, **self.condition.values}

    def entries_of(self, world: str) -> dict[str, Parameter]:
        """Parameters of one world."""
        return {**self.entries, **self.condition.worlds[world].values}

    def follow(self, world: str, injured: int, *, seed: int) -> xr.Dataset:
        """Those of the first `injured` people who meet the criteria at their entry, in one world: see `sample`."""
        return self._patients({world: self._history(world, 0, injured, seed, None)}, seed).isel(world=0)

    def sample(self, subjects: int, *, seed: int, progress: Progress | None = None) -> xr.Dataset:
        """`subjects` enrolled virtual patients in every structural world.

        People are numbered in the order of their injury. In each world the first `subjects` who meet the criteria at
        entry are enrolled, so the same person, with the same random effects, stands in all worlds that enrol them.

        Returns a Dataset with `parameter` (world, subject, symbol) and `state` (world, subject, compartment) at
        screening, `id` (world, subject), covariates and `duration` (world, subject) in days, `recovery`, `PEF`, `PHA`
        (world, subject), and `injured` (world): how many were looked at.
        """
        if subjects < 1:
            raise InputError("subjects", str(subjects), "at least 1", "Ask for more.")
        return self._patients({w: self._enrol(w, subjects, seed, progress) for w in self.condition.worlds}, seed)

    def _enrol(self, world: str, subjects: int, seed: int, progress: Progress | None) -> History:
        """The first `subjects` who meet the criteria in one world, of as many people as that takes."""
        parts: list[History] = []
        done, people, enrolled = 0, 2 * subjects + 64, 0
        while enrolled < subjects:
            parts.append(self._history(world, done, people, seed, progress))
            done, enrolled = people, enrolled + len(parts[-1].number)
            if enrolled < done / 1000:
                found = f"{enrolled} of {done} people who meet them"
                where = f"{self.condition.path}, key history.criteria"
                raise InputError(where, found, "at least 1 in 1000", "Relax them.")
            people = done + int((subjects - enrolled) * done / enrolled * 1.05) + 64
        return History.join(parts, subjects)

    def draw(self, world: str, people: int, seed: int) -> dict[str, np.ndarray]:
        """Covariates and individual parameters of one world, (person,), in the documents' units."""
        covariates = draw(self.condition.covariates, seed, people, {}, {})
        entries, typical = self.entries_of(world), self.typical.get(world)
        return covariates | draw(entries, seed, people, covariates, self.condition.correlations, typical)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Parameters of the model that people have, whatever they are given."""
        return tuple(symbol for symbol in self.kernel.all_parameters if symbol in self.entries)

    def matrix(self, values: Mapping[str, np.ndarray], entries: Mapping[str, Parameter], people: int) -> np.ndarray:
        """Values of `symbols` (person, symbol) in the model's units."""
        columns = [values[symbol] * self.factor(symbol, entries[symbol]) for symbol in self.symbols]
        return np.column_stack([np.broadcast_to(column, people) for column in columns])

    def of_kernel(self, kernel: Kernel, matrix: np.ndarray, drug: Mapping[str, np.ndarray]) -> np.ndarray:
        """The columns (person, parameter) that a kernel reads, a drug's in place of people's own.

        Raises InputError for a parameter that neither gives.
        """
        columns = []
        for symbol in kernel.parameters:
            if symbol not in drug and symbol not in self.symbols:
                expected = f"a value in {self.shared.path.name}, the condition or the drug"
                raise InputError(f"{self.condition.path}", f"no value for {symbol}", expected, "Add it.")
            columns.append(drug[symbol] if symbol in drug else matrix[:, self.symbols.index(symbol)])
        return np.column_stack(columns)

    def factor(self, symbol: str, entry: Parameter) -> float:
        """What turns a document's value of a symbol into the model's unit."""
        return factor(entry.unit, model_unit(self.kernel.units[symbol]))

    def _history(self, world: str, first: int, last: int, seed: int, progress: Progress | None) -> History:
        """From rest through the injury to entry, for the people from number `first` to before `last` in one world."""
        people, entries, history = last - first, self.entries_of(world), self.condition.history
        drawn = self.draw(world, last, seed)
        entry = draw({"entry": history.entry}, seed, last, drawn, {})["entry"][first:] * factor(
            history.entry.unit, "day"
        )
        values = {name: value[first:] for name, value in drawn.items()}
        settle = history.settle.typical * factor(history.settle.unit, "day")
        parameters = self.matrix(values, entries, people)
        causes = np.column_stack([values[ONSET[state]] for state in self.onset])
        solution = solve(
            self.kernel,
            self.of_kernel(self.kernel, parameters, {}),
            entry[:, None],
            start=-settle,
            events=Events(time=np.zeros((people, len(self.onset))), state=self.onset, amount=causes),
            rtol=RTOL,
            progress=increments(progress),
        )
        readings = {name: solution.values[:, 0, j] for j, name in enumerate(self.kernel.outputs)}
        meets = np.asarray(expressions.evaluate(history.criteria, {**readings, **values, "duration": entry}), bool)
        values["PHA"] = values["PHA"] * factor(entries["PHA"].unit, "day")
        kept = np.flatnonzero(meets & (solution.status == 0))
        return History(
            first + kept,
            {name: values[name][kept] for name in (*self.condition.covariates, *OUTSIDE)},
            parameters[kept],
            solution.final[kept],
            entry[kept],
            int((solution.status != 0).sum()),
        )

    def _patients(self, histories: dict[str, History], seed: int) -> xr.Dataset:
        worlds, every = list(histories), list(histories.values())
        titles = [self.condition.worlds[world].title for world in worlds]
        weights = self.posterior.weights if self.posterior is not None else {}
        prior = [weights.get(world, self.condition.worlds[world].weight) for world in worlds]

        data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
            name: (("world", "subject"), np.stack([h.values[name] for h in every])) for name in every[0].values
        }
        data |= {
            "id": (("world", "subject"), np.stack([h.number for h in every])),
            "duration": (("world", "subject"), np.stack([h.entry for h in every])),
            "parameter": (("world", "subject", "symbol"), np.stack([h.parameters for h in every])),
            "state": (("world", "subject", "compartment"), np.stack([h.state for h in every])),
            "injured": (("world",), np.array([h.number.max(initial=-1) + 1 for h in every])),
            "failed": (("world",), np.array([h.failed for h in every])),
        }
        return xr.Dataset(
            data,
            coords={
                "world": worlds,
                "title": ("world", titles),
                "prior": ("world", prior),
                "symbol": list(self.symbols),
                "compartment": list(self.kernel.states),
            },
            attrs={
                "condition": self.condition.name,
                "condition_path": str(self.condition.path),
                "digest": self.condition.digest,
                "shared_digest": self.shared.digest,
                "posterior": self.posterior.digest if self.posterior is not None else "",
                "seed": seed,
                "version": __version__,
            },
        )


@dataclass(frozen=True)
class History:
    """One world's people who meet the criteria at entry, by rising number, and how many of all could not be solved."""

    number: np.ndarray
    values: dict[str, np.ndarray]
    parameters: np.ndarray
    state: np.ndarray
    entry: np.ndarray
    failed: int

    @classmethod
    def join(cls, parts: list[History], people: int) -> History:
        """The first `people` of the histories of consecutive people."""
        return cls(
            np.concatenate([part.number for part in parts])[:people],
            {name: np.concatenate([part.values[name] for part in parts])[:people] for name in parts[0].values},
            np.concatenate([part.parameters for part in parts])[:people],
            np.concatenate([part.state for part in parts])[:people],
            np.concatenate([part.entry for part in parts])[:people],
            sum(part.failed for part in parts),
        )
