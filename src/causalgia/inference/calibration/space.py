"""The parameters that are calibrated, as standard normals: priors from the ranges that the documents give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from causalgia.documents import Condition, Drug, InputError, Parameters
from causalgia.documents.parameters import Parameter
from causalgia.documents.reader import names
from causalgia.documents.targets import Targets

# The ends of a range stand at this many standard deviations, and nothing lies beyond them.
END = 1.96
_TAIL = float(ndtr(-END))


@dataclass(frozen=True)
class Axis:
    """One parameter: its scope and name, the document's value and range, its unit."""

    key: str
    value: float
    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, key: str, entry: Parameter) -> Axis:
        """The axis of a document's parameter; InputError where it has no range."""
        if entry.uncertainty is None or entry.formula is not None:
            raise InputError(key, "no uncertainty", "a range of typical values", "Add it, or do not calibrate this.")
        low, high = entry.uncertainty
        if not low <= entry.typical <= high:
            raise InputError(key, f"{entry.typical:g}", f"a value in its range {low:g} to {high:g}", "Correct it.")
        return cls(key, entry.typical, low, high, entry.unit)

    def values(self, z: np.ndarray) -> np.ndarray:
        """Typical values at the standard normals z, any shape: the document's value at 0, the range's ends at ±1.96.

        Each side is logarithmic where its end and the value are above 0, else linear; a value at an end of its range
        uses the other side for both.
        """
        if self.value == self.high:
            z = -np.abs(z)
        elif self.value == self.low:
            z = np.abs(z)
        return np.where(z < 0, self._side(-z / END, self.low), self._side(z / END, self.high))

    def _side(self, share: np.ndarray, end: float) -> np.ndarray:
        if end > 0 and self.value > 0:
            return self.value * np.exp(share * np.log(end / self.value))
        return self.value + share * (end - self.value)


@dataclass(frozen=True)
class Space:
    """All parameters of one world; a point is a vector z (axis,) of truncated standard normals."""

    world: str
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, targets: Targets, world: str) -> Space:
        """The parameters of a world: those that the targets name and that the world gives as a number with a range."""
        axes = []
        for scope, chosen in targets.parameters.items():
            known = entries_of(scope, world)
            for name in chosen:
                if name not in known:
                    where = f"{targets.path}, key parameters.{scope}"
                    raise InputError(where, repr(name), f"one of {', '.join(known)}", "Correct it.")
                if known[name].formula is None:
                    axes.append(Axis.of(f"{scope}.{name}", known[name]))
        return cls(world, tuple(axes))

    @property
    def names(self) -> list[str]:
        """ "scope.name" of every axis."""
        return [axis.key for axis in self.axes]

    def values(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Typical values by name of points (..., axis)."""
        return {axis.key: axis.values(z[..., j]) for j, axis in enumerate(self.axes)}

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        """Prior points from uniforms of the same shape: normals cut off at the ends of the ranges."""
        return ndtri(_TAIL + u * (1 - 2 * _TAIL))

    def from_normal(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Prior points from standard normals without ends, in which the posterior is sampled, and dz/dx."""
        z = self.from_uniform(ndtr(x))
        return z, (1 - 2 * _TAIL) * np.exp(0.5 * (z**2 - x**2))

    def uniform(self, z: np.ndarray) -> np.ndarray:
        """Prior distribution function at z."""
        return (ndtr(z) - _TAIL) / (1 - 2 * _TAIL)


def entries_of(scope: str, world: str) -> dict[str, Parameter]:
    """What the document of a scope gives in a world: a condition with its page, a drug, or a page."""
    if scope in names("condition"):
        condition = Condition.load(scope)
        return {**Parameters.load(condition.model).values, **condition.values, **condition.worlds[world].values}
    if scope in names("drug"):
        return Drug.load(scope).values
    return Parameters.load(scope).values
