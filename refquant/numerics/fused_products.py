"""Float32 sums of products by fused multiply-add, one summand after another, without subnormal numbers: XNNPACK's.

Each step is `fused` of `refquant.numerics.flushed`, on arrays that are made once for all steps: the product, exact in
float64, and the sum are rounded to float32 by way of float64, which is right but where the float64 sum lies in the
middle between two float32 numbers. Where products are so small that sums might be subnormal, that function is called
itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refquant.numerics.flushed import flush, fused
from refquant.numerics.fused import LAST_BITS, MIDDLE, fused_float32

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]

_BLOCK = 1 << 15  # sums that are worked on at a time, so that they stay in the cache
#: A sum is not subnormal where all that it takes up are multiples of 2**-126. The last bit of a product is at least
#: 2**-46 of it, that of a number 2**-23; and rounding leaves multiples what they are.
_LEAST_PRODUCT, _LEAST_START = 2.0**-80, 2.0**-103


class FusedSums:
    """Sums that start at float32 numbers, which it changes, and take up one product after another.

    With `small` any may be subnormal.

    >>> sums = FusedSums(np.float32([1, 2]))
    >>> sums.add(np.array([2.0**-12, 3]), np.array([2.0**-11, 4]))
    >>> sums.total
    array([ 1.0000001, 14.       ], dtype=float32)
    """

    def __init__(self, start: Float32s, small: bool = False) -> None:
        self.total = start
        self._small = small
        self._wide = start.astype(np.float64)
        self._sum = np.empty(start.shape)
        self._bits = self._sum.view(np.int64)
        self._last = np.empty(start.shape, np.int64)
        self._is_middle = np.empty(start.shape, np.bool_)

    def add(self, a: Float64s, b: Float64s) -> None:
        """total = total + a * b, of float32 numbers held as float64, which broadcast to the shape of the sums."""
        if self._small:
            self.total[...] = fused(a, b, self._wide)
        else:
            np.multiply(a, b, out=self._sum)
            np.add(self._sum, self._wide, out=self._sum)
            np.bitwise_and(self._bits, LAST_BITS, out=self._last)
            np.equal(self._last, MIDDLE, out=self._is_middle)
            np.copyto(self.total, self._sum, casting="same_kind")
            if self._is_middle.any():
                self._again(a, b)
        np.copyto(self._wide, self.total)

    def _again(self, a: Float64s, b: Float64s) -> None:
        a, b = (np.broadcast_to(x, self.total.shape)[self._is_middle] for x in (a, b))
        self.total[self._is_middle] = fused_float32(a, b, self._wide[self._is_middle])


def may_be_small(x: Float32s, w: Float32s, start: Float32s) -> bool:
    """Whether a sum that starts at one of `start` and takes up products of `x` and `w` may be subnormal."""
    return bool(_least(x) * _least(w) < _LEAST_PRODUCT or _least(start) < _LEAST_START)


def _least(x: Float32s) -> float:
    """The least magnitude that is not 0."""
    magnitudes = np.abs(x)
    return float(np.min(magnitudes, where=magnitudes > 0, initial=np.inf))


class FusedProduct:
    """sums[j, i] = ... fma(x[1, j], w[1, i], fma(x[0, j], w[0, i], start[i])), for `w` [terms, i] and any x [terms, j].

    >>> FusedProduct(np.float32([[2.0**-12]]), np.float32([1]))(np.float32([[2.0**-11]]))
    array([[1.0000001]], dtype=float32)
    """

    def __init__(self, w: Float32s, start: Float32s) -> None:
        self._start = flush(start)
        w = flush(w)
        self._least = _least(w)
        self._start_may_be_small = _least(self._start) < _LEAST_START
        self._w = w.astype(np.float64)

    @np.errstate(all="ignore")
    def __call__(self, x: Float32s) -> Float32s:
        """The sums of these x."""
        x = flush(x)
        small = self._start_may_be_small or _least(x) * self._least < _LEAST_PRODUCT
        wide, shape = x.astype(np.float64), (x.shape[1], self._w.shape[1])
        if shape[0] < shape[1]:
            return _by_rows(wide, self._w, np.broadcast_to(self._start, shape), small)
        return _by_rows(self._w, wide, np.broadcast_to(self._start[:, None], shape[::-1]), small).T


def _by_rows(a: Float64s, b: Float64s, start: Float32s, small: bool) -> Float32s:
    """sums[j, i] over a[:, j] * b[:, i], from start[j, i]; quick where a row of `b` is long."""
    outer, inner = start.shape
    result = np.empty((outer, inner), np.float32)
    rows = max(1, _BLOCK // max(1, inner))
    for top in range(0, outer, rows):
        for left in range(0, inner, _BLOCK):
            block = slice(top, top + rows), slice(left, left + _BLOCK)
            sums = FusedSums(start[block].copy(), small)
            for x, y in zip(a[:, block[0], None], b[:, block[1]]):
                sums.add(x, y)
            result[block] = sums.total
    return result
