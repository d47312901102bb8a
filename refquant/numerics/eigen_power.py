"""Float32 powers as Eigen computes them for a whole register, without fused multiply-add.

x**y = 2**(y * log2(x)), the logarithm in two float32 numbers, one for what the other loses in rounding.
Source: unary_pow_impl, generic_pow and generic_pow_impl in Eigen/src/Core/arch/Default/GenericPacketMathFunctions.h,
of the tensorflow 2.21.0 wheel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refquant.numerics import eigen

Float32s = npt.NDArray[np.float32]
Pair = tuple[Float32s, Float32s]  # a number and what it lacks

_f = np.float32
_ONE, _INFINITY, _NAN = _f(1), _f(np.inf), _f(np.nan)
_ROOT_OF_HALF = _f(0.70710678118654752440)
_LN2 = _f(0.6931471805599453)
_SPLITTER = _f(2**12 + 1)
_C0, _C1 = (
    1.442695041742110273474963832995854318141937255859375,
    -0.72134751588268664068692714863573201000690460205078125,
)
# log2(1 + x) = x * (C0 + x * (C1 + x * (…))), from the highest power
_REST = [
    _f(c)
    for c in (
        9.7010828554630279541015625e-02,
        -1.6896486282348632812500000e-01,
        1.7200836539268493652343750e-01,
        -1.7892272770404815673828125e-01,
        2.0505344867706298828125000e-01,
        -2.4046677350997924804687500e-01,
        2.8857553005218505859375000e-01,
        -3.6067414283752441406250000e-01,
        4.8089790344238281250000000e-01,
    )
]


@np.errstate(all="ignore")
def power(x: Float32s, exponent: np.float32) -> Float32s:
    """x**exponent of float32 numbers; whole exponents from -3 to 7 by repeated squaring.

    >>> power(np.float32([4, 2]), np.float32(-0.5))
    array([0.5       , 0.70710677], dtype=float32)
    """
    if np.isfinite(exponent) and np.rint(exponent) == exponent:
        return _squared(x, exponent) if -3 <= exponent <= 7 else _whole_power(x, exponent)
    return _fractional_power(x, exponent)


def _squared(x: Float32s, exponent: np.float32) -> Float32s:
    result = _ONE / x if exponent < 0 else x
    left, odd = abs(int(exponent)), np.ones_like(x)
    if left == 0:
        return odd
    while left > 1:
        if left % 2:
            odd = odd * result
        result = result * result
        left //= 2
    return odd * result


def _fractional_power(x: Float32s, exponent: np.float32) -> Float32s:
    """The power to an exponent that is no whole number, or is infinite or NaN."""
    result = _of_positive(x, exponent)
    magnitude = np.abs(x)
    infinite = np.isinf(exponent)
    to_infinity = (x == 0) | ((magnitude <= 1) & infinite)
    result = np.where(x <= 0, _NAN, result)
    result = np.where(to_infinity, _INFINITY if exponent < 0 else _f(0), result)
    to_infinity = np.isinf(x) | ((magnitude >= 1) & infinite)
    result = np.where(to_infinity, _INFINITY if exponent > 0 else _f(0), result)
    if np.isnan(exponent):
        result = np.full_like(x, _NAN)
    one: Float32s = np.where((magnitude == 1) & (infinite | (x >= 0)), _ONE, result)
    return one


def _whole_power(x: Float32s, exponent: np.float32) -> Float32s:
    """The power to a whole number, below -3 or above 7."""
    odd = exponent % 2 == 1
    magnitude = np.abs(x)
    result = _of_positive(magnitude, exponent)
    result = np.where(x == 0, _INFINITY if exponent < 0 else _f(0), result)
    result = np.where(np.signbit(x) & odd, -result, result)
    if abs(exponent) >= _f(128 * np.log(2)) / _f(2.0**-23):
        beyond = np.where((exponent < 0) & (x == 0) | ((exponent < 0) ^ (magnitude > 1)), _INFINITY, _f(0))
        result = np.where(x == -1, _ONE, beyond)
    at_infinity = _f(0) if exponent < 0 else _INFINITY
    result = np.where(np.isinf(x), np.where(np.signbit(x) & odd, -at_infinity, at_infinity), result)
    result = np.where(np.isnan(x), _NAN, result)
    one: Float32s = np.where(x == 1, _ONE, result)
    return one


def _of_positive(x: Float32s, y: np.float32) -> Float32s:
    """2**(y * log2(x)), whatever that is for x that is not positive."""
    fraction, whole = np.frexp(x)
    plain = np.isfinite(x) & (x != 0)
    fraction, exponent = np.where(plain, fraction, x), np.where(plain, whole, 0).astype(_f)
    small = fraction < _ROOT_OF_HALF
    fraction, exponent = np.where(small, _f(2) * fraction, fraction), np.where(small, exponent - _ONE, exponent)
    total = _sum_of_pairs(_product(exponent, y), _product_of_pair(_log2(fraction), y))
    n, rest = _split(total[0])
    m, rest = _split(rest + total[1])
    p, lost = _product(_LN2, np.maximum(np.minimum(rest, _f(129)), _f(-151)))
    return _scaled(eigen.exp(p) * (_ONE + lost), n + m)


def _log2(x: Float32s) -> Pair:
    x = x - _ONE
    p = np.broadcast_to(_REST[0], x.shape)
    for coefficient in _REST[1:]:
        p = p * x + coefficient
    pair = _sum_of_pairs(_constant(_C1), _product(x, p))
    pair = _sum_of_pairs(_constant(_C0), _product_of_pair(pair, x))
    return _product_of_pair(pair, x)


def _constant(c: float) -> Pair:
    return _f(c), _f(c - float(_f(c)))  # type: ignore[return-value]


def _product(x: Float32s | np.float32, y: Float32s | np.float32) -> Pair:
    """x * y and what it lacks (Dekker), from halves of 12 bits (Veltkamp)."""

    def halves(x: Float32s | np.float32) -> Pair:
        gamma = _SPLITTER * x
        upper = (x - gamma) + gamma
        return upper, x - upper  # type: ignore[return-value]

    (x1, x0), (y1, y0) = halves(x), halves(y)
    p = x * y
    lost = x0 * y0 + (x0 * y1 + (x1 * y0 + (x1 * y1 - p)))
    return p, lost  # type: ignore[return-value]


def _product_of_pair(x: Pair, y: Float32s | np.float32) -> Pair:
    c, lost = _product(x[0], y)
    t, less = _sum(c, x[1] * y)
    return _sum(t, less + lost)


def _sum(x: Float32s, y: Float32s) -> Pair:
    """x + y and what it lacks, where |x| >= |y|."""
    total = x + y
    return total, y - (total - x)


def _sum_of_pairs(x: Pair, y: Pair) -> Pair:
    r, lost = _sum(x[0], y[0])
    return _sum(r, (y[1] + lost) + x[1])


def _split(x: Float32s) -> Pair:
    """The nearest whole number, halves away from zero, and the rest."""
    magnitude = np.abs(x)
    below = np.floor(magnitude)
    whole = np.copysign(below + (magnitude - below >= _f(0.5)), x).astype(_f)
    return whole, x - whole


def _scaled(x: Float32s, power: Float32s) -> Float32s:
    """x * 2**power in four steps, as numbers beyond the smallest normal one round more than once."""
    e = np.clip(np.where(np.isnan(power), 0, power), -278, 278).astype(np.int32)
    quarter = e >> 2
    step = np.ldexp(_ONE, quarter)
    return x * step * step * step * np.ldexp(_ONE, e - 3 * quarter)
