"""A protocol of the library with other numbers, as the files that a person would write: what the app runs, the command
line can run too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

from causalgia.documents import Instrument, Protocol
from causalgia.documents.errors import InputError

DOSE = re.compile(r"\d+(\.\d+)? [A-Za-zµ]+(/[A-Za-z]+)?")


@dataclass(frozen=True)
class Numbers:
    """What can be changed: the primary arm's dose, the gate's limit and the assay's; None where there is no such."""

    dose: str | None = None
    gate: float | None = None
    limit: float | None = None


def numbers(protocol: Protocol) -> Numbers:
    """The protocol's own; the units are the dose's, the gate rule's and the instrument's."""
    courses = protocol.arms[protocol.treatment].courses
    dose = courses[0].dose if len(courses) == 1 and not protocol.arms[protocol.treatment].combine else None
    lloq = Instrument.load(protocol.endpoints.lowered.measure).lloq
    return Numbers(
        dose if isinstance(dose, str) else None,
        protocol.gate.parsed.limit if protocol.gate is not None else None,
        lloq.typical if lloq is not None else None,
    )


def edited(name: str, wanted: Numbers) -> dict[str, str]:
    """Texts by file name of a library protocol with other numbers, the protocol's first; none where nothing differs.

    Raises InputError for a number that cannot be; what a dose or a limit may be is for the documents to say.
    """
    protocol = Protocol.load(name)
    own = numbers(protocol)
    text, files = protocol.path.read_text(encoding="utf-8"), {}
    if wanted.dose is not None and wanted.dose != own.dose:
        text = _with_dose(text, protocol.treatment, wanted.dose)
    if wanted.gate is not None and wanted.gate != own.gate:
        text = _with_gate(text, protocol, wanted.gate)
    if wanted.limit is not None and wanted.limit != own.limit:
        measure = protocol.endpoints.lowered.measure
        file, files_text = _assay(measure, wanted.limit)
        files[file] = files_text
        text = re.sub(rf"^{re.escape(measure)} = ", f'"{file}" = ', text, flags=re.MULTILINE)
        text = text.replace(f'"{measure}"', f'"{file}"')
    return {} if text == protocol.path.read_text(encoding="utf-8") else {f"{name}.toml": text, **files}


def _with_dose(text: str, arm: str, dose: str) -> str:
    if not DOSE.fullmatch(dose):
        raise InputError("dose", repr(dose), "a number and a unit such as 5 mg/kg", "Correct it.")
    table = rf"(^\[arms\.\"?{re.escape(arm)}\"?\]\n(?:(?!\[).*\n)*?dose = )\"[^\"]*\""
    text, count = re.subn(table, lambda found: f'{found[1]}"{dose}"', text, flags=re.MULTILINE)
    if count != 1:
        raise InputError(f"arms.{arm}.dose", "a dose of several parts", "one dose", "Change it in a file of your own.")
    return text


def _with_gate(text: str, protocol: Protocol, limit: float) -> str:
    assert protocol.gate is not None
    rule = protocol.gate.rule
    _check("gate limit", limit)
    return text.replace(f'"{rule}"', f'"{rule.rsplit(" ", 2)[0]} {_plain(limit)} {protocol.gate.parsed.unit}"')


def _assay(measure: str, limit: float) -> tuple[str, str]:
    """An instrument like another but for its limit: file name and text."""
    _check("assay limit", limit)
    instrument = Instrument.load(measure)
    assert instrument.lloq is not None
    own = re.sub(
        r"^lloq = .*$",
        f'lloq = {{ value = {_plain(limit)}, unit = "{instrument.lloq.unit}", source = "assumed: set in the app" }}',
        instrument.path.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    return f"{measure}-limit-{_plain(limit)}.toml", own


def _check(where: str, value: float) -> None:
    if not (isfinite(value) and 1e-6 <= value <= 1e9):
        raise InputError(where, f"{value:g}", "a number from 0.000001 to 1,000,000,000", "Correct it.")


def _plain(value: float) -> str:
    """A number without an exponent, with at most six decimals."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
