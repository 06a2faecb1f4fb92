"""Pieces that the pages share: fields whose values come from a link, messages, progress, tables, commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from htmltools import Tag, TagChild, TagList, tags
from shiny import reactive

from causalgia.app.processes import Job
from causalgia.documents.errors import InputError

Query = Mapping[str, str]
POLL = 0.15  # seconds between two looks at a job


@dataclass(frozen=True)
class Again:
    """What reproduces a page: the query of its link, its command lines, and what to know of them.

    The query of a `private` one stays out of the address, and so out of the browser's history.
    """

    query: dict[str, str]
    commands: tuple[str, ...]
    note: str = ""
    private: bool = False


def chosen(query: Query, key: str, choices: Iterable[str], default: str = "") -> str:
    """A choice that a link names; the default where it names none of them."""
    value = query.get(key, default)
    return value if value in choices else default


def given(query: Query, key: str, default: float | None) -> float | None:
    """A number that a link names; the default where it is none."""
    try:
        value = float(query[key])
    except (KeyError, ValueError):
        return default
    if not isfinite(value):
        return default
    return int(value) if value == int(value) else value


def command(*words: str, **options: str | None) -> str:
    """A command line; options that are empty are left out."""
    extra = [part for key, value in options.items() if value for part in (f"--{key.replace('_', '-')}", value)]
    return shlex.join(["causalgia", *words, *extra])


def whole(name: str, value: Any) -> int:
    """A whole number of a field; InputError where it holds none."""
    if value is None or not isfinite(value) or value != int(value):
        found = "nothing" if value is None else f"{value:g}"
        raise InputError(name, found, "a whole number", "Correct it.")
    return int(value)


def whole_numbers(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them; InputError where the field holds anything else."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(name, repr(text[:40]), "whole numbers such as 20, 40, 60", "Correct it.") from None


def problem(error: InputError) -> Tag:
    """An error in its four parts, announced."""
    return tags.div(
        tags.p(tags.strong(error.where, ": "), "found ", error.found, "; expected ", error.expected, "."),
        tags.p(error.remedy) if error.remedy else None,
        class_="problem",
        role="alert",
    )


def progress(job: Job) -> TagChild:
    """How far a running job is; nothing once it has ended."""
    if job.state == "waiting":
        return tags.p("Waiting for a free place …", class_="stage")
    if job.state != "running":
        return None
    stage = job.stage
    text = "Starting …" if stage is None else stage.text
    known = {} if stage is None or not stage.total else {"value": str(min(stage.done / stage.total, 1.0))}
    return tags.div(tags.progress(max="1", aria_label="progress", **known), tags.p(text, class_="stage"))


def watch(job: reactive.Value[Job | None], seen: reactive.Value[tuple]) -> None:
    """Follows a job: `seen` changes with its state and with what it has told so far. To be called in an effect."""
    current = job.get()
    if current is None:
        return
    if current.state in ("waiting", "running"):
        reactive.invalidate_later(POLL)
    now = (current, current.state, current.part is not None)
    with reactive.isolate():
        if seen.get() != now:
            seen.set(now)


def table(head: Sequence[str], rows: Iterable[Sequence[TagChild]], *, title: str, numeric: bool = False) -> Tag:
    """A table whose first column names the row, in a box of its own that scrolls where it is narrow."""
    body = [tags.tr(tags.th(first, scope="row"), *(tags.td(cell) for cell in rest)) for first, *rest in rows]
    made = tags.table(
        tags.caption(title),
        tags.thead(tags.tr(*(tags.th(name, scope="col") for name in head))),
        tags.tbody(*body),
        class_="num" if numeric else None,
    )
    return tags.div(made, class_="scroll", tabindex="0", role="region", aria_label=title)


def figure(drawing: Mapping[str, Any]) -> Tag:
    """A figure of the report: its finding, its panels, its note."""
    from htmltools import HTML

    panels = [tags.div(HTML(panel)) for panel in drawing["panels"]]  # SVG that this package drew and escaped itself
    note = tags.figcaption(drawing["note"]) if drawing["note"] else None
    return tags.figure(tags.h3(drawing["title"]), tags.div(*panels, class_="panels"), note, class_="figure")


def grid(form: TagChild, results: TagChild, *, wide: bool = False) -> Tag:
    """A form beside what it gives, below each other where it is narrow."""
    return tags.div(
        tags.div(form, class_="form"),
        tags.div(results, class_="results"),
        class_="with-form wide" if wide else "with-form",
    )


def again_block(again: Again, page: str) -> TagList:
    """The link and the commands, each to be copied."""
    from urllib.parse import urlencode

    address = "?" + urlencode({"page": page, **again.query})
    shown = f"?{urlencode({'page': page})}" if again.private else address
    lines = "\n".join(again.commands)
    return TagList(
        tags.p(tags.a("Link to this page as it is now", href=address, id="again-link", data_address=shown)),
        tags.p("The same on the command line:"),
        tags.div(
            tags.pre(tags.code(lines, id="again-command"), tabindex="0"),
            tags.button("Copy", type="button", class_="btn btn-default copy", data_copy="again-command"),
            class_="command",
        ),
        tags.p(again.note, class_="note") if again.note else None,
    )
