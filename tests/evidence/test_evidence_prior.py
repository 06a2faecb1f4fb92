"""The prior of a control response: refused with the count, and right where three arms have numbers."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from causalgia.analysis.map_prior import map_rates
from causalgia.cli.commands import app
from causalgia.documents import InputError
from causalgia.evidence import Evidence
from causalgia.evidence.prior import control_arms, control_prior
from causalgia.evidence.words import FOLDER

STUDY = """\
kind = "study"
citation = "A trial, 2026"
type = "randomised trial"
design = "double-blind placebo-controlled trial"
conditions = ["ra"]
access = "table"

[[arms]]
name = "placebo"
drug = "placebo"
n = {n}

[[outcomes]]
id = "acr20"
measure = "acr20"
what = "ACR20 response"
arm = "placebo"
time = "week 24"
stat = "proportion"
events = {events}
value = {percent}
unit = "percent"
n = {n}
read = "table"
locator = "table 2"
"""


def study(events: int, n: int) -> str:
    return STUDY.format(events=events, n=n, percent=100 * events / n)


def test_two_arms_are_refused_with_their_count(evidence):
    with pytest.raises(InputError, match=r"2 control arms with numbers .*at least 3"):
        control_prior(evidence, "ra", "acr20")


def test_a_third_arm_makes_a_prior_of_all_three(own):
    (own / "studies").mkdir(parents=True)
    (own / "studies" / "third2026.toml").write_text(study(12, 60))
    evidence = Evidence.load(FOLDER, own)
    arms = control_arms(evidence, "ra", "acr20")
    assert {(arm.events, arm.n) for arm in arms} == {(11, 47), (15, 88), (12, 60)}
    prior = control_prior(evidence, "ra", "acr20", vague=0.2)
    assert prior.found.mixture.mean == map_rates([arm.events for arm in arms], [arm.n for arm in arms]).mixture.mean
    assert prior.robust.weight[-1] == pytest.approx(0.2)
    assert 3 < prior.subjects < 11 + 47 + 15 + 88 + 12 + 60
    assert prior.conflict(10, 50).p > 0.5
    contradicted = prior.conflict(45, 50)
    assert contradicted.p < 0.05
    assert contradicted.vague_after > 0.9


def test_the_command_shows_it_and_refuses_a_bad_arm(own):
    (own / "studies").mkdir(parents=True)
    (own / "studies" / "third2026.toml").write_text(study(12, 60))
    words = ["evidence", "prior", "--condition", "ra", "--outcome", "acr20"]
    shown = CliRunner().invoke(app, [*words, "--new", "45/50"])
    assert shown.exit_code == 0, shown.output
    assert "third2026, placebo, week 24: 12 of 60" in shown.output
    assert "Against 45/50" in shown.output
    assert all(len(line) <= 80 for line in shown.output.splitlines())
    refused = CliRunner().invoke(app, [*words, "--new", "60/50"])
    assert isinstance(refused.exception, InputError)
