"""What an arm gives to whom: a drug's individual parameters, and its doses as events of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from causalgia.documents import Drug, InputError, Protocol, expressions
from causalgia.documents.arms import Arm, Course
from causalgia.documents.parameters import Parameter
from causalgia.documents.schemas import Route
from causalgia.documents.units import factor, model_unit
from causalgia.engine import Events, load_kernel
from causalgia.population.draw import check_entries, draw
from causalgia.population.patients import Population, check_names, check_unit, model_page

# What a drug says of antibodies outside the model: who forms them, and when.
ANTIBODIES = ("Z", "t_ada")
ANTIBODY_STATE = "Ada"
DOSE = "dose"


class Given(NamedTuple):
    """An arm's drugs in some people: model parameters (person,) in the model's units, events, and what they enter."""

    parameters: dict[str, np.ndarray]
    events: Events | None
    entered: tuple[str, ...]


def give(population: Population, arm: Arm, patients: xr.Dataset) -> Given:
    """The arm's drugs for the people of one world; amounts in mg and times in days.

    The drugs must fit the model, see `check_drugs`. Raises InputError where two courses want different values of one
    parameter: a model has one drug of a kind.
    """
    parameters: dict[str, np.ndarray] = {}
    columns: list[Doses] = []
    immunogenic: set[str] = set()
    for course in arm.courses:
        drug = drug_of(course)
        values = drug_values(population, drug, course.route or "", patients)
        for symbol, entry in drug.entries(course.route or "").items():
            if symbol not in population.kernel.all_parameters:
                continue
            mine = values[symbol] * population.factor(symbol, entry)
            if not np.array_equal(parameters.setdefault(symbol, mine), mine):
                found = f"a second value of {symbol} with {drug.name} {course.route}"
                raise InputError("arms", found, "one drug of a kind, absorbed in one way", "Leave one of them out.")
        columns += _doses(course, drug.routes[course.route or ""], values)
        if drug.antibodies and drug.name not in immunogenic:
            columns.append(_antibodies(course, drug.antibodies, values))
            immunogenic.add(drug.name)
    if not columns:
        return Given({}, None, ())
    events = Events(
        time=np.column_stack([column.time for column in columns]),
        state=[column.state for column in columns],
        amount=np.column_stack([column.amount for column in columns]),
        duration=np.column_stack([column.duration for column in columns]),
        rate=np.column_stack([column.rate for column in columns]),
    )
    return Given(parameters, events, tuple(sorted({column.state for column in columns})))


class Doses(NamedTuple):
    """One dose into one state, for everybody: arrays (person,)."""

    time: np.ndarray
    state: str
    amount: np.ndarray
    duration: np.ndarray
    rate: np.ndarray


def _doses(course: Course, route: Route, values: Mapping[str, np.ndarray]) -> list[Doses]:
    """One entry a dose and share. What is absorbed is dose × bioavailability × share, a lag later."""
    people = len(values["weight"])
    zero = np.zeros(people)
    lag = values["lag"] * factor(route.lag.unit, "day") if route.lag is not None else zero
    duration = zero
    if route.duration is not None:
        duration = np.full(people, route.duration.typical * factor(route.duration.unit, "day"))
    found = []
    for day, amount in zip(course.days, course.milligrams(values["weight"]).T, strict=True):
        for state, share in route.shares.items():
            part = np.broadcast_to(np.asarray(expressions.evaluate(share, values), float), (people,))
            absorbed = amount * part * _bioavailability(route, amount, values)
            found.append(Doses(day + lag, state, absorbed, duration, zero))
    return found


def _bioavailability(route: Route, amount: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray | float:
    if route.bioavailability is None:
        return 1.0
    if route.bioavailability.formula is not None:
        return np.asarray(expressions.evaluate(route.bioavailability.formula, {**values, DOSE: amount}), float)
    return values["bioavailability"]


def _antibodies(course: Course, entries: Mapping[str, Parameter], values: Mapping[str, np.ndarray]) -> Doses:
    """When antibodies begin to act, NaN in those who form none, and how fast: t_ada after the first dose, at rate
    k_ada.
    """
    onset = course.days[0] + values["t_ada"] * factor(entries["t_ada"].unit, "day")
    people = len(onset)
    rate = values["k_ada"] * factor(entries["k_ada"].unit, "1/day")
    return Doses(
        np.where(values["Z"] > 0, onset, np.nan), ANTIBODY_STATE, np.full(people, np.inf), np.zeros(people), rate
    )


def drug_of(course: Course) -> Drug:
    """The drug of a course, with the kinetics that it names."""
    return Drug.load(course.drug or "").with_kinetics(course.kinetics)


def drugs_of(protocol: Protocol) -> list[Drug]:
    """The drugs of the protocol, each once, those of the primary comparison's arm first."""
    return [Drug.load(name) for name in _routes(protocol)]


def _routes(protocol: Protocol) -> dict[str, list[str]]:
    """By which routes each drug is given, in the order of `drugs_of`."""
    arms = [protocol.arms[protocol.treatment], *protocol.arms.values()]
    found: dict[str, list[str]] = {}
    for course in (course for arm in arms for course in arm.courses):
        found.setdefault(course.drug or "", []).append(course.route or "")
    return found


