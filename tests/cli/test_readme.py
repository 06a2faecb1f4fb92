"""The README's commands and code run as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
CONSOLE = [part.split("\n", 1) for block in BLOCKS for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]


def test_the_commands_run_in_their_order_and_end_as_shown(tmp_path):
    for command, output in CONSOLE:
        words = shlex.split(command)
        program = [sys.executable, "-m", "causalgia"] if words[0] == "causalgia" else words[:1]
        done = subprocess.run([*program, *words[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout.splitlines()[-1:] == output.splitlines()[-1:], command


def test_python_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    scope: dict = {}
    exec(code, scope)
    assert "<!doctype html>" in (tmp_path / "report.html").read_text().lower()
    assert scope["answers"]["lowered"].estimate < 1
