from __future__ import annotations

import numpy as np
import pytest
from engine_pages import page

from causalgia.engine import STATUS, load_kernel, solve
from causalgia.engine.layout import NON_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS, UNDEFINED_START

DECAY = page("x' = -k*x; x = x0; k = 1; x0 = 1;")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_undefined_parameters(bad):
    kernel = load_kernel(DECAY)
    p = np.ones((3, 2))
    p[1, kernel.parameters.index("x0")] = bad
    solution = solve(kernel, p, [1.0, 2.0])
    np.testing.assert_array_equal(solution.status, [0, UNDEFINED_START, 0])
    assert np.isnan(solution.values[1]).all()
    assert np.isnan(solution.final[1]).all()
    np.testing.assert_allclose(solution.values[[0, 2], :, 0], np.exp([[-1, -2]] * 2), rtol=1e-5)


def test_a_pole_stops_at_the_smallest_step():
    solution = solve(load_kernel(page("x' = k*x^2; x = 1; k = 1;")), [[1.0]], [0.5, 2.0])
    assert solution.status[0] in (STEP_TOO_SMALL, NON_FINITE)
    np.testing.assert_allclose(solution.values[0, 0, 0], 2.0, rtol=1e-5)
    assert np.isnan(solution.values[0, 1, 0])


def test_an_infinite_rate_is_not_finite():
    kernel = load_kernel(page("x' = k*x; x = 1; k = 1;"))
    assert solve(kernel, [[np.inf]], [1.0]).status[0] == NON_FINITE


def test_the_step_budget_ends_a_subject_and_not_its_neighbour():
    kernel = load_kernel(page("x' = -w*y; y' = w*x; x = 1; y = 0; w = 1;"))
    solution = solve(kernel, [[1.0], [1e5]], [1.0], max_steps=500)
    np.testing.assert_array_equal(solution.status, [0, TOO_MANY_STEPS])
    assert solution.steps[1] + solution.rejected[1] == 500


def test_every_status_has_a_remedy():
    assert set(STATUS) == {0, UNDEFINED_START, NON_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS}


@pytest.mark.parametrize(
    "formula", ["ln(x - 5)", "sqrt(x - 5)", "(x - 5)^k", "exp(900*(x + 1))*0", "1/(1 + (x - 5)^2.5)"]
)
def test_guards_keep_states_finite_outside_a_functions_domain(formula):
    solution = solve(load_kernel(page(f"x' = -k*x + 0*({formula}); x = 1; k = 1;")), [[1.5]], [1.0])
    assert solution.status[0] == 0
    np.testing.assert_allclose(solution.values[0, 0, 0], np.exp(-1.5), rtol=1e-5)


def test_a_hill_term_at_zero_is_zero():
    solution = solve(load_kernel(page("x' = x^n/(1 + x^n) - x; x = 0; n = 2;")), [[2.3], [0.4]], [5.0])
    np.testing.assert_array_equal(solution.values[:, 0, 0], 0.0)
