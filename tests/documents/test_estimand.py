"""Estimands of a protocol: the five attributes of ICH E9(R1), and what a design cannot answer."""

from __future__ import annotations

import json

import pytest

import causalgia as cg
from causalgia.documents import InputError, reader
from causalgia.documents.estimand import Estimand, estimands, to_json

NAMES = ["raised", "lowered", "relieved", "mediated", "spared"]


def test_the_estimands_of_the_gated_trial(protocol):
    """The table of the analysis plan, section 1."""
    five = estimands(protocol)
    assert list(five) == NAMES
    assert all(estimand.digest == protocol.digest and not estimand.unanswerable for estimand in five.values())
    randomised = (
        "all randomised: Acute CRPS type 1, gate: geometric mean of 2 blisters > 31 pg/mL, and up to 25% below it"
    )
    assert {name: five[name].population for name in NAMES[1:]} == dict.fromkeys(NAMES[1:], randomised)
    assert five["raised"].population == "all who were screened, before any gate: Acute CRPS type 1"
    assert five["raised"].variable == (
        "log TNF in suction-blister fluid, week -2: affected, contralateral, and people without the condition"
    )
    assert len(five["raised"].summary) == 2 and not five["raised"].intercurrent_events
    assert five["lowered"].treatment == "infliximab (infliximab intravenous, 5 mg/kg at weeks 0, 2, 6) against placebo"
    assert five["lowered"].variable == "log TNF in suction-blister fluid, affected, week 6"
    assert five["lowered"].summary == ["ratio of geometric means"]
    strategies = {event.event: (event.strategy, event.supplement) for event in five["lowered"].intercurrent_events}
    assert strategies == {
        "rescue immunosuppressant": ("treatment policy", "hypothetical"),
        "treatment stopped for an adverse event": ("treatment policy", "hypothetical"),
    }
    (rescue,) = five["relieved"].intercurrent_events
    assert (rescue.event, rescue.strategy, rescue.supplement) == ("rescue analgesic", "treatment policy", "composite")
    assert five["relieved"].variable.endswith("patient, week 12") and five["relieved"].summary == [
        "difference in means"
    ]
    assert five["mediated"].summary[0].startswith("natural indirect effect")
    assert "P(benefit > 1.5 score) < 0.2" in five["spared"].summary[1]


def test_what_a_design_cannot_answer(write):
    """A gate alone says nothing of those below it; one side, one blister or a late one nothing of other questions."""
    gate_only = cg.Protocol.load(
        write(
            "protocols",
            "gated-infliximab",
            ("low_stratum = { share = 0.25 }\n", ""),
            ('strata = ["duration", "gate"]', 'strata = ["duration"]'),
        )
    )
    reasons = {name: estimand.unanswerable for name, estimand in estimands(gate_only).items()}
    assert {name for name, reason in reasons.items() if reason} == {"spared"} and "not identified" in reasons["spared"]
    poor = write(
        "protocols",
        "dirckx-2013",
        ('blister-tnf = { at = [0, 6], sides = ["affected", "contralateral"], replicates = 2 }',
         'blister-tnf = { at = [0, 12], sides = ["affected"] }'),
        ('measure = "blister-tnf", side = "affected", at = 6', 'measure = "blister-tnf", side = "affected", at = 12'),
    )  # fmt: skip
    reasons = {name: estimand.unanswerable for name, estimand in estimands(cg.Protocol.load(poor)).items()}
    assert "contralateral" in reasons["raised"]
    assert "before the outcome" in reasons["mediated"] and "One replicate" in reasons["mediated"]


@pytest.mark.parametrize("name", reader.names("protocol"))
def test_every_protocol_of_the_library_has_its_five(name):
    protocol = cg.Protocol.load(name)
    five = estimands(protocol)
    assert list(five) == NAMES
    for estimand in five.values():
        assert all(getattr(estimand, key) for key in ("question", "treatment", "population", "variable", "summary"))
        assert all(arm in estimand.treatment for arm in protocol.arms) or estimand.name == "raised"
        alone = protocol.single_arm and estimand.name != "raised"
        assert ("Nobody is a control" in estimand.unanswerable) == alone


def test_as_json(protocol):
    """Names in order, nothing of this machine, and read again the same."""
    text = to_json(estimands(protocol))
    table = json.loads(text)
    assert list(table) == NAMES and str(protocol.path) not in text
    for name, estimand in estimands(protocol).items():
        assert Estimand(path=protocol.path, **table[name]) == estimand


DOCUMENT = """
kind = "estimand"
name = "relieved"
question = "Does pain fall?"
treatment = "drug against placebo"
population = "all randomised"
variable = "pain at week 12"
summary = ["difference in means"]
[[intercurrent_events]]
event = "rescue analgesic"
strategy = "composite"
"""


def test_one_that_a_person_writes(tmp_path):
    path = tmp_path / "relieved.toml"
    path.write_text(DOCUMENT)
    estimand = Estimand.load(path)
    assert estimand.intercurrent_events[0].strategy == "composite" and estimand.path == path


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('"composite"', '"last observation"', "intercurrent_events.0.strategy"),
        ('["difference in means"]', "[]", "key summary"),
        ('population = "all randomised"', "", "key population"),
        ('treatment = "drug', 'treatments = "drug', "key treatment"),
    ],
)
def test_mistakes_in_an_estimand(tmp_path, old, new, part):
    path = tmp_path / "relieved.toml"
    assert old in DOCUMENT
    path.write_text(DOCUMENT.replace(old, new, 1))
    with pytest.raises(InputError, match=part):
        Estimand.load(path)


def test_an_estimand_that_is_no_document():
    with pytest.raises(InputError, match=r"no path ending in \.toml"):
        Estimand.load("relieved")
