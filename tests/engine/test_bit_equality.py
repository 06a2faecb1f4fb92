from __future__ import annotations

import numpy as np
import pytest
from engine_pages import BENCHMARKS, page, reference_subjects

from causalgia.engine import Events, Solution, load_kernel, solve, solver

TIMES = np.arange(0.0, 60.0, 7.0)
FIELDS = ("values", "final", "status", "steps", "rejected")


@pytest.fixture(scope="module")
def problem():
    kernel = load_kernel(BENCHMARKS / "reference_qss.ant")
    p, events = reference_subjects(kernel.parameters, 70)
    p[13, 0] = np.nan  # a failing neighbour changes nothing
    return kernel, p, events


def run(problem, rows=slice(None), **options) -> Solution:
    kernel, p, e = problem
    events = Events(np.asarray(e.time)[rows], e.state, np.asarray(e.amount)[rows], e.duration)
    return solve(kernel, p[rows], TIMES, events=events, **options)


def assert_same(a: Solution, b: Solution, rows=slice(None)) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name)[rows], getattr(b, name))


def test_alone_or_in_company(problem):
    together = run(problem)
    for s in (0, 5, 13, 69):
        assert_same(together, run(problem, slice(s, s + 1)), slice(s, s + 1))


def test_any_order(problem):
    order = np.random.default_rng(3).permutation(70)
    assert_same(run(problem), run(problem, order), order)


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (7, 2), (64, 2)])
def test_any_chunks_and_threads(problem, monkeypatch, chunk, threads):
    expected = run(problem, threads=1)
    monkeypatch.setattr(solver, "CHUNK", chunk)
    assert_same(expected, run(problem, threads=threads))


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_any_number_of_lanes(lanes):
    source = page("x' = -k*x^1.7/(x50^0.4 + x) + exp(-time); x = ln(3 + k); k = 1; x50 = 2; u := pow(x, k);")
    p = np.random.default_rng(5).uniform(0.2, 2, (11, 2))
    assert_same(solve(load_kernel(source), p, TIMES), solve(load_kernel(source, lanes=lanes), p, TIMES))


def test_outputs_and_progress_do_not_matter(problem, monkeypatch):
    monkeypatch.setattr(solver, "CHUNK", 32)
    counts: list[int] = []
    chosen = run(problem, outputs=["Tl", "Ap"], progress=counts.append)
    everything = run(problem)
    columns = [problem[0].outputs.index(n) for n in ("Tl", "Ap")]
    np.testing.assert_array_equal(chosen.values, everything.values[:, :, columns])
    assert counts[-1] == 70
    assert counts == sorted(counts)
