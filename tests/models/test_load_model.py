from __future__ import annotations

from pathlib import Path

import pytest
import sympy as sp

from causalgia.documents.errors import InputError
from causalgia.models import load_model
from causalgia.models.mathml import TIME, symbol

PAGE = """
unit mg = 1e-3 gram;  unit mg_per_L = 1e-3 gram / litre;  unit per_day = 1 / 86400 second;
A' = -k*A + E*exp(-time/S);   A is "drug, central";        A has mg
A = D*F;                      D is "dose";                 D has mg
C := A/V;                     C is "concentration";        C has mg_per_L
k is "elimination";           k has per_day;               F is "bioavailability";  F has dimensionless
E is "input";                 E has mg;                    S is "decay";            S has per_day
V is "volume";                V has litre;                 V = 3.5;
"""


def test_a_page_becomes_symbols():
    model = load_model(PAGE)
    A, k, E, S, D, F, V = map(symbol, ("A", "k", "E", "S", "D", "F", "V"))
    assert model.states == ("A",)
    assert set(model.parameters) == {"k", "E", "S", "D", "F", "V"}
    assert model.outputs == ("A", "C")
    assert model.rates["A"] == -k * A + E * sp.exp(-TIME / S)
    assert model.assignments["C"] == A / V
    assert model.initial["A"] == D * F
    assert model.units["C"] == "mg_per_L"
    assert model.meanings["A"] == "drug, central"
    assert model.values == {"V": 3.5}


def test_a_path_is_read_and_named(tmp_path: Path):
    path = tmp_path / "one.ant"
    path.write_text(PAGE)
    assert load_model(path).name == "one"
    assert load_model(str(path)).rates == load_model(PAGE).rates


@pytest.mark.parametrize("name", ["E", "I", "S", "N", "Q", "O", "beta", "zeta", "lambda_", "re"])
def test_names_that_sympy_would_take_are_symbols(name):
    page = f'x\' = -{name}*x; x = 1; x is "a state"; x has gram; {name} is "a parameter"; {name} has gram;'
    assert load_model(page).rates["x"] == -symbol(name) * symbol("x")


FORMULAS = {
    "pow(x, 2) + x^0.5": lambda x, k: x**2 + x ** sp.Float(0.5),
    "sqrt(x)*ln(k)": lambda x, k: sp.sqrt(x) * sp.log(k),
    "max(x, k, 1) - min(x, k)": lambda x, k: sp.Max(x, k, 1) - sp.Min(x, k),
    "abs(x - k)*tanh(x)": lambda x, k: sp.Abs(x - k) * sp.tanh(x),
    "piecewise(1, x < k, 2, x >= 3 && k > 1, 0)": lambda x, k: sp.Piecewise(
        (1, x < k), (2, sp.And(x >= 3, k > 1)), (0, True)
    ),
    "1e-3*x - 2.5/k": lambda x, k: sp.Float(0.001) * x - sp.Float(2.5) / k,
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas(formula):
    page = f'x\' = {formula}; x = 1; x is "a state"; x has gram; k is "a parameter"; k has gram;'
    if "k" not in formula:
        page = page.replace(";", " + 0*k;", 1)
    expected = FORMULAS[formula](symbol("x"), symbol("k"))
    at = {symbol("x"): sp.Float(1.3), symbol("k"): sp.Float(2.1)}
    assert abs(load_model(page).rates["x"].xreplace(at) - expected.xreplace(at)) < 1e-14


def test_initial_states_build_on_each_other_and_on_assignments():
    page = PAGE + 'B\' = 0; B = 2*A + R; B is "b state"; B has mg; R := D/2; R is "half"; R has mg;'
    D, F = symbol("D"), symbol("F")
    assert sp.expand(load_model(page).initial["B"] - (2 * D * F + D / 2)) == 0


BAD = {
    "syntax": (PAGE.replace("-k*A", "-k*/A"), r"line 3.*syntax error"),
    "no initial value": (PAGE.replace("A = D*F;", 'G := D*F; G is "g value"; G has mg;'), "A: found no initial value"),
    "undefined symbol": (PAGE.replace("-k*A", "-kk*A"), "kk: found an undefined symbol"),
    "no unit": (PAGE.replace("k has per_day;", ""), "k: found no unit"),
    "no meaning": (PAGE.replace('V is "volume";', ""), "V: found no meaning"),
    "undefined unit": (PAGE.replace("D has mg", "D has stone"), "D: found the undefined unit 'stone'"),
    "circle": (PAGE.replace("C := A/V", "C := A/V + C2; C2 := C"), "Loop detected"),
    "moving start": (PAGE + 'R = A*2; R is "r value"; R has mg;', r"R: found '=' with A"),
    "start in time": (PAGE.replace("A = D*F", "A = D*F + time"), "A: found an initial value in time"),
    "unknown function": (PAGE.replace("exp(", "sinh("), "A: found the function"),
    "function as a name": (PAGE.replace("-k*A", "-gamma*A"), r"line 3: found 'gamma'"),
    "reaction": (PAGE + "J0: P -> R; k*P;", "reactions"),
    "event": (PAGE + "at (time > 5): A = 3;", "events"),
    "no state": ('k = 1; k is "k value"; k has gram;', "no rate rule"),
    "import": ('import "other.ant"\n' + PAGE, "line 1: found an import"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pages_are_refused(name):
    page, message = BAD[name]
    with pytest.raises(InputError, match=message):
        load_model(page)


def test_the_message_names_the_file(tmp_path):
    path = tmp_path / "bad.ant"
    path.write_text(PAGE.replace("k has per_day;", ""))
    with pytest.raises(InputError, match=r"bad\.ant, k: found no unit"):
        load_model(path)
    with pytest.raises(InputError, match="no readable file"):
        load_model(tmp_path / "missing.ant")
