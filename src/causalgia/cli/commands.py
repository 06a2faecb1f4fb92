"""One command a verb, each a thin skin over the function of the same name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from causalgia.cli.app import app_command
from causalgia.cli.calibrate import add_verbs
from causalgia.cli.data import export, redcap
from causalgia.cli.evidence import evidence_app
from causalgia.cli.files import (
    ANALYSED,
    ANALYSIS,
    CHARACTERISTICS,
    OUTCOMES,
    PROTOCOL,
    REPORT,
    RESULTS,
    TRAJECTORIES,
    TRIAL,
    TRUTH,
)
from causalgia.cli.patient import patient

if TYPE_CHECKING:
    import polars as pl
    import xarray as xr

    from causalgia.documents import Protocol


class Verbs(typer.core.TyperGroup):
    """The verbs; one that is interrupted says so."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted; nothing was written.", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Verbs,
    help="Plan, simulate and analyse trials of immunotherapy in complex regional pain syndrome. "
    "Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ProtocolName = Annotated[str, typer.Argument(help="A protocol of the library, or a path to one (.toml).")]
Folder = Annotated[Path, typer.Argument(help="The directory that the verb before wrote.")]
Seed = Annotated[int, typer.Option(help="Seed of every random stream.", min=0)]
Subjects = Annotated[int | None, typer.Option(help="Virtual patients enrolled before the gate.")]
Replicates = Annotated[int | None, typer.Option(help="Replicate trials.")]
Sizes = Annotated[str | None, typer.Option(help="Totals randomised, such as 20,40,60.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print results as JSON, and no progress.")]
Out = Annotated[
    Path | None, typer.Option("-o", "--out", help="Directory to make; without it results/PROTOCOL is replaced.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the directory given with -o.")]
Prior = Annotated[bool, typer.Option("--prior", help="Leave the calibrated posterior aside.")]
World = Annotated[str | None, typer.Option(help="World of the one trial that is conducted.")]
Size = Annotated[int | None, typer.Option(help="Total randomised in the one trial that is conducted.")]


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Prints the version where asked."""
    if show:
        from causalgia import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(
    protocol: ProtocolName,
    seed: Seed = 1,
    subjects: Subjects = None,
    replicates: Replicates = None,
    sizes: Sizes = None,
    prior: Prior = False,
    as_json: AsJson = False,
    out: Out = None,
    force: Force = False,
) -> None:
    """The main job: simulate, conduct, analyse, evaluate, report."""
    from causalgia.cli import output
    from causalgia.design.evaluate import check_room

    plan = _protocol(protocol, subjects, replicates, sizes)
    check_room(plan)
    path = output.target(out, plan.name, force)
    outcomes = _simulate(plan, seed, as_json, prior)
    tables = _conduct(plan, outcomes, seed, None, None)
    answers = _analyse(plan, tables)
    characteristics = _evaluate(plan, outcomes, seed, as_json)
    with output.whole(path) as folder:
        table = _write_report(folder, plan, outcomes, tables, answers, characteristics)
        output.write_trial(folder / TRIAL, tables)
        tables["truth"].write_parquet(folder / TRUTH)
    if as_json:
        typer.echo(json.dumps(table, ensure_ascii=False))
        return
    for sentence in table["verdict"]:
        typer.echo(sentence)
    typer.echo(str(path / REPORT))


@app.command()
def simulate(
    protocol: Annotated[str, typer.Argument(help="A protocol (name or .toml), or with --events a model page (.ant).")],
    events: Annotated[
        Path | None, typer.Option(help="A table of doses and observations, NONMEM columns, for a model page.")
    ] = None,
    seed: Seed = 1,
    subjects: Subjects = None,
    prior: Prior = False,
    as_json: AsJson = False,
    out: Out = None,
    force: Force = False,
) -> None:
    """Take every virtual patient through every regimen of a protocol, or an event table through a model."""
    from causalgia.cli import output

    if events is not None:
        _simulate_events(Path(protocol), events, as_json, out, force)
        return
    plan = _protocol(protocol, subjects, None, None)
    path = output.target(out, plan.name, force)
    outcomes = _simulate(plan, seed, as_json, prior)
    with output.whole(path) as folder:
        output.write_dataset(folder / OUTCOMES, outcomes)
        (folder / PROTOCOL).write_bytes(plan.path.read_bytes())
    _made(path / OUTCOMES, as_json, {name: int(count) for name, count in outcomes.sizes.items()})


@app.command()
def conduct(folder: Folder, seed: Seed = 1, size: Size = None, world: World = None, as_json: AsJson = False) -> None:
    """Reveal one trial of simulated outcomes as tables."""
    from causalgia.cli import output

    plan, outcomes = _read(folder)
    tables = _conduct(plan, outcomes, seed, size, world)
    with output.part(folder, TRIAL) as path:
        output.write_trial(path, tables)
    with output.part(folder, TRUTH) as path:
        tables["truth"].write_parquet(path)
    _made(folder / TRIAL, as_json, {name: len(table) for name, table in tables.items()})


@app.command()
def analyse(
    folder: Annotated[Path, typer.Argument(help="A directory of tables (adsl.csv ...), or one that conduct wrote.")],
    protocol: Annotated[
        str | None, typer.Option(help="The protocol of the tables, where the directory holds none.")
    ] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Directory to make, instead of DIR/analysis.")] = None,
    force: Force = False,
    bayes: Annotated[bool, typer.Option("--bayes", help="Add posteriors by NUTS, with the extra bayes.")] = False,
) -> None:
    """Answer the trial's questions from its tables, simulated or real; writes answers, tables and figures."""
    from causalgia.analysis.answers import analyse as answer
    from causalgia.analysis.tables import read_tables
    from causalgia.cli import analysis, output

    plan = output.protocol_beside(folder, protocol)
    path = folder / ANALYSIS if out is None else output.target(out, plan.name, force, ANALYSED)
    inner = folder / TRIAL
    tables = read_tables(inner if inner.is_dir() else folder, plan)
    answers = answer(plan, tables)
    if bayes:
        from causalgia.analysis.posteriors import with_posteriors

        answers = with_posteriors(plan, tables, answers)
    with output.part(folder, ANALYSIS) if out is None else output.whole(path) as made:
        made.mkdir(exist_ok=True)
        table = analysis.write(made, plan, tables, answers)
    if as_json:
        typer.echo(json.dumps(table, ensure_ascii=False))
        return
    for line in analysis.lines(plan, answers):
        typer.echo(line)
    typer.echo(str(path))


