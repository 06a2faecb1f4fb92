"""A REDCap project for a protocol's trial: data dictionary, events, which form at which event, and the mapping back.

REDCap's data dictionary has one row a field and 18 columns; events and designations are the two further files that its
"Define My Events" and "Designate Instruments" pages import. `redcap_mapping` makes the document by which
`redcap_export.from_redcap` turns an export of the project into the tables of the analysis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import polars as pl

from causalgia.documents import Instrument, Protocol
from causalgia.documents.protocol import Measurement

# Headings of a data dictionary, as REDCap exports and imports them.
HEADINGS = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
SUBJECT, THROUGHOUT = "record_id", "throughout_arm_1"
ENROLMENT, RANDOMISATION, COMPLETION = "enrolment", "randomisation", "completion"
REPEATED = {"dosing": "adex", "adverse_event": "adae", "intercurrent_event": "adice"}
SHORT = {"affected": "_aff", "contralateral": "_con", "patient": ""}
SCREEN_FAILURE = "Screen Failure"


class Field(NamedTuple):
    """A field of the dictionary; what stays empty in every trial of ours has no place here."""

    name: str
    form: str
    type: str
    label: str
    choices: str = ""
    note: str = ""
    validation: str = ""
    low: str = ""
    high: str = ""
    identifier: bool = False
    branching: str = ""
    required: bool = False
    annotation: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """The field's row of the dictionary."""
        yes = {True: "y", False: ""}
        head = (self.name, self.form, "", self.type, self.label, self.choices, self.note, self.validation)
        limits = (self.low, self.high, yes[self.identifier], self.branching, yes[self.required])
        return (*head, *limits, "", "", "", "", self.annotation)


class Reading(NamedTuple):
    """One reading of an instrument at a visit, and the fields that hold it."""

    instrument: Instrument
    side: str
    replicate: int

    @property
    def value(self) -> str:
        """Field of the value: code, side and, of replicates, number."""
        replicate = f"_{self.replicate}" if self.instrument.scale == "log" or self.replicate > 1 else ""
        return f"{stem(self.instrument)}{SHORT.get(self.side, '_' + slug(self.side))}{replicate}"

    @property
    def below(self) -> str:
        """Field that says whether the value is below the limit of quantification."""
        return f"{self.value}_blq"


def redcap_dictionary(protocol: Protocol) -> pl.DataFrame:
    """The data dictionary of a protocol's trial: 18 columns of text, one row a field, the fields of a form together."""
    rows = [field.row for field in fields(protocol)]
    return pl.DataFrame(rows, schema=dict.fromkeys(HEADINGS, pl.String), orient="row")


def redcap_events(protocol: Protocol) -> pl.DataFrame:
    """The events of the project: one a visit of the protocol, and one for what may happen at any time."""
    rows = [(title(week), "1", f"{week * 7:g}", "0", "0", event(week), "") for week in weeks(protocol)]
    rows.append(("Throughout", "1", f"{protocol.follow_up * 7:g}", "0", "0", THROUGHOUT, ""))
    names = ("event_name", "arm_num", "day_offset", "offset_min", "offset_max", "unique_event_name")
    return pl.DataFrame(rows, schema=dict.fromkeys((*names, "custom_event_label"), pl.String), orient="row")


def redcap_designations(protocol: Protocol) -> pl.DataFrame:
    """Which form is filled in at which event. Forms of `REPEATED` must be marked as repeating in REDCap."""
    first = event(min(weeks(protocol)))
    rows = [("1", first, ENROLMENT), ("1", event(0.0), RANDOMISATION)]
    for measure, row in protocol.schedule.items():
        rows += [("1", event(week), slug(measure)) for week in row.at]
    rows += [("1", THROUGHOUT, form) for form in (*REPEATED, COMPLETION)]
    return pl.DataFrame(rows, schema=dict.fromkeys(("arm_num", "unique_event_name", "form"), pl.String), orient="row")


def weeks(protocol: Protocol) -> list[float]:
    """The visits of the protocol, week 0 among them."""
    return sorted({0.0, *(week for row in protocol.schedule.values() for week in row.at)})


def title(week: float) -> str:
    """A visit's event; a minus sign would be lost in REDCap's unique names."""
    return f"Week {week:g}" if week >= 0 else f"Week {-week:g} before"


def event(week: float) -> str:
    """REDCap's unique name of a visit's event: what is neither letter nor digit is dropped, spaces become _."""
    return f"{re.sub('[^a-z0-9 ]', '', title(week).lower()).replace(' ', '_')}_arm_1"


def slug(text: str) -> str:
    """Text as REDCap wants names: small letters, digits and _."""
    return re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")


def stem(instrument: Instrument) -> str:
    """What the fields of an instrument begin with; a name of REDCap begins with a letter."""
    code = slug(instrument.paramcd)
    return code if code[:1].isalpha() else f"x{code}"


def readings(instrument: Instrument, row: Measurement) -> list[Reading]:
    """Every reading that one visit has of an instrument."""
    return [Reading(instrument, side, i) for side in row.sides for i in range(1, row.replicates + 1)]


