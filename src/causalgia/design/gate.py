"""What a biomarker gate does to the people it screens: misclassification and regression to the mean."""

from __future__ import annotations

import numpy as np

from causalgia.documents import Instrument, Protocol
from causalgia.documents.units import factor
from causalgia.population.worlds import World
from causalgia.trial.recruit import Screening, gate_value
from causalgia.trial.visits import latent, true_signal

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


def gate_readings(protocol: Protocol, world: World, screening: Screening) -> np.ndarray:
    """The gate's reading (replicate, place) in the unit of its rule."""
    assert protocol.gate is not None
    instrument = Instrument.load(protocol.gate.measure)
    return gate_value(
        protocol, instrument, latent(world, instrument, protocol.gate.side, protocol.gate.at)[0], screening
    )


def gate_figures(protocol: Protocol, world: World, screening: Screening, again: np.ndarray) -> dict[str, float]:
    """The figures of GATE over all places; `again` (replicate, place) is the log of an untreated baseline reading."""
    assert protocol.gate is not None
    rule = protocol.gate.parsed
    instrument = Instrument.load(protocol.gate.measure)
    unit = factor(instrument.unit, rule.unit)
    first = true_signal(world, instrument, protocol.gate.side, protocol.gate.at)[0] * unit
    baseline = true_signal(world, instrument, protocol.gate.side, protocol.endpoints.lowered.baseline)[0] * unit
    here = world.present[screening.person]
    reading = gate_readings(protocol, world, screening)
    passes = rule.passes(reading)
    raised = rule.passes(first[screening.person])
    kept = here & passes
    true_change = np.log(baseline / first)[screening.person]
    return {
        "passes": _share(passes, here),
        "sensitivity": _share(passes, here & raised),
        "specificity": _share(~passes, here & ~raised),
        "ppv": _share(raised, kept),
        "npv": _share(~raised, here & ~passes),
        "regression": float(np.exp(np.mean(again[kept] + np.log(unit) - np.log(reading[kept])))),
        "decline": float(np.exp(np.mean(true_change[kept]))),
    }


def _share(event: np.ndarray, among: np.ndarray) -> float:
    return float(event[among].mean()) if among.any() else np.nan
