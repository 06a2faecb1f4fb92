"""Everything that a report shows, as plain numbers: the content of results.json."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import xarray as xr

from causalgia import __version__
from causalgia.analysis.answers import Answer
from causalgia.analysis.montecarlo import BATCHES, batch_error
from causalgia.analysis.relieved import CURVE
from causalgia.design.batch import CHARACTERISTICS
from causalgia.design.gate import GATE
from causalgia.design.plan import wounds_per_subject
from causalgia.documents import Condition, Drug, Instrument, Protocol, streams
from causalgia.documents.protocol import Endpoint, PublishedResult
from causalgia.documents.units import factor
from causalgia.documents.writing import clean
from causalgia.measurement.readings import Noise, from_scale, read, visit_value
from causalgia.population.dosing import drugs_of
from causalgia.population.outcomes import concentrations
from causalgia.population.worlds import World, worlds
from causalgia.report.posterior import calibration
from causalgia.report.provenance import assumed, documents, sources
from causalgia.report.summary import summary
from causalgia.report.verdict import verdict
from causalgia.trial.harm import harm_rates
from causalgia.trial.visits import latent

Tables = dict[str, pl.DataFrame]
Json = dict[str, Any]
Characteristics = dict[str, np.ndarray]
BANDS = (10, 25, 50, 75, 90)
TRAJECTORIES = {"Cp": "mg/L", "TNF": "pg/mL", "total": "pg/mL", "NRS": "score"}


def results(
    protocol: Protocol, outcomes: xr.Dataset, trial: Tables, answers: dict[str, Answer], characteristics: xr.Dataset
) -> Json:
    """All numbers of a run, ready for JSON: no clock times, no paths of this machine, NaN as null."""
    pair = protocol.pair(protocol.treatment)
    every = worlds(outcomes, pair.order, pair.aware)
    structural = {name: world for name, world in every.items() if world.structural}
    table: Json = {
        "causalgia": __version__,
        "protocol": _protocol(protocol)
        | {"published": [_published(row, protocol, characteristics) for row in protocol.published]},
        "posterior": calibration(protocol, outcomes),
        "seed": {"population": int(outcomes.attrs["seed"]), "evaluation": int(characteristics.attrs["seed"])},
        "documents": documents(protocol),
        "assumed": assumed(protocol),
        "sources": sources(protocol),
        "worlds": [{"name": w.name, "title": w.title, "structural": w.structural} for w in every.values()],
        "population": {name: _population(pair, world) for name, world in structural.items()},
        "trajectories": {name: _trajectories(pair, world) for name, world in structural.items()},
        "trial": {
            "world": trial["truth"]["WORLD"][0] if "truth" in trial else None,
            "flow": _flow(protocol, trial),
            "curve": _curve(protocol, answers),
            "answers": {key: asdict(answer) for key, answer in answers.items()},
        },
        "evaluation": evaluation(characteristics),
        "comparisons": _comparisons(protocol, characteristics),
        "harm": _harm(protocol),
    }
    table["verdict"] = verdict(protocol, table)
    whole = clean(table)
    return whole | {"summary": summary(whole)}


def _protocol(protocol: Protocol) -> Json:
    arms = {name: arm.text(_title) for name, arm in protocol.arms.items()}
    endpoints = {name: _endpoint(getattr(protocol.endpoints, name)) for name in ("lowered", "relieved")}
    return {
        "name": protocol.name,
        "title": protocol.title,
        "question": protocol.question,
        "arms": arms,
        "single_arm": protocol.single_arm,
        "blinding": protocol.blinding,
        "drugs": [drug.title for drug in drugs_of(protocol)],
        "control": protocol.control,
        "treatment": protocol.treatment,
        "doses": [day / factor(protocol.unit, "day") for day in protocol.arms[protocol.treatment].days],
        "unit": protocol.unit,
        "gate": protocol.gate.rule if protocol.gate else None,
        "gate_limit": {"value": protocol.gate.parsed.limit, "unit": protocol.gate.parsed.unit}
        if protocol.gate
        else None,
        "gate_delay": protocol.endpoints.lowered.baseline - protocol.gate.at if protocol.gate else None,
        "compared": protocol.compared.by if protocol.compared else None,
        "contrast_asked": protocol.contrast is not None,
        "cut_days": protocol.compared.cut_days if protocol.compared and protocol.compared.by == "duration" else None,
        "low_share": protocol.gate.low_stratum.share if protocol.gate and protocol.gate.low_stratum else None,
        "endpoints": endpoints,
        "relevant": protocol.endpoints.relevant.value,
        "alpha": protocol.evaluation.alpha,
        "sizes": list(protocol.evaluation.sizes),
        "replicates": protocol.evaluation.replicates,
        "subjects": protocol.population.subjects,
        "wounds_per_subject": wounds_per_subject(protocol),
        "follow_up": protocol.follow_up,
        "assumptions": list(protocol.assumptions),
    }


def _title(drug: str) -> str:
    return Drug.load(drug).title


def _endpoint(endpoint: Endpoint) -> Json:
    """What is measured when, with the assay's limit where it has one."""
    instrument = Instrument.load(endpoint.measure)
    limit, responder = instrument.lloq, endpoint.responder
    kind = "" if responder is None else "%" if responder.relative else responder.unit.replace("score", "points")
    fall = "" if responder is None else f"{responder.fall:g} {kind}"
    return {
        "title": instrument.title if responder is None else f"share with a fall of at least {fall}: {instrument.title}",
        "measure": instrument.title,
        "fall": fall,
        "second": endpoint.second,
        "unit": instrument.unit if responder is None else "share",
        "side": endpoint.side,
        "week": endpoint.at,
        "better": instrument.better if responder is None else "higher",
        "limit": limit.typical if limit else None,
        "limit_assumed": limit.assumed if limit else None,
    }