@app.command()
def evaluate(
    folder: Folder,
    seed: Seed = 1,
    replicates: Replicates = None,
    sizes: Sizes = None,
    as_json: AsJson = False,
    find_size: Annotated[
        bool, typer.Option("--find-size", help="Say which size reaches --power, in each world.")
    ] = False,
    power: Annotated[float, typer.Option(help="Share of trials that --find-size looks for.")] = 0.8,
) -> None:
    """Operating characteristics of the trial over sizes and worlds, and the size that reaches a power."""
    from causalgia.cli import output, planning
    from causalgia.report.results import clean, evaluation
    from causalgia.report.verdict import power_lines

    plan, outcomes = _read(folder)
    plan = _with_options(plan, None, replicates, sizes)
    if find_size:
        planning.check(plan, power)
    characteristics = _evaluate(plan, outcomes, seed, as_json)
    with output.part(folder, CHARACTERISTICS) as path:
        output.write_dataset(path, characteristics)
    table = evaluation(characteristics)
    if find_size:
        table["find_size"] = planning.size_table(plan, characteristics, power)
    if as_json:
        typer.echo(json.dumps(clean(table), ensure_ascii=False))
        return
    for line in (*power_lines(table), *planning.characteristics_lines(table)):
        typer.echo(line)
    for line in planning.size_lines(table["find_size"]) if find_size else ():
        typer.echo(line)
    typer.echo(str(folder / CHARACTERISTICS))


@app.command()
def report(folder: Folder, as_json: AsJson = False) -> None:
    """One self-contained page from what simulate, conduct, analyse and evaluate wrote."""
    import polars as pl

    from causalgia.analysis.tables import read_tables
    from causalgia.cli import output

    plan, outcomes = _read(folder)
    tables = read_tables(folder / TRIAL)
    if (folder / TRUTH).is_file():
        tables["truth"] = pl.read_parquet(folder / TRUTH)
    characteristics = output.read_dataset(folder / CHARACTERISTICS)
    sizes = tuple(int(size) for size in characteristics["size"].values)
    plan = plan.with_options(None, int(characteristics.attrs["replicates"]), sizes)
    answers = _analyse(plan, tables)
    with output.part(folder, ".report") as made:
        made.mkdir()
        table = _write_report(made, plan, outcomes, tables, answers, characteristics)
    for name in (RESULTS, REPORT):
        (folder / ".report" / name).replace(folder / name)
    (folder / ".report").rmdir()
    _made(folder / REPORT, as_json, table)


@app.command()
def check(document: Annotated[Path, typer.Argument(help="A document (.toml) or a model page (.ant).")]) -> None:
    """Check a document or a model page: keys, units, sources, and that its numbers fit the model."""
    from causalgia.trial.check import check as find

    for line in find(document):
        typer.echo(line)
    typer.echo(str(document))


