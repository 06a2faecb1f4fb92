from __future__ import annotations

import numpy as np
import pytest
from engine_pages import BENCHMARKS, CHAIN, CLOCKED, page, reference_subjects

from causalgia.engine import Events, load_kernel, solve, solve_twin
from causalgia.models import load_model

EVERYTHING = page(
    "x' = -k*max(x - 1, 0.2*x) + piecewise(1, time < 2 && x < 3, 0.5, time <= 4 || x > 9, 0) - u; x = 2;"
    "y' = abs(x - 2) - min(y, k*y^1.5, 4) + tanh(x - y)*exp(-y) + x^g/(1 + x^g); y = y0/2;"
    "u := ln(1 + x)*sqrt(y)/(1 + y*y) - 1/(2 + x); E' = I*S - N*E; E = 1;"
    "k = 0.7; g = 2.5; y0 = 1; I = 1; S = 2; N = 0.3;"
)


def both(source, parameters, times, **options):
    return solve(load_kernel(source), parameters, times, **options), solve_twin(
        load_model(source), parameters, times, **options
    )


def assert_twins(engine, twin, rtol):
    np.testing.assert_array_equal(engine.status, twin.status)
    np.testing.assert_array_equal(engine.steps, twin.steps)
    np.testing.assert_array_equal(engine.rejected, twin.rejected)
    np.testing.assert_allclose(engine.values, twin.values, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(engine.final, twin.final, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("kind", ["full", "qss"])
def test_reference_problem(kind):
    path = BENCHMARKS / f"reference_{kind}.ant"
    p, events = reference_subjects(load_kernel(path).parameters, 2)
    assert_twins(*both(path, p, [0.0, 1.0, 14.0, 28.0], events=events), rtol=1e-9)


def test_every_function():
    p = np.array([[0.7, 2.5, 1.0, 1.0, 2.0, 0.3], [1.4, 0.5, 3.0, 0.2, 1.0, 2.0]])
    names = ("k", "g", "y0", "I", "S", "N")
    columns = [names.index(n) for n in load_kernel(EVERYTHING).parameters]
    engine, twin = both(EVERYTHING, p[:, columns], np.linspace(0, 6, 7), rtol=1e-7)
    assert (engine.status == 0).all()
    np.testing.assert_allclose(engine.values, twin.values, rtol=1e-5)  # steps may differ by one at a kink


def test_doses_of_every_kind():
    time = [[0.0, 1.0, 1.0, 2.5, np.nan], [3.0, 3.0, 3.0, 9.0, 0.25]]
    amount = [[1.0, 2.0, 3.0, 4.0, np.nan], [1.0, 2.0, 3.0, 4.0, np.inf]]
    rate = [[0.0, 0.0, 2.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0, 0.5]]
    duration = [[0.0, 2.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
    events = Events(time, ["A", "B", "A", "B", "C"], amount, duration, rate)
    times = [[0.0, 1.0, 2.5, 4.0], [0.5, np.nan, 3.0, 8.0]]
    p = np.array([[1.0, 0.5, 0.2], [0.3, 0.2, 0.1]])
    engine, twin = both(CHAIN, p, times, events=events, start=[0.0, 0.25], initial=[[0.0] * 4, [1.0] * 4])
    assert_twins(engine, twin, rtol=1e-10)
    assert np.isnan(engine.values[1, 1]).all()
    assert np.isfinite(np.delete(engine.values[1], 1, axis=0)).all()


def test_explicit_time():
    p = np.array([[5.0, 1.0], [0.2, 7.0]])
    assert_twins(*both(CLOCKED, p, np.linspace(0, 5, 6)), rtol=1e-10)


def test_statuses():
    blow_up = page("x' = k*x^2; x = 1; k = 1;")
    engine, twin = both(blow_up, [[1.0], [0.1], [np.nan]], [0.5, 2.0])
    np.testing.assert_array_equal(engine.status, twin.status)
    assert engine.status[0] != 0
    assert engine.status[1] == 0
    assert engine.status[2] != 0
