"""An event table through a model, and its rows back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from causalgia.documents.errors import InputError
from causalgia.engine.event_rows import STANDARD
from causalgia.engine.event_table import EventTable, Scales
from causalgia.engine.events import Floats
from causalgia.engine.kernel import Kernel
from causalgia.engine.solver import solve

if TYPE_CHECKING:
    import polars as pl


def trajectories(
    kernel: Kernel,
    parameters: Mapping[str, ArrayLike],
    table: EventTable,
    *,
    outputs: Sequence[str] | None = None,
    bioavailability: Scales = None,
    lag: Scales = None,
    rtol: float = 1e-6,
    floor: ArrayLike = 1e-6,
) -> pl.DataFrame:
    """Every subject of an event table through a model: ID, TIME, the outputs, and STATUS, a row an observation.

    `parameters` gives numbers or (subject,) by name; a parameter that it lacks comes from the column of the table with
    its name, else from the model page. STATUS is 0 where the subject was solved, else a key of `engine.STATUS`, and the
    outputs are then NaN from the failure on.

    Errors: `InputError` for an unknown parameter, one given twice or nowhere, and the table of another model.
    """
    if table.states != kernel.states:
        expected = f"those of the model: {', '.join(kernel.states)}"
        raise InputError(table.rows.where, f"states {', '.join(table.states)}", expected, "Read it for this model.")
    solution = solve(
        kernel,
        _matrix(kernel, parameters, table),
        table.times,
        outputs=outputs,
        start=table.start,
        events=table.events(bioavailability=bioavailability, lag=lag),
        rtol=rtol,
        floor=floor,
    )
    status = np.broadcast_to(solution.status[:, None, None], (*table.times.shape, 1))
    columns = ("ID", "TIME", *solution.outputs, "STATUS")
    twice = [name for name in solution.outputs if columns.count(name) > 1]
    if twice:
        raise InputError("outputs", twice[0], "no output ID, TIME or STATUS, and none twice", "Leave it out.")
    frame = table.frame(np.concatenate([solution.values, status], axis=2), columns[2:])
    return frame.cast({"STATUS": int})


def _matrix(kernel: Kernel, parameters: Mapping[str, ArrayLike], table: EventTable) -> Floats:
    """Parameters in the kernel's order, (subject, parameter)."""
    unknown = [name for name in parameters if name not in kernel.parameters]
    if unknown:
        expected = f"some of {', '.join(kernel.parameters)}"
        raise InputError("parameters", repr(unknown[0]), expected, "Name a parameter of the model.")
    further = [name for name in table.rows.columns if name not in STANDARD]
    columns = [_parameter(name, kernel, parameters, table, further) for name in kernel.parameters]
    return np.array(columns).T.reshape(len(table.ids), len(columns))


def _parameter(
    name: str, kernel: Kernel, parameters: Mapping[str, ArrayLike], table: EventTable, further: Sequence[str]
) -> Floats:
    subjects = len(table.ids)
    if name in parameters:
        array = np.asarray(parameters[name], dtype=np.float64)
        if name in further:
            found = f"{name} as a column and from the caller"
            raise InputError(table.rows.where, found, "one of them", "Drop the column, or leave the parameter out.")
        if array.shape not in ((), (1,), (subjects,)):
            found, expected = f"shape {array.shape}", f"one number, or shape ({subjects},)"
            raise InputError(f"parameters, {name}", found, expected, "Give one a subject.")
        return np.broadcast_to(array, (subjects,))
    if name in further:
        return table.covariate(name)
    near = [column for column in further if column.upper() == name.upper() and column not in kernel.parameters]
    if near:
        found, expected = f"a column {near[0]}", f"{name}, the model's parameter, or another name"
        raise InputError(table.rows.where, found, expected, "Rename the column.")
    if name not in kernel.values:
        found = "neither a column of the table nor a value of the model"
        raise InputError(f"parameters, {name}", found, "a value", "Give the parameter.")
    return np.full(subjects, kernel.values[name])
