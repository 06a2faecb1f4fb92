"""Trials that were not fitted: what they published beside what the calibrated people predict, and a score for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.special import gammaln, logsumexp
from scipy.stats import norm

from causalgia.design.batch import batch_characteristics
from causalgia.design.evaluate import evaluate
from causalgia.design.plan import Plan
from causalgia.documents import Instrument, Protocol, streams
from causalgia.documents.protocol import Endpoint, Responder
from causalgia.population.outcomes import simulate
from causalgia.population.patients import Population
from causalgia.population.posterior import DRAWS
from causalgia.population.worlds import World, worlds

# Of ten: a response by half and more is called robust, by 30 % and more partial.
ROBUST, PARTIAL = 0.5, 0.3
PAIN_FREE = Responder(fall=75, unit="percent")


class Result(NamedTuple):
    """A published result: the trial, what was found, how it is compared, and its source.

    `kind` is "not significant", "worse" (significantly), "estimate" or "classes"; `endpoint` stands in place of the
    protocol's own clinical one, and "lowered" means its mechanism endpoint.
    """

    protocol: str
    found: str
    kind: str
    source: str
    value: Any = None
    endpoint: str | Endpoint | None = None
    assumed: str = ""


RESULTS = (
    Result("dirckx-2013", "ISS: no significant difference", "not significant", "dirckx2013, abstract"),
    Result(
        "dirckx-2013", "blister TNF: no significant difference", "not significant", "dirckx2013, abstract",
        endpoint="lowered",
    ),
    Result(
        "dirckx-2013", "EQ-VAS: significantly worse on infliximab", "worse", "dirckx2013, abstract",
        endpoint=Endpoint(measure="eq-vas", side="patient", at=12, baseline=0),
        assumed="read at week 12; no adverse events",
    ),
    Result(
        "manning-2014", "responders 16.1 % and 16.1 %, difference 0", "estimate", "manning2014, abstract", 0.0,
        assumed="92 in each arm",
    ),
    Result(
        "goebel-2017", "pain 0.27 higher (-0.24 to 0.80)", "estimate", "goebel2017_LIPS, table 1 of PMC7669498", 0.27
    ),
    Result(
        "eisenberg-2013", "3 robust, 3 partial, 3 none of 9", "classes", "eisenberg2013, abstract", (3, 3, 3),
        assumed="robust 50 %, partial 30 % less pain at week 13; the abstract defines neither",
    ),
    Result(
        "korhonen-first-ii", "leg pain at 12 weeks: no significant difference", "not significant",
        "korhonen2005_FIRSTII, abstract",
    ),
    Result(
        "korhonen-first-ii", "no pain at 52 weeks: 67 and 63 %, difference 0.04", "estimate",
        "korhonen2006_FIRSTII, abstract", 0.04,
        Endpoint(measure="leg-pain", side="patient", at=52, baseline=0, responder=PAIN_FREE),
        "no pain is a fall by three quarters, as in karppinen-2003",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """One result: its probability (or density) as predicted and where the drug does nothing, both logarithms; the
    predicted mean and 95 % interval of an estimate, or the probability of an event.
    """

    result: Result
    log_predicted: float
    log_null: float
    predicted: float
    interval: tuple[float, float] | None
    null_interval: tuple[float, float] | None

    @property
    def gain(self) -> float:
        """Log score above that of no effect: positive where the calibrated worlds predict better."""
        return self.log_predicted - self.log_null


def score(
    *, subjects: int = 4000, replicates: int = 2000, seed: int = 1, prior: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Score]:  # fmt: skip
    """Scores of all RESULTS: simulated with the recorded posterior, whose hash is checked, or with the prior.

    Every batch of people lives with one draw of the posterior, and worlds are mixed by their weights.
    """
    scores = []
    for name in dict.fromkeys(result.protocol for result in RESULTS):
        protocol = Protocol.load(name).with_options(subjects, replicates, None)
        patients = Population.load(protocol.population.condition, prior=prior).sample(subjects, seed=seed)
        outcomes = simulate(protocol, patients)
        outcomes["adverse"] = xr.zeros_like(outcomes["NRS"])  # own health is predicted from pain and function alone
        for result in RESULTS:
            if result.protocol == name:
                scores.append(_score(result, protocol, outcomes, seed))
                if progress is not None:
                    progress(1)
    return scores


def _score(result: Result, protocol: Protocol, outcomes: Any, seed: int) -> Score:
    if isinstance(result.endpoint, Endpoint):
        endpoints = protocol.endpoints.model_copy(update={"relieved": result.endpoint})
        protocol = protocol.model_copy(update={"endpoints": endpoints})
    every = worlds(outcomes, protocol.order, protocol.aware)
    structural = [name for name, world in every.items() if world.structural]
    share = outcomes["prior"].values / outcomes["prior"].values.sum()
    weight = dict(zip(structural, share, strict=True))
    if result.kind == "classes":
        return _classes(result, protocol, every, weight)
    plan = Plan.make(protocol, every, seed, DRAWS)
    batches = [batch_characteristics(plan, batch)[0] for batch in range(DRAWS)]
    rows = {name: k for k, name in enumerate(every)}
    parts = {name: _moments(batches, rows[name]) for name in (*structural, "null")}
    mixed = [(parts[name], weight[name]) for name in structural]
    if result.kind == "estimate":
        return _estimate(result, mixed, parts["null"])
    probability = [_probability(result, part) for part, _ in mixed]
    predicted = float(sum(p * w for p, (_, w) in zip(probability, mixed, strict=True)))
    null = _probability(result, parts["null"])
    floor = 0.5 / plan.replicates / DRAWS
    logs = [float(np.log(np.clip(p, floor, 1 - floor))) for p in (predicted, null)]
    return Score(result, logs[0], logs[1], predicted, None, None)


def _moments(batches: list[dict[str, np.ndarray]], row: int) -> dict[str, np.ndarray]:
    """What one world's batches say of the largest size, (batch,)."""
    found = {name: np.array([batch[name][row, -1] for batch in batches])
             for name in ("relieved", "lowered", "truth", "bias", "spread", "width")}  # fmt: skip
    return found | {"mean": found["truth"] + found["bias"]}


