"""How often a trial would claim that relief runs through the marker, against what is true in each world."""

from __future__ import annotations

import numpy as np
import pytest

import causalgia as cg
from causalgia.design.batch import _recruit
from causalgia.design.claims import NAMES, Case, mediation_claims
from causalgia.design.evaluate import evaluate
from causalgia.design.plan import Plan
from causalgia.design.reveal import Seen
from causalgia.population.worlds import worlds

STRUCTURAL = ["absolute", "relative", "recovery"]
SIZES = (24, 60, 100)


@pytest.fixture(scope="module")
def claims(protocol, outcomes):
    return evaluate(protocol.with_options(None, 800, SIZES), outcomes, seed=6, workers=2)


def test_too_small_a_trial_claims_nothing(claims):
    for name in NAMES:
        assert np.isnan(claims[name].values[:, 0]).all()
        assert np.isfinite(claims[name].values[:, 1:]).all(), name
        assert (claims[f"{name}_se"].values[:, 1:] >= 0).all()


@pytest.mark.parametrize("world", STRUCTURAL)
def test_a_drug_that_only_binds_relieves_through_what_it_binds(claims, world):
    """The indirect effect is the whole one; both are means over replicates, of which the paths use a part."""
    here = claims.sel(world=world).isel(size=slice(1, None))
    band = 4 * (here["mediated_truth_se"] + here["truth_se"]).values
    assert (np.abs(here["mediated_truth"] - here["truth"]).values < band).all()


@pytest.mark.parametrize("world", ["null", "no mediation", "bypass"])
def test_no_path_where_there_is_none(claims, world):
    assert (claims["mediated_truth"].sel(world=world).values[1:] == 0).all()


@pytest.mark.parametrize("world", ["null", "no mediation"])
def test_no_path_is_claimed_where_no_relief_comes(claims, world):
    """Relief must be significant too, and the drug relieves nobody here: at most half of alpha is on its side."""
    share, se = (claims[name].sel(world=world).values[1:] for name in ("mediated", "mediated_se"))
    assert (share <= 0.025 + 4 * np.maximum(se, 0.005)).all()


def test_a_claim_of_a_path_needs_tnf_lowered_and_is_a_share(claims):
    for name in ("mediated", "mediated_failed"):
        values = claims[name].values[:, 1:]
        assert ((values >= 0) & (values <= 1)).all()
    assert (claims["mediated"] + claims["mediated_failed"]).values[:, 1:].max() <= 1 + 1e-12


def test_a_case_does_not_depend_on_those_fitted_beside_it(protocol, outcomes):
    plan = protocol.with_options(None, 200, (60, 100))
    pair = plan.pair(plan.treatment)
    whole = Plan.make(pair, worlds(outcomes, pair.order, pair.aware), 6, 20)
    screening, _, recruits = _recruit(whole, 0)
    cases = []
    for name in STRUCTURAL:
        people = whole.people[name]
        seen = Seen.of(pair, screening, recruits[name], people.duration)
        both = (people.potential[key, "drug"] for key in ("lowered", "relieved"))
        cases.append(Case(*both, "drug", seen))
    together = mediation_claims(pair, cases)
    for case, found in zip(cases, together, strict=True):
        (alone,) = mediation_claims(pair, [case])
        for name in NAMES:
            np.testing.assert_array_equal(found[name], alone[name])


def test_the_truth_of_other_drugs_is_not_known(patients):
    """Immunoglobulin does more than bind TNF; where symptoms do not follow, there is no path whatever the drug."""
    plan = cg.Protocol.load("ivig-with-infliximab").with_options(2000, 40, (100,))
    seen = evaluate(plan, cg.simulate(plan, patients), seed=1, workers=1)["mediated_truth"]
    both, placebo = (seen.sel(world="absolute", comparison=name).values for name in ("both", "placebo"))
    assert np.isnan(both).all() and np.isfinite(placebo).all()
    assert (seen.sel(world=["null", "no mediation", "bypass"]).values == 0).all()
