"""The small grammar of covariate formulas and enrolment criteria.

Numbers, names, + - * / ^, comparisons, and / or / not, parentheses, and exp, log, sqrt, min, max, abs. The text is
parsed with Python's own parser after ^ becomes **, and every node is checked against a list, so that a document cannot
run code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import cache, reduce
from typing import Any

import numpy as np

from causalgia.documents.errors import InputError

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
}
LARGE = 1e300
SEVERAL = ("min", "max")  # take two arguments or more; the others one
BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
}


@cache
def parse(text: str) -> ast.expr:
    """The checked syntax tree of a formula; InputError names what is not allowed."""
    try:
        tree = ast.parse(" ".join(text.split()).replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError("", repr(text), "a formula such as (weight/70)^0.67", "Correct it.") from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        _check(node, text)
        if isinstance(node, ast.Name) and node.id in FUNCTIONS and id(node) not in called:
            raise InputError("", repr(text), f"an argument after {node.id}", f"Write {node.id}(...).")
    return tree


def symbols(text: str) -> set[str]:
    """Names that a formula uses, functions apart."""
    return {node.id for node in ast.walk(parse(text)) if isinstance(node, ast.Name)} - FUNCTIONS.keys()


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The formula's value, element by element over arrays in `values`; NaN or infinite where it is not defined.

    Raises InputError for a name that `values` lacks.
    """
    missing = sorted(symbols(text) - values.keys())
    if missing:
        raise InputError(
            "", f"the name {missing[0]!r} in {text!r}", f"one of {', '.join(sorted(values))}", "Correct it."
        )
    with np.errstate(all="ignore"):
        return _value(parse(text), values)


def _check(node: ast.AST, text: str) -> None:
    operators = (*BINARY, *COMPARE, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, ast.Load)
    shapes = (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Name)
    if isinstance(node, (*operators, *shapes)):
        return
    number = node.value if isinstance(node, ast.Constant) else None
    if isinstance(number, int | float) and not isinstance(number, bool) and number < LARGE:
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        name, count = node.func.id, len(node.args)
        if name in FUNCTIONS and (count >= 2 if name in SEVERAL else count == 1):
            return
    raise InputError(
        "", repr(text), f"a formula of numbers, names, + - * / ^ and {', '.join(FUNCTIONS)}", "Correct it."
    )


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return np.float64(number)  # floats throughout: 9^9^9 is then infinite at once, not a long computation
        case ast.Name():
            return values[node.id]
        case ast.UnaryOp(op=ast.Not()):
            return np.logical_not(_value(node.operand, values))
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, values)
        case ast.UnaryOp():
            return _value(node.operand, values)
        case ast.BinOp():
            return BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
        case ast.Call(func=ast.Name(id=name)):
            first, *others = (_value(argument, values) for argument in node.args)
            return reduce(FUNCTIONS[name], others, first) if others else FUNCTIONS[name](first)
        case ast.BoolOp():
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return reduce(join, [_value(part, values) for part in node.values])
        case ast.Compare():
            sides = [_value(side, values) for side in (node.left, *node.comparators)]
            tests = [COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, sides, sides[1:], strict=False)]
            return reduce(np.logical_and, tests)
    raise AssertionError(f"unchecked node {node!r}")
