"""What the calibration says of a run: how many summaries, the weights of the worlds, what it changed."""

from __future__ import annotations

import tomllib
from typing import Any

import xarray as xr

from causalgia.documents import Condition, Protocol
from causalgia.population.posterior import FOLDER, Posterior


def calibration(protocol: Protocol, outcomes: xr.Dataset) -> dict[str, Any] | None:
    """The posterior behind simulated outcomes, None where they have the prior: its hash, how many published summaries
    it knows, the weights of the worlds, and the power that `causalgia score` found before and after, where it did.
    """
    name = Condition.load(protocol.population.condition).posterior
    if not outcomes.attrs.get("posterior") or name is None:
        return None
    posterior = Posterior.load(name)
    try:
        compared = tomllib.loads((FOLDER / f"{name}-power.toml").read_text(encoding="utf-8"))
    except OSError:
        compared = {}
    known = compared if compared.get("sha256") == posterior.digest else {}
    return {
        "sha256": posterior.digest,
        "targets": posterior.targets,
        "weights": posterior.weights,
        "checked": posterior.checked,
        "power": known.get(protocol.name),
    }
