"""Potential outcomes: every virtual patient goes through every regimen of the protocol with the same random effects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from causalgia import __version__
from causalgia.documents import Protocol
from causalgia.documents.arms import Arm
from causalgia.documents.protocol import WITHOUT
from causalgia.documents.units import factor
from causalgia.engine import Events, Kernel, Solution, load_kernel, solve
from causalgia.population.dosing import check_drugs, drugs_of, give
from causalgia.population.patients import RTOL, Population, Progress, increments, model_page

# Model outputs that instruments and figures read, beside the concentration of every drug.
OUTPUTS = ("TNF", "bound", "IL6", "TNF_c", "bound_c", "IL6_c", "NRS", "dTemp", "Oed", "Motor", "I")


def simulate(protocol: Protocol, patients: xr.Dataset, *, progress: Progress | None = None) -> xr.Dataset:
    """Every potential outcome of everybody: a Dataset of OUTPUTS, and of every drug's concentration, with dims (world,
    regimen, subject, time).

    Regimens are the arms, control first; a single-arm trial has a control that nobody is given. `time` is in weeks from
    randomisation: weekly from screening to the end of follow-up, and every visit. Pain carries the placebo response
    from randomisation on, in every arm alike; in an open trial `expectation` (world, subject, time) is what it is
    multiplied by, beside, where people know of a drug. `status` (world, regimen, subject) is 0 where the integration
    succeeded. Raises InputError where a drug does not fit the model.
    """
    population = Population.load(patients.attrs["condition_path"], prior=not patients.attrs["posterior"])
    check_drugs(population, protocol)
    week = factor(protocol.unit, "week")
    weekly = np.arange(np.floor(protocol.first_visit * week), np.ceil(protocol.follow_up * week) + 0.5)
    times = np.union1d(weekly, [time for row in protocol.schedule.values() for time in row.at])
    names = (*OUTPUTS, *concentrations(protocol))
    shape = (patients.sizes["world"], len(protocol.order), patients.sizes["subject"], len(times))
    values = {name: np.zeros(shape) for name in names}
    status = np.empty(shape[:3], np.int64)
    for w in range(shape[0]):
        people = patients.isel(world=w)
        for r, name in enumerate(protocol.order):
            arm = Arm() if name == WITHOUT else protocol.arms[name]
            solution = _regimen(treated(population, people, arm), times, names, progress)
            for j, output in enumerate(solution.outputs):
                values[output][w, r] = solution.values[:, :, j]
            status[w, r] = solution.status
    values["NRS"] *= placebo(patients, times)[:, None]
    dims = ("world", "regimen", "subject", "time")
    data = {name: (dims, array) for name, array in values.items()} | {"status": (dims[:3], status)}
    if protocol.blinding == "open":
        data["expectation"] = (("world", "subject", "time"), expectation(patients, times))
    return xr.Dataset(
        data,
        coords={"world": patients.world, "regimen": list(protocol.order), "time": times},
        attrs={
            "protocol": protocol.name,
            "digest": protocol.digest,
            "posterior": patients.attrs["posterior"],
            "seed": patients.attrs["seed"],
            "version": __version__,
        },
    ).assign({name: patients[name] for name in patients.data_vars if name not in ("parameter", "state")})


def concentrations(protocol: Protocol) -> tuple[str, ...]:
    """Outputs that hold the serum concentrations of the protocol's drugs, that of the primary arm's first."""
    return tuple(dict.fromkeys(drug.concentration for drug in drugs_of(protocol)))


class Treated(NamedTuple):
    """People of one world under one arm, ready to be solved: rows are people."""

    kernel: Kernel
    parameters: np.ndarray
    initial: np.ndarray
    events: Events | None


def treated(population: Population, patients: xr.Dataset, arm: Arm) -> Treated:
    """The kernel of all that an arm gives and that the onset has set going, with the people of one world in it."""
    given = give(population, arm, patients)
    kernel = load_kernel(model_page(population.condition.model), entered=(*population.onset, *given.entered))
    before = list(patients["compartment"].values)
    initial = np.zeros((len(patients["id"]), len(kernel.states)))
    for j, state in enumerate(kernel.states):
        if state in before:
            initial[:, j] = patients["state"].values[:, before.index(state)]
    parameters = population.of_kernel(kernel, patients["parameter"].values, given.parameters)
    return Treated(kernel, parameters, initial, given.events)


def _regimen(people: Treated, times: np.ndarray, names: tuple[str, ...], progress: Progress | None) -> Solution:
    """One arm's trajectories in one world; outputs that stay zero in it are left out."""
    return solve(
        people.kernel,
        people.parameters,
        times * 7.0,
        outputs=[name for name in names if name in people.kernel.outputs],
        initial=people.initial,
        start=times[0] * 7.0,
        events=people.events,
        rtol=RTOL,
        progress=increments(progress),
    )


def placebo(patients: xr.Dataset, times: np.ndarray) -> np.ndarray:
    """Pain left by the placebo response, (world, subject, time): 1 - PEF (1 - exp(-ln 2 t / PHA)), t in days."""
    return 1 - patients["PEF"].values[..., None] * _rise(patients, times)


def expectation(patients: xr.Dataset, times: np.ndarray) -> np.ndarray:
    """Pain left where people know of a drug, (world, subject, time); it comes as the placebo response does."""
    return 1 - patients["open_bias"].values[..., None] * _rise(patients, times)


def _rise(patients: xr.Dataset, times: np.ndarray) -> np.ndarray:
    days = np.maximum(times * 7.0, 0.0)
    return 1 - np.exp(-np.log(2) * days / patients["PHA"].values[..., None])
