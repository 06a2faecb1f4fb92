"""Patient: one patient's document as a form, and what can be said before, between and after therapies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from htmltools import HTML, Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from causalgia.app.form import LISTS, MOST_VISITS, NAMES, PERSON, VISIT, document, fields
from causalgia.app.parts import Again, Query, chosen, command, given, grid, problem, progress, table, watch, whole
from causalgia.app.processes import Job, Workers
from causalgia.app.work import Considered
from causalgia.documents.errors import InputError
from causalgia.documents.patient import Patient
from causalgia.documents.reader import names
from causalgia.inference.patients.words import chance, num
from causalgia.report.patient import drawings
from causalgia.report.patient import page as render_page

FILE = "patient.toml"
PRIVATE = "The link holds what the form holds: keep it as you would keep the patient's notes. Save the document first."
DEFAULT = "synthetic-raised"


@module.ui
def patient_ui(query: Query) -> TagChild:
    """The page with the patient that its link holds."""
    examples = {"": "an empty form"} | {name: name for name in names("patient")}
    first = chosen(query, "example", examples, "" if _linked(query) else DEFAULT)
    form = TagList(
        ui.input_select("example", "Start from", examples, selected=first),
        ui.output_ui("fields"),
        ui.input_text_area(
            "weights",
            "Weights to change, one a line",
            query.get("weights", ""),
            placeholder="harm.malignancy=20",
            rows=2,
        ),
        ui.input_numeric("people", "Virtual patients at most", given(query, "people", 20_000), min=300, step=1),  # type: ignore[arg-type]
        ui.input_numeric("seed", "Seed", given(query, "seed", 1), min=0, step=1),  # type: ignore[arg-type]
        tags.div(
            ui.input_action_button("run", "Consider", class_="btn-primary", data_enter="form"),
            ui.input_action_button("cancel", "Cancel", disabled=True),
            ui.download_button("document", "Save the document"),
            class_="buttons",
        ),
    )
    results = TagList(ui.output_ui("bar"), ui.output_ui("failed"), ui.output_ui("result"))
    return TagList(
        tags.h2("Patient"),
        tags.p("Is local TNF raised, what would each therapy do, and what did the one given do?", class_="lead"),
        grid(form, results, wide=True),
    )


def _linked(query: Query) -> dict[str, str]:
    """The form's fields that a link holds."""
    return {name: query[name] for name in NAMES if name in query and query.get("page") == "patient"}


