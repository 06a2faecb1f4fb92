"""Mediation against the brute-force structural likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from mediation_slow import fit

from causalgia.analysis.mediation import mediate


def data(seed: int, n: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    treated = np.arange(n) % 2
    c, x = rng.normal(size=(2, n))
    m = -0.9 * treated + 0.6 * x + 0.2 * c + 0.8 * rng.normal(size=n)
    y = 0.5 - 0.3 * treated + 0.8 * m + 0.4 * x + 0.3 * c + rng.normal(size=n)
    return y, m + 0.6 * rng.normal(size=n), treated, c, x + 0.6 * rng.normal(size=n)


@pytest.mark.parametrize(
    ("with_baseline", "u0", "limit"),
    [(False, 0.0, -np.inf), (False, 0.0, -0.6), (True, 0.0, -0.6), (True, 0.36, -np.inf), (True, 0.36, -0.6)],
)
def test_estimates_are_those_of_the_structural_likelihood(with_baseline, u0, limit):
    n = 44
    y, w, treated, c, w0 = data(11, n)
    rank = 3 + with_baseline
    result = mediate(
        y,
        w,
        treated,
        c[:, None],
        error=0.36,
        baseline=w0 if with_baseline else None,
        baseline_error=u0 if with_baseline else None,
        limit=limit,
    )
    # `mediate` divides squares by n − rank, maximum likelihood by n: the same with errors smaller by that ratio
    shrink = (n - rank) / n
    nodes = 48 if not u0 else 24
    slow = fit(y, w, treated, c, w0 if with_baseline else None, 0.36 * shrink, u0 * shrink, limit, nodes)
    assert result.to_mediator.estimate[0] == pytest.approx(slow["a"], abs=5e-5)
    assert result.slope.estimate[0] == pytest.approx(slow["b"], abs=5e-5)
    assert result.indirect.estimate[0] == pytest.approx(slow["a"] * slow["b"], abs=5e-5)
    assert result.direct.estimate[0] == pytest.approx(slow["direct"], abs=5e-5)
    reliability = slow["sd_m"] ** 2 / (slow["sd_m"] ** 2 + 0.36 * shrink)
    assert result.reliability[0] == pytest.approx(reliability, abs=5e-5)
