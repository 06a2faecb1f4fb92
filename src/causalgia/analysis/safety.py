"""Harm in few patients: exact rates for exposure, the rule of three, and Bayesian stopping for toxicity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.analysis.proportions import binomial_pmf
from causalgia.documents.errors import InputError


def exposure_rate(events: ArrayLike, exposure: ArrayLike, alpha: float = 0.05) -> tuple[Array, Array, Array]:
    """Events per unit of exposure (patient-years, say) with exact Poisson limits: χ² quantiles / (2 exposure).

    Lower limit χ²(α/2; 2x)/2T, upper χ²(1 − α/2; 2x + 2)/2T. Arrays broadcast; no exposure gives (NaN, 0, ∞).
    Raises `InputError` unless events are whole numbers of 0 or more and exposure is not negative.
    Source: Garwood (1936), Biometrika 28, 437.

    >>> [round(float(x), 3) for x in exposure_rate(3, 20.0)]
    [0.15, 0.031, 0.438]
    """
    x, T = np.broadcast_arrays(np.asarray(events, dtype=float), np.asarray(exposure, dtype=float))
    wrong = ~((x >= 0) & (x == np.floor(x)) & (T >= 0) & np.isfinite(x + T)) | ((T == 0) & (x > 0))
    if wrong.any():
        where = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise InputError(
            "events", f"{x[where]:g} in {T[where]:g}", "whole numbers of 0 or more, in a positive exposure"
        )
    none = T == 0
    time = np.where(none, 1.0, T)
    lower = np.where(x > 0, special.gammaincinv(np.maximum(x, 1), alpha / 2), 0.0) / time
    upper = special.gammaincinv(x + 1, 1 - alpha / 2) / time
    return np.where(none, np.nan, x / time), np.where(none, 0.0, lower), np.where(none, np.inf, upper)


def rule_of_three(n: ArrayLike, alpha: float = 0.05) -> tuple[Array, Array]:
    """What no event in n patients excludes: the exact upper limit 1 − α^(1/n), and its rule of thumb −log(α)/n ≈ 3/n.

    One-sided, confidence 1 − α; the rule is at most 1. Raises `InputError` for n below 1.
    Source: Hanley and Lippman-Hand (1983), JAMA 249, 1743.

    >>> [round(float(x), 3) for x in rule_of_three(20)]
    [0.139, 0.15]
    """
    n = np.asarray(n, dtype=float)
    if not np.all(n >= 1):
        raise InputError("n", f"{n.min():g}", "at least one patient")
    return -np.expm1(np.log(alpha) / n), np.minimum(-np.log(alpha) / n, 1.0)


@dataclass(frozen=True)
class Stopping:
    """Stop when P(rate > `limit` | data) > `certainty`; the rate has the prior Beta(`prior`).

    >>> Stopping().boundary([8, 12, 16, 20]).tolist()
    [3, 4, 5, 6]
    """

    limit: float = 0.15
    certainty: float = 0.9
    prior: tuple[float, float] = (0.3, 1.7)

    def __post_init__(self) -> None:
        if not (0 < self.limit < 1 and 0 < self.certainty < 1 and min(self.prior) > 0):
            raise InputError("stopping rule", str(self), "limit and certainty between 0 and 1, a prior above 0")

    def probability(self, events: ArrayLike, n: ArrayLike) -> Array:
        """P(rate > limit) after events in n treated; arrays broadcast, counts not above n.

        >>> round(float(Stopping().probability(3, 8)), 3)
        0.904
        """
        x, n = np.asarray(events, dtype=float), np.asarray(n, dtype=float)
        if np.any((x < 0) | (x > n)):
            raise InputError("events", "more than treated, or fewer than 0", "events between 0 and n")
        return special.betaincc(self.prior[0] + x, self.prior[1] + n - x, self.limit)

    def boundary(self, n: ArrayLike) -> NDArray[np.int64]:
        """Fewest events among n treated that stop; n + 1 where none does."""
        sizes = np.asarray(n, dtype=np.int64)
        x = np.arange(int(sizes.max(initial=0)) + 1)
        within = x <= sizes[..., None]
        stops = within & (self.probability(np.where(within, x, 0), sizes[..., None]) > self.certainty)
        return np.where(stops.any(axis=-1), stops.argmax(axis=-1), sizes + 1)

    def monitor(self, events: ArrayLike, looks: Sequence[int]) -> NDArray[np.int64]:
        """Number treated when each trial stops, 0 where it does not; events (..., K) counted by the looks (K,).

        >>> Stopping().monitor([[1, 4, 4], [0, 1, 1]], [8, 12, 16]).tolist()
        [12, 0]
        """
        n = _looks(looks)
        stops = np.asarray(events) >= self.boundary(n)
        return np.where(stops.any(axis=-1), n[stops.argmax(axis=-1)], 0)

    def exits(self, rate: float, looks: Sequence[int]) -> Array:
        """Exact probability (K,) of stopping first at each look when events come at `rate`.

        >>> Stopping().exits(0.1, [8, 12, 16, 20]).round(3).tolist()
        [0.038, 0.009, 0.004, 0.002]
        """
        n = _looks(looks)
        going, exits = np.ones(1), np.zeros(len(n))
        for k, (step, least) in enumerate(zip(np.diff(n, prepend=0), self.boundary(n), strict=True)):
            counts = np.convolve(going, binomial_pmf(int(step), rate))
            exits[k] = counts[least:].sum()
            going = counts[:least]
        return exits


def _looks(looks: Sequence[int]) -> NDArray[np.int64]:
    n = np.asarray(looks, dtype=np.int64)
    if n.ndim != 1 or not n.size or np.any(np.diff(n, prepend=0) < 1):
        raise InputError("looks", str(list(looks)), "rising numbers of treated patients, from 1")
    return n
