"""The evidence verbs as a person types them."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from causalgia.cli.commands import app
from causalgia.documents import InputError
from causalgia.evidence.words import FOLDER

STUDIES = sorted(path.stem for path in (FOLDER / "studies").glob("*.toml"))


def run(*arguments) -> str:
    done = CliRunner().invoke(app, ["evidence", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",), ("list", "--drug", "anti-tnf", "--condition", "crps"), ("claims",),
        ("claims", "--verdict", "overstated"),
        ("claims", "18"), ("claims", "25"), ("show", "dirckx2013", "--full"), ("show", "infliximab_label"), ("check",),
        ("pool", "--drug", "ivig", "--condition", "crps", "--outcome", "pain"),
        ("pool", "--drug", "infliximab", "--condition", "ra"),
        ("pool", "--drug", "anti-tnf", "--condition", "sciatica"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_output_fits_a_terminal_of_80_columns(arguments):
    lines = run(*arguments).splitlines()
    assert lines and max(map(len, lines)) <= 80
    assert not re.search("[│┃─━┌┐╭╮]", "".join(lines))


def test_every_study_shows_within_80_columns():
    from causalgia.evidence import Evidence
    from causalgia.evidence.tables import page

    evidence = Evidence.load()
    for study in evidence.studies.values():
        for full in (False, True):
            assert max(map(len, page(study, evidence, full))) <= 80, study.key


def test_list_has_every_study():
    lines = run("list").splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == sorted(STUDIES, key=str.lower)
    assert lines[-1].startswith(f"{len(STUDIES)} studies")


def test_claims_lists_39_with_verdicts():
    lines = run("claims").splitlines()
    assert len(lines) == 41
    assert lines[-1] == "39 claims: 14 supported, 7 overstated, 7 contradicted, 11 not found"
    assert len(run("claims", "--verdict", "contradicted").splitlines()) == 9
    assert "verdict     contradicted, by omission" in run("claims", "9").lower()


def test_show_tells_dirckx2013_in_ten_lines():
    lines = run("show", "dirckx2013").splitlines()
    assert len(lines) == 10
    text = " ".join(line.strip() for line in lines)
    assert "EQ-VAS (health status), after 3 infusions: significantly worse with infliximab" in text
    assert "total ISS change, after 3 infusions: no significant difference" in text
    assert "infliximab, 5 mg/kg IV weeks 0, 2, 6 (n 6); placebo (n 7)" in text
    assert "10.1111/papr.12078" in text and "stopped early" in text


def test_pool_shows_one_effect_the_null_trial_and_the_refusal():
    text = " ".join(run("pool", "--drug", "ivig", "--condition", "crps", "--outcome", "pain").split())
    assert "goebel2010 −1.55 (−1.82 to −1.29)" in text
    assert "goebel2017_LIPS, n 111: null, no number published here" in text
    assert "No pooled effect: one trial (k = 1)" in text and "Pooled, k" not in text


def test_pool_writes_a_forest_plot(tmp_path):
    out = tmp_path / "forest.svg"
    lines = run("pool", "--drug", "infliximab", "--condition", "ra", "-o", out).splitlines()
    assert lines[-1] == str(out) and out.read_text().startswith("<svg")
    assert any(line.startswith("Pooled, k 3: ") for line in lines)
    assert any(line.startswith("Prediction interval") for line in lines)


def test_json_is_whole():
    assert len(json.loads(run("list", "--json"))) == len(STUDIES)
    assert json.loads(run("show", "xu2008", "--json"))["key"] == "ifx_popPK_AS"
    claims = json.loads(run("claims", "--json"))
    assert len(claims) == 39 and not any("{" in claim["reason"] for claim in claims)
    pooled = json.loads(run("pool", "--drug", "infliximab", "--condition", "ra", "--json"))
    assert pooled["pooled"]["k"] == 3 and pooled["pooled"]["lower"] > 1
    one = json.loads(run("pool", "--drug", "ivig", "--condition", "crps", "--outcome", "pain", "--json"))
    assert one["pooled"] is None and one["not_pooled"][0]["null"]
    assert json.loads(run("check", "--json"))["problems"] == []


def test_add_puts_a_study_into_ones_own_folder(study, own):
    assert run("add", study()).strip() == str(own / "studies" / "clinician2026.toml")
    assert "clinician2026*" in run("list", "--condition", "crps")
    with pytest.raises(InputError, match=r"line 28, key outcomes\.pain\.interval"):
        run("add", study(("[-1.9, 0.3]", "[-0.7, 0.3]"), name="other"))


def test_check_ends_with_an_error_where_something_is_wrong(study, own):
    (own / "studies").mkdir(parents=True)
    study(("n = 40", "n = 0")).rename(own / "studies" / "bad.toml")
    done = CliRunner().invoke(app, ["evidence", "check"])
    assert done.exit_code == 1 and "bad.toml, line 29" in done.output and "1 problem" in done.output


def test_wrong_arguments_are_refused():
    for arguments in (["show", "nobody"], ["claims", "40"], ["claims", "--verdict", "true"], ["list", "--drug", "x"]):
        with pytest.raises(InputError):
            run(*arguments)


def test_a_plot_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        run("pool", "--drug", "infliximab", "--condition", "ra", "-o", tmp_path / "no" / "forest.svg")
    assert list(tmp_path.iterdir()) == []
