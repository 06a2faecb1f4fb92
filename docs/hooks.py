"""Pages that are made when the site is built: the commands, from the command line itself, and the reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).parents[1] / "src" / "causalgia"
LAYERS = (
    "documents",
    "models",
    "engine",
    "population",
    "measurement",
    "trial",
    "analysis",
    "design",
    "evidence",
    "inference",
    "report",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages = {"cli.md": commands(), "reference/index.md": names()}
    pages |= {f"reference/{layer}.md": reference(layer) for layer in LAYERS}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def commands() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    parts = ["# Commands", "", "Made from the command line itself. `causalgia COMMAND --help` says the same."]
    for path, command in tree():
        parts += ["", f"## {path}", "", _line(command.help or ""), ""]
        rows = [_row(option) for option in command.params if getattr(option, "help", None) is not None]
        if rows:
            parts += ["| name | meaning | |", "|---|---|---|", *rows]
    return "\n".join(parts) + "\n"


def tree() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its full name."""
    import typer.main

    from causalgia.cli.commands import app

    def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            if not hasattr(inner, "commands") or inner.invoke_without_command:
                yield f"{path} {name}", inner
            yield from walk(f"{path} {name}", inner)

    yield from walk("causalgia", typer.main.get_command(app))


def _row(option: Any) -> str:
    names = (
        ", ".join(f"`{name}`" for name in option.opts)
        if isinstance(option, click.Option) or option.opts[0].startswith("-")
        else f"`{option.opts[0].upper()}`"
    )
    default = option.default
    given = isinstance(default, int | float | str) and not isinstance(default, bool) and default != ""
    return f"| {names} | {_line(option.help or '')} | {f'default {default}' if given else ''} |"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def names() -> str:
    """The names of the package itself."""
    import causalgia

    rows = [f"| `causalgia.{name}` | `{module}` |" for name, module in causalgia.PUBLIC.items()]
    head = ["# Public names", "", "Imported on first use, so that the command line starts at once.", ""]
    return "\n".join([*head, "| name | where it stands |", "|---|---|", *rows]) + "\n"


def reference(layer: str) -> str:
    """One layer: every module with its public, documented names."""
    files = sorted((SOURCE / layer).rglob("*.py"))
    modules = [".".join(("causalgia", *file.relative_to(SOURCE).with_suffix("").parts)) for file in files]
    named = [module for module in modules if not module.rpartition(".")[2].startswith("_")]
    return "\n".join([f"# {layer}", "", *(f"::: {module}\n" for module in named)]) + "\n"
