"""The mixed model against a second implementation written from the definitions (mmrm_slow.py)."""

from __future__ import annotations

import numpy as np
import pytest
from mmrm_slow import SlowMmrm

from causalgia.analysis.covariances import STRUCTURES
from causalgia.analysis.mmrm import mmrm


def small_trial(seed: int, n: int, T: int) -> tuple[np.ndarray, np.ndarray]:
    """One trial with drop-out and gaps, a baseline and an arm that acts more the later."""
    rng = np.random.default_rng(seed)
    lag = np.abs(np.subtract.outer(np.arange(T), np.arange(T)))
    sd = 1 + 0.3 * np.arange(T)
    root = np.linalg.cholesky(np.outer(sd, sd) * 0.6**lag)
    arm, baseline = np.arange(n) % 2, rng.normal(size=n)
    y = 5 + 0.7 * baseline[:, None] + np.outer(arm, np.arange(T)) + rng.normal(size=(n, T)) @ root.T
    y[rng.random((n, T)) < 0.12] = np.nan
    for subject in np.flatnonzero(rng.random(n) < 0.2):
        y[subject, rng.integers(1, T) :] = np.nan
    one = np.ones((n, T))
    columns = [*(one * row for row in np.eye(T)), baseline[:, None] * one, *(arm[:, None] * row for row in np.eye(T))]
    return y, np.stack(columns, axis=-1)


@pytest.mark.parametrize(
    ("structure", "seed", "n", "T"), [*((name, 1, 20, 3) for name in STRUCTURES), ("heterogeneous-ar1", 2, 24, 4)]
)
def test_every_structure_and_inference_agrees(structure, seed, n, T):
    y, x = small_trial(seed, n, T)
    L = np.eye(x.shape[-1])[-1]
    slow = SlowMmrm(y, x, structure)
    expected = {
        "satterthwaite": slow.satterthwaite(L),
        "kenward-roger-linear": slow.kenward_roger(L),
        "sandwich": slow.sandwich(L, False),
        "sandwich-bias-reduced": slow.sandwich(L, True),
    }
    for inference, (se, df) in expected.items():
        fit = mmrm(y, x, contrast=L, structure=structure, inference=inference)
        assert float(fit.estimate) == pytest.approx(L @ slow.beta, rel=1e-6)
        assert -2 * float(fit.log_likelihood) == pytest.approx(slow.minus2(slow.theta), abs=1e-7)
        assert float(fit.se) == pytest.approx(se, rel=1e-5), inference
        assert float(fit.df) == pytest.approx(df, rel=1e-4), inference


@pytest.mark.parametrize("structure", ["unstructured", "ar1"])
def test_maximum_likelihood_agrees(structure):
    y, x = small_trial(3, 20, 3)
    L = np.eye(x.shape[-1])[-1]
    slow = SlowMmrm(y, x, structure, reml=False)
    fit = mmrm(y, x, contrast=L, structure=structure, method="ml", inference="satterthwaite")
    assert [float(fit.se), float(fit.df)] == pytest.approx(slow.satterthwaite(L), rel=1e-4)
    assert -2 * float(fit.log_likelihood) == pytest.approx(slow.minus2(slow.theta), abs=1e-7)
