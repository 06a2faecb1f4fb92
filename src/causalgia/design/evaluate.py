"""Operating characteristics: many replicate trials of every size in every world, in one vectorised call."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr

from causalgia import __version__
from causalgia.design.batch import CHARACTERISTICS, Plan, batch_characteristics
from causalgia.design.gate import GATE
from causalgia.documents import Protocol
from causalgia.population.worlds import worlds

BATCHES = 20
Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def evaluate(
    protocol: Protocol,
    outcomes: xr.Dataset,
    *,
    seed: int,
    threads: int = 2,
    progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """What the protocol's trial would show, in every world and at every size, against the known truth.

    The pool is cut into 20 disjoint batches; replicate trials draw their people from one batch only, so that the spread
    between batches holds both errors, of the replicates and of the finite pool. Returns a Dataset of CHARACTERISTICS
    with dims (world, size) and of GATE with dims (world,), each with its standard error NAME_se. Raises InputError
    where a batch cannot fill a trial.
    """
    plan = Plan.make(protocol, worlds(outcomes, protocol.control), seed, BATCHES)
    with ThreadPoolExecutor(threads) as pool:
        results = []
        for result in pool.map(lambda batch: batch_characteristics(plan, batch), range(BATCHES)):
            results.append(result)
            if progress is not None:
                progress(plan.replicates * len(plan.worlds) * len(protocol.evaluation.sizes))
    return _summary(plan, results)


def _summary(plan: Plan, results: list[Batch]) -> xr.Dataset:
    """Means over the batches and their standard errors."""
    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for names, part, dims in ((CHARACTERISTICS, 0, ("world", "size")), (GATE, 1, ("world",))):
        for name in names:
            if name in results[0][part]:
                batches = np.stack([result[part][name] for result in results])
                data[name] = (dims, batches.mean(axis=0))
                data[f"{name}_se"] = (dims, batches.std(axis=0, ddof=1) / np.sqrt(len(results)))
    return xr.Dataset(
        data,
        coords={
            "world": [world.name for world in plan.worlds],
            "title": ("world", [world.title for world in plan.worlds]),
            "structural": ("world", [world.structural for world in plan.worlds]),
            "size": list(plan.protocol.evaluation.sizes),
        },
        attrs={
            "protocol": plan.protocol.name,
            "seed": plan.seed,
            "replicates": plan.replicates * len(results),
            "version": __version__,
        },
    )
