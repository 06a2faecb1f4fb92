"""The slow twin on event tables of every kind."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from test_event_table import ORAL, STATES, tables, written

from causalgia.engine import load_kernel, solve, solve_twin
from causalgia.engine.event_table import read_event_table
from causalgia.models import load_model


@settings(max_examples=25)
@given(rows=tables())
def test_an_event_table_through_the_twin(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "twin.csv"
    path.write_text(written(rows))
    table, kernel = read_event_table(path, STATES), load_kernel(ORAL)
    parameters = [[kernel.values[name] for name in kernel.parameters]]
    options = {"start": table.start, "events": table.events()}
    engine = solve(kernel, parameters, table.times, **options)
    twin = solve_twin(load_model(ORAL), parameters, table.times, **options)
    np.testing.assert_array_equal(engine.steps, twin.steps)
    np.testing.assert_allclose(engine.values, twin.values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(engine.final, twin.final, rtol=1e-9, atol=1e-12)
