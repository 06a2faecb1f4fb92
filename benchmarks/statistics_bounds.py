"""The bounds that the statistics are held to, each beside R (lm, rpact, nlme) and statsmodels in the same run.

Seconds of processor time, best of three after a first call, so that a busy machine changes them little; peers that take
trials one by one are timed on fewer and scaled up. R is asked where there is an Rscript; rpact where R has it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from scipy import special

from analysis import PEER_TRIALS, R_LM
from causalgia.analysis.censored import censored_regression
from causalgia.analysis.linear import ancova
from causalgia.analysis.mediation import mediate
from causalgia.analysis.mmrm import mmrm, mmrm_by_visit
from causalgia.analysis.sequential import Futility, Rule, group_sequential, monitor
from mmrm import FEV, GLS, fev, trials

TRIALS, SUBJECTS, MIXED_TRIALS, MIXED_PEER_TRIALS = 10_000, 60, 1000, 5
CPU = "cat(sum(system.time({})[1:2]) / {})"
RPACT_TRIALS = (
    "suppressMessages(library(rpact)); d <- getDesignGroupSequential(kMax = 2, typeOfDesign = 'asOF'); "
    "f <- function() getSimulationMeans(d, alternative = 0.5, plannedSubjects = c(30, 60), "
    f"maxNumberOfIterations = {TRIALS}, seed = 1); invisible(f()); " + CPU.format("for (i in 1:5) f()", 5)
)
RPACT_DESIGN = (
    "suppressMessages(library(rpact)); f <- function() getDesignGroupSequential(kMax = 5, typeOfDesign = 'asOF'); "
    "invisible(f()); " + CPU.format("for (i in 1:20) f()", 20)
)


def main() -> int:
    """Prints a line a bound; the exit status counts those exceeded."""
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, NumPy {np.__version__}"
    )
    return sum([*normal_trials(), *sequential(), *repeated()])


def normal_trials() -> list[bool]:
    """Ten thousand trials of sixty: analysis of covariance, then censored comparison with mediation."""
    rng = np.random.default_rng(1)
    arm = np.tile(np.arange(SUBJECTS) % 2, (TRIALS, 1))
    covariates, y = rng.normal(size=(TRIALS, SUBJECTS, 3)), rng.normal(size=(TRIALS, SUBJECTS))
    before, marker = rng.normal(size=(2, TRIALS, SUBJECTS))
    reading = before - arm + 0.5 * marker
    limit = np.quantile(reading, 0.3)

    def mechanism() -> None:
        censored_regression(reading, limit, arm, covariates)
        mediate(y, reading, arm, covariates, error=0.11, error_df=58.0, baseline=before, limit=limit)

    seconds = processor(lambda: ancova(y, arm, covariates))
    over = [told(f"{TRIALS} trials, analysis of covariance", seconds, 0.3)]
    code = R_LM.format(n=SUBJECTS, k=PEER_TRIALS).replace('[["elapsed"]]', '[["user.self"]]')
    peer("R lm", r(code, ""), TRIALS / PEER_TRIALS, seconds)
    peer("statsmodels OLS", ordinary(y, arm, covariates), TRIALS / PEER_TRIALS, seconds)
    seconds = processor(mechanism)
    return [*over, told(f"{TRIALS} trials, censored marker and mediation", seconds, 10.0)]


def sequential() -> list[bool]:
    """Ten thousand two-stage trials of sixty from their data, and designs."""
    rng = np.random.default_rng(2)
    y, baseline = rng.normal(size=(2, TRIALS, SUBJECTS))
    treated = np.tile(np.arange(SUBJECTS) % 2, (TRIALS, 1))
    design = group_sequential([0.5, 1.0], Rule("lan-demets-obrien-fleming"), Futility(Rule("power", 2.0)))

    def two_stage() -> None:
        effect = ancova(y, treated, baseline[..., None], sizes=[SUBJECTS // 2, SUBJECTS])
        monitor(design, -np.sign(effect.estimate) * special.ndtri(effect.p / 2))

    seconds = processor(two_stage)
    over = [told(f"{TRIALS} trials, two stages, from their data", seconds, 0.2)]
    peer("rpact, from sums it draws", r(RPACT_TRIALS, "rpact"), 1, seconds)
    for looks in (2, 5, 10):
        t = np.arange(1, looks + 1) / looks
        seconds = processor(lambda t=t: group_sequential(t, Rule("lan-demets-obrien-fleming")))
        over.append(told(f"design, {looks} looks", seconds, 0.05))
        if looks == 5:
            peer("rpact", r(RPACT_DESIGN, "rpact"), 1, seconds)
    return over


def repeated() -> list[bool]:
    """The mixed model on the FEV data, and on a thousand trials of sixty at four visits."""
    data = fev()
    seconds = processor(lambda: mmrm(*data, contrast=np.eye(data[1].shape[-1])[-1]))
    over = [told("mixed model of the FEV data", seconds, 0.1)]
    code = GLS.format(file=FEV).replace('[["elapsed"]]', '[["user.self"]]')
    peer("R nlme::gls, without degrees of freedom", r(code, "nlme"), 1, seconds)
    y, arm, baseline = trials(MIXED_TRIALS)
    seconds = processor(lambda: mmrm_by_visit(y, arm, baseline))
    over.append(told(f"{MIXED_TRIALS} trials, mixed model, 4 visits", seconds, 30.0))
    peer(
        "statsmodels MixedLM, random intercept",
        random_intercepts(y, arm, baseline),
        MIXED_TRIALS / MIXED_PEER_TRIALS,
        seconds,
    )
    return over


def told(name: str, seconds: float, bound: float) -> bool:
    """Prints one of ours beside its bound, and gives whether it is exceeded."""
    over = seconds > bound
    print(f"{name}: {seconds:.3f} s of {bound:g} s{', EXCEEDED' if over else ''}")
    return over


def peer(name: str, seconds: float | None, times: float, ours: float) -> None:
    """Prints a peer's seconds, scaled to as many trials, as a ratio to ours."""
    if seconds is None:
        print(f"  {name}: not installed")
    else:
        print(f"  {name}: {seconds * times:.2f} s, ratio {seconds * times / ours:.1f}")


