"""The evidence as one self-contained HTML page: claims and studies, with search and filters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalgia.evidence.base import Evidence
from causalgia.evidence.claims import VERDICTS, Claims, reason
from causalgia.evidence.figures import figure
from causalgia.evidence.schemas import ALL, Arm, Outcome, Study

if TYPE_CHECKING:
    from jinja2 import Environment


def templates(folder: Path) -> Environment:
    """The HTML templates of a folder: escaped, and a name that the page does not know is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(evidence: Evidence, claims: Claims) -> str:
    """The page as HTML text, without a request to anywhere, readable without its script; the same bytes every time."""
    environment = templates(Path(__file__).parent)
    studies = list(evidence.studies.values())
    drugs = Counter(drug for study in studies for drug in study.drugs)
    conditions = Counter(condition for study in studies for condition in study.conditions)
    tally: Counter[str] = Counter(claim.verdict for claim in claims.claims)
    text = environment.get_template("page.html.j2").render(
        studies=[_study(study, evidence) for study in studies],
        claims=[
            {
                "claim": claim,
                "reason": reason(claim, evidence),
                "links": [_link(link, evidence) for link in claim.decides],
            }
            for claim in claims.claims
        ],
        documents=claims.documents,
        drugs=[(key, word.title, drugs[key]) for key, word in evidence.words.drugs.items() if drugs[key]],
        conditions=[
            (key, title, conditions[key]) for key, title in evidence.words.conditions.items() if conditions[key]
        ],
        verdicts=[(verdict, tally[verdict]) for verdict in VERDICTS],
        outcomes=sum(len(study.outcomes) for study in studies),
    )
    return text.strip() + "\n"


def _link(link: str, evidence: Evidence) -> dict[str, Any]:
    """A finding that decides a claim: the study to jump to, and what it found."""
    key, _, name = link.partition(":")
    study = evidence.study(key)
    outcome = study.outcome(name)
    found = "" if outcome is None else f"{outcome.what}: {figure(outcome, evidence.words, study.n)}"
    return {"key": study.key, "found": found, "drugs": study.drugs, "conditions": study.conditions}


def _study(study: Study, evidence: Evidence) -> dict[str, Any]:
    return {
        "study": study,
        "arms": [arm_words(arm) for arm in study.arms if arm.drug],
        "found": [finding_words(outcome, study, evidence) for outcome in study.outcomes],
    }


def arm_words(arm: Arm) -> str:
    """An arm with what its people were given, and how many they were."""
    given = " ".join(part for part in (arm.dose, arm.route, arm.schedule) if part and part != arm.name)
    return arm.name + (f", {given}" if given else "") + (f" (n {arm.n})" if arm.n else "")


def finding_words(outcome: Outcome, study: Study, evidence: Evidence) -> dict[str, str]:
    """A finding in the words of a table's row: what was found, of whom, when, how much, and where it was read."""
    who = "" if outcome.arm == ALL else outcome.arm + (f" vs {outcome.versus}" if outcome.versus else "")
    where = ", ".join(part for part in (outcome.matrix, outcome.side, outcome.assay) if part)
    return {
        "id": outcome.id,
        "what": outcome.what + (f" ({where})" if where else ""),
        "who": who,
        "time": outcome.time,
        "figure": figure(outcome, evidence.words, study.n),
        "read": f"{outcome.read}: {outcome.locator}" if outcome.read != outcome.locator else outcome.read,
        "note": outcome.note,
    }