def _population(protocol: Protocol, world: World) -> Json:
    """Virtual patients at enrolment beside the published summaries, in one world."""
    condition = Condition.load(protocol.population.condition)
    people = np.flatnonzero(world.present)
    week = protocol.first_visit
    rows = []
    for row in condition.published:
        instrument = Instrument.load(row.measure)
        potential = latent(world, instrument, row.side, week)[0][people]
        seed = int(world.outcomes.attrs["seed"])
        noise = Noise(
            *(
                streams.normals(seed, "shown", row.measure, row.side, part, size=len(people))
                for part in ("day", "replicate")
            )
        )
        seen = visit_value(instrument, read(instrument, potential, Noise(noise.day, noise.replicate[None]))).value
        simulated = _percentiles(from_scale(instrument, seen), (25, 50, 75))
        rows.append(row.model_dump() | {"simulated": simulated, "title": instrument.title})
    symptoms = {}
    for name in ("NRS", "dTemp", "Oed", "Motor"):
        value = world.output(name, week)[0][people]
        symptoms[name] = {"mean": float(value.mean()), "sd": float(value.std(ddof=1))}
    tnf = latent(world, Instrument.load(protocol.endpoints.lowered.measure), protocol.endpoints.lowered.side, week)[0][
        people
    ]
    structural = list(world.outcomes["world"].values).index(world.name)
    injured = int(world.outcomes["injured"].values[structural])
    return {
        "enrolled": len(people),
        "injured": injured,
        "enrolled_share": world.outcomes.sizes["subject"] / injured,
        "failed": int((world.outcomes["status"].values[structural] != 0).any(axis=0).sum()),
        "published": rows,
        "symptoms": symptoms,
        "rho_tnf_nrs": _spearman(tnf, world.output("NRS", week)[0][people]),
        "duration": [float(q) for q in np.percentile(world.person("duration")[people], (25, 50, 75))],
    }


def _percentiles(values: np.ndarray, percents: tuple[float, ...]) -> list[Json]:
    """Percentiles with their standard errors over 20 disjoint batches."""
    _, errors = batch_error([np.percentile(part, percents) for part in np.array_split(values, BATCHES)])
    found = zip(percents, np.percentile(values, percents).tolist(), errors.tolist(), strict=True)
    return [{"percent": percent, "value": value, "se": se} for percent, value, se in found]


def _spearman(a: np.ndarray, b: np.ndarray) -> Json:
    def rho(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1])

    parts = [rho(x, y) for x, y in zip(np.array_split(a, BATCHES), np.array_split(b, BATCHES), strict=True)]
    return {"value": rho(a, b), "se": float(batch_error(parts)[1])}


def _trajectories(protocol: Protocol, world: World) -> Json:
    """Percentiles of potential outcomes over time, for both arms."""
    weeks = [float(week) for week in world.outcomes["time"].values]
    table: Json = {"weeks": weeks, "percentiles": list(BANDS), "units": TRAJECTORIES}
    free = world.course("TNF")
    courses = {"Cp": world.course(concentrations(protocol)[0]), "TNF": free, "total": free + world.course("bound")}
    for name, value in (courses | {"NRS": world.course("NRS")}).items():
        by_week = np.ascontiguousarray(value.transpose(2, 0, 1))
        by_week.sort(axis=2)  # vectorised, unlike the search for ten places that follows
        bands = np.percentile(by_week, BANDS, axis=2, overwrite_input=True)
        control, treated = bands.transpose(2, 1, 0)  # (regimen, week, percentile)
        table[name] = {protocol.control: control.tolist(), protocol.treatment: treated.tolist()}
    return table


