from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from engine_pages import ONE_COMPARTMENT, page

from causalgia.documents.errors import InputError
from causalgia.engine import cache, kernel, load_kernel, solve

SOURCE = page("x' = -k*x; x = 1; k = 1; y := 2*x;")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "causalgia" / "kernels"


def answer(source=SOURCE) -> float:
    return float(solve(load_kernel(source), [[1.0]], [1.0]).values[0, 0, 0])


def test_a_second_start_imports_no_symbolic_library(folder):
    """SymPy, libantimony and libsbml take most of a second; a cached kernel needs none of them."""
    code = (
        "import sys; from causalgia.engine import load_kernel, solve;"
        f"print(solve(load_kernel({SOURCE!r}), [[1.0]], [1.0]).values[0, 0, 0]);"
        "print(sorted({'sympy', 'antimony', 'libsbml'} & set(sys.modules)))"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(2)
    )
    assert first[1] == "['antimony', 'libsbml', 'sympy']"
    assert second[1] == "[]"
    assert first[0] == second[0]


def test_a_cached_kernel_equals_a_fresh_one(folder, monkeypatch):
    fresh = load_kernel(SOURCE)
    monkeypatch.setattr(kernel, "load_model", lambda source: pytest.fail("compiled again"))
    cached = load_kernel(SOURCE)
    assert cached == fresh
    assert (cached.states, cached.parameters, cached.outputs) == (("x",), ("k",), ("x", "y"))
    assert cached.values == {"k": 1.0}
    assert cached.units["y"] == "dimensionless"


@pytest.mark.parametrize("suffix", ["o", "json"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x00" * len(b)])
def test_a_damaged_file_is_compiled_again(folder, suffix, damage):
    expected = answer()
    (path,) = folder.glob(f"*.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert answer() == expected
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_no_error(folder):
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("a file where the folder should be")
    np.testing.assert_allclose(answer(), np.exp(-1), rtol=1e-5)


def test_the_key_holds_all_that_shapes_the_code():
    keys = {cache.kernel_key(*parts) for parts in [("a", 4, "m"), ("b", 4, "m"), ("a", 8, "m"), ("a", 4, "n")]}
    assert len(keys) == 4


def test_nothing_temporary_is_left(folder):
    answer()
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".o"]


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="lanes is 3"):
        load_kernel(ONE_COMPARTMENT, lanes=3)
    with pytest.raises(InputError, match=r"nowhere\.ant"):
        load_kernel("nowhere.ant")
