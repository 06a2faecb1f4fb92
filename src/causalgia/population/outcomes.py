"""Potential outcomes: every virtual patient goes through every regimen of the protocol with the same random effects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from causalgia import __version__
from causalgia.documents import Drug, InputError, Protocol
from causalgia.documents.parameters import Parameter
from causalgia.documents.protocol import Arm
from causalgia.documents.units import factor, model_unit
from causalgia.engine import Events, solve
from causalgia.population.draw import check_entries, draw
from causalgia.population.patients import RTOL, Population, Progress, check_names, check_unit, increments

# Model outputs that instruments and figures read.
OUTPUTS = ("Cp", "TNF", "bound", "IL6", "TNF_c", "bound_c", "IL6_c", "NRS", "dTemp", "Oed", "Motor")
# What a drug says of antibodies outside the model: who forms them, and when.
ANTIBODIES = ("Z", "t_ada")


def simulate(protocol: Protocol, patients: xr.Dataset, *, progress: Progress | None = None) -> xr.Dataset:
    """Both potential outcomes of everybody: a Dataset of OUTPUTS with dims (world, regimen, subject, time).

    `time` is in weeks from randomisation: weekly from screening to the end of follow-up, and every visit. Pain carries
    the placebo response from randomisation on, in every arm alike. `status` (world, regimen, subject) is 0 where the
    integration succeeded.
    """
    population = Population.load(patients.attrs["condition_path"])
    week = factor(protocol.unit, "week")
    weekly = np.arange(np.floor(protocol.first_visit * week), np.ceil(protocol.follow_up * week) + 0.5)
    times = np.union1d(weekly, [time for row in protocol.schedule.values() for time in row.at])
    shape = (patients.sizes["world"], len(protocol.arms), patients.sizes["subject"], len(times))
    values = {name: np.empty(shape) for name in OUTPUTS}
    status = np.empty(shape[:3], np.int64)
    for w in range(shape[0]):
        for r, arm in enumerate(protocol.arms.values()):
            solution = _regimen(population, patients.isel(world=w), arm, times, progress)
            for j, name in enumerate(OUTPUTS):
                values[name][w, r] = solution.values[:, :, j]
            status[w, r] = solution.status
    values["NRS"] *= _placebo(patients, times)[:, None]
    dims = ("world", "regimen", "subject", "time")
    return xr.Dataset(
        {name: (dims, array) for name, array in values.items()} | {"status": (dims[:3], status)},
        coords={"world": patients.world, "regimen": list(protocol.arms), "time": times},
        attrs={
            "protocol": protocol.name,
            "digest": protocol.digest,
            "seed": patients.attrs["seed"],
            "version": __version__,
        },
    ).assign({name: patients[name] for name in patients.data_vars if name not in ("parameter", "state")})


def _regimen(population: Population, patients: xr.Dataset, arm: Arm, times: np.ndarray, progress: Progress | None):
    """One arm's trajectories in one world."""
    parameters, events = patients["parameter"].values, None
    if arm.drug is not None:
        drug = Drug.load(arm.drug)
        check_drug(population, drug)
        values = drug_values(drug, patients)
        parameters = parameters.copy()
        for j, symbol in enumerate(population.kernel.parameters):
            if symbol in values:
                parameters[:, j] = values[symbol] * population.factor(symbol, drug.values[symbol])
        events = dosing(arm, drug, values)
    return solve(
        population.kernel,
        parameters,
        times * 7.0,
        outputs=OUTPUTS,
        initial=patients["state"].values,
        start=times[0] * 7.0,
        events=events,
        rtol=RTOL,
        progress=increments(progress),
    )


