"""Normal tails that stay accurate: log Φ with its derivatives, and the bivariate normal distribution function."""

from __future__ import annotations

import numpy as np
from scipy import special

from causalgia.analysis.estimates import Array

CEILING = 37.0
"""log Φ(37) is zero to double precision, and erfcx(−37/√2) is still finite."""


def log_cdf(r: Array) -> tuple[Array, Array, Array]:
    """log Φ(r), the inverse Mills ratio m = φ(r)/Φ(r) and its derivative m' = −m (r + m).

    erfcx(x) = exp(x²) erfc(x) gives Φ(r) = erfcx(−r/√2) exp(−r²/2) / 2 without underflow for any r below `CEILING`.
    """
    r = np.minimum(r, CEILING)
    scaled = special.erfcx(-np.sqrt(0.5) * r)
    m = np.sqrt(2 / np.pi) / scaled
    return np.log(0.5 * scaled) - 0.5 * r * r, m, -m * (r + m)


def bivariate_cdf(h: Array, k: Array, zeta: Array) -> Array:
    """P(X ≤ h, Y ≤ k) for standard normal X, Y with correlation tanh(zeta).

    Owen (1956), Ann. Math. Statist. 27, 1075: Φ(h)/2 + Φ(k)/2 − T(h, q/h) − T(k, p/k) − ½[h k < 0] with
    q = (k − ρh)/√(1 − ρ²) = k cosh ζ − h sinh ζ and p = h cosh ζ − k sinh ζ; absolute error about 1e-15.
    """
    h, k = (np.where(np.abs(x) < 1e-100, 1e-100, x) for x in (h, k))  # the formula divides by them
    c, s = np.cosh(zeta), np.sinh(zeta)
    with np.errstate(over="ignore"):
        owen = special.owens_t(h, (k * c - h * s) / h) + special.owens_t(k, (h * c - k * s) / k)
    return 0.5 * (special.ndtr(h) + special.ndtr(k)) - owen - 0.5 * (np.sign(h) != np.sign(k))
