"""Mixed model for repeated measures: many trials at once, with small-sample inference on contrasts.

y = Xβ + ε with a covariance Σ of a subject's visits and no random effect; a missing visit leaves its row out (missing
at random). Symbols as in `mmrm_likelihood`; L is a contrast, a = ΦL, Q_uv = X'ΩD_uΩD_vΩX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from causalgia.analysis.covariances import STRUCTURES, unpack
from causalgia.analysis.estimates import Array, Effect, Status, t_effect
from causalgia.analysis.mmrm_design import ESTIMABLE, Arrays, Chunk, estimable, fit_chunk, model
from causalgia.analysis.mmrm_inference import INFERENCES, contrast_error, gradient, quadratic
from causalgia.documents.errors import InputError

FALLBACK = ("unstructured", "toeplitz", "heterogeneous-ar1", "compound-symmetry")
"""Structures tried in turn; what ends at the last is judged by `AFTER_FALLBACK`, which does not need Σ to be right."""
AFTER_FALLBACK = "sandwich-bias-reduced"
METHODS = ("reml", "ml")


@dataclass(frozen=True)
class MmrmFit(Effect):
    """An `Effect` (..., or ..., m for m contrasts) with the model that it comes from.

    `structure` and `inference` (...) name what was used ("" where nothing was fitted), `coefficients` β (..., p), 0
    where a column depends on those before it, `covariance` Σ (..., T, T), `log_likelihood` (...), restricted for REML.
    """

    structure: NDArray[np.str_]
    inference: NDArray[np.str_]
    coefficients: Array
    covariance: Array
    log_likelihood: Array


@dataclass(frozen=True)
class FTest:
    """F statistics (...) with their degrees of freedom and p, NaN where `status` is not `Status.OK`."""

    statistic: Array
    df: int
    denominator_df: Array
    p: Array
    status: NDArray[np.int8]


def mmrm(
    y: ArrayLike,
    x: ArrayLike,
    *,
    contrast: ArrayLike,
    observed: ArrayLike | None = None,
    structure: str | Sequence[str] = FALLBACK,
    method: str = "reml",
    inference: str = "kenward-roger-linear",
    alpha: float = 0.05,
) -> MmrmFit:
    """Contrasts L'β of a mixed model for repeated measures, fitted by REML or maximum likelihood.

    y and observed (..., n, T), by default observed where y is not NaN; x (..., n, T, p), looked at where observed;
    contrast (p,) or (m, p). `structure` names one of `STRUCTURES`, or several that are tried in turn; compound
    symmetry reached by falling back is judged by `AFTER_FALLBACK`. Kenward-Roger:
    var L'β = L'ΦL + 2 Σ_uv W_uv (a'Q_uv a − a'P_uΦP_v a), df = 2 (L'ΦL)² / g'Wg with g_u = a'P_u a, W the inverse of
    the observed information; it needs REML. Raises `InputError` for shapes and names that do not fit.
    Sources: Kenward and Roger (1997), Biometrics 53, 983 (without the term in second derivatives, as SAS
    DDFM=KR(FIRSTORDER)); Pustejovsky and Tipton (2018), J. Bus. Econ. Stat. 36, 672 (sandwich).

    >>> y = np.array([[1.0, 2.5], [2.0, 2.8], [1.5, 3.4], [0.4, 1.1]])
    >>> x = np.broadcast_to([[1.0, 0.0], [1.0, 1.0]], (4, 2, 2))
    >>> fit = mmrm(y, x, contrast=[0, 1])
    >>> round(float(fit.estimate), 3), round(float(fit.df), 3), str(fit.structure)
    (1.225, 3.0, 'unstructured')
    """
    names = (structure,) if isinstance(structure, str) else tuple(structure)
    _check_names(names, method, inference)
    arrays = Arrays.of(y, x, observed)
    L = _contrasts(contrast, arrays.p)
    with np.errstate(all="ignore"):  # told by the status
        parts = [_infer(chunk, L, names, method == "reml", inference) for chunk in arrays.chunks()]
    joined = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(_Lanes)}
    lead = arrays.lead if np.ndim(contrast) == 1 else (*arrays.lead, len(L))
    estimate, se, df, status = (joined[name].reshape(lead) for name in ("estimate", "se", "df", "status"))
    rest = {k: v.reshape((*arrays.lead, *v.shape[1:])) for k, v in joined.items() if k in MODEL}
    effect = t_effect(estimate, se, df, status, alpha)
    return MmrmFit(**{f.name: getattr(effect, f.name) for f in fields(Effect)}, **rest)


def mmrm_f_test(
    y: ArrayLike,
    x: ArrayLike,
    *,
    contrasts: ArrayLike,
    observed: ArrayLike | None = None,
    structure: str = "unstructured",
    method: str = "reml",
) -> FTest:
    """Whether the contrasts (q, p), linearly independent, are all zero: F = (Lβ)'(LΦL')⁻¹(Lβ)/q.

    Denominator degrees of freedom 2E/(E − q), E = Σ ν_m/(ν_m − 2) over the Satterthwaite degrees of freedom ν_m > 2 of
    the principal contrasts. Shapes and errors as in `mmrm`. Source: Fai and Cornelius (1996), J. Stat. Comput. Simul.
    54, 363, as SAS DDFM=SATTERTHWAITE.
    """
    _check_names((structure,), method, "satterthwaite")
    arrays = Arrays.of(y, x, observed)
    L = _contrasts(contrasts, arrays.p)
    with np.errstate(all="ignore"):  # told by the status
        parts = [_joint(chunk, L, structure, method == "reml") for chunk in arrays.chunks()]
    F, df, status = (np.concatenate(part).reshape(arrays.lead) for part in zip(*parts, strict=True))
    return FTest(F, len(L), df, special.fdtrc(len(L), df, F), status)


def mmrm_by_visit(
    y: ArrayLike,
    treated: ArrayLike,
    baseline: ArrayLike | None = None,
    factors: ArrayLike | None = None,
    *,
    visit: int | Sequence[int] = -1,
    observed: ArrayLike | None = None,
    structure: str | Sequence[str] = FALLBACK,
    method: str = "reml",
    inference: str = "kenward-roger-linear",
    alpha: float = 0.05,
) -> MmrmFit:
    """Difference treated − control at a visit (by default the last): y ~ visit + baseline + factors + arm:visit.

    y (..., n, T), treated (0 or 1) and baseline (..., n), factors (..., n, q) as numbers or dummies; a subject that is
    observed needs them all. Several visits give effects (..., visit). `NO_ARM` where nobody of an arm is observed at
    the visit; else as `mmrm`.
    """
    values, arm = np.asarray(y, dtype=float), np.asarray(treated, dtype=float)
    if values.ndim < 2 or arm.ndim < 1:
        raise InputError("y", f"shape {values.shape}", "(..., subject, visit), and treated (..., subject)")
    T = values.shape[-1]
    if np.ndim(visit) > 1 or not np.size(visit) or np.max(visit) >= T or np.min(visit) < -T:
        raise InputError("visit", str(visit), f"0 to {T - 1}, or -{T} to -1 from the end", "Ask for one of them.")
    seen = ~np.isnan(values) if observed is None else np.asarray(observed, dtype=bool)
    covariates = _covariates(baseline, factors)
    try:
        x = _design(arm, covariates, T)
        present = [(seen & (arm[..., None] == a)).any(axis=-2) for a in (0, 1)]
    except ValueError as error:
        expected = "shapes that agree, (..., subject), y and observed with visits"
        raise InputError("y, treated, baseline, factors, observed", "shapes that do not agree", expected) from error
    if (seen & (arm[..., None] != 0) & (arm[..., None] != 1)).any():
        raise InputError("treated", "other values", "0 for control and 1 for treated", "Recode the arms.")
    contrast = np.eye(x.shape[-1])[-T:][np.asarray(visit)]
    options: dict[str, Any] = {"structure": structure, "method": method, "inference": inference, "alpha": alpha}
    fit = mmrm(values, x, contrast=contrast, observed=seen, **options)
    lacking = (fit.status == Status.SINGULAR) & ~np.logical_and(*present)[..., np.asarray(visit)]
    return replace(fit, status=np.where(lacking, Status.NO_ARM, fit.status).astype(np.int8))


def _design(arm: Array, covariates: list[Array], T: int) -> Array:
    """Columns visit, covariates, arm:visit (..., n, T, p)."""
    at = np.eye(T)
    columns = [*at, *covariates, *(arm[..., None] * row for row in at)]
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _covariates(baseline: ArrayLike | None, factors: ArrayLike | None) -> list[Array]:
    """Columns (..., n, 1); the baseline about its mean, which keeps its digits beside the visits' columns."""
    columns = []
    if baseline is not None:
        b = np.atleast_1d(np.asarray(baseline, dtype=float))
        known = np.isfinite(b)
        mean = np.where(known, b, 0.0).sum(axis=-1, keepdims=True) / np.maximum(known.sum(axis=-1, keepdims=True), 1)
        columns.append((b - mean)[..., None])
    if factors is not None:
        extra = np.asarray(factors, dtype=float)
        if extra.ndim < 2:
            raise InputError("factors", f"shape {extra.shape}", "(..., subject, q)", "Give one as values[:, None].")
        columns += [extra[..., j, None] for j in range(extra.shape[-1])]
    return columns