def check_drug(population: Population, drug: Drug) -> None:
    """Raises InputError where drug and model do not fit: a parameter that nothing reads or that nobody gives, a unit of
    another kind, a formula of what is not known, a route into no state.
    """
    symbols = population.kernel.parameters
    check_names(f"{drug.path}, key", drug.values, (*symbols, *ANTIBODIES))
    missing = [name for name in symbols if name not in population.entries and name not in drug.values]
    if missing:
        raise InputError(
            f"{drug.path}", f"no value for {missing[0]}", f"the model's drug parameters {', '.join(missing)}", "Add it."
        )
    missing = [name for name in ANTIBODIES if drug.antibodies and name not in drug.antibodies]
    if missing:
        raise InputError(f"{drug.path}, key antibodies", f"no {missing[0]}", ", ".join(ANTIBODIES), "Add it.")
    parts = {"pharmacokinetics": drug.pharmacokinetics, "binding": drug.binding, "antibodies": drug.antibodies}
    keys = {name: f"{part}.{name}" for part, values in parts.items() for name in values} | {"M": "molar_mass"}

    def where(name: str) -> str:
        return f"{drug.path}, key {keys.get(name, f'correlations.{name}')}"

    check_entries(drug.values, population.condition.covariates, drug.correlations, where)
    units = {**population.kernel.units, "t_ada": "day", "Z": "dimensionless"}
    for name, entry in drug.values.items():
        check_unit(f"{where(name)}.unit", entry.unit, model_unit(units[name]))
    for name, route in drug.routes.items():
        key = f"{drug.path}, key routes.{name}"
        check_unit(f"{key}.duration.unit", route.duration.unit, "day")
        if route.into not in population.kernel.states:
            states = ", ".join(population.kernel.states)
            raise InputError(f"{key}.into", repr(route.into), f"one of {states}", "Correct it.")


def drug_values(drug: Drug, patients: xr.Dataset) -> dict[str, np.ndarray]:
    """Individual parameters of a drug (subject,): each person's own, whatever the protocol that gives it."""
    ids = patients["id"].values
    seed, people = patients.attrs["seed"], int(ids.max()) + 1
    known = {str(name): np.full(people, np.nan) for name in patients.data_vars if patients[name].dims == ("subject",)}
    for name, array in known.items():
        array[ids] = patients[name].values
    values = draw(drug.values, seed, people, known, drug.correlations)  # NaN in people who are not enrolled
    return {name: array[ids] for name, array in values.items()} | {"weight": patients["weight"].values}


def dosing(arm: Arm, drug: Drug, values: Mapping[str, np.ndarray]) -> Events:
    """Dosing events of one arm, amounts in mg and times in days, and the rise of antibodies in those who form them."""
    route = drug.routes[arm.route or ""]
    people = len(values["weight"])
    amount = arm.milligrams(values["weight"])
    duration = route.duration.typical * factor(route.duration.unit, "day")
    time = np.broadcast_to(np.array(arm.days), (people, len(arm.days)))
    doses = np.broadcast_to(amount[:, None], time.shape)
    onset, rise = antibodies(arm, drug.antibodies, values)
    return Events(
        time=np.column_stack([time, onset]),
        state=[route.into] * len(arm.days) + ["Ada"],
        amount=np.column_stack([doses, np.full(people, np.inf)]),
        duration=np.column_stack([np.full(time.shape, duration), np.zeros(people)]),
        rate=np.column_stack([np.zeros(time.shape), rise]),
    )


def antibodies(
    arm: Arm, entries: Mapping[str, Parameter], values: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """When antibodies begin to act, NaN in those who form none, and how fast: t_ada after the first dose, at rate
    k_ada.
    """
    people = len(values["weight"])
    if not entries:
        return np.full(people, np.nan), np.ones(people)
    onset = arm.days[0] + values["t_ada"] * factor(entries["t_ada"].unit, "day")
    return np.where(values["Z"] > 0, onset, np.nan), values["k_ada"] * factor(entries["k_ada"].unit, "1/day")


def _placebo(patients: xr.Dataset, times: np.ndarray) -> np.ndarray:
    """Pain left by the placebo response, (world, subject, time): 1 - PEF (1 - exp(-ln 2 t / PHA)), t in days."""
    days = np.maximum(times * 7.0, 0.0)
    rise = 1 - np.exp(-np.log(2) * days / patients["PHA"].values[..., None])
    return 1 - patients["PEF"].values[..., None] * rise
