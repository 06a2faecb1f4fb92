"""Rows of the tables: ADaM names, long form, nothing imputed."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from causalgia.documents import Instrument
from causalgia.measurement import readings
from causalgia.measurement.readings import Readings, lloq
from causalgia.trial.recruit import Visit, visit_noise
from causalgia.trial.visits import latent, observe

if TYPE_CHECKING:
    from causalgia.documents import Instrument
    from causalgia.trial.conduct import Trial

DAYS_A_MONTH = 365.25 / 12
SCREEN_FAILURE = "Screen Failure"


class Event(NamedTuple):
    """An adverse event of the subject in a slot, on a day after randomisation."""

    slot: int
    term: str
    day: int
    serious: bool


def subject_ids(trial: Trial, places: np.ndarray) -> list[str]:
    """Numbers of subjects in the order of screening."""
    return [f"{trial.protocol.name}-{place + 1:05d}" for place in places]


def adsl(trial: Trial) -> pl.DataFrame:
    """One row a person screened: who they are, whether they passed, what they got, how they ended."""
    protocol, recruited = trial.protocol, trial.recruited
    places = np.arange(trial.last_screened + 1)
    person = trial.screening.person[0, places]
    slot = np.full(len(places), -1)
    slot[recruited.place[0]] = np.arange(recruited.place.shape[1])
    randomised = slot >= 0
    arm = np.where(randomised, np.array(protocol.order)[recruited.arm[0, slot]], SCREEN_FAILURE)
    gone = randomised & (trial.left[slot] < protocol.follow_up)
    duration = trial.world.person("duration")[person]
    status = np.where(~randomised, SCREEN_FAILURE.upper(), np.where(gone, "DISCONTINUED", "COMPLETED"))
    table = {
        "STUDYID": [protocol.name] * len(places),
        "USUBJID": subject_ids(trial, places),
        "ARM": arm,
        "TRT01P": np.where(randomised, arm, ""),
        "TRT01A": np.where(randomised, arm, ""),
        "AGE": np.floor(trial.world.person("age")[person]).astype(np.int64),
        "SEX": np.where(trial.world.person("female")[person] > 0, "F", "M"),
        "WEIGHTBL": trial.world.person("weight")[person].round(1),
        "DURDAYS": np.floor(duration).astype(np.int64),
        "DURSTR": _duration_stratum(trial, duration),
        "GATEFL": np.where(trial.passes[0, places], "Y", "N"),
        "ITTFL": np.where(randomised, "Y", "N"),
        "RANDNO": pl.Series(np.where(randomised, slot + 1, 0)).replace(0, None),
        "SAFFL": np.where(randomised, "Y", "N"),
        "SCRNDAY": np.floor(np.arange(len(places)) / _screened_per_day(trial)).astype(np.int64),
        "EOSSTT": status,
        "DCSREAS": np.where(gone, "WITHDRAWAL BY SUBJECT", ""),
    }
    return pl.DataFrame(table)


def measurements(trial: Trial, scale: str) -> pl.DataFrame:
    """Readings of every scheduled instrument of one scale: "log" makes adlb, "linear" adqs."""
    parts = []
    for name, row in trial.protocol.schedule.items():
        instrument = Instrument.load(name)
        if instrument.scale != scale:
            continue
        for side, week in product(row.sides, row.at):
            parts.append(_visit(trial, instrument, side, week, row.replicates))
            if week < 0:
                parts.append(_screen_failures(trial, instrument, side, week, row.replicates))
    table = pl.concat(parts) if parts else _rows(None, [], 0.0, "", Readings(np.empty((0, 0)), np.empty((0, 0), bool)))
    return table.sort("USUBJID", "PARAMCD", "SIDE", "AVISITN", "REPNO", maintain_order=True)


def adae(trial: Trial) -> pl.DataFrame:
    """Adverse events."""
    slots = [event.slot for event in trial.events]
    return pl.DataFrame(
        {
            "USUBJID": subject_ids(trial, trial.recruited.place[0][slots]) if slots else [],
            "AETERM": [event.term for event in trial.events],
            "AESTDY": [event.day + 1 for event in trial.events],
            "AESER": ["Y" if event.serious else "N" for event in trial.events],
        },
        schema={"USUBJID": pl.String, "AETERM": pl.String, "AESTDY": pl.Int64, "AESER": pl.String},
    )


def adex(trial: Trial) -> pl.DataFrame:
    """Doses given to subjects who had not left; where the trial is blind, control gets the primary arm's doses of 0."""
    protocol, weight = trial.protocol, trial.world.person("weight")[trial.recruited.person[0]]
    ids = np.array(subject_ids(trial, trial.recruited.place[0]))
    frames = [_doses(ids[:0], "", np.empty(0), "", 0.0)]
    for code, name in enumerate(protocol.order):
        here = trial.recruited.arm[0] == code
        sham = protocol.blinding == "double-blind" and name in protocol.arms and not protocol.arms[name].courses
        given = protocol.arms[protocol.treatment if sham else name].courses if name in protocol.arms else ()
        for course in given:
            amounts = course.milligrams(weight) * (0.0 if sham else 1.0)
            for day, amount in zip(course.days, amounts.T, strict=True):
                got = here & (trial.left * 7 >= day)
                label = name if sham else course.drug or ""
                frames.append(_doses(ids[got], label, amount[got].round(1), course.route or "", day))
    return pl.concat(frames).sort("USUBJID", "EXSTDY", maintain_order=True)


