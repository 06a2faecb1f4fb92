"""Names and places that generated code and Python share."""

from __future__ import annotations

from dataclasses import dataclass

# What a lane reports after a step. From FINISHED on, report − FINISHED is the subject's status.
FREE, RUNNING, ARRIVED, FINISHED = -1, 0, 1, 2
UNDEFINED_START, NON_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS = 1, 2, 3, 4
STATUS = {
    0: "solved",
    UNDEFINED_START: "undefined at the start: give finite parameters for which every formula of them is defined",
    NON_FINITE: "not finite: a rate overflowed or is undefined on the way; check signs and sizes of the parameters",
    STEP_TOO_SMALL: "step below the resolution of time: loosen rtol or raise floor, or look for a singular rate",
    TOO_MANY_STEPS: "step budget spent: raise max_steps, loosen rtol, or raise floor for states that stay near zero",
}

# What a record does; `index` is an output row for OBSERVE and a state for the others.
OBSERVE, ADD, RATE = 0, 1, 2  # write the outputs; state += value; infusion into the state = value from now on

TABLES = (
    "parameters",  # (subject, parameter)
    "initial",  # (subject, state), or null for the model's own
    "start",  # (subject,)
    "offset",  # (subject + 1,): where each subject's records begin
    "time",  # (record,)
    "action",  # (record,) integers
    "index",  # (record,) integers
    "value",  # (record,)
    "floor",  # (state,)
    "selected",  # (output,) integers
    "values",  # (subject, row, output): results from here on
    "final",  # (subject, state)
    "status",  # (subject,) integers
    "steps",  # (subject,) integers
    "rejected",  # (subject,) integers
)
OPTIONS = ("rtol", "max_steps", "rows", "selected")
SCALARS = ("time", "step", "target", "alive", "accepted", "rejected", "report")


@dataclass(frozen=True)
class Layout:
    """Where a lane's numbers stand in the workspace: row `slot`, column lane."""

    states: int
    hoisted: int

    @property
    def rate(self) -> int:
        return self.states

    @property
    def floor(self) -> int:
        return 2 * self.states

    @property
    def hoist(self) -> int:
        return 3 * self.states

    def scalar(self, name: str) -> int:
        return 3 * self.states + self.hoisted + SCALARS.index(name)

    @property
    def slots(self) -> int:
        return 3 * self.states + self.hoisted + len(SCALARS)
