"""A few patients: each one's change, pooled with shrinkage, and what such a series can and cannot show."""

from __future__ import annotations

from typing import Any

import numpy as np

from causalgia.analysis.pooling import permutation_p, pool
from causalgia.documents.patient import Patient
from causalgia.inference.patients.after import measured_change
from causalgia.inference.patients.seen import Seen
from causalgia.inference.patients.words import between, num

MOST_EXACT = 14


def pooled(patients: list[tuple[Patient, list[Seen]]]) -> dict[str, Any]:
    """The section `series` of the result."""
    table: dict[str, Any] = {"n": len(patients)}
    for key, name, side in (("tnf", "TNF", "affected"), ("pain", "NRS", "patient")):
        table[key] = _pool([(patient.name, _ends(sights, name, side)) for patient, sights in patients])
    treated = any(patient.doses for patient, _ in patients)
    table["can"] = [
        "How far each one's change lies beyond error, and how much of their spread is error.",
        "What the next patient like these may show, while everything else stays as it was.",
    ]
    table["cannot"] = [
        "Whether the drug did it: nobody was a control; natural course and regression to the mean work the same way."
        if treated
        else "What a drug does: nobody was given one.",
        "How often it happens: who is reported was not chosen at random.",
        *(
            [f"Anything at the 5 % level: with {len(patients)} patients an exact test cannot go below "
             f"{num(2.0 ** (1 - len(patients)))}."]
            if len(patients) < 6
            else []
        ),
    ]  # fmt: skip
    table["sentences"] = _sentences(table)
    return table


def _ends(sights: list[Seen], name: str, side: str) -> tuple[Seen, Seen] | None:
    """The first and the last reading of one kind."""
    found = [s for s in sights if s.side == side and s.instrument.paramcd.startswith(name)]
    found = [s for s in found if s.instrument.name == found[0].instrument.name]
    return (found[0], found[-1]) if len(found) > 1 else None


def _pool(ends: list[tuple[str, tuple[Seen, Seen] | None]]) -> dict[str, Any] | None:
    """Random effects over patients (REML, Hartung-Knapp): yᵢ ~ N(θᵢ, vᵢ), θᵢ ~ N(μ, τ²); (τ² yᵢ + vᵢ μ)/(τ² + vᵢ).

    On a log scale everything is a ratio, last / first.
    """
    known = [(name, pair) for name, pair in ends if pair is not None]
    if len(known) < 2:
        return None
    rows = [measured_change(*pair) for _, pair in known]
    log = rows[0]["scale"] == "ratio"
    y = np.array([pair[1].mean - pair[0].mean for _, pair in known])
    v = np.array([row["se"] ** 2 for row in rows])
    fit = pool(y, v, at_least_wald=True)
    weight = fit.tau2 / (fit.tau2 + v)
    shrunk = weight * y + (1 - weight) * fit.estimate
    sd = np.sqrt(weight * v + ((1 - weight) * fit.se) ** 2)
    write = np.exp if log else np.asarray
    low, high = write(shrunk - 1.6449 * sd), write(shrunk + 1.6449 * sd)
    exact = permutation_p(y, v) if len(y) <= MOST_EXACT else None
    return {
        "unit": rows[0]["unit"],
        "title": rows[0]["title"],
        "scale": rows[0]["scale"],
        "patients": [
            {
                "name": name,
                "change": row["change"],
                "se": row["se"],
                "shrunk": float(write(shrunk[k])),
                "low": float(low[k]),
                "high": float(high[k]),
                "real": row["real"],
            }
            for k, ((name, _), row) in enumerate(zip(known, rows, strict=True))
        ],
        "mean": float(write(fit.estimate)),
        "low": float(write(fit.lower)),
        "high": float(write(fit.upper)),
        "prediction_low": None if np.isnan(fit.prediction_lower) else float(write(fit.prediction_lower)),
        "prediction_high": None if np.isnan(fit.prediction_upper) else float(write(fit.prediction_upper)),
        "between": float(np.sqrt(fit.tau2)),
        "p": None if exact is None else exact.p,
        "smallest_p": None if exact is None else exact.smallest,
    }


def _sentences(table: dict[str, Any]) -> list[str]:
    said = []
    for key, what in (("tnf", "Local TNF"), ("pain", "Pain")):
        row = table[key]
        if row is None:
            said.append(f"{what} was read twice in fewer than two of the {table['n']} patients: nothing to pool.")
            continue
        size = "to {} times its first value" if row["scale"] == "ratio" else "by {} points"
        fell = sum((patient["real"] or 0.0) > 0.975 for patient in row["patients"])
        said.append(
            f"{what} changed {size.format(num(row['mean']))} on average "
            f"(95 % limits {between(row['low'], row['high'])}); "
            f"in {fell} of {len(row['patients'])} it fell beyond error"
            + (f"; exact p {num(row['p'])}" if row["p"] is not None else "")
            + "."
        )
        if row["prediction_low"] is not None:
            limits = between(row["prediction_low"], row["prediction_high"])
            said.append(f"The next such patient may change {size.format(limits)}.")
    return said
