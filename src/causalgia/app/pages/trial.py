"""Trial: a protocol with other numbers, and what it would show over many replicates."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from causalgia.app.edit import Numbers, edited, numbers
from causalgia.app.pagejob import PageJob, buttons, outputs
from causalgia.app.parts import (
    Again,
    Query,
    as_json,
    chosen,
    command,
    figure,
    given,
    grid,
    sentences,
    table,
    titled,
    whole,
    whole_numbers,
)
from causalgia.app.processes import Job, Workers
from causalgia.app.work import DEFAULT, Trial
from causalgia.documents import Drug, Instrument, Protocol
from causalgia.documents.errors import InputError
from causalgia.report.words import fixed, number

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
    titles = titled("protocol")
    now = chosen(query, "protocol", titles, DEFAULT)
    form = TagList(
        ui.input_select("protocol", "Protocol", titles, selected=now),
        ui.output_ui("fields"),
        buttons(ui.input_action_button("run", "Run", class_="btn-primary", data_enter="form")),
    )
    return TagList(
        tags.h2("Trial"),
        tags.p("What a trial would show, over many replicates, in worlds where the answer is known.", class_="lead"),
        grid(form, outputs(ui.output_ui("answer"), ui.output_ui("shown"), ui.output_ui("more"))),
    )


@module.server
def trial_server(input: Inputs, output: Outputs, session: Session, query: Query, workers: Workers) -> Any:
    """Runs what is asked; gives a calculation of what reproduces the page."""
    idle = "Choose the numbers, then run. The first figures come within a few seconds."
    job = PageJob(input, session, workers, idle=idle, done=lambda job: _told(job.options))
    linked = dict(query) if query.get("page") == "trial" else {}
    ready: dict[tuple, Job] = {}

    def read(name: str) -> Any:
        return input[name]() if name in input else None

    def begin() -> None:
        job.begin("trial", lambda: _asked(input.protocol(), read), alike=_alike, after=ready.get)

    @render.ui
    def fields() -> TagChild:
        first = linked if linked.get("protocol", DEFAULT) == input.protocol() else {}
        return _fields(Protocol.load(input.protocol()), first, session.ns)

    @reactive.effect
    @reactive.event(input.run)
    def _run() -> None:
        begin()

    @reactive.effect
    def _opened() -> None:
        """A link that was made after a run runs again, once its fields are there; else the run is made ready."""
        if read("of") != input.protocol():
            return
        with reactive.isolate():
            if linked.pop("run", "") and job.now() is None:
                begin()
            else:
                prepare()

    def prepare() -> None:
        if any(not one.ended.is_set() for one in ready.values()):
            return  # who looks through the protocols does not keep both processes busy
        try:
            asked = _asked(input.protocol(), read)
        except InputError:
            return
        if _alike(asked) not in ready:
            ready[_alike(asked)] = workers.start("prepare", asked, alike=_alike(asked))

    def leave() -> None:
        for one in ready.values():
            one.cancel_unless_running()

    session.on_ended(leave)
    _outputs(job, session)
    _downloads(job, workers)

    @reactive.calc
    def again() -> Again:
        return _again(input.protocol(), read, job.followed() is not None)

    return again


def _asked(protocol: str, read: Callable[[str], Any]) -> Trial:
    """What the fields ask for; InputError where that cannot be."""
    if read("of") != protocol:
        raise InputError("protocol", "numbers of another one", "its own", "Run again when they are shown.")
    own = numbers(Protocol.load(protocol))
    changed = Numbers(
        read("dose") if own.dose is not None else None,
        _number("gate limit", read("gate")) if own.gate is not None else None,
        _number("assay limit", read("limit")) if own.limit is not None else None,
    )
    whole_ones = {name: whole(name, read(name)) for name in ("seed", "subjects", "replicates")}
    asked = Trial(protocol, sizes=whole_numbers("sizes", read("sizes")), numbers=changed, **whole_ones)
    asked.check()
    edited(asked.protocol, asked.numbers)
    return asked


def _alike(asked: Trial) -> tuple:
    """Trials of which one process had better do all."""
    return (asked.protocol, asked.seed, asked.subjects)


def _outputs(job: PageJob, session: Session) -> None:
    @render.ui
    def answer() -> TagChild:
        current = job.followed()
        if current is None or current.part is None or (current.result is None and current.state != "running"):
            return None
        if current.result is None:
            return TagList(tags.h3("Answer"), tags.p("Being written …", class_="note"))
        labels = {
            "report": "Report",
            "numbers": "Results (JSON)",
            "tables": "Tables of one trial",
            "documents": "Protocol (TOML)",
        }
        return TagList(
            tags.h3("Answer"),
            sentences(current.result["table"]["summary"]["answer"]),
            tags.div(*(ui.download_button(session.ns(name), text) for name, text in labels.items()), class_="buttons"),
        )

    @render.ui
    def shown() -> TagChild:
        current = job.followed()
        return None if current is None or current.part is None else _shown(current.part)

    @render.ui
    def more() -> TagChild:
        found = job.result()
        return None if found is None else TagList(tags.h3("In detail"), sentences(found["table"]["verdict"]))


def _again(protocol: str, read: Callable[[str], Any], run: bool) -> Again:
    own = defaults(Protocol.load(protocol))
    if read("of") != protocol:
        return Again({"protocol": protocol}, *_commands(protocol, {}, {}))
    now = {name: _text(read(name)) for name in FIELDS if read(name) not in (None, "") and own[name] is not None}
    link = {"protocol": protocol} | {key: text for key, text in now.items() if text != _text(own[key])}
    if run:
        link["run"] = "1"
    return Again(link, *_commands(protocol, now, link))


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
    worlds = [
        tags.li(tags.strong(world["name"]), "" if world["structural"] else " (control)", f": {world['title']}")
        for world in part["worlds"]
    ]
    return TagList(
        *(figure(drawing) for drawing in part["figures"]),
        tags.h3("The worlds: accounts of the biology"),
        tags.ul(*worlds, class_="worlds"),
        *tables,
    )


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
    note = "Save the documents of the run (button Protocol) in the directory where this is run." if changed else ""
    return (line,), note


def _downloads(job: PageJob, workers: Workers) -> None:
    """The files of a finished run."""

    @render.download_button(filename="report.html", media_type="text/html")
    def report() -> Iterator[str]:
        made = workers.start("page", job.finished().result["table"]).wait(120)
        if made.error is not None:
            raise made.error
        yield made.result

    @render.download_button(filename="results.json", media_type="application/json")
    def numbers() -> Iterator[str]:
        yield as_json(job.finished().result["table"])

    @render.download_button(filename="tables.zip", media_type="application/zip")
    def tables() -> Iterator[bytes]:
        yield _zipped(job.finished().result["tables"])

    @render.download_button(filename="documents.zip", media_type="application/zip")
    def documents() -> Iterator[bytes]:
        asked: Trial = job.finished().options
        files = edited(asked.protocol, asked.numbers)
        yield _zipped(files or {f"{asked.protocol}.toml": Protocol.load(asked.protocol).path.read_text("utf-8")})


def _zipped(files: dict[str, str]) -> bytes:
    """Files in one archive, the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return made.getvalue()
