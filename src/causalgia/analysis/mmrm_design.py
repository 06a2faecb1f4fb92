"""Arrays of a mixed model at the door, then replicates by chunks: orthonormal columns, unit residuals, fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalgia.analysis.estimates import Array, Status
from causalgia.analysis.linear import NOISE
from causalgia.analysis.mmrm_likelihood import Covariance, Patterns, Point, fit_covariance, likelihood
from causalgia.analysis.moments import eliminate
from causalgia.documents.errors import InputError

CHUNK = 256
"""Most replicates worked on at a time; results do not depend on it."""
MEMORY = 2**23
"""Numbers that the moments of a chunk may take, where that makes it shorter."""
VISITS = 20
"""Most visits, for the same reason: a diary is averaged to visits first."""
ESTIMABLE = 1e-6
"""Share of a contrast below which a part that x cannot determine is rounding."""


@dataclass(frozen=True)
class Arrays:
    """y (R, n, T), x (R, n, T, p), observed (R, n, T), and the caller's leading axes."""

    y: Array
    x: Array
    observed: NDArray[np.bool_]
    lead: tuple[int, ...]

    @property
    def p(self) -> int:
        """How many columns x has."""
        return self.x.shape[-1]

    @classmethod
    def of(cls, y: ArrayLike, x: ArrayLike, observed: ArrayLike | None) -> Arrays:
        """Checked and broadcast, the leading axes made one; raises `InputError` for shapes that do not agree."""
        values, design = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
        seen = ~np.isnan(values) if observed is None else np.asarray(observed, dtype=bool)
        if design.ndim < 3 or not design.shape[-1]:
            raise InputError("x", f"shape {design.shape}", "(..., subject, visit, p)", "Give a row to every visit.")
        try:
            shape = np.broadcast_shapes(values.shape, design.shape[:-1], seen.shape)
        except ValueError as error:
            found = f"shapes {values.shape}, {design.shape}, {seen.shape}"
            raise InputError("y, x, observed", found, "shapes that agree, (..., subject, visit)") from error
        if 0 in shape[-2:] or shape[-1] > VISITS:
            raise InputError("y", f"shape {shape}", f"subjects, and 1 to {VISITS} visits", "Average to fewer visits.")
        flat = (int(np.prod(shape[:-2], dtype=int)), *shape[-2:])
        wide = np.broadcast_to(design, (*shape, design.shape[-1])).reshape((*flat, design.shape[-1]))
        return cls(
            np.broadcast_to(values, shape).reshape(flat), wide, np.broadcast_to(seen, shape).reshape(flat), shape[:-2]
        )

    def chunks(self) -> Iterator[Chunk]:
        """Up to `CHUNK` replicates at a time."""
        _, n, T = self.y.shape
        each = min(n, 2**T) * (T * (T + 1) // 2) * (self.p + 1) ** 2
        length = max(1, min(CHUNK, MEMORY // each))
        for start in range(0, len(self.y), length):
            part = slice(start, start + length)
            yield Chunk.of(self.y[part], self.x[part], self.observed[part])


@dataclass(frozen=True)
class Chunk:
    """Replicates with orthonormal columns X·root and residuals of least squares in units of their spread.

    `root` (R, p, p) has zero columns where x depends on the columns before; y = x·origin + scale·residual.
    """

    Z: Array
    seen: NDArray[np.bool_]
    root: Array
    gram: Array
    origin: Array
    scale: Array
    status: NDArray[np.int8]

    @classmethod
    def of(cls, y: Array, x: Array, observed: NDArray[np.bool_]) -> Chunk:
        R, n, T, p = x.shape
        finite = np.isfinite(y) & np.isfinite(x).all(axis=-1)
        wrong: NDArray[np.bool_] = np.asarray((observed & ~finite).any(axis=(1, 2)))
        seen = observed & ~wrong[:, None, None]
        X = np.where(seen[..., None], x, 0.0).reshape(R, n * T, p)
        r = np.where(seen, y, 0.0).reshape(R, n * T, 1)
        gram = X.swapaxes(1, 2) @ X
        U, kept = eliminate(np.moveaxis(gram, 0, 2), p)
        root = _inverse_root(np.moveaxis(U, 2, 0), kept.T)
        Q, N, noise = X @ root, seen.sum(axis=(1, 2)), _rounding(r[..., 0], seen.reshape(R, -1))
        origin = np.zeros((R, p, 1))
        for _ in range(2):  # the second pass removes the rounding of the first
            step = Q.swapaxes(1, 2) @ r
            origin, r = origin + root @ step, r - Q @ step
        rss, left = (r[..., 0] ** 2).sum(axis=1), N - kept.sum(axis=0)
        scale = np.sqrt(rss / np.maximum(left, 1))
        conditions = [wrong | ~np.isfinite(rss), left < 1, rss <= noise]
        codes = [Status.NOT_FINITE, Status.TOO_FEW, Status.NO_VARIATION]
        status = np.select(conditions, codes, Status.OK).astype(np.int8)
        Z = np.concatenate([Q, r / np.where(scale > 0, scale, 1)[:, None, None]], axis=2).reshape(R, n, T, p + 1)
        return cls(Z, seen, root, gram, origin[..., 0], scale, status)


def _inverse_root(U: Array, kept: NDArray[np.bool_]) -> Array:
    """Upper triangular B (R, p, p) with B'X'XB the identity, from the eliminated X'X; zero columns for dropped ones."""
    p = U.shape[1]
    diagonal = np.sqrt(np.where(kept, U[:, range(p), range(p)], 1))
    upper = np.triu(U, 1) / diagonal[:, :, None] * kept[:, :, None] + np.eye(p) * diagonal[:, :, None]
    return np.asarray(np.linalg.inv(upper) * kept[:, None], dtype=float)


def _rounding(y: Array, seen: NDArray[np.bool_]) -> Array:
    """Residual squares (R,) that rounding alone may leave, of the variation explained and of the values themselves."""
    count = np.maximum(seen.sum(axis=1), 1)
    mean = y.sum(axis=1) / count
    total = (np.where(seen, y - mean[:, None], 0.0) ** 2).sum(axis=1)
    return NOISE * total + count * (8 * np.finfo(float).eps * np.abs(y).max(axis=1)) ** 2


@dataclass(frozen=True)
class Fit:
    """The fitted replicates of a chunk, as indices `lanes`, in the units of the chunk."""

    lanes: NDArray[np.intp]
    patterns: Patterns
    pattern_of: NDArray[np.intp]
    covariance: Covariance
    point: Point


def fit_chunk(chunk: Chunk, names: tuple[str, ...], reml: bool) -> Fit:
    """Fit Σ in the replicates whose status is OK; those in which no structure has a maximum are not in the result."""
    usable = np.flatnonzero(chunk.status == Status.OK)
    patterns, pattern_of = Patterns.of(chunk.Z[usable], chunk.seen[usable])
    covariance = fit_covariance(patterns, names, reml)
    good = np.flatnonzero(covariance.fitted >= 0)
    kept = patterns.take(good)
    shift = kept.first - patterns.first[good]
    best = Covariance(covariance.sigma[good], covariance.W[good], covariance.fitted[good])
    return Fit(usable[good], kept, pattern_of[good] + shift[:, None], best, likelihood(kept, best.sigma, reml))


def model(chunk: Chunk, fit: Fit, reml: bool) -> tuple[Array, Array]:
    """β (R, p) and log likelihood (R,) of the fitted lanes, in the caller's units."""
    root, scale = chunk.root[fit.lanes], chunk.scale[fit.lanes]
    beta = chunk.origin[fit.lanes] + scale[:, None] * (root @ fit.point.beta[..., None])[..., 0]
    diagonal = np.diagonal(root, axis1=1, axis2=2)
    kept = diagonal > 0
    N = chunk.seen[fit.lanes].sum(axis=(1, 2)) - (kept.sum(axis=1) if reml else 0)
    minus2 = fit.point.minus2 + N * np.log(2 * np.pi * scale**2)
    if reml:
        minus2 = minus2 - 2 * np.log(np.where(kept, diagonal, 1)).sum(axis=1)
    return beta, -0.5 * minus2


def estimable(chunk: Chunk, lanes: NDArray[np.intp], row: Array) -> NDArray[np.bool_]:
    """Whether the contrast vanishes on every combination of columns that x cannot tell from none."""
    root = chunk.root[lanes]
    back = (root @ root.swapaxes(1, 2) @ chunk.gram[lanes]).swapaxes(1, 2) @ row[:, None]
    unit = np.sqrt(np.maximum(np.diagonal(chunk.gram[lanes], axis1=1, axis2=2), 1e-300))
    gap, size = np.abs(row - back[..., 0]) / unit, np.abs(row) / unit
    return (gap <= ESTIMABLE * size.max(axis=1, keepdims=True)).all(axis=1)
