"""A cheap stand-in for the simulator: every statistic as a smooth function of the parameters, with its own error."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

# Ridge penalties tried for each statistic.
PENALTIES = np.logspace(-3, 4, 29)
# A Gaussian process is used where its error is below this share of the quadratic's.
WORTH = 0.9
# What is tried for it: length scales, and noise over signal.
LENGTHS = (1.5, 2.5, 4.0)
NUGGETS = (0.003, 0.03, 0.2)
# An axis counts at least this much beside the one that matters most; and the straight line beside the bumps.
LEAST = 0.1
LINE = 0.3


@dataclass(frozen=True)
class Emulator:
    """Statistics (target,) as functions of points (axis,), one a statistic on its own axes.

    Either a quadratic ridge regression, s(z) = a + b·z + Σ_i≤j c_ij z_i z_j, or a Gaussian process. `variance`
    (target,) is the leave-one-out error, which takes part in the likelihood.
    """

    quadratics: tuple[Quadratic, ...]
    processes: dict[int, Process]
    variance: np.ndarray
    axes: tuple[np.ndarray, ...]

    @classmethod
    def fit(cls, points: np.ndarray, statistics: np.ndarray, axes: list[np.ndarray], judged: np.ndarray) -> Emulator:
        """Fits every statistic (point, target) at points (point, axis) on its `axes`, indices.

        The error is that of the points `judged` (point,), where the emulator will be used. Points with a missing
        statistic are left out of it.
        """
        variance = np.empty(statistics.shape[1])
        quadratics, processes = [], {}
        for key in dict.fromkeys(tuple(each) for each in axes):
            mine = np.array([k for k in range(len(axes)) if tuple(axes[k]) == key])
            known = np.isfinite(statistics[:, mine]).all(axis=1)
            z, weigh = points[known][:, key], judged[known]
            quadratic, errors = _quadratic(z, statistics[known][:, mine], mine, np.array(key))
            variance[mine] = np.mean(errors[weigh] ** 2, axis=0)
            for k in mine:
                process, left = _process(z, statistics[known, k], np.array(key))
                error = float(np.mean(left[weigh] ** 2))
                if error < WORTH**2 * variance[k]:
                    processes[int(k)], variance[k] = process, error
            quadratics.append(quadratic.without(processes))
        return cls(tuple(quadratics), processes, variance, tuple(axes))

    def predict(self, points: np.ndarray) -> np.ndarray:
        """Statistics (..., target) at points (..., axis)."""
        return self.pull(points)[0]

    def pull(self, points: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """Statistics (..., target) at points (..., axis), and the function that turns slopes of anything along them
        (..., target) into its slopes along the axes (..., axis).
        """
        flat = points.reshape(-1, points.shape[-1])
        result = np.empty((len(flat), len(self.variance)))
        parts = []
        for form in self.quadratics:
            result[:, form.targets], slopes = form.pull(flat)
            parts.append((form.targets, form.axes, slopes))
        for k, process in self.processes.items():
            result[:, [k]], slopes = process.pull(flat)
            parts.append((np.array([k]), process.axes, slopes))

        def pulled(along: np.ndarray) -> np.ndarray:
            given, total = along.reshape(len(flat), -1), np.zeros_like(flat)
            for targets, axes, slopes in parts:
                total[:, axes] += slopes(given[:, targets])
            return total.reshape(points.shape)

        return result.reshape(*points.shape[:-1], -1), pulled


@dataclass(frozen=True)
class Quadratic:
    """Statistics that depend on the same axes: their coefficients (feature, target)."""

    targets: np.ndarray
    axes: np.ndarray
    coefficients: np.ndarray

    def without(self, others: Collection[int]) -> Quadratic:
        """The same for its other targets."""
        left = np.array([k not in others for k in self.targets])
        return Quadratic(self.targets[left], self.axes, self.coefficients[:, left])

    def pull(self, points: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """As `Emulator.pull`, of points (point, axis) and its own targets and axes."""
        z, n = points[:, self.axes], len(self.axes)
        rows, columns = np.triu_indices(n)
        form = np.zeros((len(self.targets), n, n))
        form[:, rows, columns] = self.coefficients[1 + n :].T
        form += form.transpose(0, 2, 1)

        def slopes(along: np.ndarray) -> np.ndarray:
            mixed = (along @ form.reshape(len(form), n * n)).reshape(len(along), n, n)
            return along @ self.coefficients[1 : 1 + n].T + (mixed @ z[..., None])[..., 0]

        return _features(z) @ self.coefficients, slopes


@dataclass(frozen=True)
class Process:
    """A Gaussian process on scaled axes x = z `scale` (axis,).

    s(z) = m + Σ_i α_i k(x_i, x), k(x, x') = exp(−|x − x'|²/2ℓ²) + c x·x' + 1.
    """

    axes: np.ndarray
    scale: np.ndarray
    length: float
    line: float
    middle: float
    points: np.ndarray
    alpha: np.ndarray

    def pull(self, points: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """As `Emulator.pull`, of points (point, axis) and its one target."""
        x = (points[:, self.axes] * self.scale).astype(np.float32)
        bumps, inner = _bumps(x, self.points, self.length)
        weighted = bumps * self.alpha
        value = self.middle + weighted.sum(axis=1) + self.line * (inner @ self.alpha) + self.alpha.sum()

        def slopes(along: np.ndarray) -> np.ndarray:
            towards = (weighted @ self.points - weighted.sum(axis=1)[:, None] * x) / self.length**2
            return along * self.scale * (towards + self.line * (self.alpha @ self.points))

        return value[:, None], slopes


def _kernel(x: np.ndarray, y: np.ndarray, length: float, line: float) -> np.ndarray:
    bumps, inner = _bumps(x, y, length)
    return bumps + line * inner + 1


def _bumps(x: np.ndarray, y: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """exp(−|x − y|²/2ℓ²) and x·y, (x, y)."""
    inner = x @ y.T
    square = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * inner
    return np.exp(square / (-2 * length**2)), inner


def _process(z: np.ndarray, y: np.ndarray, axes: np.ndarray) -> tuple[Process, np.ndarray]:
    """The Gaussian process with the least leave-one-out error, and those errors (point,).

    Axes are scaled by the size of their slope in a ridge regression, so that what does not matter is far away for
    nobody. Leave-one-out errors are α_i/K⁻¹_ii (Rasmussen and Williams 2006, equation 5.12).
    """
    middle, n = y.mean(), len(y)
    slope = np.linalg.solve(z.T @ z + 20 * np.eye(z.shape[1]), z.T @ (y - middle))
    scale = np.maximum(np.abs(slope) / max(np.abs(slope).max(), 1e-12), LEAST)
    x = z * scale
    best, found = np.inf, None
    for length in LENGTHS:
        line = LINE / length**2
        kernel = _kernel(x, x, length, line)
        for nugget in NUGGETS:
            inverse = np.linalg.inv(kernel + nugget * np.eye(n))
            alpha = inverse @ (y - middle)
            errors = alpha / np.diag(inverse)
            if np.mean(errors**2) < best:
                best, found = np.mean(errors**2), (length, line, alpha, errors)
    assert found is not None
    length, line, alpha, errors = found
    kept = [part.astype(np.float32) for part in (x, alpha)]
    return Process(axes, scale, length, line, float(middle), *kept), errors


def _features(z: np.ndarray) -> np.ndarray:
    """1, z, z², products of two: (..., feature)."""
    rows, columns = np.triu_indices(z.shape[-1])
    return np.concatenate([np.ones((*z.shape[:-1], 1)), z, z[..., rows] * z[..., columns]], axis=-1)


def _quadratic(z: np.ndarray, y: np.ndarray, targets: np.ndarray, axes: np.ndarray) -> tuple[Quadratic, np.ndarray]:
    """Ridge by leave-one-out error (PRESS), the penalty chosen for each statistic; also those errors (point, target).

    With centred features X = U S Vᵀ and shrinkage d = s²/(s² + λ): hat h = 1/n + Σ u² d, error (y − ŷ)/(1 − h).
    """
    features = _features(z)[:, 1:]
    centre, spread = features.mean(axis=0), features.std(axis=0)
    left, s, right = np.linalg.svd((features - centre) / spread, full_matrices=False)
    middle = y.mean(axis=0)
    projected = left.T @ (y - middle)
    best = np.full(y.shape[1], np.inf)
    errors, coefficients = np.empty_like(y), np.empty((features.shape[1], y.shape[1]))
    for penalty in PENALTIES:
        shrink = s**2 / (s**2 + penalty)
        hat = 1 / len(y) + (left**2 @ shrink)
        loo = (y - middle - left @ (shrink[:, None] * projected)) / (1 - hat)[:, None]
        better = np.mean(loo**2, axis=0) < best
        best = np.where(better, np.mean(loo**2, axis=0), best)
        errors[:, better] = loo[:, better]
        coefficients[:, better] = (right.T @ ((s / (s**2 + penalty))[:, None] * projected))[:, better]
    slopes = coefficients / spread[:, None]
    return Quadratic(targets, axes, np.vstack([middle - centre @ slopes, slopes])), errors
