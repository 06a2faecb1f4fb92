"""The evidence: every study file and the claims, read and checked, with the lookups that the rest needs."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from causalgia.documents import reader
from causalgia.documents.errors import InputError
from causalgia.evidence.lines import Place, line_of
from causalgia.evidence.schemas import ALL, Outcome, Study
from causalgia.evidence.words import DIFFERENCE, FOLDER, LEVEL, Words, words

VARIABLE = "CAUSALGIA_EVIDENCE"
Schema = TypeVar("Schema", bound=BaseModel)


@dataclass(frozen=True)
class Evidence:
    """All studies by key, sorted; the words they are written in."""

    studies: dict[str, Study]
    words: Words

    @classmethod
    def load(cls, *folders: Path) -> Evidence:
        """The studies of the library and of the reader's own folder, or of the folders given.

        Raises InputError with file, line and key.
        """
        places = folders or tuple(dict.fromkeys((FOLDER, own_folder())))
        vocabulary = words(tuple(folder for folder in places if folder.is_dir()))
        studies: dict[str, Study] = {}
        for folder in places:
            for path in sorted((folder / "studies").glob("*.toml")):
                study = read(path, vocabulary, own=folder != FOLDER)
                if study.key in studies:
                    found = f"a second study {study.key!r}"
                    raise InputError(str(path), found, f"one beside {studies[study.key].path}", "Rename the file.")
                studies[study.key] = study
        return cls(dict(sorted(studies.items(), key=lambda item: item[0].lower())), vocabulary)

    def study(self, key: str) -> Study:
        """The study of that key or alias; InputError names the nearest ones."""
        found = self.resolve(key)
        if found is None:
            from difflib import get_close_matches

            near = get_close_matches(key, [*self.studies, *self._aliases], n=3, cutoff=0.4)
            expected = f"a study, such as {', '.join(near)}" if near else "a study that evidence list shows"
            raise InputError(f"study {key!r}", "no such key", expected, "Correct it.")
        return found

    def resolve(self, key: str) -> Study | None:
        """The study of that key or alias, if there is one."""
        return self.studies.get(key) or self._aliases.get(key)

    def outcome(self, link: str) -> tuple[Study, Outcome]:
        """The outcome that "study:outcome" names; InputError where it names none."""
        key, _, name = link.partition(":")
        study = self.study(key)
        outcome = study.outcome(name)
        if outcome is None:
            known = ", ".join(found.id for found in study.outcomes) or "none"
            raise InputError(link, f"no outcome {name!r}", f"one of {study.key}: {known}", "Correct the link.")
        return study, outcome

    def select(self, drug: str | None = None, condition: str | None = None, measure: str | None = None) -> list[Study]:
        """Studies of a drug (or class), a condition and a measure, each where it is given."""
        drugs = self.words.drug(drug) if drug else None
        place = self.words.condition(condition) if condition else None
        wanted = self.words.measure(measure) if measure else None
        return [
            study
            for study in self.studies.values()
            if (drugs is None or set(drugs) & set(study.drugs))
            and (place is None or place in study.conditions)
            and (wanted is None or any(outcome.measure == wanted for outcome in study.outcomes))
        ]

    def outcomes(self) -> Iterator[tuple[Study, Outcome]]:
        """Every outcome with its study."""
        return ((study, outcome) for study in self.studies.values() for outcome in study.outcomes)

    @cached_property
    def _aliases(self) -> dict[str, Study]:
        return {alias: study for study in self.studies.values() for alias in study.aliases}


def own_folder() -> Path:
    """Where `evidence add` puts studies: the folder that CAUSALGIA_EVIDENCE names, or the user's data folder."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "causalgia" / "evidence"


