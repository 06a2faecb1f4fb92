from __future__ import annotations

import pytest

from causalgia.documents.errors import InputError
from causalgia.documents.units import check_unit, factor, model_unit, quantity


@pytest.mark.parametrize(
    ("unit", "target", "expected"),
    [
        ("L/h", "L/day", 24),
        ("week", "day", 7),
        ("hour", "day", 1 / 24),
        ("ng/mL", "pg/mL", 1000),
        ("pg/mL", "ng/L", 1),
        ("kDa", "kDa", 1),
        ("kg/mol", "g/mol", 1000),
        ("nM", "pM", 1000),
        ("nmol/L", "nM", 1),
        ("1/h", "1/day", 24),
        ("1/nM/day", "1/(nM*day)", 1),
        ("percent", "1", 0.01),
        ("delta_degC", "kelvin", 1),
        ("ug/kg", "mg/kg", 0.001),
        ("IU", "IU", 1),
        ("score", "score", 1),
    ],
)
def test_factor(unit, target, expected):
    assert factor(unit, target) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "pair", [("mg/L", "nM"), ("score", "1"), ("IU", "mg"), ("day", "1/day"), ("kelvin", "percent")]
)
def test_another_kind_is_refused(pair):
    with pytest.raises(InputError, match="same kind"):
        factor(*pair)


@pytest.mark.parametrize(
    "unit", ["", " ", "5 mg", "2*mg", "1e3", "nan", "spoon", "mg per", "mg/", "__import__('os')", "{", "mg\n)"]
)
def test_text_that_is_no_unit_is_refused(unit):
    with pytest.raises(InputError, match="pint"):
        check_unit(unit)


@pytest.mark.parametrize("unit", ["degC", "degF"])
def test_scales_with_an_offset_are_refused(unit):
    """As a factor, 1 degC would be 274.15 kelvin."""
    with pytest.raises(InputError, match="delta_degC"):
        factor(unit, "kelvin")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mg_per_L", "mg/L"),
        ("per_day", "1/day"),
        ("per_nM_per_day", "1/nM/day"),
        ("dimensionless", "1"),
        ("delta_degC", "delta_degC"),
        ("L_per_day", "L/day"),
    ],
)
def test_model_unit(name, expected):
    assert model_unit(name) == expected
    check_unit(expected)


def test_every_unit_of_the_model_page_is_known(population):
    for name in population.kernel.parameters:
        check_unit(model_unit(population.kernel.units[name]))


@pytest.mark.parametrize(("text", "expected"), [("5 mg/kg", (5, "mg/kg")), (" 31 pg/mL ", (31, "pg/mL"))])
def test_quantity(text, expected):
    assert quantity(text) == expected


@pytest.mark.parametrize("text", ["5", "mg", "five mg", "nan mg", "inf mg", "5 5 mg", "5 spoons", ""])
def test_text_that_is_no_quantity_is_refused(text):
    with pytest.raises(InputError):
        quantity(text)
