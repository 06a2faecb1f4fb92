from __future__ import annotations

import numpy as np
from engine_pages import BENCHMARKS, CHAIN, reference_subjects
from hypothesis import given, settings
from hypothesis import strategies as st

from causalgia.engine import Events, load_kernel, solve

TIMES = np.linspace(0, 12, 7)
COLUMN = st.tuples(st.floats(0, 12), st.sampled_from("ABCD"), st.floats(0, 100), st.sampled_from([0.0, 0.5, 20.0]))


def chain(doses):
    columns = [np.array(c) for c in zip(*doses, strict=True)]
    events = Events(columns[0], columns[1].tolist(), columns[2], columns[3]) if doses else None
    return solve(load_kernel(CHAIN), [[1.0, 0.4, 0.1]], TIMES, events=events, rtol=1e-9).values[0]


@given(st.lists(COLUMN, min_size=1, max_size=4), st.lists(COLUMN, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_doses_of_a_linear_model_superpose(first, second):
    np.testing.assert_allclose(chain(first + second), chain(first) + chain(second), rtol=1e-6, atol=1e-6)


@given(st.lists(COLUMN, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_what_enters_a_closed_chain_stays(doses):
    entered = [
        sum(a * (np.clip((t - begin) / last, 0, 1) if last else float(begin < t)) for begin, _, a, last in doses)
        for t in TIMES
    ]
    np.testing.assert_allclose(chain(doses).sum(axis=1), entered, rtol=1e-9, atol=1e-9)


def test_rest_stays_at_rest():
    """Without a dose every subject of the reference problem stays where its initial formulas put it."""
    kernel = load_kernel(BENCHMARKS / "reference_full.ant")
    p, _ = reference_subjects(kernel.parameters, 8)
    values = solve(kernel, p, [0.0, 400.0], outputs=kernel.states).values
    np.testing.assert_allclose(values[:, 1], values[:, 0], rtol=1e-9, atol=1e-12)


def test_a_change_of_units_changes_nothing_but_the_unit():
    """Amounts in thousandths, with the floor in thousandths."""
    kernel, p = load_kernel(CHAIN), [[1.0, 0.4, 0.1]]
    coarse = solve(kernel, p, TIMES, events=Events([1.0], ["A"], [3.0]), floor=1e-6).values
    fine = solve(kernel, p, TIMES, events=Events([1.0], ["A"], [3000.0]), floor=1e-3).values
    np.testing.assert_allclose(fine, 1000 * coarse, rtol=1e-9)
