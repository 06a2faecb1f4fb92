"""From long tables to arrays in the order of randomisation, with every problem named by table, row and column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from causalgia.analysis.checks import COLUMNS, FIRST_ROW
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.protocol import Endpoint

Tables = dict[str, pl.DataFrame]
VisitValues = dict[str, tuple[float, float]]


def read_tables(folder: Path) -> Tables:
    """The tables adsl, adlb, adqs and adae of a trial from CSV files in `folder`.

    Raises InputError for a missing file or column, and for a value that is not of its column's type.
    """
    return {name: _read_csv(folder / f"{name}.csv", columns) for name, columns in COLUMNS.items()}


def _read_csv(path: Path, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(str(path), "no such file", f"a CSV table with columns {', '.join(columns)}", "Add the file.")
    try:
        raw = pl.read_csv(path, infer_schema=False).fill_null("")
    except pl.exceptions.PolarsError as error:
        raise InputError(str(path), f"a file that is not CSV ({error})", "a CSV table", "Mend the file.") from None
    missing = [name for name in columns if name not in raw.columns]
    if missing:
        raise InputError(
            f"{path}, column {missing[0]}", "nothing", f"the columns {', '.join(columns)}", "Add the column."
        )
    return raw.with_columns(_column(path, raw, name, kind) for name, kind in columns.items())


def _column(path: Path, raw: pl.DataFrame, name: str, kind: type[pl.DataType]) -> pl.Series:
    text = raw[name].str.strip_chars()
    if kind == pl.String:
        return text
    empty = (text == "") | (text == ".")
    value = text.cast(pl.Float64, strict=False)
    right = value.is_finite() & (value == value.round() if kind == pl.Int64 else True)
    wrong = ~right.fill_null(False) & ~empty
    if wrong.any():
        row = int(wrong.arg_true()[0])
        where = f"{path}, row {row + FIRST_ROW}, column {name}"
        expected = f"a {'whole ' if kind == pl.Int64 else ''}number, or nothing where it is missing"
        raise InputError(where, repr(raw[name][row]), expected, "Correct the value.")
    return value.cast(kind, strict=False)


@dataclass(frozen=True)
class Subjects:
    """Randomised subjects in the order of randomisation, arrays (n,)."""

    ids: list[str]
    treated: np.ndarray
    stratum: np.ndarray
    low: np.ndarray
    dummies: np.ndarray

    @property
    def n(self) -> int:
        """How many were randomised."""
        return len(self.ids)

    @classmethod
    def read(cls, protocol: Protocol, tables: Tables) -> Subjects:
        """The randomised of adsl, which `check_tables` has passed."""
        adsl = tables["adsl"].filter(pl.col("ITTFL") == "Y").sort("RANDNO")
        ids = adsl["USUBJID"].to_list()
        low = (adsl["GATEFL"] == "N").to_numpy()
        long = adsl["DURDAYS"].to_numpy() > protocol.allocation.cut_days
        factors = {"duration": long, "gate": low}
        strata = protocol.allocation.strata
        stratum = sum(
            (weight * factors[name] for name, weight in (("duration", 1), ("gate", 2)) if name in strata),
            np.zeros(len(ids), int),
        )
        dummies = (
            np.stack([factors[name].astype(float) for name in strata], axis=-1) if strata else np.empty((len(ids), 0))
        )
        return cls(ids, (adsl["ARM"] == protocol.treatment).to_numpy(), stratum.astype(np.int8), low, dummies)

    def members(self, treated: bool) -> set[str]:
        """Numbers of the subjects of one arm."""
        return {name for name, in_arm in zip(self.ids, self.treated == treated, strict=True) if in_arm}

    def endpoint(
        self, protocol: Protocol, tables: Tables, endpoint: Endpoint
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An endpoint's (value, below) (n, 2), its covariates (n, p): baseline, then factors, and who has both (n,)."""
        instrument = Instrument.load(endpoint.measure)
        now = visit_values(tables, instrument, endpoint.side, endpoint.at)
        before = visit_values(tables, instrument, endpoint.side, endpoint.baseline)
        missing = (np.nan, 0.0)
        y = np.array([now.get(name, missing) for name in self.ids])
        baseline = np.array([before.get(name, missing)[0] for name in self.ids])
        seen = np.isfinite(y[:, 0]) & np.isfinite(baseline)
        return y, np.column_stack([baseline, self.dummies]), seen


def visit_values(tables: Tables, instrument: Instrument, side: str, week: float) -> VisitValues:
    """The mean of each subject's replicates on the analysis scale and whether it is only an upper limit.

    A replicate below the limit counts as its row's LLOQ, so that the mean bounds what would have been read.
    """
    table = tables["adlb" if instrument.scale == "log" else "adqs"]
    rows = table.filter(
        (pl.col("PARAMCD") == instrument.paramcd) & (pl.col("AVISITN") == week) & (pl.col("SIDE") == side.upper())
    )
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