def _probability(result: Result, part: dict[str, np.ndarray]) -> float:
    """Of an event, over the batches; "worse" is the lower end of the estimates that leave zero outside their width."""
    if result.kind == "not significant":
        return float(1 - part["lowered" if result.endpoint == "lowered" else "relieved"].mean())
    return float(norm.cdf((-part["width"] / 2 - part["mean"]) / part["spread"]).mean())


def _estimate(result: Result, mixed: list[tuple[dict[str, np.ndarray], float]], null: dict[str, np.ndarray]) -> Score:
    means = np.concatenate([part["mean"] for part, _ in mixed])
    spreads = np.concatenate([part["spread"] for part, _ in mixed])
    logs = np.concatenate([np.full(len(part["mean"]), np.log(w / len(part["mean"]))) for part, w in mixed if w > 0])
    used = np.concatenate([np.full(len(part["mean"]), w > 0) for part, w in mixed])
    means, spreads = means[used], spreads[used]
    predicted = float(logsumexp(logs + norm.logpdf(result.value, means, spreads)))
    even = np.full(len(null["mean"]), -np.log(len(null["mean"])))
    nothing = float(logsumexp(even + norm.logpdf(result.value, null["mean"], null["spread"])))
    return Score(
        result, predicted, nothing, float(np.exp(logs) @ means), _central(logs, means, spreads),
        _central(even, null["mean"], null["spread"]),
    )  # fmt: skip


def _central(logs: np.ndarray, means: np.ndarray, spreads: np.ndarray) -> tuple[float, float]:
    """Central 95 % interval of a mixture of normals."""
    grid = np.linspace((means - 5 * spreads).min(), (means + 5 * spreads).max(), 4001)
    cumulative = np.exp(logs) @ norm.cdf(grid, means[:, None], spreads[:, None])
    low, high = np.interp((0.025, 0.975), cumulative, grid)
    return float(low), float(high)


def _classes(result: Result, protocol: Protocol, every: dict[str, World], weight: dict[str, float]) -> Score:
    """Probability of the published counts of robust, partial and no response."""
    counts = np.array(result.value)
    ways = gammaln(counts.sum() + 1) - gammaln(counts + 1).sum()
    shares = {name: _class_shares(protocol, every[name]) for name in (*weight, "null")}
    logs = {name: ways + (counts * np.log(np.maximum(share, 1e-6))).sum(axis=1) for name, share in shares.items()}
    predicted = logsumexp([np.log(w) + logsumexp(logs[name]) - np.log(DRAWS) for name, w in weight.items() if w > 0])
    robust = float(sum(w * shares[name][:, 0].mean() for name, w in weight.items()))
    return Score(
        result, float(predicted), float(logsumexp(logs["null"]) - np.log(DRAWS)), robust, None, None
    )  # fmt: skip


def _class_shares(protocol: Protocol, world: World) -> np.ndarray:
    """Shares of robust, partial and no response (draw, 3) in each draw's people."""
    endpoint = protocol.endpoints.relieved
    error = Instrument.load(endpoint.measure).day_error.value or 0.0
    seed = int(world.outcomes.attrs["seed"])
    size = int(world.numbers[-1]) + 1
    read = []
    for week in (endpoint.baseline, endpoint.at):
        noise = streams.normals(seed, "classes", str(week), size=size)[world.numbers]
        read.append(np.clip(world.output("NRS", week)[1] + error * noise, 0, 10))
    fall = 1 - read[1] / np.maximum(read[0], 0.1)
    found = []
    for draw in range(DRAWS):
        mine = fall[world.present & (world.numbers % DRAWS == draw)]
        found.append([(mine >= ROBUST).mean(), ((mine >= PARTIAL) & (mine < ROBUST)).mean(), (mine < PARTIAL).mean()])
    return np.array(found)


def power(name: str, subjects: int, replicates: int, seed: int, *, prior: bool) -> dict[str, float]:
    """Power of a protocol on its clinical endpoint at its largest size, by structural world."""
    protocol = Protocol.load(name).with_options(subjects, replicates, None)
    patients = Population.load(protocol.population.condition, prior=prior).sample(subjects, seed=seed)
    found = evaluate(protocol, simulate(protocol, patients), seed=seed)
    rows = found["relieved"].isel(size=-1)
    return {
        str(world): round(float(rows.sel(world=world)), 4)
        for world in found["world"].values
        if bool(found["structural"].sel(world=world))
    }
