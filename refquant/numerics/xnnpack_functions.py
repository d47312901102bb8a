"""Functions of float32 numbers as XNNPACK computes them with AVX-512F: polynomials by fused multiply-add.

Most are quotients of two polynomials on a range to which the argument is brought. Sources, below src of XNNPACK:
f32-vexp/rational-3-2.c.in, f32-vsin/rational-5-4.c.in, f32-vtanh/rational-9-8.c.in, f32-vgelu/rational-12-10.c.in,
f32-vapproxgelu/rational-12-10.c.in, f32-vsigmoid/avx512f-rr2-lut32-p2-perm2-scalef.c.in, f32-velu/avx512f-rr1-p6.c.in,
f32-vhswish/simd.c.in, f32-raddstoreexpminusmax/avx512f-rr2-p5.c.in.

Where a number is compared with NaN, the processor's minimum and maximum give their second operand: so NaN becomes a
bound in some functions and stays in others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.flushed import SMALLEST, add, divide, flush, fused, maximum, minimum, multiply, subtract
from refquant.numerics.selection import choose
from refquant.numerics.square_root_estimate import reciprocal_square_root_estimate

Float32s = npt.NDArray[np.float32]

_ONE, _HALF, _ZERO = np.float32(1), np.float32(0.5), np.float32(0)
_LOG2_E = np.float32(1.44269504089)


def _numbers(hexadecimal: str) -> list[np.float32]:
    return [np.float32(float.fromhex(number)) for number in hexadecimal.split()]


_ELU = _numbers("0x1.6B7338p-10 0x1.12278Ep-7 0x1.555716p-5 0x1.5554B0p-3 0x1.FFFFFEp-2")
_EXP_OF_DIFFERENCE = _numbers("0x1.0F9F9Cp-7 0x1.573A1Ap-5 0x1.555A80p-3 0x1.FFFDC6p-2 0x1.FFFFF6p-1")
_LN2, _LN2_REST = _numbers("0x1.62E430p-1 -0x1.05C61p-29")
_LN2_HIGH, _LN2_LOW = _numbers("0x1.62E400p-1 0x1.7F7D1Cp-20")
_LEAST_OF_ELU, _LEAST_DIFFERENCE, _SIGMOID, _SIXTH = _numbers("-0x1.154246p4 -0x1.5D589Ep6 0x1.0000F6p0 0x1.555556p-3")
_MAGIC, _MAGIC_OF_32NDS = _numbers("0x1.8000FEp23 0x1.8p18")


def _polynomial(x: Float32s, coefficients: Sequence[float | np.float32]) -> Float32s:
    """By Horner's rule, the coefficient of the highest power first."""
    result: Any = np.float32(coefficients[0])
    for coefficient in coefficients[1:]:
        result = fused(x, result, np.float32(coefficient))
    return np.asarray(result, np.float32)


def _odd_over_even(x: Float32s, odd: Sequence[float], even: Sequence[float]) -> Float32s:
    """x * odd(x * x) / even(x * x)."""
    square = multiply(x, x)
    return divide(multiply(x, _polynomial(square, odd)), _polynomial(square, even))


def _power_of_2(magic: Float32s) -> Float32s:
    """2**n of integers n that were added to a number whose last bits are then those of n + 127."""
    return (np.asarray(magic).view(np.uint32) << np.uint32(23)).view(np.float32)


def exp(x: Float32s) -> Float32s:
    """e**x: 2**z * 2**r, where z + r = x * log2(e), z an integer. NaN becomes 0."""
    exponent = minimum(maximum(multiply(flush(x), _LOG2_E), np.float32(-127)), np.float32(128))
    shift = np.float32(12582912)
    z = (shift + exponent) - shift
    r = subtract(exponent, z)
    above = _polynomial(r, (5.5380910635e-03, 7.2068706155e-02, 4.1594290733e-01, 1))
    below = _polynomial(r, (2.3986088112e-02, -2.7720427513e-01, 1))
    return multiply(flush(_power_of_2(z + np.float32(8388735))), divide(above, below))


