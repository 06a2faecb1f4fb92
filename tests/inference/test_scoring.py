"""Scores of trials that were not fitted: the arithmetic, and that nothing of them was used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from causalgia.documents import Protocol
from causalgia.documents.targets import Targets
from causalgia.inference.calibration.scoring import RESULTS, _central, _estimate, _probability
from causalgia.population.posterior import FOLDER, Posterior

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_every_scored_result_was_held_back():
    held = Targets.load("targets").unfitted
    for result in RESULTS:
        assert result.source.split(",")[0] in held, result.found
        assert Protocol.load(result.protocol).name == result.protocol
    assert {"dirckx-2013", "manning-2014", "goebel-2017", "eisenberg-2013", "korhonen-first-ii"} == {
        result.protocol for result in RESULTS
    }


def part(mean, spread, **more):
    ones = np.ones(20)
    return {"mean": mean * ones, "spread": spread * ones, "width": 3.92 * spread * ones} | {
        name: value * ones for name, value in more.items()
    }


def test_an_estimate_by_hand():
    """Two worlds of weight 1/4 and 3/4 around -1 and 0, the reference around 0 with the same spread."""
    result = next(r for r in RESULTS if r.kind == "estimate" and r.value == 0.27)
    score = _estimate(result, [(part(-1, 0.5), 0.25), (part(0, 0.5), 0.75)], part(0, 0.5))
    density = 0.25 * stats.norm.pdf(0.27, -1, 0.5) + 0.75 * stats.norm.pdf(0.27, 0, 0.5)
    assert score.log_predicted == pytest.approx(np.log(density))
    assert score.log_null == pytest.approx(stats.norm.logpdf(0.27, 0, 0.5))
    assert score.gain < 0
    assert score.predicted == pytest.approx(-0.25)
    assert score.null_interval == pytest.approx((-0.98, 0.98), abs=0.01)


def test_a_vague_prediction_gains_nothing_on_the_reference():
    result = next(r for r in RESULTS if r.kind == "estimate")
    gains = [_estimate(result, [(part(0, spread), 1.0)], part(0, 0.1)).gain for spread in (0.1, 0.3, 3.0)]
    assert gains[0] == pytest.approx(0)
    assert gains[0] > gains[1] > gains[2]


def test_central_interval_of_a_normal():
    low, high = _central(np.zeros(1), np.array([2.0]), np.array([0.5]))
    assert (low, high) == pytest.approx((2 - 0.98, 2 + 0.98), abs=0.01)


def test_events_by_hand():
    calm = next(r for r in RESULTS if r.kind == "not significant" and r.endpoint is None)
    worse = next(r for r in RESULTS if r.kind == "worse")
    assert _probability(calm, part(0, 1, relieved=0.3)) == pytest.approx(0.7)
    assert _probability(worse, part(-1.96, 1)) == pytest.approx(0.5)
    assert _probability(worse, part(0, 1)) == pytest.approx(0.025, abs=1e-4)


def test_the_page_tells_the_hash_that_is_recorded():
    posterior = Posterior.load("crps")
    text = (DOCS / "how-well.md").read_text(encoding="utf-8")
    assert posterior.digest in text
    assert f'sha256 = "{posterior.digest}"' in (FOLDER / "crps.toml").read_text(encoding="utf-8")
    for result in RESULTS:
        assert result.found in text
    assert (DOCS / "how-well.svg").is_file()
