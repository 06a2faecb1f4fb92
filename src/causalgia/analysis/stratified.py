"""Odds ratios pooled over 2 × 2 tables without a model for each table: Mantel-Haenszel and Peto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.effect_sizes import counts, effect_sizes
from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

Test = tuple[float, float]
"""A χ² statistic and its p."""


@dataclass(frozen=True)
class CommonOdds:
    """A common log odds ratio with its normal interval, and the χ² for heterogeneity `q` between the tables.

    `association` is the Cochran-Mantel-Haenszel test with continuity correction, `tarone` Tarone's corrected test that
    the odds ratios are equal: (statistic, p), both None after Peto's method. `k` tables carried information.
    """

    estimate: float
    se: float
    lower: float
    upper: float
    p: float
    q: float
    q_p: float
    k: int
    association: Test | None = None
    tarone: Test | None = None


def mantel_haenszel(treated: Sequence[ArrayLike], control: Sequence[ArrayLike], *, alpha: float = 0.05) -> CommonOdds:
    """The Mantel-Haenszel log odds ratio log(Σ aᵢdᵢ/Nᵢ / Σ bᵢcᵢ/Nᵢ) of arms (events, n), each (k,).

    Standard error by Robins, Breslow and Greenland (1986), Biometrics 42, 311; Tarone (1985), Biometrika 72, 91.
    Needs no correction for empty cells (q uses 0.5 in such tables). Raises `InputError` for impossible counts and where
    the tables together leave the odds ratio at 0 or infinity.

    >>> round(mantel_haenszel(([4, 6], [123, 306]), ([11, 29], [139, 303])).estimate, 4)
    -1.4215
    """
    a, b, c, d = (np.atleast_1d(x) for x in counts(treated, control))
    N = a + b + c + d
    R, S = a * d / N, b * c / N
    if not (R.sum() > 0 and S.sum() > 0):
        raise InputError("tables", "no events on one diagonal", "events and non-events in both arms, over all tables")
    P, Q = (a + d) / N, (b + c) / N
    estimate = np.log(R.sum() / S.sum())
    variance = (
        (P * R).sum() / (2 * R.sum() ** 2)
        + (P * S + Q * R).sum() / (2 * R.sum() * S.sum())
        + (Q * S).sum() / (2 * S.sum() ** 2)
    )
    told = _informative(a, b, c, d)
    y, v = effect_sizes("log-odds-ratio", (a[told], (a + b)[told]), (c[told], (c + d)[told]))
    q = float(((y - estimate) ** 2 / v).sum())
    return _common(
        float(estimate), float(np.sqrt(variance)), q, int(told.sum()), alpha, _association(a, b, c, d),
        _tarone(float(np.exp(estimate)), a[told], b[told], c[told], d[told]),
    )  # fmt: skip


def peto(treated: Sequence[ArrayLike], control: Sequence[ArrayLike], *, alpha: float = 0.05) -> CommonOdds:
    """Peto's one-step log odds ratio Σ(Oᵢ − Eᵢ)/ΣVᵢ with standard error 1/√ΣVᵢ, arms (events, n), each (k,).

    O events of the treated, E and V their hypergeometric mean and variance. Biased for large effects and for unequal
    arms. Raises `InputError` for impossible counts and where no table has both events and non-events.
    Source: Yusuf et al. (1985), Prog. Cardiovasc. Dis. 27, 335.

    >>> round(peto(([4, 6], [123, 306]), ([11, 29], [139, 303])).estimate, 4)
    -1.2401
    """
    excess, V = _hypergeometric(*(np.atleast_1d(x) for x in counts(treated, control)))
    told = V > 0
    if not told.any():
        raise InputError("tables", "no table with events and non-events", "at least one")
    excess, V = excess[told], V[told]
    q = float((excess**2 / V).sum() - excess.sum() ** 2 / V.sum())
    return _common(float(excess.sum() / V.sum()), float(1 / np.sqrt(V.sum())), q, int(told.sum()), alpha)


def _common(
    estimate: float, se: float, q: float, k: int, alpha: float, association: Test | None = None,
    tarone: Test | None = None,
) -> CommonOdds:  # fmt: skip
    half = float(special.ndtri(1 - alpha / 2)) * se
    p = float(2 * special.ndtr(-abs(estimate / se)))
    return CommonOdds(estimate, se, estimate - half, estimate + half, p, *_chi2(q, k - 1), k, association, tarone)


def _informative(a: Array, b: Array, c: Array, d: Array) -> np.ndarray:
    return (a + c > 0) & (b + d > 0)


def _hypergeometric(a: Array, b: Array, c: Array, d: Array) -> tuple[Array, Array]:
    N = a + b + c + d
    V = (a + b) * (c + d) * (a + c) * (b + d) / (N**2 * np.maximum(N - 1, 1))
    return a - (a + b) * (a + c) / N, V


def _association(a: Array, b: Array, c: Array, d: Array) -> Test:
    excess, V = _hypergeometric(a, b, c, d)
    return _chi2(float(np.maximum(abs(excess.sum()) - 0.5, 0) ** 2 / V.sum()), 1)


def _tarone(ratio: float, a: Array, b: Array, c: Array, d: Array) -> Test:
    """Cells expected under a common odds ratio, â the root of â(d̂) = ratio·b̂ĉ with all margins kept."""
    n1, n0, events = a + b, c + d, a + c
    linear = ratio * (n1 + events) + n0 - events
    root = np.sqrt(linear**2 - 4 * ratio * (ratio - 1) * n1 * events)
    fitted = 2 * ratio * n1 * events / (linear + root)
    V = 1 / (1 / fitted + 1 / (n1 - fitted) + 1 / (events - fitted) + 1 / (n0 - events + fitted))
    return _chi2(float(((a - fitted) ** 2 / V).sum() - (a - fitted).sum() ** 2 / V.sum()), len(a) - 1)


def _chi2(statistic: float, df: int) -> Test:
    return statistic, float(special.chdtrc(df, max(statistic, 0.0))) if df > 0 else 1.0
