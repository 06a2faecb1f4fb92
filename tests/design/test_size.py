"""The size that reaches a power, from shares whose power is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr, ndtri

import causalgia as cg
from causalgia.design.evaluate import evaluate
from causalgia.design.size import find_sizes, whole
from causalgia.documents import InputError

SIZES = np.array([20, 40, 80, 160])
EFFECT = 0.25


def power(n):
    """Of a one-sided z test: the probit is a line in √n."""
    return ndtr(EFFECT * np.sqrt(n) - ndtri(0.975))


def dataset(shares, se, sizes=SIZES):
    rows = np.atleast_2d(shares)
    errors = np.broadcast_to(se, rows.shape)
    data = {"relieved": (("world", "size"), rows), "relieved_se": (("world", "size"), errors)}
    return xr.Dataset(data, coords={"world": [f"w{i}" for i in range(len(rows))], "size": sizes})


@pytest.mark.parametrize("wanted", [0.3, 0.5, 0.8])
def test_the_size_of_a_z_test(wanted):
    """n = ((z_α + z_β)/effect)², and se(n) = se/(dpower/dn)."""
    found = find_sizes(dataset(power(SIZES), 0.01), wanted)["w0"]
    n = ((ndtri(0.975) + ndtri(wanted)) / EFFECT) ** 2
    assert found.value == pytest.approx(n, rel=1e-9)
    slope = (power(n + 1e-3) - power(n - 1e-3)) / 2e-3
    assert found.se == pytest.approx(0.01 / slope, rel=1e-6)
    assert found.bound == ""


def test_nothing_is_extrapolated():
    seen = find_sizes(dataset([power(SIZES), power(SIZES) / 9, 0.5 + power(SIZES) / 2], 0.01), 0.5)
    assert (seen["w1"].value, seen["w1"].bound) == (None, "above")
    assert (seen["w2"].value, seen["w2"].bound) == (None, "below")


def test_shares_that_fall_by_chance_are_made_monotone():
    """Pooled neighbours: 0.42 and 0.38 of equal weight count as 0.4 both."""
    found = find_sizes(dataset([0.2, 0.42, 0.38, 0.9], 0.01), 0.6)["w0"]
    alike = find_sizes(dataset([0.2, 0.4, 0.4, 0.9], 0.01), 0.6)["w0"]
    assert found.value == pytest.approx(alike.value)
    assert 80 < found.value < 160


def test_the_error_bounds_the_spread_of_independent_evaluations():
    rng = np.random.default_rng(1)
    replicates = 2000
    found = []
    for _ in range(400):
        shares = rng.binomial(replicates, power(SIZES)) / replicates
        found.append(find_sizes(dataset(shares, np.sqrt(shares * (1 - shares) / replicates)), 0.8)["w0"])
    spread = np.std([size.value for size in found])
    claimed = np.mean([size.se for size in found])
    assert 0.5 * claimed < spread < 1.1 * claimed


@pytest.mark.parametrize("bad", [0.0, 1.0, 1.5, float("nan")])
def test_a_power_that_is_none(bad):
    with pytest.raises(InputError, match="between 0 and 1"):
        find_sizes(dataset(power(SIZES), 0.01), bad)


def test_one_size_is_no_curve():
    with pytest.raises(InputError, match="two sizes"):
        find_sizes(dataset([0.5], 0.01, sizes=[40]), 0.8)


def test_sizes_that_can_be_randomised():
    assert whole(cg.Protocol.load("gated-infliximab"), 40.2) == 41
    assert whole(cg.Protocol.load("dirckx-2013"), 13.5) == 26
    assert whole(cg.Protocol.load("dirckx-2013"), 26.0) == 26


def test_the_size_found_has_the_power(protocol, outcomes):
    """Evaluated on its own, the size that was read off reaches the share within four standard errors."""
    first = evaluate(protocol.with_options(None, 400, (20, 40, 80)), outcomes, seed=3, workers=2)
    found = find_sizes(first, 0.4)["absolute"]
    assert found.value is not None
    size = whole(protocol, found.value)
    again = evaluate(protocol.with_options(None, 400, (size,)), outcomes, seed=4, workers=2).sel(world="absolute")
    share, se = float(again["relieved"].values[0]), float(again["relieved_se"].values[0])
    before = float(first["relieved_se"].sel(world="absolute").values.max())
    assert share == pytest.approx(0.4, abs=4 * np.hypot(se, before))
