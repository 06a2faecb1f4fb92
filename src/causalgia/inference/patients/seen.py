"""What was read of a patient, as the observation model wants it, and how likely virtual patients make it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from causalgia.documents import Drug, Instrument
from causalgia.documents.parameters import Parameter
from causalgia.documents.patient import Fluid, Level, Patient, Score
from causalgia.documents.units import factor
from causalgia.measurement import readings
from causalgia.measurement.readings import Noise, Readings

GIVEN = "the patient's document"
LEVEL = "level "  # begins the name of an instrument that stands for a drug level


class Seen(NamedTuple):
    """One sample, score or drug level on a day from the first visit, with the errors that hold for it."""

    day: float
    instrument: Instrument
    side: str
    readings: Readings
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """What is read: the instrument's name and the side."""
        return self.instrument.name, self.side

    @property
    def title(self) -> str:
        """What was read, and where."""
        return self.instrument.title + (f", {self.side}" if self.side != "patient" else "")

    @property
    def mean(self) -> float:
        """The mean of the replicates on the instrument's scale, one below the limit counted as the limit."""
        return float(readings.visit_value(self.instrument, self.readings).value)

    @property
    def below(self) -> bool:
        """Whether a replicate is below the limit."""
        return bool(self.readings.below.any())

    @property
    def outputs(self) -> set[str]:
        """Model outputs that it reads."""
        return readings.names(self.instrument, self.side)

    @property
    def is_score(self) -> bool:
        """Whether it is a score of the whole patient."""
        return self.instrument.scale == "linear"

    @property
    def is_level(self) -> bool:
        """Whether it is a drug level."""
        return self.instrument.name.startswith(LEVEL)

    @property
    def error(self) -> float:
        """SD of the mean of the replicates, day's and replicates' error together, on the instrument's scale."""
        day, replicate = errors(self.instrument)
        return float(np.sqrt(day**2 + replicate**2 / len(self.readings.value)))

    def log_likelihood(self, latent: np.ndarray) -> np.ndarray:
        """Log density of the readings where the one without error is `latent`, in the instrument's unit."""
        return readings.logpdf(self.instrument, scaled(self.instrument, latent), self.readings)


def seen(patient: Patient, level_error: float) -> list[Seen]:
    """Everything that was read, in the order of time; `level_error` where a drug level gives none of its own."""
    found = []
    for day, visit in zip(patient.days, patient.visits, strict=True):
        found += [_score(day, name, score) for name, score in visit.scores.items()]
        found += [_fluid(day, fluid) for fluid in visit.fluids]
        found += [_level(day, level, level_error) for level in visit.levels]
    return found


def counted(sights: Sequence[Seen]) -> list[Seen]:
    """The readings that tell something of their own: not a sum score of a day on which all its components were read.

    It is made of the same examination, so counting both would count each error once too little.
    """
    single: dict[float, set[str]] = {}
    for sight in sights:
        if len(sight.outputs) == 1:
            single.setdefault(sight.day, set()).update(sight.outputs)
    return [s for s in sights if len(s.outputs) == 1 or not s.is_score or not s.outputs <= single.get(s.day, set())]


def scaled(instrument: Instrument, latent: np.ndarray) -> np.ndarray:
    """A reading without error on the instrument's scale; next to nothing is not nothing on a log scale."""
    return readings.to_scale(instrument, np.maximum(latent, 1e-9) if instrument.scale == "log" else latent)


def errors(instrument: Instrument) -> tuple[float, float]:
    """SDs of the day's and the replicate's error on the instrument's scale."""

    def size(entry: Parameter | None) -> float:
        if entry is None or entry.value is None:
            return 0.0
        return entry.value if instrument.scale == "log" else entry.value * factor(entry.unit, instrument.unit)

    return size(instrument.day_error), size(instrument.replicate_error)


def latent(recovery: np.ndarray, instrument: Instrument, side: str, course: Mapping[str, np.ndarray]) -> np.ndarray:
    """Readings without error, (person, time), in the instrument's unit; `recovery` (person,) is the assay's."""
    value = readings.signal(instrument, side, {**course, "adverse": np.zeros(1)})
    return value * recovery[:, None] if instrument.recovery else value


def read_again(instrument: Instrument, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One more reading of each value, with the day's and one replicate's error, in the instrument's unit."""
    noise = Noise(rng.standard_normal(value.shape), rng.standard_normal((1, *value.shape)))
    return readings.from_scale(instrument, readings.read(instrument, scaled(instrument, value), noise).value[0])


def _score(day: float, name: str, score: float | Score) -> Seen:
    instrument = Instrument.load(name)
    value = score.value if isinstance(score, Score) else score
    if isinstance(score, Score) and score.error is not None:
        instrument = _with(instrument, day_error=(score.error, instrument.unit))
    text = f"{value:g}".replace("-", "−")
    return Seen(day, instrument, "patient", Readings(np.array([value]), np.array([False])), text)


def _fluid(day: float, fluid: Fluid) -> Seen:
    instrument = Instrument.load(fluid.measure)
    changes: dict[str, tuple[float, str]] = {}
    if fluid.limit is not None:
        changes["lloq"] = (fluid.limit, fluid.unit)
    if fluid.day_error is not None:
        changes["day_error"] = (fluid.day_error, "1")
    if fluid.replicate_error is not None:
        changes["replicate_error"] = (fluid.replicate_error, "1")
    instrument = _with(instrument, **changes)
    unit = factor(fluid.unit, instrument.unit)
    value = np.log([x * unit for x, _ in fluid.numbers])
    text = ", ".join(f"<{x * unit:g}" if below else f"{x * unit:g}" for x, below in fluid.numbers)
    return Seen(day, instrument, fluid.side, Readings(value, np.array([below for _, below in fluid.numbers])), text)


def _level(day: float, level: Level, error: float) -> Seen:
    """A drug level as a reading of the model's output that holds it."""
    drug = Drug.load(level.drug)
    value, below = level.number
    unit = "mg/L"
    there = value * factor(level.unit, unit)
    instrument = Instrument.model_construct(
        kind="instrument",
        name=LEVEL + drug.name,
        title=f"serum {drug.title.lower()}",
        unit=unit,
        scale="log",
        signal={"patient": drug.concentration},
        bound={},
        reads=None,
        day_error=_entry(level.error or error, "1"),
        replicate_error=None,
        lloq=_entry(there, unit) if below else None,
        range=None,
        step=None,
        recovery=False,
    )
    text = f"<{there:g}" if below else f"{there:g}"
    return Seen(day, instrument, "patient", Readings(np.log([there]), np.array([below])), text)


def _with(instrument: Instrument, **changes: tuple[float, str]) -> Instrument:
    return instrument.model_copy(update={key: _entry(*value) for key, value in changes.items()})


def _entry(value: float, unit: str) -> Parameter:
    return Parameter(value=value, unit=unit, source=GIVEN)
