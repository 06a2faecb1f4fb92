"""Censored regression, mean and pairs against direct maximisation, published values and simulation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import optimize, special, stats

from causalgia.analysis.bivariate import pair_terms
from causalgia.analysis.censored import censored_mean, censored_paired, censored_regression
from causalgia.analysis.estimates import Status
from causalgia.analysis.linear import ancova
from causalgia.analysis.tails import bivariate_cdf, log_cdf


def trials(seed: int, replicates: int, n: int, effect: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = np.stack([rng.normal(size=(replicates, n)), rng.random((replicates, n)) < 0.5], axis=-1)
    treated = rng.permuted(np.tile(np.arange(n) % 2, (replicates, 1)), axis=1)
    y = 0.6 * z[..., 0] + 0.3 * z[..., 1] + effect * treated + 0.8 * rng.normal(size=(replicates, n))
    return y, treated, z


def log_likelihood(b, y, limit, X):
    sigma, mu = np.exp(b[-1]), X @ b[:-1]
    return np.where(y > limit, stats.norm.logpdf(y, mu, sigma), special.log_ndtr((limit - mu) / sigma)).sum()


def information(f, b, step=1e-4):
    """Negative Hessian by central differences."""
    k, steps = len(b), step * np.eye(len(b))
    H = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            H[i, j] = sum(s * t * f(b + s * steps[i] + t * steps[j]) for s in (1, -1) for t in (1, -1)) / (4 * step**2)
    return -H


def test_regression_is_the_direct_maximum_and_its_information():
    y, treated, z = trials(1, 3, 40, -0.5)
    limit = np.where(np.arange(40) % 2, -0.3, 0.1)
    effect = censored_regression(y, limit, treated, z, sizes=[20, 40])
    for r, (s, size) in ((0, (0, 20)), (2, (1, 40))):
        X = np.column_stack([np.ones(size), z[r, :size], treated[r, :size]])
        f = partial(log_likelihood, y=y[r, :size], limit=limit[:size], X=X)
        top = optimize.minimize(lambda b, f=f: -f(b), np.zeros(5), method="BFGS", options={"gtol": 1e-6})
        assert effect.estimate[r, s] == pytest.approx(top.x[3], rel=1e-5)
        se = np.sqrt(np.linalg.inv(information(f, top.x))[3, 3] * size / (size - 4))
        assert effect.se[r, s] == pytest.approx(se, rel=1e-5)
        assert effect.df[r, s] == size - 4


def test_without_censoring_it_is_ancova():
    y, treated, z = trials(2, 50, 30, -0.5)
    a, b = ancova(y, treated, z, sizes=[12, 30]), censored_regression(y, -np.inf, treated, z, sizes=[12, 30])
    for name in ("estimate", "se", "df", "p", "lower", "upper"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-8, atol=1e-11)


def test_a_value_below_the_limit_is_not_read_and_nan_is_one():
    y, treated, z = trials(3, 1, 30)
    hidden = np.where(y > -0.2, y, np.nan)
    far = np.where(y > -0.2, y, -50.0)
    for other in (hidden, far):
        a, b = censored_regression(y, -0.2, treated, z), censored_regression(other, -0.2, treated, z)
        assert a.p[0, 0] == b.p[0, 0]


def test_a_batch_equals_the_single_trial_bit_for_bit_and_sizes_are_prefixes():
    y, treated, z = trials(4, 150, 40)
    batch = censored_regression(y, -0.3, treated, z, sizes=[20, 40])
    for r in (0, 149):
        single = censored_regression(y[r], -0.3, treated[r], z[r], sizes=[20, 40])
        np.testing.assert_array_equal(batch.estimate[r], single.estimate)
        np.testing.assert_array_equal(batch.p[r], single.p)
        prefix = censored_regression(y[r, :20], -0.3, treated[r, :20], z[r, :20])
        assert batch.p[r, 0] == pytest.approx(prefix.p[0], rel=1e-9)


def test_units_do_not_matter():
    y, treated, z = trials(5, 4, 30)
    a = censored_regression(y, -0.2, treated, z)
    b = censored_regression(1000 + 20 * y, 1000 - 4.0, treated, 300 + 5 * z)
    np.testing.assert_allclose(b.estimate, 20 * a.estimate, rtol=1e-8)
    np.testing.assert_allclose(b.p, a.p, rtol=1e-8)


def test_statuses():
    y, treated, z = trials(6, 6, 16)
    limit = np.full(y.shape, -9.0)
    limit[1] = 9.0
    limit[2] = np.where(treated[2], 9.0, -9.0)
    limit[3] = 9.0
    limit[3, :4] = -9.0  # four values for four coefficients
    treated[3, :4] = [0, 1, 0, 1]
    y[4, 3] = np.inf
    z[5, :, 0] = treated[5]
    effect = censored_regression(y, limit, treated, z)
    expected = ["OK", "ALL_CENSORED", "ARM_CENSORED", "TOO_FEW", "NOT_FINITE", "SINGULAR"]
    assert [Status(s).name for s in effect.status[:, 0]] == expected
    assert np.isnan(effect.estimate[1:]).all()


def test_a_wholly_censored_stratum_does_not_hide_the_effect():
    y, treated, _ = trials(7, 20, 40, -0.5)
    stratum = np.arange(40) < 8  # below a high limit throughout; reference level in one coding, dummy in the other
    limit = np.where(stratum, 99.0, -9.0)
    rest = censored_regression(y[:, 8:], -9.0, treated[:, 8:])
    for coding in (stratum, ~stratum):
        effect = censored_regression(y, limit, treated, np.tile(coding[:, None], (20, 1, 1)))
        np.testing.assert_allclose(effect.estimate, rest.estimate, rtol=1e-6)


def test_an_effect_without_a_bound_is_not_converged():
    y = np.array([1.0, 1.4, 2.2, 1.9, 0.0, 0.0, 0.0, 3.0, 2.5, 3.7])
    treated = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    stratum = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])  # where both arms are, the controls lie below the limit
    effect = censored_regression(y, 0.5, treated, stratum[:, None])
    assert effect.status[0] == Status.NOT_CONVERGED
    assert np.isnan(effect.estimate[0])


def test_mean_without_censoring_is_the_one_sample_t_test():
    x = np.random.default_rng(8).normal(0.4, 1, size=(3, 15))
    fit = censored_mean(x, -np.inf)
    np.testing.assert_allclose(fit.mean.p[:, 0], stats.ttest_1samp(x, 0, axis=1).pvalue, rtol=1e-9)
    np.testing.assert_allclose(fit.sd[:, 0], x.std(axis=1), rtol=1e-9)


def test_normal_tails():
    r = np.array([-300.0, -30, -3, 0, 3, 8, 36, 60])
    log_p, m, m_prime = log_cdf(r)
    np.testing.assert_allclose(log_p, special.log_ndtr(r), rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(m[:-1], np.exp(stats.norm.logpdf(r) - special.log_ndtr(r))[:-1], rtol=1e-10)
    assert ((m_prime <= 0) & (m_prime > -1)).all()


def test_bivariate_distribution_function_against_scipy():
    h, k, zeta = np.random.default_rng(9).normal(size=(3, 60)) * 1.2
    h[0], k[1] = 0.0, 0.0
    rho = np.tanh(zeta)
    sigma = np.stack([np.stack([np.ones(60), rho]), np.stack([rho, np.ones(60)])]).transpose(2, 0, 1)
    scipy_values = [stats.multivariate_normal.cdf(x, cov=c) for x, c in zip(np.stack([h, k], 1), sigma, strict=True)]
    np.testing.assert_allclose(bivariate_cdf(h, k, zeta), scipy_values, atol=1e-12)


@pytest.mark.parametrize("pattern", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_pair_derivatives_are_those_of_the_likelihood(pattern):
    h, k, zeta = np.random.default_rng(10).normal(size=(3, 40)) * 0.7
    below = np.broadcast_to(np.array(pattern, dtype=bool)[:, None], (2, 40))
    _, first, second = pair_terms(h, k, zeta, below)
    for i in range(3):
        step = 1e-5 * np.eye(3)[i][:, None]
        up, down = (pair_terms(*(np.stack([h, k, zeta]) + s * step), below) for s in (1, -1))
        np.testing.assert_allclose((up[0] - down[0]) / 2e-5, first[i], rtol=1e-6, atol=1e-6)
        for j in range(3):
            np.testing.assert_allclose((up[1][j] - down[1][j]) / 2e-5, second[i][j], rtol=1e-5, atol=1e-5)


def pairs(seed: int, replicates: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).multivariate_normal([0.7, 0], [[1, 0.5], [0.5, 1]], size=(replicates, n)).T


def test_pairs_are_the_direct_maximum():
    a, b = pairs(11, 1, 25)[..., 0]
    below = np.stack([a <= 0.2, b <= -0.1])
    assert len(np.unique(below.astype(int).T, axis=0)) == 4  # all patterns occur

    def f(x):
        h, k = (np.maximum(a, 0.2) - x[0]) * np.exp(-x[2]), (np.maximum(b, -0.1) - x[1]) * np.exp(-x[3])
        return pair_terms(h, k, x[4], below)[0].sum() - (~below).sum(axis=1) @ x[2:4]

    top = optimize.minimize(lambda x: -f(x), np.zeros(5), method="BFGS", options={"gtol": 1e-6})
    fit = censored_paired(a, 0.2, b, -0.1)
    direction = np.array([1, -1, 0, 0, 0])
    se = np.sqrt(direction @ np.linalg.inv(information(f, top.x)) @ direction * 25 / 24)
    found = [fit.estimate[0], fit.sd_a[0], fit.sd_b[0], fit.correlation[0], fit.se[0]]
    expected = [top.x[0] - top.x[1], np.exp(top.x[2]), np.exp(top.x[3]), np.tanh(top.x[4]), se]
    assert found == pytest.approx(expected, rel=1e-5)


def test_pairs_without_censoring_are_the_paired_t_test():
    a, b = pairs(12, 4, 12).transpose(0, 2, 1)
    np.testing.assert_allclose(
        censored_paired(a, -np.inf, b, -np.inf).p[:, 0], stats.ttest_rel(a, b, axis=1).pvalue, rtol=1e-8
    )


def test_pairs_that_cannot_be_fitted_have_a_status():
    a, b = pairs(13, 3, 12).transpose(0, 2, 1)
    limit_a, limit_b = np.full(a.shape, -9.0), np.full(a.shape, -9.0)
    limit_b[1] = 9.0
    limit_a[2, 2:] = 9.0
    fit = censored_paired(a, limit_a, b, limit_b)
    assert fit.status[:, 0].tolist() == [Status.OK, Status.ARM_CENSORED, Status.TOO_FEW]


@pytest.mark.parametrize(("share", "sizes"), [(0.3, (0.045, 0.047, 0.047)), (0.6, (0.039, 0.043, 0.045))])
def test_size_and_bias_under_censoring_are_as_documented(share, sizes):
    y, treated, z = trials(14, 4000, 60)
    effect = censored_regression(y, np.quantile(y, share), treated, z, sizes=[20, 40, 60])
    ok = effect.status == Status.OK
    rejected = np.array([(effect.p[ok[:, s], s] <= 0.05).mean() for s in range(3)])
    assert rejected == pytest.approx(sizes, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
    estimates = [effect.estimate[ok[:, s], s] for s in range(3)]
    assert all(abs(x.mean()) < 4 * x.std() / np.sqrt(len(x)) for x in estimates)


def test_coverage_of_a_real_fall_with_thirty_percent_censored():
    y, treated, z = trials(15, 4000, 40, -0.5)
    effect = censored_regression(y, np.quantile(y[treated == 0], 0.3), treated, z)
    missed = ((effect.lower > -0.5) | (effect.upper < -0.5)).mean()
    assert missed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