@module.server
def patient_server(input: Inputs, output: Outputs, session: Session, query: Query, workers: Workers) -> Any:
    """Considers the patient of the form; gives a calculation of what reproduces the page."""
    job: reactive.Value[Job | None] = reactive.Value(None)
    seen: reactive.Value[tuple] = reactive.Value(())
    refused: reactive.Value[InputError | None] = reactive.Value(None)
    linked, first = _linked(query), chosen(query, "example", names("patient"))

    @output(id="fields")
    @render.ui
    def _fields() -> TagChild:
        example = input.example()
        if linked and example == first:
            return _form(linked, session)
        return _form(fields(Patient.load(example)) if example else {}, session)

    def held() -> dict[str, str]:
        return {name: str(input[name]() or "") for name in NAMES if name in input}

    @reactive.effect
    @reactive.event(input.run)
    def _run() -> None:
        refused.set(None)
        try:
            numbers = (whole("seed", input.seed()), whole("people", input.people()))
            asked = Considered(document(held()), *numbers, _changes(input.weights()))
            asked.check()
        except InputError as error:
            refused.set(error)
            return
        _stop()
        job.set(workers.start("patient", asked))

    def _stop() -> None:
        with reactive.isolate():
            current = job.get()
        if current is not None:
            current.cancel()

    session.on_ended(_stop)

    @reactive.effect
    @reactive.event(input.cancel)
    def _cancel() -> None:
        _stop()

    @reactive.effect
    def _watch() -> None:
        watch(job, seen)

    @reactive.effect
    def _buttons() -> None:
        seen.get()
        current = job.get()
        ui.update_action_button("cancel", disabled=current is None or current.state not in ("waiting", "running"))

    @render.ui
    def bar() -> TagChild:
        current = job.get()
        if current is None:
            return tags.p("Fill in what is known; what is left out is taken as unknown.", class_="note")
        if current.state in ("waiting", "running"):
            reactive.invalidate_later(0.3)
            return progress(current)
        if current.state == "done":
            return tags.p(f"Done in {current.seconds:.1f} s.", class_="stage", role="status")
        return tags.p("Cancelled.", class_="stage", role="status") if current.state == "cancelled" else None

    @render.ui
    def failed() -> TagChild:
        seen.get()
        current = job.get()
        error = refused.get() or (current.error if current is not None else None)
        return None if error is None else problem(error)

    @render.ui
    def result() -> TagChild:
        seen.get()
        current = job.get()
        if current is None or current.result is None:
            return None
        buttons = (("page", "Page"), ("numbers", "Results (JSON)"))
        downloads = (ui.download_button(session.ns(name), label) for name, label in buttons)
        return TagList(_shown(current.result), tags.div(*downloads, class_="buttons"))

    @output(id="document")
    @render.download_button(filename=FILE, media_type="application/toml")
    def _document() -> Iterator[str]:
        with reactive.isolate():
            yield document(held())

    def finished() -> dict[str, Any]:
        with reactive.isolate():
            current = job.get()
        if current is None or current.result is None:
            raise InputError("download", "no finished work", "one", "Press Consider first.")
        return current.result

    @render.download_button(filename="patient.json", media_type="application/json")
    def numbers() -> Iterator[str]:
        yield json.dumps(finished(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @render.download_button(filename="patient.html", media_type="text/html")
    def page() -> Iterator[str]:
        yield render_page(finished())

    @reactive.calc
    def again() -> Again:
        numbers = {name: f"{input[name]():g}" for name in ("people", "seed") if input[name]() is not None}
        own = {"example": input.example()} if input.example() else {}
        changed = [word for text in input.weights().split("\n") if text.strip() for word in ("--weight", text.strip())]
        line = command("patient", FILE, *changed, **numbers)
        numbers |= {"weights": input.weights()} if changed else {}
        filled = {name: text for name, text in held().items() if text}
        return Again({**own, **filled, **numbers}, (line,), PRIVATE, private=True)

    return again


def _changes(text: str) -> tuple[tuple[str, float], ...]:
    """Changed weights by key; InputError for a line that is none."""
    found = []
    for line in text.splitlines():
        key, _, value = line.rpartition("=")
        try:
            found += [(key.strip(), float(value))] if line.strip() else []
        except ValueError:
            raise InputError("weights", repr(line), "KEY=NUMBER such as harm.malignancy=20", "Correct it.") from None
    return tuple(found)


def _form(values: Mapping[str, str], session: Session) -> TagChild:
    def text(name: str, label: str, hint: str) -> Tag:
        return ui.input_text(session.ns(name), label, values.get(name, ""), placeholder=hint)

    def area(name: str, label: str, hint: str) -> Tag:
        return ui.input_text_area(session.ns(name), label, values.get(name, ""), placeholder=hint, rows=3)

    def choice(name: str, label: str, choices: dict[str, str]) -> Tag:
        return ui.input_select(session.ns(name), label, choices, selected=values.get(name, next(iter(choices))))

    conditions = {name: name for name in ("crps-acute", *(n for n in names("condition") if n != "crps-acute"))}
    visits = []
    for k in range(1, MOST_VISITS + 1):
        rows = [text(f"{name}{k}", label, hint) for name, (label, hint) in VISIT.items()]
        filled = any(f"{name}{k}" in values for name in VISIT)
        visits.append(tags.details(tags.summary(f"Visit {k}"), *rows, open="" if k == 1 or filled else None))
    return TagList(
        choice("condition", "Condition", conditions),
        choice("sex", "Sex", {"": "unknown", "female": "female", "male": "male"}),
        *(text(name, label, hint) for name, (label, hint) in PERSON.items()),
        *visits,
        *(area(name, label, hint) for name, (label, hint) in LISTS.items()),
    )


def _shown(result: dict[str, Any]) -> TagChild:
    told = set(result["summary"])
    parts = [
        tags.h3("In short"),
        *(tags.p(sentence) for sentence in result["summary"]),
        _people(result["people"]),
        tags.h3("Before: is local TNF raised?"),
        _before(result["before"], told),
    ]
    if result["weigh"] is not None:
        parts += [tags.h3("Weighed: what would each therapy do?"), _weighed(result["weigh"], told, drawings(result))]
    if result["after"] is not None:
        parts += [tags.h3("After: what did it do?"), _after(result["after"], told)]
    assumed = tags.ul(*(tags.li(text) for text in result["assumptions"]))
    return TagList(*parts, tags.h3("Assumptions"), assumed)


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
        *(tags.p(text) for text in before["sentences"] if text not in told),
        table(("", "value", "probability"), rows, title=title),
    )


def _weighed(weigh: dict[str, Any], told: set[str], drawn: list[str]) -> TagChild:
    rows = []
    for row in weigh["therapies"]:
        sure = f" ({chance(row['sure'])})" if row["sure"] is not None else ""
        rows.append(
            [
                row["title"],
                row["verdict"] + sure,
                chance(row["relief"]),
                num(row["benefit"]),
                num(row["harm"]),
                f"{_interval(row['net'], 'mean')}; above 0: {chance(row['net']['positive'])}",
            ]
        )
    head = ("therapy", "verdict (probability)", f"relief by week {weigh['week']:g}", "benefit", "harm", "net")
    weights = [[row["key"], f"{row['value']:g} {row['unit']}", row["source"]] for row in weigh["weights"]]
    return TagList(
        *(tags.p(text) for text in weigh["sentences"] if text not in told),
        table(head, rows, title="Therapies; benefit, harm and net in points of pain"),
        tags.div(*(tags.div(HTML(drawing)) for drawing in drawn), class_="panels small"),
        tags.p("Forecasts without a drug in grey, with the best of those told of in blue.", class_="note"),
        *(_reasons(row) for row in weigh["therapies"]),
        tags.details(
            tags.summary("Weights of benefit and harm"),
            table(("", "weight", "from"), weights, title="They are judgements"),
        ),
    )


def _reasons(row: dict[str, Any]) -> Tag:
    told = [
        tags.li(f"{'Against' if reason['against'] else 'For'}: {reason['text']} ({reason['source']})")
        for reason in row["reasons"]
    ]
    return tags.details(tags.summary(f"{row['title']}: reasons"), tags.ul(*told))


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
                    chance(row["real"]),
                    "–" if row["caused"] is None else chance(row["caused"]),
                ]
            )
    head = ("", "before", "after", "change (90 % interval)", "beyond error", "really fell", "because of the drug")
    hypotheses = [[row["title"], chance(row["prior"]), chance(row["posterior"])] for row in after["hypotheses"]]
    return TagList(
        *(tags.p(text) for text in after["sentences"] if text not in told),
        table(head, rows, title="Before and after") if rows else None,
        table(("explanation", "before", "given the course"), hypotheses, title="What explains the course"),
    )


def _interval(row: Mapping[str, Any], middle: str) -> str:
    return f"{num(row[middle])} ({num(row['low'])} to {num(row['high'])})"
