"""Every kind of protocol reads well: what its report says, and what it must not say."""

from __future__ import annotations

import csv
import io
import re
import warnings
from urllib.parse import unquote

import pytest

from causalgia.report.page import page

html5lib = pytest.importorskip("html5lib")

# Protocol of the library, and the total randomised.
KINDS = {
    "lipsky-attract": 100,
    "huygen-2004": 2,
    "bernateck-2007": 1,
    "goebel-2010": 20,
    "acute-vs-chronic": 48,
}


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[str, dict, str]:
    table = request.getfixturevalue("make_results")(request.param, 400, (KINDS[request.param],))
    return request.param, table, page(table)


def text_of(html: str) -> str:
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_valid_html(kind: tuple[str, dict, str]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        html5lib.HTMLParser(strict=True).parse(kind[2])


def test_small_and_without_requests(kind: tuple[str, dict, str]):
    assert len(kind[2].encode()) < 3_000_000
    links = re.findall(r'(?:href|src|xlink:href)="([^"]+)"', kind[2])
    assert all(link.startswith(("#", "data:text/csv;")) for link in links)


def test_says_no_nonsense(kind: tuple[str, dict, str]):
    text = text_of(kind[2])
    for phrase in ("an unknown number of", "(shares)", "not known points"):
        assert phrase not in text
    assert not re.search(r"\b(nan|inf|None|True|False)\b", text)
    assert not re.search(r"0\.0 % \(\d\.\d\) to 0\.0 %", text)


def test_summary_comes_first_and_is_short(kind: tuple[str, dict, str]):
    _, table, html = kind
    assert html.index('id="summary"') < html.index('id="verdict"')
    assert 2 <= len(table["summary"]["answer"]) <= 4
    assert all(table["summary"].values())
    assert all(len(line) < 400 for part in table["summary"].values() for line in part)


def test_numbers_behind_figures_are_readable_csv(kind: tuple[str, dict, str]):
    links = re.findall(r'href="(data:text/csv[^"]+)"', kind[2])
    assert len(links) > 6
    for link in links:
        rows = list(csv.reader(io.StringIO(unquote(link.partition(",")[2]))))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}


def test_each_kind_says_what_is_special(kind: tuple[str, dict, str]):
    name, table, html = kind
    text = text_of(html)
    arms = table["protocol"]["arms"]
    assert all(arm in text for arm in arms)
    if table["protocol"]["single_arm"]:
        assert "Nobody is a control" in text
        assert "randomised, the trial would" not in text
    if KINDS[name] == 1:
        assert "One patient cannot be tested" in text
    if table["protocol"]["endpoints"]["relieved"]["fall"]:
        assert "percentage points" in text
    if len(arms) > 2:
        assert 'id="fig-comparisons"' in html
        assert len(re.findall(r'class="box arm"', html)) == len(arms)
    if table["protocol"]["contrast_asked"]:
        assert 'id="fig-contrast"' in html
        assert "differs between" in table["summary"]["answer"][0]
    if any(row["estimate"] is not None for row in table["protocol"]["published"]):
        assert 'id="fig-predicted"' in html
