"""A patient document as the fields of a form, and the fields as a document: text both ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from causalgia.documents.errors import InputError
from causalgia.documents.patient import Fluid, Patient, Visit

MOST_VISITS = 6
NONE = "none"
FLUIDS = {
    "tnf": ("blister-tnf", "affected"),
    "tnf_other": ("blister-tnf", "contralateral"),
    "il6": ("blister-il6", "affected"),
    "il6_other": ("blister-il6", "contralateral"),
}
# Fields of the person, in the order of the form: label, and what it may hold.
PERSON = {
    "age": ("Age, years", "52"),
    "weight": ("Weight, kg", "68"),
    "albumin": ("Albumin, g/L", "42"),
    "injured": ("Date of the injury", "2025-01-07, or leave it and give a duration"),
    "duration": ("Duration at the first visit", "10 week"),
    "duration_sd": ("Its uncertainty (log SD)", "0.15"),
    "limit": ("Limit of the TNF assay, pg/mL", "2"),
    "comorbidities": ("Comorbidities", "commas between; none where none was found"),
    "current": ("Current therapy", "gabapentin 900 mg a day, physiotherapy"),
    "planned": ("Planned therapy", "infliximab-iv"),
}
# Scores that have a field of their own, by instrument; any other stands in the field of the rest.
SCORES = ("nrs", "temperature", "volume", "motor")
VISIT = {
    "when": ("When", "date, or day from the first visit"),
    "nrs": ("Pain, NRS 0 to 10", "6.8"),
    "temperature": ("Temperature, affected minus other, °C", "1.9"),
    "volume": ("Swelling, % over the other side", "11"),
    "motor": ("Motor function, % of normal", "48"),
    "tnf": ("Blister TNF, affected, pg/mL", "96, 78 or <2"),
    "tnf_other": ("Blister TNF, contralateral, pg/mL", "9.1, 12"),
    "il6": ("Blister IL-6, affected, pg/mL", "74, 61"),
    "il6_other": ("Blister IL-6, contralateral, pg/mL", "5.2, 7"),
    "levels": ("Drug levels", "infliximab 31 mg/L"),
    "antibodies": ("Antibodies against a drug", "infliximab no"),
    "scores": ("Other scores", "css 11, eq-vas 50"),
}
LISTS = {
    "doses": ("Doses given, one a line", "2025-03-20 infliximab intravenous 5 mg/kg"),
    "events": ("Adverse events, one a line", "2025-04-03 infusion reaction, serious"),
}
CHOICES = ("condition", "sex")
NAMES = (
    *CHOICES,
    *PERSON,
    *(f"{name}{k}" for k in range(1, MOST_VISITS + 1) for name in VISIT),
    *LISTS,
)


def fields(patient: Patient) -> dict[str, str]:
    """The fields that hold a patient; empty ones are left out. The form has no title, notes or names of assays."""
    about, limits = patient.about, [f.lloq for visit in patient.visits for f in visit.fluids if f.lloq is not None]
    entry = patient.duration
    found: dict[str, str | None] = {
        "condition": patient.condition,
        "sex": about.sex,
        **{name: _number(getattr(about, name)) for name in ("age", "weight", "albumin")},
        "injured": str(patient.injured) if patient.injured else None,
        "duration": f"{_number(entry.value)} {entry.unit}" if entry is not None else None,
        "duration_sd": _number(entry.log_sd) if entry is not None and isinstance(entry.log_sd, float) else None,
        "limit": _number(limits[0]) if limits else None,
        "comorbidities": None if patient.comorbidities is None else ", ".join(patient.comorbidities) or NONE,
        "current": ", ".join(patient.current),
        "planned": ", ".join(patient.planned),
        "doses": "\n".join(f"{_when(dose)} {dose.drug} {dose.route} {dose.dose}" for dose in patient.doses),
        "events": "\n".join(
            f"{_when(event)} {event.term}{', serious' if event.serious else ''}" for event in patient.adverse_events
        ),
    }
    for k, visit in enumerate(patient.visits[:MOST_VISITS], start=1):
        found |= {f"{name}{k}": text for name, text in _visit_fields(visit).items()}
    return {name: text for name, text in found.items() if text}


def same(one: Patient, other: Patient) -> bool:
    """Whether two patients differ in nothing but name, title, where the data are from, notes and names of assays."""
    about = {"path", "digest", "name", "title", "source", "synthetic", "notes"}
    assays = {"__all__": {"fluids": {"__all__": {"assay"}}}}

    def rest(patient: Patient) -> dict[str, Any]:
        left = patient.model_dump(exclude={**dict.fromkeys(about, True), "duration": {"source"}, "visits": assays})
        for visit in left["visits"]:
            visit["fluids"] = sorted(visit["fluids"], key=lambda fluid: (fluid["measure"], fluid["side"]))
        return left

    return rest(one) == rest(other)


def _visit_fields(visit: Visit) -> dict[str, str]:
    scores = {name: score if isinstance(score, float) else score.value for name, score in visit.scores.items()}
    samples: dict[str, Fluid] = {f"{fluid.measure} {fluid.side}": fluid for fluid in visit.fluids}
    read = {
        name: ", ".join(value if isinstance(value, str) else _number(value) for value in samples[" ".join(key)].values)
        for name, key in FLUIDS.items()
        if " ".join(key) in samples
    }
    return {
        "when": _when(visit),
        **{name: _number(scores[name]) for name in SCORES if name in scores},
        "scores": ", ".join(f"{name} {_number(value)}" for name, value in scores.items() if name not in SCORES),
        **read,
        "levels": ", ".join(
            f"{row.drug} {row.value if isinstance(row.value, str) else _number(row.value)} {row.unit}"
            for row in visit.levels
        ),
        "antibodies": ", ".join(f"{name} {'yes' if found else 'no'}" for name, found in visit.antibodies.items()),
    }


def document(given: Mapping[str, str]) -> str:
    """The patient document of the fields, as TOML; InputError names the field that cannot be read.

    Whether its values can be is for the document's own check.
    """
    given = {name: text.strip() for name, text in given.items() if text and text.strip()}
    lines = [
        'kind = "patient"',
        'name = "patient"',
        'title = "The patient of the form"',
        'source = "the form of the app"',
    ]
    lines.append(f"condition = {_quoted(given.get('condition', ''))}")
    if "injured" in given:
        lines.append(f"injured = {_date('injured', given['injured'])}")
    if "duration" in given:
        value, _, unit = given["duration"].partition(" ")
        spread = f"log_sd = {_float('duration_sd', given['duration_sd'])}, " if "duration_sd" in given else ""
        parts = f"value = {_float('duration', value)}, unit = {_quoted(unit.strip())}, {spread}"
        lines.append(f'duration = {{ {parts}source = "the form of the app" }}')
    if "comorbidities" in given:
        words = [] if given["comorbidities"].lower() == NONE else _parts(given["comorbidities"])
        lines.append(f"comorbidities = {_array(words)}")
    lines += [f"{name} = {_array(_parts(given[name]))}" for name in ("current", "planned") if name in given]
    about = [f"{name} = {_float(name, given[name])}" for name in ("age", "weight", "albumin") if name in given]
    about += [f"sex = {_quoted(given['sex'])}"] if "sex" in given else []
    if about:
        lines += ["", "[about]", *about]
    for k in range(1, MOST_VISITS + 1):
        visit = {name: given[f"{name}{k}"] for name in VISIT if f"{name}{k}" in given}
        if visit:
            lines += ["", *_visit(k, visit, given.get("limit", ""))]
    for text in given.get("doses", "").splitlines():
        lines += ["", *_dose(text)] if text.strip() else []
    for text in given.get("events", "").splitlines():
        lines += ["", *_event(text)] if text.strip() else []
    return "\n".join(lines) + "\n"


def _visit(k: int, given: Mapping[str, str], limit: str) -> list[str]:
    where = f"visit {k}"
    lines = ["[[visits]]", _time(f"{where}, when", given.get("when", ""))]
    scores = [(_quoted(name), _float(f"{where}, {VISIT[name][0]}", given[name])) for name in SCORES if name in given]
    scores += [_pair(f"{where}, other scores", part) for part in _parts(given.get("scores", ""))]
    twice = {name for name, _ in scores if [other for other, _ in scores].count(name) > 1}
    if twice:
        raise InputError(f"{where}, other scores", f"{min(twice)} twice", "each score once", "Remove one.")
    lines += [f"scores = {{ {', '.join(f'{name} = {value}' for name, value in scores)} }}"] if scores else []
    levels = []
    for part in _parts(given.get("levels", "")):
        drug, value, unit = _words(f"{where}, levels", part, 3, "a drug, a number and a unit")
        number = _reading(f"{where}, levels", value)
        levels.append(f"{{ drug = {_quoted(drug)}, value = {number}, unit = {_quoted(unit)} }}")
    lines += [f"levels = [{', '.join(levels)}]"] if levels else []
    found = []
    for part in _parts(given.get("antibodies", "")):
        drug, answer = _words(f"{where}, antibodies", part, 2, "a drug, and yes or no")
        if answer not in ("yes", "no"):
            raise InputError(f"{where}, antibodies", repr(answer), "yes or no", "Correct it.")
        found.append(f"{_quoted(drug)} = {'true' if answer == 'yes' else 'false'}")
    lines += [f"antibodies = {{ {', '.join(found)} }}"] if found else []
    for name, (measure, side) in FLUIDS.items():
        if name not in given:
            continue
        values = [_reading(f"{where}, {VISIT[name][0]}", part) for part in _parts(given[name])]
        lines += ["", "[[visits.fluids]]", f'measure = "{measure}"', f'side = "{side}"']
        lines += [f"values = [{', '.join(values)}]", 'unit = "pg/mL"']
        lines += [f"lloq = {_float('limit', limit)}"] if limit and measure == "blister-tnf" else []
    return lines


def _dose(text: str) -> list[str]:
    when, drug, route, dose = _words("doses", text, 4, "a time, a drug, a route and a dose")
    named = [f"{key} = {_quoted(value)}" for key, value in (("drug", drug), ("route", route), ("dose", dose))]
    return ["[[doses]]", _time("doses", when), *named]


def _event(text: str) -> list[str]:
    when, term = _words("adverse events", text, 2, "a time and a term")
    name, comma, serious = term.rpartition(", ")
    if comma and serious == "serious":
        return ["[[adverse_events]]", _time("adverse events", when), f"term = {_quoted(name)}", "serious = true"]
    return ["[[adverse_events]]", _time("adverse events", when), f"term = {_quoted(term)}"]


def _words(where: str, text: str, count: int, expected: str) -> list[str]:
    words = text.split(maxsplit=count - 1)
    if len(words) != count:
        raise InputError(where, repr(text.strip()), expected, "Correct it.")
    return words


def _pair(where: str, text: str) -> tuple[str, str]:
    name, value = _words(where, text, 2, "a name and a number, such as nrs 6.8")
    return _quoted(name), _float(where, value)


def _reading(where: str, text: str) -> str:
    return _quoted(text) if text.startswith("<") else _float(where, text)


def _time(where: str, text: str) -> str:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return f"date = {_date(where, text)}"
    return f"day = {_float(where, text)}"


def _date(where: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InputError(where, repr(text), "a date such as 2025-03-18", "Correct it.") from None


def _float(where: str, text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        raise InputError(where, repr(text) if text else "nothing", "a number", "Correct it.") from None
    return repr(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _when(entry: Any) -> str:
    return str(entry.date) if entry.date is not None else _number(entry.day)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "")


def _array(words: Iterable[str]) -> str:
    return f"[{', '.join(_quoted(word) for word in words)}]"
