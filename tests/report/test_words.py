from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalgia.report.svg import spread
from causalgia.report.words import between, fixed, listed, number, p_value, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.7000000001, "0.7"),
        (131.5, "132"),
        (8.0, "8"),
        (-0.5, "−0.5"),
        (1234.5, "1,234"),
        (9999.6, "10,000"),
        (0.00931, "0.00931"),
        (20000, "20,000"),
        ("10 * x", "10 * x"),
        (0.9999, "1"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_other_numbers():
    assert fixed(-0.001) == "0.00"
    assert fixed(-1234.567, 1) == "−1,234.6"
    assert percent(0.0446, 1) == "4.5 %"
    assert p_value(9e-26) == "< 0.001"
    assert p_value(0.0444) == "0.044"
    assert between([0.54, None, 0.78], percent) == "54 to 78 %"
    assert between([0.5, 0.5001], percent) == "50 %"
    assert between([None], percent) == "–"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a"]) == "a"
    assert listed([]) == ""


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_number_keeps_three_digits(x):
    shown = float(number(x).replace(",", "").replace("−", "-"))
    assert abs(shown - x) <= 5.001e-3 * abs(x)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.floats(0.01, 0.3))
def test_labels_stand_apart_in_order_and_keep_their_middle(places, gap):
    moved = spread(places, gap)
    order = sorted(range(len(places)), key=lambda k: (places[k], k))
    assert all(moved[b] - moved[a] >= gap * (1 - 1e-9) for a, b in pairwise(order))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-9)


def test_labels_far_apart_do_not_move():
    assert spread([0.1, 0.9, 0.5], 0.2) == [0.1, 0.9, 0.5]
