"""The square root of x * x + y * y with the bits of the GNU C library (hypotf and hypot of glibc 2.35 and later)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]


def hypotenuse(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """sqrt(x * x + y * y) of float32 or float64 numbers; an infinity wins over NaN.

    float32 is computed in float64, where the squares are exact.

    >>> float(hypotenuse(np.float64(3), np.float64(4)))
    5.0
    """
    with np.errstate(all="ignore"):
        result: npt.NDArray[Any]
        if x.dtype == np.float32:
            wide_x, wide_y = x.astype(np.float64), y.astype(np.float64)
            result = np.sqrt(wide_x * wide_x + wide_y * wide_y).astype(np.float32)
        else:
            result = _double(np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y)))
        return np.where(np.isinf(x) | np.isinf(y), x.dtype.type(np.inf), result)


def _double(large: Float64s, small: Float64s) -> Float64s:
    """For large >= small >= 0: the corrected root, of numbers scaled to where no square overflows or vanishes."""
    scale = np.where(large > 2.0**511, 2.0**-600, np.where(small < 2.0**-459, 2.0**600, 1.0))
    root = _corrected(large * scale, small * scale) / scale
    return np.where(small <= large * 2.0**-54, large + small, root)


def _corrected(a: Float64s, b: Float64s) -> Float64s:
    """The root h of a * a + b * b, less the error of h * h over 2 h."""
    h = np.sqrt(a * a + b * b)
    near_b, near_a = h - b, h - a
    close = a * (2.0 * near_b - a) + (near_b - 2.0 * (a - b)) * near_b
    apart = 2.0 * near_a * (a - 2.0 * b) + ((4.0 * near_a - b) * b + near_a * near_a)
    return h - np.where(h <= 2.0 * b, close, apart) / (2.0 * h)
