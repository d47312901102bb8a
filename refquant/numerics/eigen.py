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

from refquant.numerics.reciprocal_estimate import reciprocal

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
_SMALL = 20  # a product below this size is made number by number
_LARGEST_BLOCK = 400  # columns of 16 rows and of 4 vectors that fit a first-level cache of 32 KiB

_TANH_LIMIT = _f(7.90738964080810547)
_TANH_NUMERATOR = [_f(c) for c in (1.394553628e-8, 2.102733560e-5, 3.520756727e-3, 1.340216100e-1)]
_TANH_DENOMINATOR = [_f(c) for c in (8.015776984e-7, 3.326951409e-4, 2.597254514e-2, 4.673548340e-1, 1.0)]

_LOGISTIC_HIGH, _LOGISTIC_LOW = _f(16.6355324), _f(-104.0)
_LOG2_E = _f(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = _f(-0.693359375), _f(2.12194440e-4)
_P2, _P3 = _f(0.49999141693115234375), _f(0.16666877269744873046875)
_P4, _P5 = _f(4.1898667812347412109375e-2), _f(8.33471305668354034423828125e-3)


def matrix_vector(matrix: Float32s, vector: Float32s) -> Float32s:
    """Matrix times vector: product i of a row goes to partial sum i modulo 8; the sums are folded by halves
    (i and i + 4, i and i + 2, i and i + 1); products beyond the last eight are added one by one.

    The last of an odd number of rows takes four of those together, and a single row has four registers of eight.
    `matrix` has shape (rows, columns), `vector` (columns,); the result (rows,).
    Source: Eigen/src/Core/products/GeneralMatrixVector.h and Core/InnerProduct.h.
    """
    rows, columns = matrix.shape
    products = (matrix * vector).astype(_f)
    if rows == 1:
        return _inner_product(products[0])
    whole = columns - columns % _WIDTH
    sums = np.zeros((rows, _WIDTH), _f)
    for start in range(0, whole, _WIDTH):
        sums = sums + products[:, start : start + _WIDTH]
    total = _folded(sums)
    if rows % 2 and columns - whole >= 4:
        last = total[-1:] + _folded(products[-1:, whole : whole + 4])
        last = _with_rest(last, products[-1:, whole + 4 :])
        return np.append(_with_rest(total[:-1], products[:-1, whole:]), last)
    return _with_rest(total, products[:, whole:])


def matrix_product(matrix: Float32s, vectors: Float32s) -> Float32s:
    """The products of a matrix [rows, columns] with each of the vectors [count, columns]; the result [count, rows].

    One vector, or one row, is a product of matrix and vector. A small product (rows, columns and count below 20 in
    sum) is made number by number. Any other is cut in blocks of columns whose sums are added up, so that a block fits
    the first-level cache; within a block the order depends on the place of a row and of a vector: vectors go by four,
    rows by 16, then by 8, by 4 and one by one. Source: Eigen/src/Core/products/GeneralBlockPanelKernel.h,
    GeneralMatrixMatrix.h and Core/Redux.h.
    """
    (rows, columns), count = matrix.shape, len(vectors)
    if count == 1:
        return matrix_vector(matrix, vectors[0])[None]
    if rows == 1:
        return matrix_vector(vectors, matrix[0])[:, None]
    products = (vectors[:, None, :] * matrix).astype(_f)
    if rows + columns + count < _SMALL:
        return _small_sums(products)
    total = np.zeros((count, rows), _f)
    block = _block(rows, columns, count)
    for start in range(0, columns, block):
        total = total + _block_sums(products[..., start : start + block])
    return total


def _block(rows: int, columns: int, count: int) -> int:
    """How many columns are summed before the sums are added to the result."""
    if max(rows, columns, count) < 48 or columns <= _LARGEST_BLOCK:
        return max(columns, 1)
    rest = columns % _LARGEST_BLOCK
    if rest == 0:
        return _LARGEST_BLOCK
    return _LARGEST_BLOCK - 8 * ((_LARGEST_BLOCK - 1 - rest) // (8 * (columns // _LARGEST_BLOCK + 1)))


def _in_order(products: Float32s) -> Float32s:
    """Sums over the last axis, one by one."""
    if products.shape[-1] == 0:
        return np.zeros(products.shape[:-1], _f)
    sums: Float32s = np.add.accumulate(products, axis=-1, dtype=_f)[..., -1]
    return sums


def _small_sums(products: Float32s) -> Float32s:
    """Sums over the last axis, of less than 16 numbers: the first eight folded by halves, the rest one by one."""
    if products.shape[-1] < _WIDTH:
        return _in_order(products)
    flat = products.reshape(-1, products.shape[-1])
    return _with_rest(_folded(flat[:, :_WIDTH]), flat[:, _WIDTH:]).reshape(products.shape[:-1])


def _block_sums(products: Float32s) -> Float32s:
    """Sums over the last axis of [count, rows, columns]: one by one, but for vectors by four with the last rows."""
    sums = _in_order(products)
    count, rows, _ = products.shape
    by_four, panels, halves = count - count % 4, rows - rows % 16, rows - rows % 4
    sums[:by_four, panels:halves] = _even_and_odd(products[:by_four, panels:halves])
    sums[:by_four, halves:] = _by_eight(products[:by_four, halves:])
    return sums


def _even_and_odd(products: Float32s) -> Float32s:
    """Two partial sums, of even and of odd products, up to the last full eight, then one by one."""
    whole = products.shape[-1] - products.shape[-1] % 8
    total = _in_order(products[..., 0:whole:2]) + _in_order(products[..., 1:whole:2])
    return _in_order(np.concatenate([total[..., None], products[..., whole:]], axis=-1))


def _by_eight(products: Float32s) -> Float32s:
    """Eight partial sums, brought together to an even and an odd one, to which the rest is added in pairs."""
    columns = products.shape[-1]
    whole, pairs = columns - columns % 8, columns - columns % 2
    s = [_in_order(products[..., i:whole:8]) for i in range(8)]
    even, odd = (s[0] + s[2]) + (s[4] + s[6]), (s[1] + s[3]) + (s[5] + s[7])
    for i in range(whole, pairs, 2):
        even, odd = even + products[..., i], odd + products[..., i + 1]
    total = even + odd
    return total + products[..., -1] if columns % 2 else total


def _with_rest(total: Float32s, products: Float32s) -> Float32s:
    """The products that fill no register, added one by one."""
    for column in range(products.shape[1]):
        total = total + products[:, column]
    return total


def _inner_product(products: Float32s) -> Float32s:
    """The sum of one row's products: register k of eight goes to accumulator k modulo 4, then 2 + 3, 1 + 2, 0 + 1."""
    whole = products.size - products.size % _WIDTH
    registers = products[:whole].reshape(-1, _WIDTH)
    total = np.zeros(1, _f)
    if len(registers):
        accumulators = [registers[k] for k in range(min(4, len(registers)))]
        for k in range(4, len(registers)):
            accumulators[k % 4] = accumulators[k % 4] + registers[k]
        while len(accumulators) > 1:
            last = accumulators.pop()
            accumulators[-1] = accumulators[-1] + last
        total = _folded(accumulators[0][None])
    elif products.size:
        total, whole = products[:1], 1
    return _with_rest(total, products[None, whole:])


def _folded(sums: Float32s) -> Float32s:
    """The sum of each row of eight or four: halves onto each other, until one is left."""
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def row_sums(rows: Float32s, start: int = 0) -> Float32s:
    """The sum of each row of a matrix; registers of eight begin at column `start`.

    Registers go to two sums in turn, which are added; then the odd one out; the eight are folded by halves, then
    the numbers before and after the registers are added one by one. Source: redux_impl in Eigen/src/Core/Redux.h.
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
    return _with_rest(_with_rest(_folded(sums), rows[:, :start]), rows[:, stop:])


def aligned_sums(rows: Float32s) -> Float32s:
    """As `row_sums`, of a matrix that begins at an address which 32 divides; so does each register."""
    count = rows.shape[1]
    if count % _WIDTH == 0:
        return row_sums(rows)
    sums = np.empty(len(rows), _f)
    for phase in range(_WIDTH):  # rows whose first number has the same place in a register
        sums[phase::_WIDTH] = row_sums(rows[phase::_WIDTH], -phase * count % _WIDTH)
    return sums


def _polynomial(x: Float32s, coefficients: list[Any]) -> Float32s:
    """Horner's rule, highest power first."""
    result = np.broadcast_to(coefficients[0], x.shape)
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


def tanh(x: Float32s) -> Float32s:
    """x (x**2 p(x**2) + 1) / q(x**2) with x clamped to ±7.907….

    >>> round(float(tanh(np.array([0.5], np.float32))[0]), 6)      # tanh(0.5) = 0.46211716
    0.462117
    """
    x = np.maximum(np.minimum(x, _TANH_LIMIT), -_TANH_LIMIT)
    square = x * x
    numerator = (square * x) * _polynomial(square, _TANH_NUMERATOR) + x
    return numerator / _polynomial(square, _TANH_DENOMINATOR)


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
def erfc(x: Float32s) -> Float32s:
    """1 - erf(x): 1 + x * p(x**2) up to 1, exp(-x**2) / x * p(1/x**2) / q(1/x**2) beyond, x clamped to ±11.

    What x**2 loses in rounding is made good: exp(-x**2) (1 - lost). 1/x**2 is the processor's estimate, refined
    (`refquant.numerics.reciprocal_estimate`). Source: generic_fast_erfc in
    unsupported/Eigen/src/SpecialFunctions/SpecialFunctionsImpl.h.

    >>> float(erfc(np.array([0.0], np.float32))[0])
    1.0
    """
    x = np.maximum(np.minimum(x, _ERFC_LIMIT), -_ERFC_LIMIT)
    square = x * x
    near = x * _polynomial(square, _ERFC_NEAR) + _f(1)
    lost = (x.astype(np.float64) * x - square).astype(np.float32)
    e = exp(-square)
    z = e - e * lost
    inverse = reciprocal(np.fmax(square, _f(1)))
    ratio = _polynomial(inverse, _ERFC_NUMERATOR) / (x * _polynomial(inverse, _ERFC_DENOMINATOR))
    far = z * ratio + np.where(x < 0, _f(2), _f(0))
    result: Float32s = np.where(square > 1, far, near)
    return result
