"""Lognormal means below limits against the published EnvStats example."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.analysis.censored import censored_mean
from causalgia.analysis.lognormal import lognormal_moments, quasi_unbiased_moments, robust_ros
from causalgia.documents.errors import InputError

# Manganese in ground water (Millard 2013; EnvStats help elnormAltCensored); trial_reference_values.csv, blq_Mn_MLE.
MANGANESE = [5, 12.1, 16.9, 21.6, 2, 5, 7.7, 53.6, 9.5, 45.9, 5, 5.3, 12.6, 106.3, 34.5, 6.3, 11.9, 10, 2, 77.2, 17.9]
MANGANESE += [22.7, 3.3, 8.4, 2]
BELOW = [1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
VALUE, HIDDEN = np.array(MANGANESE), np.array(BELOW, dtype=bool)


def fitted() -> tuple[float, float]:
    fit = censored_mean(np.where(HIDDEN, np.nan, np.log(VALUE)), np.where(HIDDEN, np.log(VALUE), -np.inf))
    return fit.mean.estimate[0], fit.sd[0]


def test_published_maximum_likelihood():
    assert lognormal_moments(*fitted()) == pytest.approx((23.003987, 2.300772), abs=1e-5)


def test_published_quasi_minimum_variance_unbiased():
    assert quasi_unbiased_moments(*fitted(), 25) == pytest.approx((21.566945, 1.841366), abs=1e-5)


@pytest.mark.parametrize(("constant", "expected"), [(0.375, (19.88618, 1.298868)), (0, (19.827673, 1.304725))])
def test_published_regression_on_order_statistics(constant, expected):
    found = robust_ros(np.where(HIDDEN, np.nan, VALUE), np.where(HIDDEN, VALUE, 0.0), constant=constant)
    assert found == pytest.approx(expected, abs=1e-5)


def test_without_values_below_a_limit_it_is_the_sample():
    y = np.array([1.0, 3.0, 2.0, 7.0])
    assert robust_ros(y, 0.0) == pytest.approx((y.mean(), y.std(ddof=1) / y.mean()))


def test_a_sample_without_known_values_is_refused():
    with pytest.raises(InputError, match="two distinct"):
        robust_ros([1.0, 5.0, 5.0], [2.0, 1.0, 1.0])
