"""Float32 products and functions as the optimized kernels compute them on x86-64: with AVX, without fused multiply-add.

TensorFlow Lite's float LSTM uses them in every resolver, the reference one included: matrix times vector in eight
interleaved partial sums, tanh as a rational function, logistic through exp of a vector of eight, all from Eigen
(Eigen/src/Core/arch/Default/GenericPacketMathFunctions.h, Core/functors/UnaryFunctors.h). A claim about these holds
for the build it was measured with: the tensorflow 2.21.0 wheel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.blocks import in_blocks
from refquant.numerics.reciprocal_estimate import reciprocal
from refquant.numerics.selection import choose

Float32s = npt.NDArray[np.float32]

_f = np.float32
_EXP_LIMIT, _EXP_LOW = _f(88.723), _f(-104.0)
_EXP = [
    _f(c)
    for c in (
        0.49999988079071044921875,
        0.16666518151760101318359375,
        4.166965186595916748046875e-2,
        8.36894474923610687255859375e-3,
        1.37449637986719608306884765625e-3,
    )
]
_ERFC_LIMIT = _f(11)
_ERFC_NEAR = [
    _f(c)
    for c in (
        5.61802298761904239654541015625e-04,
        -4.91381669417023658752441406250e-03,
        2.67075151205062866210937500000e-02,
        -1.12800106406211853027343750000e-01,
        3.76122951507568359375000000000e-01,
        -1.12837910652160644531250000000e00,
    )
]
_ERFC_NUMERATOR = [
    _f(c)
    for c in (
        1.0208116471767425537109375e-01,
        4.2920666933059692382812500e-01,
        3.2379078865051269531250000e-01,
        5.3971976041793823242187500e-02,
    )
]
_ERFC_DENOMINATOR = [
    _f(c)
    for c in (
        1.7251677811145782470703125e-02,
        3.9137163758277893066406250e-01,
        1.0,
        6.2173241376876831054687500e-01,
        9.5662862062454223632812500e-02,
    )
]
WIDTH = _WIDTH = 8  # numbers in a vector register

_TANH_LIMIT = _f(7.90738964080810547)
_TANH_NUMERATOR = [_f(c) for c in (1.394553628e-8, 2.102733560e-5, 3.520756727e-3, 1.340216100e-1)]
_TANH_DENOMINATOR = [_f(c) for c in (8.015776984e-7, 3.326951409e-4, 2.597254514e-2, 4.673548340e-1, 1.0)]

_LOGISTIC_HIGH, _LOGISTIC_LOW = _f(16.6355324), _f(-104.0)
_LOG2_E = _f(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = _f(-0.693359375), _f(2.12194440e-4)
_P2, _P3 = _f(0.49999141693115234375), _f(0.16666877269744873046875)
_P4, _P5 = _f(4.1898667812347412109375e-2), _f(8.33471305668354034423828125e-3)


def _in_order(products: Float32s) -> Float32s:
    """Sums over the last axis, one by one."""
    if products.shape[-1] == 0:
        return np.zeros(products.shape[:-1], _f)
    sums: Float32s = np.add.accumulate(products, axis=-1, dtype=_f)[..., -1]
    return sums


def with_rest(total: Float32s, products: Float32s) -> Float32s:
    """The products that fill no register, added one by one."""
    for column in range(products.shape[1]):
        total = total + products[:, column]
    return total


def folded(sums: Float32s) -> Float32s:
    """The sum of each row of eight or four: halves onto each other, until one is left."""
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def row_sums(rows: Float32s, start: int = 0) -> Float32s:
    """The sum of each row of a matrix; registers of eight begin at column `start`.

    Registers go to two sums in turn, which are added; then the odd one out; the eight are folded by halves, then
    the numbers before and after the registers are added one by one. Source: redux_impl in Eigen/src/Core/Redux.h.

    >>> float(row_sums(np.float32([[2**24] + [1] * 15]))[0]) - 2**24      # one by one it would be 0
    14.0
    """
    count = rows.shape[1]
    start = min(start, count)
    stop = count - (count - start) % _WIDTH
    if stop == start:
        return _in_order(rows)
    registers = rows[:, start:stop].reshape(len(rows), (stop - start) // _WIDTH, _WIDTH)
    pairs = registers.shape[1] // 2 * 2
    sums = registers[:, 0]
    if pairs:
        sums = np.add.accumulate(registers[:, 0:pairs:2], axis=1)[:, -1]
        sums = sums + np.add.accumulate(registers[:, 1:pairs:2], axis=1)[:, -1]
        if pairs < registers.shape[1]:
            sums = sums + registers[:, -1]
    return with_rest(with_rest(folded(sums), rows[:, :start]), rows[:, stop:])


def aligned_sums(rows: Float32s) -> Float32s:
    """As `row_sums`, of a matrix that begins at an address which 32 divides; so does each register.

    >>> [float(total) - 2**24 for total in aligned_sums(np.float32([[2**24] + [1] * 16] * 2))]
    [16.0, 8.0]
    """
    count = rows.shape[1]
    if count % _WIDTH == 0:
        return row_sums(rows)
    sums = np.empty(len(rows), _f)
    for phase in range(_WIDTH):  # rows whose first number has the same place in a register
        sums[phase::_WIDTH] = row_sums(rows[phase::_WIDTH], -phase * count % _WIDTH)
    return sums


def _polynomial(x: Float32s, coefficients: list[Any]) -> Float32s:
    """Horner's rule, highest power first."""
    result = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result


