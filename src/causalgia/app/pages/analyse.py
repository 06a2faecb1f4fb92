"""Analyse: uploaded tables of a trial, simulated or real: every problem in them, or the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from htmltools import HTML, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, module, reactive, render, ui

from causalgia.analysis.formats import FORMATS
from causalgia.analysis.problems import TablesError
from causalgia.analysis.variables import REQUIRED, TITLES
from causalgia.app.pagejob import PageJob, buttons, outputs
from causalgia.app.parts import Again, Query, as_json, chosen, command, grid, problem, sentences, table, titled
from causalgia.app.processes import Workers
from causalgia.app.work import DEFAULT, PROTOCOL_FILE, Tables
from causalgia.documents.errors import InputError
from causalgia.report.words import fixed, p_value, percent

MOST_SHOWN = 200


@module.ui
def analyse_ui(query: Query) -> TagChild:
    """The page, for the protocol that its link names."""
    titles = titled("protocol")
    suffixes = [form.suffix for form in FORMATS.values()]
    form = TagList(
        ui.input_select(
            "protocol", "Protocol", titles, selected=chosen(query, "protocol", titles, DEFAULT)
        ),
        ui.input_file(
            "files", "Tables", multiple=True, accept=[*suffixes, ".toml"], button_label="Choose files",
            placeholder="none yet",
        ),
        tags.p(
            f"{', '.join(REQUIRED)}, and where there are {', '.join(set(TITLES) - set(REQUIRED))}, as "
            f"{', '.join(suffixes)}. A {PROTOCOL_FILE} among them takes the place of the protocol above. "
            "They are read here, never sent elsewhere, and deleted when this page is closed.",
            class_="note",
        ),
        buttons(None),
    )  # fmt: skip
    return TagList(
        tags.h2("Analyse"),
        tags.p("The tables of a trial, simulated or real: what is wrong with them, or the answers.", class_="lead"),
        grid(form, outputs(ui.output_ui("result"))),
    )


@module.server
def analyse_server(input: Inputs, output: Outputs, session: Session, query: Query, workers: Workers) -> Any:
    """Analyses what is uploaded; gives a calculation of what reproduces the page."""
    idle = "Choose the files of a trial. Trial gives you a simulated one to try: its button “Tables of one trial”."
    job = PageJob(input, session, workers, idle=idle, error=_refused)

    @reactive.effect
    @reactive.event(input.files, input.protocol)
    def _begin() -> None:
        uploaded = input.files() or []
        files = tuple((str(file["name"]), str(file["datapath"])) for file in uploaded)
        if files:
            job.begin("analyse", lambda: Tables(input.protocol(), files))

    @render.ui
    def result() -> TagChild:
        found = job.result()
        if found is None:
            return None
        return TagList(_answers(found), ui.download_button(session.ns("answers"), "Answers (JSON)"))

    @render.download_button(filename="answers.json", media_type="application/json")
    def answers() -> Iterator[str]:
        yield as_json(job.finished().result["answers"])

    @reactive.calc
    def again() -> Again:
        note = "The files are not part of the link; TABLES stands for the directory that holds them."
        return Again({"protocol": input.protocol()}, (command("analyse", "TABLES", protocol=input.protocol()),), note)

    return again


def _refused(error: InputError) -> TagChild:
    """What is wrong with the tables, all of it, or with the files."""
    if not isinstance(error, TablesError):
        return problem(error)
    found = error.problems
    rows = [
        [row.table, "" if row.row is None else f"{row.row:,}", row.column, row.found, row.expected, row.remedy]
        for row in found[:MOST_SHOWN]
    ]
    more = len(found) - len(rows)
    head = ("table", "row", "column", "found", "expected", "what to do")
    return TagList(
        tags.div(
            tags.p(f"{len(found)} problem{'' if len(found) == 1 else 's'} in the tables; nothing was analysed."),
            class_="problem",
            role="alert",
        ),
        table(head, rows, title="Every problem" if not more else f"The first {MOST_SHOWN}; {more:,} more follow"),
    )


def _answers(result: dict[str, Any]) -> TagChild:
    answers = result["answers"]
    rows = [_answer(row) for key, row in answers.items() if key != "harm"]
    head = ("question", "quantity", "estimate (95 % interval)", "p", "n", "method")
    details = [(row, detail) for row in answers.values() for detail in row["details"] if "events" in detail]
    shares = [
        [
            detail["term"],
            detail["arm"],
            f"{detail['events']} of {detail['n']}",
            f"{percent(detail['lower'])} to {percent(detail['upper'])}",
        ]
        for _, detail in details
    ]
    shared = ("", "arm", "subjects", "95 % interval")
    return TagList(
        tags.h3("Answers", tabindex="-1"),
        tags.p(result["protocol"], class_="note"),
        sentences(result["lines"]),
        table(head, rows, title="The questions, in numbers"),
        table(shared, shares, title="Responders and adverse events") if shares else None,
        tags.h3("Drawn"),
        *(_drawn(name, drawing) for name, drawing in result["figures"].items()),
    )


def _drawn(name: str, drawing: str) -> TagChild:
    """A figure, which scrolls where it would be too small to read: SVG that this package drew and escaped itself."""
    label = name.removesuffix(".svg").replace("-", " ")
    return tags.div(HTML(drawing), class_="scroll drawn", tabindex="0", role="region", aria_label=f"Figure: {label}")


def _answer(row: dict[str, Any]) -> list[TagChild]:
    if row["estimate"] is None:
        numbers, p = f"– {row['reason']}", "–"
    else:
        numbers = f"{fixed(row['estimate'])} ({fixed(row['lower'])} to {fixed(row['upper'])})"
        p = f"exact {p_value(row['exact_p'])}" if row["exact_p"] is not None else p_value(row["p"])
    return [row["question"], row["quantity"], numbers, p, str(row["n"]), row["method"]]
