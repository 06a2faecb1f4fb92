"""Tables in and out, and from long tables to arrays in the order of randomisation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from causalgia.analysis.checks import absent_columns, find_problems, raise_problems, typed
from causalgia.analysis.formats import FORMATS, read_table, write_table
from causalgia.analysis.problems import Problem, Sheet, TablesError
from causalgia.analysis.variables import REQUIRED, TITLES
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.protocol import Endpoint

Tables = dict[str, pl.DataFrame]
VisitValues = dict[str, tuple[float, float]]


def read_tables(folder: Path, protocol: Protocol | None = None) -> Tables:
    """The tables of a trial in `folder`: adsl, adlb, adqs and adae, and where they are there adex and adice.

    A table is a file adsl.csv, .parquet, .json (Dataset-JSON 1.1) or .xpt (SAS transport), in letters of either case.
    With `protocol` they are checked as `analyse` does, with rows as in the files. Raises TablesError that lists every
    missing file and column and every value that is not of its column's type or cannot be as the protocol has it.
    """
    if not folder.is_dir():
        raise InputError(str(folder), "no such directory", "a directory of tables", "Check the path.")
    sheets: dict[str, Sheet] = {}
    problems: list[Problem] = []
    for name in TITLES:
        try:
            path = _file_of(folder, name)
            if path is not None:
                sheets[name], found = typed(read_table(path))
                problems += found + absent_columns(name, sheets[name])
            elif name in REQUIRED:
                expected = f"the table {name} as {', '.join(form.suffix for form in FORMATS.values())}"
                problems.append(
                    Problem(str(folder / f"{name}.csv"), None, "", "no such file", expected, "Add the file.")
                )
        except TablesError as error:
            problems += error.problems
        except InputError as error:
            problems.append(Problem(error.where, None, "", error.found, error.expected, error.remedy))
    if protocol is not None:
        problems += find_problems(protocol, sheets)
    raise_problems(problems)
    return {name: sheet.table for name, sheet in sheets.items()}


def write_tables(folder: Path, tables: Tables, form: str = "csv", *, created: datetime | None = None) -> list[Path]:
    """Writes the tables of a trial into `folder`, which is made, in a format of `FORMATS`, and gives the paths.

    The truth of a simulated trial stays behind. `created` is what Dataset-JSON and SAS transport record as their time
    of creation, 1970 if not given. Raises InputError for what the format cannot hold exactly.
    """
    folder.mkdir(exist_ok=True)
    names = [name for name in tables if name != "truth"]
    return [write_table(folder, name, tables[name], form, created=created) for name in names]


def _file_of(folder: Path, name: str) -> Path | None:
    """The one file of a table, or None; InputError where there are two."""
    suffixes = {form.suffix for form in FORMATS.values()}
    paths = [path for path in sorted(folder.iterdir()) if path.stem.lower() == name and path.suffix.lower() in suffixes]
    if len(paths) > 1:
        found = " and ".join(path.name for path in paths)
        raise InputError(str(folder / name), found, "one file of the table", "Remove the others.")
    return paths[0] if paths else None


@dataclass(frozen=True)
class Subjects:
    """Randomised subjects in the order of randomisation, arrays (n,)."""

    ids: list[str]
    treated: np.ndarray
    stratum: np.ndarray
    low: np.ndarray
    duration: np.ndarray
    dummies: np.ndarray

    @property
    def n(self) -> int:
        """How many were randomised."""
        return len(self.ids)

    @classmethod
    def read(cls, protocol: Protocol, tables: Tables) -> Subjects:
        """Those of adsl who were randomised to the protocol's arms; `check_tables` has passed the table."""
        here = (pl.col("ITTFL") == "Y") & pl.col("ARM").is_in(list(protocol.arms))
        adsl = tables["adsl"].filter(here).sort("RANDNO")
        ids = adsl["USUBJID"].to_list()
        low = (adsl["GATEFL"] == "N").to_numpy()
        duration = adsl["DURDAYS"].to_numpy()
        long = duration > protocol.allocation.cut_days
        factors = {"duration": long, "gate": low}
        strata = protocol.allocation.strata
        stratum = sum(
            (weight * factors[name] for name, weight in (("duration", 1), ("gate", 2)) if name in strata),
            np.zeros(len(ids), int),
        )
        dummies = (
            np.stack([factors[name].astype(float) for name in strata], axis=-1) if strata else np.empty((len(ids), 0))
        )
        treated = (adsl["ARM"] == protocol.treatment).to_numpy()
        return cls(ids, treated, stratum.astype(np.int8), low, duration, dummies)

    def members(self, treated: bool) -> set[str]:
        """Numbers of the subjects of one arm."""
        return {name for name, in_arm in zip(self.ids, self.treated == treated, strict=True) if in_arm}

    def endpoint(
        self, protocol: Protocol, tables: Tables, endpoint: Endpoint
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An endpoint's (value, below) (n, 2), its covariates (n, p): baseline, then factors, and who has both (n,).

        In a crossover the value is half the difference of the two periods.
        """
        y, before = self.reading(tables, endpoint, endpoint.at), self.reading(tables, endpoint, endpoint.baseline)
        if endpoint.second is not None:
            y = (y - self.reading(tables, endpoint, endpoint.second)) / 2
        seen = np.isfinite(y[:, 0]) & np.isfinite(before[:, 0])
        return y, np.column_stack([before[:, 0], self.dummies]), seen

    def reading(self, tables: Tables, endpoint: Endpoint, week: float) -> np.ndarray:
        """An endpoint's measure at one visit: (value, below) (n, 2), NaN where it is missing."""
        values = visit_values(tables, Instrument.load(endpoint.measure), endpoint.side, week)
        return np.array([values.get(name, (np.nan, 0.0)) for name in self.ids]).reshape(-1, 2)


def visit_values(tables: Tables, instrument: Instrument, side: str, week: float) -> VisitValues:
    """The mean of each subject's replicates on the analysis scale and whether it is only an upper limit.

    A replicate below the limit counts as its row's LLOQ, so that the mean bounds what would have been read.
    """
    table = tables["adlb" if instrument.scale == "log" else "adqs"]
    rows = table.filter(
        (pl.col("PARAMCD") == instrument.paramcd) & (pl.col("AVISITN") == week) & (pl.col("SIDE") == side.upper())
    )
    if "DTYPE" in rows.columns:  # what somebody imputed or derived is no reading
        rows = rows.filter(pl.col("DTYPE").fill_null("") == "")
    if instrument.scale == "linear":
        return {name: (value, 0.0) for name, value in _means(rows.drop_nulls("AVAL"), pl.col("AVAL"))}
    below = pl.col("BLQFL") == "Y"
    limited = rows.with_columns(VALUE=pl.when(below).then(pl.col("LLOQ")).otherwise(pl.col("AVAL"))).drop_nulls("VALUE")
    means = dict(_means(limited, pl.col("VALUE").log()))
    censored = dict(_means(limited, below.any().cast(pl.Float64)))
    return {name: (value, censored[name]) for name, value in means.items()}


def _means(rows: pl.DataFrame, value: pl.Expr) -> list[tuple[str, float]]:
    grouped = rows.group_by("USUBJID", maintain_order=True).agg(value.mean().alias("MEAN"))
    return list(zip(grouped["USUBJID"].to_list(), grouped["MEAN"].to_list(), strict=True))
