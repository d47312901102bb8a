"""real = scale * (q - zero_point): from real numbers to integers and back, as the QUANTIZE and DEQUANTIZE kernels do.

Sources: AffineQuantize in kernels/internal/reference/quantize.h, Dequantize in internal/reference/dequantize.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.fixed_point import to_int32
from refquant.numerics.lookup import round_half_away
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, noted

Array = npt.NDArray[Any]


def quantize(
    x: Array,
    scale: npt.ArrayLike,
    zero_point: npt.ArrayLike,
    dtype: npt.DTypeLike,
    low: int | None = None,
    high: int | None = None,
) -> Array:
    """round(x / scale) + zero_point, limited to low..high (the range of `dtype` unless told); float32 division, halves
    away from zero.

    `scale` and `zero_point` broadcast against `x`. A quotient beyond int32, or NaN, becomes -2**31 from either side
    before the zero point is added, as the conversion of x86-64 processors has it; the sum wraps.

    >>> quantize(np.float32([0.25, -0.25, 9.0, 3e9]), np.float32(0.5), 3, np.int8)     # 0.5, -0.5, 18, too large
    array([   4,    2,   21, -128], dtype=int8)
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        quotient = noted("over scale, in float32", np.asarray(x, np.float32) / np.asarray(scale, np.float32))
        rounded = noted(ROUNDED, round_half_away(quotient))
    whole = noted(ZERO_POINT_ADDED, to_int32(rounded) + np.asarray(zero_point).astype(np.int32))
    limits = np.iinfo(dtype)
    low, high = limits.min if low is None else low, limits.max if high is None else high
    return noted(f"limited to {low} … {high}", np.clip(whole, low, high).astype(dtype))


def dequantize(q: Array, scale: npt.ArrayLike, zero_point: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """scale * (q - zero_point): the difference in int32, which wraps, the product rounded to float32 once.

    `scale` (float32) and `zero_point` broadcast against `q`.

    >>> dequantize(np.int8([3, 5, -128]), np.float32(0.5), 3)
    array([  0. ,   1. , -65.5], dtype=float32)
    """
    difference = noted("less the zero point", q.astype(np.int32) - np.asarray(zero_point).astype(np.int32))
    product = np.asarray(scale, np.float32).astype(np.float64) * difference
    return noted("times scale, in float32", product.astype(np.float32))
