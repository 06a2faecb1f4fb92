"""Replicate axes at the door: check shapes once, flatten them to one axis, and put them back on the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalgia.analysis.estimates import Array
from causalgia.documents.errors import InputError


@dataclass(frozen=True)
class Batch:
    """Columns of shape (replicate, n), who is observed, the nested trial sizes, and the caller's leading axes."""

    columns: tuple[Array, ...]
    observed: NDArray[np.bool_]
    sizes: tuple[int, ...]
    lead: tuple[int, ...]

    @property
    def replicates(self) -> int:
        return self.observed.shape[0]

    def chunks(self, length: int) -> Iterator[slice]:
        """Slices of replicates that keep the working set in the processor's cache; results do not depend on them."""
        for start in range(0, self.replicates, length):
            yield slice(start, min(start + length, self.replicates))

    def restore(self, values: NDArray) -> NDArray:
        """(size, replicate) → (..., size)."""
        return np.ascontiguousarray(values.T).reshape(*self.lead, len(self.sizes))


def as_batch(
    columns: Sequence[ArrayLike],
    covariates: ArrayLike | None = None,
    *,
    observed: ArrayLike | None = None,
    sizes: Sequence[int] | None = None,
    arm: int | None = None,
) -> Batch:
    """Broadcast columns (..., n) and covariates (..., n, p) against each other; covariates follow as p further columns.

    `sizes` None means all n; `arm` is the column that holds the arm. Raises `InputError` for shapes that do not fit,
    for sizes outside 1..n and for an arm other than 0 or 1.
    """
    arrays = [np.asarray(column, dtype=float) for column in columns]
    if covariates is not None:
        extra = np.asarray(covariates, dtype=float)
        if extra.ndim < 2:
            raise InputError("covariates", f"shape {extra.shape}", "(..., n, p)", "Give one column as values[:, None].")
        arrays += [extra[..., j] for j in range(extra.shape[-1])]
    mask = np.asarray(True if observed is None else observed, dtype=bool)
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays), mask.shape)
    except ValueError as error:
        shapes = ", ".join(str(a.shape) for a in (*arrays, mask))
        raise InputError("arrays", f"shapes {shapes}", "shapes that agree, (..., n)") from error
    if not shape or shape[-1] == 0:
        raise InputError("arrays", f"shape {shape}", "at least one subject on the last axis")
    flat = (int(np.prod(shape[:-1], dtype=int)), shape[-1])
    if arm is not None and np.any(mask & (arrays[arm] != 0) & (arrays[arm] != 1)):
        raise InputError("treated", "other values", "0 for control and 1 for treated", "Recode the arms.")
    return Batch(
        tuple(np.broadcast_to(a, shape).reshape(flat) for a in arrays),
        np.broadcast_to(mask, shape).reshape(flat),
        check_sizes(sizes, shape[-1]),
        shape[:-1],
    )


def check_sizes(sizes: Sequence[int] | None, n: int) -> tuple[int, ...]:
    """The trial sizes asked for, None meaning all `n`; raises `InputError` outside 1..n."""
    wanted = (n,) if sizes is None else tuple(int(size) for size in sizes)
    if not wanted or min(wanted) < 1 or max(wanted) > n:
        raise InputError("sizes", str(sizes), f"trial sizes between 1 and {n}", "Ask for fewer.")
    return wanted
