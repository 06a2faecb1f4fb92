from __future__ import annotations

import numpy as np
import pytest
from engine_pages import BENCHMARKS, CLOCKED, ROBERTSON, VAN_DER_POL, reference_subjects
from scipy.integrate import solve_ivp

from causalgia.engine import Events, load_kernel, solve
from causalgia.engine.twin import System
from causalgia.models import load_model


def radau(model_text, parameters, initial, times):
    """SciPy's Radau at a tight tolerance on the rates that SymPy writes."""
    model = load_model(model_text)
    system, p = System.of(model), [parameters[n] for n in model.parameters]
    n, tight = len(initial), {"method": "Radau", "rtol": 1e-10, "atol": 1e-13}
    jac = lambda t, y: np.reshape(system.jacobian(t, y, p), (n, n))  # noqa: E731
    return solve_ivp(lambda t, y: system.rates(t, y, p), (0, times[-1]), initial, t_eval=times, jac=jac, **tight).y.T


PROBLEMS = {
    "robertson": (ROBERTSON, {"a": 0.04, "b": 1e4, "c": 3e7}, [1.0, 0.0, 0.0], np.geomspace(0.1, 1e4, 9)),
    "van der pol": (VAN_DER_POL, {"mu": 100.0}, [2.0, 0.0], np.linspace(10, 200, 9)),
    "explicit time": (CLOCKED, {"k": 50.0, "x0": 3.0}, [3.0], np.linspace(0.1, 8, 9)),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_stiff_problems_agree_with_radau(name):
    text, parameters, initial, times = PROBLEMS[name]
    kernel = load_kernel(text)
    p = [[parameters[n] for n in kernel.parameters]] * 3
    solution = solve(kernel, p, times, outputs=kernel.states, initial=[initial] * 3, rtol=1e-8, floor=1e-8)
    assert (solution.status == 0).all()
    np.testing.assert_allclose(solution.values[1], radau(text, parameters, initial, times), rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize("kind", ["full", "qss"])
def test_target_mediated_disposition_agrees_with_scipy(kind):
    path = BENCHMARKS / f"reference_{kind}.ant"
    kernel, model = load_kernel(path), load_model(path)
    p, events = reference_subjects(kernel.parameters, 1)
    times = np.array([0.5, 7.0, 13.0])  # during the first infusion's course only, so that SciPy needs two pieces
    outputs = kernel.states
    solution = solve(kernel, p, times, outputs=outputs, events=events, rtol=1e-8)
    system = System.of(model)
    dose = np.zeros(len(kernel.states))
    dose[0] = events.amount[0, 0] * 12
    tight = {"method": "LSODA", "rtol": 1e-10, "atol": 1e-12}
    y0 = system.initial(p[0])
    during = solve_ivp(lambda t, y: system.rates(t, y, p[0]) + dose, (0, 1 / 12), y0, **tight).y[:, -1]
    exact = solve_ivp(lambda t, y: system.rates(t, y, p[0]), (1 / 12, 13), during, t_eval=times, **tight).y.T
    np.testing.assert_allclose(solution.values[0], exact, rtol=3e-6, atol=1e-8)


def test_robertson_conserves_mass_to_rounding():
    kernel = load_kernel(ROBERTSON)
    p = [[{"a": 0.04, "b": 1e4, "c": 3e7}[n] for n in kernel.parameters]]
    solution = solve(kernel, p, np.geomspace(1e-3, 1e6, 20), events=Events([1.0], ["x"], [0.5]))
    np.testing.assert_allclose(solution.values[0, 8:].sum(axis=1), 1.5, rtol=1e-9)