def sin(x: Float32s) -> Float32s:
    """The sine."""
    return _sine(_less_turns(flush(x)))


def cos(x: Float32s) -> Float32s:
    """The cosine: the sine of pi/2 - x, once whole turns are taken off x."""
    return _sine(subtract(np.float32(1.5707964), _less_turns(flush(x))))


def _less_turns(x: Float32s) -> Float32s:
    """x less the nearest multiple of 2 pi, which is two numbers."""
    turns = np.rint(multiply(x, np.float32(0.15915494)))
    x = fused(-turns, np.float32(6.28125), x)
    return fused(-turns, np.float32(1.9353072e-3), x)


def _sine(x: Float32s) -> Float32s:
    """The sine of a number between -3 pi/2 and 3 pi/2, which is reflected at the nearest extremum."""
    pi = np.float32(3.1415927)
    x = minimum(x, subtract(pi, x))
    x = maximum(x, subtract(-pi, x))
    x = minimum(x, subtract(pi, x))
    return _odd_over_even(x, (3.2340581529e-03, -1.3314664364e-01, 1), (4.8770775902e-04, 3.3519912511e-02, 1))


def tanh(x: Float32s) -> Float32s:
    """The hyperbolic tangent."""
    bound = np.float32(7.9807181358)
    x = maximum(-bound, minimum(bound, flush(x)))
    return _odd_over_even(
        x,
        (1.4248920266e-08, 2.1235626264e-05, 3.5330520477e-03, 1.3412411511e-01, 1),
        (8.1365948290e-07, 3.3472978976e-04, 2.6018999517e-02, 4.6745735407e-01, 1),
    )


def gelu(x: Float32s) -> Float32s:
    """x / 2 * (1 + erf(x / sqrt 2))."""
    return _gelu(
        x,
        5.1638283730,
        (
            4.5835321316e-08,
            1.2609783880e-05,
            3.2973114867e-04,
            9.3065137044e-03,
            6.6972173750e-02,
            7.9788452387e-01,
        ),
        (1.1988805682e-06, 7.2267655923e-05, 1.8622842617e-03, 2.8431978077e-02, 2.5060352683e-01, 1),
    )


