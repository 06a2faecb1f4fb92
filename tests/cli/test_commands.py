# ruff: noqa: E501 - one case a line
"""The command line with real files: what it writes, what it refuses, and what it leaves behind."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from causalgia.cli import main

COMMAND = [sys.executable, "-W", "error", "-c", "from causalgia.cli import main; main()"]
SMALL = ["--subjects", "1600", "--replicates", "60", "--sizes", "8,16"]
TABLES = ("adae", "adex", "adice", "adlb", "adqs", "adsl")


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def inside(arguments, cwd: Path) -> Done:
    """The command in this process, through the same `main`."""
    before, handler = os.getcwd(), signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    try:
        os.chdir(cwd)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["causalgia", *map(str, arguments)])
            main()
    except SystemExit as end:
        code = end.code
    finally:
        os.chdir(before)
        signal.signal(signal.SIGTERM, handler)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def cli(tmp_path):
    """Runs the command in a directory of its own."""
    (tmp_path / "here").mkdir()

    def call(*arguments, check=True):
        done = inside(arguments, tmp_path / "here")
        if check:
            assert done.returncode == 0, done.stderr
        return done

    call.here = tmp_path / "here"
    return call


def outside(arguments, cwd, environment, prefix=()):
    """The command as a process of its own, warnings as errors."""
    done = subprocess.run([*prefix, *COMMAND, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def made(environment, tmp_path_factory):
    """A whole run, once."""
    here = tmp_path_factory.mktemp("run")
    done = outside(["run", "gated-infliximab", *SMALL, "--seed", "3"], here, environment)
    return here / "results" / "gated-infliximab", done


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """The same run verb by verb."""
    here = tmp_path_factory.mktemp("steps")
    verbs = [
        ["simulate", "gated-infliximab", "--subjects", "1600", "--seed", "3", "-o", "trial-1"],
        ["conduct", "trial-1", "--size", "16", "--seed", "3"],
        ["analyse", "trial-1"],
        ["evaluate", "trial-1", "--replicates", "60", "--sizes", "8,16", "--seed", "3"],
        ["report", "trial-1"],
    ]
    said = [inside(verb, here) for verb in verbs]
    assert [done.returncode for done in said] == [0] * len(verbs), said
    return here / "trial-1", said


def test_run_writes_all(made):
    folder, _ = made
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "results.json", "trial", "truth.parquet"]
    assert sorted(p.stem for p in (folder / "trial").iterdir()) == list(TABLES)
    assert len(pl.read_parquet(folder / "truth.parquet")) == 16
    assert (folder / "report.html").read_text(encoding="utf-8").strip().endswith("</html>")
    assert [p.name for p in folder.parent.iterdir()] == ["gated-infliximab"]


def test_the_last_line_is_the_path_alone(made, steps):
    folder, done = made
    lines = done.stdout.splitlines()
    assert lines[-1] == "results/gated-infliximab/report.html"
    assert (folder.parent.parent / lines[-1]).is_file()
    assert "assumed" in lines[0], "a verdict begins with what it rests on"
    assert "Enrolling" not in done.stdout and "Enrolling" in done.stderr
    root, said = steps
    names = ["outcomes.nc", "trial", "analysis", "characteristics.nc", "report.html"]
    for step, name in zip(said, names, strict=True):
        assert step.stdout.splitlines()[-1] == f"trial-1/{name}"
        assert (root / name).exists()


def test_results_hold_no_clock_and_no_path(made):
    text = (made[0] / "results.json").read_text()
    for pattern in (r"/work", r"/home", r"/tmp", r"/usr", r"\.toml", r"\d\d:\d\d:\d\d", r"20\d\d-\d\d-\d\d"):
        assert not re.search(pattern, text), pattern
    assert "NaN" not in text and "Infinity" not in text


def test_results_hold_no_path_of_a_persons_own_documents(cli, write):
    drug = write("drugs", "infliximab", file="mine")
    condition = write("conditions", "crps-acute", file="people")
    changes = [('drug = "infliximab"', f'drug = "{drug}"'), ('condition = "crps-acute"', f'condition = "{condition}"')]
    cli("run", write("protocols", "gated-infliximab", *changes), *SMALL, "-o", "made")
    text = (cli.here / "made" / "results.json").read_text() + (cli.here / "made" / "report.html").read_text()
    assert str(drug.parent) not in text
    assert ".toml" not in (cli.here / "made" / "results.json").read_text()


def test_every_figure_of_the_evaluation_has_an_error(made):
    table = json.loads((made[0] / "results.json").read_text())
    for world in table["evaluation"]["worlds"].values():
        for size in world["sizes"].values():
            for name, cell in size.items():
                assert set(cell) >= {"value", "se"}, name
                assert (cell["value"] is None) == (cell["se"] is None), name


def test_steps_give_what_run_gives(made, steps):
    run, root = made[0], steps[0]
    assert (run / "results.json").read_bytes() == (root / "results.json").read_bytes()
    assert (run / "report.html").read_bytes() == (root / "report.html").read_bytes()
    for name in TABLES:
        assert (run / "trial" / f"{name}.csv").read_bytes() == (root / "trial" / f"{name}.csv").read_bytes()
    assert pl.read_parquet(run / "truth.parquet").equals(pl.read_parquet(root / "truth.parquet"))
    answers = json.loads((run / "results.json").read_text())["trial"]["answers"]
    assert json.loads((root / "analysis" / "answers.json").read_text()) == answers


def test_the_same_bytes_again_on_one_core(made, environment, tmp_path):
    one_core = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    outside(["run", "gated-infliximab", *SMALL, "--seed", 3, "-o", "again"], tmp_path, environment, one_core)
    for name in ("results.json", "report.html", "trial/adlb.csv", "trial/adsl.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (made[0] / name).read_bytes()


def test_json_is_all_of_standard_output(cli, steps):
    done = cli("run", "gated-infliximab", *SMALL, "--seed", 3, "--json", "-o", "made")
    table = json.loads(done.stdout)
    assert done.stderr == ""
    assert table == json.loads((cli.here / "made" / "results.json").read_text())
    shutil.copytree(steps[0], cli.here / "steps")
    for verb in (
        ["analyse", "steps"],
        ["conduct", "steps", "--size", 8],
        ["evaluate", "steps", "--replicates", 60, "--sizes", 16],
    ):
        done = cli(*verb, "--json")
        json.loads(done.stdout)
        assert done.stderr == ""


def test_an_existing_directory_is_refused_without_force(cli):
    target = cli.here / "mine"
    target.mkdir()
    done = cli("simulate", "gated-infliximab", "--subjects", 400, "-o", "mine", check=False)
    assert done.returncode == 2
    assert "mine" in done.stderr and "--force" in done.stderr
    assert list(target.iterdir()) == []
    cli("simulate", "gated-infliximab", "--subjects", 400, "-o", "mine", "--force")
    assert sorted(p.name for p in target.iterdir()) == ["outcomes.nc", "protocol.toml"]


def test_force_replaces_results_and_nothing_else(cli):
    target = cli.here / "home"
    target.mkdir()
    (target / "thesis.docx").write_text("ten years")
    done = cli("run", "gated-infliximab", *SMALL, "-o", "home", "--force", check=False)
    assert done.returncode == 2
    assert "thesis.docx" in done.stderr
    assert (target / "thesis.docx").read_text() == "ten years"


BAD = {
    "unknown name": (["run", "gated"], ["gated", "dirckx-2013"]),
    "missing file": (["run", "none.toml"], ["none.toml", "no such file"]),
    "size of 0": (["run", "gated-infliximab", "--sizes", "0"], ["evaluation.sizes"]),
    "size of 1": (["run", "gated-infliximab", "--sizes", "1"], ["evaluation.sizes"]),
    "sizes that fall": (["run", "gated-infliximab", "--sizes", "20,10"], ["evaluation.sizes", "rise"]),
    "sizes that are words": (["run", "gated-infliximab", "--sizes", "ten"], ["--sizes", "'ten'"]),
    "size for no pool": (["run", "gated-infliximab", "--subjects", "400", "--sizes", "430"], ["evaluation.sizes", "at most 400"]),
    "too few subjects": (["run", "gated-infliximab", "--subjects", "7"], ["population.subjects", "400"]),
    "too few replicates": (["run", "gated-infliximab", "--replicates", "1"], ["evaluation.replicates"]),
    "negative seed": (["run", "gated-infliximab", "--seed", "-1"], ["--seed"]),
    "unknown option": (["run", "gated-infliximab", "--colour", "red"], ["--colour"]),
    "no directory": (["conduct", "nothing"], ["nothing", "simulate"]),
    "no outcomes": (["evaluate", "."], ["protocol.toml"]),
    "no place": (["run", "gated-infliximab", "-o", "/proc/nothing/here"], ["/proc", "cannot be written"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_arguments_end_with_one_message_and_nothing_written(case, cli):
    arguments, parts = case
    done = cli(*arguments, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
    assert list(cli.here.iterdir()) == []


DOCUMENTS = {
    "unknown key": ("protocols", "gated-infliximab", "[gate]\n", "[gate]\ncolour = 1\n", "gate.colour"),
    "negative dose": ("protocols", "gated-infliximab", '"5 mg/kg"', '"-5 mg/kg"', "arms.infliximab.dose"),
    "wrong unit": ("drugs", "infliximab", 'value = 0.273, unit = "L/day"', 'value = 0.273, unit = "mg"', "pharmacokinetics.CL.unit"),
    "unknown unit": ("conditions", "crps-acute", 'value = 0.009, unit = "1/day"', 'value = 0.009, unit = "1/dya"', "values.kG.unit"),
    "code": ("drugs", "infliximab", '"(weight/70)^0.385"', "\"__import__('os').system('touch owned')\"", "pharmacokinetics.V1.covariates"),
    "unknown instrument": ("protocols", "gated-infliximab", "iss = {", "isss = {", "schedule.isss"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_bad_document_is_named_before_any_work(case, cli, write):
    folder, name, old, new, key = case
    path = write(folder, name, (old, new), file="bad")
    if folder == "drugs":
        path = write("protocols", "gated-infliximab", ('drug = "infliximab"', f'drug = "{path}"'))
    if folder == "conditions":
        path = write("protocols", "gated-infliximab", ('condition = "crps-acute"', f'condition = "{path}"'))
    done = cli("run", path, *SMALL, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "bad.toml" in done.stderr and key in done.stderr
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) == 1, "no stage began"
    assert list(cli.here.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(number, cli, environment):
    child = subprocess.Popen(
        [*COMMAND, "run", "gated-infliximab", "--subjects", "4000", "--replicates", "4000", "--sizes", "40,60"],
        cwd=cli.here, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in child.stderr:
        if line.startswith("Evaluating"):
            break
    child.send_signal(number)
    stdout, stderr = child.communicate(timeout=90)
    assert child.returncode == 128 + number
    assert stdout == ""
    assert "Traceback" not in stderr
    assert list(cli.here.iterdir()) == []


def test_help_is_light(environment):
    """Help must not wait for the libraries of the verbs."""
    code = (
        "import sys; from causalgia.cli import main; sys.argv = ['causalgia', '--help']\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'pydantic', 'polars', 'xarray', 'pint', 'scipy', 'sympy', 'matplotlib', 'llvmlite'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
    for verb in ("run", "simulate", "conduct", "analyse", "evaluate", "report", "check"):
        assert f"  {verb} " in done.stdout


def test_the_installed_command(environment):
    script = Path(sys.executable).with_name("causalgia")
    done = subprocess.run([script, "--version"], env=environment, capture_output=True, text=True, check=True)
    import causalgia

    assert done.stdout == causalgia.__version__ + "\n"


def test_large_seeds_survive_the_file(cli):
    """NetCDF 3 has no 64-bit integers."""
    seed = 2**40 + 1
    cli("simulate", "gated-infliximab", "--subjects", 400, "--seed", seed, "-o", "big")
    cli("conduct", "big", "--size", 8, "--seed", seed)
    from causalgia.cli.output import read_dataset

    assert int(read_dataset(cli.here / "big" / "outcomes.nc").attrs["seed"]) == seed


@pytest.mark.parametrize("size", ["0", "1", "-4", "100000"])
def test_conduct_refuses_impossible_sizes_and_keeps_what_was_there(cli, steps, size):
    shutil.copytree(steps[0], cli.here / "steps")
    before = {p: p.read_bytes() for p in (cli.here / "steps").rglob("*") if p.is_file()}
    done = cli("conduct", "steps", "--size", size, check=False)
    assert done.returncode == 2
    assert "size" in done.stderr
    assert {p: p.read_bytes() for p in (cli.here / "steps").rglob("*") if p.is_file()} == before


def test_real_tables_alone(cli, steps):
    """A directory of tables that no verb made is analysed with a protocol named beside it."""
    shutil.copytree(steps[0] / "trial", cli.here / "real")
    done = cli("analyse", "real", check=False)
    assert done.returncode == 2 and "--protocol" in done.stderr
    cli("analyse", "real", "--protocol", "gated-infliximab")
    real, simulated = (folder / "analysis" / "answers.json" for folder in (cli.here / "real", steps[0]))
    assert real.read_bytes() == simulated.read_bytes()


def test_check_passes_the_library(cli):
    from causalgia.documents.reader import LIBRARY

    pages = [path for path in sorted(LIBRARY.rglob("*.toml")) if path.parent.name != "posterior"]  # made by calibrate
    for path in [*pages, *sorted(LIBRARY.rglob("*.ant"))]:
        assert cli("check", path).stdout.splitlines()[-1] == str(path)