@in_blocks
def tanh(x: Float32s) -> Float32s:
    """x (x**2 p(x**2) + 1) / q(x**2) with x clamped to ±7.907….

    >>> round(float(tanh(np.array([0.5], np.float32))[0]), 6)      # tanh(0.5) = 0.46211716
    0.462117
    """
    x = np.maximum(np.minimum(x, _TANH_LIMIT), -_TANH_LIMIT)
    square = x * x
    numerator = (square * x) * _polynomial(square, _TANH_NUMERATOR) + x
    return numerator / _polynomial(square, _TANH_DENOMINATOR)


@in_blocks
def logistic(x: Float32s) -> Float32s:
    """e / (1 + e) with e = exp(x / 2)**2, as a vector register computes it.

    >>> float(logistic(np.array([0.0], np.float32))[0])
    0.5
    """
    half = np.minimum(x, _LOGISTIC_HIGH) * _f(0.5)
    power = np.floor(half * _LOG2_E + _f(0.5))
    r = power * _LN2_HIGH + half
    r = power * _LN2_LOW + r
    square = r * r
    even = square * _P4 + _P2
    odd = square * _P5 + _P3
    p = square * (r * odd + even) + (r + _f(1))
    e = np.ldexp(p, np.where(np.isfinite(power), power, 0).astype(np.int32))
    e = e * e
    return np.where(x < _LOGISTIC_LOW, _f(0), e / (_f(1) + e))


@in_blocks
def exp(x: Float32s) -> Float32s:
    """2**m * p(r) with x = m * ln 2 + r and a polynomial of degree 6.

    >>> float(exp(np.array([0.0], np.float32))[0])
    1.0
    """
    limited = np.minimum(x, _EXP_LIMIT)
    m = np.floor(limited * _LOG2_E + _f(0.5))
    r = m * _LN2_HIGH + limited
    r = m * _LN2_LOW + r
    square = r * r
    p2, p3, p4, p5, p6 = _EXP
    even = square * (square * p6 + p4) + p2
    odd = square * p5 + p3
    p = square * (r * odd + even) + (r + _f(1))
    power = np.where(np.isfinite(m), m, 0).astype(np.int32)
    result: Float32s = np.where(x < _EXP_LOW, _f(0), np.ldexp(p, power))
    return result


@np.errstate(all="ignore")
def erfc(x: Float32s, estimates: Float32s) -> Float32s:
    """1 - erf(x): 1 + x * p(x**2) up to 1, exp(-x**2) / x * p(1/x**2) / q(1/x**2) beyond, x clamped to ±11.

    What x**2 loses in rounding is made good: exp(-x**2) (1 - lost). 1/x**2 is a processor's estimate, from its table
    `estimates`, refined (`refquant.numerics.reciprocal_estimate`). Source: generic_fast_erfc in
    unsupported/Eigen/src/SpecialFunctions/SpecialFunctionsImpl.h.

    >>> from refquant.numerics.reciprocal_estimate import ZEN
    >>> float(erfc(np.array([0.0], np.float32), ZEN)[0])
    1.0
    """
    x = np.maximum(np.minimum(x, _ERFC_LIMIT), -_ERFC_LIMIT)
    square = x * x
    near = x * _polynomial(square, _ERFC_NEAR) + _f(1)
    lost = (x.astype(np.float64) * x - square).astype(np.float32)
    e = exp(-square)
    z = e - e * lost
    inverse = reciprocal(np.fmax(square, _f(1)), estimates)
    ratio = _polynomial(inverse, _ERFC_NUMERATOR) / (x * _polynomial(inverse, _ERFC_DENOMINATOR))
    far = z * ratio + _f(2) * (x < 0)
    return choose(square > 1, far, near)