def _doses(ids: np.ndarray, name: str, amount: np.ndarray, route: str, day: float) -> pl.DataFrame:
    count = len(ids)
    return pl.DataFrame(
        {
            "USUBJID": ids.tolist(),
            "EXTRT": [name] * count,
            "EXDOSE": amount,
            "EXDOSU": ["mg"] * count,
            "EXROUTE": [route.upper()] * count,
            "EXSTDY": [int(day) + 1] * count,
        },
        schema_overrides={"USUBJID": pl.String, "EXTRT": pl.String, "EXDOSU": pl.String, "EXROUTE": pl.String}
        | {"EXDOSE": pl.Float64, "EXSTDY": pl.Int64},
    )


def adice(trial: Trial) -> pl.DataFrame:
    """Intercurrent events: here, leaving the trial."""
    gone = np.flatnonzero(trial.left < trial.protocol.follow_up)
    return pl.DataFrame(
        {
            "USUBJID": subject_ids(trial, trial.recruited.place[0][gone]),
            "ICE": ["WITHDRAWAL"] * len(gone),
            "ICEDY": np.floor(trial.left[gone] * 7).astype(np.int64) + 1,
        },
        schema_overrides={"USUBJID": pl.String, "ICE": pl.String, "ICEDY": pl.Int64},
    )


def truth(trial: Trial) -> pl.DataFrame:
    """What no real trial knows of each randomised subject: each endpoint without error, on control, on the primary arm
    and on the arm that was given.
    """
    person = trial.recruited.person[0]
    table: dict[str, list[str] | np.ndarray]
    table = {"USUBJID": subject_ids(trial, trial.recruited.place[0]), "WORLD": [trial.world.name] * len(person)}
    for name in ("lowered", "relieved"):
        endpoint = getattr(trial.protocol.endpoints, name)
        instrument = Instrument.load(endpoint.measure)
        potential = latent(trial.world, instrument, endpoint.side, endpoint.at)
        revealed = readings.from_scale(instrument, trial.recruited.outcome(potential)[0])
        potential = latent(trial.world, instrument, endpoint.side, endpoint.at, expectation=False)
        table[f"{name.upper()}_CONTROL"] = readings.from_scale(instrument, potential[0, person])
        table[f"{name.upper()}_TREATED"] = readings.from_scale(instrument, potential[1, person])
        table[f"{name.upper()}_REVEALED"] = revealed
    return pl.DataFrame(table)


def _visit(trial: Trial, instrument: Instrument, side: str, week: float, count: int) -> pl.DataFrame:
    """Readings of randomised subjects who had not left."""
    extra = _unharmed(trial, instrument, side)
    potential = latent(trial.world, instrument, side, week, extra)
    noise = visit_noise(trial.screening, instrument, Visit(side, week, count), trial.recruited)
    seen = observe(instrument, potential, trial.recruited, noise)
    value, below = seen.value[:, 0], seen.below[:, 0]
    if extra:
        value = np.clip(
            value + _adverse_effect(trial, instrument, side, week), *(instrument.range or (-np.inf, np.inf))
        )
    here = trial.left >= week
    ids = subject_ids(trial, trial.recruited.place[0][here])
    return _rows(instrument, ids, week, side, Readings(value[:, here], below[:, here]))


