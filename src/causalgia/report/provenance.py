"""Where the numbers of a report come from: documents with their hashes, what is assumed, and the studies cited."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from causalgia.documents import Condition, Instrument, Parameters, Protocol
from causalgia.documents.parameters import Parameter
from causalgia.documents.reader import LIBRARY
from causalgia.evidence.base import Evidence
from causalgia.evidence.check import named
from causalgia.evidence.words import FOLDER
from causalgia.population.dosing import drug_of, drugs_of

Json = dict[str, Any]
# What assumed numbers mean where neither their name nor the model page says so.
MEANINGS = {
    "recovery": "what the assay recovers of the analyte, relative",
    "S_injury": "size of the injury",
    "t_ada": "when antibodies against the drug begin to act",
    "T0 ~ IL60": "correlation of healthy TNF with healthy IL-6 between people",
    "settle": "time at rest before the injury",
    "entry": "time from injury to enrolment",
    "criteria": "who is enrolled",
    "female": "share of women",
    "reads": "share of drug-bound TNF that the assay reads",
}


def documents(protocol: Protocol) -> list[Json]:
    """Kind, name and SHA-256 of every document behind the numbers."""
    condition = Condition.load(protocol.population.condition)
    shared = Parameters.load(condition.model)
    used = [
        ("protocol", protocol.name, protocol),
        ("condition", condition.name, condition),
        ("parameters", condition.model, shared),
    ]
    used += [("drug", drug.name, drug) for drug in drugs_of(protocol)]
    used += [("instrument", read.name, read) for read in map(Instrument.load, protocol.schedule)]
    model = {"kind": "model", "name": condition.model, "sha256": hashlib.sha256(_model_page(condition)).hexdigest()}
    return [{"kind": kind, "name": name, "sha256": document.digest} for kind, name, document in used] + [model]


def _model_page(condition: Condition) -> bytes:
    return (LIBRARY / "models" / f"{condition.model}.ant").read_bytes()


def _numbers(protocol: Protocol) -> dict[str, dict[str, Parameter]]:
    """Every number behind a report, by the document it stands in."""
    condition = Condition.load(protocol.population.condition)
    groups: dict[str, dict[str, Parameter]] = {
        "protocol": {
            "screened per month": protocol.conduct.screened_per_month,
            "dropout": protocol.conduct.dropout,
            "relevant difference": protocol.endpoints.relevant,
        },
        condition.model: Parameters.load(condition.model).values,
        condition.name: {
            **condition.covariates,
            **condition.values,
            **condition.correlations,
            "settle": condition.history.settle,
            "entry": condition.history.entry,
        },
    }
    for world, page in condition.worlds.items():
        groups[f"world {world}"] = page.values
    for course in (course for arm in protocol.arms.values() for course in arm.courses):
        drug = drug_of(course)
        groups[drug.name] = groups.get(drug.name, {}) | drug.entries(course.route or "")
    for name in protocol.schedule:
        instrument = Instrument.load(name)
        errors = {"day error": instrument.day_error, "replicate error": instrument.replicate_error}
        rest = {"limit of quantification": instrument.lloq, "share of bound read": instrument.reads}
        groups[instrument.name] = {key: entry for key, entry in {**errors, **rest}.items() if entry is not None}
    return groups


def assumed(protocol: Protocol) -> list[Json]:
    """Every number without data behind it: where it stands, its value, the range left open, and why it was chosen."""
    condition = Condition.load(protocol.population.condition)
    meanings = MEANINGS | dict(re.findall(r'(\w+) is "([^"]*)"', _model_page(condition).decode()))
    rows = [
        _assumed_row(where, name, entry, meanings)
        for where, entries in _numbers(protocol).items()
        for name, entry in entries.items()
        if entry.assumed
    ]
    if condition.history.criteria_source.startswith("assumed"):
        source, criteria = condition.history.criteria_source, condition.history.criteria
        entry = Parameter(formula=criteria, source=source)
        rows.append(_assumed_row(condition.name, "criteria", entry, meanings))
    return rows


def _assumed_row(where: str, name: str, entry: Parameter, meanings: dict[str, str]) -> Json:
    given = (entry.value, entry.probability, entry.formula)
    return {
        "where": where,
        "name": name,
        "meaning": meanings.get(name, ""),
        "value": next(value for value in given if value is not None),
        "unit": "" if entry.unit == "1" else entry.unit,
        "range": entry.uncertainty,
        "why": entry.source.removeprefix("assumed").lstrip(": "),
    }


def sources(protocol: Protocol) -> list[Json]:
    """Citation and identifiers of every study that a number, a harm or a published result names, by key."""
    evidence = Evidence.load(FOLDER)
    condition = Condition.load(protocol.population.condition)
    drugs = drugs_of(protocol)
    texts = [entry.source for entries in _numbers(protocol).values() for entry in entries.values()]
    texts += [entry.source for drug in drugs for e in drug.adverse_events for entry in (e.drug, e.control)]
    texts += [row.source for drug in drugs for row in drug.contraindications]
    texts += [row.source for row in condition.published] + [row.source for row in protocol.published]
    found = {study.key: study for text in texts for key in named(text) if (study := evidence.resolve(key)) is not None}
    return [
        {"key": key, "citation": study.citation, "identifiers": list(study.identifiers), "read": study.access}
        for key, study in sorted(found.items(), key=lambda item: item[0].lower())
    ]