def read(path: Path, vocabulary: Words, own: bool = False) -> Study:
    """The study in a file; InputError names file, line and key of the first thing wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"an unreadable file ({error.strerror})", "a study (.toml)") from None
    study = _parse(path, content, own)
    _check_words(study, content.decode("utf-8"), vocabulary)
    return study


def add(path: Path, force: bool = False) -> Path:
    """Checks a study and copies it, whole or not at all, into the reader's own folder; gives the path it has there.

    Raises InputError for a bad study, and for a name that another study has unless it is one's own and forced.
    """
    folder = own_folder()
    if path.suffix != ".toml":
        raise InputError(str(path), "another kind of file", "a study, a file that ends in .toml", "Rename it.")
    study = read(path, words(tuple(place for place in (FOLDER, folder) if place.is_dir())), own=True)
    target = folder / "studies" / path.name
    evidence = Evidence.load()
    for name in (study.key, *study.aliases):
        other = evidence.resolve(name)
        if other is not None and not (force and other.own and other.key == study.key):
            remedy = "Rename the file, or add --force." if other.own else "Rename the file."
            raise InputError(str(path), f"the name {name!r}", f"one that no study has ({other.path} has it)", remedy)
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(path.read_bytes())
        part.replace(target)
    except OSError as error:
        found = f"a place that cannot be written ({error.strerror})"
        raise InputError(str(target), found, f"a writable folder; {VARIABLE} names another", "Choose one.") from None
    return target


@lru_cache(maxsize=1024)
def _parse(path: Path, content: bytes, own: bool) -> Study:
    text, table = _table(path, content)
    for key in ("key", "own"):
        if key in table:
            raise _error(
                path, text, (key,), InputError("", "an unknown key", "only keys that a study has", "Remove it.")
            )
    study = _validated(Study, path, text, {**table, "key": path.stem, "own": own})
    _check_arms(study, text)
    return study


def document(schema: type[Schema], path: Path) -> Schema:
    """The document at `path`; InputError names file, line and key of the first thing wrong with it."""
    return _validated(schema, path, *_table(path, path.read_bytes()))


def _table(path: Path, content: bytes) -> tuple[str, dict[str, Any]]:
    try:
        text = content.decode("utf-8")
        return text, tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"invalid TOML ({error})", "a TOML document", "Mend the line named.") from None


def _validated(schema: type[Schema], path: Path, text: str, table: dict[str, Any]) -> Schema:
    for key in ("path", "digest"):
        if key in table:
            raise _error(path, text, (key,), InputError("", "an unknown key", "only keys of the layout", "Remove it."))
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        return reader.validate(schema, {**table, "path": path, "digest": digest}, path)
    except InputError as error:
        _, _, key = error.where.partition(", key ")
        place: Place = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        raise _error(path, text, place, error) from None


def _error(path: Path, text: str, place: Place, error: InputError) -> InputError:
    """The same error with file, line and key; an outcome is called by its id."""
    names = list(place)
    if len(place) > 1 and isinstance(place[1], int):
        entries: Any = tomllib.loads(text).get(str(place[0]))
        entry = entries[place[1]] if isinstance(entries, list) and place[1] < len(entries) else {}
        label = entry.get("id") or entry.get("name") if isinstance(entry, dict) else None
        names[1:2] = [str(label or place[1] + 1)] if isinstance(entry, dict) else []
    where = f"{path}, line {line_of(text, place)}, key {'.'.join(map(str, names))}"
    return InputError(where, error.found, error.expected, error.remedy)


def _check_arms(study: Study, text: str) -> None:
    """Every outcome stands in an arm that the study has, and no id or arm comes twice."""
    names = {arm.name for arm in study.arms} | {ALL}
    seen: set[str] = set()
    for k, arm in enumerate(study.arms):
        if arm.name in seen:
            problem = InputError("", repr(arm.name), "a name of its own", "Rename it.")
            raise _error(study.path, text, ("arms", k, "name"), problem)
        seen.add(arm.name)
    seen.clear()
    for k, outcome in enumerate(study.outcomes):
        for key, name in (("arm", outcome.arm), ("versus", outcome.versus)):
            if name and name not in names:
                expected = f"an arm of the study: {', '.join(sorted(names))}"
                problem = InputError("", repr(name), expected, "Correct it, or add the arm.")
                raise _error(study.path, text, ("outcomes", k, key), problem)
        if outcome.id in seen:
            problem = InputError("", repr(outcome.id), "an id of its own", "Rename it.")
            raise _error(study.path, text, ("outcomes", k, "id"), problem)
        seen.add(outcome.id)


def _check_words(study: Study, text: str, vocabulary: Words) -> None:
    """Conditions, drugs, measures and units are known ones, and values are possible in their unit."""

    def refuse(place: Place, found: str, expected: str) -> InputError:
        remedy = "Correct it, or add the word to words.toml."
        return _error(study.path, text, place, InputError("", found, expected, remedy))

    for k, condition in enumerate(study.conditions):
        if condition not in vocabulary.conditions:
            raise refuse(("conditions", k), repr(condition), f"one of {', '.join(sorted(vocabulary.conditions))}")
    for k, arm in enumerate(study.arms):
        if arm.drug and arm.drug not in vocabulary.drugs:
            raise refuse(("arms", k, "drug"), repr(arm.drug), f"one of {', '.join(sorted(vocabulary.drugs))}")
    for k, outcome in enumerate(study.outcomes):
        measure = vocabulary.measures.get(outcome.measure)
        if measure is None:
            expected = f"one of {', '.join(sorted(vocabulary.measures))}"
            raise refuse(("outcomes", k, "measure"), repr(outcome.measure), expected)
        if outcome.unit and outcome.unit not in vocabulary.units:
            expected = f"one of {', '.join(sorted(vocabulary.units))}"
            raise refuse(("outcomes", k, "unit"), repr(outcome.unit), expected)
        if outcome.unit and measure.units and outcome.unit not in measure.units:
            expected = f"a unit of {outcome.measure}: {', '.join(measure.units)}"
            raise refuse(("outcomes", k, "unit"), repr(outcome.unit), expected)
        _check_values(study, text, k, vocabulary)


def _check_values(study: Study, text: str, k: int, vocabulary: Words) -> None:
    """No value outside what its unit can hold; a difference may be as wide as the scale."""
    outcome = study.outcomes[k]
    unit = vocabulary.units.get(outcome.unit)
    if unit is None or outcome.kind not in (LEVEL, DIFFERENCE, "share", "count"):
        return
    low, high = unit.low, unit.high
    if outcome.kind == DIFFERENCE:
        low = None if unit.high is None or unit.low is None else unit.low - unit.high
        high = None if low is None else -low
    given = {"value": (outcome.value,), "interval": outcome.interval, "quartiles": outcome.quartiles}
    for key, numbers in {**given, "range": outcome.range}.items():
        for number in numbers or ():
            if number is None or ((low is None or number >= low) and (high is None or number <= high)):
                continue
            limits = f"from {low:g}" if high is None else f"up to {high:g}" if low is None else f"{low:g} to {high:g}"
            problem = InputError("", f"{number:g}", f"{limits} {unit.title}".strip(), "Correct the value or the unit.")
            raise _error(study.path, text, ("outcomes", k, key), problem)
