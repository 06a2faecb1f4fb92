"""What a calibration leaves: draws as CSV, and a page with their hash, the weights of worlds and how it was made."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import logsumexp

from causalgia import __version__
from causalgia.documents import Condition
from causalgia.documents.targets import Targets
from causalgia.inference.calibration.calibrate import Fitted, Settings
from causalgia.inference.calibration.check import LEVELS, Recovery, narrowed


def weights(fits: dict[str, Fitted], condition: str = "crps-acute") -> dict[str, float]:
    """Posterior weights of the worlds: prior weight times evidence."""
    worlds = Condition.load(condition).worlds
    logs = np.array([np.log(worlds[world].weight) + fit.log_evidence for world, fit in fits.items()])
    return dict(zip(fits, np.exp(logs - logsumexp(logs)).tolist(), strict=True))


def draws_csv(fits: dict[str, Fitted]) -> bytes:
    """The draws, a row each: world, then "scope.name" in the documents' units, blank where a world has none."""
    names = list(dict.fromkeys(name for fit in fits.values() for name in fit.space.names))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["world", *names])
    for world, fit in fits.items():
        values = fit.space.values(fit.draws)
        for k in range(len(fit.draws)):
            writer.writerow([world, *(f"{values[name][k]:.6g}" if name in values else "" for name in names)])
    return text.getvalue().encode()


def page(
    fits: dict[str, Fitted], targets: Targets, settings: Settings, content: bytes, recovered: dict[str, Recovery]
) -> str:
    """The posterior's page: TOML."""
    shares = weights(fits)
    table: dict[str, Any] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "targets": len(targets.targets),
        "targets_sha256": targets.digest,
        "version": __version__,
        "seed": settings.seed,
        "weights": {world: round(share, 4) for world, share in shares.items()},
        "log_evidence": {world: round(fit.log_evidence, 3) for world, fit in fits.items()},
        "log_evidence_se": {world: round(fit.evidence_error, 3) for world, fit in fits.items()},
        "rhat": {world: round(fit.sampled.rhat, 3) for world, fit in fits.items()},
        "effective": {world: round(fit.effective, 1) for world, fit in fits.items()},
        "uniform_ranks_p": {world: round(found.uniform, 4) for world, found in recovered.items()},
        "coverage": {f"{level:g}": round(share, 3) for level, share in covered(recovered).items()},
        "simulated": asdict(settings),
        "narrowed": _narrowed(fits),
    }
    return "# Made by causalgia calibrate; the draws stand in the .csv beside it.\n" + toml(table)


def covered(recovered: dict[str, Recovery]) -> dict[float, float]:
    """Share of the central intervals that hold the truth of synthetic data, over all axes and worlds, by level."""
    return {level: float(np.mean([found.coverage[level].mean() for found in recovered.values()])) for level in LEVELS}


def _narrowed(fits: dict[str, Fitted]) -> dict[str, float]:
    """Width of the posterior over that of the prior by parameter, the mean over the worlds that have it."""
    every = [narrowed(fit) for fit in fits.values()]
    names = dict.fromkeys(name for each in every for name in each)
    return {name: round(float(np.mean([each[name] for each in every if name in each])), 3) for name in names}


def toml(table: dict[str, Any], prefix: str = "") -> str:
    """A table as TOML: numbers, texts and tables of them."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{prefix}{_key(key)}"
            lines += ["", f"[{name}]", toml(value, f"{name}.").rstrip("\n")]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"'


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(float(value) if isinstance(value, np.floating) else value)
