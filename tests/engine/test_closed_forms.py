from __future__ import annotations

import numpy as np
import pytest
from engine_pages import CHAIN, ONE_COMPARTMENT, TWO_COMPARTMENTS
from scipy.linalg import expm

from causalgia.engine import Events, load_kernel, solve

TIMES = np.linspace(0, 24, 25)
TOLERANCE = {"rtol": 1e-9, "floor": 1e-6}


def infused(k: float, rate: float, begin: float, end: float, t: np.ndarray) -> np.ndarray:
    """A one-compartment infusion, amount at t."""
    during, after = np.clip(t, begin, end) - begin, np.maximum(t - end, 0)
    return rate / k * (1 - np.exp(-k * during)) * np.exp(-k * after)


def test_bolus():
    kernel = load_kernel(ONE_COMPARTMENT)
    parameters = np.array([[0.3, 2.0], [0.05, 5.0], [2.0, 1.0]])
    columns = [("k", "V").index(n) for n in kernel.parameters]
    solution = solve(kernel, parameters[:, columns], TIMES, events=Events([1.0], ["A"], [100.0]), **TOLERANCE)
    exact = np.where(TIMES > 1, 100 * np.exp(-parameters[:, :1] * (TIMES - 1)), 0)
    np.testing.assert_allclose(solution.values[:, :, 0], exact, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(solution.values[:, :, 1], exact / parameters[:, 1:], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(solution.final[:, 0], solution.values[:, -1, 0])


def test_infusions_overlap_and_add():
    kernel = load_kernel(ONE_COMPARTMENT)
    parameters = [[0.3 if n == "k" else 2.0 for n in kernel.parameters]]
    events = Events([1.0, 3.0, 4.5], ["A"] * 3, [60.0, 10.0, 8.0], [6.0, 5.0, 0.25])
    solution = solve(kernel, parameters, TIMES, outputs=["A"], events=events, **TOLERANCE)
    parts = infused(0.3, 10, 1, 7, TIMES) + infused(0.3, 2, 3, 8, TIMES) + infused(0.3, 32, 4.5, 4.75, TIMES)
    np.testing.assert_allclose(solution.values[0, :, 0], parts, rtol=1e-6, atol=1e-8)


def test_a_rate_is_a_duration_and_an_infinite_amount_never_ends():
    kernel = load_kernel(ONE_COMPARTMENT)
    parameters = [[0.3 if n == "k" else 2.0 for n in kernel.parameters]] * 3
    amount, duration, rate = [[60.0], [60.0], [np.inf]], [[6.0], [0.0], [0.0]], [[0.0], [10.0], [10.0]]
    events = Events([[1.0]] * 3, ["A"], amount, duration, rate)
    values = solve(kernel, parameters, TIMES, outputs=["A"], events=events, **TOLERANCE).values[:, :, 0]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_allclose(values[2], infused(0.3, 10, 1, np.inf, TIMES), rtol=1e-6, atol=1e-8)


def test_two_compartments_are_biexponential():
    kernel = load_kernel(TWO_COMPARTMENTS)
    values = {"k10": 0.15, "k12": 0.5, "k21": 0.2}
    matrix = np.array([[-0.65, 0.2], [0.5, -0.2]])
    parameters = [[values[n] for n in kernel.parameters]]
    solution = solve(kernel, parameters, TIMES[1:], initial=[[5.0, 1.0]], **TOLERANCE)
    exact = np.array([expm(matrix * t) @ [5.0, 1.0] for t in TIMES[1:]])
    np.testing.assert_allclose(solution.values[0], exact, rtol=1e-7)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_a_linear_chain_keeps_its_tolerance(rtol):
    kernel = load_kernel(CHAIN)
    values = {"a": 1.3, "b": 0.4, "c": 0.11}
    matrix = np.diag([-1.3, -0.4, -0.11, 0.0]) + np.diag([1.3, 0.4, 0.11], -1)
    events = Events([0.0, 7.0], ["A", "B"], [10.0, 4.0])
    parameters = [[values[n] for n in kernel.parameters]]
    solution = solve(kernel, parameters, TIMES, events=events, rtol=rtol)
    exact = np.array([expm(matrix * t) @ [10, 0, 0, 0] * (t > 0) for t in TIMES])
    exact += np.array([expm(matrix * max(t - 7, 0)) @ [0, 4, 0, 0] * (t > 7) for t in TIMES])
    np.testing.assert_allclose(solution.values[0], exact, atol=10 * rtol * 10)
    np.testing.assert_allclose(solution.values[0].sum(axis=1)[1:], np.where(TIMES[1:] > 7, 14.0, 10.0), rtol=1e-11)


def test_an_observation_at_a_dose_sees_the_state_before_it():
    kernel = load_kernel(ONE_COMPARTMENT)
    parameters = [[0.3 if n == "k" else 2.0 for n in kernel.parameters]]
    solution = solve(
        kernel, parameters, [0.0, 1.0, 1.0, 2.0], outputs=["A"], events=Events([0.0, 1.0], ["A", "A"], [5.0, 7.0])
    )
    assert solution.values[0, 0, 0] == 0.0
    np.testing.assert_allclose(solution.values[0, 1:3, 0], 5 * np.exp(-0.3), rtol=1e-5)


def test_times_far_from_zero_are_landed_on_exactly():
    kernel = load_kernel(ONE_COMPARTMENT)
    parameters = [[0.3 if n == "k" else 2.0 for n in kernel.parameters]]
    begin = 1e6
    solution = solve(
        kernel, parameters, begin + TIMES, start=begin, outputs=["A"], events=Events([begin + 1], ["A"], [100.0])
    )
    np.testing.assert_allclose(solution.values[0, 2:, 0], 100 * np.exp(-0.3 * (TIMES[2:] - 1)), rtol=2e-5)
