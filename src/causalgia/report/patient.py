"""One patient as one page, and as lines for a terminal: from the dictionary of `inference.patients.consider`."""

from __future__ import annotations

import textwrap
from html import escape
from pathlib import Path

from causalgia.report.words import Json, fixed, listed, number, percent

WIDTH = 100
# What is drawn: title, unit, whether on a logarithmic axis, its ends where they are fixed.
PANELS: dict[str, tuple[str, str, bool, tuple[float, float] | None]] = {
    "tnf": ("Local TNF", "pg/mL", True, None),
    "nrs": ("Pain", "0 to 10", False, (0.0, 10.0)),
    "temperature": ("Temperature difference", "°C", False, None),
    "volume": ("Swelling", "%", False, None),
    "motor": ("Motor function", "% of normal", False, (0.0, 100.0)),
}
NONE, DRUG = "#6b7280", "#0072B2"
BOX = (250.0, 150.0, 34.0, 10.0, 20.0, 22.0)  # width, height, and margins left, right, top, bottom


def page(table: Json) -> str:
    """The page as self-contained HTML text; the same dictionary gives the same bytes."""
    from causalgia.evidence.page import templates

    environment = templates(Path(__file__).parent)
    environment.filters |= {"number": number, "percent": percent, "fixed": fixed, "listed": listed, "person": person}
    several = "series" in table
    patients = table["patients"] if several else [table]
    rows = [{"t": row, "drawings": drawings(row), "shown": _shown(row)} for row in patients]
    text = environment.get_template("patient.html.j2").render(
        t=table,
        several=several,
        title=table["name"] if several else table["patient"]["title"],
        rows=rows,
    )
    return text.strip() + "\n"


def person(patient: Json) -> str:
    """Who it is, in one sentence."""
    years = "" if patient["age"] is None else f"{number(patient['age'])} years"
    weight = "" if patient["weight"] is None else f"{number(patient['weight'])} kg"
    days = patient["duration_days"]
    ill = "for a time unknown" if days is None else f"for {number(days / 7 if days < 180 else days / 365.25, 2)} "
    ill += "" if days is None else ("weeks" if days < 180 else "years")
    body = listed([part for part in (patient["sex"] or "", years, weight) if part])
    had = patient["comorbidities"]
    other = "comorbidities not recorded" if had is None else f"comorbidities: {listed(had) or 'none'}"
    return f"{patient['condition_title']} {ill}" + (f"; {body}" if body else "") + f"; {other}"


def lines(table: Json) -> list[str]:
    """What the terminal shows: the verdict first, then where it is from."""
    if "series" in table:
        said = [f"{table['name']}: {table['series']['n']} patients", ""]
        said += _wrapped(table["series"]["sentences"])
        said += ["", "Such a series can show", *_listed(table["series"]["can"])]
        said += ["It cannot show", *_listed(table["series"]["cannot"]), "", *_wrapped([table["device"]])]
        return said
    patient = table["patient"]
    said = [patient["title"] + (" (synthetic)" if patient["synthetic"] else ""), *_wrapped([person(patient)])]
    read = [
        f"{row['title']} {row['text']} {row['unit']}".strip() + f" (day {row['day']:g})" for row in patient["readings"]
    ]
    said += _wrapped([f"Read: {'; '.join(read)}"]) if read else []
    said += (
        _wrapped([f"Not measured or not known: {', '.join(patient['unmeasured'])}"]) if patient["unmeasured"] else []
    )
    said += _wrapped(patient["notes"])
    said += ["", *_wrapped(table["summary"]), "", "Is local TNF raised?", *_listed(table["before"]["sentences"])]
    people = table["people"]
    of = f"{people['simulated']:,} virtual patients ({people['label']})"
    said += _listed([f"Effective sample size {number(people['ess'])} of {of}."])
    if table["weigh"] is not None:
        said += ["", f"Therapies, at week {number(table['weigh']['week'])}", *_therapies(table["weigh"])]
        for row in _shown(table):
            said += ["", f"{row['title']}: {row['verdict']}", *_reasons(row)]
    said += ["", "What this rests on", *_listed(table["assumptions"]), "", table["device"]]
    return said


def _shown(table: Json) -> list[Json]:
    """Therapies whose reasons are told: those planned and the best, or else those that bind TNF."""
    if table["weigh"] is None:
        return []
    rows = table["weigh"]["therapies"]
    names = {*table["patient"]["planned"], table["weigh"]["choice"]} & {row["name"] for row in rows}
    names = names or {row["name"] for row in rows if row["group"] == "TNF inhibitor"}
    return [row for row in rows if row["name"] in names][:3]


