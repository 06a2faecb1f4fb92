"""The slow twin of the kernel: the same model, doses and method in plain NumPy, one subject at a time.

It shares the coefficient tables and the checks of input, and nothing else: derivatives come from SymPy, the linear
algebra is dense, doses are applied straight from their definition. It is the engine's oracle in the tests.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from causalgia.engine import tableau
from causalgia.engine.events import Doses, Events, Floats
from causalgia.engine.graph import EXP_MAX, EXP_MIN, TINY
from causalgia.engine.layout import NON_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS, UNDEFINED_START
from causalgia.engine.solver import Solution, blank_solution, check_problem
from causalgia.models.mathml import TIME, symbol
from causalgia.models.model import Model

Function = Callable[..., list]


def solve_twin(
    model: Model,
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
) -> Solution:
    """What `solve` computes, without generated code: same arguments, same meaning, thousands of times slower."""
    names = model.states, model.parameters, model.outputs
    problem = check_problem(names, parameters, times, outputs, initial, start, events, floor)
    solution = blank_solution(problem, len(model.states))
    system = System.of(model)
    with np.errstate(all="ignore"):
        for s, p in enumerate(problem.parameters):
            y = np.array(system.initial(p) if problem.initial is None else problem.initial[s], dtype=np.float64)
            integrator = _Integrator(system, p, float(problem.start[s]), y, (rtol, problem.floor, max_steps))
            rows = _observe(integrator, problem.doses.of(s, s + 1), problem.times[s])
            for row, values in rows:
                solution.values[s, row] = np.asarray(values)[problem.selected]
            solution.status[s] = integrator.status
            solution.steps[s], solution.rejected[s] = integrator.accepted, integrator.rejected
            if integrator.status == 0:
                solution.final[s] = integrator.y
    return solution


def _observe(integrator: _Integrator, doses: Doses, times: Floats) -> list[tuple[int, list[float]]]:
    """Runs from one moment to the next; at each, observations come before doses, but for what `seen_from` says."""
    looks = [(t, row) for row, t in enumerate(times) if not math.isnan(t)]
    given = [k for k in range(doses.time.shape[1]) if not math.isnan(doses.time[0, k])]
    changes = {doses.time[0, k] for k in given} | {doses.end[0, k] for k in given if doses.rate[0, k] > 0}
    last = looks[-1][0] if looks else -math.inf
    moments = sorted(t for t in {t for t, _ in looks} | changes if t <= last)
    rows: list[tuple[int, list[float]]] = []
    for moment, following in itertools.zip_longest(moments, moments[1:], fillvalue=math.inf):
        if not integrator.advance(moment):
            break
        boluses = [k for k in given if doses.rate[0, k] == 0 and doses.time[0, k] == moment]
        for row in [row for t, row in looks if t == moment]:
            _give(integrator, doses, [k for k in boluses if doses.seen_from[0, k] <= row])
            boluses = [k for k in boluses if doses.seen_from[0, k] > row]
            rows.append((row, integrator.system.outputs(moment, integrator.y, integrator.p)))
        if moment in changes and following < math.inf:
            _give(integrator, doses, boluses)
            _infuse(integrator, doses, given, moment)
            integrator.restart(following)
    return rows


def _give(integrator: _Integrator, doses: Doses, boluses: list[int]) -> None:
    for k in boluses:
        integrator.y[doses.state[0, k]] += doses.amount[0, k]


def _infuse(integrator: _Integrator, doses: Doses, given: list[int], now: float) -> None:
    running = np.zeros_like(integrator.y)
    for k in given:
        if doses.rate[0, k] > 0 and doses.time[0, k] <= now < doses.end[0, k]:
            running[doses.state[0, k]] += doses.rate[0, k]
    integrator.infusion = running


@dataclass(frozen=True)
class System:
    """f, J, ∂f/∂t, outputs of (t, y, p) and initial states of p, as NumPy functions."""

    rates: Function
    jacobian: Function
    clock: Function
    outputs: Function
    initial: Function

    @staticmethod
    def of(model: Model) -> System:
        y = [symbol(s) for s in model.states]
        p = [symbol(s) for s in model.parameters]
        variables = _substituted(model)
        rates = [_inline(model.rates[s], variables) for s in model.states]
        outputs = [*y, *variables.values()]

        def compiled(expressions: list) -> Function:
            guarded = [_guarded(e) for e in expressions]
            return sp.lambdify([TIME, y, p], guarded, modules=[GUARDS, "numpy"], cse=True)

        initial = sp.lambdify([p], [_guarded(model.initial[s]) for s in model.states], modules=[GUARDS, "numpy"])
        jacobian = [sp.diff(f, x) for f in rates for x in y]
        return System(
            compiled(rates), compiled(jacobian), compiled([sp.diff(f, TIME) for f in rates]), compiled(outputs), initial
        )


def _substituted(model: Model) -> dict[str, sp.Expr]:
    variables: dict[str, sp.Expr] = {}
    for name, expression in model.assignments.items():
        variables[name] = _inline(expression, variables)
    return variables


def _inline(expression: sp.Expr, variables: dict[str, sp.Expr]) -> sp.Expr:
    return expression.xreplace({symbol(name): value for name, value in variables.items()})


def _guarded(expression: sp.Expr) -> sp.Expr:
    """Powers, logarithms and exponentials by the engine's rules outside their domain."""

    def is_power(e: sp.Basic) -> bool:
        return bool(e.is_Pow and not e.exp.is_Integer)

    guarded = expression.replace(is_power, lambda e: sp.Function("power_guarded")(e.base, e.exp))
    guarded = guarded.replace(sp.log, lambda x: sp.Function("log_guarded")(x))
    return guarded.replace(sp.exp, lambda x: sp.Function("exp_guarded")(x))


