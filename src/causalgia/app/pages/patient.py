"""Patient: one patient's document as a form or a file, and what can be said before, between and after therapies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from causalgia.app.form import LISTS, MOST_VISITS, NAMES, PERSON, VISIT, document, fields
from causalgia.app.pagejob import PageJob, buttons, outputs
from causalgia.app.parts import Again, Query, as_json, chosen, command, given, grid, titled, whole
from causalgia.app.processes import Workers
from causalgia.app.uploads import MOST_OF_PATIENT, patient_text
from causalgia.app.work import PATIENT_FILE, Considered
from causalgia.documents.errors import InputError
from causalgia.documents.patient import Patient
from causalgia.report.patient import page as render_page

PRIVATE = "The link holds what the form holds: keep it as you would keep the patient's notes. Save the document first."
NOT_LINKED = "The file is not part of the link; the command line reads it in the directory where it is run."
DEFAULT, FIRST = "synthetic-raised", "crps-acute"


class File(NamedTuple):
    """An uploaded document or series: the name under which it is considered, and its text."""

    name: str
    text: str


@module.ui
def patient_ui(query: Query) -> TagChild:
    """The page with the patient that its link holds."""
    examples = {"": "an empty form"} | titled("patient")
    first = chosen(query, "example", examples, "" if _linked(query) else DEFAULT)
    form = TagList(
        tags.div(
            ui.input_select("example", "Start from", examples, selected=first),
            ui.input_file(
                "upload", "or from a file", accept=[".toml", ".csv"], button_label="Choose", placeholder="none yet"
            ),
            class_="fields",
        ),
        tags.p(
            f"A patient (.toml, as saved below) or a series of patients (.csv), at most {MOST_OF_PATIENT // 2**20} MB. "
            "It is read here, never sent elsewhere, and deleted when this page is closed.",
            class_="note",
        ),
        ui.output_ui("fields"),
        tags.details(
            tags.summary("Weights and numbers"),
            ui.input_text_area(
                "weights", "Weights to change, one a line", query.get("weights", ""),
                placeholder="harm.malignancy=20", rows=2,
            ),
            tags.div(
                ui.input_numeric("people", "Virtual patients at most", given(query, "people", 20_000), min=300, step=1),  # type: ignore[arg-type]
                ui.input_numeric("seed", "Seed", given(query, "seed", 1), min=0, step=1),  # type: ignore[arg-type]
                class_="fields",
            ),
        ),
        buttons(
            ui.input_action_button("run", "Consider", class_="btn-primary", data_enter="form"), ui.output_ui("save")
        ),
    )  # fmt: skip
    return TagList(
        tags.h2("Patient"),
        tags.p("Is local TNF raised, what would each therapy do, and what did the one given do?", class_="lead"),
        grid(form, outputs(ui.output_ui("result")), wide=True),
    )


def _linked(query: Query) -> dict[str, str]:
    """The form's fields that a link holds."""
    return {name: query[name] for name in NAMES if name in query and query.get("page") == "patient"}


