"""exp, log, logistic, tanh, the reciprocal and the inverse square root of fixed-point numbers, with integers only.

A fixed-point number Qm.n is an integer read as integer / 2**n; a type of 32 bits has n = 31 - m, one of 16 bits
n = 15 - m. Products keep the high half, rounded (`_multiply`), so the product of Qa and Qb is a Q(a+b).

Source: fixedpoint/fixedpoint.h of gemmlowp, which TensorFlow Lite's quantized softmax and LSTM use. The method:

* exp(x) for x <= 0: x = -k/4 + r with r in [-1/4, 0). exp(r) is a Taylor polynomial of degree 4 around -1/8, and
  each set bit of k multiplies by a tabulated exp(-2**i).
* 1 / (1 + x): three steps of Newton's method for the reciprocal of d = (1 + x) / 2, from 48/17 - 32/17 d.

Arrays are int64 inside, which holds all that 32 bits can; the result of every step is what the step gives in `bits`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.fixed_point import INT32_MAX

Array = npt.NDArray[Any]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

#: exponent i: exp(-2**i) as Q0.31
_EXP_OF_POWERS = {-2: 1672461947, -1: 1302514674, 0: 790015084, 1: 290630308, 2: 39332535, 3: 720401, 4: 242}
_EXP_OF_MINUS_AN_EIGHTH = 1895147668  # Q0.31
_ONE_THIRD = 715827883  # Q0.31
_HALF_OF_ROOT_OF_2, _FOURTH_ROOT_OF_HALF, _LOG_OF_2 = 1518500250, 1805811301, 1488522236  # Q0.31
_48_OVER_17, _MINUS_32_OVER_17 = 1515870810, -1010580540  # Q2.29
_RECIPROCAL_OF_ZERO = -1515870788


def exp_on_negative_values(x: Array, integer_bits: int, bits: int = 32) -> Int64s:
    """exp(x) as Q0 of fixed-point x <= 0 with `integer_bits`.

    >>> round(int(exp_on_negative_values(np.array(-(2**26)), 5)) / 2**31, 5)      # exp(-1) = 0.367879441
    0.36788
    """
    x = np.asarray(x, np.int64)
    fraction_bits = bits - 1 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (x & (quarter - 1)) - quarter  # in [-1/4, 0)
    result = _exp_between_minus_a_quarter_and_0(_shift_left_saturating(rest, integer_bits, bits), bits)
    steps = rest - x
    for exponent, factor in _EXP_OF_POWERS.items():
        if exponent < integer_bits:
            has_bit = (steps >> (fraction_bits + exponent)) & 1
            result = np.where(has_bit, _multiply(result, _constant(factor, bits), bits), result)
    if integer_bits > 5:
        result = np.where(x < -(1 << (bits + 4 - integer_bits)), 0, result)  # below -32
    return np.where(x == 0, _one(bits), result)


def one_over_one_plus_x(x: Array, bits: int = 32) -> Int64s:
    """1 / (1 + x) as Q0 of x in (0, 1) as Q0.

    >>> round(int(one_over_one_plus_x(np.array(2**30))) / 2**31, 6)               # 1 / 1.5
    0.666667
    """
    return _shift_left_saturating(_reciprocal_of_half_of_one_plus(x, bits), 1, bits)  # Q2 / 2 is Q1, then Q0


def reciprocal(x: Array) -> tuple[Int64s, Int64s]:
    """1 / x of integers x >= 0, as a multiplier and a shift: multiplier / 2**31 / 2**shift.

    For 0 it is what the steps of Newton's method make of a number outside their domain. Source: GetReciprocal in
    kernels/internal/common.h.

    >>> multiplier, shift = reciprocal(np.array([5]))
    >>> round(float(multiplier[0] / 2**31 / 2.0 ** shift[0]), 6)
    0.2
    """
    x = np.asarray(x, np.int64)
    zeros = np.where(x == 0, 32, _leading_zeros(np.maximum(x, 1)))
    inverse = one_over_one_plus_x((x << zeros) - (1 << 31))
    return np.where(x == 0, _RECIPROCAL_OF_ZERO, inverse), 31 - zeros


def logistic(x: Array, integer_bits: int, bits: int = 32) -> Int64s:
    """1 / (1 + exp(-x)) as Q0 of fixed-point x with `integer_bits`.

    >>> [round(int(n) / 2**15, 3) for n in logistic(np.array([0, 4096, -4096]), 3, bits=16)]      # of 0, 1, -1
    [0.5, 0.731, 0.269]
    """
    x = np.asarray(x, np.int64)
    positive = one_over_one_plus_x(exp_on_negative_values(_wrap(-np.abs(x), bits), integer_bits, bits), bits)
    return np.where(x == 0, 1 << (bits - 2), np.where(x > 0, positive, _one(bits) - positive))


def tanh(x: Array, integer_bits: int, bits: int = 32) -> Int64s:
    """tanh(x) as Q0 of fixed-point x with `integer_bits`: (1 - e) / (1 + e) with e = exp(-2 |x|).

    >>> [round(int(n) / 2**15, 3) for n in tanh(np.array([0, 4096, -4096]), 3, bits=16)]          # of 0, 1, -1
    [0.0, 0.762, -0.762]
    """
    x = np.asarray(x, np.int64)
    e = exp_on_negative_values(-np.abs(x), integer_bits + 1, bits)  # doubling moves the binary point
    reciprocal = _reciprocal_of_half_of_one_plus(e, bits)
    magnitude = _shift_left_saturating(reciprocal - (1 << (bits - 3)), 2, bits)  # (Q2 - 1) as Q0
    return np.where(x == 0, 0, np.where(x < 0, -magnitude, magnitude))


def one_over_square_root(x: Array) -> tuple[Int32s, Int32s]:
    """1 / sqrt(x) of integers x >= 1, as a multiplier and a shift: multiplier / 2**31 * 2**shift.

    x is brought between 2**27 and 2**29 by powers of four, where five steps of Newton's method from y = 1 are
    y <- y * 3/2 - y**3 * x/2. Source: GetInvSqrtQuantizedMultiplierExp in kernels/internal/common.h.

    >>> multiplier, shift = one_over_square_root(np.array([4]))
    >>> round(float(multiplier[0] / 2**31 * 2.0 ** shift[0]), 6)
    0.5
    """
    x = np.asarray(x, np.int64)
    large = np.maximum(x, 2)
    shift = np.full(x.shape, 11, np.int64)
    while np.any(large >= 1 << 29):
        too_large = large >= 1 << 29
        shift += too_large
        large = np.where(too_large, large >> 2, large)
    pairs = (_leading_zeros(large) - 1) // 2 - 1
    shift -= pairs
    whole = (large << (2 * pairs)) >> 1  # Q3
    half = _divide(whole, 1)
    y = np.full(x.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = _shift_left_saturating(_multiply(_multiply(y, y, 32), y, 32), 6, 32)
        y = _shift_left_saturating(_multiply(3 << 27, y, 32) - _multiply(half, cube, 32), 3, 32)
    multiplier = _multiply(y, _HALF_OF_ROOT_OF_2, 32) << np.maximum(-shift, 0)
    one = x <= 1
    return (
        np.where(one, INT32_MAX, multiplier).astype(np.int32),
        np.where(one, 0, -np.maximum(shift, 0)).astype(np.int32),
    )


def log_of_at_least_one(x: Array) -> Int64s:
    """log(x) as Q5.26 of x >= 1 as Q12.19.

    x = 2**a * r with r in [1/2**0.75, 2**0.25), found in one of two ways; log(x) = a * log(2) + log(r), and log(r) is a
    quotient of polynomials in r and in r - 2**-0.25. Source: log_x_for_x_greater_than_or_equal_to_1_impl in
    kernels/internal/common.h, which takes it from Cody's approximation around the fourth root.

    >>> round(int(log_of_at_least_one(np.array(10 << 19))) / 2**26, 6)            # log(10) = 2.302585
    2.302585
    """
    x = np.asarray(x, np.int64)
    quarter = 1 << 23  # Q6.25
    zeros = _leading_zeros(x)
    r_a = _shift_left_saturating(_multiply(_shift_left_saturating(x, zeros - 1, 32), _HALF_OF_ROOT_OF_2, 32), 1, 32)
    power_a = ((12 - zeros) << 25) + quarter
    z_b = _multiply(x, _HALF_OF_ROOT_OF_2, 32)
    zeros_b = _leading_zeros(z_b) - 1
    r_b = _shift_left_saturating(x, zeros_b, 32)
    power_b = ((12 - zeros_b) << 25) - quarter
    r = np.minimum(r_a, r_b)
    power = np.maximum(power_a, power_b)
    half_sum = r + _FOURTH_ROOT_OF_HALF
    p = np.sign(half_sum) * ((np.abs(half_sum) + 1) >> 1)
    q = 2 * (r - _FOURTH_ROOT_OF_HALF)
    square = _multiply(q, q, 32)
    numerator = _multiply(q, r, 32) + _multiply(_multiply(q, square, 32), 117049297, 32)
    denominator = _multiply(p, 1057819769 + q + _multiply(127690142, square, 32), 32) + _multiply(638450708, q, 32)
    quotient = _multiply(_divide(numerator, 6), one_over_one_plus_x(denominator), 32)
    return _shift_left_saturating(_multiply(power, _LOG_OF_2, 32) + quotient, 1, 32)


def _exp_between_minus_a_quarter_and_0(x: Int64s, bits: int) -> Int64s:
    """exp(x) of Q0 x: exp(-1/8) * (1 + y + y**2/2 + y**3/6 + y**4/24) with y = x + 1/8."""
    base = _constant(_EXP_OF_MINUS_AN_EIGHTH, bits)
    y = x + (1 << (bits - 4))
    y2 = _multiply(y, y, bits)
    y3 = _multiply(y2, y, bits)
    y4 = _multiply(y2, y2, bits)
    thirds = _multiply(_divide(y4, 2) + y3, _constant(_ONE_THIRD, bits), bits)
    product = _multiply(base, y + _divide(thirds + y2, 1), bits)
    total = base + product
    return _saturated(total, bits) if bits == 16 else total


def _reciprocal_of_half_of_one_plus(x: Array, bits: int) -> Int64s:
    """2 / (1 + x) as Q2, of x in (0, 1) as Q0."""
    total = np.asarray(x, np.int64) + _one(bits)
    half = np.where(total >= 0, (total + 1) >> 1, -((1 - total) >> 1))
    y = _constant(_48_OVER_17, bits) + _multiply(half, _constant(_MINUS_32_OVER_17, bits), bits)
    for _ in range(3):
        error = (1 << (bits - 3)) - _multiply(half, y, bits)
        y = y + _shift_left_saturating(_multiply(y, error, bits), 2, bits)  # the product is Q4
    return y


def _one(bits: int) -> int:
    """The largest Q0, which stands for 1."""
    return (1 << (bits - 1)) - 1


def _constant(q31: int, bits: int) -> int:
    """A constant of 32 bits, rounded to `bits`."""
    return q31 if bits == 32 else int(_divide(np.array(q31), 16))


def _multiply(a: Any, b: Any, bits: int) -> Int64s:
    """a * b / 2**(bits - 1), halves up; -1 * -1 saturates."""
    product: Int64s = np.minimum((a * b + (1 << (bits - 2))) >> (bits - 1), _one(bits))
    return product


def _divide(x: Array, exponent: int) -> Int64s:
    """x / 2**exponent, halves away from zero."""
    quotient: Int64s = (x + (1 << (exponent - 1)) - (x < 0)) >> exponent
    return quotient


def _shift_left_saturating(x: Int64s, exponent: Any, bits: int) -> Int64s:
    """x * 2**exponent, limited to the range of `bits`."""
    return _saturated(x << exponent, bits)


def _saturated(x: Int64s, bits: int) -> Int64s:
    """Integers limited to the range of `bits`."""
    limited: Int64s = np.minimum(np.maximum(x, -_one(bits) - 1), _one(bits))
    return limited


def _leading_zeros(x: Int64s) -> Int64s:
    """How many of 32 bits are zero before the first one of x > 0."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def _wrap(x: Int64s, bits: int) -> Int64s:
    """Integers as they come out of arithmetic of `bits`."""
    return x.astype(f"int{bits}").astype(np.int64)
