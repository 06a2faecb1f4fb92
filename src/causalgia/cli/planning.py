"""What `evaluate` says: power beside false claims of mechanism and the gate, and the size that reaches a power."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from causalgia.documents import Protocol

Json = dict[str, Any]
CLAIMS = {
    "claim": "both TNF and symptoms significantly better, which is often taken for mechanism",
    "mediated": "relief and a part of it through TNF, both significant, of trials with 20 analysed in each arm",
}

TROUBLES = {
    "failed": "no estimate of the clinical endpoint",
    "fallback": "a simpler covariance than declared, to which the mixed model fell back",
}


def check(protocol: Protocol, power: float) -> None:
    """Raises InputError, before any work, for a power or sizes that --find-size cannot use."""
    from causalgia.documents import InputError

    if not 0 < power < 1:
        raise InputError("--power", f"{power:g}", "a share between 0 and 1", "Correct it.")
    if len(protocol.evaluation.sizes) < 2:
        expected = "two sizes at least, to look between"
        raise InputError("--find-size", f"{protocol.evaluation.sizes[0]} alone", expected, "Add --sizes.")


def characteristics_lines(table: Json) -> Iterator[str]:
    """The claims of mechanism by world and size, and what the gate does; `table` of `report.results.evaluation`."""
    worlds = table["worlds"]
    sizes = list(next(iter(worlds.values()))["sizes"])
    for name, meaning in CLAIMS.items():
        rows = {world: [row["sizes"][size][name] for size in sizes] for world, row in worlds.items()}
        if all(_absent(cell) for row in rows.values() for cell in row):
            continue
        yield f"Share of trials that would claim: {meaning}"
        yield "world".ljust(14) + "".join(size.rjust(15) for size in sizes)
        for world, row in rows.items():
            yield world.ljust(14) + "".join(_share(cell).rjust(15) for cell in row)
    for name, meaning in TROUBLES.items():
        rows = {world: [row["sizes"][size][name] for size in sizes] for world, row in worlds.items()}
        if any(not _absent(cell) and cell["value"] > 0 for row in rows.values() for cell in row):
            yield f"Share of trials with {meaning}"
            for world, row in rows.items():
                yield world.ljust(14) + "".join(_share(cell).rjust(15) for cell in row)
    gates = {world: row["gate"] for world, row in worlds.items() if row["gate"]}
    if gates:
        yield "Gate: share who pass; of them truly above; those who passed read lower at baseline, untreated, by"
        for world, gate in gates.items():
            fall = {"value": 1 - gate["regression"]["value"], "se": gate["regression"]["se"]}
            cells = (gate["passes"], gate["ppv"], fall)
            yield world.ljust(14) + "".join(_share(cell).rjust(15) for cell in cells)


def size_table(protocol: Protocol, characteristics: xr.Dataset, power: float) -> Json:
    """The size that reaches `power` in each world, and what a trial of the next size evaluated would claim and cost."""
    from causalgia.design.size import find_sizes, whole
    from causalgia.report.results import evaluation

    primary = characteristics.isel(comparison=0) if "comparison" in characteristics.dims else characteristics
    rows: Json = {}
    every = [int(size) for size in primary["size"].values]
    table = evaluation(characteristics)["worlds"]
    for world, found in find_sizes(primary, power).items():
        row: Json = {"size": None, "se": found.se, "bound": found.bound, "largest": every[-1], "smallest": every[0]}
        if found.value is not None:
            size = whole(protocol, found.value)
            near = next(n for n in every if n >= size)
            cells = table[world]["sizes"][str(near)]
            screened = {key: part * size / near for key, part in cells["screened"].items()}
            row |= {"size": size, "near": near, "screened": screened}
            row |= {key: cells[key] for key in ("claim", "mediated")}
        rows[world] = row | {"passes": table[world]["gate"].get("passes")}
    return {"power": power, "worlds": rows}


def size_lines(table: Json) -> Iterator[str]:
    """The sizes in words."""
    yield f"Total randomised that finds relief in {100 * table['power']:g} % of trials"
    for world, row in table["worlds"].items():
        if row["size"] is None:
            text = f"no size up to {row['largest']}" if row["bound"] == "above" else f"{row['smallest']} or fewer"
            yield f"{world.ljust(14)}{text}"
            continue
        text = f"{row['size']} (standard error {row['se']:.0f}), {row['screened']['value']:.0f} screened"
        if row["passes"]:
            text += f", {_share(row['passes'])} pass the gate"
        if not _absent(row["mediated"]):
            text += f"; {_share(row['mediated'])} would find a path through TNF at {row['near']}"
        yield f"{world.ljust(14)}{text}"


def _absent(cell: Json) -> bool:
    return cell["value"] is None or cell["value"] != cell["value"]


def _share(cell: Json) -> str:
    return "–" if _absent(cell) else f"{100 * cell['value']:.1f} % ({100 * cell['se']:.1f})"
