"""Everything that a report shows, as plain numbers: the content of results.json."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import xarray as xr

from causalgia import __version__
from causalgia.analysis.answers import Answer
from causalgia.analysis.tables import Subjects
from causalgia.design.batch import CHARACTERISTICS
from causalgia.design.gate import GATE
from causalgia.design.plan import wounds_per_subject
from causalgia.documents import Condition, Drug, Instrument, Protocol, streams
from causalgia.documents.protocol import Endpoint, PublishedResult
from causalgia.documents.units import factor
from causalgia.measurement.readings import Noise, from_scale, read, visit_value
from causalgia.population.outcomes import concentrations
from causalgia.population.worlds import World, worlds
from causalgia.report.posterior import calibration
from causalgia.report.provenance import assumed, documents, sources
from causalgia.report.summary import summary
from causalgia.report.verdict import verdict
from causalgia.trial.harm import drugs_of, harm_rates
from causalgia.trial.visits import latent

Tables = dict[str, pl.DataFrame]
Json = dict[str, Any]
BATCHES = 20
BANDS = (10, 25, 50, 75, 90)
CURVE = tuple(range(0, 105, 5))
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
            "curve": _curve(protocol, trial),
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
        simulated = [_with_error(from_scale(instrument, seen), percent) for percent in (25, 50, 75)]
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


def _with_error(values: np.ndarray, percent: float) -> Json:
    """A percentile with its standard error over 20 disjoint batches."""
    parts = [np.percentile(part, percent) for part in np.array_split(values, BATCHES)]
    return {
        "percent": percent,
        "value": float(np.percentile(values, percent)),
        "se": float(np.std(parts, ddof=1) / np.sqrt(BATCHES)),
    }


def _spearman(a: np.ndarray, b: np.ndarray) -> Json:
    def rho(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))[0, 1])

    parts = [rho(x, y) for x, y in zip(np.array_split(a, BATCHES), np.array_split(b, BATCHES), strict=True)]
    return {"value": rho(a, b), "se": float(np.std(parts, ddof=1) / np.sqrt(BATCHES))}


def _trajectories(protocol: Protocol, world: World) -> Json:
    """Percentiles of potential outcomes over time, for both arms."""
    people = np.flatnonzero(world.present)
    weeks = [float(week) for week in world.outcomes["time"].values]
    table: Json = {"weeks": weeks, "percentiles": list(BANDS), "units": TRAJECTORIES}
    drug = concentrations(protocol)[0]
    for name in TRAJECTORIES:
        if name == "total":
            value = world.course("TNF") + world.course("bound")
        else:
            value = world.course(drug if name == "Cp" else name)
        by_week = np.ascontiguousarray(value[:, people].transpose(2, 0, 1))
        control, treated = np.percentile(by_week, BANDS, axis=2).transpose(2, 1, 0)  # (regimen, week, percentile)
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


def _curve(protocol: Protocol, trial: Tables) -> Json | None:
    """Share of each arm that improved by at least so many per cent of baseline; a missing value is no improvement.

    None in a crossover, whose endpoint is no change from baseline.
    """
    endpoint = protocol.endpoints.relieved
    if endpoint.second is not None:
        return None
    better = -1.0 if Instrument.load(endpoint.measure).better == "lower" else 1.0
    subjects = Subjects.read(protocol, trial)
    arm_of = dict(trial["adsl"].select("USUBJID", "ARM").iter_rows())
    arms = np.array([arm_of[name] for name in subjects.ids])
    y, covariates, seen = subjects.endpoint(protocol, trial, endpoint)
    baseline = covariates[:, 0]
    gain = np.where(seen, better * (y[:, 0] - baseline), -np.inf)
    enough = np.array(CURVE)[:, None] / 100 * np.where(seen, np.abs(baseline), 0.0)
    reached = (gain >= enough) & seen
    shares = {arm: reached[:, arms == arm].mean(axis=1).tolist() for arm in protocol.arms}
    return {"percent": list(CURVE), "arms": shares}


def evaluation(characteristics: xr.Dataset) -> Json:
    """Characteristics and gate figures of the primary comparison by world, each value with its standard error."""
    primary = _comparison(characteristics, 0)
    table: Json = {"replicates": int(characteristics.attrs["replicates"]), "worlds": {}}
    table["meaning"] = {**CHARACTERISTICS, **GATE}
    for w, world in enumerate(primary["world"].values):
        sizes = {
            str(size): {name: _cell(primary, name, (w, s)) for name in CHARACTERISTICS}
            for s, size in enumerate(primary["size"].values)
        }
        gate = {name: _cell(primary, name, (w,)) for name in GATE if name in primary}
        table["worlds"][str(world)] = {"sizes": sizes, "gate": gate}
    return table


def _comparison(characteristics: xr.Dataset, place: int) -> xr.Dataset:
    return characteristics.isel(comparison=place) if "comparison" in characteristics.dims else characteristics


def _cell(characteristics: xr.Dataset, name: str, at: tuple[int, ...]) -> Json:
    return {"value": float(characteristics[name].values[at]), "se": float(characteristics[f"{name}_se"].values[at])}


COMPARED = ("lowered", "truth_lowered", "relieved", "truth", "bias", "width")


def _comparisons(protocol: Protocol, characteristics: xr.Dataset) -> list[Json]:
    """Every arm against control at the largest size, where there are several."""
    rows = []
    for place, arm in enumerate(protocol.order[1:]):
        part = _comparison(characteristics, place)
        worlds = {
            str(world): {name: _cell(part, name, (w, -1)) for name in COMPARED}
            for w, world in enumerate(part["world"].values)
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
    for w in np.flatnonzero(part["structural"].values).tolist():
        world = str(part["world"].values[w])
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


def clean(value: Any) -> Any:
    """The same structure with plain Python numbers and None for what is not a finite number."""
    if isinstance(value, dict):
        return {str(key): clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [clean(part) for part in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
