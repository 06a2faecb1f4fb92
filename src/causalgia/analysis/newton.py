"""Newton's method on many small likelihoods at once, each with its own damping and its own end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array
from causalgia.analysis.moments import PIVOT, eliminate

Lanes = NDArray[np.intp]
Evaluate = Callable[[Lanes, Array], tuple[Array, Array, Array]]
"""(lanes, parameters (d, lanes)) → log likelihood, gradient (d, lanes), negative Hessian (d, d, lanes)."""

EXACT = 1e-18
"""Stop before the step that would gain less than half of this in log likelihood: exact to rounding."""


@dataclass(frozen=True)
class Maximum:
    """Parameters (d, L), the observed information (d, d, L) there, and whether each lane converged."""

    parameters: Array
    information: Array
    converged: NDArray[np.bool_]


def maximise(
    evaluate: Evaluate, start: Array, scale: Array, precision: float = EXACT, iterations: int = 100
) -> Maximum:
    """Maximise one log likelihood per lane from `start` (d, L) by damped Newton (Levenberg) steps.

    `evaluate` returns −inf outside the domain. `scale` (d, L) is what the information of a coordinate is compared with:
    below `PIVOT` of it the coordinate stays where it is (a dependent covariate, or a direction in which the likelihood
    has become flat because it rises for ever). It ends after the step that would gain less than half of `precision`;
    the information is that before this step. The damping is λ·scale on the diagonal, zero as long as steps succeed.
    """
    x = start.copy()
    L = x.shape[1]
    value, gradient, information = evaluate(np.arange(L), x)
    damping, converged = np.zeros(L), np.zeros(L, dtype=bool)
    active = np.flatnonzero(np.isfinite(value))
    for _ in range(iterations):
        at = (gradient[:, active], information[:, :, active], scale[:, active], damping[active])
        step, gain, definite = newton_step(*at)
        done = definite & (gain < precision) & (damping[active] == 0)
        trial = x[:, active] + step
        x[:, active[done]] = trial[:, done]
        converged[active[done]] = True
        tried = definite & ~done
        lanes, trial = active[tried], trial[:, tried]
        better = np.zeros(len(active), dtype=bool)
        if len(lanes):
            v, g, info = evaluate(lanes, trial)
            gained = v >= value[lanes] - 1e-13 * (1 + np.abs(value[lanes]))  # rounding of the sum is no loss
            better[tried] = gained
            moved = lanes[gained]
            x[:, moved], value[moved] = trial[:, gained], v[gained]
            gradient[:, moved], information[:, :, moved] = g[:, gained], info[:, :, gained]
        old = damping[active]
        damping[active] = np.where(better, np.where(old > 1e-3, old / 10, 0), np.maximum(10 * old, 1e-3))
        active = active[~done]
        if not len(active):
            break
    return Maximum(x, information, converged)


def newton_step(
    gradient: Array, information: Array, scale: Array, damping: Array
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Solve (information + damping·scale) step = gradient (d, L); also gradient·step, and which lanes are definite."""
    d = len(gradient)
    augmented = np.zeros((d + 1, d + 1, gradient.shape[1]))
    augmented[:d, :d] = information
    augmented[range(d), range(d)] += damping * scale
    augmented[:d, d] = gradient
    U, kept = eliminate(augmented, d, scale)
    definite = np.all(U[range(d), range(d)] > -PIVOT * scale - np.finfo(float).tiny, axis=0)
    step = np.zeros_like(gradient)
    for k in range(d - 1, -1, -1):
        rest = U[k, d].copy()
        for j in range(k + 1, d):  # one by one: NumPy sums a single lane in another order than many
            rest -= U[k, j] * step[j]
        step[k] = np.where(kept[k], rest / np.where(kept[k], U[k, k], 1), 0)
    return step, -U[d, d], definite
