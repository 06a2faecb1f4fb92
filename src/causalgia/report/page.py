"""One self-contained HTML page from the results dictionary: no script, no request to anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalgia.documents.writing import write_text
from causalgia.report.verdict import predicted
from causalgia.report.words import Scale, between, fixed, listed, number, p_value, percent, scale_of

if TYPE_CHECKING:
    import polars as pl
    import xarray as xr
    from jinja2 import Environment

    from causalgia.analysis.answers import Answer
    from causalgia.documents import Protocol

Json = dict[str, Any]
ANSWER_FIRST = 4
# Columns of the table of operating characteristics: key, heading, factor, decimals.
COLUMNS = (
    ("relieved", "power, clinical endpoint, %", 100, 1),
    ("lowered", "power, TNF, %", 100, 1),
    ("truth", "true difference", 1, 2),
    ("bias", "bias", 1, 2),
    ("coverage", "coverage, %", 100, 1),
    ("width", "width of interval", 1, 2),
    ("truth_lowered", "true diff., log TNF", 1, 2),
    ("bias_lowered", "bias, log TNF", 1, 3),
    ("coverage_lowered", "coverage, log TNF, %", 100, 1),
    ("spared", "effect found to differ, %", 100, 1),
    ("contrast_truth", "true difference of effects", 1, 2),
    ("contrast_width", "width of its interval", 1, 2),
)
# Those in the unit of the clinical endpoint.
POINTS = ("truth", "bias", "width", "contrast_truth", "contrast_width")
CONTRAST = ("spared", "contrast_truth", "contrast_width")


def page(table: Json) -> str:
    """The report as HTML text, from the dictionary of `report.results.results`; the same dictionary, the same bytes."""
    from causalgia.report.figures import drawings
    from causalgia.report.operating import gate_groups
    from causalgia.report.svg import looks

    template = _environment().get_template("page.html.j2")
    text = template.render(
        t=table,
        p=table["protocol"],
        structural=[world for world in table["worlds"] if world["structural"]],
        figures=drawings(table),
        looks=looks(table["worlds"]),
        answer_first=ANSWER_FIRST,
        columns=[column for column in COLUMNS if column[0] not in CONTRAST or table["protocol"]["compared"]],
        gates=gate_groups(table),
        assumed=_grouped(table["assumed"]),
        kinds={row["name"]: row["kind"] for row in table["documents"]},
        is_assumed={(row["where"], row["name"]) for row in table["assumed"]},
        cost=_cost(table),
        scale=scale_of(table["protocol"]["endpoints"]["relieved"]),
        points=POINTS,
        chances=[
            _chance(row, scale_of(table["protocol"]["endpoints"]["relieved"])) for row in table["protocol"]["published"]
        ],
        harm=_by_term(table["trial"]["answers"]["harm"]["details"]),
        responders=_by_term(table["trial"]["answers"]["relieved"]["details"]),
    )
    return text.strip() + "\n"


def report(
    path: str | Path,
    protocol: Protocol,
    outcomes: xr.Dataset,
    trial: dict[str, pl.DataFrame],
    answers: dict[str, Answer],
    characteristics: xr.Dataset,
) -> Path:
    """Writes the report of one run to `path`, whole or not at all, and returns the path."""
    from causalgia.report.results import results

    path = Path(path)
    write_text(path, page(results(protocol, outcomes, trial, answers, characteristics)))
    return path


def _environment() -> Environment:
    from markupsafe import Markup

    from causalgia.evidence.page import templates

    environment = templates(Path(__file__).parent)
    environment.filters |= {
        "number": number,
        "fixed": fixed,
        "percent": percent,
        "p_value": p_value,
        "listed": listed,
        "between": between,
        "signed_off": Markup,  # only for SVG that this package drew and escaped itself
        "cell": _cell,
    }
    return environment


def _cell(cell: Json, scale: float = 1, decimals: int = 1) -> str:
    """A value with its Monte Carlo standard error in brackets; a dash where there is none."""
    if cell["value"] is None:
        return fixed(None)
    error = "" if cell["se"] is None else f" ({fixed(scale * cell['se'], decimals)})"
    return fixed(scale * cell["value"], decimals) + error


def _grouped(rows: Iterable[Json]) -> dict[str, list[Json]]:
    """Assumed numbers by the document they stand in, in the order given."""
    groups: dict[str, list[Json]] = {}
    for row in rows:
        groups.setdefault(row["where"], []).append(row)
    return groups


def _cost(table: Json) -> list[Json]:
    """What each size asks for: ranges over the structural worlds."""
    worlds = [table["evaluation"]["worlds"][world["name"]]["sizes"] for world in table["worlds"] if world["structural"]]
    rows = []
    for size in map(str, table["protocol"]["sizes"]):
        cells = [sizes[size] for sizes in worlds]
        row = {"size": size}
        for name in ("screened", "months", "wounds"):
            errors = [cell[name]["se"] for cell in cells if cell[name]["se"] is not None]
            row[name] = between([cell[name]["value"] for cell in cells], lambda x: fixed(x, 0))
            row[f"{name}_se"] = fixed(max(errors, default=None), 1)
        rows.append(row)
    return rows


def _chance(row: Json, scale: Scale) -> str:
    """What the structural worlds said of a published result; a dash where they say nothing of it."""
    if row["endpoint"] is None:
        return f"{fixed(None)} not predicted"
    parts = []
    if row["chance"] is not None:
        shares = between([cell["value"] for cell in row["chance"].values()], lambda x: percent(x, 1))
        parts.append(shares + ("" if row["significant"] else " of no significant difference"))
    if row["estimate"] is not None or row["chance"] is None:
        parts.append(predicted(row, scale) or "a trial of this size gives no estimate")
    return "; ".join(parts)


def _by_term(details: Iterable[Json]) -> dict[str, dict[str, Json]]:
    """Proportions by term, then arm."""
    terms: dict[str, dict[str, Json]] = {}
    for row in details:
        terms.setdefault(row["term"], {})[row["arm"]] = row
    return terms
