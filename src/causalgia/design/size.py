"""The size at which a trial reaches a power, with its error, read off operating characteristics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from causalgia.analysis.estimates import Array
from causalgia.documents import InputError, Protocol


class Size(NamedTuple):
    """Total randomised at which a share of trials is reached, its standard error; `value` None where it is not.

    `bound` says "below" where the smallest size evaluated has it already, "above" where the largest has it not.
    """

    value: float | None
    se: float | None
    bound: str = ""


def find_sizes(characteristics: xr.Dataset, power: float, name: str = "relieved") -> dict[str, Size]:
    """The size of each world at which a share of trials reaches `power`, from the sizes evaluated.

    The shares are made monotone (pool adjacent violators, weighted by 1/se²) and joined by straight lines in
    (√n, probit of the share), on which the power of a z test is a line. The error is by the delta method,
    se(n) = se(share)/|d share/dn| with the share's own error between its neighbours: an upper bound, since what the
    sizes have in common helps. Nothing is extrapolated. Raises InputError for a power outside 0..1 and under two sizes.
    """
    sizes = characteristics["size"].values.astype(float)
    if not 0 < power < 1 or len(sizes) < 2:
        found = f"a power of {power:g} among {len(sizes)} sizes"
        raise InputError("power", found, "a share between 0 and 1, and two sizes at least", "Correct it.")
    shares, errors = characteristics[name].values, characteristics[f"{name}_se"].values
    worlds = [str(world) for world in characteristics["world"].values]
    return {world: _find(sizes, shares[w], errors[w], power) for w, world in enumerate(worlds)}


def _find(sizes: Array, share: Array, se: Array, power: float) -> Size:
    share = _rising(share, 1 / np.maximum(se, 1e-6) ** 2)
    if share[0] >= power:
        return Size(None, None, "below")
    if share[-1] < power:
        return Size(None, None, "above")
    k = int(np.flatnonzero(share >= power)[0])
    low, high = (special.ndtri(np.clip(share[i], 1e-6, 1 - 1e-6)) for i in (k - 1, k))
    root = np.sqrt(sizes[[k - 1, k]])
    z = special.ndtri(power)
    part = (z - low) / (high - low)
    at = root[0] + part * (root[1] - root[0])
    slope = (high - low) / (root[1] - root[0]) / (2 * at) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    error = np.interp(at, root, se[[k - 1, k]]) / slope
    return Size(float(at**2), float(error))


def _rising(values: Array, weight: Array) -> Array:
    """The nearest values that do not fall, by weighted least squares (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, w in zip(values, weight, strict=True):
        blocks.append([value, w, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            b, wb, nb = blocks.pop()
            a, wa, na = blocks.pop()
            blocks.append([(a * wa + b * wb) / (wa + wb), wa + wb, na + nb])
    return np.concatenate([np.full(int(count), value) for value, _, count in blocks])


def whole(protocol: Protocol, size: float) -> int:
    """The least size that can be randomised, at or above a size."""
    step = sum(protocol.allocation.ratio.values()) if protocol.allocation.method == "fixed totals" else 1
    return int(np.ceil(size / step - 1e-9)) * step
