"""What a biomarker gate does to the people it screens: misclassification and regression to the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalgia.documents import Instrument, Protocol
from causalgia.documents.units import factor
from causalgia.population.worlds import World
from causalgia.trial.visits import true_signal

# What is reported of a gate, with its meaning.
GATE = {
    "passes": "share of screened subjects who pass",
    "sensitivity": "share of subjects truly above the limit at the site who pass",
    "specificity": "share of the others who do not pass",
    "ppv": "share of passing subjects who are truly above the limit",
    "npv": "share of subjects who do not pass who are truly not above it",
    "regression": "ratio of geometric means, untreated reading at baseline to the gate's, in those who pass",
    "decline": "the part of that ratio that is a true change between the two visits",
}


@dataclass(frozen=True)
class Raised:
    """What is true of people at the site, (person,): above the gate's limit, and log of baseline over gate visit."""

    above: np.ndarray
    change: np.ndarray

    @classmethod
    def of(cls, protocol: Protocol, world: World) -> Raised:
        """The people of a world, untreated."""
        assert protocol.gate is not None
        rule, gate = protocol.gate.parsed, protocol.gate
        instrument = Instrument.load(gate.measure)
        first, baseline = (
            true_signal(world, instrument, gate.side, week)[0]
            for week in (gate.at, protocol.endpoints.lowered.baseline)
        )
        return cls(rule.passes(first * factor(instrument.unit, rule.unit)), np.log(baseline / first))


def gate_figures(
    here: np.ndarray, passes: np.ndarray, raised: Raised, person: np.ndarray, rise: np.ndarray
) -> dict[str, float]:
    """The figures of GATE over places (replicate, place): who is there, who passes, and who they are.

    `rise` is the log of an untreated reading at baseline minus the log of the gate's.
    """
    above, change = raised.above[person], raised.change[person]
    kept, others = here & passes, here & ~passes
    count = {"here": here.sum(), "kept": kept.sum(), "above": (here & above).sum(), "both": (kept & above).sum()}
    below = count["here"] - count["above"]
    neither = (others & ~above).sum()
    return {
        "passes": _ratio(count["kept"], count["here"]),
        "sensitivity": _ratio(count["both"], count["above"]),
        "specificity": _ratio(neither, below),
        "ppv": _ratio(count["both"], count["kept"]),
        "npv": _ratio(neither, count["here"] - count["kept"]),
        "regression": float(np.exp(_ratio(np.where(kept, rise, 0).sum(), count["kept"]))),
        "decline": float(np.exp(_ratio(np.where(kept, change, 0).sum(), count["kept"]))),
    }


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else np.nan
