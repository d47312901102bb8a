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

Float32s = npt.NDArray[np.float32]

_f = np.float32
_WIDTH = 8  # numbers in a vector register

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
