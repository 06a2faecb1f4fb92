"""Trial: a protocol with other numbers, and what it would show over many replicates."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from causalgia.app.edit import Numbers, edited, numbers
from causalgia.app.parts import (
    Again,
    Query,
    chosen,
    command,
    figure,
    given,
    grid,
    problem,
    progress,
    table,
    watch,
    whole,
    whole_numbers,
)
from causalgia.app.processes import Job, Workers
from causalgia.app.work import Trial
from causalgia.documents import Drug, Instrument, Protocol
from causalgia.documents.errors import InputError
from causalgia.documents.reader import names
from causalgia.report.words import fixed, number

DEFAULT = "gated-infliximab"
FIELDS = ("dose", "gate", "limit", "sizes", "replicates", "subjects", "seed")
COLUMNS = {"relieved": "clinical endpoint significant", "lowered": "TNF found lowered", "claim": "mechanism claimed"}


def defaults(protocol: Protocol) -> dict[str, Any]:
    """What the fields hold before anybody changes them; fewer and smaller trials than a run of its own would have."""
    own, sizes = numbers(protocol), protocol.evaluation.sizes
    few = sizes if len(sizes) <= 3 else (sizes[0], sizes[len(sizes) // 3], sizes[len(sizes) // 2])
    return {
        "dose": own.dose,
        "gate": own.gate,
        "limit": own.limit,
        "sizes": ", ".join(map(str, few)),
        "replicates": 400,
        "subjects": 4000,
        "seed": 1,
    }


@module.ui
def trial_ui(query: Query) -> TagChild:
    """The page with the numbers that its link names."""
    titles = {name: name for name in names("protocol")}
    now = chosen(query, "protocol", titles, DEFAULT)
    form = TagList(
        ui.input_select("protocol", "Protocol", titles, selected=now),
        ui.output_ui("fields"),
        tags.div(
            ui.input_action_button("run", "Run", class_="btn-primary", data_enter="form"),
            ui.input_action_button("cancel", "Cancel", disabled=True),
            class_="buttons",
        ),
    )
    results = TagList(ui.output_ui("bar"), ui.output_ui("failed"), ui.output_ui("shown"), ui.output_ui("more"))
    return TagList(
        tags.h2("Trial"),
        tags.p("What a trial would show, over many replicates, in worlds where the answer is known.", class_="lead"),
        grid(form, results),
    )


@module.server
def trial_server(input: Inputs, output: Outputs, session: Session, query: Query, workers: Workers) -> Any:
    """Runs what is asked; gives a calculation of what reproduces the page."""
    job: reactive.Value[Job | None] = reactive.Value(None)
    seen: reactive.Value[tuple] = reactive.Value(())
    refused: reactive.Value[InputError | None] = reactive.Value(None)
    linked = dict(query) if query.get("page") == "trial" else {}

    def protocol() -> Protocol:
        return Protocol.load(input.protocol())

    @render.ui
    def fields() -> TagChild:
        plan = protocol()
        first = linked if linked.get("protocol", DEFAULT) == input.protocol() else {}
        return _fields(plan, first, session.ns)

    def read(name: str) -> Any:
        return input[name]() if name in input else None

    def wanted() -> Trial:
        if read("of") != input.protocol():
            raise InputError("protocol", "numbers of another one", "its own", "Run again when they are shown.")
        own = numbers(protocol())
        changed = Numbers(
            read("dose") if own.dose is not None else None,
            _number("gate limit", read("gate")) if own.gate is not None else None,
            _number("assay limit", read("limit")) if own.limit is not None else None,
        )
        whole_ones = {name: whole(name, read(name)) for name in ("seed", "subjects", "replicates")}
        return Trial(input.protocol(), sizes=whole_numbers("sizes", read("sizes")), numbers=changed, **whole_ones)

    def begin() -> None:
        refused.set(None)
        try:
            asked = wanted()
            asked.check()
            edited(asked.protocol, asked.numbers)
        except InputError as error:
            refused.set(error)
            return
        _stop(job.get())
        job.set(workers.start("trial", asked, alike=(asked.protocol, asked.seed, asked.subjects)))

    @reactive.effect
    @reactive.event(input.run)
    def _run() -> None:
        begin()

    @reactive.effect
    def _linked() -> None:
        """A link that was made after a run runs again, once its fields are there."""
        if linked.get("run") and read("of") == input.protocol() and job.get() is None:
            with reactive.isolate():
                linked.pop("run")
                begin()

    @reactive.effect
    @reactive.event(input.cancel)
    def _cancel() -> None:
        _stop(job.get())

    @reactive.effect
    def _watch() -> None:
        watch(job, seen)

    @reactive.effect
    def _buttons() -> None:
        seen.get()
        current = job.get()
        ui.update_action_button("cancel", disabled=current is None or current.state not in ("waiting", "running"))

    session.on_ended(lambda: _stop(_peek(job)))

    @render.ui
    def bar() -> TagChild:
        current = job.get()
        if current is None:
            return tags.p("Choose the numbers, then run.", class_="note")
        if current.state in ("waiting", "running"):
            reactive.invalidate_later(0.3)
            return progress(current)
        if current.state == "cancelled":
            return tags.p("Cancelled.", class_="stage", role="status")
        if current.state == "failed":
            return None
        return tags.p(f"{_told(current.options)}; done in {current.seconds:.1f} s.", class_="stage", role="status")

    @render.ui
    def failed() -> TagChild:
        seen.get()
        current = job.get()
        error = refused.get() or (current.error if current is not None else None)
        return None if error is None else problem(error)

    @render.ui
    def shown() -> TagChild:
        seen.get()
        current = job.get()
        return None if current is None or current.part is None else _shown(current.part)

    @render.ui
    def more() -> TagChild:
        seen.get()
        current = job.get()
        if current is None or current.result is None:
            return None
        return TagList(
            tags.h3("Verdict"),
            *(tags.p(sentence) for sentence in current.result["table"]["verdict"]),
            tags.div(
                *(
                    ui.download_button(session.ns(name), label)
                    for name, label in (
                        ("report", "Report"), ("numbers", "Results (JSON)"), ("tables", "Tables of one trial"),
                        ("documents", "Documents"),
                    )
                ),
                class_="buttons",
            ),
        )  # fmt: skip

    _downloads(job, workers)

    @reactive.calc
    def again() -> Again:
        own = defaults(protocol())
        if read("of") != input.protocol():
            return Again({"protocol": input.protocol()}, *_commands(input.protocol(), {}, {}))
        now = {name: _text(read(name)) for name in FIELDS if read(name) not in (None, "") and own[name] is not None}
        link = {"protocol": input.protocol()} | {key: text for key, text in now.items() if text != _text(own[key])}
        if job.get() is not None:
            link["run"] = "1"
        return Again(link, *_commands(input.protocol(), now, link))

    return again


def _peek(job: reactive.Value[Job | None]) -> Job | None:
    with reactive.isolate():
        return job.get()


def _stop(job: Job | None) -> None:
    if job is not None:
        job.cancel()


def _told(asked: Trial) -> str:
    """What was run, in a line."""
    own = asked.numbers
    parts = (
        asked.protocol,
        own.dose,
        f"gate {number(own.gate)}" if own.gate is not None else None,
        f"assay limit {number(own.limit)}" if own.limit is not None else None,
        f"{asked.replicates:,} replicates",
        f"{asked.subjects:,} virtual patients",
        f"seed {asked.seed}",
    )
    return ", ".join(part for part in parts if part)


def _number(name: str, value: Any) -> float:
    if value is None:
        raise InputError(name, "nothing", "a number", "Fill it in.")
    return float(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.10g}"


def _fields(protocol: Protocol, first: Query, ns: Callable[[str], str]) -> TagChild:
    own = defaults(protocol)

    def numeric(key: str, label: str, low: float, step: float | None = None) -> Tag:
        value = given(first, key, own[key])
        return ui.input_numeric(ns(key), label, value, min=low, step=step)  # type: ignore[arg-type]

    arm = protocol.treatment
    drugs = " and ".join(Drug.load(course.drug or "").title for course in protocol.arms[arm].courses)
    fields: list[TagChild] = [tags.p(protocol.title, class_="note")]
    if own["dose"] is not None:
        fields.append(ui.input_text(ns("dose"), f"Dose of {drugs}", first.get("dose", own["dose"])))
    if protocol.gate is not None:
        fields.append(numeric("gate", f"Gate limit, {protocol.gate.parsed.unit}", 0))
    if own["limit"] is not None:
        fields.append(numeric("limit", f"Assay limit, {Instrument.load(protocol.endpoints.lowered.measure).unit}", 0))
    return TagList(
        *fields,
        tags.div(ui.input_text(ns("of"), "", protocol.path.stem), hidden=True),  # whose numbers these are
        ui.input_text(ns("sizes"), "Sizes, total randomised", first.get("sizes", own["sizes"])),
        numeric("replicates", "Replicate trials", 20, 1),
        numeric("subjects", "Virtual patients", 400, 1),
        numeric("seed", "Seed", 0, 1),
    )


def _shown(part: dict[str, Any]) -> TagChild:
    sizes = [str(size) for size in part["protocol"]["sizes"]]
    tables = []
    for key, title in COLUMNS.items():
        rows = [
            [world, *(_share(row["sizes"][size][key]) for size in sizes)]
            for world, row in part["evaluation"]["worlds"].items()
        ]
        name = f"{title[0].upper()}{title[1:]}, % of {number(part['evaluation']['replicates'])} trials (standard error)"
        tables.append(table(("world", *sizes), rows, title=name, numeric=True))
    return TagList(*(figure(drawing) for drawing in part["figures"]), *tables)


def _share(cell: dict[str, float | None]) -> str:
    if cell["value"] is None:
        return "–"
    error = "" if cell["se"] is None else f" ({fixed(100 * cell['se'], 1)})"
    return fixed(100 * cell["value"], 1) + error


def _commands(name: str, now: dict[str, str], link: dict[str, str]) -> tuple[tuple[str, ...], str]:
    """The command line, and what to save first where a document was changed."""
    changed = {"dose", "gate", "limit"} & link.keys()
    options = {key: now.get(key, "").replace(" ", "") for key in ("subjects", "replicates", "sizes", "seed")}
    line = command("run", f"{name}.toml" if changed else name, **options)
    note = "Save the documents of the run (button Documents) in the directory where this is run." if changed else ""
    return (line,), note


def _downloads(job: reactive.Value[Job | None], workers: Workers) -> None:
    """The files of a finished run."""

    def finished() -> Job:
        current = _peek(job)
        if current is None or current.result is None:
            raise InputError("download", "no finished run", "one", "Run it first.")
        return current

    @render.download_button(filename="report.html", media_type="text/html")
    def report() -> Iterator[str]:
        made = workers.start("page", finished().result["table"]).wait(120)
        if made.error is not None:
            raise made.error
        yield made.result

    @render.download_button(filename="results.json", media_type="application/json")
    def numbers() -> Iterator[str]:
        yield json.dumps(finished().result["table"], indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @render.download_button(filename="tables.zip", media_type="application/zip")
    def tables() -> Iterator[bytes]:
        yield _zipped(finished().result["tables"])

    @render.download_button(filename="documents.zip", media_type="application/zip")
    def documents() -> Iterator[bytes]:
        asked: Trial = finished().options
        files = edited(asked.protocol, asked.numbers)
        yield _zipped(files or {f"{asked.protocol}.toml": Protocol.load(asked.protocol).path.read_text("utf-8")})


def _zipped(files: dict[str, str]) -> bytes:
    """Files in one archive, the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return made.getvalue()
