"""Subjects per second at equal achieved error: the engine against other solvers, on the reference problem.

    python benchmarks/engine.py [--subjects 2000] [--goal 1e-5]

Every solver runs at the loosest of its tolerances whose largest error over subjects, times and states stays below the
goal, measured against the engine at rtol 1e-11. Error is |y − y*| / max(|y*|, 10⁻⁴·largest |y*| of the state).
SciPy runs on the first eight subjects, with the same common subexpressions shared, one thread.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))

from engine_pages import reference_subjects

from causalgia.engine import Events, Kernel, load_kernel, solve
from causalgia.engine.native import fingerprint
from causalgia.models import Model, load_model
from causalgia.models.mathml import TIME, symbol

TIMES = 7.0 * np.arange(27)
TOLERANCES = 10.0 ** -np.arange(3, 10.5, 0.5)
Attempt = Callable[[float, int], np.ndarray]  # (tolerance, subjects) → (subject, time, state)


def engine(kernel: Kernel, p: np.ndarray, events: Events, threads: int) -> Attempt:
    def attempt(rtol: float, subjects: int) -> np.ndarray:
        time, amount = np.asarray(events.time)[:subjects], np.asarray(events.amount)[:subjects]
        doses = Events(time, events.state, amount, events.duration)
        return solve(
            kernel, p[:subjects], TIMES, outputs=kernel.states, events=doses, rtol=rtol, threads=threads
        ).values

    return attempt


def right_hand_side(model: Model) -> tuple[Callable, Callable]:
    """dy/dt(t, y, p) and y(0) of p, from SymPy with common subexpressions shared."""
    y, p = ([symbol(n) for n in names] for names in (model.states, model.parameters))
    rates = [model.rates[s] for s in model.states]
    for name in reversed(list(model.assignments)):
        rates = [rate.xreplace({symbol(name): model.assignments[name]}) for rate in rates]
    initial = [model.initial[s] for s in model.states]
    return sp.lambdify([TIME, y, p], rates, "math", cse=True), sp.lambdify([p], initial, "math", cse=True)


def scipy_lsoda(model: Model, p: np.ndarray, events: Events) -> Attempt:
    rates, initial = right_hand_side(model)
    duration = float(np.asarray(events.duration))

    def one(s: int, rtol: float) -> np.ndarray:
        y = np.array(initial(p[s]))
        begins = np.asarray(events.time)[s]
        rate = float(np.broadcast_to(events.amount, (len(p), 3))[s, 0]) / duration
        changes = {t: r for begin in begins for t, r in ((begin, rate), (begin + duration, 0.0))}
        cuts = sorted({*TIMES.tolist(), *changes})
        rows, running = {}, np.zeros(len(y))

        def f(t: float, x: np.ndarray) -> np.ndarray:
            return np.add(rates(t, x, p[s]), running)

        for now, following in zip(cuts, [*cuts[1:], None], strict=True):
            rows[now] = y
            running[0] = changes.get(now, running[0])
            if following is not None:
                y = solve_ivp(f, (now, following), y, method="LSODA", rtol=rtol, atol=1e-6 * rtol).y[:, -1]
        return np.array([rows[t] for t in TIMES.tolist()])

    return lambda rtol, subjects: np.array([one(s, rtol) for s in range(min(subjects, 8))])


def errors(values: np.ndarray, reference: np.ndarray) -> float:
    exact = reference[: len(values)]
    size = np.maximum(np.abs(exact), 1e-4 * np.abs(reference).max(axis=(0, 1)))
    return float(np.max(np.abs(values - exact) / size))


def rate(attempt: Attempt, reference: np.ndarray, goal: float, laps: int) -> tuple[float, float, float]:
    """Tolerance, achieved error, subjects per second (the fastest lap)."""
    for tolerance in TOLERANCES:
        values = attempt(tolerance, len(reference))
        error = errors(values, reference)
        if error <= goal:
            break
    times = []
    for _ in range(laps):
        begin = time.perf_counter()
        count = len(attempt(tolerance, len(reference)))
        times.append(time.perf_counter() - begin)
    return tolerance, error, count / min(times)


def solvers(path: Path, p: np.ndarray, events: Events) -> Iterator[tuple[str, Attempt, int]]:
    kernel = load_kernel(path)
    yield "engine, 1 thread", engine(kernel, p, events, 1), 3
    yield "engine, 2 threads", engine(kernel, p, events, 2), 3
    yield "SciPy LSODA", scipy_lsoda(load_model(path), p, events), 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=2000)
    parser.add_argument("--goal", type=float, default=1e-5)
    options = parser.parse_args()
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("causalgia", "llvmlite", "numpy", "scipy"))
    print(f"{platform.processor() or platform.machine()}; {fingerprint().split(' ')[1]}; {versions}")
    for kind in ("full", "qss"):
        path = Path(__file__).parent / f"reference_{kind}.ant"
        begin = time.perf_counter()
        kernel = load_kernel(path)
        print(f"\n{kind}: {len(kernel.states)} states, kernel ready in {time.perf_counter() - begin:.2f} s")
        p, events = reference_subjects(kernel.parameters, options.subjects)
        reference = engine(kernel, p, events, 2)(1e-11, options.subjects)
        first = None
        for name, attempt, laps in solvers(path, p, events):
            tolerance, error, speed = rate(attempt, reference, options.goal, laps)
            first = first or speed
            print(f"  {name:20} rtol {tolerance:.0e}  max error {error:.1e}  {speed:10,.1f} /s  {speed / first:8.4f}")


if __name__ == "__main__":
    main()
