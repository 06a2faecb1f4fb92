"""Does the calibration recover what it should? Simulation-based calibration, and posterior predictive checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, kstest

from causalgia.documents import streams
from causalgia.inference.calibration.calibrate import Fitted, density_on, whitened
from causalgia.inference.calibration.emulator import Emulator
from causalgia.inference.calibration.hmc import sample
from causalgia.inference.calibration.likelihood import off_scale, on_scale

LEVELS = (0.5, 0.8, 0.95)
CHAINS, WARMUP, DRAWS = 4, 150, 100
BINS = 10


@dataclass(frozen=True)
class Recovery:
    """Simulation-based calibration of one world (Talts 2018, arXiv:1804.06788).

    `ranks` (data set, axis) are the posterior's distribution function at the true value; uniform where the posterior is
    right. `narrowed` (axis,) is the posterior's standard deviation over the prior's, on average; `rhat` (data set,
    axis) says whether the chains agree.
    """

    names: list[str]
    ranks: np.ndarray
    narrowed: np.ndarray
    rhat: np.ndarray

    @property
    def coverage(self) -> dict[float, np.ndarray]:
        """Share of the central intervals that hold the truth, (axis,), by level."""
        return {level: (np.abs(self.ranks - 0.5) <= level / 2).mean(axis=0) for level in LEVELS}

    @property
    def p(self) -> np.ndarray:
        """Chi-squared p of uniform ranks in ten bins, (axis,)."""
        counts = np.stack([np.histogram(column, BINS, (0, 1))[0] for column in self.ranks.T])
        expected = len(self.ranks) / BINS
        return chi2.sf(((counts - expected) ** 2 / expected).sum(axis=1), BINS - 1)

    @property
    def uniform(self) -> float:
        """p of the p values of all axes being uniform, by Kolmogorov and Smirnov, against their being smaller: the
        points of a Sobol sequence are more even than independent ones, which is no fault.
        """
        return float(kstest(self.p, "uniform", alternative="greater").pvalue)


def recover(fitted: Fitted, prior: int, count: int, seed: int = 1) -> Recovery:
    """Ranks of true parameters in posteriors of `count` synthetic data sets, from simulated prior points.

    The first `prior` points of the bank are draws of the prior, of which some are taken at random: in their order they
    are too even. Every data set is that of a point that the emulator has not seen, with published errors added as they
    are thought to be.
    """
    points, found = fitted.bank
    rng = streams.generator(seed, "calibration", "recover", fitted.space.world)
    usable = np.flatnonzero(np.isfinite(found[:prior]).all(axis=1))
    usable = np.sort(rng.choice(usable, min(count, len(usable)), replace=False))
    rest = np.setdiff1d(np.arange(len(points)), usable)
    emulator = Emulator.fit(points[rest], found[rest], list(fitted.emulator.axes), rest < prior)
    data = fitted.likelihood.replicates(found[usable], rng)
    density = density_on(fitted.space, data, emulator, emulator.variance)
    root = whitened(fitted.space, fitted.likelihood, emulator, emulator.variance, 1.0, rng)
    start = rng.standard_normal((len(usable), CHAINS, len(fitted.space.axes)))
    sampled = sample(density, start, root, rng, warmup=WARMUP, draws=DRAWS)
    drawn = fitted.space.from_normal(sampled.points.reshape(len(usable), CHAINS * DRAWS, -1))[0]
    below = (drawn < points[usable][:, None]).sum(axis=1)
    ranks = (below + rng.random(below.shape)) / (CHAINS * DRAWS + 1)
    full = fitted.space.from_uniform((np.arange(1000) + 0.5) / 1000).std()
    return Recovery(fitted.space.names, ranks, drawn.std(axis=1).mean(axis=0) / full, sampled.rhat)


def checks(fitted: Fitted) -> list[dict[str, object]]:
    """A row a target: published, prior and posterior predictive quantiles of the simulated statistic, and how far the
    published number lies from them, in units of its own error and theirs.
    """
    prior = fitted.bank[1][np.isfinite(fitted.bank[1]).all(axis=1)]
    spread = np.full(len(fitted.targets), np.nan)
    spread[fitted.likelihood.numbers] = np.sqrt(np.diag(fitted.likelihood.covariance))
    spread[fitted.likelihood.intervals] = fitted.likelihood.spread
    number = dict(zip(fitted.likelihood.numbers.tolist(), fitted.likelihood.y.tolist(), strict=True))
    rows = []
    for k, target in enumerate(fitted.targets):
        mine = fitted.statistics[:, k]
        row: dict[str, object] = {"target": target.name, "world": fitted.space.world, "source": target.source}
        if k in number:
            row["published"] = float(off_scale(np.array(number[k]), target.scale))
            total = np.sqrt(spread[k] ** 2 + fitted.noise[k] + mine.var())
            row["z"] = float((number[k] - mine.mean()) / total)
            low, high = number[k] - 1.96 * spread[k], number[k] + 1.96 * spread[k]
        else:
            low, high = on_scale(np.array(target.bounds), target.scale)
            row["published"], middle = None, np.median(mine)
            row["z"] = float(max(low - middle, middle - high, 0) / spread[k])
        row["interval"] = [float(off_scale(np.array(x), target.scale)) for x in (low, high)]
        for name, values in (("prior", prior[:, k]), ("posterior", mine)):
            row[name] = [float(x) for x in off_scale(np.quantile(values, (0.05, 0.5, 0.95)), target.scale)]
        rows.append(row)
    return rows


def narrowed(fitted: Fitted) -> dict[str, float]:
    """Standard deviation of the posterior over that of the prior, by parameter: near 1 it is not identifiable."""
    full = fitted.space.from_uniform((np.arange(1000) + 0.5) / 1000).std()
    return dict(zip(fitted.space.names, (fitted.sampled.points.std(axis=0) / full).tolist(), strict=True))
