"""A symbolic model to the straight-line program that one step of the solver runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

from causalgia.documents.errors import InputError
from causalgia.engine.elimination import Elimination, plan_elimination
from causalgia.engine.graph import Graph, Node
from causalgia.engine.linear import CLOCK, Forms, Linear
from causalgia.models.model import Model

MAX_PRODUCT = 64  # powers up to the 32nd are products, half-integer ones of a square root


@dataclass(frozen=True)
class Program:
    """What the generated kernel computes, as nodes of one graph.

    `hoisted` are the fixed nodes that moving nodes use; `jacobian` is sparse, (i, j) → ∂fᵢ/∂yⱼ; `clock` holds the
    non-zero ∂fᵢ/∂t; `rates` include the running infusion of each state; `initial` are fixed; `outputs` are the states,
    then the assigned variables.
    """

    nodes: list[Node]
    moving: list[bool]
    state_nodes: tuple[int, ...]
    infusions: tuple[int, ...]
    parameter_nodes: tuple[int, ...]
    time: int
    hoisted: tuple[int, ...]
    rates: tuple[int, ...]
    jacobian: dict[tuple[int, int], int]
    clock: dict[int, int]
    initial: tuple[int, ...]
    outputs: tuple[int, ...]
    elimination: Elimination

    @property
    def states(self) -> int:
        return len(self.state_nodes)


def build_program(model: Model) -> Program:
    """Lower a model: gather coefficients, differentiate exactly, order the elimination."""
    lowering = _Lowering(model)
    g, forms = lowering.graph, lowering.forms
    infusions = tuple(g.node("infusion", value=i) for i in range(len(model.states)))
    assigned = [forms.node(lowering.assign(name)) for name in model.assignments]
    rates = [
        forms.add([forms.of(r), lowering.form(model.rates[s])]) for r, s in zip(infusions, model.states, strict=True)
    ]
    gradients = [forms.form_gradient(rate) for rate in rates]
    rate_nodes = tuple(forms.node(rate) for rate in rates)
    jacobian = {(i, j): forms.node(d) for i, gr in enumerate(gradients) for j, d in sorted(gr.items()) if j != CLOCK}
    clock = {i: forms.node(gradient[CLOCK]) for i, gradient in enumerate(gradients) if CLOCK in gradient}
    initial = tuple(forms.node(lowering.form(model.initial[s])) for s in model.states)
    outputs = (*lowering.state_nodes, *assigned)
    roots = (*rate_nodes, *jacobian.values(), *clock.values(), *outputs)
    return Program(
        nodes=g.nodes,
        moving=g.moving,
        state_nodes=lowering.state_nodes,
        infusions=infusions,
        parameter_nodes=lowering.parameter_nodes,
        time=g.time,
        hoisted=_hoisted(g, roots),
        rates=rate_nodes,
        jacobian=jacobian,
        clock=clock,
        initial=initial,
        outputs=outputs,
        elimination=plan_elimination(len(model.states), jacobian),
    )


def _hoisted(g: Graph, roots: Iterable[int]) -> tuple[int, ...]:
    """Fixed nodes that are no numbers and that a moving node, or a root itself, needs."""
    needed, waiting, seen = set[int](), list(roots), set[int]()
    while waiting:
        i = waiting.pop()
        if i in seen:
            continue
        seen.add(i)
        if g.moving[i]:
            waiting.extend(g.nodes[i].args)
        elif g.number(i) is None:
            needed.add(i)
    return tuple(sorted(needed))


class _Lowering:
    """SymPy expressions of one model to linear forms."""

    def __init__(self, model: Model) -> None:
        self.model, self.graph = model, Graph()
        self.forms = Forms(self.graph)
        self._forms: dict[sp.Basic, Linear] = {}
        self.state_nodes = tuple(self.graph.node("state", value=i) for i in range(len(model.states)))
        self.parameter_nodes = tuple(self.graph.node("parameter", value=i) for i in range(len(model.parameters)))
        nodes = dict(zip(model.parameters, self.parameter_nodes, strict=True)) | {"time": self.graph.time}
        nodes |= dict(zip(model.states, self.state_nodes, strict=True))
        self._symbols = {name: self.forms.of(node) for name, node in nodes.items()}

    def assign(self, name: str) -> Linear:
        """Name an assigned variable; one of several moving terms becomes a node, so that its users share the sum."""
        form = self.form(self.model.assignments[name])
        self._symbols[name] = form if len(form) <= 1 else self.forms.of(self.forms.node(form))
        return form

    def node(self, expression: sp.Expr) -> int:
        return self.forms.node(self.form(expression))

    def form(self, expression: sp.Basic) -> Linear:
        if expression not in self._forms:
            self._forms[expression] = self._lower(expression)
        return self._forms[expression]

    def _lower(self, e: sp.Basic) -> Linear:
        f = self.forms
        if e.is_Symbol:
            return self._symbols[e.name]
        if e.is_number and not e.has(sp.nan, sp.zoo, sp.oo, -sp.oo) and e.is_real:
            return f.of(self.graph.const(float(e)))
        if e.is_Add:
            return f.add(self.form(a) for a in e.args)
        if e.is_Mul:
            return f.multiply(self.form(a) for a in e.args)
        return f.of(self._function(e))

    def _function(self, e: sp.Basic) -> int:
        g = self.graph
        if e.is_Pow:
            return self._power(self.node(e.base), e.exp)
        if isinstance(e, sp.exp):
            return g.exp(self.node(e.args[0]))
        if isinstance(e, sp.log):
            return g.log(self.node(e.args[0]))
        if isinstance(e, sp.tanh):  # 1 − 2/(1 + exp 2x)
            return g.sub(g.one, g.div(g.const(2.0), g.add(g.one, g.exp(g.mul(g.const(2.0), self.node(e.args[0]))))))
        if isinstance(e, sp.Abs):
            x = self.node(e.args[0])
            return g.node("max", x, g.neg(x))
        if isinstance(e, sp.Max | sp.Min):
            first, *rest = (self.node(a) for a in e.args)
            for other in rest:
                first = g.node("max" if isinstance(e, sp.Max) else "min", first, other)
            return first
        if isinstance(e, sp.Piecewise):
            return self._piecewise(e.args)
        raise InputError(self.model.name, f"the function {e.func}", "a function the engine knows", "Rewrite it.")

    def _power(self, base: int, exponent: sp.Expr) -> int:
        g = self.graph
        doubled = 2 * float(exponent) if exponent.is_number else math.inf
        if abs(doubled) > MAX_PRODUCT or not doubled.is_integer():
            return g.pow(base, self.node(exponent))
        return g.power(base, int(doubled) // 2) if doubled % 2 == 0 else g.power(g.sqrt(base), int(doubled))

    def _piecewise(self, pieces: tuple[sp.Basic, ...]) -> int:
        (value, condition), *rest = pieces
        if condition is sp.true or condition == True:  # noqa: E712 (SymPy's true is not Python's)
            return self.node(value)
        if not rest:
            raise InputError(self.model.name, "a piecewise without otherwise", "a last value without condition")
        return self.graph.select(self._condition(condition), self.node(value), self._piecewise(tuple(rest)))

    def _condition(self, e: sp.Basic) -> int:
        g = self.graph
        if isinstance(e, sp.StrictLessThan | sp.LessThan):
            return g.node("lt" if isinstance(e, sp.StrictLessThan) else "le", self.node(e.lhs), self.node(e.rhs))
        if isinstance(e, sp.StrictGreaterThan | sp.GreaterThan):
            return g.node("lt" if isinstance(e, sp.StrictGreaterThan) else "le", self.node(e.rhs), self.node(e.lhs))
        if isinstance(e, sp.Not):
            return g.node("not", self._condition(e.args[0]))
        if isinstance(e, sp.And | sp.Or):
            first, *rest = (self._condition(a) for a in e.args)
            for other in rest:
                first = g.node("and" if isinstance(e, sp.And) else "or", first, other)
            return first
        raise InputError(self.model.name, f"the condition {e}", "comparisons by < <= > >=, and, or, not")
