from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalgia.documents import expressions
from causalgia.documents.errors import InputError

X = np.array([0.25, 1.0, 3.5])
VALUES = {"a": X, "b": np.array([2.0, 0.5, 1.25]), "c": 1.5}
PYTHON = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": abs, "min": np.minimum, "max": np.maximum}

FORBIDDEN = [
    "__import__('os')",
    "().__class__",
    "a.real",
    "lambda: 1",
    "[a]",
    "[x for x in a]",
    "a[0]",
    "'text'",
    "f(a)",
    "a; b",
    "a = 1",
    "a if b else c",
    "a != b",
    "a is b",
    "a in b",
    "a // b",
    "a % b",
    "a @ b",
    "a | b",
    "~a",
    "not_a(1)",
    "exp",
    "exp + 1",
    "exp()",
    "exp(a, b)",
    "exp(*a)",
    "min(a)",
    "min(a, key=b)",
    "max()",
    "True",
    "1j",
    "1e400",
    "...",
    "(a, b)",
    "",
    "  ",
    "a b",
    "a &&  b",
    "(a := 1)",
    "exp(a)(b)",
    "9" * 400,
    "9" * 5000,
    "(" * 300 + "a" + ")" * 300,
    "-" * 5000 + "a",
    "a\0b",
]


@pytest.mark.parametrize("text", FORBIDDEN, ids=lambda text: repr(text)[:24])
def test_what_is_not_of_the_grammar_is_refused(text):
    with pytest.raises(InputError) as caught:
        expressions.evaluate(text, VALUES)
    assert repr(text) in caught.value.found


def formulas():
    """Random formulas of the grammar in which nothing overflows much."""
    atoms = st.sampled_from(["a", "b", "c"]) | st.floats(0.1, 9, allow_nan=False).map(lambda x: f"{x:.3g}")

    def grow(inner):
        pair = st.tuples(inner, inner)
        return st.one_of(
            st.tuples(pair, st.sampled_from("+-*/")).map(lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"),
            st.tuples(inner, st.sampled_from(["2", "0.5", "-1", "-0.826"])).map(lambda t: f"({t[0]})^{t[1]}"),
            inner.map(lambda s: f"-{s}"),
            st.tuples(st.sampled_from(["exp", "log", "sqrt", "abs"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
            st.tuples(st.sampled_from(["min", "max"]), pair).map(lambda t: f"{t[0]}({t[1][0]}, {t[1][1]})"),
        )

    return st.recursive(atoms, grow, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(formulas())
def test_arithmetic_is_pythons(text):
    expected = python(text)
    if expected is not None:
        np.testing.assert_array_equal(expressions.evaluate(text, VALUES), expected)


def python(text):
    """What Python makes of it; None where, for numbers alone, it raises or turns complex and NumPy gives inf or NaN."""
    try:
        with np.errstate(all="ignore"):
            value = eval(text.replace("^", "**"), {"__builtins__": {}}, {**PYTHON, **VALUES})
    except (ZeroDivisionError, OverflowError, TypeError):
        return None
    return None if np.iscomplexobj(value) else value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a >= 1", [False, True, True]),
        ("0.5 < a < 2", [False, True, False]),
        ("0 < 1 < a", [False, False, True]),
        ("a > 0.5 and b > 0.7", [False, False, True]),
        ("a > 0.5 and 1 > 0", [False, True, True]),
        ("a > 3 or b > 1.5 or 1 < 0", [True, False, True]),
        ("not a > 3", [True, True, False]),
        ("a == 1", [False, True, False]),
        ("a >= 1 and (b > 1 or abs(a - 1) <= 0)", [False, True, True]),
    ],
)
def test_logic(text, expected):
    np.testing.assert_array_equal(expressions.evaluate(text, VALUES), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2^3^2", 512),
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("max(1, 2, 3)", 3),
        ("min(3, 1, 2)", 1),
        (" 1 +\n 2 ", 3),
        ("9^9^9^9", np.inf),
        ("1/0", np.inf),
    ],
)
def test_numbers(text, expected):
    assert expressions.evaluate(text, {}) == expected


def test_formula_changes_none_of_its_arguments():
    before = X.copy()
    expressions.evaluate("max(min(a, b, c), abs(a), exp(a))", VALUES)
    np.testing.assert_array_equal(X, before)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="one of a, b, c"):
        expressions.evaluate("a + d", VALUES)


def test_symbols_are_names_without_functions():
    assert expressions.symbols("max(weight, 1)*exp(-k*t)") == {"weight", "k", "t"}
