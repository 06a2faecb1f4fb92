"""Subjects in, trajectories out: checks the arrays, cuts the work into chunks, runs them on threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from causalgia.documents.errors import InputError
from causalgia.engine.events import Doses, Events, Floats, Integers, check_events, lower
from causalgia.engine.kernel import Kernel
from causalgia.engine.layout import OPTIONS, TABLES

CHUNK = 512  # subjects a call: long enough to keep lanes full, short enough for progress
ALIGNMENT = 128  # bytes, of the widest vector


@dataclass(frozen=True)
class Solution:
    """Trajectories and how they were got.

    `values` (subject, time, output) in the model's units, in the order of `outputs`; `final` (subject, state) at the
    last time; `status` (subject,), 0 where solved, else a key of `STATUS`; `steps` accepted and `rejected`, (subject,).
    A subject that fails has NaN from there on.
    """

    outputs: tuple[str, ...]
    values: Floats
    final: Floats
    status: Integers
    steps: Integers
    rejected: Integers


@dataclass(frozen=True)
class Problem:
    """Checked input: one row a subject everywhere."""

    parameters: Floats
    times: Floats
    start: Floats
    initial: Floats | None
    doses: Doses
    outputs: tuple[str, ...]
    selected: Integers
    floor: Floats


def solve(
    kernel: Kernel,
    parameters: ArrayLike,
    times: ArrayLike,
    *,
    outputs: Sequence[str] | None = None,
    initial: ArrayLike | None = None,
    start: ArrayLike = 0.0,
    events: Events | None = None,
    rtol: float = 1e-6,
    floor: ArrayLike = 1e-6,
    max_steps: int = 100_000,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Solution:
    """Integrate dx/dt = f(t, x, p) + infusions for every subject, with Rodas5P, each at its own pace.

    `parameters` (subject, parameter) in the order of `kernel.parameters`; `times` (time,) or (subject, time) ascending,
    NaN for none; `initial` (subject, state) or None for the model's own; `start` scalar or (subject,); `outputs` names
    from `kernel.outputs`, None for all. An observation at the time of an event sees the state before the event,
    unless `Events.seen_from` says otherwise.
    The local error of state i is held below rtol·(floorᵢ + max|xᵢ|) in the mean square over states, where `floor`,
    scalar or (state,) in the states' units, rises to 10⁻⁴ of the subject's own largest |xᵢ| so far.
    `progress` is called with the number of subjects done. A subject's results are bit-equal for any batch and threads.

    Errors: `InputError` for wrong shapes, names, order of times or events; a failing subject gets a status instead.
    """
    names = kernel.states, kernel.parameters, kernel.outputs
    problem = check_problem(names, parameters, times, outputs, initial, start, events, floor)
    subjects, rows = problem.times.shape
    solution = blank_solution(problem, len(kernel.states))
    options = np.array([rtol, max_steps, rows, len(problem.selected)], dtype=np.float64)
    assert len(options) == len(OPTIONS)
    done, lock = 0, threading.Lock()

    def work(first: int) -> None:
        nonlocal done
        last = min(first + CHUNK, subjects)
        _run_chunk(kernel, problem, solution, options, (first, last))
        with lock:
            done += last - first
            if progress is not None:
                progress(done)

    chunks = range(0, subjects, CHUNK)
    workers = min(threads or os.cpu_count() or 1, max(len(chunks), 1))
    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in [pool.submit(work, first) for first in chunks]:
                future.result()
        except BaseException:  # an interrupt, or what `progress` raises: no further chunk starts
            pool.shutdown(cancel_futures=True)
            raise
    return solution


def check_problem(
    names: tuple[Sequence[str], Sequence[str], Sequence[str]],
    parameters: ArrayLike,
    times: ArrayLike,
    outputs: Sequence[str] | None,
    initial: ArrayLike | None,
    start: ArrayLike,
    events: Events | None,
    floor: ArrayLike,
) -> Problem:
    """Input as arrays of the right shapes."""
    states, parameter_names, all_outputs = names
    p = np.ascontiguousarray(parameters, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] != len(parameter_names):
        expected = f"(subject, {len(parameter_names)}): {', '.join(parameter_names)}"
        raise InputError("parameters", f"shape {p.shape}", expected, "Give one column a parameter, in this order.")
    chosen = tuple(all_outputs if outputs is None else outputs)
    unknown = [name for name in chosen if name not in all_outputs]
    if unknown:
        raise InputError("outputs", repr(unknown[0]), f"some of {', '.join(all_outputs)}", "Name a state or variable.")
    begin = np.ascontiguousarray(_rows("start", start, (len(p),)))
    if not np.isfinite(begin).all():
        raise InputError("start", "a time that is not finite", "finite times", "Give every subject a start.")
    given = None if initial is None else np.ascontiguousarray(_rows("initial", initial, (len(p), len(states))))
    return Problem(
        parameters=p,
        times=_check_times(times, begin),
        start=begin,
        initial=given,
        doses=check_events(events, states, begin),
        outputs=chosen,
        selected=np.array([list(all_outputs).index(name) for name in chosen], dtype=np.int64),
        floor=_check_floor(floor, len(states)),
    )


def _rows(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    try:
        return np.broadcast_to(array, shape)
    except ValueError as error:
        raise InputError(name, f"shape {array.shape}", f"shape {shape}", "Give one row a subject.") from error


def _check_floor(floor: ArrayLike, states: int) -> Floats:
    array = np.ascontiguousarray(_rows("floor", floor, (states,)))
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise InputError("floor", "a value that is not above 0", "a positive number a state", "Correct it.")
    return array


def _check_times(times: ArrayLike, start: Floats) -> Floats:
    array = np.asarray(times, dtype=np.float64)
    shape = (len(start), array.shape[-1] if array.ndim else 1)
    array = _rows("times", array, shape)
    seen = np.where(np.isnan(array), -np.inf, array)
    earlier = np.maximum.accumulate(np.concatenate([start[:, None], seen], axis=1), axis=1)[:, :-1]
    wrong = np.argwhere(~np.isnan(array) & ~((array >= earlier) & np.isfinite(array)))
    if len(wrong):
        subject, row = (int(i) for i in wrong[0])
        found = f"{array[subject, row]:g} after {earlier[subject, row]:g} (subject {subject}, time {row})"
        raise InputError("times", found, "ascending finite times, not before the start", "Sort them.")
    return array


def blank_solution(problem: Problem, states: int) -> Solution:
    """A solution that nobody has filled in yet."""
    subjects, rows = problem.times.shape
    counts = [np.zeros(subjects, dtype=np.int64) for _ in range(3)]
    values = np.full((subjects, rows, len(problem.selected)), np.nan)
    return Solution(problem.outputs, values, np.full((subjects, states), np.nan), *counts)


def _run_chunk(
    kernel: Kernel, problem: Problem, solution: Solution, options: Floats, subjects: tuple[int, int]
) -> None:
    first, last = subjects
    part = slice(first, last)
    records = lower(problem.doses.of(first, last), problem.times[part])
    arrays: dict[str, np.ndarray | None] = {
        "parameters": problem.parameters[part],
        "initial": None if problem.initial is None else problem.initial[part],
        "start": problem.start[part],
        "floor": problem.floor,
        "selected": problem.selected,
        **{name: getattr(records, name) for name in ("offset", "time", "action", "index", "value")},
        **{name: getattr(solution, name)[part] for name in ("values", "final", "status", "steps", "rejected")},
    }
    pointers = [0 if (a := arrays[name]) is None else a.ctypes.data for name in TABLES]
    tables = np.array(pointers, dtype=np.uintp)
    spare = ALIGNMENT // 8
    buffer = np.zeros(kernel.slots * kernel.lanes + spare)
    workspace = buffer[(-buffer.ctypes.data % ALIGNMENT) // 8 :]
    kernel.run(0, last - first, tables.ctypes.data, options.ctypes.data, workspace.ctypes.data)
