"""The small grammar of covariate formulas and enrolment criteria.

Numbers, names, + - * / ^, comparisons, and / or / not, parentheses, and exp, log, sqrt, min, max, abs. The text is
parsed with Python's own parser after ^ becomes **, and every node is checked against a list, so that a document cannot
run code.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import cache
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
        tree = ast.parse(text.replace("^", "**"), mode="eval").body
    except SyntaxError:
        raise InputError("", repr(text), "a formula such as (weight/70)^0.67", "Correct it.") from None
    for node in ast.walk(tree):
        _check(node, text)
    return tree


def symbols(text: str) -> set[str]:
    """Names that a formula uses, functions apart."""
    return {node.id for node in ast.walk(parse(text)) if isinstance(node, ast.Name)} - FUNCTIONS.keys()


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """The formula's value, element by element over arrays in `values`.

    Raises InputError for a name that `values` lacks.
    """
    missing = sorted(symbols(text) - values.keys())
    if missing:
        raise InputError(
            "", f"the name {missing[0]!r} in {text!r}", f"one of {', '.join(sorted(values))}", "Correct it."
        )
    return _value(parse(text), values)


def _check(node: ast.AST, text: str) -> None:
    operators = (*BINARY, *COMPARE, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, ast.Load)
    shapes = (ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.Name)
    if isinstance(node, (*operators, *shapes)):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FUNCTIONS
        and not node.keywords
    ):
        return
    raise InputError(
        "", repr(text), f"a formula of numbers, names, + - * / ^ and {', '.join(FUNCTIONS)}", "Correct it."
    )


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
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
            return FUNCTIONS[name](*(_value(argument, values) for argument in node.args))
        case ast.BoolOp():
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce([_value(part, values) for part in node.values])
        case ast.Compare():
            sides = [_value(side, values) for side in (node.left, *node.comparators)]
            tests = [COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, sides, sides[1:], strict=False)]
            return np.logical_and.reduce(tests) if len(tests) > 1 else tests[0]
    raise AssertionError(f"unchecked node {node!r}")
