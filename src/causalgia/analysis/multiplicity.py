"""Several hypotheses, one error rate: graphical and closed tests, Simes, fixed sequence, a subgroup within the whole.

Adjusted p-values (..., m) of m hypotheses: one of α or less is a rejection at familywise error α in the strong sense.
A p that is NaN (no estimate) counts as 1: its hypothesis is not rejected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.analysis.tails import bivariate_cdf
from causalgia.documents.errors import InputError

TINY = 1e-12
"""A weight that counts as none."""
MOST = 12
"""Hypotheses up to which all intersections are tested one by one."""


def fixed_sequence(p: ArrayLike) -> Array:
    """Adjusted p of hypotheses tested in their order, each only after the one before: the largest p so far.

    >>> fixed_sequence([0.01, 0.04, 0.02]).tolist()
    [0.01, 0.04, 0.04]
    """
    return np.maximum.accumulate(_p_values(p), axis=-1)


def simes(p: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """p (...,) of the hypothesis that all of (..., m) are true: minⱼ p₍ⱼ₎ / Wⱼ.

    Wⱼ sums the weights of the j smallest p, 1/m each by default.
    Holds its level for independent and for positively dependent statistics. Raises `InputError` for weights that are
    negative or sum to more than 1. Source: Simes (1986), Biometrika 73, 751; weighted: Benjamini and Hochberg (1997).

    >>> float(simes([0.02, 0.03, 0.9]))
    0.045
    """
    p = _p_values(p)
    m = p.shape[-1]
    w = _weights(np.full(m, 1 / m) if weights is None else weights, m)
    order = np.argsort(p, axis=-1, kind="stable")
    total = np.cumsum(w[order], axis=-1)
    ranked = np.take_along_axis(p, order, axis=-1)
    return np.minimum(np.where(total > TINY, ranked / np.where(total > TINY, total, 1), 1.0).min(axis=-1), 1.0)


def graphical(p: ArrayLike, weights: ArrayLike, transitions: ArrayLike) -> Array:
    """Adjusted p of the graphical procedure, p (..., m), each intersection tested by weighted Bonferroni.

    Weights (m,) share α out; a rejected hypothesis i passes its share on along `transitions` (m, m): wⱼ + wᵢgᵢⱼ, and
    gⱼₖ becomes (gⱼₖ + gⱼᵢgᵢₖ)/(1 − gⱼᵢgᵢⱼ). Raises `InputError` for weights or rows that are negative or sum to more
    than 1, and for a diagonal that is not 0. Source: Bretz et al. (2009), Statist. Med. 28, 586, algorithm 2.

    >>> graphical([0.01, 0.04, 0.02], [0.5, 0.5, 0], [[0, 0, 1], [0, 0, 1], [0, 1, 0]]).tolist()
    [0.02, 0.04, 0.04]
    """
    p = _p_values(p)
    m = p.shape[-1]
    w, G = _graph(weights, transitions, m)
    flat = p.reshape(-1, m)
    rows = np.arange(len(flat))
    w, G = np.repeat(w[None], len(flat), axis=0), np.repeat(G[None], len(flat), axis=0)
    left, adjusted, floor = np.ones(flat.shape, dtype=bool), np.empty(flat.shape), np.zeros(len(flat))
    for _ in range(m):
        ratio = np.where(left & (w > TINY), flat / np.where(w > TINY, w, 1), np.inf)
        # Where nothing has a weight the rest cannot be rejected; any of it then comes next, with p = 1.
        i = np.where(np.isfinite(ratio).any(axis=1), ratio.argmin(axis=1), left.argmax(axis=1))
        floor = np.maximum(floor, np.minimum(ratio[rows, i], 1.0))
        adjusted[rows, i] = floor
        left[rows, i] = False
        w, G = _pass_on(w, G, i)
    return adjusted.reshape(p.shape)


def closed_graphical(p: ArrayLike, weights: ArrayLike, transitions: ArrayLike, *, test: str = "simes") -> Array:
    """Adjusted p of the closed test whose intersections have the graph's weights, tested by "simes" or "bonferroni".

    Simes rejects more, given independent or positively dependent statistics; "bonferroni" equals `graphical`. At most
    `MOST` hypotheses; else and for another test raises `InputError`.
    Source: Bretz et al. (2011), Biom. J. 53, 894; Lu (2016), Statist. Med. 35, 4041.

    >>> holm = [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    >>> closed_graphical([0.03, 0.04, 0.045], [1 / 3, 1 / 3, 1 / 3], holm).round(3).tolist()
    [0.045, 0.045, 0.045]
    """
    p = _p_values(p)
    m = p.shape[-1]
    w, G = _graph(weights, transitions, m)
    if test not in ("simes", "bonferroni"):
        raise InputError("test", repr(test), "simes or bonferroni")
    if m > MOST:
        raise InputError("hypotheses", str(m), f"at most {MOST}", "Use graphical.")
    adjusted = np.zeros(p.shape)
    for members, share in _intersections(w, G).items():
        some = list(members)
        if test == "simes":
            joint = simes(p[..., some], share[some])
        else:
            weighted = [j for j in some if share[j] > TINY]
            joint = np.minimum((p[..., weighted] / share[weighted]).min(axis=-1, initial=np.inf), 1.0)
        adjusted[..., some] = np.maximum(adjusted[..., some], joint[..., None])
    return adjusted


def subgroup_level(fraction: float, *, alpha: float = 0.025, alpha_full: float = 0.02) -> float:
    """Level for a subgroup, beside `alpha_full` for the whole that holds it, at which one-sided α is used up.

    P(Z ≥ z₁₋ₐ_full or Z_S ≥ z₁₋ₐ_S) = α, correlation √`fraction`: the subgroup's share of the information. More than
    the Bonferroni remainder α − α_full. Raises `InputError` unless 0 < alpha_full < alpha and 0 < fraction < 1.
    Source: Spiessens and Debois (2010), Contemp. Clin. Trials 31, 647.

    >>> round(subgroup_level(0.5, alpha=0.025, alpha_full=0.02), 5)
    0.00869
    """
    from scipy.optimize import brentq  # slow to import

    if not (0 < alpha_full < alpha < 0.5 and 0 < fraction < 1):
        found = f"{alpha_full:g} of {alpha:g} with fraction {fraction:g}"
        raise InputError("levels", found, "0 < alpha_full < alpha and 0 < fraction < 1")
    full = special.ndtri(1 - alpha_full)

    def excess(z: float) -> float:
        return 1 - float(_both_below(full, z, fraction)) - alpha

    return float(special.ndtr(-brentq(excess, 0.0, special.ndtri(1 - (alpha - alpha_full)), xtol=1e-13)))


def nested_p(z_full: ArrayLike, z_subgroup: ArrayLike, fraction: float, *, weight_full: float = 0.5) -> Array:
    """p (...,) of the hypothesis of no effect in the whole or the subgroup: P(min(P/w, P_S/(1 − w)) as small as seen).

    One-sided, with the correlation √`fraction` of nested groups, so less conservative than Bonferroni; the intersection
    of a closed test, also stage by stage before `inverse_normal`. Raises `InputError` unless both lie between 0 and 1.
    Source: Spiessens and Debois (2010); Jenkins, Stone and Jennison (2011), Pharm. Stat. 10, 347.

    >>> round(float(nested_p(2.2, 2.0, 0.5)), 4)
    0.0237
    """
    if not (0 < fraction < 1 and 0 < weight_full < 1):
        raise InputError("fraction, weight_full", f"{fraction:g}, {weight_full:g}", "values between 0 and 1")
    p, p_sub = (special.ndtr(-np.asarray(z, dtype=float)) for z in (z_full, z_subgroup))
    q = np.minimum(p / weight_full, p_sub / (1 - weight_full))
    # Beyond q = 1/max(w) one of the two is certain.
    bounds = (-special.ndtri(np.minimum(w * q, 1.0)) for w in (weight_full, 1 - weight_full))
    h, k = (np.clip(bound, -37.0, 37.0) for bound in bounds)
    return np.clip(1 - _both_below(h, k, fraction), 0.0, 1.0)


def nested_test(
    z_full: ArrayLike, z_subgroup: ArrayLike, fraction: float, *, alpha: float = 0.025, alpha_full: float = 0.02
) -> tuple[Array, Array]:
    """Closed test of the whole and a subgroup within it: who is rejected, boolean (...,) each.

    The intersection falls when P ≤ `alpha_full` or P_S ≤ `subgroup_level`; then each hypothesis is tested at α alone.
    Raises `InputError` as `subgroup_level`.

    >>> [bool(x) for x in nested_test(1.8, 2.6, 0.5)]
    [False, True]
    """
    level = subgroup_level(fraction, alpha=alpha, alpha_full=alpha_full)
    p, p_sub = (special.ndtr(-np.asarray(z, dtype=float)) for z in (z_full, z_subgroup))
    both = (p <= alpha_full) | (p_sub <= level)
    return both & (p <= alpha), both & (p_sub <= alpha)


def _both_below(h: ArrayLike, k: ArrayLike, fraction: float) -> Array:
    return bivariate_cdf(np.asarray(h, dtype=float), np.asarray(k, dtype=float), np.arctanh(np.sqrt(fraction)))


def _pass_on(w: Array, G: Array, i: Array) -> tuple[Array, Array]:
    """The graphs (R, m), (R, m, m) after hypothesis i (R,) of each is taken out."""
    rows, m = np.arange(len(w)), w.shape[1]
    into, out = G[rows, :, i], G[rows, i, :]
    w = w + w[rows, i][:, None] * out
    w[rows, i] = 0.0
    room = 1 - (into * out)[:, :, None]
    G = np.where(room > 1e-12, (G + into[:, :, None] * out[:, None, :]) / np.where(room > 1e-12, room, 1), 0.0)
    G[rows, i, :] = 0.0
    G[rows, :, i] = 0.0
    G[:, np.arange(m), np.arange(m)] = 0.0
    return w, G


def _intersections(w: Array, G: Array) -> dict[tuple[int, ...], Array]:
    """The weights (m,) of every intersection of hypotheses, by its members."""
    everybody = tuple(range(len(w)))
    graphs = {everybody: (w, G)}
    waiting = [everybody]
    for members in waiting:  # grows while it is read
        for i in members:
            fewer = tuple(j for j in members if j != i)
            if fewer and fewer not in graphs:
                share, arrows = graphs[members]
                share, arrows = _pass_on(share[None], arrows[None], np.array([i]))
                graphs[fewer] = (share[0], arrows[0])
                waiting.append(fewer)
    return {members: share for members, (share, _) in graphs.items()}


def _p_values(p: ArrayLike) -> Array:
    p = np.asarray(p, dtype=float)
    p = np.where(np.isnan(p), 1.0, p)
    if p.ndim == 0 or p.shape[-1] == 0 or not np.all((p >= 0) & (p <= 1)):
        raise InputError("p", "values that are no probabilities, or none", "p-values (..., m) between 0 and 1")
    return p


def _weights(weights: ArrayLike, m: int) -> Array:
    w = np.asarray(weights, dtype=float)
    if w.shape != (m,) or not np.all(w >= 0) or w.sum() > 1 + 1e-9:
        raise InputError("weights", str(w.tolist()), f"{m} weights of 0 or more with a sum of at most 1")
    return w


def _graph(weights: ArrayLike, transitions: ArrayLike, m: int) -> tuple[Array, Array]:
    w, G = _weights(weights, m), np.asarray(transitions, dtype=float)
    fits = G.shape == (m, m) and np.all(G >= 0) and np.all(G.sum(axis=1) <= 1 + 1e-9)
    if not fits or np.any(np.diag(G) != 0):
        raise InputError("transitions", str(G.tolist()), f"({m}, {m}), 0 on the diagonal, rows that sum to at most 1")
    return w, G
