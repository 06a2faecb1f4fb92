"""The app in a browser, as people use it: by mouse and by keyboard, wide and narrow, two at once, with bad input."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the app is not driven")
pytest.importorskip("shiny", reason="shiny is not installed: the app is not driven")

if os.environ.get("CAUSALGIA_BROWSER") != "1":
    # Every step waits for a real browser and a simulation: on two busy cores they run into their limits.
    pytest.skip("NO BROWSER TESTS: set CAUSALGIA_BROWSER=1 to drive the app in Chromium", allow_module_level=True)

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = os.environ.get("CAUSALGIA_SCREENSHOTS") == "1"
AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = (360, 768, 1920)
TRIAL = "&sizes=8,+16&replicates=60&subjects=600"
Tables = dict[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app as the command line starts it; its address, and what it said when it ended."""
    log = tmp_path_factory.mktemp("server") / "log"
    uploads = tmp_path_factory.mktemp("uploads")
    command = [sys.executable, "-m", "causalgia", "app", "--port", "0", "--no-open"]
    with log.open("w") as file:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=file, text=True, env={**os.environ, "TMPDIR": str(uploads)}
        )
    assert child.stdout is not None
    address = child.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), log.read_text()
    yield address
    assert child.poll() is None, "the server died"
    child.terminate()
    child.wait(20)
    child.stdout.close()
    # Shiny prints that a timer of a window that was closed is cancelled; anything else is a fault.
    ends = [line for line in log.read_text().splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
    assert set(ends) <= {"asyncio.exceptions.CancelledError"}, log.read_text()
    left = [path for path in uploads.rglob("*") if path.is_file() and "shiny" not in path.name]
    assert not left, f"uploads were left behind: {left}"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium")
        try:
            opened = playwright.chromium.launch(executable_path=path)
        except sync_api.Error as error:
            pytest.skip(f"NO BROWSER: the app was not driven ({error})")
        yield opened
        opened.close()


@pytest.fixture
def visit(server, browser):
    """Opens a page in a window of its own; no window may ask anybody but the server, or meet an error."""
    contexts, wrong = [], []

    def answer(route: Any) -> None:
        if route.request.url.startswith((server, "data:", "blob:")):
            route.continue_()
        else:
            wrong.append(f"asked {route.request.url}")
            route.abort()

    def go(query: str = "", width: int = 1280) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        contexts.append(context)
        context.route("**/*", answer)
        page = context.new_page()
        page.set_default_timeout(40_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{server}/{query}")
        page.wait_for_selector("#again-link", state="attached")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong


def picture(page: Any, name: str) -> None:
    """A screenshot for the docs, where they are asked for, in few colours."""
    if not PICTURES:
        return
    from PIL import Image

    page.evaluate("document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' })")
    page.wait_for_timeout(400)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(128)
    image.save(DOCS / f"app-{name}.png", optimize=True)
    assert (DOCS / f"app-{name}.png").stat().st_size < 200_000


def downloaded(page: Any, button: str) -> bytes:
    with page.expect_download() as waiting:
        page.click(button)
    return Path(waiting.value.path()).read_bytes()


def faults(page: Any, *but: str) -> list[str]:
    """What axe finds wrong, but for some rules: contrast, names, roles, order."""
    page.evaluate(AXE)
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert len(result["passes"]) > 10
    return [f"{row['id']}: {row['nodes'][0]['html'][:200]}" for row in result["violations"] if row["id"] not in but]


def said(*words: str, folder: Path | None = None) -> str:
    """What the command line prints."""
    command = [sys.executable, "-m", "causalgia", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=os.environ)
    return done.stdout


@pytest.fixture(scope="module")
def tables():
    """Tables of a small trial, as a person would have them."""
    from causalgia.app import work

    small = work.Trial("gated-infliximab", subjects=600, replicates=20, sizes=(24,))
    return work.trial(small, lambda kind, content: None)["tables"]


def uploads(tables: Tables) -> list[dict[str, Any]]:
    return [{"name": name, "mimeType": "text/csv", "buffer": text.encode()} for name, text in tables.items()]


def test_evidence_is_searched_filtered_and_linked(visit):
    page = visit()
    page.wait_for_selector(".rows li")
    every = page.locator(".rows li").count()
    page.fill("#evidence-q", "blister infliximab")
    page.wait_for_function(f"document.querySelectorAll('.rows li').length < {every}")
    page.fill("#evidence-q", "")
    page.select_option("#evidence-condition", "crps")
    page.select_option("#evidence-drug", "ivig")
    page.wait_for_selector("#again-command:has-text('evidence list --drug ivig --condition crps')")
    page.click("a[data-study=goebel2010]")
    page.wait_for_selector("#study-page h3:has-text('goebel2010')")
    page.wait_for_function("document.activeElement.tagName === 'H3'")
    assert "−1.55 NRS points" in page.inner_text("#study-page")
    picture(page, "evidence")
    page.get_by_role("tab", name="Effects").click()
    page.select_option("#evidence-outcome", "pain")
    page.wait_for_selector(".forest svg[aria-label*='goebel2010']")
    printed = said("evidence", "pool", "--drug", "ivig", "--condition", "crps", "--outcome", "pain")
    assert page.inner_text("pre.words").split() == printed.split()
    again = visit(page.get_attribute("#again-link", "href"))
    again.wait_for_selector(".forest svg")
    assert again.inner_text("pre.words") == page.inner_text("pre.words")
    assert again.url.partition("?")[2] == page.url.partition("?")[2]
    page.fill("#evidence-q", "goebel2017")
    page.wait_for_selector(".forest svg:not([aria-label*='goebel2010'])")


def test_claims_stand_with_their_verdicts(visit):
    page = visit("?page=evidence&view=claims&verdict=contradicted")
    page.wait_for_selector(".claim")
    shown = page.locator(".claim .verdict").all_inner_texts()
    assert shown and all(text.startswith("contradicted") for text in shown)
    assert f"{len(shown)} claims: {len(shown)} contradicted" in said("evidence", "claims", "--verdict", "contradicted")
    page.locator(".claim a[data-study]").first.click()
    page.wait_for_selector("#study-page h3")


def test_keyboard_alone_reaches_everything(visit):
    page = visit()
    page.wait_for_selector(".rows li")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_role("tab", name="Evidence").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#trial-seed")
    page.focus("#trial-seed")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("-4")
    page.keyboard.press("Enter")
    page.wait_for_selector("#trial-failed .problem:has-text('seed')")


def test_a_trial_is_run_reported_and_linked(visit, tmp_path):
    page = visit(f"?page=trial{TRIAL}")
    page.fill("#trial-gate", "40")
    page.fill("#trial-limit", "4")
    page.fill("#trial-dose", "3 mg/kg")
    page.wait_for_selector("#again-command:has-text('gated-infliximab.toml')")
    page.click("#trial-run")
    page.wait_for_selector("#trial-more h3")
    table = json.loads(downloaded(page, "#trial-numbers"))
    assert table["protocol"]["gate"].endswith("> 40 pg/mL") and "3 mg/kg" in table["protocol"]["arms"]["infliximab"]
    assert page.inner_text("#trial-more").count(table["verdict"][1]) == 1
    zipfile.ZipFile(io.BytesIO(downloaded(page, "#trial-documents"))).extractall(tmp_path)
    line = page.inner_text("#again-command").split()
    assert json.loads(said(*line[1:], "--json", folder=tmp_path)) == table
    report = downloaded(page, "#trial-report").decode()
    assert report.startswith("<!doctype html>")
    again = visit(page.get_attribute("#again-link", "href"))
    again.wait_for_selector("#trial-more h3")
    assert json.loads(downloaded(again, "#trial-numbers")) == table
    picture(page, "trial")
    page.set_content(report)
    assert not faults(page, "scrollable-region-focusable")


def test_a_long_trial_shows_progress_and_is_cancelled(visit):
    page = visit("?page=trial&replicates=50000&sizes=8,+16&subjects=600&run=1")
    page.wait_for_selector("progress[value]")
    assert "s left" in page.inner_text("#trial-bar") or page.wait_for_selector("#trial-bar:has-text('s left')")
    page.click("#trial-cancel")
    page.wait_for_selector("#trial-bar:has-text('Cancelled')")
    assert page.locator("#trial-shown figure").count() == 0
    page.fill("#trial-replicates", "60")
    page.click("#trial-run")
    page.wait_for_selector("#trial-shown figure svg")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("dose", "5 apples", "dose"),
        ("gate", "-3", "gate limit"),
        ("limit", "", "assay limit"),
        ("sizes", "16; 20", "whole numbers"),
        ("subjects", "1e9", "subjects"),
        ("replicates", "2.5", "whole number"),
    ],
)
def test_an_impossible_number_is_told_where_it_stands(visit, field, value, told):
    page = visit(f"?page=trial{TRIAL}")
    page.fill(f"#trial-{field}", value)
    page.click("#trial-run")
    page.wait_for_selector(f"#trial-failed .problem:has-text('{told}')")


