"""Multiple testing against published graphs, brute-force closure and simulated error rates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from causalgia.analysis.multiplicity import (
    closed_graphical,
    fixed_sequence,
    graphical,
    nested_p,
    nested_test,
    simes,
    subgroup_level,
)
from causalgia.documents.errors import InputError

WEIGHTS, GRAPH = [0.5, 0.5, 0, 0], [[0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]
HOLM = (1 - np.eye(4)) / 3


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        pytest.param([0.01, 0.005, 0.015, 0.022], [0.02, 0.01, 0.03, 0.03], id="graph_bonferroni_1"),
        pytest.param([0.02, 0.015, 0.01, 0.023], [0.04, 0.03, 0.04, 0.04], id="graph_bonferroni_2"),
    ],
)
def test_graphical_published(p, expected):
    # lrstat family tests; trial_reference_values.csv, by id: abs 1e-10
    assert graphical(p, WEIGHTS, GRAPH) == pytest.approx(expected, abs=1e-10)
    assert closed_graphical(p, WEIGHTS, GRAPH, test="bonferroni") == pytest.approx(expected, abs=1e-10)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_the_complete_graph_is_holm_and_its_simes_closure_is_hommel(p):
    order, p = np.argsort(p, kind="stable"), np.array(p)
    holm = np.empty(4)
    holm[order] = np.minimum(np.maximum.accumulate(p[order] * [4, 3, 2, 1]), 1)
    np.testing.assert_allclose(graphical(p, np.full(4, 0.25), HOLM), holm, atol=1e-12)
    hommel = np.zeros(4)
    for size in range(1, 5):
        for some in combinations(range(4), size):
            joint = min(np.sort(p[list(some)]) * size / np.arange(1, size + 1))
            hommel[list(some)] = np.maximum(hommel[list(some)], min(joint, 1))
    np.testing.assert_allclose(closed_graphical(p, np.full(4, 0.25), HOLM), hommel, atol=1e-12)


@given(st.data())
def test_graphical_is_its_bonferroni_closure_and_simes_rejects_more(data):
    m = data.draw(st.integers(1, 4))
    share = st.lists(st.integers(0, 20).map(lambda i: i / 20), min_size=m, max_size=m)
    weights = np.array(data.draw(share))
    weights = weights / max(weights.sum(), 1)
    G = np.array([data.draw(share) for _ in range(m)]) * (1 - np.eye(m))
    G = G / np.maximum(G.sum(axis=1, keepdims=True), 1)
    p = np.array([data.draw(share) for _ in range(3)])
    shortcut = graphical(p, weights, G)
    np.testing.assert_allclose(closed_graphical(p, weights, G, test="bonferroni"), shortcut, atol=1e-9)
    assert (closed_graphical(p, weights, G) <= shortcut + 1e-9).all()
    for row in range(3):
        np.testing.assert_allclose(graphical(p[row], weights, G), shortcut[row], atol=1e-12)


def test_a_chain_is_the_fixed_sequence():
    rng = np.random.default_rng(1)
    p = rng.random((50, 3)) ** 2
    np.testing.assert_allclose(graphical(p, [1, 0, 0], [[0, 1, 0], [0, 0, 1], [0, 0, 0]]), fixed_sequence(p))


def test_what_no_weight_reaches_is_never_rejected():
    assert graphical([0.001, 0.0, 0.0], [1, 0, 0], np.zeros((3, 3))).tolist() == [0.001, 1, 1]


def test_a_hypothesis_without_estimate_is_not_rejected():
    p = np.array([[0.01, np.nan, 0.01, 0.01], [0.01, 0.02, 0.03, 0.04]])
    for adjusted in (
        fixed_sequence(p),
        graphical(p, np.full(4, 0.25), HOLM),
        closed_graphical(p, np.full(4, 0.25), HOLM),
    ):
        assert adjusted[0, 1] == 1
        assert np.isfinite(adjusted).all()
    assert graphical(p, np.full(4, 0.25), HOLM)[0, [0, 2, 3]] == pytest.approx([0.04, 0.04, 0.04])


def test_simes_is_exact_for_independent_hypotheses_and_weighted_by_hand():
    rng, n = np.random.default_rng(2), 100_000
    for weights in (None, [0.6, 0.3, 0.1]):
        share = (simes(rng.random((n, 3)), weights) <= 0.05).mean()
        assert share == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / n))
    assert simes([0.03, 0.5, 0.01], [0.5, 0.5, 0]) == pytest.approx(min(0.03 / 0.5, 0.5))
    assert simes([0.4, 0.9], [0.0, 0.0]) == 1


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_spiessens_debois_uses_up_the_level(fraction):
    level = subgroup_level(fraction, alpha=0.025, alpha_full=0.02)
    assert level > 0.005
    bounds = -special.ndtri([0.02, level])
    correlation = [[1, np.sqrt(fraction)], [np.sqrt(fraction), 1]]
    inside = stats.multivariate_normal([0, 0], correlation).cdf(bounds)
    assert 1 - inside == pytest.approx(0.025, abs=1e-7)


def test_spiessens_debois_ends():
    assert subgroup_level(1e-9) == pytest.approx(1 - 0.975 / 0.98, rel=1e-3)  # independent
    assert subgroup_level(1 - 1e-9) == pytest.approx(0.025, rel=1e-3)  # the same test
    levels = [subgroup_level(f) for f in (0.1, 0.3, 0.6, 0.9)]
    assert (np.diff(levels) > 0).all()


def nested_z(effects, fraction, n, seed):
    rng = np.random.default_rng(seed)
    inner, outer = rng.normal(size=(2, n))
    sub = inner + effects[1]
    return np.sqrt(fraction) * inner + np.sqrt(1 - fraction) * outer + effects[0], sub


def test_nested_test_keeps_the_familywise_error_and_needs_both_steps():
    n, fraction = 100_000, 0.4
    full, sub = nested_test(*nested_z((0, 0), fraction, n, 3), fraction)
    assert (full | sub).mean() == pytest.approx(0.025, abs=4 * np.sqrt(0.025 / n))
    full, sub = nested_test(*nested_z((0, 4.0), fraction, n, 4), fraction)
    assert full.mean() <= 0.025 + 4 * np.sqrt(0.025 / n)
    assert sub.mean() > 0.9
    assert not np.any(nested_test([2.0], [0.0], fraction)[0])  # P = 0.023 alone does not pass the intersection


def test_nested_p_is_uniform_and_below_bonferroni():
    n, fraction = 50_000, 0.6
    z, sub = nested_z((0, 0), fraction, n, 5)
    for weight in (0.5, 0.8):
        p = nested_p(z, sub, fraction, weight_full=weight)
        assert stats.kstest(p, "uniform").pvalue > 1e-4
        bonferroni = np.minimum(special.ndtr(-z) / weight, special.ndtr(-sub) / (1 - weight))
        assert (p <= np.minimum(bonferroni, 1) + 1e-12).all()
    assert nested_p(-40.0, -40.0, fraction) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fixed_sequence([0.1, 1.2]), "between 0 and 1"),
        (lambda: simes([]), "p-values"),
        (lambda: simes([0.1, 0.2], [0.7, 0.7]), "at most 1"),
        (lambda: graphical([0.1, 0.2], [0.5, 0.5], [[0.1, 0.9], [1, 0]]), "diagonal"),
        (lambda: graphical([0.1, 0.2], [0.5, 0.5], [[0, 1.1], [1, 0]]), "rows that sum"),
        (lambda: closed_graphical([0.1], [1], [[0]], test="parametric"), "simes or bonferroni"),
        (lambda: closed_graphical(np.zeros(13), np.zeros(13), np.zeros((13, 13))), "Use graphical"),
        (lambda: subgroup_level(0.5, alpha=0.025, alpha_full=0.03), "alpha_full"),
        (lambda: nested_p(1.0, 1.0, 1.2), "between 0 and 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
