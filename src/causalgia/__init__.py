"""Causalgia plans, simulates and analyses trials of immunotherapy in complex regional pain syndrome.

>>> import causalgia as cg
>>> protocol = cg.Protocol.load("gated-infliximab").with_options(subjects=400, replicates=40, sizes=(8,))
>>> patients = cg.Population.load("crps-acute").sample(400, seed=1)
>>> outcomes = cg.simulate(protocol, patients)
>>> trial = cg.conduct(protocol, outcomes, seed=2)
>>> len(trial["truth"])
8
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name: the module that has it. Imported on first use, so that the command line starts at once.
PUBLIC = {
    "InputError": "causalgia.documents.errors",
    "Protocol": "causalgia.documents",
    "Condition": "causalgia.documents",
    "Drug": "causalgia.documents",
    "Instrument": "causalgia.documents",
    "Patient": "causalgia.documents.patient",
    "Population": "causalgia.population.patients",
    "simulate": "causalgia.population.outcomes",
    "worlds": "causalgia.population.worlds",
    "conduct": "causalgia.trial.conduct",
    "analyse": "causalgia.analysis.answers",
    "evaluate": "causalgia.design.evaluate",
    "consider": "causalgia.inference.patients",
    "results": "causalgia.report.results",
    "report": "causalgia.report.page",
}

__all__ = [*PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'causalgia' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