def _flow(protocol: Protocol, trial: Tables) -> Json:
    adsl = trial["adsl"]
    randomised = adsl.filter(pl.col("ITTFL") == "Y")
    arms = {}
    for arm in protocol.arms:
        members = randomised.filter(pl.col("ARM") == arm)
        arms[arm] = {"randomised": len(members), "completed": int((members["EOSSTT"] == "COMPLETED").sum())}
    low = int((randomised["GATEFL"] == "N").sum())
    return {
        "screened": len(adsl),
        "gated_out": len(adsl) - len(randomised),
        "randomised": len(randomised),
        "low": low,
        "arms": arms,
        "days": int(adsl["SCRNDAY"].cast(pl.Int64).to_numpy().max()),
    }


def _curve(protocol: Protocol, answers: dict[str, Answer]) -> Json | None:
    """Share of each arm that improved by at least so many per cent of baseline; a missing value is no improvement.

    None in a crossover, whose endpoint is no change from baseline.
    """
    if protocol.endpoints.relieved.second is not None:
        return None
    shares: dict[str, dict[int, float]] = {}
    for key, answer in answers.items():
        for row in answer.series.get("responders", []) if key.split(" ")[0] == "relieved" else ():
            shares.setdefault(row["arm"], {})[row["percent"]] = row["share"]
    return {"percent": list(CURVE), "arms": {arm: list(shares[arm].values()) for arm in protocol.arms}}


def evaluation(characteristics: xr.Dataset) -> Json:
    """Characteristics and gate figures of the primary comparison by world, each value with its standard error."""
    primary = _comparison(characteristics, 0)
    table: Json = {"replicates": int(characteristics.attrs["replicates"]), "worlds": {}}
    table["meaning"] = {**CHARACTERISTICS, **GATE}
    for w, world in enumerate(primary["world"]):
        sizes = {
            str(size): {name: _cell(primary, name, (w, s)) for name in CHARACTERISTICS}
            for s, size in enumerate(primary["size"])
        }
        gate = {name: _cell(primary, name, (w,)) for name in GATE if name in primary}
        table["worlds"][str(world)] = {"sizes": sizes, "gate": gate}
    return table


def _comparison(characteristics: xr.Dataset, place: int) -> Characteristics:
    """All figures of one comparison, and its axes, by name."""
    part = characteristics.isel(comparison=place) if "comparison" in characteristics.dims else characteristics
    return {str(name): array.values for name, array in part.variables.items()}


def _cell(part: Characteristics, name: str, at: tuple[int, ...]) -> Json:
    return {"value": float(part[name][at]), "se": float(part[f"{name}_se"][at])}


COMPARED = ("lowered", "truth_lowered", "relieved", "truth", "bias", "width")


def _comparisons(protocol: Protocol, characteristics: xr.Dataset) -> list[Json]:
    """Every arm against control at the largest size, where there are several."""
    rows = []
    for place, arm in enumerate(protocol.order[1:]):
        part = _comparison(characteristics, place)
        worlds = {
            str(world): {name: _cell(part, name, (w, -1)) for name in COMPARED} for w, world in enumerate(part["world"])
        }
        rows.append({"arm": arm, "control": protocol.control, "worlds": worlds})
    return rows if len(rows) > 1 else []


def _published(row: PublishedResult, protocol: Protocol, characteristics: xr.Dataset) -> Json:
    """A published result beside what the structural worlds predicted of it, at the largest size.

    `chance` is the probability of its significance, or of its absence; `predicted` the estimate's mean and standard
    deviation between trials, on the scale of the analysis.
    """
    table = row.model_dump()
    if row.endpoint is None:
        return table | {"chance": None, "predicted": None}
    arm = row.arm if row.arm is not None and row.arm != protocol.control else protocol.treatment
    part = _comparison(characteristics, protocol.order.index(arm) - 1)
    tail = "_lowered" if row.endpoint == "lowered" else ""
    chance, predicted = {}, {}
    for w in np.flatnonzero(part["structural"]).tolist():
        world = str(part["world"][w])
        found = _cell(part, row.endpoint, (w, -1))
        chance[world] = found if row.significant else {"value": 1 - found["value"], "se": found["se"]}
        truth, bias, spread = (_cell(part, f"{name}{tail}", (w, -1))["value"] for name in ("truth", "bias", "spread"))
        predicted[world] = {"mean": truth + bias, "sd": spread}
    return table | {"chance": chance if row.significant is not None else None, "predicted": predicted}


def _harm(protocol: Protocol) -> Json:
    """What each drug does besides: rates in the primary arm and in control, and who should not get it."""
    return {
        "events": [
            {
                "term": event.term,
                "serious": event.serious,
                "drug": event.rates[protocol.treatment],
                "control": event.rates[protocol.control],
                "source_drug": "; ".join(f"{entry.source}" for entry in event.drugs.values()),
                "source_control": event.control.source,
            }
            for event in harm_rates(protocol)
        ],
        "contraindications": [
            {"drug": drug.title, **row.model_dump()} for drug in drugs_of(protocol) for row in drug.contraindications
        ],
    }
