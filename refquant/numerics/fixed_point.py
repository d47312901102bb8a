"""Multiplying an integer by a real number, with integers only.

A quantized operator sums products of integers and must bring the sum to the scale of its output: multiply it by a
real number M, such as input_scale * filter_scale / output_scale. TensorFlow Lite writes M as a mantissa of 31 bits
and a power of two (Jacob et al., 2018, https://arxiv.org/abs/1712.05877, section 2.2)::

    M = multiplier / 2**31 * 2**shift,      2**30 <= multiplier < 2**31

`quantize_multiplier` finds the two numbers. What is left is integer: x * multiplier, and a division by
2**(31 - shift) that must round. There are several ways to round, they differ about twice in a thousand results, and
each operator of each runtime has its own (`refquant.kernels.profiles` has the table):

===================  ===============================================================================================
double rounding      keep the high half of 2 * x * multiplier, rounded; divide that by 2**-shift, rounded again
double, upwards      as double, with the halves of the second rounding rounded up
single rounding      one division by 2**(31 - shift), halves rounded up
wide                 as single, for 64-bit x, after the multiplier itself was rounded to 15 bits
float64              no integers after all: the product with M in float64, halves away from zero
float32              nor here: x and M in float32, and their product, halves to even
===================  ===============================================================================================

`multiplier_for` gives the form of M that a rule wants. Each rule names its steps (`refquant.numerics.steps`).
Arguments broadcast: a multiplier for each channel is an array along the last axis. Sources: QuantizeMultiplier in
kernels/internal/quantization_util.cc, MultiplyByQuantizedMultiplier in kernels/internal/common.cc, and
fixedpoint/fixedpoint.h of gemmlowp. Signed overflow, undefined in C, is given the meaning that the x86-64 builds
show: sums and products wrap, shifts use the low bits of their count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.steps import noted

Array = npt.NDArray[Any]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Requantize = Callable[[Array, Array, Array], Int32s]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

_LEFT, _HIGH = "left shift", "doubling high multiply, rounded"
_AWAY, _UPWARDS = "right shift, rounded, halves away from zero", "right shift, rounded, halves up"
_GROUPED = "right shift, rounded, halves up in whole groups, away from zero in the rest"


def quantize_multiplier(real: npt.ArrayLike) -> tuple[Int32s, Int32s]:
    """Mantissa and power of two of real numbers, each an int32 array of the shape of `real`.

    The mantissa is rounded to the nearest, halves away from zero. A mantissa that rounds up to 2**31 becomes 2**30
    with the next power of two; a number below about 2**-32 becomes zero, as do infinities and NaN.

    >>> [int(n) for n in quantize_multiplier(0.75)]           # 0.75 = 0.75 * 2**0
    [1610612736, 0]
    >>> [int(n) for n in quantize_multiplier(3.0)]            # 3 = 0.75 * 2**2
    [1610612736, 2]
    >>> [int(n) for n in quantize_multiplier(1 - 2**-40)]     # rounds up to 2**31 / 2**31
    [1073741824, 1]
    >>> [int(n) for n in quantize_multiplier(2.0**-33)]       # flushed: 0.5 * 2**-32
    [0, 0]
    """
    real = np.asarray(real, np.float64)
    fraction, shift = np.frexp(np.where(np.isfinite(real), real, 0))
    scaled = fraction * 2.0**31
    mantissa = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
    overflow = mantissa == 2**31
    mantissa = np.where(overflow, 2**30, mantissa)
    shift = shift + overflow
    tiny = shift < -31
    return np.where(tiny, 0, mantissa).astype(np.int32), np.where(tiny, 0, shift).astype(np.int32)


def to_int32(x: npt.ArrayLike) -> Int32s:
    """Real numbers cut off towards zero; what does not fit, or is NaN, is -2**31, as x86-64 processors convert it.

    >>> to_int32(np.float32([-1.5, 2.0**31, -np.inf, np.nan]))
    array([         -1, -2147483648, -2147483648, -2147483648], dtype=int32)
    """
    x = np.asarray(x)
    fits = (x > -(2.0**31) - 1) & (x < 2.0**31)
    return np.where(fits, x, INT32_MIN).astype(np.int64).astype(np.int32)


def high_multiply(a: Array, b: Array) -> Int32s:
    """Round(a * b / 2**31) of int32 numbers, halves up; gemmlowp's SaturatingRoundingDoublingHighMul.

    The one product that does not fit, -2**31 times itself, saturates. gemmlowp adds 2**30 to a product that is not
    negative and 1 - 2**30 to a negative one, then divides towards zero; either way that is a floor after adding 2**30.

    >>> int(high_multiply(np.int32(5), np.int32(2**30)))       # 2.5
    3
    >>> int(high_multiply(np.int32(-5), np.int32(2**30)))      # -2.5
    -2
    >>> int(high_multiply(np.int32(-2**31), np.int32(-2**31)))
    2147483647
    """
    product = np.multiply(a, b, dtype=np.int64)
    rounded: Int64s = np.minimum((product + 2**30) >> 31, INT32_MAX)
    return rounded.astype(np.int32)


def divide_by_power_of_two(x: Array, exponent: Any) -> Int32s:
    """Round(x / 2**exponent) of int32 numbers, halves away from zero; gemmlowp's RoundingDivideByPOT.

    >>> divide_by_power_of_two(np.int32([5, -5, 6, -6, 7]), np.int32(2))      # 1.25 -1.25 1.5 -1.5 1.75
    array([ 1, -1,  2, -2,  2], dtype=int32)
    """
    wide = np.asarray(x, np.int64)
    half = (np.int64(1) << np.asarray(exponent, np.int64)) >> 1
    below = (wide < 0) & (half > 0)  # halves below zero go down, so start one lower
    return ((wide + half - below) >> exponent).astype(np.int32)


def divide_as_processors_do(x: Array, exponent: Any) -> Int32s:
    """`divide_by_power_of_two` for exponents of any size, also below 0 and above 31, which are undefined in C.

    As x86-64 builds have it: shifts use the low bits of their count, so that the mask of the remainder is all ones.

    >>> divide_as_processors_do(np.int32([5, -5, 6, -6, 7]), np.int32(2))
    array([ 1, -1,  2, -2,  2], dtype=int32)
    >>> divide_as_processors_do(np.int32([5, -5]), np.int32(-1))              # x >> 31, and 1 for what is above zero
    array([ 1, -1], dtype=int32)
    """
    wide = np.asarray(x, np.int64)
    count = np.asarray(exponent, np.int64)
    mask = ((np.uint64(1) << (count & 63).astype(np.uint64)) - np.uint64(1)).astype(np.int32).astype(np.int64)
    above_half = (wide & mask) > (mask >> 1) + (wide < 0)
    return ((wide >> (count & 31)) + above_half).astype(np.int32)


def double_rounding_to_the_right(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """`double_rounding` of kernels that count on a shift of at most 0 and do not shift to the left: see
    `divide_as_processors_do` for what becomes of another one.
    """
    high = noted(_HIGH, high_multiply(x, multiplier))
    return noted(_AWAY, divide_as_processors_do(high, np.negative(shift)))


def double_rounding(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """x * multiplier / 2**31 * 2**shift of int32 x: a left shift that wraps, `high_multiply`, a rounded right shift.

    >>> half = quantize_multiplier(0.5)
    >>> double_rounding(np.int32([1, -1, 3, -3]), *half)                       # 0.5 -0.5 1.5 -1.5: halves up
    array([ 1,  0,  2, -1], dtype=int32)
    >>> eighth = quantize_multiplier(0.125)
    >>> double_rounding(np.int32([3, 4, -4, 11]), *eighth)                     # 0.375: 1.5 -> 2, 2 / 4 -> 1
    array([ 1,  1, -1,  2], dtype=int32)
    """
    high = noted(_HIGH, high_multiply(_shifted_left(x, _left_modulo_32(shift)), multiplier))
    return noted(_AWAY, divide_by_power_of_two(high, np.maximum(np.negative(shift), 0)))


def double_rounding_upwards(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """As `double_rounding`, but halves go up in the second rounding, too, and a left shift of 32 or more gives 0.

    That is how vector instructions do it: the kernels of ruy for x86-64 (ruy/kernel_avx512.cc, kernel_avx2_fma.cc,
    kernel_avx.cc), and what NEON_2_SSE.h makes of vrshlq_s32.

    >>> eighth = quantize_multiplier(0.125)
    >>> double_rounding_upwards(np.int32([3, -3, -4, -5]), *eighth)            # -0.375: -1.5 -> -1, -1 / 4 -> 0
    array([1, 0, 0, 0], dtype=int32)
    """
    high = noted(_HIGH, high_multiply(_shifted_left(x, _left_up_to_32(shift)), multiplier))
    return noted(_UPWARDS, _divided_upwards(high, shift))


def double_rounding_by_eights(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """For x [..., channels]: `double_rounding_upwards` of whole groups of eight channels, else `double_rounding`.

    So does a kernel that has a vector instruction for eight channels, and rounds those left over one by one.
    """
    return _double_rounding_in_groups(_in_groups(8, x.shape[-1]), x, multiplier, shift)


def double_rounding_by_sixteen_channels(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """As `double_rounding_by_eights`, with groups of sixteen channels."""
    return _double_rounding_in_groups(_in_groups(16, x.shape[-1]), x, multiplier, shift)


def double_rounding_by_sixteens(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """For a whole tensor x: `double_rounding_upwards` of whole groups of sixteen numbers, else `double_rounding`.

    >>> eighth = quantize_multiplier(0.125)
    >>> double_rounding_by_sixteens(np.full(17, -4, np.int32), *eighth)[-2:]
    array([ 0, -1], dtype=int32)
    """
    return _double_rounding_in_groups(_in_groups(16, x.size).reshape(x.shape), x, multiplier, shift)


def _double_rounding_in_groups(grouped: npt.NDArray[np.bool_], x: Array, multiplier: Array, shift: Array) -> Int32s:
    left = np.where(grouped, _left_up_to_32(shift), _left_modulo_32(shift))
    high = noted(_HIGH, high_multiply(_shifted_left(x, left), multiplier))
    away = divide_by_power_of_two(high, np.maximum(np.negative(shift), 0))
    return noted(_GROUPED, np.where(grouped, _divided_upwards(high, shift), away))


def rounds_halves_away(rule: Requantize, channels: int) -> npt.NDArray[np.bool_]:
    """For each of so many channels, whether the second rounding of `rule`, which rounds twice, takes halves away from
    zero and not up."""
    if rule is double_rounding_by_eights:
        return ~_in_groups(8, channels)
    return np.full(channels, rule is double_rounding)


def _in_groups(size: int, count: int) -> npt.NDArray[np.bool_]:
    """Of so many numbers, those that fill groups of this size."""
    return np.arange(count) < count // size * size


def single_rounding(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """x * multiplier / 2**31 * 2**shift of int32 x: one shift to the right with a half added; the result wraps.

    >>> eighth = quantize_multiplier(0.125)
    >>> single_rounding(np.int32([3, 4, -4, 11]), *eighth)                     # 0.375 0.5 -0.5 1.375
    array([0, 1, 0, 1], dtype=int32)
    """
    total = 31 - np.asarray(shift, np.int64)
    product = noted("64-bit product", np.multiply(x, multiplier, dtype=np.int64))
    return _shift_right_rounded(product, total)


def wide(x: Array, multiplier: Array, shift: Array) -> Int32s:
    """x * multiplier / 2**31 * 2**shift of int64 x, with a multiplier of 15 bits, rounded once; the result wraps.

    >>> wide(np.int64([3, 4, -4, 11]), *quantize_multiplier(0.125))
    array([0, 1, 0, 1], dtype=int32)
    >>> int(wide(np.int64(2**20), np.int32(2**30 + 2**14), np.int32(0)))       # the low 16 bits are lost
    524288
    """
    mantissa = np.asarray(multiplier, np.int64)
    reduced = noted("multiplier of 15 bits", np.where(mantissa < 0x7FFF0000, (mantissa + 2**15) >> 16, 0x7FFF))
    total = 15 - np.asarray(shift, np.int64)
    return _shift_right_rounded(noted("64-bit product", np.asarray(x, np.int64) * reduced), total)


def float64_rounding(x: Array, fraction: Array, shift: Array) -> Int32s:
    """Round(x * fraction * 2**shift) in float64, halves away from zero, for a real `fraction`.

    A result beyond int32 becomes -2**31 from either side, as the conversion of x86-64 processors has it.

    >>> float64_rounding(np.int32([3, 4, -4, 11]), *np.frexp(0.125))            # 0.375 0.5 -0.5 1.375
    array([ 0,  1, -1,  1], dtype=int32)
    """
    product = noted("product in float64", np.asarray(x, np.float64) * np.ldexp(fraction, shift))
    whole = np.trunc(product)
    rounded = noted("rounded, halves away from zero", whole + np.trunc(2 * (product - whole)))
    fitting: Array = np.where(np.abs(rounded) < 2.0**31, rounded, INT32_MIN)
    return fitting.astype(np.int32)


def float32_rounding(x: Array, real: Array, shift: Array) -> Int32s:
    """Round(x * real) of int32 x, which becomes float32 first, as does the product; halves to even. No `shift`.

    What is beyond 2**30 becomes that, which is far beyond any output.

    >>> float32_rounding(np.int32([3, 4, -4, 11, 12]), np.float32(0.125), np.int32(0))    # 0.375 0.5 -0.5 1.375 1.5
    array([0, 0, 0, 1, 2], dtype=int32)
    >>> int(float32_rounding(np.int32(2**24 + 1), np.float32(1), np.int32(0)))
    16777216
    """
    product = noted("product in float32", noted("in float32", np.asarray(x).astype(np.float32)) * real)
    rounded = noted("rounded, halves to even", np.rint(product))
    return np.clip(rounded, -(2.0**30), 2.0**30).astype(np.int32)


def multiplier_for(rule: Requantize, real: npt.ArrayLike) -> tuple[Array, Array]:
    """The two numbers by which `rule` multiplies by `real`: an integer mantissa, for float64 and float32 a real one."""
    if rule is float32_rounding:
        return np.asarray(real, np.float32), np.zeros(np.shape(real), np.int32)
    if rule is float64_rounding:
        fraction, shift = np.frexp(np.asarray(real, np.float64))
        return fraction, shift
    return quantize_multiplier(real)


def _shift_right_rounded(product: Int64s, total: Int64s) -> Int32s:
    """floor(product / 2**total + 1/2) as int32; counts of 64-bit shifts are taken modulo 64."""
    half = np.int64(1) << ((total - 1) & 63)
    shifted: Int64s = noted("half added", product + half) >> (total & 63)
    return noted("right shift", shifted.astype(np.int32))


def _divided_upwards(x: Int32s, shift: Array) -> Int32s:
    """x / 2**-shift, halves up."""
    right = np.maximum(np.negative(shift), 0).astype(np.int64)
    return ((x.astype(np.int64) + ((np.int64(1) << right) >> 1)) >> right).astype(np.int32)


def _shifted_left(x: Array, left: Array) -> Int32s:
    """x * 2**left; wraps."""
    if not np.any(left):
        return np.asarray(x, np.int32)
    return noted(_LEFT, (np.asarray(x, np.int64) << left).astype(np.int32))


def _left_modulo_32(shift: Array) -> Array:
    return np.maximum(shift, 0) & 31


def _left_up_to_32(shift: Array) -> Array:
    return np.clip(shift, 0, 32)
