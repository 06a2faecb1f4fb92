"""The main job, whole and in parts: seconds, rates, memory, and the ratio to a peer."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TRIALS, SUBJECTS = 10_000, 60
PEER_TRIALS = 200


def main() -> None:
    """Times commands as whole processes first, while this one is small, then the analysis inside."""
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    help_, *_ = command("--help")
    print(f"causalgia --help: {help_:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        for name, warm in (("dirckx-2013", "13"), ("gated-infliximab", "8")):
            command(
                "run", name, "--subjects", "2000", "--replicates", "20", "--sizes", warm, "-o", f"{folder}/warm-{name}"
            )
            seconds, busy, lines = command("run", name, "-o", str(Path(folder) / name))
            print(f"causalgia run {name}, kernel cached: {seconds:.1f} s, of processors {busy:.1f} s")
            print("".join(f"  {line}\n" for line in lines if "/s, " in line and "left" not in line), end="")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        print(f"largest process: {peak:.2f} GiB")
    analysis()


def command(*words: str) -> tuple[float, float, list[str]]:
    """Seconds of one causalgia command on the clock and of all processors together, and the lines of its progress."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "causalgia", *words], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, busy, done.stderr.splitlines()


def analysis() -> None:
    """Analysis of covariance of 10 000 trials of 60 in one call, against statsmodels trial by trial."""
    import statsmodels.api as sm

    from causalgia.analysis.linear import ancova

    rng = np.random.default_rng(1)
    y, covariates = rng.normal(size=(TRIALS, SUBJECTS)), rng.normal(size=(TRIALS, SUBJECTS, 3))
    treated = np.tile(np.arange(SUBJECTS) % 2, (TRIALS, 1))
    ours = min(timed(lambda: ancova(y, treated, covariates)) for _ in range(3))
    design = np.concatenate([np.ones((TRIALS, SUBJECTS, 1)), treated[..., None], covariates], axis=2)
    peer = timed(lambda: [sm.OLS(y[i], design[i]).fit().pvalues[1] for i in range(PEER_TRIALS)]) / PEER_TRIALS * TRIALS
    print(f"analysis of covariance, {TRIALS} trials of {SUBJECTS}: {ours:.2f} s, {TRIALS / ours:,.0f} trials/s")
    print(f"  statsmodels, trial by trial: {peer:.1f} s, ratio {peer / ours:.0f}")


def timed(work) -> float:
    """Seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
