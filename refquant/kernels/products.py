"""Sums of products: the arithmetic core of convolutions and fully connected layers.

Integers may be summed in any order, so they go through BLAS, in the narrowest floating-point type that a bound on all
partial sums proves exact: integers up to 2**24 are exact in float32, up to 2**53 in float64. A sum that is too long for
float32 is cut into a few that are not, which is quicker than float64. What no bound proves is summed as integers.
Floating-point numbers are summed one by one in the order of the reference kernels, each product and each sum rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 16  # numbers that are worked on at a time, so that they stay in the cache

#: up to where integers are exact; the tests lower these limits to have all ways of summing at work
EXACT = {"float32": 2**24, "float64": 2**53}
#: into which a sum is cut; float64 costs as much as two sums in float32, and each piece a pass over the sums
MOST_PIECES = 4


def exact_type(bound: int) -> np.dtype[Any]:
    """The fastest type in which sums of integers are exact, when no partial sum exceeds `bound`.

    >>> exact_type(255 * 255 * 100), exact_type(255 * 255 * 1000), exact_type(2**60)
    (dtype('float32'), dtype('float64'), dtype('int64'))
    """
    return np.dtype(next((name for name, limit in EXACT.items() if bound < limit), "int64"))


class IntegerProduct:
    """x @ w for one matrix w of integers [terms, outputs] and all integers |x| <= `largest`: exact sums.

    `bounds` [outputs] is what no sum exceeds. Give x [rows, terms] as an array of `dtype`; the sums [rows, outputs] are
    float32, float64 or int64, whole numbers in each case. The matrix stays in the order in which it lies in memory.
    """

    def __init__(self, w: npt.NDArray[np.integer[Any]], largest: int) -> None:
        magnitudes = np.abs(w.astype(np.int32, copy=False))
        self.bounds = magnitudes.sum(axis=0, dtype=np.int64) * largest
        self.dtype = exact_type(int(self.bounds.max(initial=0)))
        pieces = [slice(0, len(w))]
        if self.dtype != np.float32:
            shorter = _pieces(np.cumsum(magnitudes, axis=0, dtype=np.int64) * largest, EXACT["float32"])
            if shorter:
                self.dtype, pieces = np.dtype(np.float32), shorter
        exact = w.astype(self.dtype)
        self._factors = [(piece, exact[piece]) for piece in pieces]

    def __call__(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sums for rows x, an array of `dtype`."""
        if len(self._factors) == 1:
            sums: npt.NDArray[Any] = x @ self._factors[0][1]
            return sums
        total = np.zeros((len(x), self.bounds.size))
        for piece, factor in self._factors:
            total += x[:, piece] @ factor
        return total


def _pieces(reached: npt.NDArray[np.int64], limit: int) -> list[slice]:
    """The longest pieces of sums that stay below `limit`, where partial sums stay within `reached` [terms, sums].

    An empty list where a single term does not, or more than `MOST_PIECES` are needed.

    >>> _pieces(np.array([[3], [6], [9], [12]]), 7), _pieces(np.array([[3]]), 3)
    ([slice(0, 2, None), slice(2, 4, None)], [])
    """
    pieces: list[slice] = []
    begin, base = 0, np.zeros(reached.shape[1], np.int64)
    while begin < len(reached):
        over = np.max(reached[begin:] - base, axis=1, initial=0) >= limit
        if over[0] or len(pieces) == MOST_PIECES:
            return []
        end = begin + int(np.argmax(over)) if over.any() else len(reached)
        pieces.append(slice(begin, end))
        begin, base = end, reached[end - 1]
    return pieces


def largest_magnitude(dtype: np.dtype[Any], zero_point: int) -> int:
    """The largest |q - zero_point| over all integers q of `dtype`."""
    limits = np.iinfo(dtype)
    return max(abs(int(limits.min) - zero_point), abs(int(limits.max) - zero_point))


def add_products_in_order(
    total: npt.NDArray[np.float32], x: npt.NDArray[np.float32], w: npt.NDArray[np.float32]
) -> None:
    """total[..., g, o] += x[..., g, i] * w[i, g, o] for i in order, each product and each sum rounded to float32."""
    product = np.empty_like(total)
    for i in range(len(w)):
        np.multiply(x[..., i, None], w[i], out=product)
        np.add(total, product, out=total)