def _check_names(structures: tuple[str, ...], method: str, inference: str) -> None:
    for where, found, known in (
        *(("structure", name, STRUCTURES) for name in structures or ("",)),
        ("method", method, METHODS),
        ("inference", inference, INFERENCES),
    ):
        if found not in known:
            raise InputError(where, repr(found), f"one of {', '.join(known)}", "Choose one of them.")
    if method == "ml" and inference == "kenward-roger-linear":
        raise InputError("inference", repr(inference), "satterthwaite with ml", "Use reml, or satterthwaite.")


def _contrasts(contrast: ArrayLike, p: int) -> Array:
    L = np.atleast_2d(np.asarray(contrast, dtype=float))
    if L.ndim != 2 or L.shape[1] != p or not len(L) or not np.isfinite(L).all():
        raise InputError("contrast", f"shape {np.shape(contrast)}", f"({p},) or (m, {p}), a number a column of x")
    return L


@dataclass(frozen=True)
class _Lanes:
    """What is known of each replicate (R, ...), in the caller's units."""

    estimate: Array
    se: Array
    df: Array
    status: NDArray[np.int8]
    structure: NDArray[np.str_]
    inference: NDArray[np.str_]
    coefficients: Array
    covariance: Array
    log_likelihood: Array


MODEL = ("structure", "inference", "coefficients", "covariance", "log_likelihood")


