"""A file imports only from its left in the order of layers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

LAYERS = (
    "documents", "analysis", "evidence", "models", "engine", "population", "measurement",
    "trial", "design", "inference", "report", "app", "cli",
)  # fmt: skip
# Layers that stand beside each other: neither may import the other side's.
APART = {"models": {"analysis", "evidence"}, "engine": {"analysis", "evidence"}}
ROOT = Path(__file__).parent.parent / "src" / "causalgia"
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)


def imported_layers(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {name.split(".")[1] for name in names if name.startswith("causalgia.")}
    return found & set(LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_from_the_left(path):
    layer = path.relative_to(ROOT).parts[0]
    allowed = set(LAYERS[: LAYERS.index(layer) + 1]) - APART.get(layer, set())
    assert imported_layers(path) <= allowed


def test_contributing_prints_the_same_layers():
    text = (ROOT.parent.parent / "CONTRIBUTING.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("documents"))
    assert tuple(line.replace("│", "─").replace(" ", "").split("─")) == LAYERS
