"""The mapping document of a REDCap project: which field becomes which column of the analysis's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from causalgia.analysis import redcap
from causalgia.analysis.variables import VARIABLES
from causalgia.documents import InputError, Instrument, Protocol
from causalgia.documents.parameters import Document, Page


class Column(Page):
    """Where a column of a table comes from: a field, the day of a date from randomisation, or days between two dates.

    `values` translates a field's codes, and every code must be in it; `otherwise` stands where the field is empty.
    """

    field: str | None = None
    values: dict[str, str] = {}
    otherwise: str = ""
    day: str | None = None
    days: tuple[str, str] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        given = [key for key in ("field", "day", "days") if getattr(self, key) is not None]
        if len(given) != 1:
            raise InputError("", " and ".join(given) or "none of them", "one of field, day, days", "Keep one.")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the export that it needs."""
        return self.days or ((self.field or self.day or ""),)


class ReadingFields(Page):
    """One reading of a visit: what it is, and the fields of its value, limit, plate and date."""

    table: Literal["adlb", "adqs"]
    paramcd: str
    side: str
    replicate: int = 1
    unit: str = ""
    specimen: str = ""
    value: str
    below: str | None = None
    limit: str | None = None
    plate: str | None = None
    date: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the export that it needs."""
        return tuple(name for name in (self.value, self.below, self.limit, self.plate, self.date) if name is not None)


class Records(Page):
    """A repeating form and the table that each of its records is a row of."""

    table: Literal["adae", "adex", "adice"]
    form: str
    columns: dict[str, Column]


class RedcapMapping(Document):
    """How the fields of a REDCap project become the tables of the analysis.

    `visits` gives the week of each event; `subjects` the columns of adsl, whose RANDDT is day 1. `below` is a yes/no
    field whose 1 means below the limit of quantification.
    """

    KIND = "redcap"
    name: str
    subject: str = redcap.SUBJECT
    event: str = "redcap_event_name"
    repeat: str = "redcap_repeat_instrument"
    visits: dict[str, float]
    subjects: dict[str, Column]
    readings: list[ReadingFields]
    records: list[Records] = []

    @classmethod
    def load(cls, name: str | Path) -> RedcapMapping:
        """The mapping at a path ending in .toml; InputError names file and key of what is wrong."""
        if Path(name).suffix != ".toml":
            raise InputError(str(name), "no path ending in .toml", "a mapping document", "Check the path.")
        return super().load(name)

    @model_validator(mode="after")
    def _consistent(self) -> RedcapMapping:
        tables = [("subjects", self.subjects), *((f"records.{r.form}", r.columns) for r in self.records)]
        for key, columns in tables:
            unknown = [name for name in columns if name not in VARIABLES]
            if unknown:
                raise InputError(key, repr(unknown[0]), "variables of the tables, such as ARM", "Correct the name.")
        if "RANDDT" in self.subjects and self.subjects["RANDDT"].field is None:
            raise InputError("subjects.RANDDT", "no field", "the field of the date of randomisation", "Add it.")
        return self

    @property
    def fields(self) -> list[str]:
        """Every field that an export must have."""
        columns = [*self.subjects.values(), *(c for record in self.records for c in record.columns.values())]
        named = [name for column in columns for name in column.fields]
        named += [name for reading in self.readings for name in reading.fields]
        return list(dict.fromkeys([self.subject, self.event, *named]))


def redcap_mapping(protocol: Protocol) -> str:
    """The mapping document, as TOML, of the project that `redcap.redcap_dictionary` describes."""
    yes_no = '{ 1 = "Y", 0 = "N" }'
    arms = ", ".join(
        f"{code} = {json.dumps(name, ensure_ascii=False)}" for code, name in redcap.codes(protocol).items()
    )
    lines = [
        f"# How an export of the REDCap project of {protocol.name} becomes the tables of the analysis.",
        'kind = "redcap"',
        f"name = {json.dumps(protocol.name, ensure_ascii=False)}",
        "",
        "[visits]  # event of the project = week of the protocol",
        *(f"{redcap.event(week)} = {week:g}" for week in redcap.weeks(protocol)),
        "",
        "[subjects]  # columns of adsl",
        'SITEID = { field = "siteid" }',
        f'ARM = {{ field = "arm", values = {{ {arms} }}, otherwise = "{redcap.SCREEN_FAILURE}" }}',
        f'ITTFL = {{ field = "randomised", values = {yes_no}, otherwise = "N" }}',
        'RANDNO = { field = "randomisation_no" }',
        'RANDDT = { field = "randomisation_date" }',
        'RFICDT = { field = "consent_date" }',
        'INJDT = { field = "injury_date" }',
        'DURDAYS = { days = ["injury_date", "consent_date"] }',
        *([f'GATEFL = {{ field = "gate_passed", values = {yes_no} }}'] if protocol.gate is not None else []),
        'AGE = { field = "age" }',
        'SEX = { field = "sex" }',
        'WEIGHTBL = { field = "weight" }',
        'EOSSTT = { field = "end_status" }',
        'DCSREAS = { field = "end_reason" }',
        'EOSDT = { field = "end_date" }',
    ]
    for measure, row in protocol.schedule.items():
        for reading in redcap.readings(Instrument.load(measure), row):
            lines += ["", "[[readings]]", *_reading_lines(reading)]
    for form, columns in FORMS.items():
        lines += ["", "[[records]]", f'table = "{redcap.REPEATED[form]}"', f'form = "{form}"', "[records.columns]"]
        lines += columns
    return "\n".join(lines) + "\n"


# Columns of the repeating forms; dates give the days that the analysis counts.
FORMS = {
    "dosing": (
        'EXTRT = { field = "dose_treatment" }',
        'EXDOSE = { field = "dose_mg" }',
        'EXROUTE = { field = "dose_route" }',
        'ASTDT = { field = "dose_date" }',
        'EXSTDY = { day = "dose_date" }',
    ),
    "adverse_event": (
        'AETERM = { field = "ae_term" }',
        'ASTDT = { field = "ae_start" }',
        'AENDT = { field = "ae_end" }',
        'AESTDY = { day = "ae_start" }',
        'AEENDY = { day = "ae_end" }',
        'AESER = { field = "ae_serious", values = { 1 = "Y", 0 = "N" } }',
        'AESEV = { field = "ae_severity" }',
    ),
    "intercurrent_event": (
        'ICE = { field = "ice_kind", values = { withdrawal = "WITHDRAWAL", rescue_analgesic = "RESCUE ANALGESIC", '
        'rescue_immunosuppressant = "RESCUE IMMUNOSUPPRESSANT", '
        'stopped_for_adverse_event = "STOPPED FOR ADVERSE EVENT", other = "OTHER" } }',
        'ICEDT = { field = "ice_date" }',
        'ICEDY = { day = "ice_date" }',
    ),
}


def _reading_lines(reading: redcap.Reading) -> list[str]:
    instrument, prefix = reading.instrument, redcap.stem(reading.instrument)
    given = {
        "table": "adlb" if instrument.scale == "log" else "adqs",
        "paramcd": instrument.paramcd,
        "side": reading.side.upper(),
        "unit": instrument.unit,
        "value": reading.value,
        "date": f"{prefix}_date",
    }
    if instrument.scale == "log":
        given |= {"specimen": instrument.specimen, "below": reading.below}
        given |= {"limit": f"{prefix}_lloq", "plate": f"{prefix}_plate"}
    return [
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in given.items()),
        f"replicate = {reading.replicate}",
    ]
