"""MathML, as libsbml reads it, to SymPy. Symbols are made from the tree, so E, I, S, N and Q are ordinary names."""

from __future__ import annotations

from collections.abc import Callable

import libsbml
import sympy as sp

from causalgia.documents.errors import InputError

TIME = sp.Symbol("time", real=True)


def symbol(name: str) -> sp.Symbol:
    """The symbol of a state, parameter or assigned variable: real, so that derivatives of abs, min and max are."""
    return sp.Symbol(name, real=True)


def number(value: float) -> sp.Expr:
    """A literal; whole numbers become integers, so that x^2.0 is a product and not a power."""
    if value.is_integer() and abs(value) < 2**53:
        return sp.Integer(int(value))
    return sp.Float(value)


def _minus(*arguments: sp.Expr) -> sp.Expr:
    return -arguments[0] if len(arguments) == 1 else arguments[0] - arguments[1]


def _root(*arguments: sp.Expr) -> sp.Expr:
    degree, radicand = arguments if len(arguments) == 2 else (sp.Integer(2), arguments[0])
    return radicand ** (1 / degree)


def _log(*arguments: sp.Expr) -> sp.Expr:
    base, argument = arguments if len(arguments) == 2 else (sp.Integer(10), arguments[0])
    return sp.log(argument) / sp.log(base)


def _piecewise(*arguments: sp.Expr) -> sp.Expr:
    """SBML writes value, condition, …, otherwise."""
    pieces = list(zip(arguments[0::2], arguments[1::2], strict=False))
    return sp.Piecewise(*pieces, (arguments[-1], True)) if len(arguments) % 2 else sp.Piecewise(*pieces)


OPERATIONS: dict[int, Callable[..., sp.Expr]] = {
    libsbml.AST_PLUS: sp.Add,
    libsbml.AST_MINUS: _minus,
    libsbml.AST_TIMES: sp.Mul,
    libsbml.AST_DIVIDE: lambda a, b: a / b,
    libsbml.AST_POWER: sp.Pow,
    libsbml.AST_FUNCTION_POWER: sp.Pow,
    libsbml.AST_FUNCTION_ROOT: _root,
    libsbml.AST_FUNCTION_EXP: sp.exp,
    libsbml.AST_FUNCTION_LN: sp.log,
    libsbml.AST_FUNCTION_LOG: _log,
    libsbml.AST_FUNCTION_ABS: sp.Abs,
    libsbml.AST_FUNCTION_MIN: sp.Min,
    libsbml.AST_FUNCTION_MAX: sp.Max,
    libsbml.AST_FUNCTION_TANH: sp.tanh,
    libsbml.AST_FUNCTION_PIECEWISE: _piecewise,
    libsbml.AST_RELATIONAL_LT: sp.Lt,
    libsbml.AST_RELATIONAL_LEQ: sp.Le,
    libsbml.AST_RELATIONAL_GT: sp.Gt,
    libsbml.AST_RELATIONAL_GEQ: sp.Ge,
    libsbml.AST_LOGICAL_AND: sp.And,
    libsbml.AST_LOGICAL_OR: sp.Or,
    libsbml.AST_LOGICAL_NOT: sp.Not,
}
CONSTANTS: dict[int, sp.Expr] = {
    libsbml.AST_NAME_TIME: TIME,
    libsbml.AST_CONSTANT_E: sp.Float(2.718281828459045),
    libsbml.AST_CONSTANT_PI: sp.Float(3.141592653589793),
    libsbml.AST_CONSTANT_TRUE: sp.true,
    libsbml.AST_CONSTANT_FALSE: sp.false,
}


def to_sympy(node: libsbml.ASTNode, where: str) -> sp.Expr:
    """The SymPy expression of a MathML tree; `where` names file and symbol in the error for an unknown function."""
    kind = node.getType()
    if kind == libsbml.AST_NAME:
        return symbol(node.getName())
    if kind in CONSTANTS:
        return CONSTANTS[kind]
    if kind == libsbml.AST_RATIONAL:
        return sp.Rational(node.getNumerator(), node.getDenominator())
    if node.isNumber():
        return number(float(node.getValue()))
    if kind not in OPERATIONS:
        found = f"the function {node.getName() or libsbml.formulaToL3String(node)!r}"
        expected = "+ - * / ^ exp ln log sqrt pow min max abs tanh piecewise and comparisons by < <= > >="
        raise InputError(where, found, expected, "Write the formula with these.")
    arguments = [to_sympy(node.getChild(i), where) for i in range(node.getNumChildren())]
    return OPERATIONS[kind](*arguments)
