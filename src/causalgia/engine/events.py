"""Doses, and the records they become: the canonical form that generated code reads.

A record is (time, action, index, value) with the actions of `layout`; each subject's records stand in order of time,
and at one time observations stand first, so that an observation at a dose sees the state before it, unless the dose
says from which observation on it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalgia.documents.errors import InputError
from causalgia.engine.layout import ADD, OBSERVE, RATE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Doses: arrays (subject, event), or anything that broadcasts to them.

    `time` NaN means no event. `state` is one name or index per event column, or an array of indices. `amount` enters
    the state at once when `duration` is 0, else evenly over `duration`; or give `rate` > 0, and the infusion lasts
    amount/rate. A constant rate for ever has `amount` inf. Overlapping infusions add. Units are the model's.
    `seen_from` decides ties: of the observations at the event's own time, those from this row of the subject's times on
    see it; inf, none does.
    """

    time: ArrayLike
    state: Sequence[str] | ArrayLike
    amount: ArrayLike
    duration: ArrayLike = 0.0
    rate: ArrayLike = 0.0
    seen_from: ArrayLike = np.inf


@dataclass(frozen=True)
class Doses:
    """Checked events, each array (subject, event): infusions have rate > 0 and end at `end`, boluses rate 0."""

    time: Floats
    state: Integers
    amount: Floats
    rate: Floats
    end: Floats
    seen_from: Floats

    def of(self, first: int, last: int) -> Doses:
        """The doses of a range of subjects."""
        return Doses(*(getattr(self, field.name)[first:last] for field in fields(self)))


@dataclass(frozen=True)
class Records:
    """Records of consecutive subjects, one after another; subject s has offset[s] to offset[s + 1]."""

    offset: Integers
    time: Floats
    action: Integers
    index: Integers
    value: Floats


def check_events(events: Events | None, states: Sequence[str], start: Floats) -> Doses:
    """Events as checked arrays over the subjects of `start`."""
    subjects = len(start)
    if events is None:
        none = np.zeros((subjects, 0))
        return Doses(none, none.astype(np.int64), none, none, none, none)
    state = _state_indices(events.state, states)
    given_parts = (events.time, events.amount, events.duration, events.rate, events.seen_from)
    parts = [np.asarray(x, dtype=np.float64) for x in given_parts]
    try:
        columns = np.broadcast_shapes(*(np.atleast_1d(p).shape[-1:] for p in (*parts, state)))
        shape = (subjects, *columns)
        time, amount, duration, rate, seen_from = (np.broadcast_to(p, shape) for p in parts)
        state = np.broadcast_to(state, shape)
    except ValueError as error:
        shapes = ", ".join(str(p.shape) for p in (*parts, state))
        raise InputError("events", f"shapes {shapes}", f"({subjects}, events)", "Give one row a subject.") from error
    given = ~np.isnan(time)
    _check_doses(given, time, amount, duration, rate, start)
    if np.isnan(seen_from[given]).any():
        raise InputError("events, seen_from", "nan", "a row of the times, or inf", "Correct the event.")
    amount, rate = np.where(given, amount, 0.0), np.where(given, rate, 0.0)
    long = np.where(given & (duration > 0), duration, 1.0)
    rate = np.where(given & (duration > 0), amount / long, rate)
    lasts = np.where(duration > 0, duration, amount / np.where(rate > 0, rate, 1.0))
    return Doses(time, state, amount, rate, time + lasts, seen_from)


def _state_indices(state: Sequence[str] | ArrayLike, states: Sequence[str]) -> Integers:
    names = np.asarray(state)
    if names.dtype.kind in "UO":
        places = {name: i for i, name in enumerate(states)}
        unknown = [str(n) for n in names.ravel() if n not in places]
        if unknown:
            raise InputError("events, state", repr(unknown[0]), f"one of {', '.join(states)}", "Name a state.")
        return np.array([places[n] for n in names.ravel()], dtype=np.int64).reshape(names.shape)
    if names.dtype.kind not in "iu" or (names.size and not (names.min() >= 0 and names.max() < len(states))):
        raise InputError("events, state", f"{names.dtype} values", f"indices 0 to {len(states) - 1}", "Name a state.")
    return names.astype(np.int64)


