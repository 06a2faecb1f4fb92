"""Does a document fit the model it speaks of? Keys, units, sources, names, and whether its people rest and fall ill."""

from __future__ import annotations

import tomllib
from pathlib import Path

from causalgia.documents import Condition, Drug, InputError, Instrument, Parameters, Protocol
from causalgia.documents.parameters import Document, Parameter
from causalgia.documents.patient import Patient
from causalgia.documents.reader import kind_of
from causalgia.documents.targets import Targets
from causalgia.documents.units import factor
from causalgia.documents.weighing import Therapies, Weights
from causalgia.engine import load_kernel, solve
from causalgia.evidence import check as evidence
from causalgia.measurement import readings
from causalgia.population.dosing import check_drug, drugs_of
from causalgia.population.outcomes import OUTPUTS
from causalgia.population.patients import ONSET, OUTSIDE, Population, check_names, model_page

DOCUMENTS = (Protocol, Condition, Drug, Instrument, Parameters, Patient, Targets, Therapies, Weights)
KINDS: dict[str, type[Document]] = {kind.KIND: kind for kind in DOCUMENTS}
PEOPLE = 256
HEALTHY_NRS = 1.0
HEALTHY_SHARE = 0.95


def check(path: Path) -> list[str]:
    """What was checked, a line each; raises InputError at the first thing that is wrong."""
    if not path.is_file():
        raise InputError(str(path), "no such file", "a document (.toml) or a model page (.ant)", "Check the path.")
    if path.suffix == ".ant":
        kernel = load_kernel(path)
        return [f"{len(kernel.states)} states, {len(kernel.parameters)} parameters, all with unit and meaning"]
    kind = kind_of(path)
    if kind in evidence.KINDS:
        return evidence.check_file(path)
    if kind not in KINDS:
        known = ", ".join((*KINDS, *evidence.KINDS))
        raise InputError(f"{path}, key kind", repr(kind), f"one of {known}", "Correct it.")
    document = KINDS[kind].load(str(path.resolve()))
    lines = [f"{kind}: every key known, every unit read, every number with a source"]
    strange = evidence.unknown_sources(tomllib.loads(path.read_text(encoding="utf-8")))
    if strange:
        lines.append(f"sources that the evidence does not know ({len(strange)}): {'; '.join(strange[:5])}")
    match document:
        case Condition():
            lines += _condition(document)
        case Drug():
            lines += _drug(document)
        case Instrument():
            lines += _instrument(document)
        case Parameters():
            kernel = load_kernel(model_page(document.model), entered=())
            check_names(f"{path}, key values", document.values, (*kernel.all_parameters, *OUTSIDE, *ONSET.values()))
            lines.append(_share_assumed(document.values))
        case Protocol():
            lines += _protocol(document)
    return lines


def _condition(condition: Condition) -> list[str]:
    """Before the onset people must rest in health in every world."""
    population = Population.load(condition.path)
    lines = [_share_assumed(population.entries)]
    for world in condition.worlds:
        values = population.draw(world, PEOPLE, seed=1)
        entries = {**population.entries, **condition.worlds[world].values}
        settle = condition.history.settle.typical * factor(condition.history.settle.unit, "day")
        solution = solve(
            population.kernel,
            population.of_kernel(population.kernel, population.matrix(values, entries, PEOPLE), {}),
            [settle],
            outputs=["NRS"],
        )
        healthy = float((solution.values[:, 0, 0] < HEALTHY_NRS).mean())
        if not healthy >= HEALTHY_SHARE:
            found = f"{healthy:.0%} of people with pain below {HEALTHY_NRS:g} before the onset"
            raise InputError(
                f"{condition.path}, world {world}", found, f"at least {HEALTHY_SHARE:.0%}", "Correct its values."
            )
        lines.append(f"world {world}: {healthy:.0%} of people rest in health before the onset")
    return lines


def _drug(drug: Drug) -> list[str]:
    """The drug's parameters are the model's, in units that convert; its routes enter states of the model."""
    population = Population.load("crps-acute")
    check_drug(population, drug)
    return [_share_assumed(drug.values), f"routes: {', '.join(drug.routes)}"]


def _instrument(instrument: Instrument) -> list[str]:
    for side in instrument.signal:
        unknown = sorted(readings.names(instrument, side) - {*OUTPUTS, "adverse"})
        if unknown:
            where = f"{instrument.path}, key signal.{side}"
            raise InputError(where, f"the name {unknown[0]!r}", f"one of {', '.join(OUTPUTS)}", "Correct it.")
    return [f"sides: {', '.join(instrument.signal)}"]


def _protocol(protocol: Protocol) -> list[str]:
    """Everything that the protocol names is there and passes its own check."""
    compared = ", ".join(f"{name} against {protocol.control}" for name in protocol.order[1:])
    lines = [f"{compared}; sizes {', '.join(map(str, protocol.evaluation.sizes))}"]
    documents: list[Document] = [Condition.load(protocol.population.condition)]
    documents += drugs_of(protocol)
    documents += [Instrument.load(name) for name in protocol.schedule]
    for document in documents:
        check(document.path)
        lines.append(f"{document.kind} {document.path.stem}: passes its own check")
    return lines


def _share_assumed(values: dict[str, Parameter]) -> str:
    assumed = sum(entry.assumed for entry in values.values())
    return f"{len(values)} numbers, {assumed} of them assumed"
