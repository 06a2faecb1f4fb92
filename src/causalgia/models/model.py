"""What a structural model is, and where its text comes from.

This file imports neither SymPy nor libantimony: a kernel that is already compiled starts without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalgia.documents.errors import InputError

if TYPE_CHECKING:
    import sympy as sp

MODEL_SUFFIXES = (".ant", ".xml", ".sbml")


@dataclass(frozen=True)
class Model:
    """A system of ordinary differential equations dx/dt = f(t, x, p), as symbols.

    `rates`, `assignments` and `initial` hold SymPy expressions in the real symbols named by `states`, `parameters`,
    the assignments above them, and `time`; `initial` holds parameters only. `units` and `meanings` name every symbol.
    """

    name: str
    source: str
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    assignments: Mapping[str, sp.Expr]
    rates: Mapping[str, sp.Expr]
    initial: Mapping[str, sp.Expr]
    units: Mapping[str, str]
    meanings: Mapping[str, str]
    values: Mapping[str, float]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a solution can show: the states, then the assigned variables."""
        return (*self.states, *self.assignments)


def read_source(source: Path | str) -> tuple[str, str]:
    """Where the text came from, for messages, and the text itself.

    A `Path`, or a one-line string that ends in .ant, .xml or .sbml, names a file; any other string is the text.
    """
    if isinstance(source, str) and ("\n" in source or not source.strip().endswith(MODEL_SUFFIXES)):
        return "model text", source
    path = Path(source)
    if path.suffix not in MODEL_SUFFIXES:
        raise InputError(str(path), f"suffix {path.suffix!r}", " or ".join(MODEL_SUFFIXES), "Rename the model file.")
    try:
        return str(path), path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"no readable file ({error})", "a model file", "Check the path.") from error


def load_model(source: Path | str) -> Model:
    """The symbolic model of one page of Antimony (or SBML) text.

    `X' = …` is a rate rule, `X := …` an assignment, `X = …` an initial state (of a state) or a default value; every
    symbol carries a unit (`X has mg`) and a meaning (`X is "drug, central"`). The symbol `time` is the clock.

    Errors: `InputError` names file and symbol for a syntax error, a state without initial value, an undefined symbol, a
    symbol without unit or meaning, an undefined unit, and for what the engine does not integrate (reactions, events).
    """
    from causalgia.models.sbml import model_from_text  # SymPy, libantimony and libsbml start only here

    where, text = read_source(source)
    return model_from_text(where, text)
