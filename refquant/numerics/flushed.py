"""Float32 arithmetic without subnormal numbers, as a processor has it that is told to flush them to zero.

XNNPACK has its kernels run so, for speed: a subnormal operand counts as a zero of its sign (DAZ), and a result that
would be subnormal becomes one (FTZ). x86 decides after rounding: a result is small if it is less than 2**-126 once it
is rounded to 24 bits, as if exponents had no end. So what is 2**-126 here and exactly at least 2**-126 * (1 - 2**-25)
stays.

All functions take operands without subnormal numbers, which `flush` makes, and give results without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.fused import fused_float32
from refquant.numerics.selection import choose

Float32s = npt.NDArray[np.float32]

SMALLEST = np.float32(2.0**-126)
_LEAST_KEPT = 2.0**-126 * (1 - 2.0**-25)


def flush(x: Any) -> Float32s:
    """x with zeros in place of subnormal numbers; x itself where it has none.

    >>> flush(np.float32([-1e-40, 1e-30]))
    array([-0.e+00,  1.e-30], dtype=float32)
    """
    x = np.asarray(x, np.float32)
    is_small = np.abs(x) < SMALLEST
    return choose(is_small, np.copysign(np.float32(0), x), x) if (is_small & (x != 0)).any() else x


def add(a: Any, b: Any) -> Float32s:
    """a + b; no sum of two float32 numbers that is small is rounded."""
    return flush(a + b)


def subtract(a: Any, b: Any) -> Float32s:
    """a - b."""
    return flush(a - b)


def multiply(a: Any, b: Any) -> Float32s:
    """a * b.

    >>> multiply(np.float32([1e-30]), np.float32([1e-10]))
    array([0.], dtype=float32)
    """
    return _flushed(np.asarray(a * b, np.float32), lambda which: _taken(a, which) * _taken(b, which))


def divide(a: Any, b: Any) -> Float32s:
    """a / b; the float64 quotient is never rounded to the limit at which results are kept."""
    return _flushed(np.asarray(a / b, np.float32), lambda which: _taken(a, which) / _taken(b, which))


def fused(a: Any, b: Any, c: Any) -> Float32s:
    """a * b + c, rounded once."""

    def wide(which: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        product, c_there = _taken(a, which) * _taken(b, which), _taken(c, which)
        total = product + c_there
        added = total - product
        lost = (product - (total - added)) + (c_there - added)
        return np.where(lost * total < 0, np.nextafter(total, 0), total)

    return _flushed(fused_float32(a, b, c), wide)


def _taken(x: Any, which: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    return np.broadcast_to(x, which.shape)[which].astype(np.float64)


def _flushed(result: Float32s, wide: Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.float64]]) -> Float32s:
    """The results without the small ones; `wide` gives those of float64 where it is asked for them."""
    magnitude = np.abs(result)
    is_small = (magnitude <= SMALLEST) & (magnitude > 0)
    if is_small.any():
        is_small[is_small] = np.abs(wide(is_small)) < _LEAST_KEPT
        result = np.where(is_small, np.copysign(np.float32(0), result), result)
    return result


def maximum(a: Any, b: Any) -> Float32s:
    """a where it is greater, else b: so b where either is no number, and of zeros of either sign."""
    return choose(np.greater(a, b), a, b)


def minimum(a: Any, b: Any) -> Float32s:
    """a where it is less, else b."""
    return choose(np.less(a, b), a, b)
