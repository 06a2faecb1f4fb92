"""Targets that cannot be are refused at the door, with the key and the number."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.documents import InputError
from causalgia.documents.reader import LIBRARY
from causalgia.documents.targets import Targets
from causalgia.evidence.base import Evidence
from causalgia.evidence.check import unresolved
from causalgia.inference.calibration.likelihood import Likelihood, off_scale, on_scale, published
from causalgia.inference.calibration.space import END, Axis, Space

WORLDS = ("absolute", "relative", "recovery")
TEXT = (LIBRARY / "calibration" / "targets.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def targets():
    return Targets.load("targets")


def changed(tmp_path, old, new):
    assert old in TEXT
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return path


def test_every_source_is_a_study_of_the_evidence_and_none_is_held_back(targets):
    evidence = Evidence.load()
    for target in targets.targets:
        assert not unresolved(target.source, evidence), target.name
        assert not any(study in target.source for study in targets.unfitted), target.name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("value = 15.5\n", "value = 40\n", "quantiles that rise"),
        ("events = 16\n", "events = 36\n", "36 of 35"),
        ("value = 0.16\n", "value = 1.16\n", "between 0 and 1"),
        ("value = -1.55\nse = 0.5\n", "value = -1.55\n", "neither se nor n"),
        ("bounds = [-0.242, 0.242]", "bounds = [0.242, -0.242]", "low < high"),
        ("events = 16\n", "", "exactly one of value, events, bounds"),
        ('source = "brunner2017', 'source = "manning2014', "not held back"),
        ('name = "criteria at 3 months"', 'name = "progressive at 5.8 years"', "a name of its own"),
        ('statistic = "change"\nprotocol = "goebel-2010"\n', 'statistic = "change"\n', "what a change needs"),
        ("value = 31\n", "value = -31\n", "between 0 and inf"),
    ],
)
def test_a_target_that_cannot_be_is_refused(tmp_path, old, new, words):
    with pytest.raises(InputError) as error:
        Targets.load(changed(tmp_path, old, new))
    assert words in str(error.value)
    assert "mine.toml" in str(error.value)


def test_no_targets_and_unknown_parameters_are_refused(tmp_path):
    path = tmp_path / "none.toml"
    path.write_text(TEXT[: TEXT.index("[[targets]]")] + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="targets"):
        Targets.load(path)
    with pytest.raises(InputError, match="'Kxx'"):
        Space.of(Targets.load(changed(tmp_path, '"Kss", "kint", "CL"', '"Kxx", "kint", "CL"')), "relative")
    with pytest.raises(InputError, match="no uncertainty"):
        Space.of(Targets.load(changed(tmp_path, '"Kss", "kint", "CL"', '"V1", "kint", "CL"')), "relative")


@pytest.mark.parametrize("world", WORLDS)
def test_priors_are_the_ranges_of_the_documents(targets, world):
    space = Space.of(targets, world)
    assert len(space.axes) >= 60
    for axis in space.axes:
        low, middle, high = axis.values(np.array([-END, 0.0, END]))
        ends = {round(float(low), 9), round(float(high), 9)}
        assert middle == pytest.approx(axis.value)
        if axis.low < axis.value < axis.high:
            assert (low, high) == pytest.approx((axis.low, axis.high))
            assert (np.diff(axis.values(np.linspace(-END, END, 50))) > 0).all()
        else:
            assert ends & {round(axis.low, 9), round(axis.high, 9)}
    u = np.random.default_rng(1).random((2000, len(space.axes)))
    z = space.from_uniform(u)
    assert (np.abs(z) <= END).all()
    np.testing.assert_allclose(space.uniform(z), u, atol=1e-9)
    x, h = np.linspace(-3, 3, 13), 1e-5
    rise = (space.from_normal(x + h)[0] - space.from_normal(x - h)[0]) / (2 * h)
    np.testing.assert_allclose(space.from_normal(x)[1], rise, rtol=1e-6)


def test_a_world_without_a_number_has_no_axis(targets):
    """In the relative world T50 is a formula."""
    assert "crps-acute.T50" in Space.of(targets, "absolute").names
    assert "crps-acute.T50" not in Space.of(targets, "relative").names


def test_a_value_at_the_end_of_its_range_uses_the_other_side():
    axis = Axis("drug.m", 1.0, 0.0, 1.0, "1")
    np.testing.assert_allclose(axis.values(np.array([-END, 0.0, END])), [0.0, 1.0, 0.0])


@pytest.mark.parametrize("scale", ["log", "logit", "fisher", "linear"])
def test_scales_go_there_and_back(scale):
    x = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(off_scale(on_scale(x, scale), scale), x, rtol=1e-12)


def test_log_likelihood_by_hand(targets):
    """A share of 16 of 35 with half a person on both sides, and an interval: against scipy."""
    from scipy import stats

    rows = {target.name: target for target in targets.targets}
    two = (rows["criteria at 3 months"], rows["TNF and pain"])
    likelihood = Likelihood.of(two, {})
    y, error = np.log(16.5 / 19.5), np.sqrt(1 / 16.5 + 1 / 19.5)
    assert published(two[0]) == pytest.approx(y)
    expected = stats.norm.logpdf(y, 0.3, np.hypot(error, 0.1))
    spread = np.hypot(1.06 / np.sqrt(63), 0.2)
    limit = np.arctanh(0.242)
    expected += np.log(stats.norm.cdf(limit, 0.5, spread) - stats.norm.cdf(-limit, 0.5, spread))
    assert likelihood.log(np.array([0.3, 0.5]), np.array([0.01, 0.04])) == pytest.approx(expected)


def test_a_reading_outside_its_interval_has_the_rest_of_the_probability(targets):
    from dataclasses import replace

    row = next(target for target in targets.targets if target.name == "TNF and pain")
    inside = Likelihood.of((row,), {})
    outside = replace(inside, within=np.array([False]))
    s, none = np.linspace(-3, 3, 13)[:, None], np.zeros(1)
    np.testing.assert_allclose(np.exp(inside.log(s, none)) + np.exp(outside.log(s, none)), 1, rtol=1e-9)
