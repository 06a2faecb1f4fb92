"""Estimands as documents, after ICH E9(R1), and the five that a protocol's questions come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document, Page
from causalgia.documents.protocol import Endpoint, Protocol
from causalgia.documents.schemas import Condition, Instrument

Strategy = Literal["treatment policy", "hypothetical", "composite", "while on treatment", "principal stratum"]


class IntercurrentEvent(Page):
    """An event after treatment began that changes what a value means, how it is dealt with, and a second way."""

    event: str
    strategy: Strategy
    supplement: Strategy | None = None


class Estimand(Document):
    """What a question asks for: the five attributes of ICH E9(R1), section A.3.3.

    `missing` says what is assumed of values that are not there, which no strategy covers. `unanswerable` is the reason
    why a trial of this design cannot estimate it, or empty. One that is derived has the path and hash of its protocol.
    """

    KIND = "estimand"
    name: str
    question: str
    treatment: str
    population: str
    variable: str
    intercurrent_events: list[IntercurrentEvent] = []
    summary: list[str] = Field(min_length=1)
    missing: str = ""
    unanswerable: str = ""

    @classmethod
    def load(cls, name: str | Path) -> Estimand:
        """The estimand at a path ending in .toml; InputError names file and key of what is wrong."""
        if Path(name).suffix != ".toml":
            raise InputError(str(name), "no path ending in .toml", "an estimand document", "Check the path.")
        return super().load(name)


RESCUE_IMMUNE = IntercurrentEvent(
    event="rescue immunosuppressant", strategy="treatment policy", supplement="hypothetical"
)
STOPPED = IntercurrentEvent(
    event="treatment stopped for an adverse event", strategy="treatment policy", supplement="hypothetical"
)
RESCUE_PAIN = IntercurrentEvent(event="rescue analgesic", strategy="treatment policy", supplement="composite")
LIMITED = "values below the limit of quantification: censored at their own limit"
AT_RANDOM = "subjects who left: missing at random given arm, baseline and earlier values"


def estimands(protocol: Protocol) -> dict[str, Estimand]:
    """The estimands of a protocol by question: raised, lowered, relieved, mediated, spared."""
    derived = (_raised(protocol), _lowered(protocol), _relieved(protocol), _mediated(protocol), _spared(protocol))
    return {estimand.name: estimand for estimand in derived}


def to_json(documents: dict[str, Estimand]) -> str:
    """Estimands as JSON, by name, without the paths they were read from."""
    tables = {name: estimand.model_dump(exclude={"path"}) for name, estimand in documents.items()}
    return json.dumps(tables, indent=1, ensure_ascii=False) + "\n"


def _raised(protocol: Protocol) -> Estimand:
    endpoint = protocol.endpoints.lowered
    row = protocol.schedule[endpoint.measure]
    what = Instrument.load(endpoint.measure).title
    beside = "contralateral" in row.sides
    return _estimand(
        protocol,
        name="raised",
        question="Is the mechanism's marker raised in the affected limb?",
        treatment="none: before treatment",
        population=f"all who were screened, before any gate: {_condition(protocol)}",
        variable=f"log {what}, week {min(row.at):g}: {', '.join(row.sides)}, and people without the condition",
        summary=[
            "geometric mean ratio, affected / contralateral",
            "geometric mean ratio, affected / people without the condition",
        ],
        missing=LIMITED,
        unanswerable="" if beside else "The protocol does not measure the contralateral side.",
    )


def _lowered(protocol: Protocol) -> Estimand:
    return _estimand(
        protocol,
        name="lowered",
        question="Does treatment lower it?",
        treatment=_treatment(protocol),
        population=_randomised(protocol),
        variable=f"log {_variable(protocol.endpoints.lowered)}",
        intercurrent_events=[RESCUE_IMMUNE, STOPPED],
        summary=["ratio of geometric means"],
        missing=f"{AT_RANDOM}; {LIMITED}",
        unanswerable=_uncontrolled(protocol),
    )


def _relieved(protocol: Protocol) -> Estimand:
    endpoint = protocol.endpoints.relieved
    return _estimand(
        protocol,
        name="relieved",
        question="Does the clinical endpoint improve?",
        treatment=_treatment(protocol),
        population=_randomised(protocol),
        variable=_variable(endpoint),
        intercurrent_events=[RESCUE_PAIN],
        summary=["difference in means" if endpoint.responder is None else "difference in the share of responders"],
        missing=AT_RANDOM if endpoint.responder is None else "missing is no response",
        unanswerable=_uncontrolled(protocol),
    )


def _mediated(protocol: Protocol) -> Estimand:
    mediator, outcome = protocol.endpoints.lowered, protocol.endpoints.relieved
    what = Instrument.load(mediator.measure).title
    reasons = {
        _uncontrolled(protocol): True,
        "The marker is not measured before the outcome.": mediator.at >= outcome.at,
        "One replicate a visit cannot tell the marker from its error.": (
            protocol.schedule[mediator.measure].replicates < 2
        ),
    }
    return _estimand(
        protocol,
        name="mediated",
        question="Does the clinical endpoint improve because the marker falls?",
        treatment=_treatment(protocol),
        population=_randomised(protocol),
        variable=f"{_variable(outcome)}, given the true log {what} to week {mediator.at:g}",
        intercurrent_events=[RESCUE_PAIN, RESCUE_IMMUNE, STOPPED],
        summary=["natural indirect effect, difference in means", "its interventional analogue"],
        missing=f"{AT_RANDOM}; an unusable sample: missing at random with its limit",
        unanswerable=" ".join(text for text, holds in reasons.items() if holds and text),
    )


def _spared(protocol: Protocol) -> Estimand:
    gate, relevant, compared = protocol.gate, protocol.endpoints.relevant, protocol.compared
    only_above = gate is not None and gate.low_stratum is None
    reason = "Nobody below the gate is randomised: the effect there is not identified." if only_above else ""
    by = "duration" if compared is not None and compared.by == "duration" else "the marker at baseline"
    unit = "" if relevant.unit == "1" else f" {relevant.unit}"
    region = f"P(benefit > {relevant.typical:g}{unit}) < 0.2, or harm outweighs"
    return _estimand(
        protocol,
        name="spared",
        question="Who should be spared?",
        treatment=_treatment(protocol),
        population=_randomised(protocol),
        variable=f"{_variable(protocol.endpoints.relieved)}, by {by}; net benefit",
        intercurrent_events=[RESCUE_PAIN],
        summary=[f"difference between effects by {by}", f"the region of the marker at baseline where {region}"],
        missing=AT_RANDOM,
        unanswerable=" ".join(text for text in (_uncontrolled(protocol), reason) if text),
    )


def _estimand(protocol: Protocol, **attributes: Any) -> Estimand:
    return Estimand(kind=Estimand.KIND, path=protocol.path, digest=protocol.digest, **attributes)


def _uncontrolled(protocol: Protocol) -> str:
    return "Nobody is a control: a change from baseline is no effect of treatment." if protocol.single_arm else ""


def _treatment(protocol: Protocol) -> str:
    """Every arm with what it receives, control last."""
    given = {name: " and ".join(course.text() for course in arm.courses) for name, arm in protocol.arms.items()}
    texts = {name: f"{name} ({text})" if text else name for name, text in given.items()}
    control = texts.pop(protocol.control, "")
    return ", ".join(texts.values()) + (f" against {control}" if control else "")


def _condition(protocol: Protocol) -> str:
    return Condition.load(protocol.population.condition).title


def _randomised(protocol: Protocol) -> str:
    who = "all treated" if protocol.single_arm else "all randomised"
    gate = protocol.gate
    rule = "" if gate is None else f", gate: {gate.rule}"
    low = "" if gate is None or gate.low_stratum is None else f", and up to {gate.low_stratum.share:.0%} below it"
    return f"{who}: {_condition(protocol)}{rule}{low}"


def _variable(endpoint: Endpoint) -> str:
    what = f"{Instrument.load(endpoint.measure).title}, {endpoint.side}"
    if endpoint.second is not None:
        return f"{what}, half of week {endpoint.at:g} minus week {endpoint.second:g}"
    if endpoint.responder is not None:
        fall = f"{endpoint.responder.fall:g} {endpoint.responder.unit}"
        return f"{what}, a fall of at least {fall} to week {endpoint.at:g}"
    return f"{what}, week {endpoint.at:g}"
