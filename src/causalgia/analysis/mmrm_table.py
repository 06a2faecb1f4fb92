"""The mixed model of one data set: a table of rows in, a table of visits out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from causalgia.analysis.estimates import STATUS_TEXT, Array, Status
from causalgia.analysis.mmrm import FALLBACK, mmrm_by_visit
from causalgia.documents.errors import InputError


def mmrm_table(
    rows: pl.DataFrame,
    *,
    treatment: str,
    control: str,
    factors: Sequence[str] = (),
    structure: str | Sequence[str] = FALLBACK,
    inference: str = "kenward-roger-linear",
    alpha: float = 0.05,
) -> pl.DataFrame:
    """`mmrm_by_visit` of one data set by REML: a row per visit with its effect, model and what went wrong.

    `rows` holds USUBJID, ARM, AVISITN, AVAL, BASE and the factors (text is taken as levels, numbers as they are), a row
    per subject and visit; a row whose AVAL is missing counts as a missed visit. Raises `InputError` with the column and
    the subject for what is absent, repeated, or differs between the rows of one subject.
    """
    subjects = _check_rows(rows, (treatment, control), factors)
    visits = sorted(rows["AVISITN"].unique().to_list())
    row = {name: i for i, name in enumerate(subjects["USUBJID"])}
    y = np.full((len(row), len(visits)), np.nan)
    where = [row[name] for name in rows["USUBJID"]], [visits.index(visit) for visit in rows["AVISITN"]]
    y[where] = rows["AVAL"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    treated = (subjects["ARM"] == treatment).to_numpy()
    dummies = [column for name in factors for column in _coded(subjects[name])]
    fit = mmrm_by_visit(
        y,
        treated,
        subjects["BASE"].cast(pl.Float64).to_numpy(),
        np.stack(dummies, axis=1) if dummies else None,
        visit=range(len(visits)),
        structure=structure,
        inference=inference,
        alpha=alpha,
    )
    seen = np.isfinite(y)
    return pl.DataFrame(
        {
            "AVISITN": visits,
            "n_treatment": seen[treated].sum(axis=0),
            "n_control": seen[~treated].sum(axis=0),
            **{name: getattr(fit, name) for name in ("estimate", "se", "df", "p", "lower", "upper")},
            "structure": [str(fit.structure)] * len(visits),
            "inference": [str(fit.inference)] * len(visits),
            "reason": ["" if code == Status.OK else STATUS_TEXT[Status(code)] for code in fit.status.tolist()],
        }
    )


def _check_rows(rows: pl.DataFrame, arms: tuple[str, str], factors: Sequence[str]) -> pl.DataFrame:
    """One row per subject (USUBJID, ARM, BASE, factors)."""
    fixed = ["ARM", "BASE", *factors]
    for name in ("USUBJID", "AVISITN", "AVAL", *fixed):
        if name not in rows.columns:
            raise InputError(f"column {name}", "nothing", f"one of {', '.join(rows.columns)}", "Add or rename it.")
        if name != "AVAL" and rows[name].null_count():
            at = rows.filter(pl.col(name).is_null())["USUBJID"][0]
            raise InputError(
                f"column {name}, subject {at}", "nothing", "a value in every row", "Fill it or leave it out."
            )
    if not len(rows) or not rows["ARM"].is_in(arms).all():
        found = ", ".join(map(repr, rows["ARM"].unique().sort().to_list())) or "no rows"
        raise InputError("column ARM", found, f"only {arms[0]!r} and {arms[1]!r}", "Leave out the other arms.")
    twice = rows.filter(rows.select("USUBJID", "AVISITN").is_duplicated())
    if len(twice):
        at = f"column AVISITN, subject {twice['USUBJID'][0]}"
        raise InputError(at, f"visit {twice['AVISITN'][0]} twice", "each visit once", "Keep one row.")
    subjects = rows.select("USUBJID", *fixed).unique(maintain_order=True)
    again = subjects.filter(subjects["USUBJID"].is_duplicated())
    if len(again):
        at = f"columns {', '.join(fixed)}, subject {again['USUBJID'][0]}"
        raise InputError(at, "values that differ", "one value a subject", "Correct the rows.")
    return subjects


def _coded(values: pl.Series) -> list[Array]:
    """A factor as columns: numbers as they are, text as one indicator a level but the first."""
    if values.dtype.is_numeric():
        return [values.cast(pl.Float64).to_numpy()]
    return [(values == level).to_numpy().astype(float) for level in values.unique().sort().to_list()[1:]]
