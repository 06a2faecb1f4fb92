"""Linear forms Σ cᵢ·xᵢ over a graph: fixed coefficients cᵢ of moving nodes xᵢ, and their derivatives.

Keeping sums in this form gathers every parameter-only coefficient (CL/V1 of `CL*Cp` with `Cp := Ac/V1`), which is then
computed once a subject, and makes the exact derivative of a linear term a coefficient that is already there.
"""

from __future__ import annotations

from collections.abc import Iterable

from causalgia.engine.graph import TINY, Graph

Linear = dict[int, int]  # moving node → fixed coefficient node; the constant term stands under UNIT
UNIT = -1
CLOCK = -1  # the key of ∂/∂t among the states of a gradient
Gradient = dict[int, Linear]  # state index or CLOCK → derivative


class Forms:
    """Sums, products and derivatives of linear forms over one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._sums: dict[int, Linear] = {}
        self._gradients: dict[int, Gradient] = {}

    def of(self, node: int) -> Linear:
        """The form of a node: itself."""
        if node == self.graph.zero:
            return {}
        if not self.graph.moving[node]:
            return {UNIT: node}
        negative, base = self.graph.unsigned(node)
        return {base: self.graph.const(-1.0 if negative else 1.0)}

    def add(self, forms: Iterable[Linear]) -> Linear:
        g, total = self.graph, dict[int, int]()
        for form in forms:
            for x, c in form.items():
                total[x] = g.add(total[x], c) if x in total else c
        return {x: c for x, c in total.items() if c != g.zero}

    def scale(self, form: Linear, factor: int) -> Linear:
        """The form times a node: a fixed node scales the coefficients, a moving one makes products."""
        g = self.graph
        if not g.moving[factor]:
            return {x: k for x, c in form.items() if (k := g.mul(c, factor)) != g.zero}
        negative, base = g.unsigned(factor)
        if len(form) > 1:
            form = self.of(self.node(form))
        products: Linear = {}
        for x, c in form.items():
            product = base if x == UNIT else g.mul(x, base)
            products[product] = g.neg(c) if negative else c
        return products

    def multiply(self, forms: Iterable[Linear]) -> Linear:
        result: Linear = {UNIT: self.graph.one}
        moving: list[Linear] = []
        for form in forms:
            if set(form) <= {UNIT}:
                result = self.scale(result, form.get(UNIT, self.graph.zero))
            else:
                moving.append(form)
        for form in moving:
            if not result:
                return {}
            if set(result) == {UNIT}:
                result = self.scale(form, result[UNIT])
                continue
            single = form if len(form) == 1 else self.of(self.node(form))
            ((x, c),) = single.items()
            result = self.scale(self.scale(result, x), c)
        return result

    def node(self, form: Linear) -> int:
        """The node that holds the sum, in a fixed order of its terms."""
        g = self.graph
        if set(form) <= {UNIT}:
            return form.get(UNIT, g.zero)
        terms = sorted((g.unsigned(c), x) for x, c in form.items() if x != UNIT)
        total = form.get(UNIT)
        for (negative, c), x in terms:
            total = self._accumulate(total, negative, c, x)
        assert total is not None
        if len(form) > 1:
            self._sums.setdefault(total, dict(form))
        return total

    def _accumulate(self, total: int | None, negative: bool, c: int, x: int) -> int:
        g = self.graph
        if total is None:
            return g.neg(g.mul(c, x)) if negative else g.mul(c, x)
        if c == g.one:
            return g.node("sub", total, x) if negative else g.node("add", total, x)
        return g.node("fnma" if negative else "fma", c, x, total)

    def gradient(self, node: int) -> Gradient:
        """Every non-zero partial derivative of a node."""
        if not self.graph.moving[node]:
            return {}
        if node not in self._gradients:
            if node in self._sums:
                self._gradients[node] = self.form_gradient(self._sums[node])
            else:
                self._gradients[node] = self._rule(node)
        return self._gradients[node]

    def form_gradient(self, form: Linear) -> Gradient:
        """Σ cᵢ ∂xᵢ."""
        parts: dict[int, list[Linear]] = {}
        for x, c in form.items():
            if x != UNIT:
                for key, derivative in self.gradient(x).items():
                    parts.setdefault(key, []).append(self.scale(derivative, c))
        return {key: total for key, group in parts.items() if (total := self.add(group))}

    def _rule(self, node: int) -> Gradient:
        g, one = self.graph, self.graph.one
        op, args, value = g.nodes[node]
        if op == "state":
            return {int(value): {UNIT: one}}
        if op == "infusion":
            return {}
        if op == "time":
            return {CLOCK: {UNIT: one}}
        if op == "neg":
            return self._chain((args[0], g.const(-1.0)))
        if op == "mul":
            return self._chain((args[0], args[1]), (args[1], args[0]))
        if op == "recip":
            return self._chain((args[0], g.neg(g.mul(node, node))))
        if op == "exp":
            return self._chain((args[0], node))
        if op == "add":
            return self._chain((args[0], one), (args[1], one))
        if op == "sub":
            return self._chain((args[0], one), (args[1], g.const(-1.0)))
        if op == "log":  # flat where the guard holds, as the value is
            return self._chain((args[0], g.node("recip", args[0])))
        if op == "sqrt":  # flat at zero, where the derivative is infinite
            slope = g.div(g.const(0.5), node)
            return self._chain((self._unguarded(args[0]), g.select(g.node("lt", g.zero, node), slope, g.zero)))
        if op == "pow":  # the value, 0, makes the slope 0 where the guard holds
            base, exponent = self._unguarded(args[0]), args[1]
            safe = g.node("max", base, g.const(TINY)) if g.moving[base] else base
            by_base = g.mul(g.mul(exponent, node), g.div(one, safe))
            return self._chain((base, by_base), (exponent, g.mul(node, g.node("log", safe))))
        if op in ("min", "max"):
            first = g.node("lt", *(args if op == "min" else args[::-1]))
            return self._choice(first, args[0], args[1])
        if op == "select":
            return self._choice(*args)
        raise NotImplementedError(op)  # comparisons stand only in a select's condition, which is not differentiated

    def _unguarded(self, node: int) -> int:
        """The argument a of max(a, 0)."""
        op, args, _ = self.graph.nodes[node]
        return args[0] if op == "max" and args[1] == self.graph.zero else node

    def _chain(self, *pairs: tuple[int, int]) -> Gradient:
        """Σ slope·∂argument over pairs (argument, slope)."""
        parts: dict[int, list[Linear]] = {}
        for argument, slope in pairs:
            for key, derivative in self.gradient(argument).items():
                parts.setdefault(key, []).append(self.scale(derivative, slope))
        return {key: total for key, group in parts.items() if (total := self.add(group))}

    def _choice(self, condition: int, then: int, otherwise: int) -> Gradient:
        """The derivative of the branch taken."""
        first, second = self.gradient(then), self.gradient(otherwise)
        chosen = {}
        for key in sorted(first.keys() | second.keys()):
            branches = self.node(first.get(key, {})), self.node(second.get(key, {}))
            chosen[key] = self.of(self.graph.select(condition, *branches))
        return chosen
