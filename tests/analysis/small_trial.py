"""A trial of four randomised subjects and one screen failure as tables, small enough to be read."""

from __future__ import annotations

import polars as pl

SUBJECTS = ("S-01", "S-02", "S-03", "S-04", "S-05")
ARMS = ("infliximab", "placebo", "placebo", "infliximab", "Screen Failure")
LOQ = 2.0


def tables() -> dict[str, pl.DataFrame]:
    """Tables as `gated-infliximab` has them; S-02 is below the limit at week 6."""
    return {"adsl": _adsl(), "adlb": _adlb(), "adqs": _adqs(), "adae": _adae(), "adex": _adex(), "adice": _adice()}


def _adsl() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "STUDYID": ["GATED"] * 5,
            "USUBJID": SUBJECTS,
            "SITEID": ["01", "01", "02", "02", "02"],
            "ARM": ARMS,
            "AGE": [44, 51, 38, 60, 47],
            "SEX": ["F", "M", "F", "F", "M"],
            "DURDAYS": [80, 100, 60, 120, 90],
            "GATEFL": ["Y", "Y", "N", "Y", "N"],
            "ITTFL": ["Y", "Y", "Y", "Y", "N"],
            "RANDNO": pl.Series([1, 2, 3, 4, None], dtype=pl.Int64),
        }
    )


def _adlb() -> pl.DataFrame:
    rows = []
    for i, subject in enumerate(SUBJECTS):
        for week in (-2, 0, 6) if i < 4 else (-2,):
            for side in ("AFFECTED", "CONTRALATERAL"):
                for replicate in (1, 2):
                    below = (subject, week, side) == ("S-02", 6, "AFFECTED")
                    value = None if below else 40.0 + 3 * i + week + replicate / 8 - (30 if side[0] == "C" else 0)
                    rows.append((subject, "TNFBL", value, "pg/mL", float(week), _day(week), side, below, replicate))
    names = ("USUBJID", "PARAMCD", "AVAL", "AVALU", "AVISITN", "ADY", "SIDE", "BLQFL", "REPNO")
    table = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    flag = pl.when("BLQFL").then(pl.lit("Y")).otherwise(pl.lit("N"))
    text = pl.when("BLQFL").then(pl.lit("<2")).otherwise(pl.col("AVAL").cast(pl.String))
    return table.with_columns(BLQFL=flag, AVALC=text, LLOQ=pl.lit(LOQ))


def _adqs() -> pl.DataFrame:
    rows = [
        (subject, "NRS24AVG", 6.5 - week / 4 + i / 8, "score", float(week), _day(week), "PATIENT", 1)
        for i, subject in enumerate(SUBJECTS[:4])
        for week in (0, 6, 12)
    ]
    names = ("USUBJID", "PARAMCD", "AVAL", "AVALU", "AVISITN", "ADY", "SIDE", "REPNO")
    return pl.DataFrame(rows, schema=names, orient="row")


def _adae() -> pl.DataFrame:
    return pl.DataFrame({"USUBJID": ["S-01", "S-03"], "AETERM": ["headache", "infection"], "AESTDY": [2, 30]})


def _adex() -> pl.DataFrame:
    rows = [(subject, arm, day) for subject, arm in zip(SUBJECTS[:4], ARMS, strict=False) for day in (1, 15, 43)]
    return pl.DataFrame(rows, schema=("USUBJID", "EXTRT", "EXSTDY"), orient="row")


def _adice() -> pl.DataFrame:
    return pl.DataFrame({"USUBJID": ["S-03"], "ICE": ["RESCUE ANALGESIC"], "ICEDY": [20]})


def _day(week: float) -> int:
    return int(week * 7) + (week >= 0)