def _therapies(weigh: Json) -> list[str]:
    head = f"  {'':40}{'pain':>7}{'relief':>8}{'benefit':>9}{'harm':>7}{'net':>7}{'net > 0':>9}  verdict"
    said = [head]
    for row in weigh["therapies"]:
        said.append(
            f"  {row['title'][:39]:40}{fixed(row['effect']['nrs']['mean'], 1):>7}{percent(row['relief']):>8}"
            f"{fixed(row['benefit'], 1):>9}{fixed(row['harm'], 1):>7}{fixed(row['net']['mean'], 1):>7}"
            f"{percent(row['net']['positive']):>9}  {row['verdict']}"
        )
    none = weigh["none"]
    said.append(f"  {'No drug':40}{'':7}{percent(none['relief']):>8}")
    return said


def _reasons(row: Json) -> list[str]:
    said = []
    for reason in row["reasons"]:
        mark = "against" if reason["against"] else "for"
        said += textwrap.wrap(
            f"{mark:8} {reason['text']} [{reason['source']}]",
            WIDTH,
            initial_indent="  ",
            subsequent_indent=" " * 11,
            break_on_hyphens=False,
        )
    return said


def _wrapped(sentences: list[str]) -> list[str]:
    return [line for text in sentences for line in textwrap.wrap(text, WIDTH, break_on_hyphens=False)]


def _listed(sentences: list[str]) -> list[str]:
    found = []
    for text in sentences:
        found += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
    return found


def drawings(table: Json) -> list[str]:
    """Forecasts as inline SVG: without a drug in grey, with the best that is told of in blue; none where refused."""
    if table["weigh"] is None:
        return []
    shown = _shown(table)
    tnf = table["before"]["measure"]
    found = []
    for name, (title, unit, log, ends) in PANELS.items():
        key = tnf if name == "tnf" else name
        courses = [(table["weigh"]["none"]["bands"][key], NONE)]
        courses += [(shown[0]["bands"][key], DRUG)] if shown else []
        found.append(_panel(title, unit, courses, log, ends))
    return found


def _panel(
    title: str, unit: str, courses: list[tuple[list[Json], str]], log: bool, ends: tuple[float, float] | None
) -> str:
    """One panel: a band of 90 % and a median for each course, by week."""
    from math import floor, log10

    width, height, left, right, top, bottom = BOX
    values = [row[key] for rows, _ in courses for row in rows for key in ("low", "high")]
    low, high = ends or (min(values), max(values))
    if log:
        low, high = 10 ** floor(log10(max(low, 0.1))), 10 ** (floor(log10(max(high, 0.2))) + 1)
    elif ends is None:
        low, high = low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9
    last = max(row["week"] for rows, _ in courses for row in rows)

    def x(week: float) -> float:
        return left + (width - left - right) * week / last

    def y(value: float) -> float:
        share = (value - low) / (high - low) if not log else log10(max(value, low) / low) / log10(high / low)
        return height - bottom - (height - top - bottom) * min(max(share, 0.0), 1.0)

    def path(points: list[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)

    body = [f'<text x="0" y="12" class="name">{escape(title)}, {escape(unit)}</text>']
    ticks = [10**k for k in range(int(log10(low)), int(log10(high)) + 1)] if log else [low, (low + high) / 2, high]
    for tick in ticks:
        body.append(f'<text x="{left - 4}" y="{y(tick) + 4:.1f}" class="tick">{number(float(tick), 2)}</text>')
        body.append(f'<path d="M{left} {y(tick):.1f}H{width - right}" class="rule"/>')
    for week in sorted({0.0, 12.0, last}):
        body.append(f'<text x="{x(week):.1f}" y="{height - 6}" class="week">{week:g}</text>')
    for rows, colour in courses:
        up, down = [(x(r["week"]), y(r["high"])) for r in rows], [(x(r["week"]), y(r["low"])) for r in rows]
        body.append(f'<path d="{path([*up, *reversed(down)])}Z" fill="{colour}" opacity=".17"/>')
        middle = path([(x(r["week"]), y(r["median"])) for r in rows])
        body.append(f'<path d="{middle}" fill="none" stroke="{colour}" stroke-width="2"/>')
    alt = f"{title} by week, median and 90 % band"
    return f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width:g} {height:g}">{"".join(body)}</svg>'
