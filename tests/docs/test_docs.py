"""The pages of the documentation: their code runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
GENERATED = re.compile(r"^(\.\./)?(cli\.md|reference/\w+\.md)$")
CODE = {page: "\n".join(text for kind, text in BLOCK.findall(page.read_text()) if kind == "python") for page in PAGES}
SHELL = [
    line
    for page in PAGES
    for kind, text in BLOCK.findall(page.read_text())
    if kind == "sh"
    for line in text.splitlines()
]


def name(page: Path) -> str:
    return page.relative_to(DOCS).with_suffix("").as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if CODE[page]], ids=name)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    exec(compile(CODE[page], str(page), "exec"), {})
    printed = capsys.readouterr().out
    assert "nan" not in printed


def test_printed_numbers_are_those_of_the_page(capsys: pytest.CaptureFixture[str]):
    for page, code in CODE.items():
        for line, comment in re.findall(r"^(print\(.*\))  # (.*\d.*)$", code, flags=re.MULTILINE):
            exec(code[: code.index(line)], scope := {})
            capsys.readouterr()
            exec(line, scope)
            numbers = re.findall(r"[−-]?\d+\.?\d*", capsys.readouterr().out)
            for number in re.findall(r"[−-]?\d+\.?\d*", comment):
                assert number.replace("−", "-") in numbers, (page, line)


@pytest.mark.parametrize("line", SHELL)
def test_commands_and_options_exist(line: str):
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (DOCS.parent / "Makefile").read_text(), flags=re.MULTILINE)
        return
    if words[0] != "causalgia":
        assert words[0] == "cp"
        return
    from causalgia.cli.commands import app

    command = typer.main.get_command(app)
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert not getattr(command, "commands", {}) or command.invoke_without_command, line
    known = {name for option in command.params for name in option.opts}
    assert {word for word in rest if word.startswith("-")} <= known


def test_library_names_exist():
    from causalgia.documents.reader import LIBRARY

    protocols = {path.stem for path in (LIBRARY / "protocols").glob("*.toml")}
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?:causalgia run|causalgia simulate|--protocol) ([\w-]+)", text))
    named |= set(re.findall(r"\| `([\w-]+)` \|$", text, flags=re.MULTILINE))
    assert len(named) > 5
    assert named <= protocols


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_pages(page: Path):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).is_file() or GENERATED.match(link), link


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"([\w/-]+\.md)", (DOCS.parent / "mkdocs.yml").read_text()))
    assert {name(page) + ".md" for page in PAGES} <= listed
