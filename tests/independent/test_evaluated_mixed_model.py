"""The mixed model that decides in replicate trials: each replicate alone, and by a second implementation."""

from __future__ import annotations

import numpy as np
import pytest
from mmrm_slow import SlowMmrm

from causalgia.analysis.mmrm import FALLBACK
from causalgia.analysis.relieved import Values, fit_visits
from causalgia.design import batch
from causalgia.design.evaluate import BATCHES
from causalgia.design.plan import Plan
from causalgia.design.reveal import Seen
from causalgia.documents.protocol import Analysis
from causalgia.population.worlds import worlds

SIZES, VISITS = (8, 30), (4.0, 12.0)


@pytest.fixture(scope="module")
def declared(protocol):
    few = protocol.with_options(None, 100, SIZES)
    return few.model_copy(update={"analysis": Analysis(decides="mmrm", visits=VISITS)})


@pytest.fixture(scope="module")
def plan(declared, outcomes):
    return Plan.make(declared, worlds(outcomes, declared.order, declared.aware), 3, BATCHES)


@pytest.fixture(scope="module")
def replicates(declared, plan):
    """Course, arm, endpoint and effect of the replicates of one batch in one world."""
    screening, _, recruits = batch._recruit(plan, 0)
    people = plan.people["absolute"]
    seen = Seen.of(declared, screening, recruits["absolute"], people.duration)
    potential = people.potential["relieved", "drug"]
    readout = seen.values(declared, potential)
    small, _ = batch._effects(declared, readout, seen, False)
    effect, fell = batch._mixed(declared, potential, readout, seen, small)
    (week, latents), end = potential.course[0], readout.now.value
    assert week == VISITS[0] and len(potential.course) == 1
    early = seen.at(declared, potential, latents, week).value
    y = np.stack([np.where(seen.left >= at, v, np.nan) for at, v in zip(VISITS, (early, end), strict=True)], axis=-1)
    return y, seen.recruited.treated, readout.endpoint, small, effect, fell


def test_small_trials_keep_the_analysis_of_covariance(replicates):
    *_, small, effect, fell = replicates
    np.testing.assert_array_equal(effect.p[:, 0], small.p[:, 0])
    assert np.isnan(fell[:, 0]).all() and (fell[:, 1] == 0).all()
    assert not np.isclose(effect.p[:, 1], small.p[:, 1], rtol=1e-3).any()


def test_a_replicate_is_what_it_is_alone_and_by_the_definition(replicates):
    y, treated, values, _, effect, _ = replicates
    n = SIZES[1]
    assert np.isnan(y[:, :n]).any() and np.isfinite(values.value).all()
    for i in (0, 1):
        one = Values(*(column[i, :n] for column in values))
        alone = fit_visits(y[i, :n], treated[i, :n], one)
        found = [getattr(effect, name)[i, 1] for name in ("estimate", "se", "df", "p")]
        assert found == pytest.approx([float(getattr(alone, k)) for k in ("estimate", "se", "df", "p")], rel=1e-9)
        T, arm = len(VISITS), np.asarray(treated[i, :n], float)
        columns = [*np.eye(T)[:, None, :].repeat(n, 1), *np.repeat(one.covariates.T[..., None], T, axis=2)]
        columns += [arm[:, None] * row for row in np.eye(T)]
        slow = SlowMmrm(y[i, :n], np.stack(columns, axis=-1), FALLBACK[0])
        L = np.eye(len(columns))[-1]
        assert found[0] == pytest.approx(L @ slow.beta, rel=1e-6)
        assert found[1:3] == pytest.approx(slow.kenward_roger(L), rel=1e-4)


def test_failures_and_fallback_are_counted(plan, monkeypatch):
    null = [world.name for world in plan.worlds].index("null")
    found = {name: values[null] for name, values in batch.batch_characteristics(plan, 0)[0].items()}
    assert found["failed"][1] == found["fallback"][1] == 0 and np.isnan(found["fallback"][0])
    monkeypatch.setattr(batch, "FALLBACK", FALLBACK[1:])  # as if another covariance had been the first
    other = batch.batch_characteristics(plan, 0)[0]
    assert (other["fallback"][:, 1] == 1).all() and other["relieved"][null, 1] == found["relieved"][1]


@pytest.mark.parametrize("visits", [(), (4.0,), (12.0, 4.0), (5.5, 12.0), (12.0, 16.0)])
def test_visits_that_cannot_be_are_refused(protocol, visits):
    table = protocol.model_dump(by_alias=True) | {
        "analysis": {"decides": "mmrm", "visits": visits},
        "path": protocol.path,
    }
    with pytest.raises(ValueError, match="rising, the last 12"):
        type(protocol).model_validate(table)
