from __future__ import annotations

import pytest

from causalgia.evidence import Evidence, claims
from causalgia.evidence.words import FOLDER

STUDY = """\
kind = "study"
citation = "A clinician, 2026"
type = "randomised trial"
design = "double-blind placebo-controlled trial"
conditions = ["crps"]
access = "table"

[[arms]]
name = "infliximab"
drug = "infliximab"
n = 20

[[arms]]
name = "placebo"
drug = "placebo"
n = 20

[[outcomes]]
id = "pain"
measure = "pain"
what = "pain NRS"
arm = "infliximab"
versus = "placebo"
time = "week 6"
stat = "mean difference"
value = -0.8
unit = "NRS 0-10"
interval = [-1.9, 0.3]
n = 40
p = "0.15"
read = "table"
locator = "table 2"
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A folder of one's own that is empty, whatever the machine has."""
    folder = tmp_path / "own"
    monkeypatch.setenv("CAUSALGIA_EVIDENCE", str(folder))
    return folder


@pytest.fixture(scope="session")
def evidence():
    return Evidence.load(FOLDER)


@pytest.fixture(scope="session")
def claim_file():
    return claims()


@pytest.fixture
def study(tmp_path):
    """Writes a study to a file with some text replaced, and gives its path."""

    def make(*changes: tuple[str, str], name: str = "clinician2026"):
        text = STUDY
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return make
