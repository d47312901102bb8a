"""Sums of products: the arithmetic core of convolutions and fully connected layers.

Integers may be summed in any order, so they go through BLAS, in the narrowest floating-point type that a bound on all
partial sums proves exact: integers up to 2**24 are exact in float32, up to 2**53 in float64. Floating-point numbers
are summed one by one in the order of the reference kernels, each product and each sum rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 16  # numbers that are worked on at a time, so that they stay in the cache


def exact_type(bound: int) -> np.dtype[Any]:
    """The fastest type in which sums of integers are exact, when no partial sum exceeds `bound`.

    >>> exact_type(255 * 255 * 100), exact_type(255 * 255 * 1000), exact_type(2**60)
    (dtype('float32'), dtype('float64'), dtype('int64'))
    """
    if bound < 2**24:
        return np.dtype(np.float32)
    return np.dtype(np.float64) if bound < 2**53 else np.dtype(np.int64)


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
