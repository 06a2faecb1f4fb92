"""One patient as one page, and as lines for a terminal: from the dictionary of `inference.patients.consider`."""

from __future__ import annotations

import textwrap
from html import escape
from math import ceil, floor, log10
from pathlib import Path

from causalgia.report.words import Json, fixed, listed, number, percent

WIDTH = 100
LEGEND = (
    "Pain: mean change against no drug, in points. Relief: probability of at least {} points less pain than now. "
    "Benefit, harm and net: in points of pain, by the weights."
)
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
    environment.filters |= {
        "read_by_day": read_by_day,
        "number": number,
        "percent": percent,
        "fixed": fixed,
        "listed": listed,
        "person": person,
    }
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
    ill = "for a time unknown"
    if days is not None:
        ill = f"for {fixed(days / 7, 0)} weeks" if days < 180 else f"for {number(days / 365.25, 2)} years"
    body = listed([part for part in (patient["sex"] or "", years, weight) if part])
    had = patient["comorbidities"]
    other = "comorbidities not recorded" if had is None else f"comorbidities: {listed(had) or 'none'}"
    return f"{patient['condition_title']} {ill}" + (f"; {body}" if body else "") + f"; {other}"


def read_by_day(patient: Json) -> list[str]:
    """What was read and given, a sentence a day."""
    found: dict[float, list[str]] = {}
    for row in patient["readings"]:
        found.setdefault(row["day"], []).append(f"{row['short']} {row['text']} {row['unit']}".strip())
    for row in patient["doses"]:
        found.setdefault(row["day"], []).append(f"given: {row['text'][:1].lower()}{row['text'][1:]}")
    for row in patient["adverse_events"]:
        found.setdefault(row["day"], []).append(row["term"] + (" (serious)" if row["serious"] else ""))
    return [f"Day {day:g}: {'; '.join(texts)}" for day, texts in sorted(found.items())]


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
    said += [line for text in read_by_day(patient) for line in _listed([text])]
    said += (
        _wrapped([f"Not measured or not known: {', '.join(patient['unmeasured'])}"]) if patient["unmeasured"] else []
    )
    said += _wrapped(patient["notes"])
    raised = [text for text in table["before"]["sentences"] if text not in table["summary"]]
    said += ["", *_wrapped(table["summary"]), "", "Is local TNF raised?", *_listed(raised)]
    people = table["people"]
    of = f"{people['simulated']:,} virtual patients ({people['label']})"
    said += _listed([f"Effective sample size {number(people['ess'])} of {of}."])
    if table["weigh"] is not None:
        said += ["", f"Therapies, at week {number(table['weigh']['week'])}", *_therapies(table["weigh"])]
        said += _listed([LEGEND.format(number(table["weigh"]["points"]))])
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
        said += _lines(f"{mark:8} {reason['text']} [{reason['source']}]", "  ", " " * 11)
    return said


def _wrapped(sentences: list[str]) -> list[str]:
    return [line for text in sentences for line in _lines(text)]


def _listed(sentences: list[str]) -> list[str]:
    return [line for text in sentences for line in _lines(text, "  ", "    ")]


def _lines(text: str, first: str = "", then: str = "") -> list[str]:
    """Lines of a terminal; a per cent sign stays with its number."""
    kept = text.replace(" %", "\N{NO-BREAK SPACE}%")
    wrapped = textwrap.wrap(kept, WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped]


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


def _round_ends(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis, an even number of round steps apart, so that they and the middle are round."""
    size = 10.0 ** floor(log10(max(high - low, 1e-9) / 2))
    for step in (size, 2 * size, 5 * size, 10 * size):
        first = floor(low / step)
        last = max(ceil(high / step), first + 2)
        if last - first <= 7:
            break
    return step * first, step * (last + (last - first) % 2)


def _panel(
    title: str, unit: str, courses: list[tuple[list[Json], str]], log: bool, ends: tuple[float, float] | None
) -> str:
    """One panel: a band of 90 % and a median for each course, by week."""
    width, height, left, right, top, bottom = BOX
    values = [row[key] for rows, _ in courses for row in rows for key in ("low", "high")]
    low, high = ends or (min(values), max(values))
    if log:
        low, high = 10 ** floor(log10(max(low, 0.1))), 10 ** (floor(log10(max(high, 0.2))) + 1)
    elif ends is None:
        low, high = _round_ends(low, high)
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
