"""What harm was seen: subjects with each event, rates for the time they were watched, and whether a rule says stop."""

from __future__ import annotations

import numpy as np
import polars as pl

from causalgia.analysis.answer import Answer, Row, proportion, reported
from causalgia.analysis.safety import Stopping, exposure_rate, rule_of_three
from causalgia.analysis.tables import Subjects
from causalgia.documents import Protocol
from causalgia.documents.units import factor

Tables = dict[str, pl.DataFrame]
DAYS_A_YEAR = 365.25
METHOD = "Clopper-Pearson intervals of subjects, exact Poisson intervals of events a year watched"


def harm(protocol: Protocol, tables: Tables, subjects: Subjects) -> Answer:
    """Treatment-emergent adverse events of everybody randomised, by arm."""
    events, left_out = _emergent(tables["adae"], subjects.ids)
    arms = dict(tables["adsl"].select("USUBJID", "ARM").iter_rows())
    watched = dict(zip(subjects.ids, days_watched(protocol, tables, subjects.ids), strict=True))
    alpha, details = protocol.evaluation.alpha, []
    for term in sorted(events["AETERM"].unique().to_list()):
        of_term = events.filter(pl.col("AETERM") == term)["USUBJID"].to_list()
        for arm in reported(protocol):
            members = {name for name in subjects.ids if arms[name] == arm}
            count = sum(name in members for name in of_term)
            years = sum(watched[name] for name in members) / DAYS_A_YEAR
            row = proportion({"term": term, "arm": arm}, len(set(of_term) & members), len(members), alpha)
            details.append(row | _rate(count, years, alpha))
    facts, reading, guards = _serious(protocol, events, {name: arms[name] for name in subjects.ids}, alpha)
    if left_out:
        guards.append(f"{left_out} events that began before treatment (TRTEMFL = N) are left out.")
    text = "subjects with an event, by arm"
    more: Row = {"details": details, "facts": facts, "reading": reading, "guards": guards}
    return Answer("What harm was seen?", text, METHOD, subjects.n, **more)


def _emergent(adae: pl.DataFrame, ids: list[str]) -> tuple[pl.DataFrame, int]:
    """Events of the randomised that began under treatment, and how many of theirs did not."""
    events = adae.filter(pl.col("USUBJID").is_in(ids) & (pl.col("AETERM") != ""))
    if "TRTEMFL" not in events.columns:
        return events, 0
    emergent = events.filter(pl.col("TRTEMFL").fill_null("") != "N")
    return emergent, len(events) - len(emergent)


def _rate(events: int, years: float, alpha: float) -> Row:
    if years <= 0:
        return {"occurrences": events, "years": 0.0, "rate": None, "rate_lower": None, "rate_upper": None}
    rate, lower, upper = (float(part) for part in exposure_rate(events, years, alpha))
    return {"occurrences": events, "years": years, "rate": rate, "rate_lower": lower, "rate_upper": upper}


def days_watched(protocol: Protocol, tables: Tables, ids: list[str]) -> list[float]:
    """Days from randomisation to the end of each subject's watch.

    EOSDT less RANDDT where both are given, else the day of withdrawal in adice, else, of one who discontinued, the last
    day with a reading, else the whole follow-up.
    """
    whole = protocol.follow_up * factor(protocol.unit, "day")
    adsl = tables["adsl"].unique("USUBJID", maintain_order=True)
    status = dict(adsl.select("USUBJID", "EOSSTT").iter_rows()) if "EOSSTT" in adsl.columns else {}
    dated: dict[str, float] = {}
    if {"RANDDT", "EOSDT"} <= set(adsl.columns):
        days = adsl.select("USUBJID", ((pl.col("EOSDT") - pl.col("RANDDT")).dt.total_days() + 1).alias("DAYS"))
        dated = {name: float(count) for name, count in days.drop_nulls().iter_rows()}
    gone: dict[str, float] = {}
    if "adice" in tables and {"ICE", "ICEDY"} <= set(tables["adice"].columns):
        left = tables["adice"].filter(pl.col("ICE").str.to_uppercase() == "WITHDRAWAL").drop_nulls("ICEDY")
        gone = {name: float(day) for name, day in left.group_by("USUBJID").agg(pl.col("ICEDY").min()).iter_rows()}
    last = _last_readings(tables)
    ends = []
    for name in ids:
        end = dated.get(name, gone.get(name))
        if end is None and str(status.get(name, "")).upper() == "DISCONTINUED":
            end = last.get(name)
        ends.append(max(whole if end is None else end, 1.0))
    return ends


def _last_readings(tables: Tables) -> dict[str, float]:
    parts = [
        tables[name].select("USUBJID", pl.col("ADY").cast(pl.Float64))
        for name in ("adlb", "adqs")
        if "ADY" in tables[name].columns
    ]
    if not parts:
        return {}
    days = pl.concat(parts).drop_nulls("ADY").group_by("USUBJID").agg(pl.col("ADY").max())
    return dict(days.iter_rows())


def _serious(
    protocol: Protocol, events: pl.DataFrame, arms: dict[str, str], alpha: float
) -> tuple[dict[str, float | None], str, list[str]]:
    """The Bayesian stopping rule for serious events on the drug, as facts and in words."""
    treated = {name for name, arm in arms.items() if arm != protocol.control}
    n, rule = len(treated), Stopping()
    if not n:
        return {}, "", []
    if "AESER" not in events.columns:
        return {"treated": n}, "", ["Column AESER is not given: the stopping rule for serious events was not checked."]
    serious = len(set(events.filter(pl.col("AESER") == "Y")["USUBJID"].to_list()) & treated)
    chance, least = float(rule.probability(serious, n)), int(rule.boundary(np.array([n]))[0])
    facts: dict[str, float | None] = {
        "treated": n,
        "serious": serious,
        "chance_above_limit": chance,
        "limit": rule.limit,
        "boundary": least,
    }
    stop = "STOP" if serious >= least else "go on"
    reading = (
        f"Serious events: {serious} of {n} on active treatment; P(rate > {rule.limit:g}) = {chance:.3f}, the rule "
        f"stops at {least} (P > {rule.certainty:g}): {stop}."
    )
    if serious == 0:
        upper = float(rule_of_three(n, alpha)[0])
        reading += f" None seen excludes no rate below {upper:.1%} (one-sided {1 - alpha:.0%})."
    return facts, reading, []
