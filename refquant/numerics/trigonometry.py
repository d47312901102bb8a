"""sin, cos and atan2 of float32 with the bits of the GNU C library (glibc 2.28 to 2.40).

`sin` and `cos` take away the nearest multiple of pi/2 and use a polynomial for what is left, in float64, rounded once
to float32. Up to 120 the multiple comes out of a product with 2/pi; beyond, out of 96 bits of 4/pi that matter for
the size of x, as integers. `atan2` is the float32 version of the algorithm of Sun's fdlibm.
tests/numerics/test_libm.py compares with the library of the machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.blocks import in_blocks
from refquant.numerics.fused import MultiplyAdd, rounded

Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

_HALF_PI_HIGH, _HALF_PI_LOW = float.fromhex("0x1.921fb544p0"), float.fromhex("0x1.0b46p-34")  # float64's pi/2 in two
_TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p+23")  # times 2**24
_COSINE = tuple(
    map(
        float.fromhex,
        (
            "0x1p0",
            "-0x1.ffffffd0c621cp-2",
            "0x1.55553e1068f19p-5",
            "-0x1.6c087e89a359dp-10",
            "0x1.99343027bf8c3p-16",
        ),
    )
)
_SINE = tuple(map(float.fromhex, ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")))
# 4/pi = 1.0100010111110011…, of which every word has 32 bits and begins 8 bits after the one before it
_FOUR_OVER_PI = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041
_WORDS = np.array([(_FOUR_OVER_PI >> (192 - 8 * (i + 1))) & 0xFFFFFFFF for i in range(24)], np.uint64)

_f = np.float32
_ATAN_HIGH = np.array([4.6364760399e-01, 7.8539812565e-01, 9.8279368877e-01, 1.5707962513e00], _f)
_ATAN_LOW = np.array([5.0121582440e-09, 3.7748947079e-08, 3.4473217170e-08, 7.5497894159e-08], _f)
_ATAN_EVEN = tuple(
    map(
        _f,
        (
            3.3333334327e-01,
            1.4285714924e-01,
            9.0908870101e-02,
            6.6610731184e-02,
            4.9768779427e-02,
            1.6285819933e-02,
        ),
    )
)
_ATAN_ODD = tuple(
    map(_f, (-2.0000000298e-01, -1.1111110449e-01, -7.6918758452e-02, -5.8335702866e-02, -3.6531571299e-02))
)
_PI, _PI_LOW = _f(3.1415927410e00), _f(-8.7422776573e-08)


@in_blocks
@np.errstate(all="ignore")
def sin(x: Float32s) -> Float32s:
    """sin(x) of float32 numbers, as sinf; NaN of infinities.

    >>> float(sin(np.float32(1))).hex()                     # 0.8414709848…
    '0x1.aed5480000000p-1'
    """
    tiny = np.abs(x) < np.float32(2.0**-12)
    result: Float32s = np.where(tiny, x, _circular(x, 0))
    return result


@in_blocks
@np.errstate(all="ignore")
def cos(x: Float32s) -> Float32s:
    """cos(x) of float32 numbers, as cosf; NaN of infinities.

    >>> float(cos(np.float32(1))).hex()                     # 0.5403023058…
    '0x1.14a2800000000p-1'
    """
    tiny = np.abs(x) < np.float32(2.0**-12)
    result: Float32s = np.where(tiny, np.float32(1), _circular(x, 1))
    return result


def _circular(x: Float32s, quarter: int) -> Float32s:
    """sin(x + quarter * pi/2)."""
    finite = np.where(np.isfinite(x), x, np.float32(0))
    wide = finite.astype(np.float64)
    magnitude = np.abs(finite)
    below_120 = magnitude < np.float32(120)
    # Comparisons of the real code look at the upper 12 bits only, so the first interval ends at 0.75, not at pi/4.
    first = (finite.view(np.uint32) >> 20 & 0x7FF) < 0x3F4
    n = (np.trunc(np.where(below_120, wide, 0) * _TWO_OVER_PI).astype(np.int64) + 0x800000) >> 24
    n = np.where(first, 0, n)
    rest = (wide - n * _HALF_PI_HIGH) - n * _HALF_PI_LOW  # rounded once, as if fused
    large_n, large_rest = _reduced_large(finite)
    n, rest = np.where(below_120, n, large_n), np.where(below_120, rest, large_rest)
    turn = n + np.where(below_120, 0, (finite < 0).astype(np.int64))
    sign = np.where(((turn & 3) == 1) | ((turn & 3) == 2), -1.0, 1.0)
    flipped = np.where(turn & 2, -1.0, 1.0)  # of the cosine's polynomial
    is_cosine = ((n + quarter) & 1).astype(np.bool_)
    result = rounded(_polynomials, rest, np.where(is_cosine, flipped, sign), is_cosine)
    nan: Float32s = np.where(np.isfinite(x), result, np.float32(np.nan))
    return nan


def _polynomials(multiply_add: MultiplyAdd, x: Any, sign: Any, is_cosine: Any) -> Any:
    """sign * cos(x), or sin(sign * x), of |x| < pi/4."""
    x2 = x * x
    s1, s2, s3 = _SINE
    signed = x * sign
    x3 = signed * x2
    sine = multiply_add(x3 * x2, multiply_add(x2, s3, s2), multiply_add(x3, s1, signed))
    c0, c1, c2, c3, c4 = _COSINE
    x4 = x2 * x2
    cosine = multiply_add(x4 * x2, multiply_add(x2, c4, c3), multiply_add(x4, c2, multiply_add(x2, c1, c0)))
    return np.where(is_cosine, sign * cosine, sine)


def _reduced_large(x: Float32s) -> tuple[Int64s, Float64s]:
    """How many pi/2 are in |x|, and the rest as float64 between -pi/4 and pi/4, for |x| of at least 120."""
    bits = x.view(np.uint32).astype(np.uint64)
    word = ((bits >> np.uint64(26)) & np.uint64(15)).astype(np.int64)
    shift = (bits >> np.uint64(23)) & np.uint64(7)
    mantissa = (((bits & np.uint64(0xFFFFFF)) | np.uint64(0x800000)) << shift) & np.uint64(0xFFFFFFFF)
    upper = (mantissa * _WORDS[word]) << np.uint64(32)
    total = (upper | ((mantissa * _WORDS[word + 8]) >> np.uint64(32))) + mantissa * _WORDS[word + 4]
    n = (total + np.uint64(1 << 61)) >> np.uint64(62)
    rest = (total - (n << np.uint64(62))).view(np.int64)
    return n.astype(np.int64), rest.astype(np.float64) * float.fromhex("0x1.921fb54442d18p-62")


@np.errstate(all="ignore")
def atan2(y: npt.ArrayLike, x: npt.ArrayLike) -> Float32s:
    """The angle of the point (x, y), from -pi to pi, of float32 numbers, as atan2f.

    >>> float(atan2(np.float32(1), np.float32(-1))) / np.pi
    0.75...
    """
    y, x = np.broadcast_arrays(np.asarray(y, np.float32), np.asarray(x, np.float32))
    ratio = _atan(np.abs(y / x))
    exponents = (np.abs(y).view(np.int32).astype(np.int64) - np.abs(x).view(np.int32)) >> 23
    half_pi = _PI / _f(2) + _f(0.5) * _PI_LOW
    z = np.where(exponents > 60, half_pi, np.where((x < 0) & (exponents < -60), _f(0), ratio))
    behind = np.where(np.signbit(y), (z - _PI_LOW) - _PI, _PI - (z - _PI_LOW))
    result = np.where(np.signbit(x), behind, np.where(np.signbit(y), -z, z))
    result = np.where(x == 1, _signed_atan(y), result)
    # the axes, and the corners at infinity
    result = np.where(x == 0, np.copysign(half_pi, y), result)
    on_axis = np.where(np.signbit(x), np.copysign(_PI, y), y)
    result = np.where(y == 0, on_axis, result)
    corner = np.where(np.signbit(x), _f(3) * (_PI / _f(4)), _PI / _f(4))
    far = np.where(np.signbit(x), _PI, _f(0))
    result = np.where(np.isinf(x), np.copysign(np.where(np.isinf(y), corner, far), y), result)
    result = np.where(np.isinf(y) & ~np.isinf(x), np.copysign(half_pi, y), result)
    final: Float32s = np.where(np.isnan(x) | np.isnan(y), _f(np.nan), result).astype(np.float32)
    return final


def _signed_atan(x: Float32s) -> Float32s:
    return np.copysign(_atan(np.abs(x)), x)


def _atan(x: Float32s) -> Float32s:
    """atan(x) of x >= 0, as atanf."""
    intervals = [x < _f(7 / 16), x < _f(11 / 16), x < _f(19 / 16), x < _f(39 / 16)]
    reduced = [x, (_f(2) * x - _f(1)) / (_f(2) + x), (x - _f(1)) / (x + _f(1))]
    reduced.append((x - _f(1.5)) / (_f(1) + _f(1.5) * x))
    r = np.select(intervals, reduced, _f(-1) / x)
    place = np.select(intervals, [0, 0, 1, 2], 3)
    z = r * r
    w = z * z
    e0, e1, e2, e3, e4, e5 = _ATAN_EVEN
    o0, o1, o2, o3, o4 = _ATAN_ODD
    even = z * (e0 + w * (e1 + w * (e2 + w * (e3 + w * (e4 + w * e5)))))
    odd = w * (o0 + w * (o1 + w * (o2 + w * (o3 + w * o4))))
    small = r - r * (even + odd)
    other = _ATAN_HIGH[place] - ((r * (even + odd) - _ATAN_LOW[place]) - r)
    result = np.where(intervals[0], small, other)
    result = np.where(x < _f(2.0**-29), x, result)
    end = _ATAN_HIGH[3] + _ATAN_LOW[3]
    final: Float32s = np.where(x >= _f(2.0**25), end, result).astype(np.float32)
    return final
