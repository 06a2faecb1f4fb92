"""The trial as files that the documentation carries: its answers, and its posteriors with the sampler left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from causalgia.analysis import posteriors
from causalgia.analysis.answers import analyse
from causalgia.analysis.nuts import Sampled
from causalgia.analysis.posteriors import with_posteriors
from causalgia.analysis.tables import read_tables
from causalgia.documents import Protocol

FOLDER = Path(__file__).parents[2] / "docs" / "example-trial"
PRIOR = {"control": [[0.8, 3.0, 0.2], [0.2, 3.0, 2.0]], "effect": [[1.0, -0.5, 1.0]], "source": "made up"}


@pytest.fixture(scope="module")
def plan():
    return Protocol.load(FOLDER / "protocol.toml")


@pytest.fixture(scope="module")
def tables(plan):
    return read_tables(FOLDER, plan)


@pytest.fixture(scope="module")
def answers(plan, tables):
    return analyse(plan, tables)


def test_it_answers_every_question_with_an_interval_and_guards(answers):
    for name in ("raised", "lowered", "relieved", "mediated", "spared"):
        answer = answers[name]
        assert answer.lower < answer.estimate < answer.upper, name
    assert any("Regression to the mean" in text for text in answers["lowered"].guards)
    assert any("misses TNF that is raised on both" in text for text in answers["raised"].guards)


@pytest.fixture
def drawn(monkeypatch):
    """Draws known beforehand in the place of the sampler's, and what it was asked for."""
    asked = {}
    draws = np.linspace(-2, 1, 4000).reshape(4, 1000)

    def sample(y, *arguments, **options):
        asked[len(asked)] = options
        return Sampled(dict.fromkeys(("effect", "indirect"), draws), 1.0, 900.0, 800.0, 0, asked.get("problem", ""))

    for name in ("sample_effect", "sample_mediation"):
        monkeypatch.setattr(posteriors, name, sample)
    return asked


def test_posteriors_stand_beside_the_answers(plan, tables, answers, drawn):
    found = with_posteriors(plan, tables, answers)
    assert set(found) == set(answers)
    for name in ("lowered", "relieved", "mediated"):
        assert found[name].companions[:-1] == answers[name].companions
        assert found[name].facts["posterior_better"] == pytest.approx(2 / 3, abs=1e-3)
    ratio, difference = found["lowered"].companions[-1], found["relieved"].companions[-1]
    assert ratio.estimate == pytest.approx(np.exp(-0.5)) and difference.estimate == pytest.approx(-0.5)
    assert difference.lower == pytest.approx(-2 + 3 * 0.025, abs=1e-6)
    assert found["relieved"].facts["posterior_relevant"] == pytest.approx(1 / 6, abs=1e-3)
    assert "P(better by 1.5) 0.167" in difference.method and "R-hat 1.000" in difference.method
    assert found["raised"] == answers["raised"]
    assert drawn[0]["limit"].shape == (60,) and drawn[2]["error_df"] > 10


def test_the_declared_prior_is_used_and_its_conflict_told(plan, tables, answers, drawn):
    declared = plan.model_dump(by_alias=True) | {"analysis": {"prior": PRIOR}}
    found = with_posteriors(Protocol.model_validate(declared | {"path": plan.path}), tables, answers)["relieved"]
    assert drawn[1]["control"].weight.tolist() == [0.8, 0.2] and drawn[1]["prior"].b.tolist() == [1.0]
    assert "effect ~ N(−0.5, 1²), control ~ 0.8 N(3, 0.2²) + 0.2 N(3, 2²)" in found.companions[-1].method
    assert "contradicts its prior" in found.guards[-1]


def test_chains_that_have_not_converged_give_the_reason_alone(plan, tables, answers, drawn):
    drawn["problem"] = "Not converged: R-hat 1.200 exceeds 1.01."
    for name in ("lowered", "relieved", "mediated"):
        companion = with_posteriors(plan, tables, answers)[name].companions[-1]
        assert companion.estimate is None and companion.reason.startswith("Not converged")


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({"control": [[1.0, 3.0, 0.2]], "source": "x"}, "a vague one"),
        ({"source": "x"}, "components of effect or control"),
    ],
)
def test_a_prior_that_is_none_is_refused(plan, prior, message):
    declared = plan.model_dump(by_alias=True) | {"analysis": {"prior": prior}, "path": plan.path}
    with pytest.raises(ValueError, match=message):
        Protocol.model_validate(declared)
