from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from causalgia.documents.parameters import Parameter

QUARTILE = ndtri(0.75)
Z = ndtri((np.arange(4000) + 0.5) / 4000)


def parameter(**keys):
    return Parameter(source="test", **keys)


def spreads():
    small = st.floats(0.05, 2)
    value = st.floats(0.1, 50)
    return st.one_of(
        st.builds(lambda v, s: parameter(value=v, cv=s), value, small),
        st.builds(lambda v, s: parameter(value=v, log_sd=s), value, small),
        st.builds(lambda v, s, t: parameter(value=v, log_sd=(s, t)), value, small, small),
        st.builds(lambda v, s: parameter(value=v / 51, logit_sd=s), value, small),
        st.builds(lambda v, s: parameter(value=v, sd=s), value, small),
    )


@settings(max_examples=100, deadline=None)
@given(spreads())
def test_the_median_is_the_value_and_individuals_rise_with_their_effect(entry):
    assert entry.individual(np.zeros(1))[0] == pytest.approx(entry.value, rel=1e-12)
    individual = entry.individual(Z)
    assert np.isfinite(individual).all()
    assert (np.diff(individual) > 0).all()


@settings(max_examples=100, deadline=None)
@given(spreads(), st.floats(0.05, 0.9), st.floats(1.1, 5))
def test_truncation_is_the_conditional_distribution(entry, below, above):
    """Truncated by inverse distribution function: F(x) = (F0(x) - F0(low)) / (F0(high) - F0(low))."""
    low, high = entry.value * below, entry.value * above
    if entry.logit_sd is not None:
        high = min(high, 0.999)
    if low >= entry.value or high <= entry.value:
        return
    bounded = entry.model_copy(update={"range": (low, high)})
    individual = bounded.individual(Z)
    assert individual.min() >= low * (1 - 1e-9) and individual.max() <= high * (1 + 1e-9)
    assert (np.diff(individual) >= 0).all()
    fine = ndtri((np.arange(400_000) + 0.5) / 400_000)
    free = entry.individual(fine)
    kept = free[(free > low) & (free < high)]
    for percent in (10, 50, 90):
        share = (kept <= np.percentile(individual, percent)).mean()
        assert share == pytest.approx(percent / 100, abs=0.003)


def test_two_piece_log_normal_has_the_published_quartiles():
    """Blister TNF, huygen2004_mast: 31 (15.5 to 131.5) pg/mL, skewed on the log scale too."""
    below, above = np.log(31 / 15.5) / QUARTILE, np.log(131.5 / 31) / QUARTILE
    entry = parameter(value=31, log_sd=(below, above))
    quartiles = entry.individual(np.array([-QUARTILE, 0, QUARTILE]))
    np.testing.assert_allclose(quartiles, [15.5, 31, 131.5], rtol=1e-12)


def test_coefficient_of_variation_is_that_of_the_log_normal():
    individual = parameter(value=2.0, cv=0.5).individual(ndtri((np.arange(200_000) + 0.5) / 200_000))
    assert individual.std() / individual.mean() == pytest.approx(0.5, rel=2e-3)


def test_logit_normal_stays_a_share():
    individual = parameter(value=0.19, logit_sd=1.944).individual(Z)
    assert individual.min() > 0 and individual.max() < 1
    assert np.median(individual) == pytest.approx(0.19, rel=1e-3)


def test_probability_draws_that_share():
    assert parameter(probability=0.186).individual(Z).mean() == pytest.approx(0.186, abs=1 / 4000)
    assert set(parameter(probability=1.0).individual(Z)) == {1.0}


def test_a_value_without_spread_is_the_same_for_everybody_even_at_the_end_of_its_range():
    np.testing.assert_array_equal(parameter(value=2.0, range=(2.0, 3.0)).individual(Z), np.full(len(Z), 2.0))


@pytest.mark.parametrize(("source", "assumed"), [("assumed: nobody measured it", True), ("xu2008, abstract", False)])
def test_assumed_is_read_from_the_source(source, assumed):
    assert Parameter(value=1.0, source=source).assumed is assumed