def _protocol(name: str, subjects: int | None, replicates: int | None, sizes: str | None) -> Protocol:
    from causalgia.documents import Protocol

    return _with_options(Protocol.load(name), subjects, replicates, sizes)


def _with_options(plan: Protocol, subjects: int | None, replicates: int | None, sizes: str | None) -> Protocol:
    if subjects is None and replicates is None and sizes is None:
        return plan
    return plan.with_options(subjects, replicates, _numbers(sizes) if sizes is not None else None)


def _numbers(text: str) -> tuple[int, ...]:
    from causalgia.documents import InputError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError("--sizes", repr(text), "whole numbers such as 20,40,60", "Correct it.") from None


def _read(folder: Path) -> tuple[Protocol, xr.Dataset]:
    from causalgia.cli import output

    plan = output.protocol_beside(folder)
    outcomes = output.read_dataset(folder / OUTCOMES)
    return plan.with_options(int(outcomes.sizes["subject"]), None, None), outcomes


def _simulate(plan: Protocol, seed: int, quiet: bool, prior: bool) -> xr.Dataset:
    from causalgia.cli.progress import stage
    from causalgia.population.dosing import check_drugs
    from causalgia.population.outcomes import simulate as take
    from causalgia.population.patients import Population

    population = Population.load(plan.population.condition, prior=prior)
    check_drugs(population, plan)
    subjects, worlds = plan.population.subjects, len(population.condition.worlds)
    with stage("Enrolling virtual patients", "people", None, quiet) as progress:
        patients = population.sample(subjects, seed=seed, progress=progress)
    with stage("Simulating regimens", "subjects", subjects * worlds * len(plan.order), quiet) as progress:
        return take(plan, patients, progress=progress)


def _simulate_events(model: Path, events: Path, as_json: bool, out: Path | None, force: bool) -> None:
    from causalgia.cli import output
    from causalgia.documents import InputError
    from causalgia.engine import load_kernel, read_event_table, trajectories

    if model.suffix != ".ant" or not model.is_file():
        found = f"no file {model}" if model.suffix == ".ant" else repr(str(model))
        raise InputError("--events", found, "a model page (.ant) for the table", "Name the page.")
    path = output.target(out, model.stem, force, {TRAJECTORIES})
    kernel = load_kernel(model)
    table = trajectories(kernel, {}, read_event_table(events, kernel.states))
    with output.whole(path) as folder:
        table.write_csv(folder / TRAJECTORIES)
    failed = int((table["STATUS"] != 0).sum())
    if failed and not as_json:
        typer.echo(f"{failed} of {len(table)} observations belong to subjects that could not be solved (STATUS).")
    _made(path / TRAJECTORIES, as_json, {"rows": len(table), "failed": failed})


def _conduct(
    plan: Protocol, outcomes: xr.Dataset, seed: int, size: int | None, world: str | None
) -> dict[str, pl.DataFrame]:
    from causalgia.trial.conduct import conduct as reveal

    return reveal(plan, outcomes, seed=seed, size=size, world=world)


def _analyse(plan: Protocol, tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    from causalgia.analysis.answers import analyse as answer

    return answer(plan, tables)


def _evaluate(plan: Protocol, outcomes: xr.Dataset, seed: int, quiet: bool) -> xr.Dataset:
    from causalgia.cli.progress import stage
    from causalgia.design.evaluate import evaluate as judge
    from causalgia.population.worlds import CONTROLS

    worlds = outcomes.sizes["world"] + len(CONTROLS)
    total = plan.evaluation.replicates * len(plan.evaluation.sizes) * worlds * (len(plan.order) - 1)
    with stage("Evaluating replicate trials", "trials", total, quiet) as progress:
        return judge(plan, outcomes, seed=seed, progress=progress)


def _write_report(
    folder: Path, plan: Protocol, outcomes: Any, tables: Any, answers: Any, characteristics: Any
) -> dict[str, Any]:
    from causalgia.cli import output
    from causalgia.report.page import page
    from causalgia.report.results import results

    table = results(plan, outcomes, tables, answers, characteristics)
    output.write_json(folder / RESULTS, table)
    (folder / REPORT).write_text(page(table), encoding="utf-8")
    return table


def _made(path: Path, as_json: bool, table: Any) -> None:
    """The last line of output: the path of what was made."""
    if as_json:
        typer.echo(json.dumps(table, ensure_ascii=False))
    else:
        sys.stdout.flush()
        typer.echo(str(path))


app.command()(export)
app.command()(redcap)
app.add_typer(evidence_app, name="evidence")
app.command("app")(app_command)
app.command()(patient)
add_verbs(app)
