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
from causalgia.app.processes import Workers
from causalgia.documents.errors import InputError
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


def test_a_cancelled_job_is_gone_at_once_with_all_that_it_started():
    with Workers() as workers:
        long = work.Trial(**{**vars(SMALL), "replicates": 50_000})
        job = workers.start("trial", long)
        _until(lambda: job.stage is not None and job.stage.title.startswith("Evaluating"))
        process = job._process
        group = process._child.pid
        assert os.getpgid(group) == group != os.getpgid(0)
        job.cancel()
        assert job.wait(10).state == "cancelled"
        _until(lambda: not _members(group))
        again = workers.start("trial", SMALL).wait(60)
        assert again.state == "done" and again.part["evaluation"] == again.result["table"]["evaluation"]
        alive = [process._child.pid for process in workers._idle]
    assert alive and not any(_members(group) for group in alive)


def test_a_job_that_fails_says_why_and_the_next_is_none_the_worse():
    with Workers(1) as workers:
        bad = workers.start("trial", work.Trial("gated-infliximab", subjects=400, sizes=(500,))).wait(60)
        assert bad.state == "failed" and "at most 400" in str(bad.error)
        odd = workers.start("analyse", work.Tables("gated-infliximab", (("adsl.csv", "/nowhere"),))).wait(60)
        assert odd.state == "failed" and odd.error is not None and "FileNotFoundError" in odd.error.found
        assert workers.start("trial", SMALL).wait(60).state == "done"


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
