"""Random effects and covariates: documents → one number a person and parameter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from causalgia.documents import expressions, streams
from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Parameter

Values = Mapping[str, Parameter]
Typical = Mapping[str, np.ndarray]


def draw(
    values: Values,
    seed: int,
    people: int,
    known: Mapping[str, np.ndarray],
    correlations: Values,
    typical: Typical | None = None,
) -> dict[str, np.ndarray]:
    """Individual parameters (person,), by name.

    Every parameter has its own stream, so that person i's number depends on seed, name and i alone. `known` holds
    covariates and parameters that formulas may name. Formulas are evaluated in the order in which the document gives
    them. `typical` holds other typical values (draw,) by name: person i has number i modulo how many draws there are.
    """
    others = typical or {}
    effects = _random_effects(values, seed, people, correlations)
    result: dict[str, np.ndarray] = {}
    for name, entry in values.items():
        scope = {**known, **result}
        if entry.formula is not None:
            result[name] = np.broadcast_to(np.asarray(expressions.evaluate(entry.formula, scope), float), (people,))
            continue
        centre = np.resize(others[name], people) if name in others else None
        individual = entry.individual(effects.get(name, np.zeros(people)), centre)
        if entry.covariates is not None:
            individual = individual * expressions.evaluate(entry.covariates, scope)
        result[name] = individual
    return result


def _random_effects(values: Values, seed: int, people: int, correlations: Values) -> dict[str, np.ndarray]:
    names = [name for name, entry in values.items() if entry.varies]
    effects = {name: streams.normals(seed, "random effect", name, size=people) for name in names}
    pairs = {_pair(text, names): entry.value for text, entry in correlations.items()}
    tied = sorted({name for pair in pairs for name in pair}, key=names.index)
    if not tied:
        return effects
    matrix = np.eye(len(tied))
    for (a, b), rho in pairs.items():
        matrix[tied.index(a), tied.index(b)] = matrix[tied.index(b), tied.index(a)] = rho
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InputError("correlations", "a matrix that is not positive definite", "correlations that agree") from None
    for row, name in enumerate(reversed(tied)):
        k = len(tied) - 1 - row
        effects[name] = sum(factor[k, j] * effects[tied[j]] for j in range(k + 1))
    return effects


def _pair(text: str, names: list[str]) -> tuple[str, str]:
    pair = tuple(part.strip() for part in text.split("~"))
    if len(pair) != 2 or any(name not in names for name in pair):
        raise InputError(f"correlations.{text}", repr(text), 'two varying parameters, as in "CL ~ V1"', "Correct it.")
    return pair[0], pair[1]


def check_entries(values: Values, known: Collection[str], correlations: Values, where: Callable[[str], str]) -> None:
    """Raises InputError, at `where(key)`, for a formula that names what is not known before it, and for a correlation
    of parameters that do not vary or that cannot hold with the others.
    """
    before = set(known)
    for name, entry in values.items():
        for text in (entry.formula, entry.covariates):
            missing = sorted(expressions.symbols(text) - before) if text is not None else []
            if missing:
                expected = f"a parameter or covariate given before it: {', '.join(sorted(before))}"
                raise InputError(where(name), f"the name {missing[0]!r} in {text!r}", expected, "Correct it.")
        before.add(name)
    for text, entry in correlations.items():
        if entry.value is None or not -1 < entry.value < 1:
            raise InputError(where(text), "no value between -1 and 1", "a correlation", "Correct it.")
        try:
            _random_effects(values, 0, 1, {text: entry})
        except InputError as error:
            raise InputError(where(text), error.found, error.expected, error.remedy) from None
    _random_effects(values, 0, 1, correlations)