def drug_values(population: Population, drug: Drug, route: str, patients: xr.Dataset) -> dict[str, np.ndarray]:
    """A drug's parameters by a route, and covariates, (person,): each person's own, whatever the protocol."""
    typical = population.typical_of_drug(str(patients["world"].values), drug)
    ids = patients["id"].values
    seed, people = patients.attrs["seed"], int(ids.max()) + 1
    known = {str(name): np.full(people, np.nan) for name in patients.data_vars if patients[name].dims == ("subject",)}
    for name, array in known.items():
        array[ids] = patients[name].values
    # NaN in people who are not enrolled
    values = draw(drug.entries(route), seed, people, known, drug.correlations, typical)
    return {name: array[ids] for name, array in (known | values).items()}


def check_drugs(population: Population, protocol: Protocol) -> None:
    """`check_drug` of every drug of the protocol, by the routes by which it is given."""
    for drug, routes in zip(drugs_of(protocol), _routes(protocol).values(), strict=True):
        check_drug(population, drug, dict.fromkeys(routes))


def check_drug(population: Population, drug: Drug, routes: Iterable[str] | None = None) -> None:
    """Raises InputError where drug and model do not fit: a parameter that nothing reads, a unit of another kind, a
    formula of what is not known, a route (of those named, or any) into no state, a share of nothing.
    """
    kernel = population.kernel
    check_names(f"{drug.path}, key", drug.values, (*kernel.all_parameters, *ANTIBODIES))
    outputs = {name for name in kernel.meanings if name.startswith("Cp")}
    if drug.concentration not in outputs:
        expected = f"one of {', '.join(sorted(outputs))}"
        raise InputError(f"{drug.path}, key concentration", repr(drug.concentration), expected, "Correct it.")
    missing = [name for name in ANTIBODIES if drug.antibodies and name not in drug.antibodies]
    if missing:
        raise InputError(f"{drug.path}, key antibodies", f"no {missing[0]}", ", ".join(ANTIBODIES), "Add it.")
    for name in (None, *drug.alternatives):
        _check_values(population, drug.with_kinetics(name), f"alternatives.{name}.values." if name else "")
    for name in drug.routes if routes is None else routes:
        _check_route(population, drug, name)


def _check_values(population: Population, drug: Drug, prefix: str) -> None:
    parts = ("pharmacokinetics", "binding", "effects", "antibodies")
    keys = {name: prefix + name if prefix else f"{part}.{name}" for part in parts for name in getattr(drug, part)}
    keys |= {"M": "molar_mass"}

    def where(name: str) -> str:
        return f"{drug.path}, key {keys.get(name, f'correlations.{name}')}"

    check_entries(drug.values, population.condition.covariates, drug.correlations, where)
    units = {**population.kernel.units, "t_ada": "day", "Z": "dimensionless"}
    for name, entry in drug.values.items():
        if name not in units:
            raise InputError(where(name), "an unknown parameter", "a parameter of the model", "Correct it.")
        check_unit(f"{where(name)}.unit", entry.unit, model_unit(units[name]))


def _check_route(population: Population, drug: Drug, name: str) -> None:
    """The route's doors are states, what it sets is used and in a unit that fits, and with it nothing is missing."""
    kernel, route, key = population.kernel, drug.routes[name], f"{drug.path}, key routes.{name}"
    for part in ("duration", "lag"):
        entry = getattr(route, part)
        if entry is not None:
            check_unit(f"{key}.{part}.unit", entry.unit, "day")
    used = set().union(*(expressions.symbols(share) for share in route.shares.values()))
    known = {*population.condition.covariates, *route.values, *drug.values}
    if used - known:
        expected = f"one of {', '.join(sorted(known))}"
        raise InputError(f"{key}.into", f"the name {sorted(used - known)[0]!r}", expected, "Correct it.")
    check_names(f"{key}.values", route.values, (*kernel.all_parameters, *used))
    for symbol, entry in route.values.items():
        check_unit(f"{key}.values.{symbol}.unit", entry.unit, model_unit(kernel.units.get(symbol, "dimensionless")))
    check_entries(route.values, population.condition.covariates, {}, lambda symbol: f"{key}.values.{symbol}")
    if route.bioavailability is not None:
        check_unit(f"{key}.bioavailability.unit", route.bioavailability.unit, "1")
        scope = (*population.condition.covariates, *drug.values, *route.values, DOSE)
        check_entries({"F": route.bioavailability}, scope, {}, lambda _: f"{key}.bioavailability")
    for state in route.shares:
        if state not in kernel.all_states:
            expected = f"one of {', '.join(kernel.all_states)}"
            raise InputError(f"{key}.into", repr(state), expected, "Correct it.")
    entered = (*population.onset, *route.shares, *([ANTIBODY_STATE] if drug.antibodies else []))
    needed = load_kernel(model_page(population.condition.model), entered=entered).parameters
    missing = [p for p in needed if p not in population.symbols and p not in {**drug.values, **route.values}]
    if missing:
        expected = f"the model's parameters {', '.join(missing)}"
        raise InputError(f"{drug.path}", f"no value for {missing[0]} by route {name}", expected, "Add it.")
