"""Days and dates of a trial's tables that cannot be: out of order, before randomisation, or two that disagree."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from itertools import pairwise

import polars as pl

from causalgia.analysis.problems import Problem, Sheet
from causalgia.documents import Instrument, Protocol

# Dates of adsl in the order in which they happen.
MILESTONES = ("INJDT", "RFICDT", "RANDDT", "TRTSDT", "TRTEDT", "EOSDT")
# Of each table, pairs of a day and the date that says the same, beginning first.
DAYS = {
    "adlb": (("ADY", "ADT"),),
    "adqs": (("ADY", "ADT"),),
    "adae": (("AESTDY", "ASTDT"), ("AEENDY", "AENDT")),
    "adex": (("EXSTDY", "ASTDT"), ("EXENDY", "AENDT")),
    "adice": (("ICEDY", "ICEDT"),),
}
NO_ZERO = "a day: 1 is the day of randomisation, -1 the day before, and there is no 0"


def day_problems(protocol: Protocol, sheets: dict[str, Sheet]) -> Iterator[Problem]:
    """Every day and date of typed tables that cannot be; days count from randomisation, which is day 1."""
    if "adsl" in sheets:
        yield from _milestones(sheets["adsl"])
    for name, pairs in DAYS.items():
        if name not in sheets:
            continue
        sheet = sheets[name]
        for day, when in pairs:
            yield from sheet.wrong(day, pl.col(day) == 0, NO_ZERO)
            yield from _disagreeing(sheet, sheets.get("adsl"), day, when)
        for start, end in zip(*pairs, strict=True) if len(pairs) > 1 else ():
            yield from sheet.wrong(end, pl.col(end) < pl.col(start), f"a day on or after {start}")
    yield from _too_early(sheets)
    codes = [Instrument.load(measure).paramcd for measure in protocol.schedule]
    for name in ("adlb", "adqs"):
        if name in sheets:
            yield from _visits(sheets[name], codes)


def _milestones(adsl: Sheet) -> Iterator[Problem]:
    given = [name for name in MILESTONES if adsl.has(name)]
    for i, later in enumerate(given):
        for earlier in reversed(given[:i]):
            rule = pl.col(later) < pl.col(earlier)
            yield from adsl.wrong(later, rule, f"a date on or after {earlier}", "Correct one of the dates.")


def _disagreeing(sheet: Sheet, adsl: Sheet | None, day: str, when: str) -> Iterator[Problem]:
    """Days that are not their date, counted from randomisation or, as is usual too, from the first dose."""
    if adsl is None or not sheet.has("USUBJID", day, when) or not adsl.has("USUBJID"):
        return
    starts = [name for name in ("RANDDT", "TRTSDT") if adsl.has(name)]
    if not starts:
        return
    subjects = adsl.table.select("USUBJID", *(pl.col(name).alias(f"_{name}") for name in starts))
    joined = sheet.table.join(subjects.unique("USUBJID"), on="USUBJID", how="left", maintain_order="left")
    counts = [(pl.col(when) - pl.col(f"_{name}")).dt.total_days() for name in starts]
    right = [pl.col(day) == count + (count >= 0).cast(pl.Int64) for count in counts]
    known = pl.any_horizontal(pl.col(f"_{name}").is_not_null() for name in starts) & pl.col(when).is_not_null()
    wrong = sheet._replace(table=joined).indices(
        known & pl.col(day).is_not_null() & ~pl.any_horizontal(rule.fill_null(False) for rule in right)
    )
    for index in wrong:
        expected = f"the day of {when} ({sheet.cell(index, when)}) from {' or '.join(starts)}"
        yield sheet.at(index, day, expected, "Correct the day or the date.")


def _too_early(sheets: dict[str, Sheet]) -> Iterator[Problem]:
    """Doses, intercurrent events and adverse events of randomised subjects before randomisation."""
    adsl = sheets.get("adsl")
    if adsl is None or not adsl.has("USUBJID", "ITTFL"):
        return
    randomised = pl.col("USUBJID").is_in(adsl.table.filter(pl.col("ITTFL") == "Y")["USUBJID"].to_list())
    expected = "a day from 1 on, the day of randomisation"
    for name, column in (("adex", "EXSTDY"), ("adice", "ICEDY"), ("adae", "AESTDY")):
        if name not in sheets:
            continue
        early = randomised & (pl.col(column) < 0)
        remedy = "Correct the day, or remove the row."
        if name == "adae" and sheets[name].has("TRTEMFL"):
            early &= pl.col("TRTEMFL") != "N"
            remedy = "Correct the day, or set TRTEMFL to N."
        yield from sheets[name].wrong(column, early, expected, remedy)
    starts: dict[str, date] = {}
    if adsl.has("RANDDT"):
        dated = adsl.table.drop_nulls("RANDDT")
        starts = dict(zip(dated["USUBJID"].to_list(), dated["RANDDT"].to_list(), strict=True))
    doses = sheets.get("adex")
    if doses is not None and doses.has("USUBJID", "ASTDT") and starts:
        for i, (subject, day) in enumerate(doses.table.select("USUBJID", "ASTDT").iter_rows()):
            if day is not None and subject in starts and day < starts[subject]:
                yield doses.at(
                    i, "ASTDT", f"a date on or after RANDDT ({starts[subject]})", "Correct one of the dates."
                )


def _visits(sheet: Sheet, codes: list[str]) -> Iterator[Problem]:
    """Days on the wrong side of randomisation, and the fewest days of each subject that break the order of visits."""
    if not sheet.has("USUBJID", "PARAMCD", "AVISITN", "ADY"):
        return
    here = pl.col("PARAMCD").is_in(codes)
    week, day = pl.col("AVISITN"), pl.col("ADY")
    late, early = (week < 0) & (day > 1), (week > 0) & (day < 1)
    yield from sheet.wrong("ADY", here & late, "a day up to 1, since the visit is before randomisation")
    yield from sheet.wrong("ADY", here & early, "a day from 1 on, since the visit is after randomisation")
    days = sheet.table.filter(here & ~late & ~early & (day != 0)).select("USUBJID", "AVISITN", "ADY")
    days = days.drop_nulls().unique().sort("USUBJID", "AVISITN", "ADY")
    for (subject,), own in days.group_by("USUBJID", maintain_order=True):
        visits = list(own.select("AVISITN", "ADY").iter_rows())
        for i in _breaking([there for _, there in visits]):
            row = here & (pl.col("USUBJID") == subject) & (week == visits[i][0]) & (day == visits[i][1])
            yield from sheet.wrong("ADY", row, f"a day in the order of the visits (AVISITN = {visits[i][0]:g})")


def _breaking(days: list[int]) -> list[int]:
    """Places of the days outside a longest part that does not fall (Schensted's patience sorting)."""
    if all(a <= b for a, b in pairwise(days)):
        return []
    tops: list[int] = []  # smallest last day of a rising part of each length
    ends: list[int] = []  # its place
    before: list[int] = []
    for i, day in enumerate(days):
        length = bisect_right(tops, day)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1], ends[length : length + 1] = [day], [i]
    keep, place = set(), ends[-1]
    while place >= 0:
        keep.add(place)
        place = before[place]
    return [i for i in range(len(days)) if i not in keep]
