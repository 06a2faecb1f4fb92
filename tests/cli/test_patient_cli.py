from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from causalgia.cli.commands import app
from causalgia.documents import InputError
from causalgia.documents.reader import LIBRARY
from causalgia.documents.weighing import Therapies
from causalgia.inference.patients import consideration

RUN = CliRunner()
ALWAYS = ["--people", "20000"]


@pytest.fixture(scope="module", autouse=True)
def _one_therapy():
    page = Therapies.load("standard")
    few = page.model_copy(update={"therapies": [row for row in page.therapies if row.name == "infliximab-iv"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consideration, "Therapies", SimpleNamespace(load=lambda name: few))
        yield


def run(*arguments):
    result = RUN.invoke(app, ["patient", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("patient") / "low.html"
    return run("synthetic-low", *ALWAYS, "-o", path), path


def test_the_verdict_comes_first_and_the_path_last(written):
    said, path = written
    lines = said.splitlines()
    assert lines[0].startswith("Man of 44, CRPS of the right foot") and lines[0].endswith("(synthetic)")
    assert re.search(r"\n\nA TNF inhibitor is not justified: local TNF is low, at or below 31 pg/mL with\s", said)
    assert said.count("Research use only") == 1
    assert lines[-1] == str(path)
    assert all(len(line) <= 120 for line in lines[:-1])


def test_the_page_is_whole_and_asks_for_nothing(written):
    text = written[1].read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert text.count("<svg") == 5 and "not justified" in text
    assert text.count("Research use only") == 1


def test_a_page_is_not_replaced_unasked(written):
    with pytest.raises(InputError, match="add --force"):
        run("synthetic-low", *ALWAYS, "-o", written[1])


def test_json_has_the_sections_and_changed_weights():
    table = json.loads(run("synthetic-treated", *ALWAYS, "--json", "--weight", "harm.malignancy=7"))
    assert {"patient", "people", "before", "weigh", "after", "summary", "assumptions", "device"} <= table.keys()
    weight = next(row for row in table["weigh"]["weights"] if row["key"] == "harm.malignancy")
    assert weight["value"] == 7 and weight["source"] == "changed by the user"


def test_a_series_says_what_it_can_and_cannot_show(tmp_path):
    path = tmp_path / "series.html"
    said = run(LIBRARY / "patients" / "crps7-pet.csv", *ALWAYS, "-o", path)
    assert "It cannot show" in said and "Pain changed by −0.64 points on average" in said
    assert "crps7-7" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["malignancy", "harm.malignancy=much"])
def test_a_weight_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="KEY=NUMBER"):
        run("synthetic-low", "--weight", text)
