"""Statistics at many points of the parameter space, simulated once and kept: interrupted, it goes on there."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

import numpy as np

from causalgia.inference.calibration.space import Space

# Points that are simulated and kept together.
CHUNK = 16


class Statistics(Protocol):
    """Anything that turns typical values into statistics."""

    def statistics(self, values: dict[str, float]) -> np.ndarray:
        """Statistics (target,) at typical values by name."""
        ...


def cache_folder() -> Path:
    """Where simulated statistics are kept: `causalgia/calibration` in the user's cache directory (XDG_CACHE_HOME)."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "causalgia" / "calibration"


def simulate_points(
    simulator: Statistics,
    space: Space,
    points: np.ndarray,
    key: str,
    *,
    workers: int = 1,
    folder: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Statistics (point, target) at points (point, axis).

    Each 16 points are kept in a file named by their content and by `key`, which says what simulates them; what is kept
    is not simulated again, so the result does not depend on interruptions or on the number of workers.
    """
    home = folder or cache_folder()
    home.mkdir(parents=True, exist_ok=True)
    chunks = [points[k : k + CHUNK] for k in range(0, len(points), CHUNK)]
    full = "\0".join((key, space.world, *map(repr, space.axes)))
    files = [home / f"{_name(chunk, full)}.npy" for chunk in chunks]
    kept = {k: found for k, file in enumerate(files) if (found := _read(file, len(chunks[k]))) is not None}
    if progress is not None:
        progress(sum(len(chunks[k]) for k in kept))
    todo = [k for k in range(len(chunks)) if k not in kept]
    for k, found in zip(todo, _run(simulator, space, [chunks[k] for k in todo], workers), strict=True):
        _write(files[k], found)
        kept[k] = found
        if progress is not None:
            progress(len(found))
    return np.concatenate([kept[k] for k in range(len(chunks))])


def _name(chunk: np.ndarray, key: str) -> str:
    return hashlib.sha256(key.encode() + np.ascontiguousarray(chunk).tobytes()).hexdigest()[:32]


def _read(path: Path, rows: int) -> np.ndarray | None:
    try:
        found = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.ndim == 2 and len(found) == rows else None


def _write(path: Path, found: np.ndarray) -> None:
    """Whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            np.save(file, found)
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)


def _run(simulator: Statistics, space: Space, chunks: list[np.ndarray], workers: int) -> Iterator[np.ndarray]:
    if workers == 1 or sys.platform != "linux" or len(chunks) < 2:
        yield from (_chunk(simulator, space, chunk) for chunk in chunks)
        return
    with warnings.catch_warnings(), ProcessPoolExecutor(
        workers, get_context("fork"), _share, (simulator, space)
    ) as pool:  # fmt: skip
        # Python warns of forking beside other threads; solving starts its threads anew in every call.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield from pool.map(_shared_chunk, chunks)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _chunk(simulator: Statistics, space: Space, chunk: np.ndarray) -> np.ndarray:
    return np.stack(
        [simulator.statistics({name: float(x) for name, x in space.values(point).items()}) for point in chunk]
    )


_shared: tuple[Statistics, Space] | None = None


def _share(simulator: Statistics, space: Space) -> None:
    """Keeps the simulator in a forked process, and leaves interruption to its parent."""
    global _shared
    _shared = (simulator, space)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _shared_chunk(chunk: np.ndarray) -> np.ndarray:
    assert _shared is not None
    return _chunk(*_shared, chunk)
