"""Small results of both kinds of protocol, from real code: gated with several sizes, and ungated with one."""

from __future__ import annotations

import pytest


def made(name: str, subjects: int, sizes: tuple[int, ...]) -> dict:
    import causalgia as cg

    protocol = cg.Protocol.load(name).with_options(subjects=subjects, replicates=40, sizes=sizes)
    patients = cg.Population.load(protocol.population.condition).sample(subjects, seed=1)
    outcomes = cg.simulate(protocol, patients)
    trial = cg.conduct(protocol, outcomes, seed=2)
    answers = cg.analyse(protocol, trial)
    return cg.results(protocol, outcomes, trial, answers, cg.evaluate(protocol, outcomes, seed=3))


@pytest.fixture(scope="session")
def make_results():
    return made


@pytest.fixture(scope="session")
def gated() -> dict:
    return made("gated-infliximab", 800, (8, 12))


@pytest.fixture(scope="session")
def ungated() -> dict:
    return made("dirckx-2013", 400, (13,))
