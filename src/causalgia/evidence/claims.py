"""The claims of the two source documents: verdict, reason and the findings that decide it, figures computed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt, model_validator

from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document, Page
from causalgia.evidence.base import Evidence, document
from causalgia.evidence.figures import PARTS, figure, part
from causalgia.evidence.schemas import Filled, Text
from causalgia.evidence.words import FOLDER

VERDICTS = ("supported", "overstated", "contradicted", "not found")
Verdict = Literal["supported", "overstated", "contradicted", "not found"]
PLACE = re.compile(r"\{([^{}]*)\}")
ARM_PARTS = ("n", "dose", "route", "schedule")


class Claim(Page):
    """One claim as the document makes it, the verdict on it, why, and the findings ("study:outcome") that decide it."""

    number: PositiveInt
    document: Literal["A", "B"]
    text: Filled
    verdict: Verdict
    qualifier: Text = ""
    reason: Filled
    decides: tuple[str, ...] = ()


class Claims(Document):
    """The file of claims: the documents and what each claims."""

    KIND = "claims"
    documents: dict[str, Filled]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _numbered(self) -> Claims:
        numbers = [claim.number for claim in self.claims]
        if numbers != list(range(1, len(numbers) + 1)):
            raise InputError("claims", "numbers out of order", "1, 2, 3 and so on", "Number them in order.")
        return self


def claims() -> Claims:
    """The claims of the library, validated; figures are filled in by `reason`."""
    return load(FOLDER / "claims.toml")


def load(path: Path) -> Claims:
    """The claims in a file; InputError with file, line and key."""
    return document(Claims, path)


def reason(claim: Claim, evidence: Evidence) -> str:
    """Why the verdict, with every {study:outcome} replaced by the finding itself.

    Raises InputError for a link that names nothing.
    """
    return PLACE.sub(lambda found: _figure(found[1], claim, evidence), claim.reason)


def _figure(text: str, claim: Claim, evidence: Evidence) -> str:
    where = f"claim {claim.number}, {{{text}}}"
    link, dot, name = text.rpartition(".")
    try:
        if "@" in text:
            key, _, arm_name = link.partition("@")
            arm = evidence.study(key).arm(arm_name)
            value = getattr(arm, name) if arm is not None and name in ARM_PARTS else None
            if not value:
                raise KeyError(name)
            return str(value)
        if dot and name in PARTS:
            return part(evidence.outcome(link)[1], name, evidence.words)
        return figure(evidence.outcome(text)[1], evidence.words)
    except KeyError:
        expected = f"a part that is there: {', '.join((*PARTS, *ARM_PARTS))}"
        raise InputError(where, f"no {name}", expected, "Correct the figure.") from None
    except InputError as error:
        raise InputError(where, error.found, error.expected, error.remedy) from None