def _power(base: float, exponent: float) -> float:
    if base > 0 or math.isnan(base):
        return float(base**exponent)
    return 1.0 if exponent == 0 else 0.0


GUARDS = {
    "power_guarded": _power,
    "log_guarded": lambda x: math.nan if math.isnan(x) else math.log(max(x, TINY)),
    "exp_guarded": lambda x: math.nan if math.isnan(x) else math.exp(min(max(x, EXP_MIN), EXP_MAX)),
}


class _Integrator:
    """Rodas5P with the step control of the kernel, for one subject."""

    def __init__(self, system: System, p: Floats, t: float, y: Floats, control: tuple[float, Floats, int]) -> None:
        self.system, self.p, self.t, self.y = system, p, t, y
        self.rtol, floor, self.max_steps = control
        self.floor, self.infusion, self.h = floor.copy(), np.zeros_like(y), math.inf
        self.accepted = self.rejected = 0
        self.status = 0 if np.isfinite(y).all() and not np.isnan(p).any() else UNDEFINED_START

    def restart(self, following: float) -> None:
        self.h = min(self.h, tableau.RESTART * (following - self.t))

    def advance(self, target: float) -> bool:
        """Step to the target exactly; False when the subject has failed."""
        if self.h == math.inf and target > self.t:
            self.restart(target)
        while self.status == 0 and self.t < target:
            left = target - self.t
            self.h = max(self.h, tableau.SHORTEST)
            arrives = self.h >= left * tableau.NEARLY
            h = max(left, tableau.SHORTEST) if arrives else self.h
            y, error = self.attempt(h)
            self.floor = np.maximum(self.floor, tableau.PEAK_FRACTION * np.abs(self.y))
            scale = self.rtol * (self.floor + np.maximum(np.abs(self.y), np.abs(y)))
            mean = float(np.mean((error / scale) ** 2))
            finite = math.isfinite(mean)
            mean = max(mean if finite else tableau.REJECT, tableau.EXACT)
            factor = max(min(tableau.SAFETY * mean ** (-0.5 / tableau.ORDER), tableau.GROWTH), tableau.SHRINK)
            if mean <= 1.0:
                self.accepted += 1
                self.t, self.y = (target if arrives else self.t + h), y
                self.h = max(self.h, h * factor) if arrives else h * factor
            else:
                self.rejected += 1
                self.h = min(h * factor, h)
                if self.h < tableau.SMALLEST * max(abs(self.t), abs(target)):
                    self.status = STEP_TOO_SMALL if finite else NON_FINITE
            if self.status == 0 and self.t < target and self.accepted + self.rejected >= self.max_steps:
                self.status = TOO_MANY_STEPS
        return self.status == 0

    def attempt(self, h: float) -> tuple[Floats, Floats]:
        n, t, y, f = len(self.y), self.t, self.y, self.rates
        jacobian = np.array(self.system.jacobian(t, y, self.p), dtype=np.float64).reshape(n, n)
        w = np.eye(n) / (h * tableau.GAMMA) - jacobian
        if not np.isfinite(w).all():
            return np.full(n, np.nan), np.full(n, np.nan)
        inverse = np.linalg.inv(w)
        clock = h * np.array(self.system.clock(t, y, self.p), dtype=np.float64)
        stages: list[Floats] = []
        for a, c, alpha, gamma in zip(tableau.A, tableau.C, tableau.ALPHA, tableau.GAMMA_SUM, strict=True):
            y = self.y + sum((x * k for x, k in zip(a, stages, strict=True)), np.zeros(n))
            drift = sum((x * k for x, k in zip(c, stages, strict=True)), np.zeros(n)) / h
            stages.append(inverse @ (f(t + alpha * h, y) + drift + gamma * clock))
        return y + stages[-1], stages[-1]

    def rates(self, t: float, y: Floats) -> Floats:
        return np.array(self.system.rates(t, y, self.p), dtype=np.float64) + self.infusion
