"""The verbs of calibration: calibrate, score, sensitivity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from causalgia.inference.calibration.calibrate import Fitted, Settings
    from causalgia.inference.calibration.check import Recovery

NAME = "crps"
DRAWS, PAGE, CHECKS = f"{NAME}.csv", f"{NAME}.toml", "checks.json"
FIGURES = ("prior-to-posterior.svg", "checks.svg", "ranks.svg")
SCORES, POWER = "scores.json", f"{NAME}-power.toml"
SYNTHETIC = 100
COMPARED = "gated-infliximab"

AsJson = Annotated[bool, typer.Option("--json", help="Print results as JSON, and no progress.")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="Directory to make; else it is under results/.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the directory given with -o.")]
Workers = Annotated[int, typer.Option(help="Processes that simulate.", min=1)]


def add_verbs(app: typer.Typer) -> None:
    """Adds the verbs of calibration to an app."""
    for verb in (calibrate, score, sensitivity):
        app.command()(verb)


def calibrate(
    targets: Annotated[
        str, typer.Argument(help="Targets of the library, or a path to a document of them.")
    ] = "targets",
    quick: Annotated[bool, typer.Option("--quick", help="A rough calibration in two minutes.")] = False,
    workers: Workers = 2,
    as_json: AsJson = False,
    out: Out = None,
    force: Force = False,
) -> None:
    """Learn typical values from published summaries. What was simulated is kept: interrupted, it resumes."""
    from causalgia.cli import output
    from causalgia.cli.progress import stage
    from causalgia.documents.targets import Targets
    from causalgia.inference.calibration import calibrate as fitting
    from causalgia.inference.calibration.check import checks, narrowed, recover
    from causalgia.inference.calibration.files import draws_csv, page, weights

    document = Targets.load(targets)
    settings = fitting.QUICK if quick else fitting.Settings()
    path = output.target(out, "calibration", force, {DRAWS, PAGE, CHECKS, *FIGURES})
    fits: dict[str, Fitted] = {}
    with stage("Simulating", "points", settings.points, as_json) as progress:
        for world in fitting.WORLDS:
            fits[world] = fitting.fit_world(document, world, settings, workers=workers, progress=progress)
    synthetic = 8 if quick else SYNTHETIC
    recovered: dict[str, Recovery] = {}
    with stage("Recovering synthetic data", "worlds", len(fits), as_json) as progress:
        for world, fit in fits.items():
            recovered[world] = recover(fit, settings.prior, synthetic, settings.seed)
            progress(1)
    content = draws_csv(fits)
    rows = [row for fit in fits.values() for row in checks(fit)]
    table: dict[str, Any] = {
        "weights": weights(fits),
        "targets": rows,
        "narrowed": {world: narrowed(fit) for world, fit in fits.items()},
        "rhat": {world: fit.sampled.rhat for world, fit in fits.items()},
        "recovery": {world: _recovery(found) for world, found in recovered.items()},
    }
    with output.whole(path) as folder:
        (folder / DRAWS).write_bytes(content)
        (folder / PAGE).write_text(page(fits, document, settings, content, recovered), encoding="utf-8")
        output.write_json(folder / CHECKS, table)
        _figures(folder, fits, rows, recovered)
    if as_json:
        typer.echo(json.dumps(table, ensure_ascii=False))
        return
    _tell(fits, rows, settings, recovered)
    typer.echo(str(path / PAGE))


def _recovery(found: Recovery) -> dict[str, Any]:
    coverage = {f"{level:g}": float(share.mean()) for level, share in found.coverage.items()}
    return {"data sets": len(found.ranks), "uniform p": found.uniform, "coverage": coverage}


def _figures(folder: Path, fits: dict[str, Fitted], rows: list[dict[str, Any]], recovered: dict[str, Recovery]) -> None:
    from causalgia.report.calibrated import checks_figure, prior_to_posterior, ranks_figure

    figures = (prior_to_posterior(fits), checks_figure(rows), ranks_figure(recovered))
    for name, content in zip(FIGURES, figures, strict=True):
        (folder / name).write_bytes(content)


def _tell(
    fits: dict[str, Fitted], rows: list[dict[str, Any]], settings: Settings, recovered: dict[str, Recovery]
) -> None:
    from causalgia.inference.calibration.files import weights

    for world, share in weights(fits).items():
        found = recovered[world]
        typer.echo(
            f"{world}: posterior weight {share:.2f}, worst R-hat {fits[world].sampled.rhat:.2f}, effective "
            f"{fits[world].effective:.0f} of {len(fits[world].draws)} simulated draws, ranks of {len(found.ranks)} "
            f"synthetic data sets uniform with p {found.uniform:.2f}"
        )
    for row in rows:
        low, middle, high = row["posterior"]
        published = f"{row['published']:.3g}" if row["published"] is not None else "within {:.3g} to {:.3g}".format(
            *row["interval"]
        )  # fmt: skip
        predicted = f"{middle:.3g} ({low:.3g} to {high:.3g})"
        typer.echo(f"{row['world']:>9}  {row['target']}: published {published}, predicted {predicted}")


def score(
    subjects: Annotated[int, typer.Option(help="Virtual patients of each trial.", min=400)] = 3000,
    replicates: Annotated[int, typer.Option(help="Replicates of each trial.", min=100)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of every random stream.", min=0)] = 1,
    as_json: AsJson = False,
    out: Out = None,
    force: Force = False,
) -> None:
    """Score the calibrated worlds on trials that were not fitted, and write the page that says how well they do."""
    import tomllib

    from causalgia.cli import output
    from causalgia.cli.progress import stage
    from causalgia.inference.calibration.files import toml
    from causalgia.inference.calibration.scoring import RESULTS, power
    from causalgia.inference.calibration.scoring import score as judge
    from causalgia.population.posterior import FOLDER, Posterior
    from causalgia.report.calibrated import scores_figure
    from causalgia.report.how_well import FIGURE, page
    from causalgia.report.how_well import NAME as WRITTEN

    posterior = Posterior.load(NAME)
    facts = tomllib.loads((FOLDER / PAGE).read_text(encoding="utf-8"))
    path = output.target(out, "scores", force, {WRITTEN, FIGURE, SCORES, POWER})
    found = {}
    with stage("Scoring", "results", 2 * len(RESULTS), as_json) as progress:
        for prior in (False, True):
            found[prior] = judge(subjects=subjects, replicates=replicates, seed=seed, prior=prior, progress=progress)
    with stage("Comparing power", "evaluations", 2, as_json) as progress:
        changed: dict[str, dict[str, dict[str, float]]] = {COMPARED: {}}
        for key in ("prior", "posterior"):
            changed[COMPARED][key] = power(COMPARED, subjects, replicates, seed, prior=key == "prior")
            progress(1)
    text = page(found[False], found[True], posterior, facts, changed)
    table = {"sha256": posterior.digest, "scores": [_row(each) for each in found[False]],
             "prior": [_row(each) for each in found[True]], "power": changed}  # fmt: skip
    with output.whole(path) as folder:
        (folder / WRITTEN).write_text(text, encoding="utf-8")
        (folder / FIGURE).write_bytes(scores_figure(found[False]))
        output.write_json(folder / SCORES, table)
        (folder / POWER).write_text(
            f"# Made by causalgia score: power at the largest size.\n{toml({'sha256': posterior.digest} | changed)}"
        )
    if as_json:
        typer.echo(json.dumps(table, ensure_ascii=False))
        return
    for each in found[False]:
        typer.echo(f"{each.result.protocol}: {each.result.found}: score {each.gain:+.2f} against no effect")
    typer.echo(str(path / WRITTEN))


def _row(each: Any) -> dict[str, Any]:
    return {
        "trial": each.result.protocol,
        "found": each.result.found,
        "source": each.result.source,
        "predicted": each.predicted,
        "interval": each.interval,
        "log_predicted": each.log_predicted,
        "log_null": each.log_null,
        "gain": each.gain,
    }


def sensitivity(
    protocol: Annotated[str, typer.Argument(help="A protocol of the library, or a path to one (.toml).")],
    people: Annotated[int, typer.Option(help="Patients simulated at each draw of the posterior.", min=50)] = 200,
    seed: Annotated[int, typer.Option(help="Seed of every random stream.", min=0)] = 1,
    as_json: AsJson = False,
) -> None:
    """Which uncertain numbers drive a trial's benefit and power."""
    from causalgia.cli.progress import stage
    from causalgia.documents import Protocol
    from causalgia.inference.calibration.sensitivity import sensitivity as find

    with stage("Simulating draws", "draws", None, as_json) as progress:
        found = find(Protocol.load(protocol), people=people, seed=seed, progress=progress)
    if as_json:
        typer.echo(json.dumps({"shares": found.shares, "ranges": found.ranges,
                               "benefit": found.benefit.tolist(), "power": found.power.tolist()}))  # fmt: skip
        return
    for title, shares in found.shares.items():
        values = getattr(found, title)
        typer.echo(
            f"{title}: mean {values.mean():.2f}, SD over draws {values.std():.2f}; first-order shares of its variance"
        )
        for name, (share, width) in sorted(shares.items(), key=lambda item: -item[1][0])[:10]:
            typer.echo(f"  {name:32s} {share:5.2f} (± {width:.2f})")
    typer.echo("Not identifiable from what is published; the decision carries their whole range:")
    for name, (low, high) in found.ranges.items():
        typer.echo(f"  {name:32s} {low:.3g} to {high:.3g}")
