"""Group-sequential work: milliseconds for a design, and seconds for ten thousand two-stage trials, with a slow twin."""

from __future__ import annotations

import os
import platform
import time

import numpy as np
import scipy
from scipy import special, stats

from causalgia.analysis.linear import ancova
from causalgia.analysis.sequential import (
    Futility,
    Rule,
    conditional_power,
    exit_probabilities,
    group_sequential,
    monitor,
)

TRIALS, SUBJECTS = 10_000, 60
REPEATS = 5


def main() -> None:
    versions = f"NumPy {np.__version__}, SciPy {scipy.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, {versions}")
    designs()
    trials()


def designs() -> None:
    """Designs of two to twenty looks, and the exit probabilities against SciPy's multivariate normal."""
    for K in (2, 3, 5, 10, 20):
        t = np.arange(1, K + 1) / K
        for name, futility in (("obrien-fleming", None), ("lan-demets-obrien-fleming", Futility(Rule("power", 2.0)))):
            seconds = best(lambda t=t, name=name, futility=futility: group_sequential(t, Rule(name), futility))
            print(f"design, {K:2d} looks, {name}{' with futility' if futility else ''}: {1e3 * seconds:.1f} ms")
    t = np.array([0.25, 0.5, 0.75, 1.0])
    upper = np.full(4, 2.36)
    ours = best(lambda: exit_probabilities(t, upper, -upper))
    law = stats.multivariate_normal(np.zeros(4), np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t)), abseps=1e-7)
    peer = best(lambda: law.cdf(upper, lower_limit=-upper))
    print(f"exit probabilities, 4 looks: {1e3 * ours:.2f} ms; SciPy's cubature, last look only: {1e3 * peer:.1f} ms")


def trials() -> None:
    """Ten thousand trials of sixty with an interim after thirty: analysis of covariance, bounds, conditional power."""
    rng = np.random.default_rng(1)
    y, baseline = rng.normal(size=(2, TRIALS, SUBJECTS))
    treated = np.tile(np.arange(SUBJECTS) % 2, (TRIALS, 1))
    design = group_sequential([0.5, 1.0], Rule("lan-demets-obrien-fleming"), Futility(Rule("power", 2.0)))

    def whole() -> None:
        effect = ancova(y, treated, baseline[..., None], sizes=[SUBJECTS // 2, SUBJECTS])
        z = -np.sign(effect.estimate) * special.ndtri(effect.p / 2)
        monitor(design, z)

    z = rng.normal(size=(TRIALS, 2))
    print(f"{TRIALS} trials of {SUBJECTS}, two looks, from the data: {best(whole):.3f} s")
    print(f"  of it the bounds and stagewise p: {best(lambda: monitor(design, z)):.3f} s")
    four = group_sequential([0.25, 0.5, 0.75, 1.0], Rule("pocock"))
    seconds = best(lambda: conditional_power(four, 1, z[:, 0]))
    print(f"  conditional power of {TRIALS}, three looks to come: {seconds:.3f} s")


def best(work) -> float:
    """The shortest of a few runs, in seconds."""
    spent = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


if __name__ == "__main__":
    main()
