"""What one study says, as an estimate with its sampling variance: the input of every pooled analysis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError

Sizes = tuple[Array, Array]


def effect_sizes(
    kind: str, treated: Sequence[ArrayLike], control: Sequence[ArrayLike] | None = None, *, add: float = 0.5
) -> Sizes:
    """Estimates y and sampling variances v (k,) of k studies, treated against control.

    `kind` is a key of `KINDS`. Arms of a score are (mean, sd, n), arms of responders (events, n), each (k,) or scalar;
    "log-odds" describes one arm and takes no control. `add` goes to every cell of a study in which a cell is empty, and
    to no other. The standardised mean difference is Hedges' g = J(m)·(x̄₁ − x̄₀)/s with the pooled sd s, m = n₁ + n₀ − 2,
    J(m) = Γ(m/2) / (√(m/2) Γ((m − 1)/2)) and v = 1/n₁ + 1/n₀ + g²/(2(n₁ + n₀)).
    Raises `InputError` for an unknown kind, impossible counts, sd ≤ 0, n < 2, and means ≤ 0 in a ratio.
    Source: Hedges (1981), J. Educ. Stat. 6, 107; Hedges, Gurevitch and Curtis (1999), Ecology 80, 1150.

    >>> y, v = effect_sizes("log-odds-ratio", (14, 61), (15, 20))
    >>> round(float(y), 4), round(float(v), 4)
    (-2.3097, 0.3594)
    """
    if kind not in KINDS:
        raise InputError("kind", repr(kind), f"one of {', '.join(KINDS)}")
    if kind == "log-odds":
        if control is not None:
            raise InputError("control", "a second arm", "none for log-odds, which describes one arm")
        return _log_odds(*_counts(treated, add))
    if control is None:
        raise InputError("control", "nothing", f"the second arm of a {kind}")
    if kind in MEANS:
        return MEANS[kind](*_scores(treated), *_scores(control))
    return RESPONDERS[kind](*counts(treated, control, add))


def counts(
    treated: Sequence[ArrayLike], control: Sequence[ArrayLike], add: float = 0.0
) -> tuple[Array, Array, Array, Array]:
    """Cells (a, b, c, d): events and others, treated and control, with `add` to each where one of the four is zero."""
    cells = np.stack(np.broadcast_arrays(*_counts(treated, 0.0), *_counts(control, 0.0)))
    a, b, c, d = cells + add * (cells == 0).any(axis=0)
    return a, b, c, d


def _mean_difference(m1: Array, s1: Array, n1: Array, m0: Array, s0: Array, n0: Array) -> Sizes:
    return m1 - m0, s1**2 / n1 + s0**2 / n0


def _standardised(m1: Array, s1: Array, n1: Array, m0: Array, s0: Array, n0: Array) -> Sizes:
    m = n1 + n0 - 2
    pooled = np.sqrt(((n1 - 1) * s1**2 + (n0 - 1) * s0**2) / m)
    J = np.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / np.sqrt(m / 2)
    g = J * (m1 - m0) / pooled
    return g, 1 / n1 + 1 / n0 + g**2 / (2 * (n1 + n0))


def _ratio_of_means(m1: Array, s1: Array, n1: Array, m0: Array, s0: Array, n0: Array) -> Sizes:
    if np.any(m1 <= 0) or np.any(m0 <= 0):
        raise InputError("means", f"{np.min([m1.min(), m0.min()]):g}", "means above 0 for a ratio of means")
    return np.log(m1 / m0), s1**2 / (n1 * m1**2) + s0**2 / (n0 * m0**2)


def _log_odds_ratio(a: Array, b: Array, c: Array, d: Array) -> Sizes:
    return np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d


def _log_risk_ratio(a: Array, b: Array, c: Array, d: Array) -> Sizes:
    return np.log(a / (a + b)) - np.log(c / (c + d)), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def _risk_difference(a: Array, b: Array, c: Array, d: Array) -> Sizes:
    return a / (a + b) - c / (c + d), a * b / (a + b) ** 3 + c * d / (c + d) ** 3


def _log_odds(a: Array, b: Array) -> Sizes:
    return np.log(a / b), 1 / a + 1 / b


MEANS: dict[str, Callable[..., Sizes]] = {
    "mean-difference": _mean_difference,
    "standardised-mean-difference": _standardised,
    "log-ratio-of-means": _ratio_of_means,
}
RESPONDERS: dict[str, Callable[..., Sizes]] = {
    "log-odds-ratio": _log_odds_ratio,
    "log-risk-ratio": _log_risk_ratio,
    "risk-difference": _risk_difference,
}
KINDS = (*MEANS, *RESPONDERS, "log-odds")


def _scores(arm: Sequence[ArrayLike]) -> tuple[Array, Array, Array]:
    mean, sd, n = _columns(arm, "(mean, sd, n)")
    if not (np.all(np.isfinite(mean)) and np.all(sd > 0) and np.all(n >= 2)):
        raise InputError("arm", "an impossible mean, sd or n", "finite means, sd above 0 and at least 2 subjects")
    return mean, sd, n


def _counts(arm: Sequence[ArrayLike], add: float) -> tuple[Array, Array]:
    events, n = _columns(arm, "(events, n)")
    if not (np.all(events >= 0) and np.all(events <= n) and np.all(n > 0)):
        raise InputError("arm", "impossible counts", "events between 0 and n, and n above 0")
    empty = add * ((events == 0) | (events == n))
    return events + empty, n - events + empty


def _columns(arm: Sequence[ArrayLike], names: str) -> list[Array]:
    columns = [np.asarray(column, dtype=float) for column in arm]
    if len(columns) != names.count(",") + 1:
        raise InputError("arm", f"{len(columns)} columns", names)
    return columns
