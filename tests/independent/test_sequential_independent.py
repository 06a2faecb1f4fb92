"""The recursion of `sequential` once more, slowly: multivariate normal probabilities, and paths drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from causalgia.analysis.sequential import (
    Futility,
    Rule,
    conditional_power,
    exit_probabilities,
    group_sequential,
    predictive_power,
)


def exits_by_rectangles(information, upper, lower, mean):
    """P(first exit above at k) from the joint normal law of z, correlation √(Iⱼ/Iₖ), by SciPy's cubature."""
    I = np.asarray(information, dtype=float)
    correlation = np.sqrt(np.minimum.outer(I, I) / np.maximum.outer(I, I))
    found = []
    for k in range(len(I)):
        law = stats.multivariate_normal(
            mean[: k + 1], correlation[: k + 1, : k + 1], maxpts=2_000_000, abseps=1e-9, releps=1e-9, seed=1
        )
        low = np.append(lower[:k], upper[k])
        high = np.append(upper[:k], np.inf)
        found.append(float(law.cdf(high, lower_limit=low)))
    return np.array(found)


@pytest.mark.parametrize(
    ("information", "upper", "lower", "drift"),
    [
        ([0.5, 1.0], [2.8, 1.98], [-np.inf, -np.inf], 3.24),
        ([0.3, 0.7, 1.0], [2.5, 2.2, 2.0], [-0.5, 0.4, 2.0], 1.5),
        ([0.25, 0.5, 0.75, 1.0], [2.36, 2.36, 2.36, 2.36], [-2.36, -2.36, -2.36, -2.36], 0.0),
    ],
)
def test_exit_probabilities_are_multivariate_normal(information, upper, lower, drift):
    mean = drift * np.sqrt(information)
    slow = exits_by_rectangles(information, upper, lower, mean)
    assert exit_probabilities(information, upper, lower, mean=mean).upper == pytest.approx(slow, abs=2e-6)


def test_two_looks_by_adaptive_quadrature_to_nine_digits():
    I, u, l, theta = np.array([0.4, 1.0]), np.array([2.3, 2.0]), np.array([0.1, 2.0]), 2.2
    exits = exit_probabilities(I, u, l, mean=theta * np.sqrt(I))

    def density(z):
        later = stats.norm.sf((u[1] - np.sqrt(0.4) * z - theta * 0.6) / np.sqrt(0.6))
        return stats.norm.pdf(z - theta * np.sqrt(0.4)) * later

    second = integrate.quad(density, l[0], u[0], epsabs=1e-13)[0]
    assert exits.upper == pytest.approx([stats.norm.sf(u[0] - theta * np.sqrt(0.4)), second], abs=1e-12)


def test_paths_drawn_one_by_one():
    design = group_sequential([0.2, 0.45, 0.8, 1.0], Rule("lan-demets-pocock"), Futility(Rule("power", 1.5)))
    rng, n = np.random.default_rng(7), 20_000
    step = np.diff(design.information, prepend=0.0)
    counts = np.zeros((2, 4))
    for increments in rng.normal(design.drift * 0.8 * step, np.sqrt(step), size=(n, 4)):
        score = 0.0
        for k in range(4):
            score += increments[k]
            z = score / np.sqrt(design.information[k])
            if z >= design.upper[k] or z <= design.lower[k]:
                counts[int(z < design.upper[k]), k] += 1
                break
    exits = design.exits(0.8)
    for share, expected in zip(counts / n, (exits.upper, exits.lower), strict=True):
        assert (np.abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / n)).all()


def test_conditional_and_predictive_power_by_simulation():
    design = group_sequential([0.3, 0.6, 1.0], Rule("pocock"), Futility(Rule("lan-demets-obrien-fleming")))
    rng, n, z = np.random.default_rng(8), 200_000, 1.3
    for known in (True, False):
        spread = 0.0 if known else 1 / np.sqrt(0.3)  # flat prior
        theta = z / np.sqrt(0.3) + spread * rng.normal(size=n)
        middle = z * np.sqrt(0.3) + theta * 0.3 + np.sqrt(0.3) * rng.normal(size=n)
        last = middle + theta * 0.4 + np.sqrt(0.4) * rng.normal(size=n)
        above = middle >= design.upper[1] * np.sqrt(0.6)
        wins = above | ((middle > design.lower[1] * np.sqrt(0.6)) & (last >= design.upper[2]))
        found = conditional_power(design, 1, z) if known else predictive_power(design, 1, z)
        assert found == pytest.approx(wins.mean(), abs=4 * 0.5 / np.sqrt(n))
