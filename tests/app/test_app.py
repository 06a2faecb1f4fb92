"""The app in a browser, as people use it: by mouse and by keyboard, wide and narrow, two at once, with bad input.

Every step waits for what it needs to see, however long a busy machine takes. CAUSALGIA_SCREENSHOTS names a folder, such
as docs, that is to have the screenshots.
"""

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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="NO BROWSER TESTS: playwright is not installed")
pytest.importorskip("shiny", reason="NO BROWSER TESTS: shiny is not installed")

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PICTURES = os.environ.get("CAUSALGIA_SCREENSHOTS")
AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
LIBRARY = Path(__file__).parents[2] / "src" / "causalgia" / "library"
PATIENCE = 180_000  # milliseconds before a step counts as failed
WIDTHS = (360, 768, 1440, 1920)
TRIAL = "&sizes=8&replicates=20&subjects=400"
OUTSIDE = """[...document.querySelectorAll('main *, footer *')].filter(e => e.offsetParent && !e.closest('.scroll, pre')
  && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=path)
        except sync_api.Error as error:
            why = str(error).strip().splitlines()[0]
            pytest.skip(f"NO BROWSER TESTS: none of {', '.join(CHROMIUM)}, nor one of Playwright's, opens ({why})")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the app, as the command line starts it. At the end it must live, have no fault and no upload."""
    log, uploads = tmp_path_factory.mktemp("server") / "log", tmp_path_factory.mktemp("uploads")
    command = [sys.executable, "-m", "causalgia", "app", "--port", "0", "--no-open"]
    with log.open("w") as file:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=file, text=True, env={**os.environ, "TMPDIR": str(uploads)}
        )
    try:
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), log.read_text()
        yield address
        assert child.poll() is None, "the server died"
    finally:
        child.terminate()
        child.communicate(timeout=60)
    # Shiny prints that a timer of a window that was closed is cancelled; anything else is a fault.
    ends = [line for line in log.read_text().splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
    assert set(ends) <= {"asyncio.exceptions.CancelledError"}, log.read_text()
    left = [path for path in uploads.rglob("*") if path.is_file() and "shiny" not in path.name]
    assert not left, f"uploads were left behind: {left}"


class Windows:
    """Windows of their own; none may ask anybody but the server, or meet an error."""

    def __init__(self, server: str, browser: Any):
        self.server, self.browser = server, browser
        self.contexts: list[Any] = []
        self.wrong: list[str] = []

    def __call__(self, query: str = "", width: int = 1280) -> Any:
        context = self.browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
        self.contexts.append(context)
        context.route("**/*", self._answer)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.set_default_navigation_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.goto(f"{self.server}/{query}")
        page.wait_for_selector("#again-link", state="attached")
        return page

    def _answer(self, route: Any) -> None:
        if route.request.url.startswith((self.server, "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(f"asked {route.request.url}")
            route.abort()

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        assert not self.wrong


@pytest.fixture
def visit(server: str, browser: Any) -> Iterator[Windows]:
    windows = Windows(server, browser)
    yield windows
    windows.close()


class Run(NamedTuple):
    """A trial that was run in the app, and what was downloaded of it."""

    table: dict[str, Any]
    tables: dict[str, str]
    documents: dict[str, str]
    report: str
    link: str
    command: list[str]


@pytest.fixture(scope="module")
def run(server: str, browser: Any) -> Iterator[Run]:
    """A trial with other numbers than the protocol's: typed, run, seen at every width, downloaded."""
    windows = Windows(server, browser)
    page = windows(f"?page=trial{TRIAL}")
    page.fill("#trial-gate", "40")
    page.fill("#trial-limit", "4")
    page.fill("#trial-dose", "3 mg/kg")
    page.wait_for_selector("#again-command:has-text('gated-infliximab.toml')")
    page.click("#trial-run")
    page.wait_for_selector("#trial-more h3")
    table = json.loads(downloaded(page, "#trial-numbers"))
    assert plain(table["verdict"][1]) in plain(page.inner_text("#trial-more"))
    assert plain(table["summary"]["answer"][0]) in plain(page.inner_text("#trial-answer"))
    fits(page)
    yield Run(
        table,
        unpacked(downloaded(page, "#trial-tables")),
        unpacked(downloaded(page, "#trial-documents")),
        downloaded(page, "#trial-report").decode(),
        page.get_attribute("#again-link", "href"),
        page.inner_text("#again-command").split(),
    )
    windows.close()


def downloaded(page: Any, button: str) -> bytes:
    with page.expect_download() as waiting:
        page.click(button)
    return Path(waiting.value.path()).read_bytes()


def unpacked(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def written(files: dict[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def plain(text: str) -> str:
    """A sentence without what the app does to its signs and spaces."""
    return " ".join(text.replace("−", "-").split())


def said(*words: str, folder: Path | None = None) -> str:
    """What the command line prints."""
    command = [sys.executable, "-m", "causalgia", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout


def upload(page: Any, field: str, files: dict[str, str | bytes]) -> None:
    sent = [
        {"name": name, "mimeType": "text/plain", "buffer": text.encode() if isinstance(text, str) else text}
        for name, text in files.items()
    ]
    page.set_input_files(field, sent)


def fits(page: Any) -> None:
    """Nothing overflows from a telephone to a wide screen, and axe finds nothing: contrast, names, roles, order."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OUTSIDE) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    assert accessible(page)


def accessible(page: Any) -> bool:
    page.evaluate(AXE)
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert [f"{row['id']}: {row['nodes'][0]['html'][:200]}" for row in result["violations"]] == []
    return len(result["passes"]) > 10


def picture(page: Any, name: str, width: int = 1280) -> None:
    """A screenshot in few colours, where they are asked for."""
    if not PICTURES:
        return
    from PIL import Image

    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' })")
    page.wait_for_function("!document.documentElement.classList.contains('shiny-busy')")
    path = Path(PICTURES) / f"app-{name}.png"
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB").quantize(128)
    image.save(path, optimize=True)
    assert path.stat().st_size < 200_000


def test_evidence_is_searched_filtered_and_linked(visit: Windows):
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
    fits(page)
    picture(page, "evidence")
    picture(page, "narrow", 360)
    page.get_by_role("tab", name="Effects").click()
    page.select_option("#evidence-outcome", "pain")
    page.wait_for_selector(".forest svg[aria-label*='goebel2010']")
    printed = said("evidence", "pool", "--drug", "ivig", "--condition", "crps", "--outcome", "pain")
    assert page.inner_text("pre.words").split() == printed.split()
    fits(page)
    again = visit(page.get_attribute("#again-link", "href"))
    again.wait_for_selector(".forest svg")
    assert again.inner_text("pre.words") == page.inner_text("pre.words")
    assert again.url.partition("?")[2] == page.url.partition("?")[2]
    page.fill("#evidence-q", "goebel2017")
    page.wait_for_selector(".forest svg:not([aria-label*='goebel2010'])")


def test_claims_stand_with_their_verdicts(visit: Windows):
    page = visit("?page=evidence&view=claims&verdict=contradicted")
    page.wait_for_selector(".claim")
    shown = page.locator(".claim .verdict").all_inner_texts()
    assert shown and all(text.startswith("contradicted") for text in shown)
    assert f"{len(shown)} claims" in page.inner_text("#evidence-claims .count")
    fits(page)
    page.locator(".claim a[data-study]").first.click()
    page.wait_for_selector("#study-page h3")


def test_a_study_that_a_link_names_is_in_sight_in_the_list(visit: Windows):
    page = visit("?page=evidence&drug=infliximab&study=huygen2004")
    page.wait_for_selector(".rows li[aria-current]")
    page.wait_for_function(
        "(() => { const box = document.querySelector('.listing').getBoundingClientRect();"
        " const row = document.querySelector('.rows li[aria-current]').getBoundingClientRect();"
        " return row.top >= box.top && row.bottom <= box.bottom; })()"
    )


def test_keyboard_alone_reaches_everything(visit: Windows):
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


def test_a_trial_is_what_the_command_line_gives(run: Run, tmp_path: Path):
    assert run.table["protocol"]["gate"].endswith("> 40 pg/mL")
    assert "3 mg/kg" in run.table["protocol"]["arms"]["infliximab"]
    assert json.loads(said(*run.command[1:], "--json", folder=written(run.documents, tmp_path))) == run.table


def test_the_link_of_a_trial_runs_it_again(visit: Windows, run: Run):
    page = visit(run.link)
    page.wait_for_selector("#trial-more h3")
    assert json.loads(downloaded(page, "#trial-numbers")) == run.table


def test_the_report_reads_well_and_asks_for_nothing(visit: Windows, run: Run):
    assert run.report.startswith("<!doctype html>")
    page = visit("?page=trial")
    page.set_content(run.report)
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert accessible(page)


def test_a_long_trial_shows_progress_and_is_cancelled(visit: Windows):
    page = visit("?page=trial&replicates=50000&sizes=8,+16&subjects=600&run=1")
    page.wait_for_selector("progress[value]")
    page.wait_for_selector("#trial-bar:has-text('s left')")
    page.click("#trial-cancel")
    page.wait_for_selector("#trial-bar:has-text('Cancelled')")
    assert page.locator("#trial-shown figure").count() == 0
    page.fill("#trial-replicates", "20")
    page.click("#trial-run")
    page.wait_for_selector("#trial-shown figure svg")


IMPOSSIBLE = {
    ("dose", "5 apples"): "dose",
    ("gate", "-3"): "gate limit",
    ("limit", ""): "assay limit",
    ("sizes", "16; 20"): "whole numbers",
    ("subjects", "1e9"): "subjects",
    ("replicates", "2.5"): "whole number",
}


def test_an_impossible_number_is_told_where_it_stands(visit: Windows):
    page = visit(f"?page=trial{TRIAL}")
    for (field, value), told in IMPOSSIBLE.items():
        before = page.input_value(f"#trial-{field}")
        page.fill(f"#trial-{field}", value)
        page.click("#trial-run")
        page.wait_for_selector(f"#trial-failed .problem:has-text('{told}')")
        page.fill(f"#trial-{field}", before)
    page.click("#trial-run")
    page.wait_for_selector("#trial-shown figure svg")
    assert page.locator("#trial-failed .problem").count() == 0


def test_uploaded_tables_are_answered(visit: Windows, run: Run, tmp_path: Path):
    page = visit("?page=analyse")
    upload(page, "#analyse-files", run.tables)
    page.wait_for_selector("#analyse-result h3")
    printed = said("analyse", str(written(run.tables, tmp_path)), "--protocol", "gated-infliximab", "--json")
    assert json.loads(downloaded(page, "#analyse-answers")) == json.loads(printed)
    assert page.locator("#analyse-result .drawn svg").count() > 2
    fits(page)
    picture(page, "analyse")


def test_every_problem_of_bad_tables_is_shown(visit: Windows, run: Run):
    page = visit("?page=analyse")
    bad = {**run.tables, "adsl.csv": run.tables["adsl.csv"].replace(",Y,", ",<b>perhaps</b>,")}
    upload(page, "#analyse-files", bad)
    page.wait_for_selector("#analyse-failed .problem")
    shown = page.inner_text("#analyse-failed table")
    assert "adsl.csv" in shown and "<b>perhaps</b>" in shown and "Y or N" in shown
    fits(page)
    upload(page, "#analyse-files", run.tables)
    page.wait_for_selector("#analyse-result h3")
    assert page.locator("#analyse-failed .problem").count() == 0


WRONG_TABLES = {
    "adsl.parquet": (b"PAR1" + bytes(range(256)) * 40, "not Parquet"),
    "adsl.csv": (b"\xff\xfe\x00", "UTF-8"),
    "run.py": (b"import os; os.abort()", "no table of a trial"),
    "tables.zip": (b"PK", "Unpack it"),
    "protocol.toml": (b"kind = [", "invalid TOML"),
}
WRONG_PATIENTS = {
    "patient.toml": (b'kind = "patient"\nname = [', "invalid TOML"),
    "other.toml": (b'kind = "drug"', "kind"),
    "old.toml": ((LIBRARY / "patients/synthetic-raised.toml").read_bytes().replace(b"= 52", b"= 520"), "0 to 120"),
    "image.toml": (b"\x89PNG\r\n", "UTF-8"),
    "series.csv": (b"name,age\nx,52\n", "series.csv: found"),
    "patient.py": (b"import os; os.abort()", "a patient (.toml) or a series (.csv)"),
    "long.toml": (b"#" * (2**20 + 1), "at most 1 MB"),
}


@pytest.mark.parametrize(
    ("name", "field", "wrong"), [("analyse", "files", WRONG_TABLES), ("patient", "upload", WRONG_PATIENTS)]
)
def test_a_wrong_upload_is_told(visit: Windows, name: str, field: str, wrong: dict[str, tuple[bytes, str]]):
    page = visit(f"?page={name}")
    for file, (content, told) in wrong.items():
        upload(page, f"#{name}-{field}", {file: content})
        page.wait_for_selector(f"#{name}-failed:has-text('{told}')")
        assert page.locator(f"#{name}-failed .problem").count() == 1
    assert page.locator(f"#{name}-result h3").count() == 0


def test_an_upload_that_is_too_large_is_refused(visit: Windows, tmp_path: Path):
    (tmp_path / "adsl.csv").write_bytes(b"x" * (33 * 2**20))
    page = visit("?page=analyse")
    page.set_input_files("#analyse-files", tmp_path / "adsl.csv")
    page.wait_for_selector("#analyse-files_progress:has-text('32 MB'), #analyse-files_progress:has-text('error')")


def test_a_patient_is_considered_as_the_command_line_does(visit: Windows, tmp_path: Path):
    page = visit("?page=patient&example=huygen2004-2&people=600&weights=harm.malignancy%3D20")
    page.wait_for_selector("#patient-when1")
    page.fill("#patient-age", "300")
    page.click("#patient-run")
    page.wait_for_selector("#patient-failed .problem:has-text('age from 0 to 120')")
    page.fill("#patient-age", "61")
    page.fill("#patient-nrs1", "6.5")
    page.click("#patient-run")
    page.wait_for_selector("#patient-result h3")
    (tmp_path / "patient.toml").write_bytes(downloaded(page, "#patient-document"))
    table = json.loads(downloaded(page, "#patient-numbers"))
    line = page.inner_text("#again-command").split()
    assert json.loads(said(*line[1:], "--json", folder=tmp_path)) == table
    assert table["patient"]["age"] == 61 and "malignancy=20" in line[4]
    assert "6.5" in [row["text"] for row in table["patient"]["readings"] if row["measure"] == "nrs"]
    assert "age" not in urlsplit(page.url).query.replace("page", "")
    assert "age=61" in page.get_attribute("#again-link", "href")
    assert table["weigh"] is not None and page.locator("#patient-result .panels svg").count() == 5
    fits(page)
    printed = downloaded(page, "#patient-page").decode()
    page.set_content(printed)
    assert accessible(page)


def test_an_uploaded_patient_is_considered_as_written_and_edited_in_the_form(visit: Windows, tmp_path: Path):
    text = (LIBRARY / "patients/synthetic-low.toml").read_text(encoding="utf-8")
    page = visit("?page=patient&people=1200")
    upload(page, "#patient-upload", {"Mr X.toml": text})
    page.wait_for_selector("#patient-result h3")
    line = page.inner_text("#again-command").split()
    assert line[2] == "Mr_X.toml"
    (tmp_path / "Mr_X.toml").write_text(text, encoding="utf-8")
    table = json.loads(downloaded(page, "#patient-numbers"))
    assert json.loads(said(*line[1:], "--json", folder=tmp_path)) == table
    assert "synthetic" not in page.get_attribute("#again-link", "href")
    fits(page)
    page.click("#patient-edit")
    page.wait_for_selector("#patient-when1")
    assert page.input_value("#patient-age") == str(table["patient"]["age"]).removesuffix(".0")
    page.click("#patient-run")
    page.wait_for_selector("#patient-bar:has-text('Done')")
    edited = json.loads(downloaded(page, "#patient-numbers"))
    assert edited["before"] == table["before"] and edited["summary"] == table["summary"]


def test_an_uploaded_series_is_pooled(visit: Windows, tmp_path: Path):
    text = "".join((LIBRARY / "patients/crps7-pet.csv").read_text(encoding="utf-8").splitlines(True)[:7])
    page = visit("?page=patient&people=1200")
    upload(page, "#patient-upload", {"three.csv": text})
    page.wait_for_selector("#patient-result h3")
    (tmp_path / "three.csv").write_text(text, encoding="utf-8")
    line = page.inner_text("#again-command").split()
    table = json.loads(downloaded(page, "#patient-numbers"))
    assert json.loads(said(*line[1:], "--json", folder=tmp_path)) == table
    assert plain(table["series"]["sentences"][0]) in plain(page.inner_text("#patient-result"))
    assert page.locator("#patient-edit").count() == 0
    fits(page)


def test_two_people_at_once_and_one_who_leaves(visit: Windows):
    first, second, third = (visit(f"?page=trial{TRIAL}&seed={seed}") for seed in (5, 6, 7))
    for page in (third, first, second):
        page.click("#trial-run")
    third.close()
    found = []
    for page in (first, second):
        page.wait_for_selector("#trial-more h3")
        found.append(json.loads(downloaded(page, "#trial-numbers"))["seed"]["evaluation"])
    assert found == [5, 6]


@pytest.mark.parametrize(
    ("name", "ready"),
    [("patient", "#patient-when1"), ("trial", "#trial-seed"), ("analyse", "#analyse-bar p")],
)
def test_a_page_reads_well_before_anything_is_asked(visit: Windows, name: str, ready: str):
    page = visit(f"?page={name}")
    page.wait_for_selector(ready)
    fits(page)
    assert page.locator("text=not a medical device").count() == 1


@pytest.mark.skipif(not PICTURES, reason="CAUSALGIA_SCREENSHOTS names no folder")
@pytest.mark.parametrize("name", ["trial", "patient"])
def test_what_the_docs_show_is_as_it_opens(visit: Windows, name: str):
    page = visit(f"?page={name}")
    page.wait_for_selector(f"#{name}-fields input")
    page.click(f"#{name}-run")
    page.wait_for_selector(f"#{name}-bar:has-text('one in')")
    picture(page, name)


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
def test_only_its_own_pages_are_answered(server: str, method: str, path: str, headers: dict[str, str], status: int):
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=PATIENCE / 1000)
    connection.request(method, path, headers=headers)
    assert connection.getresponse().status == status
    connection.close()


def test_an_address_that_is_taken_is_told(server: str):
    port = str(urlsplit(server).port)
    command = [sys.executable, "-m", "causalgia", "app", "--port", port, "--no-open"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Choose another --port" in done.stderr and "Traceback" not in done.stderr
