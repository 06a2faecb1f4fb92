"""The verb patient: one patient, or a few, before and after treatment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def patient(
    file: Annotated[str, typer.Argument(help="A patient (.toml), a series (.csv), or a patient of the library.")],
    weights: Annotated[str | None, typer.Option(help="Weights of benefit and harm (.toml).")] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="One weight changed, such as harm.malignancy=20; may come several times.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random stream.", min=0)] = 1,
    people: Annotated[int, typer.Option(help="Virtual patients at most.")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="A page to write (.html).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the page given with -o.")] = False,
) -> None:
    """One patient: is TNF raised, what would each therapy do, what did the one given do."""
    from causalgia.documents import InputError
    from causalgia.documents.patient import load
    from causalgia.documents.weighing import Weights
    from causalgia.documents.writing import write_text
    from causalgia.inference.patients import consider
    from causalgia.report.patient import lines, page

    if out is not None and out.exists() and not force:
        raise InputError(str(out), "something that exists", "a page to be made", "Choose another, or add --force.")
    judged = Weights.load(weights or "standard").changed(_changes(weight or []))
    table = consider(load(file), judged, seed=seed, people=people)
    if out is not None:
        write_text(out, page(table))
    if as_json:
        typer.echo(json.dumps(table, ensure_ascii=False, allow_nan=False))
        return
    for line in lines(table):
        typer.echo(line)
    if out is not None:
        typer.echo(str(out))


def _changes(texts: list[str]) -> dict[str, float]:
    from causalgia.documents import InputError

    found = {}
    for text in texts:
        key, mark, number = text.rpartition("=")
        try:
            found[key.strip()] = float(number)
        except ValueError:
            mark = ""
        if not mark:
            raise InputError("--weight", repr(text), "KEY=NUMBER such as harm.malignancy=20", "Correct it.")
    return found
