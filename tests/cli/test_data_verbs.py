"""Trials in and out: analyse on every format, export, redcap, event tables, and the size that reaches a power."""

from __future__ import annotations

import csv
import io
import json
import shutil
import xml.etree.ElementTree as ET

import polars as pl
import pytest
from test_commands import inside

from causalgia.cli.files import ANALYSED

FORMATS = {"csv": ".csv", "parquet": ".parquet", "dataset-json": ".json", "xpt": ".xpt"}


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """A trial of 60, analysed."""
    here = tmp_path_factory.mktemp("data")
    verbs = [
        ["simulate", "gated-infliximab", "--subjects", 1600, "--seed", 3, "-o", "trial"],
        ["conduct", "trial", "--size", 60, "--seed", 3],
        ["analyse", "trial"],
    ]
    said = [inside(verb, here) for verb in verbs]
    assert [done.returncode for done in said] == [0] * len(verbs), said
    return here / "trial", said[-1].stdout


@pytest.fixture
def cli(tmp_path, trial):
    shutil.copytree(trial[0], tmp_path / "trial")

    def call(*arguments, check=True):
        done = inside(arguments, tmp_path)
        if check:
            assert done.returncode == 0, done.stderr
        return done

    call.here = tmp_path
    return call


def test_analysis_says_and_writes_everything(trial):
    folder, said = trial
    answers = json.loads((folder / "analysis" / "answers.json").read_text())
    for answer in answers.values():
        assert answer["question"] in said
        flat = " ".join(said.split())
        for text in (*answer["guards"], answer["reading"], answer["reason"]):
            assert " ".join(text.split()) in flat
    names = {path.name for path in (folder / "analysis").iterdir()}
    assert names <= ANALYSED
    assert {"answers.csv", "visits.csv", "courses.csv", "counts.csv", "responders.svg", "course-relieved.svg"} <= names
    for path in (folder / "analysis").glob("*.svg"):
        root = ET.fromstring(path.read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for path in (folder / "analysis").glob("*.csv"):
        assert len(list(csv.DictReader(io.StringIO(path.read_text())))) > 0, path
    assert said.splitlines()[-1] == "trial/analysis"


def test_courses_are_the_readings(trial):
    folder, _ = trial
    course = pl.read_csv(folder / "analysis" / "courses.csv")
    adqs, adsl = (pl.read_csv(folder / "trial" / f"{name}.csv") for name in ("adqs", "adsl"))
    pain = adqs.join(adsl.select("USUBJID", "ARM"), on="USUBJID")
    pain = pain.filter((pl.col("PARAMCD") == "NRS24AVG") & (pl.col("AVISITN") == 12) & (pl.col("ARM") == "placebo"))
    row = course.filter((pl.col("endpoint") == "relieved") & (pl.col("week") == 12) & (pl.col("arm") == "placebo"))
    assert row["estimate"][0] == pytest.approx(pain["AVAL"].mean())
    assert row["n"][0] == len(pain)


@pytest.mark.parametrize("form", FORMATS)
def test_a_trial_through_every_format_has_the_same_answers(cli, trial, form):
    done = cli("export", "trial", "--format", form, "-o", "out")
    assert done.stdout.splitlines()[-1] == "out"
    tables = ("adae", "adex", "adice", "adlb", "adqs", "adsl")
    made = sorted(path.name for path in (cli.here / "out").iterdir())
    assert made == sorted([*(f"{name}{FORMATS[form]}" for name in tables), "estimands.json"])
    assert "mediated" in json.loads((cli.here / "out" / "estimands.json").read_text())
    cli("analyse", "out", "--protocol", "gated-infliximab", "-o", "analysed")
    found, expected = (folder / "answers.json" for folder in (cli.here / "analysed", trial[0] / "analysis"))
    assert found.read_bytes() == expected.read_bytes()


def test_export_and_analyse_replace_only_their_own(cli):
    cli("export", "trial", "-o", "out")
    assert cli("export", "trial", "-o", "out", check=False).returncode == 2
    cli("export", "trial", "-o", "out", "--format", "parquet", "--force")
    (cli.here / "out" / "notes.txt").write_text("mine")
    assert "notes.txt" in cli("export", "trial", "-o", "out", "--force", check=False).stderr
    assert (cli.here / "out" / "notes.txt").read_text() == "mine"


def test_redcap_there_and_back(cli):
    cli("redcap", "gated-infliximab", "-o", "project")
    names = {path.name for path in (cli.here / "project").iterdir()}
    assert names == {"dictionary.csv", "events.csv", "designations.csv", "mapping.toml"}
    fields = pl.read_csv(cli.here / "project" / "dictionary.csv")["Variable / Field Name"].to_list()
    columns = ["record_id", "redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance", *fields[1:]]
    rows = []
    for k, arm in ((1, "1"), (2, "2")):
        first = {"redcap_event_name": "week_2_before_arm_1", "consent_date": "2026-02-16", "gate_passed": "1"}
        first |= {"injury_date": "2025-12-01", "nrs24avg": str(5 + k)}
        given = {"redcap_event_name": "week_0_arm_1", "randomised": "1", "arm": arm, "randomisation_no": str(k)}
        given |= {"randomisation_date": "2026-03-02", "nrs24avg": str(6 + k)}
        rows += [{"record_id": f"S-{k}", **part} for part in (first, given)]
    assert {name for row in rows for name in row} <= set(columns)
    with (cli.here / "export.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    mapping = cli.here / "project" / "mapping.toml"
    done = cli("redcap", "gated-infliximab", "--export", "export.csv", "--mapping", mapping, "-o", "tables")
    assert done.stdout.splitlines()[-1] == "tables"
    adsl = pl.read_csv(cli.here / "tables" / "adsl.csv")
    assert dict(adsl.select("USUBJID", "ARM").iter_rows()) == {"S-1": "infliximab", "S-2": "placebo"}
    assert pl.read_csv(cli.here / "tables" / "adqs.csv")["AVAL"].to_list() == [6, 7, 7, 8]
    cli("analyse", "tables")  # the protocol lies beside them


@pytest.mark.parametrize(("given", "lacking"), [("--export", "--mapping"), ("--mapping", "--export")])
def test_redcap_needs_both(cli, given, lacking):
    done = cli("redcap", "gated-infliximab", given, "x.csv", "-o", "tables", check=False)
    assert done.returncode == 2 and lacking in done.stderr
    assert not (cli.here / "tables").exists()


PAGE = """
A' = -k*A; A = 0; C := A/V; k = 0.2; V = 5;
A is "amount"; A has mg; C is "concentration"; C has mg_per_L; k is "elimination"; k has per_day; V is "volume";
V has litre; unit mg = 1e-6 kilogram; unit mg_per_L = 1e-6 kilogram / litre; unit per_day = 1 / 86400 second;
"""
DOSES = "ID,TIME,EVID,AMT,CMT\n1,0,1,100,A\n1,0,0,.,.\n1,5,0,.,.\n2,0,1,50,A\n2,5,0,.,.\n"


def test_an_event_table_through_a_model(cli):
    import numpy as np

    (cli.here / "one.ant").write_text(PAGE)
    (cli.here / "doses.csv").write_text(DOSES)
    done = cli("simulate", "one.ant", "--events", "doses.csv", "-o", "out")
    assert done.stdout.splitlines()[-1] == "out/trajectories.csv"
    table = pl.read_csv(cli.here / "out" / "trajectories.csv")
    assert table["ID"].to_list() == [1, 1, 2] and (table["STATUS"] == 0).all()
    assert table["C"].to_numpy() == pytest.approx([20, 20 * np.exp(-1), 10 * np.exp(-1)], rel=1e-4)


@pytest.mark.parametrize("model", ["gated-infliximab", "none.ant"])
def test_event_tables_need_a_model_page(cli, model):
    (cli.here / "doses.csv").write_text(DOSES)
    done = cli("simulate", model, "--events", "doses.csv", "-o", "out", check=False)
    assert done.returncode == 2 and "model page" in done.stderr
    assert not (cli.here / "out").exists()


def test_the_size_that_reaches_a_power(cli):
    asked = ["evaluate", "trial", "--replicates", 100, "--sizes", "20,60", "--find-size", "--power"]
    said = cli(*asked, 0.3).stdout
    assert "Total randomised that finds relief in 30 % of trials" in said
    assert "no size up to 60" in said and "Share of trials that would claim" in said and "Gate:" in said
    table = json.loads(cli(*asked, 0.3, "--json").stdout)["find_size"]
    assert table["power"] == 0.3
    null, absolute = (table["worlds"][name] for name in ("null", "absolute"))
    assert null["size"] is None and null["bound"] == "above"
    assert 20 < absolute["size"] <= 60 and absolute["se"] > 0 and absolute["near"] == 60
    for wrong, part in ((1.2, "--power"), (0, "--power")):
        assert part in cli(*asked, wrong, check=False).stderr
    assert "--sizes" in cli("evaluate", "trial", "--find-size", "--sizes", 20, check=False).stderr
