"""Emits the nodes of a program, each once, on first use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llvmlite import ir

from causalgia.engine.lanes import Lanes
from causalgia.engine.program import Program

METHODS = {"and": "both", "or": "either", "not": "negate"}  # nodes whose name is a Python keyword


class Evaluation:
    """The values of a program's nodes at one place in the code, given those of some (states, time, hoisted)."""

    def __init__(self, program: Program, lanes: Lanes, known: Mapping[int, ir.Value]) -> None:
        self.program, self.lanes, self.values = program, lanes, dict(known)

    def all(self, nodes: Iterable[int]) -> list[ir.Value]:
        return [self.value(i) for i in nodes]

    def value(self, node: int) -> ir.Value:
        if node not in self.values:
            op, args, number = self.program.nodes[node]
            if op == "const":
                self.values[node] = self.lanes.const(number)
            else:
                self.values[node] = getattr(self.lanes, METHODS.get(op, op))(*self.all(args))
        return self.values[node]
