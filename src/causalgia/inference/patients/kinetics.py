"""A drug in one patient: the most probable kinetics given levels, and their posterior over the virtual patients."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_ndtr

from causalgia.documents import Drug, expressions
from causalgia.documents.arms import Arm
from causalgia.documents.parameters import Parameter
from causalgia.engine import solve
from causalgia.inference.patients.before import quantiles
from causalgia.inference.patients.people import People
from causalgia.inference.patients.seen import Seen, errors
from causalgia.population.dosing import ANTIBODY_STATE, drug_values
from causalgia.population.outcomes import treated
from causalgia.population.patients import COVARIATES

STEP = 1e-3  # of the central differences of the log posterior, in standard deviations of a random effect
PRECISE = 1e-8


def posterior(people: People, weight: np.ndarray, drug: Drug, route: str) -> list[dict[str, Any]]:
    """Weighted median and 90 % limits of each kinetic parameter that differs between people; `prior` is typical."""
    drawn = [drug_values(people.population, drug, route, part) for part in people.worlds if part.sizes["subject"]]
    typical = _typical(people, drug)
    return [
        {"symbol": name, "unit": entry.unit, "prior": typical[name]}
        | dict(zip(("low", "median", "high"), quantiles(_joined(drawn, name), weight, (0.05, 0.5, 0.95)), strict=True))
        for name, entry in _varying(drug).items()
    ]


def most_probable(
    people: People, arm: Arm, drug: Drug, levels: list[Seen], days: list[float], immune: bool
) -> dict[str, float]:
    """Maximum a posteriori kinetic parameters of the patient: min ½ uᵀu + ½ Σ ((log y − log C(u))/σ)².

    u are independent standard normals, z = L u the random effects with the drug's correlations. A level below its limit
    enters by its probability. `days` of the levels from now. Antibodies act from their typical time on where `immune`.
    """
    from scipy import optimize  # slow to import, and only needed where levels were measured

    entries = _varying(drug)
    typical, factor = _typical(people, drug), _cholesky(drug, list(entries))
    known = {name: float(np.median(people.of(name))) for name in (*COVARIATES, "albumin")}
    observed = np.array([level.readings.value[0] for level in levels])
    sd = np.array([errors(level.instrument)[0] for level in levels])
    below = np.array([level.below for level in levels])

    def values(u: np.ndarray) -> dict[str, np.ndarray]:
        z = u @ factor.T
        found: dict[str, np.ndarray] = {}
        for j, (name, entry) in enumerate(entries.items()):
            found[name] = entry.individual(z[:, j], typical[name]) * (
                1.0 if entry.covariates is None else expressions.evaluate(entry.covariates, known)
            )
        return found

    def objective(u: np.ndarray) -> np.ndarray:
        level = _levels(people, arm, drug, values(u), known, days, immune)
        gap = (observed - level) / sd
        return 0.5 * (u**2).sum(axis=1) + np.where(below, -log_ndtr(gap), 0.5 * gap**2).sum(axis=1)

    def with_slope(u: np.ndarray) -> tuple[float, np.ndarray]:
        steps = STEP * np.eye(len(u))
        found = objective(np.vstack([u[None], u + steps, u - steps]))
        return float(found[0]), (found[1 : len(u) + 1] - found[len(u) + 1 :]) / (2 * STEP)

    fit = optimize.minimize(with_slope, np.zeros(len(entries)), jac=True, method="BFGS", options={"gtol": 1e-4})
    return {name: float(value[0]) for name, value in values(fit.x[None]).items()}


def _levels(
    people: People,
    arm: Arm,
    drug: Drug,
    values: dict[str, np.ndarray],
    known: dict[str, float],
    days: list[float],
    immune: bool,
) -> np.ndarray:
    """Log serum levels (row, day) of one body with several kinetics."""
    rows = len(next(iter(values.values())))
    source = next(part for part in people.worlds if part.sizes["subject"])
    part = source.isel(subject=np.zeros(rows, int)).assign(id=("subject", np.arange(rows)))
    part = part.assign({name: ("subject", np.full(rows, value)) for name, value in known.items()})
    ready = treated(people.population, part, arm)
    parameters, names = ready.parameters.copy(), list(ready.kernel.parameters)
    for name, value in values.items():
        if name in names:
            parameters[:, names.index(name)] = value * people.population.factor(name, _varying(drug)[name])
    states = [] if ready.events is None else np.asarray(ready.events.state).tolist()
    if ready.events is not None and ANTIBODY_STATE in states:
        column = states.index(ANTIBODY_STATE)
        onset = arm.courses[0].days[0] + drug.antibodies["t_ada"].typical
        np.asarray(ready.events.time)[:, column] = onset if immune else np.nan
    solution = solve(
        ready.kernel,
        parameters,
        days,
        outputs=[drug.concentration],
        initial=ready.initial,
        start=0.0,
        events=ready.events,
        rtol=PRECISE,
    )
    return np.log(np.maximum(solution.values[:, :, 0], 1e-9))


def _typical(people: People, drug: Drug) -> dict[str, float]:
    """Typical values of what differs between people: the median of the population's draws, else the document's."""
    found = {name: entry.typical for name, entry in _varying(drug).items()}
    drawn = [people.population.typical_of_drug(str(part["world"].values), drug) for part in people.worlds]
    for name in found:
        values = [columns[name] for columns in drawn if name in columns]
        if values:
            found[name] = float(np.median(np.concatenate(values)))
    return found


def _varying(drug: Drug) -> dict[str, Parameter]:
    return {name: entry for name, entry in drug.pharmacokinetics.items() if entry.varies}


def _cholesky(drug: Drug, names: list[str]) -> np.ndarray:
    matrix = np.eye(len(names))
    for text, entry in drug.correlations.items():
        a, b = (part.strip() for part in text.split("~"))
        if a in names and b in names:
            matrix[names.index(a), names.index(b)] = matrix[names.index(b), names.index(a)] = entry.typical
    return np.linalg.cholesky(matrix)


def _joined(drawn: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    return np.concatenate([values[name] for values in drawn])
