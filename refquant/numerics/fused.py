"""Float64 polynomials rounded to float32, as a C library has them that fuses products and sums.

x86-64 processors of the last ten years have a fused multiply-add, which rounds a * b + c once, and the C library uses
it where it can. NumPy has none. The float64 result without it differs by a few units, which float32 shows only where
that result lies almost in the middle between two float32 numbers: there, and only there, `rounded` computes it again
with a fused multiply-add made of ordinary sums and products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MultiplyAdd = Callable[[Any, Any, Any], Any]

_DOUBT = 2.0**-44  # more than what fusing changes in a result, relative to it
_SPLITTER = 2.0**27 + 1

#: the bits of a float64 number that float32 has not, and what they are in the middle between two float32 numbers
LAST_BITS, MIDDLE = (1 << 29) - 1, 1 << 28


def fused(a: Any, b: Any, c: Any) -> Any:
    """a * b + c of float64 numbers, rounded once (but for one case in some 2**50, where it is rounded twice).

    The product is a sum of two float64 numbers (Veltkamp, Dekker), and so is that sum with c (Knuth).

    >>> float(fused(1 + 2.0**-30, 1 - 2.0**-30, -1.0)) == -(2.0**-60)
    True
    """
    product = a * b
    a_high, b_high = _SPLITTER * a, _SPLITTER * b
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    added = total - product
    rest = (product - (total - added)) + (c - added)
    return total + (rest + lost)


def fused_float32(a: Any, b: Any, c: Any) -> npt.NDArray[np.float32]:
    """a * b + c of float32 numbers, rounded once; they broadcast.

    The product is exact in float64, and its sum with c is rounded twice, to float64 and to float32. That is one
    rounding all the same, unless the float64 sum lies just in the middle between two float32 numbers, which its last
    29 bits show. Only there, and where the result is too small for float32 to have all its bits, it is rounded in
    another way.

    >>> fused_float32(np.float32([1 + 2.0**-12]), np.float32([1 + 2.0**-12]), np.float32([2.0**-60]))
    array([1.0004884], dtype=float32)
    """
    total = np.asarray(np.multiply(a, b, dtype=np.float64) + c)
    result: npt.NDArray[np.float32] = total.astype(np.float32)
    doubtful = total.view(np.int64) & LAST_BITS == MIDDLE
    doubtful |= (np.abs(total) < 2.0**-126) & (total != 0)
    if doubtful.any():
        result[doubtful] = _through_odd(*(np.broadcast_to(x, total.shape)[doubtful] for x in (a, b, c)))
    return result


def _through_odd(a: Any, b: Any, c: Any) -> npt.NDArray[np.float32]:
    """As `fused_float32`: where the float64 sum is not exact, its last bit is set to 1 if it is to tell the rounding to
    float32 on which side of it the exact sum lies (rounding to odd)."""
    product = np.multiply(a, b, dtype=np.float64)
    total = product + c
    added = total - product
    lost = (product - (total - added)) + (c - added)
    odd = np.where((lost != 0) & (total.view(np.int64) & 1 == 0), np.nextafter(total, np.copysign(np.inf, lost)), total)
    result: npt.NDArray[np.float32] = odd.astype(np.float32)
    return result


def rounded(function: Callable[..., Any], *arguments: Array) -> npt.NDArray[np.float32]:
    """function(multiply_add, *arguments), float64, rounded to float32 with the bits that fusing gives.

    The arguments are arrays of one shape, the function works element by element.

    >>> rounded(lambda multiply_add, x: multiply_add(x, x, 1.0), np.array([2.0]))
    array([5.], dtype=float32)
    """
    shape = np.shape(arguments[0])
    flat = [np.ravel(argument) for argument in arguments]
    result = function(lambda a, b, c: a * b + c, *flat)
    nearest: npt.NDArray[np.float32] = result.astype(np.float32)
    doubtful = (result * (1 - _DOUBT)).astype(np.float32) != (result * (1 + _DOUBT)).astype(np.float32)
    if doubtful.any():
        nearest[doubtful] = function(fused, *(argument[doubtful] for argument in flat)).astype(np.float32)
    return nearest.reshape(shape)
