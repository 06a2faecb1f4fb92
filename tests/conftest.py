from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

# One test process a core: more threads of linear algebra only wait for each other. NumPy reads it when first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples in every run: a build that passed does not fail by chance. Search for new ones with
# `pytest --hypothesis-profile=default`.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

# Kernels are compiled once a session, beside the user's own cache.
SUBJECTS = 2000


@pytest.fixture(autouse=True, scope="session")
def _session_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("session-cache")))
        yield


@pytest.fixture(scope="session")
def protocol():
    import causalgia as cg

    return cg.Protocol.load("gated-infliximab").with_options(SUBJECTS, 200, (8, 16, 40))


@pytest.fixture(scope="session")
def population():
    import causalgia as cg

    return cg.Population.load("crps-acute", prior=True)


@pytest.fixture(scope="session")
def patients(population):
    return population.sample(SUBJECTS, seed=1)


@pytest.fixture(scope="session")
def outcomes(protocol, patients):
    import causalgia as cg

    return cg.simulate(protocol, patients)


@pytest.fixture(scope="session")
def every_world(protocol, outcomes):
    import causalgia as cg

    return cg.worlds(outcomes, protocol.order, protocol.aware)


@pytest.fixture
def write(tmp_path):
    """Writes a library document to a file with some text (or re:PATTERN) replaced, and gives its path."""
    from causalgia.documents.reader import LIBRARY

    def make(folder: str, name: str, *changes: tuple[str, str], file: str | None = None) -> Path:
        text = (LIBRARY / folder / f"{name}.toml").read_text()
        for old, new in changes:
            pattern = old.removeprefix("re:") if old.startswith("re:") else re.escape(old)
            text, found = re.subn(pattern, lambda _, new=new: new, text, count=1)
            assert found, f"{old!r} is not in {name}"
        path = tmp_path / f"{file or name}.toml"
        path.write_text(text)
        return path

    return make


@pytest.fixture(scope="session")
def environment():
    """The environment of a child process: one thread of linear algebra, the session's own cache."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
