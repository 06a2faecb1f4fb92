"""What the processes of the app do: the verbs of the library with the options of a page."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from causalgia.app.edit import Numbers, edited
from causalgia.app.form import document, fields, same
from causalgia.documents import Protocol
from causalgia.documents.errors import InputError
from causalgia.documents.patient import Patient, load

if TYPE_CHECKING:
    import xarray as xr

    from causalgia.app.processes import Tell

Json = dict[str, Any]
KEPT = 4
OFTEN = 0.1  # seconds between two tellings of progress
# What a person may ask of the server.
BOUNDS = {
    "people": (300, 100_000),
    "subjects": (400, 50_000),
    "replicates": (20, 50_000),
    "seed": (0, 2**31 - 1),
    "size": (1, 2_000),
}
PROTOCOL_FILE, PATIENT_FILE = "protocol.toml", "patient.toml"
DEFAULT = "gated-infliximab"


@dataclass(frozen=True)
class Trial:
    """A trial of the library with other numbers, and how many of everything."""

    protocol: str
    seed: int = 1
    subjects: int = 4000
    replicates: int = 400
    sizes: tuple[int, ...] = (20, 40, 60)
    numbers: Numbers = field(default_factory=Numbers)

    def check(self) -> None:
        """Raises InputError for what the server will not do."""
        _bounded(seed=self.seed, subjects=self.subjects, replicates=self.replicates)
        for size in self.sizes:
            _bounded(size=size)


@dataclass(frozen=True)
class Tables:
    """Uploaded files, name and where they lie, and the protocol of their trial where no protocol.toml is among them."""

    protocol: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Considered:
    """A patient document or a series as text, and the name of its file, which says which it is; seed and number of
    virtual patients behind what is said of it; changed weights.
    """

    document: str
    seed: int = 1
    people: int = 20_000
    weights: tuple[tuple[str, float], ...] = ()
    name: str = PATIENT_FILE

    def check(self) -> None:
        """Raises InputError for what the server will not do."""
        _bounded(seed=self.seed, people=self.people)


def _bounded(**asked: int) -> None:
    for key, value in asked.items():
        low, high = BOUNDS[key]
        if not low <= value <= high:
            raise InputError(key, f"{value:,}", f"a whole number from {low:,} to {high:,}", "Correct it.")


def warm() -> None:
    """Imports and reads what the work needs, so that the first job need not wait for it."""
    import causalgia as cg
    import causalgia.report.operating
    import causalgia.report.svg

    for name in ("Population", "simulate", "conduct", "analyse", "evaluate", "results"):
        getattr(cg, name)
    import matplotlib.figure  # noqa: F401

    Protocol.load(DEFAULT).with_options(BOUNDS["subjects"][0], BOUNDS["replicates"][0], (2,))


def prepare(options: Trial, tell: Tell) -> None:
    """What a trial begins with, done and kept before anybody asks for the trial."""
    options.check()
    with _planned(options) as protocol:
        _outcomes(protocol, options.seed, tell)


def trial(options: Trial, tell: Tell) -> Json:
    """As `causalgia run`: its results.json as "table", and the tables of its one trial as "tables".

    Tells its operating characteristics, drawn, as a part as soon as they are known.
    """
    from causalgia.analysis.answers import analyse as answer
    from causalgia.design.evaluate import evaluate
    from causalgia.population.worlds import CONTROLS
    from causalgia.report.results import results
    from causalgia.trial.conduct import conduct

    options.check()
    with _planned(options) as protocol:
        outcomes = _outcomes(protocol, options.seed, tell)
        worlds = outcomes.sizes["world"] + len(CONTROLS)
        total = options.replicates * len(options.sizes) * worlds * (len(protocol.order) - 1)
        step = _stage(tell, "Evaluating replicate trials", "trials", total)
        characteristics = evaluate(protocol, outcomes, seed=options.seed, progress=step)
        tell("part", _drawn(protocol, characteristics))
        tell("stage", ("Writing it up", "", 0, 0, time.monotonic()))
        tables = conduct(protocol, outcomes, seed=options.seed)
        table = results(protocol, outcomes, tables, answer(protocol, tables), characteristics)
    texts = {f"{key}.csv": rows.write_csv() for key, rows in tables.items() if key != "truth"}
    return {"table": table, "tables": texts}


def page(table: Json, tell: Tell) -> str:
    """The report of a trial's results as HTML."""
    from causalgia.report.page import page as render

    return render(table)


def analyse(options: Tables, tell: Tell) -> Json:
    """As `causalgia analyse --json`, of uploaded files: "answers", each as a line in "lines", drawn in "figures".

    Raises TablesError with every problem. The files are read by name and suffix alone; their copies are gone when it
    ends.
    """
    from causalgia.analysis.answers import analyse as answer
    from causalgia.analysis.courses import courses
    from causalgia.analysis.formats import FORMATS
    from causalgia.analysis.tables import read_tables
    from causalgia.analysis.variables import TITLES
    from causalgia.report.analysed import figures
    from causalgia.report.results import clean
    from causalgia.report.verdict import sentence

    suffixes = [form.suffix for form in FORMATS.values()]
    known = {f"{table}{suffix}" for table in TITLES for suffix in suffixes} | {PROTOCOL_FILE}
    with TemporaryDirectory(prefix="causalgia-") as folder, chdir(folder):
        for name, path in options.files:
            if name.lower() not in known or Path(name.lower()).exists():
                expected = f"{', '.join(TITLES)} as {', '.join(suffixes)}, each once, or {PROTOCOL_FILE}"
                remedy = "Unpack it, and choose its files." if name.endswith(".zip") else "Leave it out or rename it."
                raise InputError(name[:80], "a file that is no table of a trial", expected, remedy)
            Path(name.lower()).write_bytes(Path(path).read_bytes())
        protocol = Protocol.load(f"./{PROTOCOL_FILE}" if Path(PROTOCOL_FILE).exists() else options.protocol)
        tables = read_tables(Path(), protocol)
        answers = answer(protocol, tables)
    found = clean({key: asdict(value) for key, value in answers.items()})
    return {
        "answers": found,
        "figures": figures(found, clean(courses(protocol, tables)), protocol.control),
        "lines": [sentence(value) for value in answers.values()],
        "protocol": protocol.title,
    }


