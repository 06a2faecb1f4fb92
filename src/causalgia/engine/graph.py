"""A graph of scalar operations in which equal operations are one node, with the local algebra that keeps it small.

A node is *moving* when it depends on a state or on time, else *fixed*: fixed nodes are computed once a subject.
Signs bubble outwards (`neg` is never an argument of `mul`, `div`, `add` or `sub`), so that a − b and b − a meet.
"""

from __future__ import annotations

import math
from typing import NamedTuple

TINY = 2.2250738585072014e-308  # smallest normal double: what a logarithm sees in place of zero and below
EXP_MIN, EXP_MAX = -708.0, 709.0  # beyond these exp leaves the normal doubles


class Node(NamedTuple):
    """One operation: `fma` is a·b + c, `fnma` is c − a·b, `select` is condition, then, else."""

    op: str
    args: tuple[int, ...] = ()
    value: float = 0.0  # the number of a const, the index of a parameter, state or infusion


class Graph:
    """Nodes in the order of their making, which is an order of evaluation."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.moving: list[bool] = []
        self._known: dict[Node, int] = {}
        self.zero = self.node("const", value=0.0)
        self.one = self.node("const", value=1.0)
        self.time = self.node("time")

    def node(self, op: str, *args: int, value: float = 0.0) -> int:
        """The node of this operation, made if it is new."""
        key = Node(op, args, value)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(key)
            self.moving.append(op in ("state", "infusion", "time") or any(self.moving[a] for a in args))
        return self._known[key]

    def const(self, value: float) -> int:
        if math.copysign(1.0, value) < 0 and value != 0:
            return self.node("neg", self.node("const", value=-value))
        return self.node("const", value=abs(value) if value == 0 else value)

    def number(self, i: int) -> float | None:
        """The value of a node that is a number, else None."""
        op, args, value = self.nodes[i]
        if op == "const":
            return value
        return -self.nodes[args[0]].value if op == "neg" and self.nodes[args[0]].op == "const" else None

    def unsigned(self, i: int) -> tuple[bool, int]:
        """Whether a node is a negation, and what it negates."""
        return (True, self.nodes[i].args[0]) if self.nodes[i].op == "neg" else (False, i)

    def neg(self, a: int) -> int:
        negative, base = self.unsigned(a)
        return base if negative or a == self.zero else self.node("neg", a)

    def add(self, a: int, b: int) -> int:
        x, y = self.number(a), self.number(b)
        if x is not None and y is not None:
            return self.const(x + y)
        if a == self.zero or b == self.zero:
            return b if a == self.zero else a
        (minus_a, p), (minus_b, q) = self.unsigned(a), self.unsigned(b)
        if minus_a and minus_b:
            return self.neg(self.add(p, q))
        if minus_a or minus_b:
            plus, minus = (b, p) if minus_a else (a, q)
            return self._difference(plus, minus)
        return self.node("add", *sorted((a, b)))

    def _difference(self, a: int, b: int) -> int:
        if a == b:
            return self.zero
        return self.node("sub", a, b) if a < b else self.neg(self.node("sub", b, a))

    def sub(self, a: int, b: int) -> int:
        return self.add(a, self.neg(b))

    def mul(self, a: int, b: int) -> int:
        x, y = self.number(a), self.number(b)
        if x is not None and y is not None:
            return self.const(x * y)
        if self.zero in (a, b):
            return self.zero
        (minus_a, p), (minus_b, q) = self.unsigned(a), self.unsigned(b)
        plain = (q if p == self.one else p) if self.one in (p, q) else None
        product = self.node("mul", *sorted((p, q))) if plain is None else plain
        return self.neg(product) if minus_a != minus_b else product

    def div(self, a: int, b: int) -> int:
        """a/b; a moving divisor becomes a reciprocal, which its derivative and its other users share."""
        x, y = self.number(a), self.number(b)
        if x is not None and y:
            return self.const(x / y)
        (minus_a, p), (minus_b, q) = self.unsigned(a), self.unsigned(b)
        if q == self.one or p == self.zero:
            quotient = p
        elif self.moving[q]:
            quotient = self.mul(p, self.node("recip", q))
        else:
            quotient = self.node("div", p, q)
        return self.neg(quotient) if minus_a != minus_b else quotient

    def power(self, base: int, whole: int) -> int:
        """base to a whole exponent, by squaring."""
        if whole < 0:
            return self.div(self.one, self.power(base, -whole))
        result, square = self.one, base
        while whole:
            if whole & 1:
                result = self.mul(result, square)
            whole >>= 1
            if whole:
                square = self.mul(square, square)
        return result

    def pow(self, a: int, b: int) -> int:
        """a^b; a moving base below zero counts as zero, so that a Hill term x^n is 0 there and not undefined."""
        if self.moving[a]:
            a = self.node("max", a, self.zero)
        return self.node("pow", a, b)

    def sqrt(self, a: int) -> int:
        return self.node("sqrt", self.node("max", a, self.zero) if self.moving[a] else a)

    def log(self, a: int) -> int:
        return self.node("log", self.node("max", a, self.const(TINY)) if self.moving[a] else a)

    def exp(self, a: int) -> int:
        return self.one if a == self.zero else self.node("exp", a)

    def select(self, condition: int, then: int, otherwise: int) -> int:
        return then if then == otherwise else self.node("select", condition, then, otherwise)
