"""Who should be spared: does the effect differ between high and low biomarker?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.linear import ancova_by


def difference_of_effects(
    y: Array,
    treated: NDArray[np.bool_],
    covariates: Array,
    low: NDArray[np.bool_],
    *,
    observed: NDArray[np.bool_],
    sizes: Sequence[int] | None = None,
    alpha: float = 0.05,
) -> tuple[Effect, Effect]:
    """The effect in everybody by ANCOVA, and the effect in the low stratum minus that in the high one.

    The difference is that of two analyses, se² = se_low² + se_high², with Welch's degrees of freedom. Arrays as in
    `ancova`, `low` (..., n); results (..., size).
    """
    every, in_low, in_high = ancova_by(y, treated, covariates, low, observed=observed, sizes=sizes, alpha=alpha)
    variance = in_low.se**2 + in_high.se**2
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variance**2 / (in_low.se**4 / in_low.df + in_high.se**4 / in_high.df)
    status = np.where(in_low.status != Status.OK, in_low.status, in_high.status)
    return every, t_effect(in_low.estimate - in_high.estimate, np.sqrt(variance), df, status, alpha)
