"""The analyses of many trials: seconds for 10 000 trials of 60, as ratios to peers that take them one by one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable

import numpy as np

from causalgia.analysis.censored import censored_regression
from causalgia.analysis.imputation import analyse_completed, impute
from causalgia.analysis.linear import ancova
from causalgia.analysis.mediation import mediate
from causalgia.analysis.mmrm import mmrm_by_visit
from causalgia.analysis.spared import difference_of_effects, effect_by_biomarker

TRIALS, SUBJECTS, VISITS, PEER_TRIALS = 10_000, 60, 4, 200
SLOW_TRIALS, SLOW_PEER_TRIALS = 1000, 10
R_LM = """
set.seed(1); n <- {n}; k <- {k}
x <- replicate(k, data.frame(a = rep(0:1, n / 2), c = matrix(rnorm(3 * n), n), y = rnorm(n)), simplify = FALSE)
one <- function(d) summary(lm(y ~ a + c.1 + c.2 + c.3, d))$coefficients[2, 4]
invisible(one(x[[1]])); cat(system.time(for (d in x) one(d))[["elapsed"]])
"""


def main() -> None:
    """Best of three after a first call; peers once, on fewer trials, scaled up."""
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    rng = np.random.default_rng(1)
    arm = np.tile(np.arange(SUBJECTS) % 2, (TRIALS, 1))
    covariates, y = rng.normal(size=(TRIALS, SUBJECTS, 3)), rng.normal(size=(TRIALS, SUBJECTS))
    group, seen = rng.random(arm.shape) < 0.3, np.ones(arm.shape, bool)
    truth = rng.normal(size=arm.shape)
    marker = truth - arm + 0.4 * rng.normal(size=arm.shape)
    reading, before = (value + 0.33 * rng.normal(size=arm.shape) for value in (marker, truth))
    limit = np.quantile(reading, 0.3)

    seconds = show("analysis of covariance", TRIALS, lambda: ancova(y, arm, covariates))
    peer("statsmodels OLS", statsmodels_seconds(y, arm, covariates), PEER_TRIALS, TRIALS, seconds)
    if shutil.which("Rscript"):
        code = R_LM.format(n=SUBJECTS, k=PEER_TRIALS)
        done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
        peer("R lm", float(done.stdout), PEER_TRIALS, TRIALS, seconds)
    arguments = (y, arm > 0, covariates, group)
    show("difference between two groups", TRIALS, lambda: difference_of_effects(*arguments, observed=seen))
    show("censored regression, 30 % below", TRIALS, lambda: censored_regression(reading, limit, arm, covariates))
    options = {"error": 0.11, "baseline": before, "limit": limit, "error_df": 58.0}
    show("censored mediation", TRIALS, lambda: mediate(y, reading, arm, covariates, **options))
    claims = lambda: mediate(y, reading, arm, covariates, limits=False, **options)  # noqa: E731
    show("censored mediation without limits", TRIALS, claims)
    show("effect along the marker", TRIALS, lambda: effect_by_biomarker(y, arm, before, covariates, error=0.11))
    repeated()


def repeated() -> None:
    """The mixed model and multiple imputation, with 10 % drop-out."""
    rng = np.random.default_rng(2)
    shape = (SLOW_TRIALS, SUBJECTS)
    arm, baseline = np.tile(np.arange(SUBJECTS) % 2, (SLOW_TRIALS, 1)), rng.normal(size=shape)
    y = baseline[..., None] + np.cumsum(rng.normal(size=(*shape, VISITS)), axis=2) / 2
    leaves = (rng.random(y.shape) < 0.1 / (VISITS - 1)) & (np.arange(VISITS) > 0)
    y[np.maximum.accumulate(leaves, axis=2)] = np.nan
    text = f"mixed model, {VISITS} visits, unstructured, Kenward-Roger"
    seconds = show(text, SLOW_TRIALS, lambda: mmrm_by_visit(y, arm, baseline))
    peer(
        "statsmodels MixedLM, random intercept", mixed_seconds(y, arm, baseline), SLOW_PEER_TRIALS, SLOW_TRIALS, seconds
    )

    def jump() -> object:
        generator = np.random.default_rng(3)
        return analyse_completed(impute(y, arm, baseline[..., None], method="jump", generator=generator))

    show("jump to reference, 20 imputations", SLOW_TRIALS, jump)


def show(name: str, trials: int, task: Callable[[], object]) -> float:
    """Prints and gives the seconds."""
    task()
    seconds = min(timed(task) for _ in range(3))
    print(f"{name}: {trials} trials of {SUBJECTS}: {seconds:.2f} s, {trials / seconds:,.0f}/s")
    return seconds


def peer(name: str, seconds: float, done: int, trials: int, ours: float) -> None:
    """Prints what a peer would take for as many trials."""
    total = seconds / done * trials
    print(f"  {name}, trial by trial: {total:.1f} s, ratio {total / ours:.0f}")


def timed(task: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def statsmodels_seconds(y: np.ndarray, arm: np.ndarray, covariates: np.ndarray) -> float:
    """Seconds for the first `PEER_TRIALS`."""
    import statsmodels.api as sm

    design = np.concatenate([np.ones((*arm.shape, 1)), arm[..., None], covariates], axis=2)
    return timed(lambda: [sm.OLS(y[i], design[i]).fit().pvalues[1] for i in range(PEER_TRIALS)])


def mixed_seconds(y: np.ndarray, arm: np.ndarray, baseline: np.ndarray) -> float:
    """Seconds for the first `SLOW_PEER_TRIALS`, compound symmetry as a random intercept."""
    import statsmodels.api as sm

    visit, subject = np.tile(np.eye(VISITS), (SUBJECTS, 1)), np.repeat(np.arange(SUBJECTS), VISITS)

    def every() -> None:
        for r in range(SLOW_PEER_TRIALS):
            x = np.column_stack([visit, baseline[r, subject], visit * arm[r, subject, None]])
            known = ~np.isnan(y[r].ravel())
            sm.MixedLM(y[r].ravel()[known], x[known], subject[known]).fit()

    return timed(every)


if __name__ == "__main__":
    main()
