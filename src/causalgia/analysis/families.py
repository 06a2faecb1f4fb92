"""Conjugate families, each with parameters (a, b), data (value, size) and a map of its parameter θ to the line η."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy import special, stats

from causalgia.analysis.estimates import Array


class Family(Protocol):
    """Functions of one conjugate family; arrays broadcast, parameters and data are trusted.

    `curves` gives log p(θ) and its first and second derivative in θ times J and J², J = dθ/dη: bounded near the edges.
    `predictive` is the distribution (SciPy) of the data's value; `subjects` what moments are worth in subjects.
    """

    parameters: str
    data: str

    def proper(self, a: Array, b: Array) -> bool: ...
    def possible(self, value: float, size: float) -> bool: ...
    def cdf(self, x: Array, a: Array, b: Array) -> Array: ...
    def quantile(self, probability: Array, a: Array, b: Array) -> Array: ...
    def moments(self, a: Array, b: Array) -> tuple[Array, Array]: ...
    def subjects(self, mean: float, variance: float, sd: float) -> float: ...
    def update(self, a: Array, b: Array, value: float, size: float) -> tuple[Array, Array]: ...
    def predictive(self, a: Array, b: Array, size: float) -> Any: ...
    def to_line(self, theta: Array) -> Array: ...
    def from_line(self, eta: Array) -> Array: ...
    def curves(self, eta: Array, a: Array, b: Array) -> tuple[Array, Array, Array]: ...


class Normal:
    """θ ~ N(a, b²); the value is an estimate of θ and the size its standard error."""

    parameters = "(mean, sd) with sd above 0"
    data = "an estimate and a standard error above 0"

    def proper(self, a: Array, b: Array) -> bool:
        return bool(np.all(b > 0))

    def possible(self, value: float, size: float) -> bool:
        return size > 0

    def cdf(self, x: Array, a: Array, b: Array) -> Array:
        return special.ndtr((x - a) / b)

    def quantile(self, probability: Array, a: Array, b: Array) -> Array:
        return a + b * special.ndtri(probability)

    def moments(self, a: Array, b: Array) -> tuple[Array, Array]:
        return a, b**2

    def subjects(self, mean: float, variance: float, sd: float) -> float:
        return sd**2 / variance

    def update(self, a: Array, b: Array, value: float, size: float) -> tuple[Array, Array]:
        share = b**2 / (b**2 + size**2)
        return a + share * (value - a), size * np.sqrt(share)

    def predictive(self, a: Array, b: Array, size: float) -> Any:
        return stats.norm(a, np.hypot(b, size))

    def to_line(self, theta: Array) -> Array:
        return theta

    def from_line(self, eta: Array) -> Array:
        return eta

    def curves(self, eta: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
        z = (eta - a) / b
        return -0.5 * z**2 - np.log(b * np.sqrt(2 * np.pi)), -z / b, np.broadcast_to(-1 / b**2, z.shape)


class Beta:
    """θ ~ Beta(a, b), a probability; the value counts events among size subjects; η = logit θ."""

    parameters = "(a, b), both above 0"
    data = "a whole number of events between 0 and n, and n above 0"

    def proper(self, a: Array, b: Array) -> bool:
        return bool(np.all(a > 0) and np.all(b > 0))

    def possible(self, value: float, size: float) -> bool:
        return 0 <= value <= size and size > 0 and value == int(value) and size == int(size)

    def cdf(self, x: Array, a: Array, b: Array) -> Array:
        return special.betainc(a, b, np.clip(x, 0, 1))

    def quantile(self, probability: Array, a: Array, b: Array) -> Array:
        return special.betaincinv(a, b, probability)

    def moments(self, a: Array, b: Array) -> tuple[Array, Array]:
        return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))

    def subjects(self, mean: float, variance: float, sd: float) -> float:
        return mean * (1 - mean) / variance - 1

    def update(self, a: Array, b: Array, value: float, size: float) -> tuple[Array, Array]:
        return a + value, b + size - value

    def predictive(self, a: Array, b: Array, size: float) -> Any:
        return stats.betabinom(int(size), a, b)

    def to_line(self, theta: Array) -> Array:
        return special.logit(theta)

    def from_line(self, eta: Array) -> Array:
        return special.expit(eta)

    def curves(self, eta: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
        x, y = special.expit(eta), special.expit(-eta)
        log_p = (a - 1) * special.log_expit(eta) + (b - 1) * special.log_expit(-eta) - special.betaln(a, b)
        return log_p, (a - 1) * y - (b - 1) * x, -(a - 1) * y**2 - (b - 1) * x**2


class Gamma:
    """θ ~ Gamma(shape a, rate b), events per unit of exposure; the value counts events in size exposure; η = log θ."""

    parameters = "(shape, rate), both above 0"
    data = "a whole number of events and an exposure above 0"

    def proper(self, a: Array, b: Array) -> bool:
        return bool(np.all(a > 0) and np.all(b > 0))

    def possible(self, value: float, size: float) -> bool:
        return value >= 0 and value == int(value) and size > 0

    def cdf(self, x: Array, a: Array, b: Array) -> Array:
        return special.gammainc(a, b * np.maximum(x, 0))

    def quantile(self, probability: Array, a: Array, b: Array) -> Array:
        return special.gammaincinv(a, probability) / b

    def moments(self, a: Array, b: Array) -> tuple[Array, Array]:
        return a / b, a / b**2

    def subjects(self, mean: float, variance: float, sd: float) -> float:
        return mean / variance

    def update(self, a: Array, b: Array, value: float, size: float) -> tuple[Array, Array]:
        return a + value, b + size

    def predictive(self, a: Array, b: Array, size: float) -> Any:
        return stats.nbinom(a, b / (b + size))

    def to_line(self, theta: Array) -> Array:
        return np.log(theta)

    def from_line(self, eta: Array) -> Array:
        return np.exp(eta)

    def curves(self, eta: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
        theta = np.exp(eta)
        log_p = a * np.log(b) + (a - 1) * eta - b * theta - special.gammaln(a)
        return log_p, (a - 1) - b * theta, np.broadcast_to(-(a - 1), theta.shape)


FAMILIES: dict[str, Family] = {"normal": Normal(), "beta": Beta(), "gamma": Gamma()}
