from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from causalgia.report.page import page

INSIDE = ("#", "data:text/csv;")
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "rect"}


class Reader(HTMLParser):
    """Checks that tags are balanced, and collects text, ids and references."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
                self.links.append((name, value or ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="session")
def pages(gated: dict, ungated: dict) -> dict[str, str]:
    return {"gated": page(gated), "ungated": page(ungated)}


@pytest.mark.parametrize("name", ["gated", "ungated"])
class TestBothKinds:
    def test_is_well_formed_with_unique_ids_and_working_anchors(self, pages: dict[str, str], name: str):
        reader = read(pages[name])
        assert len(reader.ids) == len(set(reader.ids))
        assert {value for _, value in reader.links if value.startswith("#")} <= {f"#{key}" for key in reader.ids}
        clips = re.findall(r"url\(#([^)]+)\)", pages[name])
        assert clips
        assert set(clips) <= set(reader.ids)

    def test_asks_for_nothing_outside(self, pages: dict[str, str], name: str):
        assert all(value.startswith(INSIDE) for _, value in read(pages[name]).links)
        assert not re.search(r"@import|@font-face|url\((?!#)|<script|<iframe|<link", pages[name])
        assert len(pages[name].encode()) < 700_000

    def test_every_figure_has_a_finding_and_every_drawing_alt_text(self, pages: dict[str, str], name: str):
        for figure in re.findall(r"<figure.*?</figure>", pages[name], re.DOTALL):
            title = re.search(r"<h3>(.*?)</h3>", figure)
            assert title
            assert 'id="fig-summary"' in figure or re.search(r"\d", title[1])
            assert 'id="fig-summary"' in figure or "data:text/csv" in figure
        drawings = [attrs for tag, attrs in read(pages[name]).tags if tag == "svg" and "aria-hidden" not in attrs]
        assert len(drawings) >= 17
        assert all(attrs["role"] == "img" and len(attrs["aria-label"] or "") > 30 for attrs in drawings)
        assert pages[name].count("<title>") == len(drawings) + 1

    def test_shows_no_raw_value(self, pages: dict[str, str], name: str):
        text = " ".join(read(pages[name]).text)
        assert not re.search(r"\b(nan|inf|None|True|False|Undefined)\b", text)
        assert not re.search(r"\d\.\d{7}", text)
        assert not re.search(r"\d\.\d+e[+-]?\d\d\b", text)

    def test_same_dictionary_same_bytes(self, pages: dict[str, str], gated: dict, ungated: dict, name: str):
        assert page({"gated": gated, "ungated": ungated}[name]) == pages[name]

    def test_says_once_that_it_is_no_medical_device(self, pages: dict[str, str], name: str):
        assert pages[name].count("not a medical device") == 1

    def test_verdict_begins_with_what_it_rests_on(self, pages: dict[str, str], name: str):
        text = " ".join(read(pages[name]).text)
        assert text.index("This rests on") < text.index("randomised, the trial would")


def test_gate_is_shown_only_where_there_is_one(pages: dict[str, str]):
    for mark in ('id="gate"', 'id="fig-gate"', "Not randomised"):
        assert mark in pages["gated"]
        assert mark not in pages["ungated"]


def test_published_results_stand_beside_their_simulated_probability(pages: dict[str, str], ungated: dict):
    text = " ".join(" ".join(read(pages["ungated"]).text).split())
    for row in ungated["protocol"]["published"]:
        assert row["result"] in text
    worlds = [world["name"] for world in ungated["worlds"] if world["structural"]]
    chances = [1 - ungated["evaluation"]["worlds"][name]["sizes"]["13"]["relieved"]["value"] for name in worlds]
    assert f"{100 * min(chances):.1f} to {100 * max(chances):.1f} % of no significant difference" in text


def test_every_assumed_number_and_every_hash_is_listed(pages: dict[str, str], gated: dict):
    text = " ".join(read(pages["gated"]).text)
    assert all(row["sha256"] in text for row in gated["documents"])
    assert all(row["name"] in text and row["why"] in text for row in gated["assumed"])
    assert f"All {len(gated['assumed'])} assumed numbers" in text


def test_title_of_a_figure_follows_its_numbers(gated: dict):
    table = copy.deepcopy(gated)
    for world in table["evaluation"]["worlds"].values():
        for size, cells in world["sizes"].items():
            cells["relieved"] = {"value": 0.9 if size == "12" else 0.1, "se": 0.01}
    assert "Power reaches 80\u00a0% with 12 randomised" in page(table)


def emptied(table: Any) -> Any:
    """The same dictionary with every value that has a standard error lost, and the error too."""
    if isinstance(table, dict):
        if set(table) >= {"value", "se"}:
            return table | {"value": None, "se": None}
        return {key: emptied(value) for key, value in table.items()}
    return [emptied(value) for value in table] if isinstance(table, list) else table


@pytest.mark.parametrize("name", ["gated", "ungated"])
def test_missing_numbers_become_dashes(gated: dict, ungated: dict, name: str):
    table = emptied({"gated": gated, "ungated": ungated}[name])
    for answer in table["trial"]["answers"].values():
        answer |= {
            "estimate": None,
            "lower": None,
            "upper": None,
            "p": None,
            "reason": "Nothing was seen.",
            "details": [],
        }
    table["trial"]["world"] = None
    for row in table["trajectories"].values():
        for key in row["units"]:
            row[key] = {arm: [[None] * len(bands[0]) for _ in bands] for arm, bands in row[key].items()}
    for row in table["population"].values():
        row |= {"duration": [None] * 3, "symptoms": {key: {"mean": None, "sd": None} for key in row["symptoms"]}}
        if name == "ungated":
            row["published"] = []
    table["protocol"] |= {"published": [], "assumptions": []}
    table["harm"] = {"events": [], "contraindications": []}
    text = " ".join(read(page(table)).text)
    assert "Nothing was seen." in text
    assert not re.search(r"\b(nan|None)\b", text)


def hostile(table: Any, text: str) -> Any:
    """Every string value with markup behind it, names that are keys apart."""
    if isinstance(table, dict):
        kept = {
            "name",
            "kind",
            "better",
            "where",
            "arm",
            "endpoint",
            "world",
            "control",
            "treatment",
            "unit",
            "measure",
        }
        return {key: value if key in kept else hostile(value, text) for key, value in table.items()}
    if isinstance(table, list):
        return [hostile(value, text) for value in table]
    return table + text if isinstance(table, str) else table


def test_strings_of_documents_are_escaped(gated: dict):
    text = "<script>alert(1)</script>\"><img src='http://x.example'></style></svg>&amp;"
    html = page(hostile(gated, text))
    reader = read(html)
    assert not {"script", "img"} & {tag for tag, _ in reader.tags}
    assert all(value.startswith(INSIDE) for _, value in reader.links)
    assert gated["protocol"]["question"] + text in " ".join(reader.text)


def test_names_of_worlds_and_arms_are_escaped(gated: dict):
    bad = "<b>&\\\"'</b>"
    text = json.dumps(gated).replace('"absolute"', f'"{bad}"').replace('"placebo"', f'"p{bad}"')
    table = json.loads(text)
    reader = read(page(table))
    assert "b" not in {tag for tag, _ in reader.tags}
    assert json.loads(f'"{bad}"') in " ".join(reader.text)


def test_report_writes_the_page_whole(tmp_path, gated: dict, pages: dict, monkeypatch: pytest.MonkeyPatch):
    from causalgia.report import page as module
    from causalgia.report import results

    monkeypatch.setattr(results, "results", lambda *given: gated)
    path = module.report(tmp_path / "report.html", None, None, None, None, None)
    assert path.read_text(encoding="utf-8") == pages["gated"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_mechanism_is_drawn_where_it_was_analysed(gated: dict, pages: dict[str, str]):
    assert 'id="fig-mediation"' not in pages["gated"]
    table = copy.deepcopy(gated)
    for world in table["worlds"]:
        cells = table["evaluation"]["worlds"][world["name"]]["sizes"]["12"]
        real = world["structural"]
        cells["mediated"] = {"value": 0.8 if real else 0.3, "se": 0.01}
        cells["mediated_truth"] = {"value": -1.0 if real else 0.0, "se": 0.01}
        cells["mediated_bias"] = {"value": 0.25, "se": 0.01}
    html = page(table)
    title = (
        "With 12 randomised, 80 % of trials find a path through TNF where it is there, and at most 30 % where it is not"
    )
    assert title in html
    assert "null,0.3,0.01,0,0.25" in html


def test_published_estimates_stand_beside_predicted_ones(gated: dict):
    table = copy.deepcopy(gated)
    row = {"outcome": "pain", "result": "-1.5", "source": "s", "endpoint": "relieved", "significant": True, "arm": None}
    near = {name: {"mean": -1.0, "sd": 0.5} for name in ("absolute", "relative")}
    chance = {name: {"value": 0.4, "se": 0.01} for name in near}
    row |= {"estimate": -1.5, "interval": [-2.0, -1.0], "shares": {}, "chance": chance, "predicted": near}
    table["protocol"]["published"] = [row, row | {"outcome": "far", "estimate": 3.0, "interval": None}]
    html = page(table)
    assert "1 of 2 published estimates fall in the range" in html
    from causalgia.report.summary import summary

    sure = summary(table)["sure"][-1]
    assert sure.startswith("It makes 1 of 2 published results improbable")
    assert sure.endswith("far.")


@pytest.mark.parametrize("name", ["gated", "ungated"])
def test_keyboard_reaches_every_table_that_scrolls_and_each_has_a_name(pages: dict[str, str], name: str):
    boxes = [attrs for _, attrs in read(pages[name]).tags if attrs.get("class") == "scroll"]
    assert len(boxes) >= 10
    assert all(attrs["tabindex"] == "0" and attrs["role"] == "region" for attrs in boxes)
    names = [attrs["aria-label"] for attrs in boxes]
    assert all(names) and len(set(names)) == len(names)
