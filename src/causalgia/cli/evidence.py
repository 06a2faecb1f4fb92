"""The evidence verbs: list, show, claims, pool, prior, page, add, check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from causalgia.evidence.compare import Comparison

evidence_app = typer.Typer(
    help="What is known, and from where.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

Drug = Annotated[str | None, typer.Option(help="A drug or a class, such as infliximab or anti-tnf.")]
Condition = Annotated[str | None, typer.Option(help="A condition, such as crps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@evidence_app.command("list")
def list_studies(drug: Drug = None, condition: Condition = None, as_json: AsJson = False) -> None:
    """The studies, one a line."""
    from causalgia.evidence.base import Evidence
    from causalgia.evidence.export import study_table
    from causalgia.evidence.tables import listing

    evidence = Evidence.load()
    studies = evidence.select(drug, condition)
    if as_json:
        _print([study_table(study, outcomes=False) for study in studies])
        return
    _lines(listing(studies))
    own = sum(study.own for study in studies)
    found = sum(len(study.outcomes) for study in studies)
    typer.echo(f"{len(studies)} studies, {found} findings" + (f"; * {own} of your own" if own else ""))


@evidence_app.command()
def show(
    key: Annotated[str, typer.Argument(help="A study, as evidence list shows it.")],
    full: Annotated[bool, typer.Option("--full", help="Also how each finding was read, sizes and notes.")] = False,
    as_json: AsJson = False,
) -> None:
    """What one study was and what it found."""
    from causalgia.evidence.base import Evidence
    from causalgia.evidence.export import study_table
    from causalgia.evidence.tables import page

    evidence = Evidence.load()
    study = evidence.study(key)
    if as_json:
        _print(study_table(study))
        return
    _lines(page(study, evidence, full))


@evidence_app.command()
def claims(
    number: Annotated[int | None, typer.Argument(help="Number of one claim, to see it in full.")] = None,
    verdict: Annotated[str | None, typer.Option(help="supported, overstated, contradicted or not found.")] = None,
    as_json: AsJson = False,
) -> None:
    """What the two source documents claim, with verdicts; one in full with its number."""
    from collections import Counter

    from causalgia.documents import InputError
    from causalgia.evidence.base import Evidence
    from causalgia.evidence.claims import VERDICTS
    from causalgia.evidence.claims import claims as load
    from causalgia.evidence.export import claim_table
    from causalgia.evidence.tables import claim_lines, claim_page

    if verdict is not None and verdict not in VERDICTS:
        raise InputError("--verdict", repr(verdict), f"one of {', '.join(VERDICTS)}", "Correct it.")
    file = load()
    found = [claim for claim in file.claims if number in (None, claim.number) and verdict in (None, claim.verdict)]
    if number is not None and not found:
        raise InputError("claim", str(number), f"a number from 1 to {len(file.claims)}", "Correct it.")
    if as_json:
        evidence = Evidence.load()
        _print([claim_table(claim, evidence) for claim in found])
    elif number is not None:
        _lines(claim_page(found[0], Evidence.load(), file.documents[found[0].document]))
    else:
        _lines(claim_lines(found))
        tally: Counter[str] = Counter(claim.verdict for claim in found)
        counted = ", ".join(f"{tally[word]} {word}" for word in VERDICTS if tally[word])
        typer.echo(f"{len(found)} claims: {counted}")


@evidence_app.command()
def pool(
    drug: Annotated[str, typer.Option(help="A drug or a class, such as infliximab or anti-tnf.")],
    condition: Condition = None,
    outcome: Annotated[
        str | None, typer.Option(help="What was measured, such as pain; else what most trials have.")
    ] = None,
    method: Annotated[str, typer.Option(help="Estimator of the variance between trials.")] = "REML",
    plot: Annotated[Path | None, typer.Option("-o", "--out", help="Forest plot to write (.svg).")] = None,
    as_json: AsJson = False,
) -> None:
    """Trials of a drug against control, pooled where that means something."""
    from causalgia.evidence.base import Evidence
    from causalgia.evidence.compare import compare, measures
    from causalgia.evidence.export import comparison_table
    from causalgia.evidence.tables import comparison_lines, wrapped

    evidence = Evidence.load()
    comparison = compare(evidence, drug, condition, outcome, method=method)
    if plot is not None:
        _plot(comparison, evidence, plot)
    if as_json:
        _print(comparison_table(comparison, evidence))
        return
    _lines(comparison_lines(comparison, evidence))
    others = [name for name in measures(evidence, drug, condition) if name != comparison.measure]
    if outcome is None and others:
        _lines(wrapped(f"No --outcome was given; these studies also report {', '.join(others)}."))
    if plot is not None:
        typer.echo(str(plot))


@evidence_app.command()
def prior(
    condition: Annotated[str, typer.Option(help="A condition, such as ra.")],
    outcome: Annotated[str, typer.Option(help="A response measure, such as acr20.")],
    vague: Annotated[float, typer.Option(help="Weight of the vague part.", min=0.01, max=0.99)] = 0.2,
    new: Annotated[str | None, typer.Option(help="A new control arm to compare, events/n such as 9/20.")] = None,
    as_json: AsJson = False,
) -> None:
    """What control arms did before: a robust prior for the next one."""
    from causalgia.evidence.base import Evidence
    from causalgia.evidence.prior import control_prior, prior_lines
    from causalgia.evidence.tables import wrapped

    evidence = Evidence.load()
    found = control_prior(evidence, condition, evidence.words.measure(outcome), vague=vague)
    against = found.conflict(*_events(new)) if new is not None else None
    if as_json:
        parts = zip(found.robust.weight.tolist(), found.robust.a.tolist(), found.robust.b.tolist(), strict=True)
        arms = [{"study": arm.study.key, "time": arm.time, "events": arm.events, "n": arm.n} for arm in found.arms]
        _print({"arms": arms, "beta": list(parts), "subjects": found.subjects, "conflict": against and vars(against)})
        return
    for line in prior_lines(found, vague):
        _lines(wrapped(line))
    if against is not None:
        text = f"Against {new}: prior predictive p {against.p:.3f}; the vague part rises from {vague:.0%} to "
        _lines(wrapped(text + f"{against.vague_after:.0%}."))


def _events(text: str) -> tuple[int, int]:
    from causalgia.documents.errors import InputError

    events, _, n = text.partition("/")
    if not (events.isdigit() and n.isdigit() and int(events) <= int(n) and int(n) > 0):
        raise InputError("--new", repr(text), "events/n such as 9/20", "Correct it.")
    return int(events), int(n)


@evidence_app.command()
def page(out: Annotated[Path, typer.Option("-o", "--out", help="The page to write (.html).")]) -> None:
    """The evidence as one self-contained page, to search and filter."""
    from causalgia.documents.writing import write_text
    from causalgia.evidence.base import Evidence
    from causalgia.evidence.claims import claims as load
    from causalgia.evidence.page import page as render

    write_text(out, render(Evidence.load(), load()))
    typer.echo(str(out))


@evidence_app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A study (.toml), laid out as those of the library.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a study of your own with that name.")] = False,
) -> None:
    """Check a study and put it into your own evidence folder."""
    from causalgia.evidence.base import add as put

    typer.echo(str(put(file, force=force)))


@evidence_app.command()
def check(as_json: AsJson = False) -> None:
    """Look for bad studies, dead links and sources of model parameters that name no study."""
    from causalgia.evidence.check import check as look

    found = look()
    if as_json:
        _print({**vars(found), "problems": list(found.problems)})
    else:
        _lines(list(found.problems))
        typer.echo(
            f"{found.studies} studies, {found.outcomes} findings, {found.claims} claims, {found.sources} sources: "
            f"{len(found.problems) or 'no'} problem{'' if len(found.problems) == 1 else 's'}"
        )
    if found.problems:
        raise typer.Exit(1)


def _plot(comparison: Comparison, evidence: Any, path: Path) -> None:
    from causalgia.documents.writing import write_text
    from causalgia.evidence.forest import forest
    from causalgia.evidence.tables import axis_name, comparison_title

    write_text(path, forest(comparison, comparison_title(comparison, evidence), axis_name(comparison)))


def _lines(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def _print(table: Any) -> None:
    typer.echo(json.dumps(table, ensure_ascii=False, allow_nan=False))
