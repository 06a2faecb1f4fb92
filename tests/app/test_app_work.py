"""What the app runs, without a browser: the same numbers as the library, bounded, and gone when cancelled."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import causalgia as cg
from causalgia.analysis.problems import TablesError
from causalgia.app import work
from causalgia.app.edit import Numbers, edited, numbers
from causalgia.app.form import document, same
from causalgia.app.processes import Workers
from causalgia.app.uploads import patient_text
from causalgia.documents.errors import InputError
from causalgia.documents.patient import Patient
from causalgia.documents.reader import names
from causalgia.report.results import results

SMALL = work.Trial("gated-infliximab", seed=3, subjects=600, replicates=60, sizes=(8, 16))


def quiet(kind: str, content: object) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def small():
    return work.trial(SMALL, quiet)


def test_a_trial_is_the_librarys_own(small):
    protocol = cg.Protocol.load("gated-infliximab").with_options(600, 60, (8, 16))
    outcomes = cg.simulate(protocol, cg.Population.load("crps-acute").sample(600, seed=3))
    trial = cg.conduct(protocol, outcomes, seed=3)
    answers = cg.analyse(protocol, trial)
    assert small["table"] == results(protocol, outcomes, trial, answers, cg.evaluate(protocol, outcomes, seed=3))


def test_outcomes_are_used_again_where_only_gate_and_assay_differ(small):
    told = []
    changed = work.Trial(**{**vars(SMALL), "numbers": Numbers("5 mg/kg", 40, 4)})
    table = work.trial(changed, lambda kind, content: told.append((kind, content)))["table"]
    assert not any(content[0].startswith("Simulating") for kind, content in told if kind == "stage")
    assert table["protocol"]["gate_limit"]["value"] == 40
    assert table["protocol"]["endpoints"]["lowered"]["limit"] == 4
    assert table["population"]["absolute"]["enrolled"] == small["table"]["population"]["absolute"]["enrolled"]
    assert table["evaluation"] != small["table"]["evaluation"]
    assert [content["evaluation"] for kind, content in told if kind == "part"] == [table["evaluation"]]


@pytest.mark.parametrize("name", names("protocol"))
def test_every_number_of_every_protocol_that_can_be_changed_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    protocol = cg.Protocol.load(name)
    own = numbers(protocol)
    unit = (own.dose or "").rpartition(" ")[2]
    wanted = Numbers(own.dose and f"7.5 {unit}", own.gate and 44.5, own.limit and 3.25)
    assert edited(name, own) == {}
    for file, text in edited(name, wanted).items():
        Path(file).write_text(text, encoding="utf-8")
    changed = cg.Protocol.load(f"{name}.toml")
    assert numbers(changed) == wanted
    assert list(changed.arms) == list(protocol.arms) and len(changed.schedule) == len(protocol.schedule)


@pytest.mark.parametrize(
    "wanted",
    [
        Numbers(dose='5 mg/kg"\nname = "x'),
        Numbers(dose="five"),
        Numbers(gate=-1.0),
        Numbers(gate=float("nan")),
        Numbers(limit=0.0),
        Numbers(limit=float("inf")),
    ],
)
def test_impossible_numbers_are_refused(wanted):
    with pytest.raises(InputError):
        edited("gated-infliximab", wanted)


@pytest.mark.parametrize("options", [{"subjects": 10**9}, {"replicates": 1}, {"seed": -1}, {"sizes": (5000,)}])
def test_more_than_the_server_does_is_refused(options):
    with pytest.raises(InputError, match="whole number from"):
        work.trial(work.Trial(**{**vars(SMALL), **options}), quiet)


def _saved(small: dict, folder: Path) -> tuple[tuple[str, str], ...]:
    """Uploads lie under names of their own, as those of a browser do."""
    saved = []
    for k, (name, text) in enumerate(small["tables"].items()):
        (folder / str(k)).write_text(text, encoding="utf-8")
        saved.append((name, str(folder / str(k))))
    return tuple(saved)


def test_uploaded_tables_are_answered_as_the_trial_was(small, tmp_path):
    found = work.analyse(work.Tables("gated-infliximab", _saved(small, tmp_path)), quiet)
    assert found["answers"].keys() == small["table"]["trial"]["answers"].keys()
    for key, answer in found["answers"].items():
        assert answer["n"] == small["table"]["trial"]["answers"][key]["n"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [str(k) for k in range(len(small["tables"]))]


def test_every_problem_is_told_by_the_name_of_the_upload(small, tmp_path):
    files = dict(_saved(small, tmp_path))
    path = Path(files["adsl.csv"])
    path.write_text(path.read_text().replace(",Y,", ",perhaps,"), encoding="utf-8")
    with pytest.raises(TablesError) as caught:
        work.analyse(work.Tables("gated-infliximab", tuple(files.items())), quiet)
    assert {problem.table for problem in caught.value.problems} == {"adsl.csv"}
    assert len(caught.value.problems) > 1


@pytest.mark.parametrize("name", ["../adsl.csv", "notes.txt", "adsl.csv/x", "run.sh", ".bashrc"])
def test_only_tables_of_a_trial_are_read(name, tmp_path):
    (tmp_path / "0").write_text("x")
    with pytest.raises(InputError, match="no table of a trial"):
        work.analyse(work.Tables("gated-infliximab", ((name, str(tmp_path / "0")),)), quiet)


def test_a_cancelled_job_is_gone_at_once_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Workers() as workers:
        long = work.Trial(**{**vars(SMALL), "replicates": 50_000})
        job = workers.start("trial", long)
        _until(lambda: job.stage is not None and job.stage.title.startswith("Evaluating"))
        process = job._process
        group, folder = process._child.pid, Path(process._folder)
        assert folder.parent == tmp_path and any(folder.iterdir())
        assert os.getpgid(group) == group != os.getpgid(0)
        job.cancel()
        assert job.wait(10).state == "cancelled"
        _until(lambda: not _members(group))
        assert not folder.exists()
        again = workers.start("trial", SMALL).wait(60)
        assert again.state == "done" and again.part["evaluation"] == again.result["table"]["evaluation"]
        alive = [process._child.pid for process in workers._idle]
    assert alive and not any(_members(group) for group in alive)
    assert not any(tmp_path.iterdir())


def test_what_was_prepared_serves_the_trial_that_waits_for_it():
    with Workers(1) as workers:
        ready = workers.start("prepare", SMALL, alike=1)
        told = workers.start("trial", SMALL, alike=1, after=ready).wait(60)
        assert ready.state == told.state == "done"
        late = workers.start("prepare", SMALL, after=workers.start("trial", SMALL))
        late.cancel_unless_running()
        assert late.wait(60).state == "cancelled" and late.result is None


def test_a_process_is_ready_where_there_may_be_one_more():
    with Workers(2) as workers:
        assert len(workers._idle) == 1
        job = workers.start("trial", SMALL)
        _until(lambda: job.state == "running")
        assert len(workers._idle) == 1
        assert workers.start("analyse", work.Tables("gated-infliximab", ())).wait(60).state == "failed"
        assert job.wait(60).state == "done" and len(workers._idle) == 2


def test_a_job_that_fails_says_why_and_the_next_is_none_the_worse():
    with Workers(1) as workers:
        bad = workers.start("trial", work.Trial("gated-infliximab", subjects=400, sizes=(500,))).wait(60)
        assert bad.state == "failed" and "at most 400" in str(bad.error)
        odd = workers.start("analyse", work.Tables("gated-infliximab", (("adsl.csv", "/nowhere"),))).wait(60)
        assert odd.state == "failed" and odd.error is not None and "FileNotFoundError" in odd.error.found
        assert workers.start("trial", SMALL).wait(60).state == "done"


@pytest.mark.parametrize("name", names("patient"))
def test_the_form_holds_every_patient_of_the_library(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    patient = Patient.load(name)
    held = work._fields(patient)
    assert held is not None
    Path("again.toml").write_text(document(held), encoding="utf-8")
    assert same(patient, Patient.load("again.toml"))


@pytest.mark.parametrize(
    ("found", "put"),
    [('unit = "pg/mL"', 'unit = "ng/L"'), ("nrs = 6.8", "nrs = { value = 6.8, error = 0.2 }")],
)
def test_the_form_says_of_a_patient_that_it_cannot_hold_all(found, put, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = Patient.load("synthetic-raised").path.read_text(encoding="utf-8")
    assert found in text
    Path("own.toml").write_text(text.replace(found, put), encoding="utf-8")
    assert work._fields(Patient.load("own.toml")) is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("patient.toml", "patient.toml"),
        ("Mr X (2).TOML", "Mr_X_2_.toml"),
        ("../../etc/passwd.csv", "etc_passwd.csv"),
        ("--force.toml", "force.toml"),
        (".toml", "patient.toml"),
        ("a" * 300 + ".csv", "a" * 60 + ".csv"),
    ],
)
def test_a_patients_file_gets_a_name_that_can_do_no_harm(name, kept, tmp_path):
    (tmp_path / "0").write_text("kind")
    assert patient_text([{"name": name, "datapath": str(tmp_path / "0")}]) == (kept, "kind")


def test_a_score_that_is_given_twice_is_told():
    given = {"condition": "crps-acute", "when1": "0", "nrs1": "6", "scores1": "nrs 7"}
    with pytest.raises(InputError, match="nrs"):
        document(given)


def test_a_series_is_considered_under_its_own_name():
    text = Path(work.__file__).parents[1].joinpath("library/patients/crps7-pet.csv").read_text(encoding="utf-8")
    found = work.patient(work.Considered(text, people=1200, name="mine.csv"), quiet)
    assert found["fields"] is None and found["table"]["name"] == "mine" and found["table"]["series"]["n"] == 7


def _until(true, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def _members(group: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, members = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(members) == group and state != "Z":
            found.append(int(path.parent.name))
    return found
