"""Evidence: studies, claims and forest plots, by search and filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from htmltools import HTML, Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from causalgia.app.parts import Again, Query, chosen, command, problem, table
from causalgia.documents.errors import InputError
from causalgia.evidence.base import Evidence
from causalgia.evidence.claims import VERDICTS, Claim, Claims, claims, reason
from causalgia.evidence.page import arm_words, finding_words
from causalgia.evidence.schemas import Study

VIEWS = {"studies": "Studies", "claims": "Claims", "effects": "Effects"}
FIELDS = ("q", "condition", "drug", "type")
ANY = {"": "any"}
SEARCHED = "The command line has no search and no type of study: there, narrow its lines with grep."


class Known(NamedTuple):
    """The evidence, the claims, and all that is written of each study and claim in small letters, to search in."""

    evidence: Evidence
    claims: Claims
    studies: dict[str, str]
    reasons: dict[int, str]


@lru_cache(maxsize=1)
def known() -> Known:
    """What is known, as it was when the server first needed it."""
    from causalgia.evidence.tables import page

    evidence, file = Evidence.load(), claims()
    texts = {
        key: " ".join([*page(study, evidence, full=True), *study.drugs]).lower()
        for key, study in evidence.studies.items()
    }
    return Known(evidence, file, texts, {claim.number: reason(claim, evidence) for claim in file.claims})


@module.ui
def evidence_ui(query: Query) -> TagChild:
    """The page with the filter that its link names."""

    def select(key: str, label: str, choices: dict[str, Any]) -> Tag:
        keys = {name for part in choices.values() if isinstance(part, dict) for name in part} or set(choices)
        return ui.input_select(key, label, choices, selected=chosen(query, key, keys))

    choices = _choices(known().evidence)
    box = tags.div(ui.output_ui("listing"), class_="listing", tabindex="0", role="region", aria_label="Studies")
    verdicts = ANY | {name: name for name in VERDICTS}
    panels: dict[str, TagChild] = {
        "studies": tags.div(box, tags.div(ui.output_ui("study"), class_="study", id="study-page"), class_="beside"),
        "claims": TagList(
            tags.div(select("verdict", "Verdict", verdicts), class_="filters one"), ui.output_ui("claims")
        ),
        "effects": TagList(tags.div(ui.output_ui("outcomes"), class_="filters one"), ui.output_ui("forest")),
    }
    return TagList(
        tags.h2("Evidence"),
        tags.p("What is published, each number with where it was read.", class_="lead"),
        tags.div(
            ui.input_text("q", "Search", query.get("q", ""), placeholder="such as blister TNF"),
            select("condition", "Condition", choices["condition"]),
            select("drug", "Drug or class", choices["drug"]),
            select("type", "Type of study", choices["type"]),
            class_="filters",
            role="search",
        ),
        ui.navset_pill(
            *(ui.nav_panel(VIEWS[key], panel, value=key) for key, panel in panels.items()),
            id="view",
            selected=chosen(query, "view", VIEWS, "studies"),
        ),
    )


def _choices(evidence: Evidence) -> dict[str, dict[str, Any]]:
    studies, words = list(evidence.studies.values()), evidence.words
    drugs = Counter(name for study in studies for name in study.drugs)
    conditions = Counter(name for study in studies for name in study.conditions)
    types = Counter(study.type for study in studies)
    treatments = {key: word for key, word in words.drugs.items() if drugs[key] and not word.control}
    return {
        "condition": ANY | {key: f"{words.conditions[key]} ({count})" for key, count in conditions.most_common()},
        "drug": {
            "": ANY,
            "Classes": {name: name for name in sorted({word.group for word in treatments.values() if word.group})},
            "Drugs": {key: f"{word.title} ({drugs[key]})" for key, word in treatments.items()},
        },
        "type": ANY | {name: f"{name} ({count})" for name, count in types.most_common()},
    }


@module.server
def evidence_server(input: Inputs, output: Outputs, session: Session, query: Query) -> Any:
    """What the page shows; gives a calculation of what reproduces it."""
    evidence, file, texts, reasons = known()
    key = reactive.Value(query.get("study", ""))

    @reactive.effect
    @reactive.event(input.open)
    def _open() -> None:
        key.set(str(input.open()))
        ui.update_navset("view", selected="studies")

    @reactive.calc
    def selected() -> Evidence:
        words, kind = input.q().lower().split(), input.type()
        found = [
            study
            for study in evidence.select(input.drug() or None, input.condition() or None)
            if kind in ("", study.type) and all(word in texts[study.key] for word in words)
        ]
        return Evidence({study.key: study for study in found}, evidence.words)

    @render.ui
    def listing() -> TagChild:
        return _listing(list(selected().studies.values()), key.get(), evidence)

    @render.ui
    def study() -> TagChild:
        if not key.get():
            return tags.p("Choose a study to read what it was and what it found.", class_="note")
        try:
            return _study(evidence.study(key.get()), evidence)
        except InputError as error:
            return problem(error)

    @output(id="claims")
    @render.ui
    def claim_list() -> TagChild:
        now = {name: str(input[name]()) for name in (*FIELDS, "verdict")}
        return _claims([claim for claim in file.claims if _fits(claim, now, known())], evidence, reasons)

    outcome = _effects(input, session, selected, query.get("outcome", ""))

    @reactive.calc
    def again() -> Again:
        view, now = str(input.view()), {name: str(input[name]()) for name in FIELDS if input[name]()}
        if view == "studies" and key.get():
            now["study"] = key.get()
        if view == "claims" and input.verdict():
            now["verdict"] = str(input.verdict())
        if view == "effects" and input.drug() and outcome():
            now["outcome"] = outcome()
        searched = (set(FIELDS) if view == "claims" else {"q", "type"}) & now.keys()
        return Again({"view": view, **now}, _commands(view, now), SEARCHED if searched else "")

    return again


def _effects(input: Inputs, session: Session, selected: Callable[[], Evidence], first: str) -> Callable[[], str]:
    """The forest plot of what is selected; gives the outcome chosen, "" where the studies that are left have none."""

    def measured() -> list[str]:
        from causalgia.evidence.compare import measures

        return list(measures(selected(), input.drug(), input.condition() or None)) if input.drug() else []

    def outcome() -> str:
        value = str(input.outcome()) if "outcome" in input else first
        return value if value in measured() else ""

    @render.ui
    def outcomes() -> TagChild:
        found = measured()
        if not found:
            return None
        with reactive.isolate():
            now = outcome() or found[0]
        titles = {name: selected().words.measures[name].title for name in found}
        return ui.input_select(session.ns("outcome"), "Outcome", titles, selected=now)

    @render.ui
    def forest() -> TagChild:
        if not input.drug():
            text = "Choose a drug or a class above: its trials against control are then compared here."
            return tags.p(text, class_="note")
        try:
            return _forest(selected(), input.drug(), input.condition(), outcome())
        except InputError as error:
            return problem(error)

    return outcome


def _fits(claim: Claim, now: Mapping[str, str], known: Known) -> bool:
    """Whether a claim has the verdict and the words asked for, and is decided by a study that the filter leaves."""
    evidence, text = known.evidence, f"{claim.text} {known.reasons[claim.number]}".lower()
    if now["verdict"] not in ("", claim.verdict) or not all(word in text for word in now["q"].lower().split()):
        return False
    if not (now["drug"] or now["condition"] or now["type"]):
        return True
    left = {study.key for study in evidence.select(now["drug"] or None, now["condition"] or None)}
    decided = (evidence.study(link.partition(":")[0]) for link in claim.decides)
    return any(study.key in left and now["type"] in ("", study.type) for study in decided)


def _commands(view: str, now: dict[str, str]) -> tuple[str, ...]:
    both = {"drug": now.get("drug"), "condition": now.get("condition")}
    if view == "claims":
        return (command("evidence", "claims", verdict=now.get("verdict")),)
    if view == "effects" and now.get("drug"):
        return (command("evidence", "pool", **both, outcome=now.get("outcome")),)
    lines = (command("evidence", "list", **both),)
    return (*lines, command("evidence", "show", now["study"], "--full")) if "study" in now else lines


def _study_link(key: str) -> Tag:
    """A link that opens a study here, and in another tab too."""
    return tags.a(key, href=f"?page=evidence&study={key}", data_study=key)


def _about(study: Study, evidence: Evidence) -> str:
    """What kind of study it is, of whom and of how many."""
    conditions = (evidence.words.conditions[name] for name in study.conditions)
    return f"{study.type}, {', '.join(conditions)}" + (f", n {study.n:,}" if study.n else "")


def _listing(studies: Sequence[Study], current: str, evidence: Evidence) -> TagChild:
    rows = []
    for study in studies:
        rows.append(
            tags.li(
                _study_link(study.key),
                tags.span(_about(study, evidence), class_="about"),
                tags.span(", ".join(evidence.words.drugs[name].title for name in study.drugs), class_="about"),
                aria_current="true" if study.key == current else None,
            )
        )
    count = f"{len(rows)} {'study' if len(rows) == 1 else 'studies'}"
    return TagList(tags.p(count, class_="count", role="status"), tags.ul(*rows, class_="rows"))


def _study(study: Study, evidence: Evidence) -> TagChild:
    about = [("Design", study.design), ("People", study.population), ("Read in", study.access)]
    arms = [arm_words(arm) for arm in study.arms if arm.drug]
    facts = [*about, ("Arms", "; ".join(arms)), ("Harms", study.harms), ("Notes", study.notes)]
    rows = [_row(finding_words(outcome, study, evidence)) for outcome in study.outcomes]
    return TagList(
        tags.h3(study.key, tabindex="-1"),
        tags.p(_about(study, evidence), class_="about"),
        tags.p("; ".join([study.citation, *study.identifiers])),
        tags.dl(*(tags.div(tags.dt(name), tags.dd(text)) for name, text in facts if text), class_="facts"),
        table(("finding", "of", "when", "figure", "read in"), rows, title="What it found") if rows else None,
    )


def _row(found: Mapping[str, str]) -> list[TagChild]:
    note = tags.span(found["note"], class_="about") if found["note"] else None
    return [found["what"], found["who"], found["time"], found["figure"], TagList(found["read"], note)]


def _claims(rows: Sequence[Claim], evidence: Evidence, reasons: dict[int, str]) -> TagChild:
    counts: Counter[str] = Counter(claim.verdict for claim in rows)
    told = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    return TagList(
        tags.p(
            f"{len(rows)} claims of the two documents with which this began{': ' if told else ''}{told}. “Not found” "
            "means that the primary text was not reachable, not that the claim is false.",
            class_="count",
            role="status",
        ),
        *(_claim(claim, evidence, reasons[claim.number]) for claim in rows),
    )


def _claim(claim: Claim, evidence: Evidence, why: str) -> Tag:
    verdict = claim.verdict + (f", {claim.qualifier}" if claim.qualifier else "")
    links: list[TagChild] = []
    for link in dict.fromkeys(link.partition(":")[0] for link in claim.decides):
        links += [", " if links else "Decided by ", _study_link(evidence.study(link).key)]
    return tags.article(
        tags.p(
            tags.strong(f"{claim.number}{claim.document}"), " ", claim.text, " ",
            tags.span(verdict, class_=f"verdict {claim.verdict.replace(' ', '-')}"),
        ),
        tags.p(why),
        tags.p(*links, class_="about") if links else None,
        class_="claim",
    )  # fmt: skip


def _forest(evidence: Evidence, drug: str, condition: str, outcome: str) -> TagChild:
    from causalgia.evidence.compare import compare
    from causalgia.evidence.forest import forest
    from causalgia.evidence.tables import axis_name, comparison_lines, comparison_title
    from causalgia.report.svg import clean

    comparison = compare(evidence, drug, condition or None, outcome or None)
    lines, title = comparison_lines(comparison, evidence), comparison_title(comparison, evidence)
    drawn = clean(forest(comparison, title, axis_name(comparison)), "forest", f"Forest plot. {' '.join(lines)}")
    return TagList(
        tags.div(HTML(drawn), class_="scroll forest", tabindex="0", role="region", aria_label=title),
        tags.h3("In words"),
        tags.pre("\n".join(lines), tabindex="0", class_="words"),
    )
