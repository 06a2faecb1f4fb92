"""The two endpoints over the visits, by arm: what a figure of a trial's course shows."""

from __future__ import annotations

import numpy as np
import polars as pl

from causalgia.analysis.answer import Row, censored, numbers, reported
from causalgia.analysis.censored import censored_mean
from causalgia.analysis.change import mean_change
from causalgia.analysis.tables import Subjects
from causalgia.documents import Instrument, Protocol


def courses(protocol: Protocol, tables: dict[str, pl.DataFrame]) -> list[Row]:
    """Mean of each endpoint's measure at every visit of its schedule, by arm: endpoint, title, unit, arm, week, n,
    estimate, lower, upper, reason; geometric means, censored at the limit, on a log scale.

    These are the readings as they are: not adjusted, and of those who were still there.
    """
    rows: list[Row] = []
    subjects, arms = Subjects.read(protocol, tables), dict(tables["adsl"].select("USUBJID", "ARM").iter_rows())
    arm = np.array([arms[name] for name in subjects.ids])
    for key in ("lowered", "relieved"):
        endpoint = getattr(protocol.endpoints, key)
        instrument = Instrument.load(endpoint.measure)
        for week in protocol.schedule[endpoint.measure].at:
            values = subjects.reading(tables, endpoint, week)
            for name in reported(protocol):
                here = values[(arm == name) & np.isfinite(values[:, 0])]
                label = {"endpoint": key, "title": instrument.title, "unit": instrument.unit, "arm": name, "week": week}
                rows.append({**label, "n": len(here), **_mean(here, instrument.scale == "log")})
    return rows


def _mean(values: np.ndarray, log: bool) -> Row:
    empty = dict.fromkeys(("estimate", "lower", "upper"))
    if not len(values):
        return {**empty, "reason": "nobody was read"}
    if log:
        found = numbers(censored_mean(*censored(values)).mean, ratio=True)
    else:
        found = numbers(mean_change(values[:, 0], observed=np.ones(len(values), bool)))
    return {**empty, "reason": "", **{key: value for key, value in found.items() if key != "p"}}
