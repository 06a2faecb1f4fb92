from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from causalgia.documents import streams


@pytest.mark.parametrize("draw", [streams.uniforms, streams.normals])
def test_more_subjects_change_none_of_the_first(draw):
    np.testing.assert_array_equal(
        draw(5, "random effect", "CL", size=1000)[:100], draw(5, "random effect", "CL", size=100)
    )


def test_names_and_seeds_are_streams_of_their_own():
    keys = [(1, "a"), (2, "a"), (1, "b"), (1, "a", "b"), (1, "a", 1), (12, "a"), (1, "2a"), (0, "1", "a")]
    draws = np.stack([streams.normals(seed, *purpose, size=20_000) for seed, *purpose in keys])
    correlation = np.corrcoef(draws) - np.eye(len(keys))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(20_000)


def test_draws_are_what_they_say():
    u, z = streams.uniforms(3, "u", size=100_000), streams.normals(3, "z", size=100_000)
    assert u.min() > 0 and u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 0.001
    assert stats.kstest(z, "norm").pvalue > 0.001


@pytest.mark.parametrize("raw", [0, 2**64 - 1])
def test_the_ends_of_the_raw_stream_stay_inside(raw, monkeypatch):
    class Stub:
        def random_raw(self, size):
            return np.full(size, raw, np.uint64)

    monkeypatch.setattr(streams, "bit_generator", lambda *purpose: Stub())
    u = streams.uniforms(1, "end", size=1)[0]
    assert 0 < u < 1
    assert np.isfinite(streams.normals(1, "end", size=1)[0])


def test_stream_is_pinned():
    """Results of a seed are part of a version: a change here changes every published number."""
    np.testing.assert_allclose(streams.uniforms(1, "pinned", size=2), PINNED, rtol=1e-14)


PINNED = [0.702129812505555, 0.12238451017081775]
