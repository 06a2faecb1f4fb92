"""How often adverse events happen in each arm: from the drugs' pages, by dose, for one drug or several."""

from __future__ import annotations

from dataclasses import dataclass

from causalgia.documents import Drug, Protocol
from causalgia.documents.arms import Arm, Course
from causalgia.documents.parameters import Parameter
from causalgia.documents.units import quantity
from causalgia.population.dosing import drugs_of


@dataclass(frozen=True)
class Harm:
    """One adverse event: its rate in one course by arm, with the entries that say so, and the days it may follow."""

    term: str
    serious: bool
    at_dose: bool
    days: tuple[float, ...]
    rates: dict[str, float]
    control: Parameter
    drugs: dict[str, Parameter]


def harm_rates(protocol: Protocol) -> list[Harm]:
    """Every event that a drug of the protocol lists, with its rate in every arm of `protocol.order`.

    An arm has the control's rate but for its own drugs. Of two drugs with the same event each adds its excess among
    those whom the other spared: 1 - (1 - control) prod (1 - drug)/(1 - control).
    """
    listed: dict[str, list[tuple[Drug, int]]] = {}
    for drug in drugs_of(protocol):
        for row, event in enumerate(drug.adverse_events):
            listed.setdefault(event.term, []).append((drug, row))
    return [_harm(protocol, term, entries) for term, entries in listed.items()]


def _harm(protocol: Protocol, term: str, entries: list[tuple[Drug, int]]) -> Harm:
    first = entries[0][0].adverse_events[entries[0][1]]
    spared = 1 - first.control.typical
    rates = {}
    for name in protocol.order:
        arm = protocol.arms.get(name, Arm())
        share = spared
        for drug, row in entries:
            courses = [course for course in arm.courses if course.drug == drug.name]
            if courses:
                share *= (1 - _entry(drug, row, courses).typical) / spared
        rates[name] = min(max(1 - share, 0.0), 1.0)
    days = tuple(sorted({day for arm in protocol.arms.values() for day in arm.days}))
    treated = protocol.arms[protocol.treatment].courses
    shown = {drug.name: _entry(drug, row, [c for c in treated if c.drug == drug.name]) for drug, row in entries}
    return Harm(term, first.serious, first.at_dose, days, rates, first.control, shown)


def _entry(drug: Drug, row: int, courses: list[Course]) -> Parameter:
    """The rate at the highest single dose of some courses; the drug's own where there is none."""
    event = drug.adverse_events[row]
    doses = [d for course in courses for d in ((course.dose,) if isinstance(course.dose, str) else course.dose or ())]
    entries = [event.rate(*quantity(dose)) for dose in doses]
    return max(entries, key=lambda entry: entry.typical, default=event.drug)
