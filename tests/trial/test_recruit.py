from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import causalgia as cg
from causalgia.analysis.allocation import allocation_lists, positions
from causalgia.trial.recruit import Screening, recruit, screen

GATED = cg.Protocol.load("gated-infliximab")
FIXED = cg.Protocol.load("dirckx-2013")


def gated(share):
    """The gated protocol with a share of low subjects, or without a low stratum."""
    low = None if share is None else GATED.gate.low_stratum.model_copy(update={"share": share})
    return GATED.model_copy(update={"gate": GATED.gate.model_copy(update={"low_stratum": low})})


def slowly(present, passes, share, size):
    """One replicate, one person after the other: places of the randomised, or None when too few come."""
    taken, high, low = [], 0, 0
    for place, (here, high_tnf) in enumerate(zip(present, passes, strict=True)):
        if here and high_tnf:
            high += 1
        elif here and share is not None and low + 1 <= share * (high + low + 1) + 1e-9:
            low += 1
        else:
            continue
        taken.append(place)
        if len(taken) == size:
            return taken
    return None


def recruited(protocol, present, passes, size, durations=None):
    places = passes.shape[1]
    screening = Screening(1, ("test",), np.tile(np.arange(places, dtype=np.int32), (len(passes), 1)))
    durations = np.full(places, 50.0) if durations is None else durations
    return recruit(protocol, SimpleNamespace(present=present), screening, passes, durations, size)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=12, max_size=60),
    st.sampled_from([None, 0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.75]),
    st.integers(2, 10),
)
def test_gate_and_cap_are_those_of_one_after_the_other(people, share, size):
    present, passes = (np.array(column) for column in zip(*people, strict=True))
    expected = slowly(present, passes, share, size)
    found = recruited(gated(share), present, passes[None], size)
    if expected is None:
        assert found is None
        return
    assert found.place[0].tolist() == expected
    np.testing.assert_array_equal(found.low[0], ~passes[expected])
    np.testing.assert_array_equal(found.screened[0], [present[: place + 1].sum() for place in expected])
    if share is not None:
        counts = np.cumsum(found.low[0])
        assert (counts <= share * np.arange(1, size + 1) + 1e-9).all(), "the cap holds at every moment of the trial"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(0, 12))
def test_a_larger_trial_begins_as_the_smaller(seed, small, more):
    rng = np.random.default_rng(seed)
    passes, present = rng.random((3, 120)) < 0.5, rng.random(120) < 0.9
    durations = rng.uniform(30, 200, 120)
    few, many = (recruited(GATED, present, passes, size, durations) for size in (small, small + more))
    for name in ("place", "person", "screened", "low", "stratum", "treated"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:, :small], err_msg=name)


def test_screening_longer_changes_none_of_the_beginning():
    pool = np.arange(0, 900, 3)
    short, long = (screen(5, ("x", 1), pool, 4, places) for places in (40, 250))
    np.testing.assert_array_equal(short.person, long.person[:, :40])
    for draw in ("normal", "uniform"):
        np.testing.assert_array_equal(getattr(short, draw)("a", 2), getattr(long, draw)("a", 2)[:, :40])


def test_every_replicate_screens_everybody_once_in_an_order_of_its_own():
    pool = np.arange(10, 70)
    person = screen(5, ("x",), pool, 2000, len(pool)).person
    np.testing.assert_array_equal(np.sort(person, axis=1), np.tile(pool, (2000, 1)))
    first = np.bincount(person[:, 0] - 10, minlength=60)
    assert np.abs(first - 2000 / 60).max() < 4.5 * np.sqrt(2000 / 60), "who comes first is uniform"


@pytest.mark.parametrize(
    "protocol",
    [
        GATED,
        GATED.model_copy(
            update={
                "allocation": GATED.allocation.model_copy(
                    update={"ratio": {"infliximab": 2, "placebo": 1}, "blocks": 1}
                )
            }
        ),
    ],
    ids=["1:1", "2:1"],
)
def test_blocks_balance_every_stratum(protocol):
    rng = np.random.default_rng(4)
    passes, durations = rng.random((50, 300)) < 0.6, rng.uniform(30, 200, 300)
    found = recruited(protocol, np.ones(300, bool), passes, 60, durations)
    ratio, times = protocol.allocation.ratio, protocol.allocation.blocks
    length, drug = sum(ratio.values()) * times, ratio["infliximab"] * times
    assert len(np.unique(found.stratum)) == 4
    for replicate in range(50):
        for stratum in range(4):
            treated = found.treated[replicate, found.stratum[replicate] == stratum]
            for k in range(length, len(treated) + 1, length):
                assert treated[k - length : k].sum() == drug


def test_strata_are_duration_and_gate():
    durations = np.array([90.9, 91.0, 30.0, 200.0] * 5)
    passes = np.array([[True, True, False, False] * 5])
    found = recruited(gated(0.5), np.ones(20, bool), passes, 12, durations)
    person = found.person[0]
    np.testing.assert_array_equal(found.stratum[0], (np.floor(durations[person]) > 90) + 2 * ~passes[0, person])


def test_allocation_is_equally_likely_to_each_arrangement():
    """Six arrangements of 2 and 2; four standard errors, in every stratum."""
    lists = allocation_lists(GATED, np.random.default_rng(2), 6000, 4)
    codes = (lists * [8, 4, 2, 1]).sum(axis=2)
    for stratum in range(4):
        counts = np.unique(codes[:, stratum], return_counts=True)[1]
        assert len(counts) == 6
        assert np.abs(counts - 1000).max() < 4 * np.sqrt(6000 * 1 / 6 * 5 / 6)


def test_fixed_totals_are_met_exactly():
    lists = allocation_lists(FIXED, np.random.default_rng(3), 500, 13)
    np.testing.assert_array_equal(lists[:, 0, :13].sum(axis=1), 6)
    twice = allocation_lists(FIXED, np.random.default_rng(3), 500, 26)
    np.testing.assert_array_equal(twice[:, 0].reshape(500, 2, 13).sum(axis=2), 6)
    np.testing.assert_array_equal(twice[:, :, :13], lists)


def test_positions_count_within_the_stratum():
    np.testing.assert_array_equal(positions(np.array([[0, 1, 0, 3, 1, 0]], np.int8)), [[0, 0, 1, 0, 1, 2]])
