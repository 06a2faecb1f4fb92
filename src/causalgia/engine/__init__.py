"""The engine: a model, subjects, doses and times in; trajectories out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from causalgia.engine.events import Events
from causalgia.engine.kernel import Kernel, load_kernel
from causalgia.engine.layout import STATUS
from causalgia.engine.solver import Solution, solve

if TYPE_CHECKING:
    from causalgia.engine.twin import solve_twin

__all__ = ["STATUS", "Events", "Kernel", "Solution", "load_kernel", "solve", "solve_twin"]


def __getattr__(name: str) -> Any:
    """The twin on first use: it needs SymPy, and a cached kernel starts without."""
    if name != "solve_twin":
        raise AttributeError(name)
    from causalgia.engine.twin import solve_twin

    return solve_twin