def test_uploaded_tables_are_answered(visit, tables, tmp_path):
    page = visit("?page=analyse")
    page.set_input_files("#analyse-files", uploads(tables))
    page.wait_for_selector("#analyse-result h3")
    for name, text in tables.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    printed = said("analyse", str(tmp_path), "--protocol", "gated-infliximab", "--json")
    assert json.loads(downloaded(page, "#analyse-answers")) == json.loads(printed)
    picture(page, "analyse")


def test_every_problem_of_bad_tables_is_shown(visit, tables):
    page = visit("?page=analyse")
    bad = {**tables, "adsl.csv": tables["adsl.csv"].replace(",Y,", ",<b>perhaps</b>,")}
    page.set_input_files("#analyse-files", uploads(bad))
    page.wait_for_selector("#analyse-result .problem")
    shown = page.inner_text("#analyse-result table")
    assert "adsl.csv" in shown and "<b>perhaps</b>" in shown and "Y or N" in shown
    page.set_input_files("#analyse-files", uploads(tables))
    page.wait_for_selector("#analyse-result h3")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("adsl.parquet", b"PAR1" + bytes(range(256)) * 40, "not Parquet"),
        ("adsl.csv", b"\xff\xfe\x00", "UTF-8"),
        ("run.py", b"import os; os.abort()", "no table of a trial"),
        ("protocol.toml", b"kind = [", "invalid TOML"),
    ],
)
def test_a_wrong_upload_is_told(visit, name, content, told):
    page = visit("?page=analyse")
    page.set_input_files("#analyse-files", [{"name": name, "mimeType": "text/plain", "buffer": content}])
    page.wait_for_selector(f"#analyse-result:has-text('{told}')")


