"""Antimony text to SBML to a checked `Model`. Everything libantimony lets pass is refused here, by file and symbol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import antimony
import libsbml
import sympy as sp

from causalgia.documents.errors import InputError
from causalgia.models.mathml import TIME, symbol, to_sympy
from causalgia.models.model import Model

UNNAMED = "__main"
# libantimony 3.3 crashes (no error: the process ends) where one of these names a quantity in a formula.
FUNCTION_NAMES = re.compile(
    "abs|a?(cos|cot|csc|sec|sin|tan)h?|arc(cos|cot|csc|sec|sin|tan)h?|ceil|ceiling|delay|exp|factorial|floor|implies|"
    "ln|log|log10|max|min|piecewise|pow|power|quotient|rateOf|rem|root|sqr|sqrt|and|or|not|xor|"
    "bernoulli|binomial|cauchy|chisquare|exponential|gamma|laplace|lognormal|normal|poisson|rayleigh|uniform|"
    "truncatedNormal"
)


def model_from_text(where: str, text: str) -> Model:
    """The checked model of Antimony or SBML text; `where` names its origin in errors."""
    page = _read(where, text if text.lstrip().startswith("<") else _antimony_to_sbml(where, text))
    _refuse_what_is_not_integrated(where, page)
    quantities = [page.getParameter(i) for i in range(page.getNumParameters())]
    rates, assigned, started = _formulas(where, page)
    states = tuple(q.getId() for q in quantities if q.getId() in rates)
    for name in started.keys() - rates.keys():  # `K = koff/kon` of a constant: a parameter-only assignment
        assigned[name] = started[name]
    assignments = _ordered(where, assigned)
    values = {q.getId(): q.getValue() for q in quantities if q.isSetValue()}
    parameters = tuple(q.getId() for q in quantities if q.getId() not in rates and q.getId() not in assigned)
    _check_frozen(where, started.keys() - rates.keys(), assignments, parameters)
    _check_annotated(where, page, quantities)
    name = page.getId() if page.getId() not in ("", UNNAMED) else Path(where).stem
    return Model(
        name=name,
        source=text,
        states=states,
        parameters=parameters,
        assignments=assignments,
        rates={s: rates[s] for s in states},
        initial=_initial(where, states, started, values, assignments, parameters),
        units={q.getId(): q.getUnits() for q in quantities},
        meanings={q.getId(): q.getName() for q in quantities},
        values={p: values[p] for p in parameters if p in values},
    )


def _antimony_to_sbml(where: str, text: str) -> str:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r'\s*import\s*"', line):
            raise InputError(f"{where}, line {number}", "an import", "one self-contained page", "Paste the text in.")
        code = re.sub(r'"[^"]*"', "", line).split("//")[0]
        for name in re.findall(r"\b([A-Za-z_]\w*)\b(?!\s*\()", code):
            if FUNCTION_NAMES.fullmatch(name):
                found = f"{name!r}, the name of a function, without its argument"
                raise InputError(f"{where}, line {number}", found, "a name of your own", f"Rename it, as in {name}_1.")
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(text) < 0:
        message = antimony.getLastError().strip().replace("\n", " ")
        line_number = re.search(r"line (\d+)", message)
        at = f"{where}, line {line_number.group(1)}" if line_number else where
        raise InputError(
            at, f"a syntax error ({message})", "Antimony text", "Correct this line; statements end in ';'."
        )
    sbml = antimony.getSBMLString(antimony.getMainModuleName())
    if not sbml:
        raise InputError(where, f"no model ({antimony.getLastError().strip()})", "Antimony text", "Correct the text.")
    return str(sbml)


def _read(where: str, sbml: str) -> libsbml.Model:
    document = libsbml.readSBMLFromString(sbml)
    if document.getNumErrors(libsbml.LIBSBML_SEV_ERROR) or document.getModel() is None:
        message = document.getError(0).getMessage().strip() if document.getNumErrors() else "no model"
        raise InputError(where, message, "valid SBML", "Correct the model text.")
    return document.getModel().clone()


def _refuse_what_is_not_integrated(where: str, page: libsbml.Model) -> None:
    counts = {
        "reactions": page.getNumReactions(),
        "species": page.getNumSpecies(),
        "events": page.getNumEvents(),
        "function definitions": page.getNumFunctionDefinitions(),
        "algebraic rules": sum(page.getRule(i).isAlgebraic() for i in range(page.getNumRules())),
        "constraints": page.getNumConstraints(),
    }
    for what, count in counts.items():
        if count:
            expected = "rate rules (X' = …), assignments (X := …) and values"
            raise InputError(where, f"{count} {what}", expected, "Rewrite them as rate rules; doses are event tables.")
    if not any(page.getRule(i).isRate() for i in range(page.getNumRules())):
        raise InputError(where, "no rate rule", "at least one state, X' = …", "Add a rate rule.")


def _formulas(where: str, page: libsbml.Model) -> tuple[dict[str, sp.Expr], dict[str, sp.Expr], dict[str, sp.Expr]]:
    """Rates, assignments and initial assignments, name → expression."""
    rates: dict[str, sp.Expr] = {}
    assigned: dict[str, sp.Expr] = {}
    for rule in (page.getRule(i) for i in range(page.getNumRules())):
        name = rule.getVariable()
        (rates if rule.isRate() else assigned)[name] = to_sympy(rule.getMath(), f"{where}, {name}")
    starts = (page.getInitialAssignment(i) for i in range(page.getNumInitialAssignments()))
    started = {s.getSymbol(): to_sympy(s.getMath(), f"{where}, {s.getSymbol()}") for s in starts}
    return rates, assigned, started


def _ordered(where: str, assigned: Mapping[str, sp.Expr]) -> dict[str, sp.Expr]:
    """Assignments in an order in which each uses only earlier ones."""
    ordered: dict[str, sp.Expr] = {}
    waiting = dict(assigned)
    while waiting:
        ready = [n for n, e in waiting.items() if not any(s.name in waiting for s in e.free_symbols)]
        if not ready:
            raise InputError(f"{where}, {next(iter(waiting))}", "a circle of assignments", "no circle", "Break it.")
        for name in ready:
            ordered[name] = waiting.pop(name)
    return ordered


def _check_frozen(
    where: str, frozen: set[str], assignments: Mapping[str, sp.Expr], parameters: tuple[str, ...]
) -> None:
    """`X = formula` means 'once, at the start'; that equals an assignment only where the formula is of parameters."""
    for name in sorted(frozen):
        moving = _in_parameters(symbol(name), assignments, {}).free_symbols - {symbol(p) for p in parameters}
        if moving:
            found = f"'=' with {', '.join(sorted(map(str, moving)))}, which moves"
            raise InputError(f"{where}, {name}", found, "a formula of parameters", f"Write {name} := … instead.")


def _in_parameters(expression: sp.Expr, assignments: Mapping[str, sp.Expr], start: Mapping[str, sp.Expr]) -> sp.Expr:
    for name, value in reversed(list(assignments.items())):
        expression = expression.xreplace({symbol(name): value})
    return expression.xreplace({symbol(name): value for name, value in start.items()})


def _initial(
    where: str,
    states: tuple[str, ...],
    started: Mapping[str, sp.Expr],
    values: Mapping[str, float],
    assignments: Mapping[str, sp.Expr],
    parameters: tuple[str, ...],
) -> dict[str, sp.Expr]:
    """Initial states in parameters alone; one may build on another state's start or on an assignment."""
    waiting: dict[str, sp.Expr] = {}
    for state in states:
        if state not in started and state not in values:
            raise InputError(
                f"{where}, {state}", "no initial value", f"{state} = value or formula", f"Add {state} = 0;"
            )
        waiting[state] = (
            _in_parameters(started[state], assignments, {}) if state in started else sp.Float(values[state])
        )
    known = {symbol(p) for p in parameters}
    initial: dict[str, sp.Expr] = {}
    while waiting:
        settled = {s: e for s, e in waiting.items() if e.free_symbols <= known}
        if not settled:
            state, expression = next(iter(waiting.items()))
            found = f"an initial value in {', '.join(sorted(map(str, expression.free_symbols - known)))}"
            raise InputError(f"{where}, {state}", found, "a formula of parameters", "Start it from parameters.")
        initial |= settled
        waiting = {s: _in_parameters(e, {}, settled) for s, e in waiting.items() if s not in settled}
    return {state: initial[state] for state in states}


def _check_annotated(where: str, page: libsbml.Model, quantities: list[libsbml.Parameter]) -> None:
    for quantity in quantities:
        name, unit, meaning = quantity.getId(), quantity.getUnits(), quantity.getName()
        at = f"{where}, {name}"
        if not unit and not meaning and not quantity.isSetValue():
            remedy = f'Correct the name, or declare it: {name} is "…"; {name} has unit;'
            raise InputError(at, "an undefined symbol", "a state, parameter or assigned variable", remedy)
        if not meaning:
            raise InputError(at, "no meaning", f'{name} is "…"', "Say in words what it is.")
        if not unit:
            raise InputError(at, "no unit", f"{name} has unit", f"Add one, if need be {name} has dimensionless;")
        definition = page.getUnitDefinition(unit)
        builtin = libsbml.UnitKind_isValidUnitKindString(unit, 3, 2)
        if not builtin and (definition is None or definition.getNumUnits() == 0):
            remedy = f"Declare it in the text, such as: unit {unit} = 1e-3 gram;"
            raise InputError(at, f"the undefined unit {unit!r}", "a declared or SBML unit", remedy)


__all__ = ["TIME", "model_from_text", "symbol"]
