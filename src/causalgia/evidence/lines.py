"""The line of a TOML file on which a key stands, since the parser gives none."""

from __future__ import annotations

import re

HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\")\s*=")
Place = tuple[str | int, ...]


def line_of(text: str, place: Place) -> int:
    """Line (from 1) of the key at `place`, such as ("outcomes", 2, "unit"); of what holds it where it is not there."""
    known = _places(text)
    for length in range(len(place), 0, -1):
        if place[:length] in known:
            return known[place[:length]]
    return 1


def _places(text: str) -> dict[Place, int]:
    """Lines of all tables and of the keys that begin a line; lines inside a text of several lines are passed over."""
    places: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table: Place = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if inside:
            inside = "" if line.count(inside) % 2 else inside
            continue
        if header := HEADER.match(line):
            table = tuple(header[2].split("."))
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                places.setdefault(table, number)
                table = (*table, counts[header[2]])
            places[table] = number
        elif key := KEY.match(line):
            places[(*table, key[1].strip('"'))] = number
        inside = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return places
