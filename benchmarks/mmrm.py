"""Mixed models for repeated measures: seconds for many trials, for one published data set, and the ratio to peers."""

from __future__ import annotations

import csv
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from causalgia.analysis.mmrm import mmrm, mmrm_by_visit

FEV = Path(__file__).parents[1] / "tests" / "reference" / "mmrm_fev.csv"
TRIALS, SUBJECTS, VISITS, PEER_TRIALS = 1000, 60, 4, 10
GLS = """
suppressMessages(library(nlme)); d <- read.csv("{file}", comment.char = "#"); d <- d[!is.na(d$FEV1), ]
d$AVISIT <- factor(d$AVISIT); d$VISITN <- as.integer(d$AVISIT)
fit <- function() gls(FEV1 ~ RACE + SEX + ARMCD * AVISIT, d, correlation = corSymm(form = ~ VISITN | USUBJID),
                      weights = varIdent(form = ~ 1 | AVISIT))
invisible(fit()); cat(system.time(fit())[["elapsed"]])
"""


def main() -> None:
    """Best of three after a first call."""
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    size = f"{TRIALS} trials of {SUBJECTS} at {VISITS} visits"
    y, arm, baseline = trials(TRIALS)
    for structure in ("unstructured", "compound-symmetry"):
        seconds = best(lambda s=structure: mmrm_by_visit(y, arm, baseline, structure=s))
        print(f"{size}, {structure}: {seconds:.2f} s, {TRIALS / seconds:,.0f}/s")
    peer = statsmodels_seconds(y, arm, baseline) / PEER_TRIALS * TRIALS
    print(f"  statsmodels MixedLM, random intercept, trial by trial: {peer:.0f} s, ratio {peer / seconds:.0f}")
    data = fev()
    ours = best(lambda: mmrm(*data, contrast=np.eye(data[1].shape[-1])[-1]))
    print(f"FEV data, 200 subjects, unstructured, Kenward-Roger: {1000 * ours:.0f} ms")
    if shutil.which("Rscript"):
        done = subprocess.run(["Rscript", "-e", GLS.format(file=FEV)], capture_output=True, text=True, check=True)
        print(f"  nlme::gls, no degrees of freedom: {1000 * float(done.stdout):.0f} ms")


def best(task: Callable[[], object]) -> float:
    """Seconds."""
    task()
    return min(timed(task) for _ in range(3))


def timed(task: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def trials(replicates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Endpoint with 10 % drop-out, arm and baseline."""
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(VISITS), np.arange(VISITS))))
    arm, baseline = np.tile(np.arange(SUBJECTS) % 2, (replicates, 1)), rng.normal(size=(replicates, SUBJECTS))
    y = baseline[..., None] + rng.normal(size=(replicates, SUBJECTS, VISITS)) @ root.T
    leaves = (rng.random(y.shape) < 0.1 / (VISITS - 1)) & (np.arange(VISITS) > 0)
    return np.where(np.maximum.accumulate(leaves, axis=2), np.nan, y), arm, baseline


def statsmodels_seconds(y: np.ndarray, arm: np.ndarray, baseline: np.ndarray) -> float:
    """Seconds for the first `PEER_TRIALS`, compound symmetry as a random intercept."""
    import statsmodels.api as sm

    visit, subject = np.tile(np.eye(VISITS), (SUBJECTS, 1)), np.repeat(np.arange(SUBJECTS), VISITS)
    start = time.perf_counter()
    for r in range(PEER_TRIALS):
        x = np.column_stack([visit, baseline[r, subject], visit * arm[r, subject, None]])
        seen = ~np.isnan(y[r].ravel())
        sm.MixedLM(y[r].ravel()[seen], x[seen], subject[seen]).fit()
    return time.perf_counter() - start


def fev() -> tuple[np.ndarray, np.ndarray]:
    """The endpoint (200, 4) and design (200, 4, 11) of FEV1 ~ RACE + SEX + ARMCD * AVISIT."""
    with FEV.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    one = lambda column, value: np.array([r[column].startswith(value) for r in rows], dtype=float).reshape(-1, 4)  # noqa: E731
    visits, arm = np.eye(4), one("ARMCD", "TRT")
    main = [one("RACE", "Black"), one("RACE", "White"), one("SEX", "Female")]
    columns = [*(visits[k] + 0 * arm for k in range(4)), *main, *(arm * visits[k] for k in range(4))]
    return np.array([float(r["FEV1"] or "nan") for r in rows]).reshape(-1, 4), np.stack(columns, axis=-1)


if __name__ == "__main__":
    main()