def _infer(chunk: Chunk, L: Array, names: tuple[str, ...], reml: bool, inference: str) -> _Lanes:
    (R, _, T, c), m = chunk.Z.shape, len(L)
    nothing = [np.full((R, m), np.nan) for _ in range(3)]
    text, wide = (np.full(R, "", dtype=f"<U{max(map(len, known))}") for known in (STRUCTURES, INFERENCES))
    beta, Sigma, status = (
        np.full((R, c - 1), np.nan),
        np.full((R, T, T), np.nan),
        chunk.status[:, None].repeat(m, axis=1),
    )
    out = _Lanes(nothing[0], nothing[1], nothing[2], status, text, wide, beta, Sigma, np.full(R, np.nan))
    out.status[chunk.status == Status.OK] = Status.NOT_CONVERGED
    if not (chunk.status == Status.OK).any():
        return out
    fit = fit_chunk(chunk, names, reml)
    lanes, used = fit.lanes, np.array(names)[fit.covariance.fitted]
    out.structure[lanes] = used
    fell = (fit.covariance.fitted > 0) & (used == "compound-symmetry")
    out.inference[lanes] = np.where(fell, AFTER_FALLBACK, inference)
    out.coefficients[lanes], out.log_likelihood[lanes] = model(chunk, fit, reml)
    out.covariance[lanes] = unpack(fit.covariance.sigma, T) * chunk.scale[lanes, None, None] ** 2
    for j, row in enumerate(L):
        V = (chunk.root[lanes].swapaxes(1, 2) @ row[:, None])[..., 0]
        out.estimate[lanes, j] = (out.coefficients[lanes] * row).sum(axis=1)
        se, df = contrast_error(chunk, fit, V, inference)
        if fell.any():
            se_fell, df_fell = contrast_error(chunk, fit, V, AFTER_FALLBACK)
            se, df = np.where(fell, se_fell, se), np.where(fell, df_fell, df)
        out.se[lanes, j], out.df[lanes, j] = chunk.scale[lanes] * se, df
        bad = [~estimable(chunk, lanes, row), ~(np.isfinite(se) & (se > 0) & (df > 0))]
        out.status[lanes, j] = np.select(bad, [Status.SINGULAR, Status.NOT_CONVERGED], Status.OK)
    return out


def _joint(chunk: Chunk, L: Array, structure: str, reml: bool) -> tuple[Array, Array, NDArray[np.int8]]:
    """F, denominator degrees of freedom and status of each replicate (R,)."""
    status, q = chunk.status.copy(), len(L)
    status[status == Status.OK] = Status.NOT_CONVERGED
    F, df = np.full(len(status), np.nan), np.full(len(status), np.nan)
    if not (chunk.status == Status.OK).any():
        return F, df, status
    fit = fit_chunk(chunk, (structure,), reml)
    lanes = fit.lanes
    V = L @ chunk.root[lanes]
    values, vectors = np.linalg.eigh(V @ fit.point.Phi @ V.swapaxes(1, 2))
    beta, _ = model(chunk, fit, reml)
    t = (vectors.swapaxes(1, 2) @ (L @ beta[..., None]))[..., 0] / (chunk.scale[lanes, None] * np.sqrt(values))
    principal = vectors.swapaxes(1, 2) @ V
    nu = np.empty_like(values)
    for k in range(q):
        _, variance, slope = gradient(fit, principal[:, k])
        nu[:, k] = 2 * variance**2 / quadratic(slope, fit.covariance.W)
    E = np.where(nu > 2, nu / (nu - 2), 0.0).sum(axis=1)
    different = np.all([estimable(chunk, lanes, row) for row in L], axis=0) & (values[:, 0] > ESTIMABLE * values[:, -1])
    found = nu[:, 0] if q == 1 else np.where(q < E, 2 * E / (E - q), np.nan)
    status[lanes] = np.select([~different, ~(found > 0)], [Status.SINGULAR, Status.TOO_FEW], Status.OK)
    fine = status[lanes] == Status.OK
    F[lanes], df[lanes] = np.where(fine, (t**2).mean(axis=1), np.nan), np.where(fine, found, np.nan)
    return F, df, status
