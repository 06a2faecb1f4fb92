"""The calibrated posterior of the library: draws of typical values, and the weight of every world."""

from __future__ import annotations

import csv
import hashlib
import io
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from causalgia.documents import InputError
from causalgia.documents.reader import LIBRARY

FOLDER = LIBRARY / "posterior"
# Person p lives with draw p modulo this many: the batches of an evaluation are cut in the same way.
DRAWS = 20
# Ranks whose uniformity has a smaller p in some world show that the draws are not as wide as they should be.
CHECKED = 0.01


@dataclass(frozen=True)
class Posterior:
    """Equally weighted draws of typical values by world and "scope.name", and posterior weights of the worlds.

    A scope is a condition, which speaks for those based on it too, a drug or a model. `narrowed` is the width of the
    posterior over that of the prior, by "scope.name"; `uniform` the p of uniform ranks in synthetic data, by world.
    """

    name: str
    digest: str
    targets: int
    weights: dict[str, float]
    draws: dict[str, dict[str, np.ndarray]]
    narrowed: dict[str, float]
    uniform: dict[str, float]

    @property
    def checked(self) -> bool:
        """True when known parameters of synthetic data stood where such draws say, in every world."""
        return bool(self.uniform) and min(self.uniform.values()) >= CHECKED

    @classmethod
    def load(cls, name: str, folder: Path = FOLDER) -> Posterior:
        """The posterior of that name; InputError where it is missing or its hash is not the recorded one."""
        page, content = folder / f"{name}.toml", folder / f"{name}.csv"
        try:
            return _read(name, page, page.read_bytes(), content, content.read_bytes())
        except OSError as error:
            remedy = "Run causalgia calibrate, or remove the key posterior from the condition."
            raise InputError(f"{error.filename}", "no such file", "a posterior", remedy) from None

    def simulated(self, world: str) -> dict[str, np.ndarray]:
        """The draws of a world that people live with: the first of all."""
        return {name: values[:DRAWS] for name, values in self.draws[world].items()}


@lru_cache(maxsize=4)
def _read(name: str, page: Path, head: bytes, path: Path, content: bytes) -> Posterior:
    try:
        table = tomllib.loads(head.decode("utf-8"))
        recorded, targets, weights = str(table["sha256"]), int(table["targets"]), table["weights"]
    except (ValueError, KeyError) as error:
        raise InputError(str(page), f"an unreadable page ({error})", "sha256, targets and weights") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != recorded:
        found, expected = f"sha256 {digest[:12]}...", f"the recorded {recorded[:12]}... of {page.name}"
        raise InputError(str(path), found, expected, "Restore the file, or run causalgia calibrate.")
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"))))
    header, body = rows[0], rows[1:]
    draws: dict[str, dict[str, np.ndarray]] = {}
    for world in weights:
        mine = [row for row in body if row[0] == world]
        columns = zip(header[1:], zip(*(row[1:] for row in mine), strict=True), strict=True)
        draws[world] = {key: np.array(cells, float) for key, cells in columns if cells[0]}
    shares = {world: float(weight) for world, weight in weights.items()}
    widths, ranks = dict(table.get("narrowed", {})), dict(table.get("uniform_ranks_p", {}))
    return Posterior(name, digest, targets, shares, draws, widths, ranks)
