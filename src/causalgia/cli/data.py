"""The verbs that carry a trial's data in and out: export and redcap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from causalgia.cli.files import DESIGNATIONS, DICTIONARY, ESTIMANDS, EVENTS, EXPORTED, MAPPING, PROTOCOL, REDCAP, TRIAL

Out = Annotated[Path, typer.Option("-o", "--out", help="Directory to make.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the directory given with -o.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")]


def export(
    folder: Annotated[Path, typer.Argument(help="A directory of tables (adsl.csv ...), or one that conduct wrote.")],
    out: Out,
    form: Annotated[str, typer.Option("--format", help="csv, parquet, dataset-json or xpt.")] = "csv",
    protocol: Annotated[
        str | None, typer.Option(help="The protocol of the tables, where the directory holds none.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write a trial's tables, checked, in another format, with its estimands."""
    from causalgia.analysis.formats import FORMATS
    from causalgia.analysis.tables import read_tables, write_tables
    from causalgia.cli import output
    from causalgia.documents import InputError
    from causalgia.documents.estimand import estimands, to_json

    if form not in FORMATS:
        raise InputError("--format", repr(form), f"one of {', '.join(FORMATS)}", "Choose one.")
    plan = output.protocol_beside(folder, protocol)
    path = output.target(out, plan.name, force, EXPORTED)
    inner = folder / TRIAL
    tables = read_tables(inner if inner.is_dir() else folder, plan)
    with output.whole(path) as made:
        write_tables(made, tables, form)
        (made / ESTIMANDS).write_text(to_json(estimands(plan)), encoding="utf-8")
    typer.echo(json.dumps({name: len(table) for name, table in tables.items()}) if as_json else str(path))


def redcap(
    protocol: Annotated[str, typer.Argument(help="A protocol of the library, or a path to one (.toml).")],
    out: Out,
    export: Annotated[Path | None, typer.Option(help="An export of the project, raw values, as CSV.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="The mapping document (.toml) of the export.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Make a REDCap project for a protocol, or with --export its tables from what the project holds."""
    from causalgia.cli import output
    from causalgia.documents import InputError, Protocol

    plan = Protocol.load(protocol)
    if (export is None) != (mapping is None):
        given, lacking = ("--mapping", "--export") if export is None else ("--export", "--mapping")
        raise InputError(given, f"no {lacking}", "both or neither", f"Add {lacking}.")
    path = output.target(out, plan.name, force, REDCAP if export is None else {*EXPORTED, PROTOCOL})
    with output.whole(path) as made:
        if export is None or mapping is None:
            _project(made, plan)
        else:
            _tables(made, plan, export, mapping)
        names = sorted(file.name for file in made.iterdir())
    typer.echo(json.dumps(names) if as_json else str(path))


def _project(made: Path, plan) -> None:
    """Dictionary, events and designations to import, and the mapping back."""
    from causalgia.analysis.redcap import redcap_designations, redcap_dictionary, redcap_events
    from causalgia.analysis.redcap_mapping import redcap_mapping

    redcap_dictionary(plan).write_csv(made / DICTIONARY)
    redcap_events(plan).write_csv(made / EVENTS)
    redcap_designations(plan).write_csv(made / DESIGNATIONS)
    (made / MAPPING).write_text(redcap_mapping(plan), encoding="utf-8")


def _tables(made: Path, plan, export: Path, mapping: Path) -> None:
    """The tables of an export, with the protocol and its estimands beside them."""
    from causalgia.analysis.redcap_export import from_redcap
    from causalgia.analysis.redcap_mapping import RedcapMapping
    from causalgia.analysis.tables import write_tables
    from causalgia.documents.estimand import estimands, to_json

    write_tables(made, from_redcap(export, RedcapMapping.load(mapping), plan))
    (made / PROTOCOL).write_bytes(plan.path.read_bytes())
    (made / ESTIMANDS).write_text(to_json(estimands(plan)), encoding="utf-8")
