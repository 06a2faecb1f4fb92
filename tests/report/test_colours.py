"""Colours of the figures are legible on white and apart for the colour-blind; their numbers travel with them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from causalgia.report.svg import CONTROL, CONTROLS, INK, MUTED, STRUCTURAL, TREATED, Drawing, darker

LINES = [TREATED, CONTROL, *STRUCTURAL, *CONTROLS]
# Viénot, Brettel and Mollon (1999), Color Res. Appl. 24, 243: linear RGB as a dichromat sees it.
TO_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
DEUTAN = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
PROTAN = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])


def linear(colour: str) -> np.ndarray:
    part = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(colour: str) -> float:
    """Against white, after WCAG 2.2."""
    return 1.05 / (float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05)


@pytest.mark.parametrize("colour", LINES)
def test_lines_and_their_names_are_legible(colour: str):
    assert contrast(colour) >= 3
    assert contrast(darker(colour)) >= 4.5


@pytest.mark.parametrize("colour", [INK, MUTED, TREATED])
def test_text_is_legible(colour: str):
    assert contrast(colour) >= 4.5


@pytest.mark.parametrize("eye", [np.eye(3), DEUTAN, PROTAN], ids=["usual", "deutan", "protan"])
def test_first_structural_worlds_and_the_arms_are_apart(eye: np.ndarray):
    seen = {colour: np.linalg.inv(TO_LMS) @ eye @ TO_LMS @ linear(colour) for colour in (*STRUCTURAL[:3], TREATED)}
    for one, two in combinations(STRUCTURAL[:3], 2):
        assert np.abs(seen[one] - seen[two]).max() > 0.05, (one, two)
    assert np.abs(seen[TREATED] - linear(CONTROL)).max() > 0.05


def test_data_of_a_figure_as_a_link():
    drawing = Drawing("k", "t", [], [], data=[["a, b", 'c "d"'], [1.23456789, None]])
    assert drawing.link == "data:text/csv;charset=utf-8,%22a,%20b%22,%22c%20%22%22d%22%22%22%0A1.2346,%0A"
    assert Drawing("k", "t", [], []).link == ""
