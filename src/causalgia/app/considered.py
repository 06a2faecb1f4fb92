"""What is said of a patient or a series, as the parts of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htmltools import HTML, Tag, TagChild, TagList, tags

from causalgia.app.parts import kept, sentences, table
from causalgia.inference.patients.words import chance, num
from causalgia.report.patient import drawings
from causalgia.report.words import fixed, number

FORECASTS = (
    "Forecasts by week, median and 90 % band: grey without a drug; blue with the therapy planned or found best, or "
    "else with the best of those that bind TNF."
)


def shown(result: dict[str, Any]) -> TagChild:
    """All of it: the short of it first, then before, weighed and after; a series with what it can and cannot show."""
    return _series(result) if "series" in result else _one(result)


def _series(result: dict[str, Any]) -> TagChild:
    series = result["series"]
    parts: list[TagChild] = [
        tags.h3("In short"),
        tags.p(f"{result['name']}: {series['n']} patients.", class_="note"),
        sentences(series["sentences"]),
        tags.h3("Such a series can show"),
        _list(series["can"]),
        tags.h3("It cannot show"),
        _list(series["cannot"]),
    ]
    for key, title in (("tnf", "Local TNF"), ("pain", "Pain")):
        row = series[key]
        if row is None:
            continue
        rows = [
            [
                one["name"],
                number(one["change"]),
                number(one["shrunk"]),
                f"{number(one['low'])} to {number(one['high'])}",
                _chance(one["real"]),
            ]
            for one in row["patients"]
        ]
        head = ("patient", row["scale"], "shrunk towards the others", "90 % limits", "really fell")
        parts.append(table(head, rows, title=f"{title}, last against first"))
    parts.append(tags.h3("Each patient"))
    for one in result["patients"]:
        summary = tags.summary(one["patient"]["title"])
        parts.append(tags.details(summary, sentences(one["summary"])))
    return TagList(*parts, tags.h3("Assumptions"), _list(result["assumptions"]))


def _list(texts: list[str]) -> Tag:
    return tags.ul(*(tags.li(kept(text)) for text in texts))


def _one(result: dict[str, Any]) -> TagChild:
    told = set(result["summary"])
    parts: list[TagChild] = [
        tags.h3("In short"),
        sentences(result["summary"]),
        _people(result["people"]),
        tags.h3("Before: is local TNF raised?"),
        _before(result["before"], told),
    ]
    if result["weigh"] is not None:
        parts += [tags.h3("Weighed: what would each therapy do?"), _weighed(result["weigh"], told, drawings(result))]
    if result["after"] is not None:
        parts += [tags.h3("After: what did it do?"), _after(result["after"], told)]
    return TagList(*parts, tags.h3("Assumptions"), _list(result["assumptions"]))


def _people(people: dict[str, Any]) -> TagChild:
    rows = [[row["name"], row["title"], chance(row["prior"]), chance(row["posterior"])] for row in people["worlds"]]
    return TagList(
        tags.p(
            f"{people['simulated']:,} virtual patients, worth {num(people['ess'])} like this one; {people['label']}.",
            class_="note",
        ),
        table(("world", "account", "before", "given this patient"), rows, title="Accounts of the biology"),
    )


def _before(before: dict[str, Any], told: set[str]) -> TagChild:
    unit, gate, controls = before["unit"], before["gate"], before["controls"]
    rows: list[list[TagChild]] = []
    if before["readings"] is not None:
        rows.append(["by the readings alone", _interval(before["readings"], "median"), ""])
    rows.append(["with what is known of such patients", _interval(before["level"], "median"), ""])
    rows.append(["above the gate", f"{num(gate['limit'])} {gate['unit']}", chance(gate["probability"])])
    if controls is not None and controls["limit"] is not None:
        limit = f"{num(controls['limit'])} {unit}"
        rows.append(["above nearly all people without the disease", limit, chance(controls["probability"])])
    title = f"Local TNF, {unit}: median (90 % interval), and probabilities"
    return TagList(
        sentences(text for text in before["sentences"] if text not in told),
        table(("", "value", "probability"), rows, title=title),
    )


def _weighed(weigh: dict[str, Any], told: set[str], drawn: list[str]) -> TagChild:
    rows = []
    for row in weigh["therapies"]:
        net, sure = row["net"], f" ({chance(row['sure'])})" if row["sure"] is not None else ""
        rows.append(
            [
                row["title"],
                row["verdict"] + sure,
                chance(row["relief"]),
                fixed(row["benefit"], 1),
                fixed(row["harm"], 1),
                f"{fixed(net['mean'], 1)} ({fixed(net['low'], 1)} to {fixed(net['high'], 1)})",
                chance(net["positive"]),
            ]
        )
    head = (
        "therapy",
        "verdict (probability)",
        f"relief by week {weigh['week']:g}",
        "benefit",
        "harm",
        "net (90 %)",
        "net above 0",
    )
    weights = [[row["key"], f"{row['value']:g} {row['unit']}", row["source"]] for row in weigh["weights"]]
    return TagList(
        sentences(text for text in weigh["sentences"] if text not in told),
        table(head, rows, title="Therapies; benefit, harm and net in points of pain"),
        tags.div(*(tags.div(HTML(drawing)) for drawing in drawn), class_="panels small"),
        tags.p(FORECASTS, class_="note"),
        *(_reasons(row) for row in weigh["therapies"]),
        tags.details(
            tags.summary("Weights of benefit and harm"),
            table(("", "weight", "from"), weights, title="They are judgements"),
        ),
    )


def _reasons(row: dict[str, Any]) -> Tag:
    told = [
        f"{'Against' if reason['against'] else 'For'}: {reason['text']} ({reason['source']})"
        for reason in row["reasons"]
    ]
    return tags.details(tags.summary(f"{row['title']}: reasons"), _list(told))


def _after(after: dict[str, Any], told: set[str]) -> TagChild:
    rows: list[list[TagChild]] = []
    for key, title in (("tnf", "Local TNF"), ("pain", "Pain")):
        row = after[key]
        if row is not None:
            rows.append(
                [
                    f"{title}{', ' + row['unit'] if row['unit'] else ''}",
                    num(row["before"]),
                    num(row["after"]),
                    f"{_interval(row, 'change')}{' times' if row['scale'] == 'ratio' else ''}",
                    "yes" if row["beyond"] else "no",
                    _chance(row["real"]),
                    _chance(row["caused"]),
                ]
            )
    head = ("", "before", "after", "change (90 % interval)", "beyond error", "really fell", "because of the drug")
    hypotheses = [[row["title"], chance(row["prior"]), chance(row["posterior"])] for row in after["hypotheses"]]
    return TagList(
        sentences(text for text in after["sentences"] if text not in told),
        table(head, rows, title="Before and after") if rows else None,
        table(("explanation", "before", "given the course"), hypotheses, title="What explains the course"),
    )


def _interval(row: Mapping[str, Any], middle: str) -> str:
    return f"{num(row[middle])} ({num(row['low'])} to {num(row['high'])})"


def _chance(probability: float | None) -> str:
    return "–" if probability is None else chance(probability)
