"""Planning numbers against R, statsmodels and the plan."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.analysis.linear import ancova
from causalgia.analysis.power import ancova_power, ancova_size, t_power, t_size
from causalgia.documents.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "alternative", "expected"),
    [  # R pwr by statsmodels test_power.py; trial_reference_values.csv, power_t_*
        ((0.05, 20), "greater", 0.0764888785042198),
        ((-0.2, 20), "less", 0.21707518167191),
        ((0.1, 20, 20), "two-sided", 0.06095912465411235),
        ((1, 30, 30), "greater", 0.985459690251624),
        ((0.1, 20, 30), "greater", 0.09623589080917805),
    ],
)
def test_t_power_published(arguments, alternative, expected):
    assert t_power(*arguments, alternative=alternative) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [  # R pwr by pingouin test_power.py; trial_reference_values.csv, n_t_*
        ({}, 63.76561),
        ({"alternative": "greater"}, 50.1508),
        ({"alternative": "greater", "paired": True}, 26.13753),
    ],
)
def test_t_size_published(options, expected):
    assert t_size(0.5, **options) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("difference", "sd", "correlation", "expected"),
    [(1.5, 2.0, 0.4, (25, 33)), (2.0, 2.5, 0.6, (18, 23)), (1.0, 2.5, 0.4, (84, 112))],
)
def test_planning_numbers_of_the_analysis_plan(difference, sd, correlation, expected):
    sizes = tuple(ancova_size(difference, sd, correlation, power=power) for power in (0.8, 0.9))
    assert sizes == tuple((n, n) for n in expected)


def test_ancova_size_published():
    # statpsych size.test.ancova2; trial_reference_values.csv, ancova_n_equal (exact), ancova_n_nonexperimental (±1)
    assert ancova_size(0.7, 1.37**0.5, 0, power=0.9) == (61, 61)
    assert ancova_size(0.7, 1.37**0.5, 0, power=0.9, imbalance=0.5)[0] == pytest.approx(65, abs=1)


def test_unequal_arms_reach_the_power_and_one_less_does_not():
    treated, control = ancova_size(1.0, 2.0, 0.5, ratio=2, covariates=3)
    assert treated == 2 * control
    reached, short = (ancova_power(1.0, 2.0, 0.5, 2 * n, n, covariates=3) for n in (control, control - 1))
    assert short < 0.8 <= reached


def test_power_is_what_simulated_trials_reach():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(10_000, 30))
    treated = rng.permuted(np.tile(np.arange(30) % 2, (10_000, 1)), axis=1)
    y = 0.6 * z + 0.8 * rng.normal(size=z.shape) + 0.9 * treated
    share = (ancova(y, treated, z[..., None]).p <= 0.05).mean()
    assert share == pytest.approx(ancova_power(0.9, 1.0, 0.6, 15, 15), abs=4 * np.sqrt(0.25 / 10_000))


def test_arrays_broadcast():
    assert t_power([0.2, 0.5], np.array([[10], [20], [30]]), 20).shape == (3, 2)


def test_no_effect_and_unknown_sides_are_refused():
    with pytest.raises(InputError, match="larger effect"):
        t_size(0.0)
    with pytest.raises(InputError, match="two-sided"):
        t_power(0.5, 20, alternative="both")
