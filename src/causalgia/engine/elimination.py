"""Order of a sparse LU factorisation without pivoting on values, found once from the pattern.

W = I/(hγ) − J is diagonally dominant for the steps that error control accepts, so diagonal pivots serve; Markowitz'
rule (Markowitz 1957, Management Science 3:255) picks at each turn the pivot that can fill least.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Place = tuple[int, int]


@dataclass(frozen=True)
class Elimination:
    """`order` of the pivots and the `pattern` of L + U, fill included."""

    order: tuple[int, ...]
    pattern: frozenset[Place]

    def below(self, turn: int) -> list[int]:
        """Rows still to come that hold the pivot of this turn."""
        return [i for i in self.order[turn + 1 :] if (i, self.order[turn]) in self.pattern]

    def right(self, turn: int) -> list[int]:
        """Columns still to come in the row of this turn's pivot."""
        return [j for j in self.order[turn + 1 :] if (self.order[turn], j) in self.pattern]

    def left(self, turn: int) -> list[int]:
        """Columns already eliminated in the row of this turn's pivot."""
        return [i for i in self.order[:turn] if (self.order[turn], i) in self.pattern]


def plan_elimination(size: int, entries: Iterable[Place]) -> Elimination:
    """The elimination of a matrix with these entries and a full diagonal."""
    pattern = set(entries) | {(i, i) for i in range(size)}
    left, order = set(range(size)), []
    while left:
        pivot = min(left, key=lambda k: (_fill(pattern, left, k), k))
        left.remove(pivot)
        order.append(pivot)
        column = [i for i in left if (i, pivot) in pattern]
        row = [j for j in left if (pivot, j) in pattern]
        pattern |= {(i, j) for i in column for j in row}
    return Elimination(tuple(order), frozenset(pattern))


def _fill(pattern: set[Place], left: set[int], k: int) -> int:
    return sum((i, k) in pattern for i in left if i != k) * sum((k, j) in pattern for j in left if j != k)
