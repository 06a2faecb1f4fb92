from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import pytest

import causalgia as cg


@pytest.mark.parametrize("name", sorted(set(cg.__all__) - {"__version__"}))
def test_public_names_can_be_called_whatever_was_imported_before(name):
    importlib.import_module("causalgia.report.page")
    assert callable(getattr(cg, name))


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        cg.simulat  # noqa: B018


def test_report_writes_the_page(protocol, outcomes, tmp_path):
    trial = cg.conduct(protocol, outcomes, seed=2, size=16)
    chars = cg.evaluate(protocol.with_options(None, 60, (16,)), outcomes, seed=3)
    small = protocol.with_options(None, 60, (16,))
    cg.report(tmp_path / "page.html", small, outcomes, trial, cg.analyse(small, trial), chars)
    assert (tmp_path / "page.html").read_text(encoding="utf-8").strip().endswith("</html>")


def test_example_of_the_package_runs():
    result = doctest.testmod(cg)
    assert result.failed == 0 and result.attempted > 4


def test_importing_the_package_imports_little():
    code = "import sys, causalgia; print(sorted({'numpy', 'pydantic', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
