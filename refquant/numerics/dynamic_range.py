"""Quantizing floats on the fly, as dynamic-range operators do with their input before they meet int8 weights.

Each row of numbers gets a scale of its own from its largest magnitude (symmetric), or from its smallest and largest
number (asymmetric, with a zero point). Sources: SymmetricQuantizeFloats and AsymmetricQuantizeFloats as the x86-64
builds have them, in kernels/internal/optimized/neon_tensor_utils.cc. These take eight numbers at a time and round
them by adding a half in float32 and cutting off; the up to seven numbers at the end of a row are rounded exactly. The
two differ for a number just below a half: 0.49999997 becomes 1 in the first, 0 in the second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]

_GROUP = 8


def symmetric_quantize(rows: Floats) -> tuple[Int8s, Floats]:
    """Integers from -127 to 127 for each row of [rows, n], and the scale of each row.

    >>> q, scale = symmetric_quantize(np.float32([[0.5, -1.0, 0.25]]))
    >>> q.tolist(), bool(scale[0] == np.float32(1) / np.float32(127))
    ([[64, -127, 32]], True)
    """
    extent = np.abs(rows).max(axis=1, initial=0)
    zero = extent == 0
    with np.errstate(all="ignore"):
        scale = extent / np.float32(127)
        inverse = np.float32(127) / extent
        rounded = _round(rows * np.where(zero, 0, inverse)[:, None])
    return np.clip(rounded, -127, 127).astype(np.int8), np.where(zero, np.float32(1), scale)


def asymmetric_quantize(rows: Floats) -> tuple[Int8s, Floats, Int32s]:
    """Integers from -128 to 127 for each row of [rows, n], the scale and the zero point of each row.

    The range always includes 0; the zero point is taken from the end of the range that gives the smaller error.

    >>> q, scale, zero_point = asymmetric_quantize(np.float32([[0.0, 2.55, 1.0]]))
    >>> q.tolist(), round(float(scale[0]), 6), zero_point.tolist()
    ([[-128, 127, -28]], 0.01, [-128])
    """
    low = np.minimum(rows.min(axis=1, initial=0), np.float32(0))
    high = np.maximum(rows.max(axis=1, initial=0), np.float32(0))
    zero = low == high
    with np.errstate(all="ignore"):
        scale = (high - low).astype(np.float64) / 255
        from_low, from_high = -128 - low / scale, 127 - high / scale
        nearer = 128 + np.abs(low / scale) < 127 + np.abs(high / scale)
        zero_point = np.clip(np.where(nearer, from_low, from_high), -128, 127)
        zero_point = np.trunc(zero_point + np.copysign(0.5, zero_point))
        zero_point = np.where(zero | np.isnan(zero_point), 0, zero_point).astype(np.int32)
        narrow = np.where(zero, np.float32(1), scale.astype(np.float32))
        inverse = np.where(zero | (narrow == 0), np.float32(0), np.float32(1) / narrow)
        rounded = _round(rows * inverse[:, None]).astype(np.int32) + zero_point[:, None]
    return np.clip(rounded, -128, 127).astype(np.int8), narrow, zero_point


def _round(scaled: Floats) -> npt.NDArray[Any]:
    """Halves away from zero: eight numbers at a time with a sum rounded to float32, the rest of a row exactly."""
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.float64)
    rest = scaled[:, scaled.shape[1] // _GROUP * _GROUP :].astype(np.float64)
    rounded[:, scaled.shape[1] - rest.shape[1] :] = np.trunc(rest + np.copysign(0.5, rest))
    return np.where(np.abs(rounded) < 2.0**31, rounded, -(2.0**31))