@module.server
def patient_server(input: Inputs, output: Outputs, session: Session, query: Query, workers: Workers) -> Any:
    """Considers the patient of the form or the file; gives a calculation of what reproduces the page."""
    job = PageJob(
        input, session, workers, idle="Fill in what is known; what is left out is taken as unknown. Then consider."
    )
    file: reactive.Value[File | None] = reactive.Value(None)
    own: reactive.Value[Mapping[str, str] | None] = reactive.Value(_linked(query) or None)

    def held() -> dict[str, str]:
        return {name: str(input[name]() or "") for name in NAMES if name in input}

    def asked() -> Considered:
        numbers = (whole("seed", input.seed()), whole("people", input.people()), _changes(input.weights()))
        given = file.get()
        made = Considered(given.text, *numbers, given.name) if given else Considered(document(held()), *numbers)
        made.check()
        return made

    @reactive.effect
    @reactive.event(input.run)
    def _run() -> None:
        job.begin("patient", asked)

    @reactive.effect
    @reactive.event(input.upload)
    def _uploaded() -> None:
        def read() -> Considered:
            file.set(None)
            file.set(File(*patient_text(input.upload())))
            return asked()

        if input.upload():
            job.clear()
            job.begin("patient", read)

    @reactive.effect
    @reactive.event(input.example, ignore_init=True)
    def _example() -> None:
        file.set(None)
        own.set(None)

    @reactive.effect
    @reactive.event(input.edit)
    def _edit() -> None:
        own.set(job.finished().result["fields"])
        file.set(None)

    @output(id="fields")
    @render.ui
    def _fields() -> TagChild:
        given, values = file.get(), own.get()
        if given is not None:
            return _file_box(given, job, session.ns)
        example = input.example()
        return _form(values if values is not None else fields(Patient.load(example)) if example else {}, session)

    @render.ui
    def save() -> TagChild:
        return ui.download_button(session.ns("document"), "Save the document") if file.get() is None else None

    _outputs(job, session, output, lambda: document(held()))

    @reactive.calc
    def again() -> Again:
        given = file.get()
        numbers = {name: f"{input[name]():g}" for name in ("people", "seed") if input[name]() is not None}
        changed = [word for text in input.weights().split("\n") if text.strip() for word in ("--weight", text.strip())]
        line = command("patient", given.name if given else PATIENT_FILE, *changed, **numbers)
        numbers |= {"weights": input.weights()} if changed else {}
        if given is not None:
            return Again(numbers, (line,), NOT_LINKED)
        start = {"example": input.example()} if input.example() else {}
        filled = {name: text for name, text in held().items() if text}
        return Again({**start, **filled, **numbers}, (line,), PRIVATE, private=True)

    return again


def _outputs(job: PageJob, session: Session, output: Outputs, text: Callable[[], str]) -> None:
    """What is said of the patient, and the files of it; `text` gives the form's document."""

    @render.ui
    def result() -> TagChild:
        found = job.result()
        if found is None:
            return None
        from causalgia.app.considered import shown

        labels = {"page": "Page to print (HTML)", "numbers": "Results (JSON)"}
        downloads = (ui.download_button(session.ns(name), label) for name, label in labels.items())
        return TagList(shown(found["table"]), tags.div(*downloads, class_="buttons"))

    @output(id="document")
    @render.download_button(filename=PATIENT_FILE, media_type="application/toml")
    def _document() -> Iterator[str]:
        with reactive.isolate():
            yield text()

    @render.download_button(filename="patient.json", media_type="application/json")
    def numbers() -> Iterator[str]:
        yield as_json(job.finished().result["table"])

    @render.download_button(filename="patient.html", media_type="text/html")
    def page() -> Iterator[str]:
        yield render_page(job.finished().result["table"])


def _file_box(file: File, job: PageJob, ns: Callable[[str], str]) -> TagChild:
    """What stands in place of the form while a file is considered."""
    now, series = job.followed(), file.name.endswith(".csv")
    done = now is not None and now.result is not None
    more: TagChild = None
    if done and now is not None and now.result["fields"] is not None:
        more = ui.input_action_button(ns("edit"), "Edit it in the form")
    elif done and not series:
        more = tags.p("The form cannot hold all of it: change the file, and choose it again.", class_="note")
    return tags.div(
        tags.p(tags.strong(file.name), " is considered as it is written. Choose under “Start from” to leave it."),
        more,
        class_="held",
    )


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

    conditions = {FIRST: titled("condition")[FIRST]} | titled("condition")
    visits = []
    for k in range(1, MOST_VISITS + 1):
        rows = [text(f"{name}{k}", label, hint) for name, (label, hint) in VISIT.items()]
        filled = any(f"{name}{k}" in values for name in VISIT)
        opened = "" if k == 1 or filled else None
        visits.append(tags.details(tags.summary(f"Visit {k}"), tags.div(*rows, class_="fields"), open=opened))
    return TagList(
        tags.div(
            choice("condition", "Condition", conditions),
            choice("sex", "Sex", {"": "unknown", "female": "female", "male": "male"}),
            *(text(name, label, hint) for name, (label, hint) in PERSON.items()),
            class_="fields",
        ),
        *visits,
        *(area(name, label, hint) for name, (label, hint) in LISTS.items()),
    )
