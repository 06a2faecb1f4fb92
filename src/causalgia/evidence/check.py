"""Looks through the evidence and the library for what is wrong: bad studies, dead links, sources that name no study."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from causalgia.documents.errors import InputError
from causalgia.documents.reader import LIBRARY, kind_of
from causalgia.evidence.base import Evidence, own_folder, read
from causalgia.evidence.claims import Claim, load, reason
from causalgia.evidence.lines import Place, line_of
from causalgia.evidence.schemas import Study
from causalgia.evidence.words import FOLDER, words

KINDS = ("study", "claims", "words")
SOURCED = ("drugs", "conditions", "models", "instruments", "protocols", "calibration")
ASSUMED = "assumed"
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
NAMED = re.compile(r"\b[A-Za-z]+(?:_[A-Za-z]+)*\d{4}(?:_[A-Za-z0-9]+)*\b")


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what is wrong, each problem with its file and key."""

    studies: int
    outcomes: int
    claims: int
    sources: int
    problems: tuple[str, ...]


def check(*folders: Path) -> Checked:
    """Every study, claim and source of a model parameter; problems are listed, not raised."""
    places = folders or tuple(dict.fromkeys((FOLDER, own_folder())))
    studies, problems = _studies(places)
    evidence = Evidence(studies, words(tuple(folder for folder in places if folder.is_dir())))
    outcomes = sum(len(study.outcomes) for study in studies.values())
    number, wrong = _claims(evidence)
    problems += wrong
    total = 0
    for path, place, source in sources():
        total += 1
        missing = unresolved(source, evidence)
        if missing:
            text = path.read_text(encoding="utf-8")
            where = f"{path}, line {line_of(text, place)}, key {'.'.join(map(str, place))}"
            remedy = f"Add a study {missing}, or an alias to one."
            problems.append(str(InputError(where, repr(source), "a source that is a study of the evidence", remedy)))
    return Checked(len(studies), outcomes, number, total, tuple(problems))


def check_file(path: Path) -> list[str]:
    """What one file of the evidence holds; raises InputError, with file, line and key, for what is wrong in it."""
    kind = kind_of(path)
    if kind == "words":
        vocabulary = words((path.parent,))
        return [f"words: {len(vocabulary.conditions)} conditions, {len(vocabulary.measures)} measures, all known keys"]
    if kind == "claims":
        found = load(path).claims
        problems = _links(found, Evidence.load())
        if problems:
            raise InputError(str(path), problems[0], "links and figures that lead to findings", "Correct them.")
        return [f"claims: {len(found)}, every link and figure leads to a finding"]
    folders = tuple(folder for folder in dict.fromkeys((FOLDER, own_folder(), path.parent.parent)) if folder.is_dir())
    study = read(path, words(folders))
    return [f"study: {len(study.arms)} arms, {len(study.outcomes)} findings, every one with how and where it was read"]


def _studies(places: tuple[Path, ...]) -> tuple[dict[str, Study], list[str]]:
    vocabulary = words(tuple(folder for folder in places if folder.is_dir()))
    studies: dict[str, Study] = {}
    problems: list[str] = []
    for folder in places:
        for path in sorted((folder / "studies").glob("*.toml")):
            try:
                study = read(path, vocabulary, own=folder != FOLDER)
            except InputError as error:
                problems.append(str(error))
                continue
            taken = {name: other for other in studies.values() for name in (other.key, *other.aliases)}
            clash = next((name for name in (study.key, *study.aliases) if name in taken), None)
            if clash is not None:
                problems.append(str(InputError(str(path), repr(clash), "a name of its own", "Rename it.")))
            studies[study.key] = study
    return studies, problems


def _claims(evidence: Evidence) -> tuple[int, list[str]]:
    try:
        found = load(FOLDER / "claims.toml").claims
    except InputError as error:
        return 0, [str(error)]
    return len(found), _links(found, evidence)


def _links(found: Iterable[Claim], evidence: Evidence) -> list[str]:
    """Links and figures of claims that lead nowhere."""
    problems: list[str] = []
    for claim in found:
        for link in (*claim.decides, None):
            try:
                if link is None:
                    reason(claim, evidence)
                elif ":" in link:
                    evidence.outcome(link)
                else:
                    evidence.study(link)
            except InputError as error:
                problems.append(f"claim {claim.number}: {error}")
    return problems


def sources(root: Path = LIBRARY) -> Iterator[tuple[Path, Place, str]]:
    """Every source that the documents of the library give, with file and key."""
    for folder in SOURCED:
        for path in sorted((root / folder).glob("*.toml")):
            try:
                table = tomllib.loads(path.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                continue  # `causalgia check` says so
            yield from ((path, place, text) for place, text in _walk(table, ()))


def unknown_sources(table: dict[str, Any]) -> list[str]:
    """Study keys that the sources of one document name and the evidence has not, each with its place."""
    evidence = Evidence.load(FOLDER)
    found = ((place, unresolved(text, evidence)) for place, text in _walk(table, ()))
    return [f"{'.'.join(map(str, place))}: {key}" for place, key in found if key]


def _walk(entry: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(entry, dict):
        for key, value in entry.items():
            if isinstance(value, str) and (key == "source" or key.endswith("_source")):
                yield (*place, key), value
            else:
                yield from _walk(value, (*place, key))
    elif isinstance(entry, list):
        for k, value in enumerate(entry):
            yield from _walk(value, (*place, k))


def unresolved(source: str, evidence: Evidence) -> str:
    """The study that a source names and the evidence has not; an empty text when all is well.

    A source begins with a study key, or with "assumed"; keys inside an assumption must be there too.
    """
    return next((key for key in named(source) if evidence.resolve(key) is None), "")


def named(source: str) -> list[str]:
    """The study keys in a source: the one it begins with, unless it is an assumption, and those of its text."""
    first = [] if source.startswith(ASSUMED) else [found[0] if (found := KEY.match(source)) else source]
    return first + NAMED.findall(source)
