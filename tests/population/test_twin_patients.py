"""Engine and twin agree on virtual patients: over the treated weeks, and over years on the latch of chronic pain."""

from __future__ import annotations

import numpy as np
import pytest

from causalgia.documents import Protocol
from causalgia.engine import Events, solve, solve_twin
from causalgia.models import load_model
from causalgia.models.reduce import reduce_model
from causalgia.population.outcomes import treated
from causalgia.population.patients import ONSET, Population, model_page

PEOPLE = 12
YEARS = 365.25 * np.array([0.5, 1, 2, 3, 4, 5])


def model(entered):
    """The symbolic model that a kernel of these doors was made of."""
    return reduce_model(load_model(model_page("inflamed_site")), entered)


@pytest.fixture(scope="module")
def population():
    return Population.load("crps-acute")


@pytest.mark.parametrize("world", ["absolute", "relative", "recovery"])
def test_treated_weeks_agree_to_a_millionth(population, world):
    patients = population.sample(PEOPLE, seed=11).sel(world=world)
    people = treated(population, patients, Protocol.load("gated-infliximab").arms["infliximab"])
    options = {
        "initial": people.initial,
        "start": -14.0,
        "events": people.events,
        "outputs": people.kernel.outputs,
    }
    weeks = 7.0 * np.arange(-2, 27)
    fast = solve(people.kernel, people.parameters, weeks, **options)
    slow = solve_twin(model((*population.onset, "Ac", "Ada")), people.parameters, weeks, **options)
    assert (fast.status == 0).all()
    assert (slow.status == 0).all()
    size = np.abs(slow.values).max(axis=(0, 1)) * 1e-6
    assert (np.abs(fast.values - slow.values) <= 1e-6 * np.maximum(np.abs(slow.values), size)).all()


def test_five_years_agree_to_a_millionth_times_the_sensitivity(population):
    values = population.draw("relative", PEOPLE, seed=12)
    entries = {**population.entries, **population.condition.worlds["relative"].values}
    parameters = population.of_kernel(population.kernel, population.matrix(values, entries, PEOPLE), {})
    zero = np.zeros((PEOPLE, 1))
    causes = np.column_stack([values[ONSET[state]] for state in population.onset])
    injury = Events(time=zero, state=population.onset, amount=causes)

    def history(solver, source, p):
        return solver(source, p, YEARS, start=-400.0, events=injury, outputs=("NRS", "G", "X")).values

    fast, slow = history(solve, population.kernel, parameters), history(solve_twin, model(population.onset), parameters)
    nudged = parameters.copy()
    nudged[:, population.kernel.parameters.index("chi")] *= 1 + 1e-6
    sensitivity = np.abs(history(solve, population.kernel, nudged) - fast) / 1e-6
    allowed = 1e-6 * np.maximum(1.0, np.maximum(np.abs(slow), sensitivity))
    assert (np.abs(fast - slow) <= allowed).all()
