"""What a protocol names in other documents: that it is there, and that it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from causalgia.documents import expressions, reader
from causalgia.documents.errors import InputError
from causalgia.documents.parameters import Document
from causalgia.documents.schemas import Condition, Drug, Instrument
from causalgia.documents.units import converts, factor

if TYPE_CHECKING:
    from causalgia.documents.arms import Course
    from causalgia.documents.protocol import Protocol

Named = TypeVar("Named", bound=Document)


def check_links(protocol: Protocol) -> None:
    """Raises InputError, with the protocol's file and key, for what no other document has or what does not fit it."""
    condition = _named(protocol.path, "population.condition", Condition, protocol.population.condition)
    if condition.model not in reader.names("parameters"):
        known = ", ".join(reader.names("parameters"))
        raise InputError(f"{condition.path}, key model", repr(condition.model), f"one of {known}", "Correct it.")
    for name, arm in protocol.arms.items():
        for course in arm.courses:
            _check_course(protocol, name, course)
    for name, row in protocol.schedule.items():
        instrument = _named(protocol.path, f"schedule.{name}", Instrument, name)
        wrong = [side for side in row.sides if side not in instrument.signal]
        if wrong:
            where = f"{protocol.path}, key schedule.{name}.sides"
            raise InputError(
                where, repr(wrong[0]), f"sides that {name} reads: {', '.join(instrument.signal)}", "Mend it."
            )
    _check_endpoints(protocol)


def _check_course(protocol: Protocol, arm: str, course: Course) -> None:
    where = f"{protocol.path}, key arms.{arm}"
    drug = _named(protocol.path, f"arms.{arm}.drug", Drug, course.drug or "")
    if course.route not in drug.routes:
        found, expected = repr(course.route), f"a route of {drug.name}: {', '.join(drug.routes)}"
        raise InputError(f"{where}.route", found, expected, "Correct it.")
    try:
        drug.with_kinetics(course.kinetics)
    except InputError as error:
        raise InputError(f"{where}.{error.where}", error.found, error.expected, error.remedy) from None


def _check_endpoints(protocol: Protocol) -> None:
    """The scales and units that the gate and the two analyses need."""
    endpoints, gate = protocol.endpoints, protocol.gate
    for key in ("second", "responder"):
        if getattr(endpoints.lowered, key) is not None:
            where = f"{protocol.path}, key endpoints.lowered.{key}"
            raise InputError(where, key, "the clinical endpoint alone to have it", "Remove it.")
    needed = [
        ("endpoints.lowered", endpoints.lowered.measure, endpoints.lowered.side, "log"),
        ("endpoints.relieved", endpoints.relieved.measure, endpoints.relieved.side, "linear"),
    ]
    if gate is not None:
        needed.append(("gate", gate.measure, gate.side, "log"))
        _check_unit(protocol, "gate.rule", gate.parsed.unit, gate.measure)
    for key, measure, side, scale in needed:
        instrument = Instrument.load(measure)
        where = f"{protocol.path}, key {key}.measure"
        if instrument.scale != scale:
            found = f"{measure!r}, read on a {instrument.scale} scale"
            raise InputError(where, found, f"an instrument on a {scale} scale", "Choose another.")
        if "adverse" in expressions.symbols(instrument.signal[side]):
            found = f"{measure!r}, which reads adverse events"
            raise InputError(where, found, "an instrument that reads the model alone", "Choose another.")
    relieved = endpoints.relieved
    if relieved.responder is None:
        _check_unit(protocol, "endpoints.relevant.unit", endpoints.relevant.unit, relieved.measure)
        return
    if not converts(endpoints.relevant.unit, "1"):
        found = repr(endpoints.relevant.unit)
        raise InputError(f"{protocol.path}, key endpoints.relevant.unit", found, "a share (unit 1)", "Correct it.")
    if not relieved.responder.relative:
        _check_unit(protocol, "endpoints.relieved.responder.unit", relieved.responder.unit, relieved.measure)


def _check_unit(protocol: Protocol, key: str, unit: str, measure: str) -> None:
    try:
        factor(unit, Instrument.load(measure).unit)
    except InputError as error:
        raise InputError(f"{protocol.path}, key {key}", error.found, error.expected, error.remedy) from None


def _named(path: Path, key: str, schema: type[Named], name: str) -> Named:
    """The document that a key names; what is wrong inside it is told by its own file and key."""
    try:
        reader.find(schema.KIND, name)
    except InputError as error:
        raise InputError(f"{path}, key {key}", repr(name), error.expected, "Correct the name.") from None
    return schema.load(name)
