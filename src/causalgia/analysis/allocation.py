"""Allocation lists as a protocol draws them, and the exact test that they carry."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import factorial, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array, Effect
from causalgia.analysis.rerandomise import rerandomisation_test
from causalgia.documents import InputError, Protocol

# Duration short or long, times TNF high or low: strata are numbered 0 to 3.
STRATA = 4
# Below this total the exact re-randomisation test decides, not the t test.
EXACT_BELOW = 20
DRAWS = 999
MOST_ARRANGEMENTS = 200_000


class Observed(NamedTuple):
    """An endpoint as a trial sees it: `y` (..., n), `covariates` (..., n, p), `seen` (..., n)."""

    y: Array
    covariates: Array
    seen: NDArray[np.bool_]


def allocation_lists(protocol: Protocol, generator: np.random.Generator, count: int, size: int) -> NDArray[np.int8]:
    """`count` independent sets of lists, (count, stratum, position), each entry an arm's place in `protocol.order`.

    Every stratum's list is a row of blocks, each one of the equally likely arrangements; with fixed totals there is one
    stratum and a block holds the whole ratio. Larger sizes prolong the lists and change none of their beginnings.
    """
    arrangements = block_arrangements(block(protocol))
    blocks = -(-size // arrangements.shape[1])
    draws = generator.integers(len(arrangements), size=(blocks, STRATA, count))
    return arrangements[draws.transpose(2, 1, 0)].reshape(count, STRATA, -1)


def block(protocol: Protocol) -> tuple[int, ...]:
    """How many of a block get each arm of `protocol.order`; none gets what nobody is given."""
    allocation = protocol.allocation
    times = allocation.blocks if allocation.method == "permuted blocks" else 1
    return tuple(allocation.ratio.get(name, 0) * times for name in protocol.order)


@cache
def block_arrangements(counts: tuple[int, ...]) -> NDArray[np.int8]:
    """All arrangements of a block that holds `counts` of each arm, (arrangement, position); InputError where there are
    too many to list.
    """
    length = sum(counts)
    many = factorial(length) // prod(factorial(count) for count in counts)
    if many > MOST_ARRANGEMENTS:
        found, expected = f"blocks of {' and '.join(map(str, counts))}", f"at most {MOST_ARRANGEMENTS} arrangements"
        raise InputError("allocation.ratio", found, expected, "Use smaller blocks.")
    rows = np.zeros((1, length), np.int8)
    for arm, count in enumerate(counts[1:], start=1):
        # Places that no arm has yet are those of control; each row is continued in every way.
        free = np.array([np.flatnonzero(row == 0) for row in rows])
        chosen = np.array(list(combinations(range(free.shape[1]), count)), dtype=np.intp).reshape(-1, count)
        rows = np.repeat(rows, len(chosen), axis=0)
        places = free[:, chosen].reshape(len(rows), count)
        np.put_along_axis(rows, places, np.int8(arm), axis=1)
    return rows


def positions(stratum: NDArray[np.int8]) -> NDArray[np.int32]:
    """Each subject's place in the list of its stratum, (..., n)."""
    position = np.zeros(stratum.shape, np.int32)
    for s in range(STRATA):
        member = stratum == s
        position = np.where(member, np.cumsum(member, axis=-1, dtype=np.int32) - 1, position)
    return position


def exact_test(
    protocol: Protocol,
    endpoint: Observed,
    treated: NDArray[np.bool_],
    stratum: NDArray[np.int8],
    generator: np.random.Generator,
    size: int,
    *,
    draws: int = DRAWS,
    interval: bool = False,
) -> Effect:
    """Re-randomisation test of the first `size` randomised to two arms, arrays (replicate, n) in their order.

    The reference set are `draws` of the protocol's own procedure, or all arrangements where one block holds the
    trial. A subject's cell is its place in the list of its stratum, so that one matrix of lists serves all replicates.
    Results are (replicate, 1).
    """
    arrangements = block_arrangements(block(protocol)) > 0
    complete = protocol.allocation.method == "fixed totals" and arrangements.shape[1] == size
    if complete:
        lists, cell, width = arrangements, np.broadcast_to(np.arange(size), (len(treated), size)), size
    else:
        drawn = allocation_lists(protocol, generator, draws, size)[:, :, :size] > 0
        lists, width = drawn.reshape(draws, STRATA * size), STRATA * size
        cell = stratum[:, :size].astype(np.int32) * size + positions(stratum[:, :size])
    rows = np.arange(len(treated))[:, None]

    def spread(values: np.ndarray) -> np.ndarray:
        grid = np.zeros((len(values), width, *values.shape[2:]), values.dtype)
        grid[rows, cell] = values[:, :size]
        return grid

    y, seen = spread(endpoint.y), spread(endpoint.seen)
    return rerandomisation_test(
        y, spread(treated), spread(endpoint.covariates), lists, observed=seen, enumerated=complete, interval=interval
    )
