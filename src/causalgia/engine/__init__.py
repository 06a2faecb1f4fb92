"""The engine: a model, subjects, doses and times in; trajectories out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from causalgia.engine.events import Events
from causalgia.engine.kernel import Kernel, load_kernel
from causalgia.engine.layout import STATUS
from causalgia.engine.solver import Solution, solve

if TYPE_CHECKING:
    from causalgia.engine.event_solution import trajectories
    from causalgia.engine.event_table import read_event_table
    from causalgia.engine.twin import solve_twin

__all__ = [
    "STATUS",
    "Events",
    "Kernel",
    "Solution",
    "load_kernel",
    "read_event_table",
    "solve",
    "solve_twin",
    "trajectories",
]

# Name: its module. On first use: the twin needs SymPy and tables polars, and a cached kernel starts without.
LAZY = {
    "read_event_table": "causalgia.engine.event_table",
    "solve_twin": "causalgia.engine.twin",
    "trajectories": "causalgia.engine.event_solution",
}


def __getattr__(name: str) -> Any:
    if name not in LAZY:
        raise AttributeError(name)
    return getattr(import_module(LAZY[name]), name)
