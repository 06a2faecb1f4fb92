"""Pieces that the pages share: fields whose values come from a link, messages, tables, commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

from htmltools import Tag, TagChild, TagList, tags

from causalgia.documents import reader
from causalgia.documents.errors import InputError

Query = Mapping[str, str]
WIDE = 5  # columns from which a table scrolls rather than breaks its words on a narrow screen


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


@cache
def titled(kind: str) -> dict[str, str]:
    """Titles of the library's documents of one kind by name, to choose from; read without checking the documents."""
    folder = reader.LIBRARY / reader.FOLDERS[kind]
    texts = {name: (folder / f"{name}.toml").read_text(encoding="utf-8") for name in reader.names(kind)}
    found = {name: re.search(r'^title = "(.*)"$', text, re.MULTILINE) for name, text in texts.items()}
    return {name: title[1] if title else name for name, title in found.items()}


def given(query: Query, key: str, default: float | None) -> float | None:
    """A number that a link names; the default where it is none. Whole ones have no decimals."""
    try:
        value = float(query[key])
    except (KeyError, ValueError):
        value = None
    value = value if value is not None and isfinite(value) else default
    return int(value) if value is not None and value == int(value) else value


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


def kept(text: str) -> str:
    """A sentence with true minus signs, whose numbers stay with their signs where a line breaks."""
    text = re.sub(r"(?<![\w.)])-(?=\d)", "−", text)
    return text.replace(" %", "\u00a0%").replace("< ", "<\u00a0").replace("> ", ">\u00a0")


def sentences(texts: Iterable[str]) -> TagList:
    """Each sentence as a paragraph."""
    return TagList(*(tags.p(kept(text)) for text in texts))


def as_json(table: Any) -> str:
    """A table as the command line prints it, indented."""
    return json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[TagChild]], *, title: str, numeric: bool = False) -> Tag:
    """A table whose first column names the row, in a box of its own that scrolls where it is narrow."""

    def cell(content: TagChild) -> TagChild:
        return kept(content) if isinstance(content, str) else content

    body = [
        tags.tr(tags.th(cell(first), scope="row"), *(tags.td(cell(part)) for part in rest)) for first, *rest in rows
    ]
    made = tags.table(
        tags.thead(tags.tr(*(tags.th(name, scope="col") if name else tags.td() for name in head))),
        tags.tbody(*body),
        class_=" ".join(name for name, so in (("num", numeric), ("wide-table", len(head) >= WIDE)) if so) or None,
        aria_label=title,
    )
    box = tags.div(made, class_="scroll", tabindex="0", role="region", aria_label=title)
    return tags.div(tags.p(kept(title), class_="tabletitle"), box, class_="tabled")


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
