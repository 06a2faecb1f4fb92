"""Reads a document: finds it in the library or at a path, parses the TOML and checks it against its schema."""

from __future__ import annotations

import hashlib
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from causalgia.documents.errors import InputError

LIBRARY = Path(__file__).resolve().parent.parent / "library"

# Where documents of each kind live in the library.
FOLDERS = {
    "protocol": "protocols",
    "condition": "conditions",
    "drug": "drugs",
    "instrument": "instruments",
    "parameters": "models",
    "patient": "patients",
    "therapies": "therapies",
    "weights": "weights",
    "targets": "calibration",
}

Schema = TypeVar("Schema", bound=BaseModel)


def names(kind: str) -> list[str]:
    """Names of the library's documents of one kind, sorted."""
    return sorted(path.stem for path in (LIBRARY / FOLDERS[kind]).glob("*.toml"))


def find(kind: str, name: str | Path) -> Path:
    """Path of a document given by library name or by path.

    Raises InputError when neither exists.
    """
    text = str(name)
    if text.endswith(".toml") or "/" in text:
        path = Path(text)
        if path.is_file():
            return path
        raise InputError(text, "no such file", f"a {kind} document", "Check the path.")
    path = LIBRARY / FOLDERS[kind] / f"{text}.toml"
    if path.is_file():
        return path
    known = ", ".join(names(kind))
    raise InputError(
        f"{kind} {text!r}", "no such name", f"one of {known}, or a path ending in .toml", "Check the name."
    )


def load(schema: type[Schema], kind: str, name: str | Path) -> Schema:
    """A validated, frozen document of one kind, with the path it came from and the hash of its bytes."""
    path = find(kind, name)
    return _read(schema, kind, path, _contents(kind, path))


def _contents(kind: str, path: Path) -> tuple[bytes, ...]:
    """The bytes of a document and of those it is based on, itself first."""
    paths, contents = [path], []
    while True:
        try:
            contents.append(paths[-1].read_bytes())
        except OSError as error:
            raise InputError(str(path), f"an unreadable file ({error.strerror})", "a TOML document") from None
        if not re.search(rb"^base\s*=", contents[-1], re.MULTILINE):
            return tuple(contents)
        paths.append(find(kind, str(_table(paths[-1], contents[-1]).get("base"))))
        if paths[-1] in paths[:-1]:
            raise InputError(f"{path}, key base", "documents based on each other", "a base of its own", "Correct it.")


def kind_of(path: Path) -> object:
    """What a document says it is, before anything else of it is checked."""
    return _table(path, path.read_bytes()).get("kind")


def _table(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"invalid TOML ({error})", "a TOML document", "Mend the line named.") from None


@lru_cache(maxsize=256)
def _read(schema: type[Schema], kind: str, path: Path, contents: tuple[bytes, ...]) -> Schema:
    """The document in `contents`; cached, since frozen documents can be shared and are asked for often."""
    table = _table(path, contents[0])
    if table.get("kind") != kind:
        raise InputError(f"{path}, key kind", repr(table.get("kind")), repr(kind), f'Begin with kind = "{kind}".')
    for content in contents[1:]:
        table = _merged(_table(path, content), table)
    table["path"] = path
    table["digest"] = hashlib.sha256(b"".join(contents)).hexdigest()
    return validate(schema, table, path)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A base with a document's own keys on top, table by table; a number, which has a source, is replaced whole."""
    result = dict(base)
    for key, value in own.items():
        under = result.get(key)
        whole = not isinstance(value, dict) or not isinstance(under, dict) or "source" in value or "source" in under
        result[key] = value if whole else _merged(under or {}, value)
    return result


def validate(schema: type[Schema], table: dict[str, Any], path: Path) -> Schema:
    """`table` as `schema`; the first problem becomes an InputError that names file and key."""
    try:
        return schema.model_validate(table)
    except ValidationError as error:
        problems = error.errors()
        first = problems[0]
        key = ".".join(str(part) for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            where = f"{path}, key {'.'.join(part for part in (key, cause.where) if part)}"
            raise InputError(where, cause.found, cause.expected, cause.remedy) from None
        found, expected = _describe(first)
        others = f" ({len(problems) - 1} more after this one.)" if len(problems) > 1 else ""
        raise InputError(f"{path}, key {key}", found, expected, _remedy(first) + others) from None


def _describe(problem: ErrorDetails) -> tuple[str, str]:
    if problem["type"] == "extra_forbidden":
        return "an unknown key", "only keys that this document has"
    if problem["type"] == "missing":
        return "nothing", "a value"
    message = problem["msg"]
    return repr(problem["input"]), message.removeprefix("Value error, ").removeprefix("Input should be ")


def _remedy(problem: ErrorDetails) -> str:
    if problem["type"] == "extra_forbidden":
        return "Remove it or correct its spelling."
    if problem["type"] == "missing":
        return "Add it."
    return "Correct it."
