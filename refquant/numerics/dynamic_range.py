"""Quantizing floats on the fly, as dynamic-range operators do with their input before they meet int8 weights.

Each row of numbers gets a scale of its own from its largest magnitude (symmetric), or from its smallest and largest
number (asymmetric, with a zero point). Sources: SymmetricQuantizeFloats and AsymmetricQuantizeFloats as the x86-64
builds have them, in kernels/internal/optimized/neon_tensor_utils.cc. These take eight numbers at a time and round
them by adding a half in float32 and cutting off; the up to seven numbers at the end of a row are rounded exactly. The
two differ for a number just below a half: 0.49999997 becomes 1 in the first, 0 in the second. They differ as well for
NaN and for quotients beyond int32, which rows of denormal numbers have; and what counts as the smallest and the largest
number of a row with a NaN depends on where it stands. All that is as in the tensorflow 2.21.0 wheel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]

_GROUP, _LANES = 8, 4
_INT32 = np.iinfo(np.int32)


@np.errstate(all="ignore")
def symmetric_quantize(rows: Floats) -> tuple[Int8s, Floats]:
    """Integers from -127 to 127 for each row of [rows, n], and the scale of each row.

    >>> q, scale = symmetric_quantize(np.float32([[0.5, -1.0, 0.25]]))
    >>> q.tolist(), bool(scale[0] == np.float32(1) / np.float32(127))
    ([[64, -127, 32]], True)
    """
    low, high = np.abs(_ends(rows, rows.shape[1]))
    return symmetric_quantize_within(rows, _larger(low, high))


@np.errstate(all="ignore")
def symmetric_quantize_within(rows: Floats, extent: Floats) -> tuple[Int8s, Floats]:
    """As `symmetric_quantize`, with the largest magnitude of each row given."""
    zero = extent == 0
    scale = np.where(zero, np.float32(1), extent / np.float32(127))
    groups, rest = _scaled(rows, np.float32(127) / extent)
    rest = np.where(np.abs(rest) < -_INT32.min, rest, _INT32.min)
    q = _joined(groups.clip(-127, 127), rest.clip(-127, 127))
    q[zero] = 0
    return q, scale


@np.errstate(all="ignore")
def asymmetric_quantize(rows: Floats) -> tuple[Int8s, Floats, Int32s]:
    """Integers from -128 to 127 for each row of [rows, n], the scale and the zero point of each row.

    The range always includes 0; the zero point is taken from the end of the range that gives the smaller error.

    >>> q, scale, zero_point = asymmetric_quantize(np.float32([[0.0, 2.55, 1.0]]))
    >>> q.tolist(), round(float(scale[0]), 6), zero_point.tolist()
    ([[-128, 127, -28]], 0.01, [-128])
    """
    low, high = _range_with_zero(rows)
    zero = low == high
    scale = (high - low).astype(np.float64) / 255
    from_low, from_high = -128 - low / scale, 127 - high / scale
    nearer = 128 + np.abs(low / scale) < 127 + np.abs(high / scale)
    zero_point = np.clip(np.where(nearer, from_low, from_high), -128, 127)
    zero_point = np.trunc(zero_point + np.copysign(0.5, zero_point))
    zero_point = np.where(zero | np.isnan(zero_point), 0, zero_point).astype(np.int32)
    narrow = np.where(zero, np.float32(1), scale.astype(np.float32))
    inverse = np.where(zero | (narrow == 0), np.float32(0), np.float32(1) / narrow)
    groups, rest = _scaled(rows, inverse)
    groups = (groups.astype(np.int64) + zero_point[:, None]).astype(np.int32)
    rest = np.where(np.isnan(rest), 0, np.clip(rest + zero_point[:, None], -128, 127))
    q = _joined(groups.clip(-128, 127), rest)
    q[zero] = 0
    return q, narrow, zero_point


def _joined(groups: Int32s, rest: npt.NDArray[np.float64]) -> Int8s:
    """Rows of integers that fit int8, from their two parts."""
    q = np.empty((len(groups), groups.shape[1] + rest.shape[1]), np.int8)
    q[:, : groups.shape[1]] = groups
    q[:, groups.shape[1] :] = rest
    return q


def _scaled(rows: Floats, inverse: Floats) -> tuple[Int32s, npt.NDArray[np.float64]]:
    """rows * inverse with halves away from zero: the groups of eight, limited to int32, and the rest, not limited.

    NaN becomes the smallest int32 in the groups, in the rest it stays.
    """
    scaled = rows * inverse[:, None]
    whole = scaled.shape[1] // _GROUP * _GROUP
    groups = np.trunc(scaled[:, :whole] + np.copysign(np.float32(0.5), scaled[:, :whole]))
    if np.abs(groups).max(initial=0) < 2.0**31:  # not where there is a NaN
        limited = groups.astype(np.int32)
    else:
        wide = groups.astype(np.float64)
        limited = np.where(np.isnan(wide), _INT32.min, np.clip(wide, _INT32.min, _INT32.max)).astype(np.int32)
    rest = scaled[:, whole:].astype(np.float64)
    return limited, np.trunc(rest + np.copysign(0.5, rest))


def _range_with_zero(rows: Floats) -> tuple[Floats, Floats]:
    """The smallest and the largest number of each row and 0: lane by lane of four, then the lanes, then the rest."""
    if not np.isnan(rows).any():
        return np.minimum(rows.min(axis=1, initial=0), np.float32(0)), rows.max(axis=1, initial=0)
    low = high = np.zeros(len(rows), np.float32)
    whole = rows.shape[1] // _LANES * _LANES
    if whole:
        lows = highs = rows[:, :_LANES]
        for start in range(_LANES, whole, _LANES):
            lows, highs = _least(lows, rows[:, start : start + _LANES]), _most(highs, rows[:, start : start + _LANES])
        lows, highs = _least(lows[:, :2], lows[:, 2:]), _most(highs[:, :2], highs[:, 2:])
        low, high = _smaller(low, _least(lows[:, 1], lows[:, 0])), _larger(high, _most(highs[:, 1], highs[:, 0]))
    if whole < rows.shape[1]:
        first, last = _ends(rows[:, whole:], rows.shape[1] - whole)
        low, high = _smaller(low, first), _larger(high, last)
    return low, high


def _ends(rows: Floats, count: int) -> tuple[Floats, Floats]:
    """The smallest and the largest number of each row as std::minmax_element finds them, which looks at pairs.

    Of a pair only the smaller number is compared with the smallest so far, and only the larger with the largest; a
    comparison with NaN is false.
    """
    if not count or not np.isnan(rows).any():
        return rows.min(axis=1, initial=0) if not count else rows.min(axis=1), rows.max(axis=1, initial=-np.inf)
    low = high = rows[:, 0]
    if count > 1:
        turned = rows[:, 1] < rows[:, 0]
        low, high = np.where(turned, rows[:, 1], rows[:, 0]), np.where(turned, rows[:, 0], rows[:, 1])
    for i in range(2, count - 1, 2):
        turned = rows[:, i + 1] < rows[:, i]
        smaller = np.where(turned, rows[:, i + 1], rows[:, i])
        larger = np.where(turned, rows[:, i], rows[:, i + 1])
        low, high = np.where(smaller < low, smaller, low), np.where(larger < high, high, larger)
    if count > 2 and count % 2:
        last = rows[:, -1]
        high = np.where((last < low) | (last < high), high, last)
        low = np.where(last < low, last, low)
    return low, high


def _smaller(a: Floats, b: Floats) -> Floats:
    """std::min: a unless b is smaller."""
    return np.where(b < a, b, a)


def _larger(a: Floats, b: Floats) -> Floats:
    """std::max: a unless b is larger."""
    return np.where(a < b, b, a)


def _least(a: Floats, b: Floats) -> Floats:
    """The processor's minimum: b unless a is smaller."""
    return np.where(a < b, a, b)


def _most(a: Floats, b: Floats) -> Floats:
    """The processor's maximum: b unless a is larger."""
    return np.where(a > b, a, b)
