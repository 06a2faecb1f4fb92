from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from engine_pages import BENCHMARKS, CHAIN, CLOCKED, ROBERTSON, page
from hypothesis import given, settings
from hypothesis import strategies as st

from causalgia.engine import load_kernel, solve, tableau
from causalgia.engine.elimination import plan_elimination
from causalgia.engine.program import Program, build_program
from causalgia.models import load_model
from causalgia.models.mathml import TIME, symbol

SMOOTH = page(
    "x' = tanh(x*y)/(1 + y) - k*sqrt(x + y^2) + exp(-x*time); x = 1; y' = x^g/(k^g + x^g) + ln(x + k*y)*x^y; y = 1;"
    "z' = max(x, y)*min(y, k) - abs(x - y) + piecewise(x*z, x < y, y*z^2) + u^3; z = 1; u := x/y - k*z; k = 1; g = 2;"
)
SOURCES = [SMOOTH, CLOCKED, CHAIN, ROBERTSON, BENCHMARKS / "reference_full.ant", BENCHMARKS / "reference_qss.ant"]
FUNCTIONS = {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "pow": np.power},
    **{"max": np.maximum, "min": np.minimum, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "recip": np.reciprocal},
    **{"lt": np.less, "le": np.less_equal, "and": np.logical_and, "or": np.logical_or, "not": np.logical_not},
    **{"select": np.where, "fma": lambda a, b, c: a * b + c, "fnma": lambda a, b, c: c - a * b},
}


def evaluate(program: Program, t: float, y: np.ndarray, p: np.ndarray) -> list:
    leaves = {"parameter": p, "state": y, "infusion": np.zeros_like(y), "time": [t]}
    values: list = []
    for op, args, value in program.nodes:
        if op == "const":
            values.append(value)
        elif op in leaves:
            values.append(leaves[op][int(value)])
        else:
            values.append(FUNCTIONS[op](*(values[a] for a in args)))
    return values


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: getattr(s, "stem", "text"))
def test_derivatives_equal_sympys(source):
    model = load_model(source)
    program = build_program(model)
    rng = np.random.default_rng(11)
    y, p, t = rng.uniform(0.5, 2, len(model.states)), rng.uniform(0.5, 2, len(model.parameters)), 0.7
    values = evaluate(program, t, y, p)
    at = dict(zip(map(symbol, (*model.states, *model.parameters)), (*y, *p), strict=True)) | {TIME: t}

    def exact(e: sp.Expr) -> float:
        return float(e.xreplace(at))

    rates = []
    for state in model.states:
        rate = model.rates[state]
        for name in reversed(model.assignments):
            rate = rate.xreplace({symbol(name): model.assignments[name]})
        rates.append(rate)
    for i, rate in enumerate(rates):
        np.testing.assert_allclose(values[program.rates[i]], exact(rate), rtol=1e-11, atol=1e-11)
        for j, state in enumerate(model.states):
            entry = values[program.jacobian[i, j]] if (i, j) in program.jacobian else 0.0
            np.testing.assert_allclose(entry, exact(sp.diff(rate, symbol(state)).doit()), rtol=1e-9, atol=1e-11)
        clock = values[program.clock[i]] if i in program.clock else 0.0
        np.testing.assert_allclose(clock, exact(sp.diff(rate, TIME)), rtol=1e-9, atol=1e-11)


def test_parameter_only_work_is_hoisted_and_gathered():
    program = build_program(
        load_model(page("A' = -CL*C + Q*(B/W - C); B' = Q*(C - B/W); C := A/V; A = 0; B = 0; CL=1; Q=1; V=1; W=1;"))
    )
    moving = [
        n.op
        for n, m in zip(program.nodes, program.moving, strict=True)
        if m and n.op not in ("state", "infusion", "time")
    ]
    assert set(program.jacobian.values()) <= {i for i, m in enumerate(program.moving) if not m}
    assert moving.count("mul") + moving.count("fma") + moving.count("fnma") <= 7
    assert "div" not in moving
    assert "recip" not in moving


@given(st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_elimination_solves_sparse_systems(n, seed):
    rng = np.random.default_rng(seed)
    matrix = np.where(rng.random((n, n)) < 0.3, rng.normal(size=(n, n)), 0) + np.diag(rng.uniform(5, 9, n))
    plan = plan_elimination(n, [(int(i), int(j)) for i, j in np.argwhere(matrix)])
    w, right = matrix.copy(), rng.normal(size=n)
    for turn, k in enumerate(plan.order):
        for i in plan.below(turn):
            w[i, k] /= w[k, k]
            for j in plan.right(turn):
                w[i, j] -= w[i, k] * w[k, j]
    x = right.copy()
    for turn, k in enumerate(plan.order):
        x[k] -= sum(w[k, i] * x[i] for i in plan.left(turn))
    for turn in range(n - 1, -1, -1):
        k = plan.order[turn]
        x[k] = (x[k] - sum(w[k, j] * x[j] for j in plan.right(turn))) / w[k, k]
    np.testing.assert_allclose(matrix @ x, right, atol=1e-12)


def test_the_tableau_is_the_published_one():
    """Steinebach's table: c₂ … c₅ and the γ sums, as printed in OrdinaryDiffEq's Rodas5P tableau."""
    published = [0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664]
    np.testing.assert_allclose(tableau.ALPHA[1:5], published, atol=1e-13)
    sums = [0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734, 2.325825639765069]
    np.testing.assert_allclose(tableau.GAMMA_SUM, [*sums, 0, 0, 0], atol=2e-13)
    assert tableau.ALPHA[5:] == (1.0, 1.0, 1.0)


def test_vector_functions_are_good_to_a_few_ulp():
    kernel = load_kernel(page("x' = 0; x = 0; a = 1; b = 1; e := exp(a); l := ln(b); w := pow(b, 0.37); h := tanh(a);"))
    rng = np.random.default_rng(2)
    p = np.stack([rng.uniform(-700, 700, 4000), np.exp(rng.uniform(-700, 700, 4000))], axis=1)
    p[:1000] = np.stack([rng.uniform(-2, 2, 1000), rng.uniform(0.5, 2, 1000)], axis=1)
    columns = ["ab".index(n) for n in kernel.parameters]
    values = solve(kernel, p[:, columns], [0.0], outputs=["e", "l", "w", "h"]).values[:, 0]
    np.testing.assert_allclose(values[:, 0], np.exp(p[:, 0]), rtol=5e-16)
    np.testing.assert_allclose(values[:, 1], np.log(p[:, 1]), rtol=5e-16)
    np.testing.assert_allclose(values[:, 2], p[:, 1] ** 0.37, rtol=1e-13)
    np.testing.assert_allclose(values[:, 3], np.tanh(p[:, 0]), atol=3e-16)