def approximate_gelu(x: Float32s) -> Float32s:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3)))."""
    return _gelu(
        x,
        4.84974098,
        (
            4.9544411240e-08,
            1.4302649106e-05,
            2.6887017884e-04,
            7.2898347862e-03,
            6.0803253204e-02,
            7.9788458347e-01,
        ),
        (1.3433452750e-06, 7.6477612311e-05, 1.3060354395e-03, 2.4381054565e-02, 2.4369759858e-01, 1),
    )


def _gelu(x: Float32s, bound: float, odd: Sequence[float], even: Sequence[float]) -> Float32s:
    x = flush(x)
    limited = maximum(np.float32(-bound), minimum(np.float32(bound), x))
    return multiply(multiply(x, _HALF), add(_odd_over_even(limited, odd, even), _ONE))


_32ND_POWERS = np.array(
    _numbers(
        "0x1.000000 0x1.059B0E 0x1.0B5586 0x1.11301E 0x1.172B84 0x1.1D4874 0x1.2387A6 0x1.29E9E0 "
        "0x1.306FE0 0x1.371A74 0x1.3DEA64 0x1.44E086 0x1.4BFDAE 0x1.5342B6 0x1.5AB07E 0x1.6247EC "
        "0x1.6A09E6 0x1.71F75E 0x1.7A1148 0x1.82589A 0x1.8ACE54 0x1.93737C 0x1.9C4918 0x1.A5503C "
        "0x1.AE89FA 0x1.B7F770 0x1.C199BE 0x1.CB720E 0x1.D5818E 0x1.DFC974 0x1.EA4AFA 0x1.F50766"
    )
)


def sigmoid(x: Float32s) -> Float32s:
    """1 / (1 + e**-x), of e = e**-|x|: e / (e + 1) for negative x, else 1 less that.

    e is (p + p * t * polynomial(t)) * 2**n, where n is -|x| * log2(e) in 32nds, p the power of 2 of the last five bits
    of n and t the rest.
    """
    z = -np.abs(flush(x))
    shifted = fused(z, _LOG2_E, _MAGIC_OF_32NDS)
    power = _32ND_POWERS[shifted.view(np.uint32) & 31]
    n = shifted - _MAGIC_OF_32NDS
    t = fused(n, -_LN2_REST, fused(n, -_LN2, z))
    p = fused(multiply(t, power), fused(t, _HALF, _SIGMOID), power)
    e = _scaled(p, np.floor(n))
    quotient = divide(e, add(e, _ONE))
    return choose(np.signbit(x), quotient, subtract(_ONE, quotient))


def _scaled(x: Float32s, exponent: Float32s) -> Float32s:
    """x * 2**exponent, for positive x; of an exponent without end 0, whatever x is."""
    limited = np.clip(np.where(np.isnan(exponent), 0, exponent), -400, 400).astype(np.int32)
    wide = np.ldexp(x.astype(np.float64), limited)
    result = np.where(np.abs(wide) < SMALLEST, 0, wide).astype(np.float32)
    return choose(exponent == -np.inf, _ZERO, choose(np.isnan(exponent), exponent, result))


def elu(x: Float32s) -> Float32s:
    """x, or e**x - 1 where x is less than 0: s - 1 + (t * s + t * s * t * polynomial(t)), where s is a power of 2 and t
    the rest of x."""
    x = flush(x)
    z = maximum(_LEAST_OF_ELU, x)
    shifted = fused(z, _LOG2_E, _MAGIC)
    s = _power_of_2(shifted)
    t = fused(shifted - _MAGIC, -_LN2, z)
    p = multiply(_polynomial(t, _ELU), t)
    scaled = multiply(t, s)
    return choose(np.less(x, _ZERO), add(fused(p, scaled, scaled), subtract(s, _ONE)), x)


def hard_swish(x: Float32s) -> Float32s:
    """x * min(max(x / 6 + 1/2, 0), 1)."""
    x = flush(x)
    return multiply(minimum(maximum(fused(x, _SIXTH, _HALF), _ZERO), _ONE), x)


def exp_of_difference(x: Float32s, largest: Float32s) -> Float32s:
    """e**(x - largest), for x no greater than that, without subnormal numbers; 0 where it would be about 2**-126."""
    x = subtract(x, largest)
    shifted = fused(x, _LOG2_E, _MAGIC)
    s = _power_of_2(shifted)
    n = shifted - _MAGIC
    t = fused(n, -_LN2_LOW, fused(n, -_LN2_HIGH, x))
    result = fused(multiply(t, s), _polynomial(t, _EXP_OF_DIFFERENCE), s)
    return choose(np.less(x, _LEAST_DIFFERENCE), _ZERO, result)


def square_root(x: Float32s) -> Float32s:
    """x / sqrt(x), the reciprocal root by one step of Newton's method; NaN of an infinity."""
    x = flush(x)
    return multiply(x, choose(x != 0, _reciprocal_root(x), _ZERO))


def reciprocal_square_root(x: Float32s) -> Float32s:
    """1 / sqrt(x) by one step of Newton's method; NaN of a zero."""
    x = flush(x)
    return choose(x == np.inf, _ZERO, _reciprocal_root(x))


def _reciprocal_root(x: Float32s) -> Float32s:
    """y - (x * y * y - 1) * y / 2, from the estimate y of the processor."""
    y = reciprocal_square_root_estimate(x)
    error = subtract(multiply(x, multiply(y, y)), _ONE)
    return subtract(y, multiply(error, multiply(_HALF, y)))
