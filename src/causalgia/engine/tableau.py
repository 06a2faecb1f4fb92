"""Rodas5P: eight stages, order 5 with an embedded order 4, stiffly accurate, L-stable, one LU a step.

Steinebach (2023), BIT Numerical Mathematics 63:27, table 2, in the form of Hairer & Wanner, *Solving ordinary
differential equations II*, equation IV.7.25, that needs no product with the Jacobian:

    (I/(hγ) − J) k_i = f(t + α_i h, y + Σ_j A_ij k_j) + Σ_j C_ij k_j / h + h γ_i ∂f/∂t,      y₁ = y + Σ_j A_8j k_j + k_8

and k_8 estimates the error. α and γ_i follow from A, C and γ, and are computed here so that they cannot disagree.
"""

from __future__ import annotations

import numpy as np

GAMMA = 0.21193756319429014
ORDER = 5
_A6 = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)
A: tuple[tuple[float, ...], ...] = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    _A6,
    (*_A6, 1.0),
    (*_A6, 1.0, 1.0),
)
C: tuple[tuple[float, ...], ...] = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (
        30.91273214028599,
        -3.1208243349937974,
        77.79954646070892,
        34.28646028294783,
        -19.097331116725623,
        -28.087943162872662,
    ),
    (
        37.80277123390563,
        -3.2571969029072276,
        112.26918849496327,
        66.9347231244047,
        -40.06618937091002,
        -54.66780262877968,
        -9.48861652309627,
    ),
)
STAGES = len(A)


def _lower(rows: tuple[tuple[float, ...], ...]) -> np.ndarray:
    return np.array([[*row, *[0.0] * (STAGES - len(row))] for row in rows])


_GAMMAS = np.linalg.inv(np.eye(STAGES) / GAMMA - _lower(C))
ALPHA = tuple((_lower(A) @ _GAMMAS).sum(axis=1).round(13).tolist())
GAMMA_SUM = tuple((_GAMMAS.sum(axis=1).round(13) + 0.0).tolist())

# Step control
SAFETY, SHRINK, GROWTH = 0.9, 0.15, 6.0  # of the step size, per step
RESTART = 1e-3  # first step after a start or an event, as a share of the way to the next record
NEARLY = 0.9999999  # a step that falls this short of the next record goes all the way
SHORTEST = 1e-200  # a step of which the reciprocal is still a number: records may stand closer
SMALLEST = 1e-14  # step over time at which a rejected step is a failure
REJECT, EXACT = 1e10, 1e-20  # mean squared errors that stand for a non-finite one, and for none
PEAK_FRACTION = 1e-4  # of a state's largest value so far, below which its error is absolute
