from __future__ import annotations

import numpy as np
import pytest
from engine_pages import CHAIN

from causalgia.documents.errors import InputError
from causalgia.engine import Events, load_kernel, solve
from causalgia.engine.events import check_events, lower
from causalgia.engine.layout import ADD, OBSERVE, RATE

STATES = ("A", "B")


def records(events: Events, times: list[float]) -> list[tuple[float, int, int, float]]:
    doses = check_events(events, STATES, np.zeros(1))
    r = lower(doses, np.array([times]))
    return list(zip(r.time.tolist(), r.action.tolist(), r.index.tolist(), r.value.tolist(), strict=True))


def test_records_in_order_with_observations_first():
    events = Events([2.0, 0.0, np.nan], ["B", "A", "A"], [6.0, 5.0, 1.0], [3.0, 0.0, 0.0])
    assert records(events, [0.0, 2.0, 9.0]) == [
        (0.0, OBSERVE, 0, 0.0),
        (0.0, ADD, 0, 5.0),
        (2.0, OBSERVE, 1, 0.0),
        (2.0, RATE, 1, 2.0),
        (5.0, RATE, 1, 0.0),
        (9.0, OBSERVE, 2, 0.0),
    ]


def test_overlapping_rates_add_and_end_at_zero_exactly():
    events = Events([0.0, 1.0, 2.0], ["A"] * 3, [0.3, 0.6, 0.1], [3.0, 3.0, 3.0])
    rates = [value for _, action, _, value in records(events, [9.0]) if action == RATE]
    np.testing.assert_allclose(rates[:5], [0.1, 0.3, 1 / 3, 0.7 / 3, 0.1 / 3])
    assert rates[5] == 0.0


def test_what_comes_after_the_last_observation_is_without_effect():
    assert records(Events([1.0, 4.0], ["A", "A"], [1.0, 1.0]), [3.0]) == [(1.0, ADD, 0, 1.0), (3.0, OBSERVE, 0, 0.0)]


BAD = {
    "unknown state": (Events([0.0], ["Z"], [1.0]), "'Z'"),
    "index out of range": (Events([0.0], [2], [1.0]), "indices 0 to 1"),
    "before the start": (Events([-1.0], ["A"], [1.0]), "not before the subject's start"),
    "negative amount": (Events([0.0], ["A"], [-1.0]), "0 or more"),
    "amount missing": (Events([0.0], ["A"], [np.nan]), "0 or more"),
    "endless bolus": (Events([0.0], ["A"], [np.inf]), "inf only with a rate"),
    "negative duration": (Events([0.0], ["A"], [1.0], [-1.0]), "finite duration"),
    "duration and rate": (Events([0.0], ["A"], [1.0], [1.0], [1.0]), "not both"),
    "rows of other subjects": (Events([[0.0]] * 3, ["A"], [1.0]), r"\(1, events\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_events_are_refused(name):
    events, message = BAD[name]
    with pytest.raises(InputError, match=message):
        check_events(events, STATES, np.zeros(1))


ONES = np.ones((2, 3))
BAD_INPUT = {
    "parameter columns": ({"parameters": np.ones((2, 4))}, r"shape \(2, 4\)"),
    "unknown output": ({"outputs": ["nope"]}, "'nope'"),
    "times go back": ({"times": [0.0, 2.0, 1.0]}, "1 after 2"),
    "times before start": ({"start": 1.0}, "0 after 1"),
    "times of other subjects": ({"times": np.zeros((3, 2))}, "shape"),
    "initial columns": ({"initial": np.ones((2, 3))}, "initial"),
    "start not finite": ({"start": [0.0, np.nan]}, "not finite"),
    "floor of zero": ({"floor": 0.0}, "not above 0"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_arrays_are_refused(name):
    options, message = BAD_INPUT[name]
    with pytest.raises(InputError, match=message):
        solve(load_kernel(CHAIN), **{"parameters": ONES, "times": [0.0, 1.0], **options})


def test_no_subjects_and_no_times():
    kernel = load_kernel(CHAIN)
    assert solve(kernel, np.ones((0, 3)), [1.0]).values.shape == (0, 1, 4)
    solution = solve(kernel, ONES, np.zeros((2, 0)), initial=np.ones((2, 4)))
    assert solution.values.shape == (2, 0, 4)
    np.testing.assert_array_equal(solution.final, 1.0)