def _unharmed(trial: Trial, instrument: Instrument, side: str) -> dict[str, np.ndarray]:
    """What a reading that adverse events change needs besides the model: none of them."""
    return (
        {"adverse": np.zeros((len(trial.protocol.order), 1))} if "adverse" in readings.names(instrument, side) else {}
    )


def _adverse_effect(trial: Trial, instrument: Instrument, side: str, week: float) -> np.ndarray:
    """What adverse events of the two weeks before a visit change in a reading, (slot,)."""
    adverse = np.zeros(trial.recruited.place.shape[1])
    for event in trial.events:
        adverse[event.slot] = max(adverse[event.slot], float(0 <= week * 7 - event.day <= 14))
    at_rest = {name: np.zeros(1) for name in readings.names(instrument, side)}
    effect = readings.signal(instrument, side, at_rest | {"adverse": np.ones(1)}) - readings.signal(
        instrument, side, at_rest
    )
    return effect * adverse


def _screen_failures(trial: Trial, instrument: Instrument, side: str, week: float, count: int) -> pl.DataFrame:
    """Screening readings of people who were not randomised: the trial's answer to "raised?" needs them."""
    places = np.setdiff1d(np.arange(trial.last_screened + 1), trial.recruited.place[0])
    person = trial.screening.person[0, places]
    potential = latent(trial.world, instrument, side, week, _unharmed(trial, instrument, side))[0]
    noise = visit_noise(trial.screening, instrument, Visit(side, week, count))
    at_places = readings.Noise(noise.day[0, places], noise.replicate[:, 0, places])
    return _rows(
        instrument, subject_ids(trial, places), week, side, readings.read(instrument, potential[person], at_places)
    )


def _rows(instrument: Instrument | None, ids: list[str], week: float, side: str, seen: Readings) -> pl.DataFrame:
    """Long rows of one visit, one a replicate and subject; a reading below the limit has no AVAL."""
    count, people = seen.value.shape
    limit = lloq(instrument) if instrument is not None else 0.0
    value, below = seen.value.ravel(), seen.below.ravel()
    if instrument is not None:
        value = np.round(readings.from_scale(instrument, value), 4)
    text = [f"<{limit:g}" if low else f"{number:g}" for number, low in zip(value, below, strict=True)]
    length = count * people
    return pl.DataFrame(
        {
            "USUBJID": ids * count,
            "PARAMCD": [instrument.paramcd if instrument is not None else ""] * length,
            "AVAL": pl.Series(np.where(below, np.nan, value)).fill_nan(None),
            "AVALC": text,
            "AVALU": [instrument.unit if instrument is not None else ""] * length,
            "AVISIT": [f"Week {week:g}"] * length,
            "AVISITN": [float(week)] * length,
            "ADY": [int(week * 7) + (1 if week >= 0 else 0)] * length,
            "ABLFL": ["Y" if week == 0 else ""] * length,
            "LLOQ": [limit or None] * length,
            "BLQFL": np.where(below, "Y", "N"),
            "LBSPEC": [instrument.specimen if instrument is not None else ""] * length,
            "SIDE": [side.upper()] * length,
            "REPNO": np.repeat(np.arange(1, count + 1), people),
            "SCRNFL": ["Y" if week < 0 else "N"] * length,
        },
        schema_overrides={"LLOQ": pl.Float64, "AVAL": pl.Float64},
    )


def _duration_stratum(trial: Trial, duration: np.ndarray) -> np.ndarray:
    if "duration" not in trial.protocol.allocation.strata:
        return np.full(len(duration), "all")
    cut = trial.protocol.allocation.cut_days
    return np.where(np.floor(duration) > cut, f">{cut:g} d", f"<={cut:g} d")


def _screened_per_day(trial: Trial) -> float:
    rate = trial.protocol.conduct.screened_per_month
    return rate.typical / DAYS_A_MONTH
