"""What is left of a model when nothing enters some of its states: nothing that stays zero."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import sympy as sp

from causalgia.documents.errors import InputError
from causalgia.models.model import Model

# Where formulas are tried: they vanish for all positive values if they do for a few drawn at random.
POINTS = 5
ZERO = 1e-11


def reduce_model(model: Model, entered: Collection[str]) -> Model:
    """The model whose doses go into the states `entered` alone.

    A state that starts at 0 and is neither entered nor fed by what is left stays 0: it and every variable that vanishes
    with it go, and so do parameters that nothing else uses. Solutions are the same, the rest of them zero. Whether a
    formula vanishes is tried at random positive values of all symbols, as amounts and rates are.

    Errors: `InputError` for a state that the model lacks.
    """
    unknown = sorted(set(entered) - set(model.states))
    if unknown:
        raise InputError(model.name, f"no state {unknown[0]!r}", f"one of {', '.join(model.states)}", "Name a state.")
    still = [s for s in model.states if s not in entered and model.initial[s].is_zero]
    while True:
        absent = _vanishing(model, still)
        fed = [s for s in still if not _is_zero(model.rates[s].subs(_zeros(absent)), model)]
        if not fed:
            break
        still = [s for s in still if s not in fed]
    zero = _zeros(absent)
    assignments = {n: e.subs(zero) for n, e in model.assignments.items() if n not in absent}
    rates = {s: e.subs(zero) for s, e in model.rates.items() if s not in absent}
    initial = {s: e for s, e in model.initial.items() if s not in absent}
    used = {x.name for e in (*assignments.values(), *rates.values(), *initial.values()) for x in e.free_symbols}
    return replace(
        model,
        states=tuple(s for s in model.states if s not in absent),
        parameters=tuple(p for p in model.parameters if p in used),
        assignments=assignments,
        rates=rates,
        initial=initial,
        values={name: value for name, value in model.values.items() if name in used},
    )


def _vanishing(model: Model, still: Collection[str]) -> set[str]:
    """`still` and the assigned variables that are zero where those states are."""
    absent = set(still)
    for name, expression in model.assignments.items():
        if _is_zero(expression.subs(_zeros(absent)), model):
            absent.add(name)
    return absent


def _zeros(names: Collection[str]) -> dict[sp.Symbol, sp.Integer]:
    return {sp.Symbol(name, real=True): sp.Integer(0) for name in names}


def _is_zero(expression: sp.Expr, model: Model) -> bool:
    if expression.is_zero:
        return True
    symbols = sorted(expression.free_symbols, key=lambda x: x.name)
    if not symbols:
        return False
    points = np.random.default_rng(1).uniform(0.5, 2.0, (POINTS, len(symbols)))
    tried = sp.lambdify(symbols, expression, "numpy")
    with np.errstate(all="ignore"):
        values = np.array([float(tried(*point)) for point in points])
    return bool(np.all(np.abs(values) < ZERO))
