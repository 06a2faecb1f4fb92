"""Operating characteristics: many replicate trials of every size in every world, in one vectorised call."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import xarray as xr

from causalgia import __version__
from causalgia.analysis.montecarlo import BATCHES, batch_error, proportion_error
from causalgia.design.batch import CHARACTERISTICS, SHARES, batch_characteristics
from causalgia.design.claims import NAMES, REPLICATES
from causalgia.design.gate import GATE
from causalgia.design.plan import Plan
from causalgia.documents import InputError, Protocol
from causalgia.documents.units import factor
from causalgia.population.worlds import worlds
from causalgia.trial.tables import DAYS_A_MONTH

Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def evaluate(
    protocol: Protocol,
    outcomes: xr.Dataset,
    *,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """What the protocol's trial would show, in every world and at every size, against the known truth.

    Each arm is compared with control, one after the other; where there are several, results have a dimension
    `comparison` in front, the primary one first, and sizes are totals over all arms.

    The pool is cut into 20 disjoint batches; replicate trials draw their people from one batch only, with replacement,
    so that the spread between batches holds both errors, of the replicates and of the finite pool. Returns a Dataset of
    CHARACTERISTICS with dims (world, size) and of GATE with dims (world,), each with its standard error NAME_se. Raises
    InputError where hardly anybody passes the gate.
    """
    parts = []
    for treatment in protocol.order[1:]:
        pair = protocol.pair(treatment)
        plan = Plan.make(pair, worlds(outcomes, pair.order, pair.aware), seed, BATCHES)
        results = []
        for result in _batches(plan, min(workers or os.cpu_count() or 1, BATCHES)):
            results.append(result)
            if progress is not None:
                progress(plan.replicates * len(plan.worlds) * len(protocol.evaluation.sizes))
        parts.append(_of_all_arms(protocol, treatment, _summary(plan, results)))
    if len(parts) == 1:
        return parts[0]
    return xr.concat(parts, xr.Variable("comparison", list(protocol.order[1:])), data_vars="all")


def _of_all_arms(protocol: Protocol, treatment: str, part: xr.Dataset) -> xr.Dataset:
    """One comparison's figures with the sizes, the screening, the time and the wounds of all arms."""
    share = protocol.share(treatment)
    run = (protocol.follow_up - protocol.first_visit) * factor(protocol.unit, "day") / DAYS_A_MONTH
    scaled = {f"{name}{end}": part[f"{name}{end}"] / share for name in ("screened", "wounds") for end in ("", "_se")}
    scaled |= {"months": run + (part["months"] - run) / share, "months_se": part["months_se"] / share}
    return part.assign(scaled).assign_coords(size=list(protocol.evaluation.sizes))


def _batches(plan: Plan, workers: int) -> Iterator[Batch]:
    """Results of the batches in their order.

    Many small array operations hold Python's lock, so threads gain little; where processes can be forked they share the
    plan without copying it. Elsewhere the batches run one after another.
    """
    if workers == 1 or sys.platform != "linux":
        yield from (batch_characteristics(plan, batch) for batch in range(BATCHES))
        return
    with warnings.catch_warnings(), ProcessPoolExecutor(workers, get_context("fork"), _share, (plan,)) as pool:
        # Python warns of forking beside other threads; the children touch nothing but NumPy, which holds none.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # JAX's, where posteriors were drawn before
        yield from pool.map(_shared_batch, range(BATCHES))


_plan: Plan | None = None


def _share(plan: Plan) -> None:
    """Keeps the plan in a forked process, and leaves interruption to its parent."""
    global _plan
    _plan = plan
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _shared_batch(batch: int) -> Batch:
    assert _plan is not None
    return batch_characteristics(_plan, batch)


def check_room(protocol: Protocol) -> None:
    """Raises InputError for a size that cannot be randomised even if everybody enrolled is."""
    largest, room = protocol.evaluation.sizes[-1], protocol.population.subjects
    if largest > room:
        found = f"{largest} randomised of {room} subjects"
        remedy = "Ask for smaller sizes, or simulate more subjects."
        raise InputError(f"{protocol.path}, key evaluation.sizes", found, f"at most {room}", remedy)


def _summary(plan: Plan, results: list[Batch]) -> xr.Dataset:
    """Means over the batches and their standard errors."""
    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    replicates = plan.replicates * len(results)
    for names, part, dims in ((CHARACTERISTICS, 0, ("world", "size")), (GATE, 1, ("world",))):
        for name in names:
            if name in results[0][part]:
                mean, error = batch_error(np.stack([result[part][name] for result in results]))
                if name in SHARES:
                    trials = min(plan.replicates, REPLICATES if name in NAMES else plan.replicates) * len(results)
                    error = np.fmax(error, proportion_error(mean * trials, trials)[1])
                data[name], data[f"{name}_se"] = (dims, mean), (dims, error)
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
            "replicates": replicates,
            "version": __version__,
        },
    )
