"""Arithmetic on lanes: one LLVM value holds one number of each of several subjects (or a scalar, with one lane).

Every fused multiply-add is written out (`llvm.fmuladd`) and no fast-math flag is set, so that LLVM contracts nothing
on its own and a subject's numbers are the same in any lane and with any number of lanes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llvmlite import ir

from causalgia.engine.graph import EXP_MAX, EXP_MIN, TINY

DOUBLE, INT64, INT32, BOOL, POINTER = ir.DoubleType(), ir.IntType(64), ir.IntType(32), ir.IntType(1), ir.PointerType()
ROUNDER = 6755399441055744.0  # 1.5·2⁵²: adding it rounds a double to a whole number in its low bits
ROUNDER_BITS = 0x4338000000000000
ONE_BITS = 0x3FF0000000000000
EXPONENT_MASK = 0x7FF
FRACTION_MASK = 0x000FFFFFFFFFFFFF
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # fdlibm e_exp.c


class Lanes:
    """Builds operations on `width` lanes at the place of an `ir.IRBuilder`."""

    def __init__(self, builder: ir.IRBuilder, width: int) -> None:
        self.b, self.width = builder, width
        self.type = ir.VectorType(DOUBLE, width) if width > 1 else DOUBLE
        self.integer = ir.VectorType(INT64, width) if width > 1 else INT64

    def const(self, value: float) -> ir.Constant:
        return ir.Constant(self.type, [float(value)] * self.width if self.width > 1 else float(value))

    def whole(self, value: int) -> ir.Constant:
        return ir.Constant(self.integer, [value] * self.width if self.width > 1 else value)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.fadd(a, b)

    def sub(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.fsub(a, b)

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.fmul(a, b)

    def div(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.fdiv(a, b)

    def neg(self, a: ir.Value) -> ir.Value:
        return self.b.fneg(a)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a·b + c, fused where the machine can."""
        return self.intrinsic("llvm.fmuladd", a, b, c)

    def fnma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """c − a·b."""
        return self.fma(self.neg(a), b, c)

    def recip(self, a: ir.Value) -> ir.Value:
        return self.b.fdiv(self.const(1.0), a)

    def sqrt(self, a: ir.Value) -> ir.Value:
        return self.intrinsic("llvm.sqrt", a)

    def abs(self, a: ir.Value) -> ir.Value:
        return self.intrinsic("llvm.fabs", a)

    def lt(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.fcmp_ordered("<", a, b)

    def le(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.fcmp_ordered("<=", a, b)

    def both(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.and_(a, b)

    def either(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.b.or_(a, b)

    def negate(self, a: ir.Value) -> ir.Value:
        return self.b.not_(a)

    def select(self, condition: ir.Value, then: ir.Value, otherwise: ir.Value) -> ir.Value:
        return self.b.select(condition, then, otherwise)

    def max(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The larger; a NaN in `a` stays, so that a broken lane shows."""
        return self.select(self.lt(a, b), b, a)

    def min(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.select(self.lt(b, a), b, a)

    def finite(self, a: ir.Value) -> ir.Value:
        return self.lt(self.abs(a), self.const(math.inf))

    def any(self, condition: ir.Value) -> ir.Value:
        if self.width == 1:
            return condition
        bits = self.b.bitcast(condition, ir.IntType(self.width))
        return self.b.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    def exp(self, x: ir.Value) -> ir.Value:
        """eˣ within 1 ulp or so: x = k·ln 2 + r, then the Taylor polynomial of degree 13 on |r| ≤ ln(2)/2.

        The argument is held between -708 and 709, where the result is a normal double.
        """
        x = self.min(self.max(x, self.const(EXP_MIN)), self.const(EXP_MAX))
        shifted = self.fma(x, self.const(1 / math.log(2)), self.const(ROUNDER))
        exponent, k = self.b.bitcast(shifted, self.integer), self.sub(shifted, self.const(ROUNDER))
        r = self.fnma(k, self.const(LN2_LOW), self.fnma(k, self.const(LN2_HIGH), x))
        p = self.horner(r, [1 / math.factorial(i) for i in range(13, -1, -1)])
        power = self.b.add(self.b.shl(exponent, self.whole(52)), self.whole(ONE_BITS))
        return self.mul(p, self.b.bitcast(power, self.type))

    def log(self, x: ir.Value) -> ir.Value:
        """ln x; −∞ at 0, NaN where x < 0 or NaN."""
        value = self.log_positive(self.max(x, self.const(TINY)))
        value = self.select(self.lt(self.const(0.0), x), value, self.const(-math.inf))
        return self.select(self.le(self.const(0.0), x), value, self.const(math.nan))

    def log_positive(self, x: ir.Value) -> ir.Value:
        """ln x within 1 ulp or so for normal x > 0: x = m·2ᵏ, then the series of 2·artanh((m − 1)/(m + 1))."""
        bits = self.b.bitcast(x, self.integer)
        biased = self.b.and_(self.b.lshr(bits, self.whole(52)), self.whole(EXPONENT_MASK))
        k = self.b.sub(biased, self.whole(1023))
        m = self.b.bitcast(self.b.or_(self.b.and_(bits, self.whole(FRACTION_MASK)), self.whole(ONE_BITS)), self.type)
        high = self.lt(self.const(math.sqrt(2)), m)
        m = self.select(high, self.mul(m, self.const(0.5)), m)
        k = self.select(high, self.b.add(k, self.whole(1)), k)
        k = self.sub(self.b.bitcast(self.b.add(k, self.whole(ROUNDER_BITS)), self.type), self.const(ROUNDER))
        f = self.div(self.sub(m, self.const(1.0)), self.add(m, self.const(1.0)))
        z, twice = self.mul(f, f), self.add(f, f)
        series = self.horner(z, [1 / i for i in range(19, 2, -2)])
        return self.fma(k, self.const(math.log(2)), self.fma(self.mul(twice, z), series, twice))

    def pow(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """xʸ for x > 0; 0ʸ is 0, 1 or ∞ by the sign of y; NaN for x < 0."""
        zero, one = self.const(0.0), self.const(1.0)
        value = self.exp(self.mul(y, self.log_positive(self.max(x, self.const(TINY)))))
        at_zero = self.select(self.lt(zero, y), zero, self.select(self.lt(y, zero), self.const(math.inf), one))
        value = self.select(self.lt(zero, x), value, at_zero)
        return self.select(self.le(zero, x), value, self.const(math.nan))

    def horner(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Σ cᵢ xⁿ⁻ⁱ, the highest power first."""
        total: ir.Value = self.const(coefficients[0])
        for c in coefficients[1:]:
            total = self.fma(total, x, self.const(c))
        return total

    def intrinsic(self, name: str, *args: ir.Value) -> ir.Value:
        module = self.b.module
        full = f"{name}.v{self.width}f64" if self.width > 1 else f"{name}.f64"
        kind = ir.FunctionType(self.type, [self.type] * len(args))
        return self.b.call(module.globals.get(full) or ir.Function(module, kind, full), args)

    def spread(self, scalar: ir.Value) -> ir.Value:
        """One number in every lane."""
        if self.width == 1:
            return scalar
        nothing = ir.Constant(self.type, ir.Undefined)
        first = self.b.insert_element(nothing, scalar, ir.Constant(INT32, 0))
        return self.b.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(INT32, self.width), [0] * self.width))