def _check_doses(given: NDArray, time: Floats, amount: Floats, duration: Floats, rate: Floats, start: Floats) -> None:
    infused = (duration > 0) | (rate > 0)
    rules = (
        ("time", np.isfinite(time) & (time >= start[:, None]), "a finite time, not before the subject's start"),
        ("amount", amount >= 0, "an amount of 0 or more"),
        ("amount", np.isfinite(amount) | (rate > 0), "a finite amount (inf only with a rate: an endless infusion)"),
        ("duration", (duration >= 0) & np.isfinite(duration), "a finite duration of 0 or more"),
        ("rate", (rate >= 0) & np.isfinite(rate), "a finite rate of 0 or more"),
        ("rate", ~((duration > 0) & (rate > 0)), "a duration or a rate, not both"),
        ("amount", ~infused | (amount > 0) | (rate == 0), "an amount above 0 with a rate"),
    )
    columns = {"time": time, "amount": amount, "duration": duration, "rate": rate}
    for name, good, expected in rules:
        bad = np.argwhere(given & ~good)
        if len(bad):
            subject, event = (int(i) for i in bad[0])
            found = f"{columns[name][subject, event]:g} (subject {subject}, event {event})"
            raise InputError(f"events, {name}", found, expected, "Correct the event.")


def lower(doses: Doses, times: Floats) -> Records:
    """The records of some subjects: their observations at `times` (subject, time), NaN for none, and their doses."""
    rows = times.shape[1]
    bolus, infusion = doses.rate == 0, doses.rate > 0
    nothing = np.inf
    time = np.concatenate(
        [
            np.where(np.isnan(times), nothing, times),
            np.where(np.isnan(doses.time), nothing, doses.time),
            np.where(infusion & ~np.isnan(doses.end), doses.end, nothing),
        ],
        axis=1,
    )
    zeros = np.zeros_like(times)
    value = np.concatenate([zeros, np.where(bolus, doses.amount, doses.rate), -doses.rate], axis=1)
    action = np.concatenate(
        [np.full(times.shape, OBSERVE), np.where(bolus, ADD, RATE), np.full(doses.time.shape, RATE)], axis=1
    )
    observed = np.broadcast_to(np.arange(rows), times.shape)
    index = np.concatenate([observed, doses.state, doses.state], axis=1)
    never = np.full(doses.time.shape, nothing)  # amounts are continuous where an infusion ends
    turn = np.concatenate([observed + 0.5, doses.seen_from, never], axis=1)
    order = np.lexsort((turn, time), axis=1)
    time, action, index, value = (np.take_along_axis(a, order, axis=1) for a in (time, action, index, value))
    value = _running_rates(action, index, value)
    last = np.where(action == OBSERVE, np.isfinite(time), False)
    kept = np.flip(np.logical_or.accumulate(np.flip(last, axis=1), axis=1), axis=1)  # nothing after the last look
    offset = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    return Records(offset, time[kept], action[kept].astype(np.int64), index[kept].astype(np.int64), value[kept])


def _running_rates(action: Integers, index: Integers, change: Floats) -> Floats:
    """Changes of infusion rate to the rate from then on: their running sum, and exactly 0 when no infusion runs."""
    value = change.copy()
    rates = action == RATE
    for state in np.unique(index[rates]):
        here = rates & (index == state)
        running = np.cumsum(np.where(here, np.sign(change), 0.0), axis=1)
        total = np.where(running > 0, np.cumsum(np.where(here, change, 0.0), axis=1), 0.0)
        value = np.where(here, total, value)
    return value