def processor(task: Callable[[], object]) -> float:
    """Processor seconds, best of three."""
    task()
    spent = []
    for _ in range(3):
        start = time.process_time()
        task()
        spent.append(time.process_time() - start)
    return min(spent)


def r(code: str, package: str) -> float | None:
    """The number that R code prints, None without R or the package."""
    if not shutil.which("Rscript"):
        return None
    known = f'if (nchar("{package}") && !requireNamespace("{package}", quietly = TRUE)) quit(status = 3)'
    done = subprocess.run(["Rscript", "-e", known, "-e", code], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)
    return None if done.returncode else float(done.stdout)


def ordinary(y: np.ndarray, arm: np.ndarray, covariates: np.ndarray) -> float:
    """Seconds of statsmodels' least squares for the first `PEER_TRIALS`."""
    import statsmodels.api as sm

    design = np.concatenate([np.ones((*arm.shape, 1)), arm[..., None], covariates], axis=2)
    return processor(lambda: [sm.OLS(y[i], design[i]).fit().pvalues[1] for i in range(PEER_TRIALS)])


def random_intercepts(y: np.ndarray, arm: np.ndarray, baseline: np.ndarray) -> float:
    """Seconds of statsmodels' mixed model for the first `MIXED_PEER_TRIALS`, compound symmetry as random intercept."""
    import statsmodels.api as sm

    visits = y.shape[-1]
    visit, subject = np.tile(np.eye(visits), (SUBJECTS, 1)), np.repeat(np.arange(SUBJECTS), visits)
    start = time.process_time()
    for i in range(MIXED_PEER_TRIALS):
        x = np.column_stack([visit, baseline[i, subject], visit * arm[i, subject, None]])
        seen = ~np.isnan(y[i].ravel())
        sm.MixedLM(y[i].ravel()[seen], x[seen], subject[seen]).fit()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
