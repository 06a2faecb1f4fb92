"""From long tables to arrays in the order of randomisation, with every problem named by table, row and column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.protocol import Endpoint

Tables = dict[str, pl.DataFrame]
VisitValues = dict[str, tuple[float, float]]

# Columns that the analysis reads, and their types.
COLUMNS: dict[str, dict[str, type[pl.DataType]]] = {
    "adsl": {
        "USUBJID": pl.String,
        "ARM": pl.String,
        "ITTFL": pl.String,
        "RANDNO": pl.Int64,
        "DURDAYS": pl.Int64,
        "GATEFL": pl.String,
    },
    "adlb": {
        "USUBJID": pl.String,
        "PARAMCD": pl.String,
        "AVAL": pl.Float64,
        "AVISITN": pl.Float64,
        "SIDE": pl.String,
        "LLOQ": pl.Float64,
        "BLQFL": pl.String,
    },
    "adqs": {"USUBJID": pl.String, "PARAMCD": pl.String, "AVAL": pl.Float64, "AVISITN": pl.Float64, "SIDE": pl.String},
    "adae": {"USUBJID": pl.String, "AETERM": pl.String},
}


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
    wrong = (value.is_null() | value.is_nan()) & ~empty
    if wrong.any():
        row = int(wrong.arg_true()[0])
        where = f"{path}, row {row + 2}, column {name}"
        raise InputError(where, repr(raw[name][row]), "a number, or nothing where it is missing", "Correct the value.")
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
        """The randomised of adsl; InputError for an arm that the protocol does not have, or a subject listed twice."""
        adsl = tables["adsl"].filter(pl.col("ITTFL") == "Y").sort("RANDNO")
        ids = adsl["USUBJID"].to_list()
        if len(set(ids)) != len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise InputError("adsl, column USUBJID", f"{twice!r} twice", "each subject once", "Remove a row.")
        unknown = sorted(set(adsl["ARM"].to_list()) - set(protocol.arms))
        if unknown:
            raise InputError(
                "adsl, column ARM", repr(unknown[0]), f"one of {', '.join(protocol.arms)}", "Correct the arm."
            )
        if not ids:
            raise InputError("adsl, column ITTFL", "nobody with Y", "the randomised subjects", "Mark them.")
        low = (adsl["GATEFL"] == "N").to_numpy()
        long = adsl["DURDAYS"].to_numpy() > _cut(protocol)
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
    _check_positive(limited, instrument)
    means = dict(_means(limited, pl.col("VALUE").log()))
    censored = dict(_means(limited, below.any().cast(pl.Float64)))
    return {name: (value, censored[name]) for name, value in means.items()}


def _means(rows: pl.DataFrame, value: pl.Expr) -> list[tuple[str, float]]:
    grouped = rows.group_by("USUBJID", maintain_order=True).agg(value.mean().alias("MEAN"))
    return list(zip(grouped["USUBJID"].to_list(), grouped["MEAN"].to_list(), strict=True))


def _check_positive(rows: pl.DataFrame, instrument: Instrument) -> None:
    wrong = rows.filter(pl.col("VALUE") <= 0)
    if len(wrong):
        where = f"adlb, subject {wrong['USUBJID'][0]}, {instrument.paramcd}, column AVAL"
        raise InputError(
            where, f"{wrong['VALUE'][0]:g}", "a concentration above 0", "Report values below the limit with BLQFL = Y."
        )


def _cut(protocol: Protocol) -> float:
    from causalgia.documents.units import factor

    cut = protocol.allocation.duration_cut
    return np.inf if cut is None or cut.value is None else cut.value * factor(cut.unit, "day")
