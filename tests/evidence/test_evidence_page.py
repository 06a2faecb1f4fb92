"""The browsable page: self-contained, whole, escaped, the same every time."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from causalgia.evidence import Evidence, add
from causalgia.evidence.page import page

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Reader(HTMLParser):
    """Collects ids, links and rows, and holds that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.rows, self.outside = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.rows += [found] if "row" in found.get("class", "").split() else []
        self.outside += [value for key, value in attributes if key in ("src", "srcset", "action", "data")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(evidence, claim_file):
    return page(evidence, claim_file)


@pytest.fixture(scope="module")
def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_the_page_asks_nothing_of_anybody(text, read):
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import|<link|fetch\(|XMLHttp", text)
    assert read.outside == []
    assert len(text) < 400_000


def test_every_claim_and_study_is_a_row(read, evidence, claim_file):
    assert len(read.rows) == len(claim_file.claims) + len(evidence.studies)
    verdicts = [row["data-verdict"] for row in read.rows if row["data-verdict"]]
    assert len(verdicts) == 39 and verdicts.count("supported") == 14


def test_links_lead_to_studies_on_the_page(read, evidence):
    assert len(set(read.ids)) == len(read.ids)
    assert set(evidence.studies) <= set(read.ids)
    assert {link.removeprefix("#") for link in read.links} <= set(read.ids)


def test_rows_carry_what_the_filters_ask_for(read):
    row = next(row for row in read.rows if row.get("id") == "dirckx2013")
    assert row["data-drugs"].split() == ["infliximab", "placebo"] and row["data-conditions"] == "crps"


def test_the_same_evidence_gives_the_same_bytes(text, evidence, claim_file):
    assert page(evidence, claim_file) == text


def test_text_of_a_study_is_escaped(study, claim_file):
    add(study(("A clinician, 2026", "<script>alert(1)</script>")))
    made = page(Evidence.load(), claim_file)
    assert "<script>alert" not in made and "&lt;script&gt;alert" in made