def test_an_upload_that_is_too_large_is_refused(visit, tmp_path):
    (tmp_path / "adsl.csv").write_bytes(b"x" * (33 * 2**20))
    page = visit("?page=analyse")
    page.set_input_files("#analyse-files", tmp_path / "adsl.csv")
    page.wait_for_selector("#analyse-files_progress:has-text('32 MB'), #analyse-files_progress:has-text('error')")


def test_a_patient_is_considered_as_the_command_line_does(visit, tmp_path):
    page = visit("?page=patient&example=synthetic-raised&people=6000&weights=harm.malignancy%3D20")
    page.wait_for_selector("#patient-when1")
    page.fill("#patient-age", "300")
    page.click("#patient-run")
    page.wait_for_selector("#patient-failed .problem:has-text('age from 0 to 120')")
    page.fill("#patient-age", "61")
    page.click("#patient-run")
    page.wait_for_selector("#patient-result h3")
    (tmp_path / "patient.toml").write_bytes(downloaded(page, "#patient-document"))
    table = json.loads(downloaded(page, "#patient-numbers"))
    line = page.inner_text("#again-command").split()
    assert json.loads(said(*line[1:], "--json", folder=tmp_path)) == table
    assert table["patient"]["age"] == 61 and "malignancy=20" in line[4]
    assert "age" not in urlsplit(page.url).query.replace("page", "")
    assert "age=61" in page.get_attribute("#again-link", "href")
    assert table["weigh"] is not None and page.locator("#patient-result .panels svg").count() == 5
    assert downloaded(page, "#patient-page").startswith(b"<!")
    picture(page, "patient")


def test_two_people_at_once_and_one_who_leaves(visit):
    first, second, third = (visit(f"?page=trial{TRIAL}&seed={seed}") for seed in (5, 6, 7))
    for page in (third, first, second):
        page.click("#trial-run")
    third.close()
    found = []
    for page in (first, second):
        page.wait_for_selector("#trial-more h3")
        found.append(json.loads(downloaded(page, "#trial-numbers"))["seed"]["evaluation"])
    assert found == [5, 6]


@pytest.mark.parametrize("name", ["evidence", "patient", "trial", "analyse"])
def test_pages_fit_every_width_and_read_well(visit, name):
    page = visit(f"?page={name}&drug=infliximab&study=dirckx2013", WIDTHS[0])
    ready = {"evidence": "#study-page table", "patient": "#patient-when1", "trial": "#trial-seed"}
    page.wait_for_selector(ready.get(name, "#analyse-result p"))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not page.evaluate("[...document.querySelectorAll('input, select, button')].filter(e => e.offsetParent"
                                 " && !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1)"
                                 ".map(e => e.outerHTML)")  # fmt: skip
    assert page.locator("text=not a medical device").count() == 1
    assert not faults(page)
    if name == "evidence":
        page.set_viewport_size({"width": 360, "height": 800})
        picture(page, "narrow")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/", {"Host": "evil.example"}, 403),
        ("GET", "/", {"Origin": "http://evil.example"}, 403),
        ("POST", "/session/x/upload/y", {"Content-Length": str(2**31)}, 413),
        ("GET", "/../../etc/passwd", {}, 404),
    ],
)
def test_only_its_own_pages_are_answered(server, method, path, headers, status):
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)
    connection.request(method, path, headers=headers)
    assert connection.getresponse().status == status
    connection.close()


def test_an_address_that_is_taken_is_told(server):
    port = str(urlsplit(server).port)
    command = [sys.executable, "-m", "causalgia", "app", "--port", port, "--no-open"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2 and "Choose another --port" in done.stderr and "Traceback" not in done.stderr
