"""A compiled model: from the cache, or generated."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalgia.engine.cache import kernel_key, read_kernel, write_kernel
from causalgia.engine.native import fingerprint, load_object, vector_lanes
from causalgia.models.model import load_model, read_source

if TYPE_CHECKING:
    from causalgia.models.model import Model

LANES = (1, 2, 4, 8, 16)
NAMES = ("states", "parameters", "outputs", "all_states", "all_parameters")


@dataclass(frozen=True)
class Kernel:
    """Native code of one model; `outputs` are the states, then the assigned variables.

    `all_states` and `all_parameters` are those of the page before anything that stays zero went.
    """

    name: str
    states: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    units: dict[str, str]
    meanings: dict[str, str]
    values: dict[str, float]
    all_states: tuple[str, ...]
    all_parameters: tuple[str, ...]
    lanes: int
    slots: int
    run: Callable[..., None] = field(repr=False, compare=False)
    _engine: object = field(repr=False, compare=False)


def load_kernel(source: Path | str, *, entered: Collection[str] | None = None, lanes: int | None = None) -> Kernel:
    """The kernel of a model file or text (see `load_model`), from the cache or compiled and cached.

    With `entered`, the states that something may enter, what stays zero without them is left out (see `reduce_model`).
    `lanes` subjects are solved side by side (None: as many as a vector of this machine holds); their number changes
    the speed and not the results.
    Errors: `InputError` from `load_model`; `ValueError` for a number of lanes that is not in `LANES`.
    """
    lanes = vector_lanes() if lanes is None else lanes
    if lanes not in LANES:
        raise ValueError(f"lanes is {lanes}; expected one of {LANES}")
    where, text = read_source(source)
    doors = "" if entered is None else " ".join(["entered:", *sorted(set(entered))])
    key = kernel_key(f"{Path(where).stem}\0{text}\0{doors}", lanes, fingerprint())
    cached = read_kernel(key)
    if cached is None:
        code, page = _compile(load_model(source), entered, lanes)
        write_kernel(key, code, page)
    else:
        code, page = cached
    run, engine = load_object(code)
    names = {kind: tuple(page[kind]) for kind in NAMES}
    return Kernel(**{**page, **names}, run=run, _engine=engine)


def _compile(whole: Model, entered: Collection[str] | None, lanes: int) -> tuple[bytes, dict[str, Any]]:
    from causalgia.engine.generate import generate_kernel  # SymPy starts only here
    from causalgia.models.reduce import reduce_model

    model = whole if entered is None else reduce_model(whole, entered)
    code, layout = generate_kernel(model, lanes)
    page = {
        "all_states": whole.states,
        "all_parameters": whole.parameters,
        "name": model.name,
        "states": model.states,
        "parameters": model.parameters,
        "outputs": model.outputs,
        "units": dict(model.units),
        "meanings": dict(model.meanings),
        "values": dict(model.values),
        "lanes": lanes,
        "slots": layout.slots,
    }
    return code, page
