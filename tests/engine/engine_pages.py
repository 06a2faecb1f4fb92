"""Model pages for the engine's tests, and the reference problem of `benchmarks/`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from causalgia.engine import Events

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FUNCTIONS = {"exp", "ln", "sqrt", "pow", "min", "max", "abs", "piecewise", "tanh", "time"}


def page(equations: str) -> str:
    """Antimony text in which every symbol of the equations is dimensionless and has a meaning."""
    names = dict.fromkeys(re.findall(r"\b[A-Za-z_]\w*", re.sub(r"\d+(\.\d*)?[eE][+-]?\d+", "", equations)))
    return (
        equations
        + "\n"
        + "".join(f'{n} is "value of {n}"; {n} has dimensionless;\n' for n in names if n not in FUNCTIONS)
    )


ONE_COMPARTMENT = page("A' = -k*A; A = 0; C := A/V; k = 0.3; V = 2;")
TWO_COMPARTMENTS = page("A' = -(k10 + k12)*A + k21*B; B' = k12*A - k21*B; A = 0; B = 0; k10 = 1; k12 = 1; k21 = 1;")
CHAIN = page("A' = -a*A; B' = a*A - b*B; C' = b*B - c*C; D' = c*C; A = 0; B = 0; C = 0; D = 0; a = 1; b = 1; c = 1;")
ROBERTSON = page("x' = -a*x + b*y*z; y' = a*x - b*y*z - c*y^2; z' = c*y^2; x = 1; y = 0; z = 0; a = 1; b = 1; c = 1;")
VAN_DER_POL = page("x' = v; v' = mu*(1 - x^2)*v - x; x = 2; v = 0; mu = 1000;")
CLOCKED = page("x' = -k*(x - exp(-time)*sqrt(1 + time)) + tanh(time - 2); x = x0; k = 1; x0 = 1;")

TYPICAL = {
    **{"CL": 0.40, "Q": 0.8, "V1": 3.6, "V2": 2.0, "L": 0.15, "VL": 0.5, "s1": 0.35, "s2": 0.8, "kon": 86.4},
    **{"koff": 4.4, "kint": 0.3, "kdTp": 20.0, "ksTp": 6e-3, "kdTl": 10.0, "ksTl": 0.105, "kTx": 0.5, "k6s": 20.0},
    **{"E6": 8.0, "EC6": 0.01, "kd6": 8.0, "k6t": 2.0, "kd6p": 5.0, "aT": 0.3, "KT": 0.01, "b6": 0.2, "K6": 10.0},
    **{"kP": 0.3, "kS": 0.08, "P50": 0.4, "gam": 2.3, "koS": 0.05, "kX": 0.5, "w1": 5.0, "w2": 5.0},
}


def reference_subjects(names: tuple[str, ...], subjects: int, seed: int = 1) -> tuple[np.ndarray, Events]:
    """Log-normal parameters (subject, parameter) and infliximab 5 mg/kg over 2 h at weeks 0, 2 and 6, jittered."""
    rng = np.random.default_rng(seed)
    p = np.array([TYPICAL[n] for n in names]) * np.exp(0.3 * rng.standard_normal((subjects, len(names))))
    concentration = 5 * 70 / 149.1e3 * 1e6 / p[:, names.index("V1")]
    time = np.array([0.0, 14.0, 42.0]) + np.array([0.0, 1.0, 1.0]) * rng.uniform(-1, 1, (subjects, 3))
    return p, Events(time, [0, 0, 0], concentration[:, None], 1 / 12)
