"""Study results as estimates with variances, and 2 × 2 tables pooled, against metafor (tests/reference/README.md)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from causalgia.analysis.effect_sizes import KINDS, effect_sizes
from causalgia.analysis.stratified import mantel_haenszel, peto
from causalgia.documents.errors import InputError

REFERENCE = Path(__file__).parents[1] / "reference"
METAFOR = json.loads((REFERENCE / "metafor.json").read_text())
ZEROS = (([0, 3, 10, 0], [10, 12, 10, 8]), ([2, 5, 4, 0], [10, 12, 10, 9]))


def bcg():
    data = np.genfromtxt(REFERENCE / "bcg.csv", delimiter=",", names=True)
    return ((data["tpos"], data["tpos"] + data["tneg"]), (data["cpos"], data["cpos"] + data["cneg"]))


TABLES = {"bcg": bcg(), "zeros": ZEROS}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", ["log-odds-ratio", "log-risk-ratio", "risk-difference"])
def test_responders_agree_with_metafor_with_and_without_empty_cells(kind, name):
    y, v = effect_sizes(kind, *TABLES[name])
    np.testing.assert_allclose(y, METAFOR["binary"][name][kind]["y"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(v, METAFOR["binary"][name][kind]["v"], rtol=1e-12)


@pytest.mark.parametrize("kind", ["mean-difference", "standardised-mean-difference", "log-ratio-of-means"])
def test_scores_agree_with_metafor(kind):
    data = np.genfromtxt(REFERENCE / "normand1999.csv", delimiter=",", names=True)
    arms = [tuple(data[f"{column}{arm}i"] for column in ("m", "sd", "n")) for arm in (1, 2)]
    y, v = effect_sizes(kind, *arms)
    np.testing.assert_allclose(y, METAFOR["means"][kind]["y"], rtol=1e-11)
    np.testing.assert_allclose(v, METAFOR["means"][kind]["v"], rtol=1e-11)


def test_log_odds_of_one_arm_agree_with_metafor():
    y, v = effect_sizes("log-odds", ([0, 3, 10], [10, 12, 10]))
    np.testing.assert_allclose(y, METAFOR["log_odds"]["y"], rtol=1e-12)
    np.testing.assert_allclose(v, METAFOR["log_odds"]["v"], rtol=1e-12)


def test_published_hedges_g():
    # trial_reference_values.csv, meta_smd_rounding (metafor by statsmodels test_meta.py)
    t = np.array([[94, 22, 60], [98, 21, 65], [98, 28, 40], [94, 19, 200], [98, 21, 50], [96, 21, 85]], dtype=float)
    c = np.array([[92, 20, 60], [92, 22, 65], [88, 26, 40], [82, 17, 200], [88, 22, 45], [92, 22, 85]], dtype=float)
    expected = [0.09452415852, 0.27735586627, 0.36654442952, 0.66438496833, 0.46180628129, 0.1851644374]
    np.testing.assert_allclose(effect_sizes("standardised-mean-difference", t.T, c.T)[0], expected, rtol=1e-5)


def test_published_log_odds_ratios():
    # trial_reference_values.csv, crins_log_or (bayesmeta vignette): Crins et al. (2014), Pediatr. Transplant. 18, 839
    treated = ([14, 16, 3, 9, 4, 0], [61, 28, 18, 54, 36, 50])
    control = ([15, 19, 8, 29, 11, 3], [20, 28, 12, 54, 36, 34])
    y, v = effect_sizes("log-odds-ratio", treated, control)
    np.testing.assert_allclose(y, [-2.3097, -0.4595, -2.3026, -1.7579, -1.2585, -2.4179], atol=5e-5)
    np.testing.assert_allclose(v, [0.3594, 0.3096, 0.775, 0.2078, 0.4122, 2.3373], atol=5e-5)


@pytest.mark.parametrize("name", TABLES)
def test_mantel_haenszel_and_peto_agree_with_metafor(name):
    expected = METAFOR["mantel_haenszel"][name]
    found = mantel_haenszel(*TABLES[name])
    for field in ("estimate", "se", "lower", "upper", "p", "q", "q_p"):
        assert getattr(found, field) == pytest.approx(expected[field], rel=1e-9), field
    assert found.association == pytest.approx((expected["cmh"], expected["cmh_p"]), rel=1e-9)
    assert found.tarone == pytest.approx((expected["tarone"], expected["tarone_p"]), rel=1e-9)
    expected, found = METAFOR["peto"][name], peto(*TABLES[name])
    for field in ("estimate", "se", "lower", "upper", "p", "q", "q_p"):
        assert getattr(found, field) == pytest.approx(expected[field], rel=1e-9), field


def test_published_bcg_tables():
    # trial_reference_values.csv, meta_bcg_mh_or and meta_bcg_peto (metafor documentation)
    found = mantel_haenszel(*TABLES["bcg"])
    values = [found.estimate, found.se, found.q, found.association[0], found.tarone[0]]
    assert values == pytest.approx([-0.4734, 0.0410, 163.9426, 135.6889, 171.7567], abs=5e-5)
    found = peto(*TABLES["bcg"])
    assert [found.estimate, found.se, found.q] == pytest.approx([-0.4744, 0.0407, 167.7302], abs=5e-5)


@pytest.mark.parametrize("pool", [mantel_haenszel, peto])
def test_swapping_the_arms_turns_the_sign(pool):
    forth, back = pool(*ZEROS), pool(*ZEROS[::-1])
    assert (back.estimate, back.se, back.q) == pytest.approx((-forth.estimate, forth.se, forth.q), rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "treated", "control", "message"),
    [
        ("odds", (1, 2), (1, 2), "log-odds-ratio"),
        ("log-odds-ratio", (3, 2), (1, 2), "events between 0 and n"),
        ("log-odds-ratio", (1, 2), None, "second arm"),
        ("log-odds", (1, 2), (1, 2), "none for log-odds"),
        ("mean-difference", (1, 2, 1), (1, 2, 5), "at least 2 subjects"),
        ("mean-difference", (1, 2), (1, 2, 5), r"\(mean, sd, n\)"),
        ("log-ratio-of-means", (-1, 2, 5), (1, 2, 5), "means above 0"),
    ],
)
def test_what_cannot_be_an_effect_is_refused(kind, treated, control, message):
    with pytest.raises(InputError, match=message):
        effect_sizes(kind, treated, control)


def test_tables_without_information_are_refused():
    with pytest.raises(InputError, match="one diagonal"):
        mantel_haenszel(([0, 0], [5, 5]), ([1, 2], [5, 5]))
    with pytest.raises(InputError, match="events and non-events"):
        peto(([0, 5], [5, 5]), ([0, 5], [5, 5]))


def test_every_kind_gives_a_positive_variance():
    for kind in KINDS:
        arms = [(2.0, 1.0, 9.0), (1.0, 1.5, 8.0)] if "mean" in kind else [(0, 9), (3, 8)]
        y, v = effect_sizes(kind, arms[0], None if kind == "log-odds" else arms[1])
        assert np.isfinite(y) and v > 0