def patient(options: Considered, tell: Tell) -> Json:
    """As `causalgia patient --json`, of a document or a series, as "table"; and as "fields" the form's fields of it,
    None where the form cannot hold it.
    """
    from causalgia.inference.patients import consider

    options.check()
    with TemporaryDirectory(prefix="causalgia-") as folder, chdir(folder):
        Path(options.name).write_text(options.document, encoding="utf-8")
        page = load(options.name)
        tell("stage", ("Taking virtual patients through every therapy", "people", 0, 0, time.monotonic()))
        table = consider(page, dict(options.weights), seed=options.seed, people=options.people)
        return {"table": table, "fields": _fields(page) if isinstance(page, Patient) else None}


def _fields(patient: Patient) -> dict[str, str] | None:
    """The form's fields of a patient; None where something would be lost."""
    held = fields(patient)
    try:
        Path(PATIENT_FILE).write_text(document(held), encoding="utf-8")
        return held if same(patient, Patient.load(PATIENT_FILE)) else None
    except InputError:
        return None


TASKS: dict[str, Callable[[Any, Tell], Any]] = {
    "prepare": prepare,
    "trial": trial,
    "page": page,
    "analyse": analyse,
    "patient": patient,
}


@contextmanager
def _planned(options: Trial) -> Iterator[Protocol]:
    """The protocol: the library's, or a changed one in a directory that goes with the block."""
    from causalgia.design.evaluate import check_room

    files = edited(options.protocol, options.numbers)
    with TemporaryDirectory(prefix="causalgia-") as folder, chdir(folder):
        for name, text in files.items():
            Path(name).write_text(text, encoding="utf-8")
        protocol = Protocol.load(next(iter(files), options.protocol))
        protocol = protocol.with_options(options.subjects, options.replicates, options.sizes)
        check_room(protocol)
        yield protocol


_kept: OrderedDict[tuple, xr.Dataset] = OrderedDict()


def _outcomes(protocol: Protocol, seed: int, tell: Tell) -> xr.Dataset:
    """The potential outcomes; kept for a protocol that differs only in what does not change them, as gate and assay."""
    from causalgia.population.outcomes import simulate

    times = sorted({time for row in protocol.schedule.values() for time in row.at})
    course = protocol.model_dump_json(include={"population", "arms", "named_control", "named_primary", "blinding"})
    key = (course, protocol.follow_up, tuple(times), seed)
    if key not in _kept:
        patients = _patients(protocol, seed, tell)
        total = protocol.population.subjects * patients.sizes["world"] * len(protocol.order)
        _keep(key, simulate(protocol, patients, progress=_stage(tell, "Simulating regimens", "subjects", total)))
    _kept.move_to_end(key)
    return _kept[key].assign_attrs(protocol=protocol.name, digest=protocol.digest)


def _patients(protocol: Protocol, seed: int, tell: Tell) -> xr.Dataset:
    from causalgia.population.patients import Population

    subjects = protocol.population.subjects
    key = (protocol.population.condition, subjects, seed)
    if key not in _kept:
        # How many are injured for so many enrolled is known only at the end: the bar shows the stage alone.
        tell("stage", ("Enrolling virtual patients", "people", 0, 0, time.monotonic()))
        _keep(key, Population.load(protocol.population.condition).sample(subjects, seed=seed))
    _kept.move_to_end(key)
    return _kept[key]


def _keep(key: tuple, value: xr.Dataset) -> None:
    _kept[key] = value
    while len(_kept) > KEPT:
        _kept.popitem(last=False)


def _stage(tell: Tell, title: str, unit: str, total: int) -> Callable[[int], None]:
    """Counts finished units, and tells now and then."""
    start = shown = time.monotonic()
    done = 0
    tell("stage", (title, unit, total, 0, start))

    def step(count: int) -> None:
        nonlocal done, shown
        done += count
        if time.monotonic() - shown > OFTEN:
            shown = time.monotonic()
            tell("stage", (title, unit, total, done, start))

    return step


def _drawn(protocol: Protocol, characteristics: xr.Dataset) -> Json:
    """Power and gate as numbers and figures, from the operating characteristics alone."""
    import matplotlib

    from causalgia.report.operating import gate, power
    from causalgia.report.results import clean, evaluation
    from causalgia.report.svg import STYLE

    first = characteristics.isel(comparison=0) if "comparison" in characteristics.dims else characteristics
    names, titles, structural = (first[name].values.tolist() for name in ("world", "title", "structural"))
    worlds = [
        {"name": name, "title": title, "structural": bool(kind)}
        for name, title, kind in zip(names, titles, structural, strict=True)
    ]
    table = clean(
        {
            "worlds": worlds,
            "evaluation": evaluation(characteristics),
            "protocol": {
                "sizes": list(protocol.evaluation.sizes),
                "alpha": protocol.evaluation.alpha,
                "gate": protocol.gate.rule if protocol.gate is not None else None,
                "title": protocol.title,
            },
        }
    )
    with matplotlib.rc_context(STYLE):
        figures = [*power(table), *(gate(table) if protocol.gate is not None else [])]
    return {**table, "figures": [asdict(figure) for figure in figures]}