def codes(protocol: Protocol) -> dict[str, str]:
    """Codes of the arms in REDCap."""
    return {str(i): name for i, name in enumerate(protocol.arms, start=1)}


def fields(protocol: Protocol) -> Iterator[Field]:
    """The fields of the project in order; the first is the number of the record."""
    yield from _enrolment(protocol)
    form = RANDOMISATION
    yield Field("randomised", form, "yesno", "Randomised?", required=True)
    shown: dict[str, Any] = {"branching": "[randomised] = '1'", "required": True}
    yield _number("randomisation_no", form, "Order of randomisation", low="1", whole=True, **shown)
    yield _date("randomisation_date", form, "Date of randomisation", **shown)
    arms = " | ".join(f"{code}, {name}" for code, name in codes(protocol).items())
    yield Field("arm", form, "radio", "Arm", arms, "Unblinded staff only: restrict this form by user rights.", **shown)
    for measure, row in protocol.schedule.items():
        yield from _instrument(measure, Instrument.load(measure), row)
    yield from _throughout()


def _enrolment(protocol: Protocol) -> Iterator[Field]:
    form = ENROLMENT
    yield Field(SUBJECT, form, "text", "Number of the subject", required=True)
    yield Field("siteid", form, "text", "Centre")
    yield _date("consent_date", form, "Date of informed consent", required=True)
    yield _date("injury_date", form, "Date of the injury", required=True)
    yield _number("age", form, "Age in years", low="0", high="120", whole=True)
    yield Field("sex", form, "radio", "Sex", "F, Female | M, Male")
    yield _number("weight", form, "Weight in kg", low="20", high="300")
    if protocol.gate is not None:
        label = f"Gate passed: {protocol.gate.rule}"
        yield Field("gate_passed", form, "yesno", label, note="Judged on the screening sample only.", required=True)


def _instrument(measure: str, instrument: Instrument, row: Measurement) -> Iterator[Field]:
    form, prefix = slug(measure), stem(instrument)
    yield _date(f"{prefix}_date", form, f"{instrument.title}: date")
    if instrument.scale == "log":
        yield _number(
            f"{prefix}_lloq", form, f"Lower limit of quantification of the plate ({instrument.unit})", low="0"
        )
        yield Field(f"{prefix}_plate", form, "text", "Assay plate")
    low, high = ("", "") if instrument.range is None else (f"{limit:g}" for limit in instrument.range)
    whole = instrument.step is not None and instrument.step == int(instrument.step)
    for reading in readings(instrument, row):
        label = f"{instrument.title}, {reading.side}"
        if instrument.scale == "linear":
            note = f"Unit: {instrument.unit}"
            yield _number(reading.value, form, label, note=note, low=low, high=high, whole=whole)
            continue
        label += f", replicate {reading.replicate}"
        yield Field(reading.below, form, "yesno", f"{label}: below the limit of quantification?")
        hidden = f"[{reading.below}] <> '1'"
        note = f"Unit: {instrument.unit}. Never half the limit in place of a value below it."
        yield _number(reading.value, form, label, note=note, low=low or "0", high=high, branching=hidden)


def _throughout() -> Iterator[Field]:
    form = "dosing"
    yield Field("dose_treatment", form, "text", "Treatment given", note="As blinded: kit or name.")
    yield _number("dose_mg", form, "Dose in mg", low="0")
    yield Field("dose_route", form, "text", "Route")
    yield _date("dose_date", form, "Date of the dose")
    form = "adverse_event"
    yield Field("ae_term", form, "text", "Adverse event")
    yield _date("ae_start", form, "Start")
    yield _date("ae_end", form, "End")
    yield Field("ae_serious", form, "yesno", "Serious?")
    yield Field("ae_severity", form, "radio", "Severity", "MILD, Mild | MODERATE, Moderate | SEVERE, Severe")
    form = "intercurrent_event"
    kinds = ("WITHDRAWAL", "RESCUE ANALGESIC", "RESCUE IMMUNOSUPPRESSANT", "STOPPED FOR ADVERSE EVENT", "OTHER")
    choices = " | ".join(f"{slug(kind)}, {kind.capitalize()}" for kind in kinds)
    yield Field("ice_kind", form, "radio", "Intercurrent event", choices)
    yield _date("ice_date", form, "Date")
    form = COMPLETION
    yield Field("end_status", form, "radio", "How the trial ended", "COMPLETED, Completed | DISCONTINUED, Discontinued")
    yield Field("end_reason", form, "text", "Reason", branching="[end_status] = 'DISCONTINUED'")
    yield _date("end_date", form, "Date of the end")


def _date(name: str, form: str, label: str, **more) -> Field:
    return Field(name, form, "text", label, validation="date_ymd", identifier=True, **more)


def _number(name: str, form: str, label: str, *, whole: bool = False, **more) -> Field:
    return Field(name, form, "text", label, validation="integer" if whole else "number", **more)
