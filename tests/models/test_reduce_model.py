"""A reduced model solves as the whole one does, and holds nothing that stays zero."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.documents.errors import InputError
from causalgia.documents.reader import LIBRARY
from causalgia.engine import Events, load_kernel, solve
from causalgia.models.model import load_model
from causalgia.models.reduce import reduce_model

PAGE = LIBRARY / "models" / "inflamed_site.ant"
DRUGS = ("Ac", "Ac_G", "Ac_M", "Ac_I", "Adep", "Aloc")


def test_only_what_the_injury_feeds_is_left():
    model = reduce_model(load_model(PAGE), ("S",))
    assert set(model.states) == {"Oed", "Tt", "Tt_c", "IL6", "IL6_c", "S", "I", "P", "X", "G", "dTemp", "Motor"}
    assert not {"Cp", "B", "eT", "act_G"} & set(model.assignments)
    assert not {"CL", "Kss", "kint", "mT_M", "IgG0"} & set(model.parameters)


def test_a_door_keeps_all_that_lies_behind_it():
    model = reduce_model(load_model(PAGE), ("S", "Adep", "Ac_I"))
    assert {"Adep", "Ac", "Ap", "Cs", "Cs_c", "Ac_I", "Ap_I"} <= set(model.states)
    assert {"phi_I", "ka", "Kss"} <= set(model.parameters)
    assert not {"Ada", "Aloc", "Ac_G", "Ac_M"} & set(model.states)


def test_every_door_open_is_the_whole_model():
    whole = load_model(PAGE)
    assert reduce_model(whole, whole.states) == whole


@pytest.mark.parametrize("drug", DRUGS)
def test_solutions_agree(drug):
    """Both kernels solve the same equations, to the solver's tolerance."""
    whole, small = load_kernel(PAGE), load_kernel(PAGE, entered=("S", drug))
    generator = np.random.default_rng(7)
    values = dict(zip(whole.parameters, generator.uniform(0.5, 1.5, (len(whole.parameters), 3)), strict=True))
    values |= {name: np.full(3, 0.5) for name in ("sv", "sL", "dsv", "spill") if name in values}
    times, start = np.array([1.0, 5.0, 20.0]), 0.0
    events = Events(time=np.zeros((3, 2)), state=("S", drug), amount=np.array([[1.0, 10.0]] * 3))
    seen = []
    for kernel in (whole, small):
        parameters = np.column_stack([values[name] for name in kernel.parameters])
        outputs = [name for name in small.outputs if name in whole.outputs]
        seen.append(solve(kernel, parameters, times, start=start, events=events, outputs=outputs, rtol=1e-8).values)
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5, atol=1e-7)


def test_an_unknown_door_is_refused():
    with pytest.raises(InputError, match="no state 'Blood'"):
        reduce_model(load_model(PAGE), ("Blood",))
